"""Gemini, by AI Studio's addresses and by Vertex AI's: generateContent, streamGenerateContent, countTokens, embeddings.

Wire: ai.google.dev/api/generate-content, /api/caching#Content, /api/embeddings, /api/tokens, /docs/thought-signatures;
docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference and /text-embeddings-api;
google.rpc.Status for errors (cloud.google.com/apis/design/errors).
"""

import json
from collections.abc import Iterator
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from support.faultup.dialects import common
from support.faultup.dialects.common import Asked, Block, Heard, Refused, Said, json_answer, require, sse, words
from support.faultup.dialects.gemini_body import Camel, Content, Count, Generate, Generation, Part, Thinking
from switchgear.testing.upstream.reply import Piece, Reply
from switchgear.testing.upstream.script import Script

STOPS = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}
ERRORS = {
    "invalid_request": (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    "context_length": (
        400,
        "INVALID_ARGUMENT",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    ),
    "content_filter": (400, "INVALID_ARGUMENT", "The request was blocked by safety filters."),
    "not_found": (404, "NOT_FOUND", "models/no-such-model is not found for API version v1beta."),
    "auth": (401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
    "permission": (403, "PERMISSION_DENIED", "Permission 'aiplatform.endpoints.predict' denied on resource."),
    "quota": (
        429,
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "rate_limit": (429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    "overloaded": (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "server": (500, "INTERNAL", "An internal error has occurred."),
}
_PLAIN = frozenset({"type", "format", "title", "description", "nullable", "enum", "items", "properties", "required"})
_BOUNDS = frozenset(
    {"minItems", "maxItems", "minimum", "maximum", "minLength", "maxLength", "minProperties", "maxProperties"}
)
_OTHERS = frozenset(
    {"pattern", "example", "anyOf", "propertyOrdering", "default", "additionalProperties", "ref", "defs"}
)
SCHEMA = _PLAIN | _BOUNDS | _OTHERS
UNSIGNED = {"skip_thought_signature_validator", "context_engineering_is_the_way_to_go"}
"""What the documentation lets a client send for a call that no Gemini model made."""


class Gemini:
    """`POST …/models/{model}:{method}` of both services; `vertex` is the one of Google Cloud."""

    def __init__(self, *, vertex: bool) -> None:
        self.vertex = vertex

    def hear(self, heard: Heard) -> Asked:
        self._authorise(heard)
        model, method = heard.names
        match method:
            case "countTokens" if not self.vertex:
                count = common.read(heard.body, Count)
                both = [count.contents is UNSET, count.generate_content_request is UNSET]
                require(sum(both) == 1, "Set one of contents and generateContentRequest.")
                body: Generate = count.generate_content_request or Generate(contents=count.contents or [])
            case "streamGenerateContent":
                require(heard.query.get("alt") == "sse", "This upstream streams as alt=sse alone.")
                body = common.read(heard.body, Generate)
            case _:
                body = common.read(heard.body, Generate)
        asked = _asked(model, body)
        asked.stream = method == "streamGenerateContent"
        return asked

    def _authorise(self, heard: Heard) -> None:
        key = heard.headers.get("x-goog-api-key") or heard.query.get("key")
        good = heard.desk.knows(common.bearer(heard)) or (key and not self.vertex and not common.refused_key(heard))
        require(good, ERRORS["auth"][2], None, "auth")

    def speak(self, said: Said, heard: Heard) -> Reply:
        if heard.names[1] == "countTokens":
            return json_answer({"totalTokens": said.prompt, "totalBillableCharacters": 5 * said.prompt})
        if said.asked.stream:
            status, kind, text = ERRORS["overloaded"]
            return said.stream(_events(said, heard), sse({"error": {"code": status, "message": text, "status": kind}}))
        parts = [part for block in _signed(said) for part in _parts(block)]
        return said.whole({**_answer(said, heard, parts, finish=True), "usageMetadata": _usage(said)})

    def refuse(self, refused: Refused, heard: Heard, script: Script) -> Reply:
        status, kind, text = ERRORS[refused.cause]
        error: dict[str, Any] = {"code": status, "message": refused.message or text, "status": kind}
        if refused.cause == "auth" and not self.vertex:
            reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
            status = 400
            error = {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT",
                     "details": [{**reason, "domain": "googleapis.com"}]}  # fmt: skip
        if refused.cause in {"rate_limit", "quota"}:
            error["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}]
        return json_answer({"error": error}, status)


def _asked(model: str, body: Generate) -> Asked:
    config = body.generation_config or Generation()
    thinking = config.thinking_config or Thinking()
    asked = Asked(model=model, prompt=len(body.contents), cap=config.max_output_tokens or None, hidden=True)
    asked.thinks = thinking.thinking_budget != 0
    asked.count = config.candidate_count or 1
    asked.shows = thinking.include_thoughts is True
    level = thinking.thinking_level is not UNSET and thinking.thinking_budget is not UNSET
    require(not level, "You can only set only one of thinking budget and thinking level.")
    if body.system_instruction:
        asked.prompt += words(*(part.text or "" for part in body.system_instruction.parts))
    for place, content in enumerate(body.contents):
        for part in content.parts:
            _part(part, content, asked, last=place == len(body.contents) - 1)
    _order(model, body.contents)
    for tool in body.tools or ():
        for declared in tool.function_declarations:
            both = declared.parameters is not UNSET and declared.parameters_json_schema is not UNSET
            require(not both, "parameters and parameters_json_schema are mutually exclusive")
            _openapi(declared.parameters or {}, "parameters")
            asked.tools = {**asked.tools, declared.name: declared.parameters or declared.parameters_json_schema or {}}
    if body.tool_config:
        calling = body.tool_config.function_calling_config
        allowed = calling.allowed_function_names or []
        require(not allowed or calling.mode in {"ANY", "VALIDATED"}, "allowed_function_names needs mode ANY")
        require(set(allowed) <= set(asked.tools), "allowed_function_names are not all declared")
        asked.tools = {} if calling.mode == "NONE" else asked.tools
        asked.forced = allowed[0] if len(allowed) == 1 else None
    if config.response_schema or config.response_json_schema:
        require(config.response_mime_type == "application/json", "A response schema needs response_mime_type JSON.")
        _openapi(config.response_schema or {}, "response_schema")
        asked.schema = config.response_schema or config.response_json_schema
    return asked


def _part(part: Part, content: Content, asked: Asked, *, last: bool) -> None:
    members = ("text", "inline_data", "file_data", "function_call", "function_response")
    given = [name for name in members if getattr(part, name) is not UNSET]
    require(len(given) == 1, f"contents.parts must have exactly one initialized field, not {given}")
    if part.inline_data:
        asked.images.append((part.inline_data.mime_type, len(common.unpacked(part.inline_data.data))))
    if part.file_data:
        asked.images.append((part.file_data.file_uri, 0))
    if part.function_call:
        require(content.role == "model", "function calls are the model's")
    if part.function_response:
        require(content.role in {"user", "function", UNSET}, "function responses are the user's")
        text = json.dumps(part.function_response.response, separators=(",", ":"))
        asked.prompt += words(text)
        if last:
            asked.results = [*asked.results, text]
    asked.prompt += words(part.text or "")


def _order(model: str, contents: list[Content]) -> None:
    first = contents[0].parts[0]
    require(contents[0].role != "model" and not first.function_response, "The first turn must be a user's.")
    for place, content in enumerate(contents):
        calls = [part.function_call.name for part in content.parts if part.function_call]
        before = contents[place - 1].parts if place else []
        called = [part.function_call.name for part in before if part.function_call]
        answered = [part.function_response.name for part in content.parts if part.function_response]
        text = (
            "Please ensure that the number of function response parts is equal to the number of function call parts of the "
            f"function call turn: {called} called, {answered} answered."
        )
        require(sorted(called) == sorted(answered), text)
        require(not calls or place + 1 < len(contents), "A function call turn must be followed by its responses.")
        signed = next((part.thought_signature for part in content.parts if part.function_call), None)
        if calls and signed is not UNSET:
            good = signed in UNSIGNED or common.unpacked(str(signed)).startswith(b"signed ")
            require(good, "Thought signature is not valid.")
        elif calls:
            require("gemini-3" not in model, f"Function call {calls[0]} is missing a thought_signature.")


def _openapi(schema: dict[str, Any], where: str) -> None:
    """Check a schema against Google's subset of OpenAPI's."""
    for name in schema:
        require(
            name in SCHEMA, f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field."
        )
    kinds = {"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"}
    kind = schema.get("type", "STRING")
    require(isinstance(kind, str) and kind.upper() in kinds, f"Invalid value at '{where}.type': {kind}")
    for name, part in schema.get("properties", {}).items():
        _openapi(part, f"{where}.properties[{name}]")
    if isinstance(schema.get("items"), dict):
        _openapi(schema["items"], f"{where}.items")
    for part in schema.get("anyOf", ()):
        _openapi(part, f"{where}.any_of")


def _usage(said: Said) -> dict[str, Any]:
    usage = {
        "promptTokenCount": said.prompt,
        "candidatesTokenCount": said.tokens - said.reasoning,
        "totalTokenCount": said.prompt + said.tokens,
    }
    if said.script.cached_tokens:
        usage["cachedContentTokenCount"] = said.script.cached_tokens
    if said.reasoning:
        usage["thoughtsTokenCount"] = said.reasoning
    return usage


def _signed(said: Said) -> list[Block]:
    return [block for block in said.blocks if block.kind != "redacted"]


def _parts(block: Block) -> list[dict[str, Any]]:
    match block.kind:
        case "thinking":
            return [{"text": block.text, "thought": True}] if block.text else []
        case "tool":
            part: dict[str, Any] = {"functionCall": {"name": block.name, "args": json.loads(block.text)}}
            if block.id.endswith("0"):  # of parallel calls only the first is signed
                part["thoughtSignature"] = common.signature(block.name)
            return [part]
        case _:
            return [{"text": block.text}]


def _answer(said: Said, heard: Heard, parts: list[dict[str, Any]], *, finish: bool) -> dict[str, Any]:
    head = {"modelVersion": said.script.model or said.asked.model, "responseId": heard.id}
    refused = any(block.kind == "refusal" for block in said.blocks)
    if refused:
        return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, **head}
    last = {"finishReason": STOPS[said.finish]} if finish else {}
    content = {"parts": parts, "role": "model"}
    return {"candidates": [{"content": content, "index": n, **last} for n in range(said.asked.count)], **head}


def _events(said: Said, heard: Heard) -> Iterator[Piece]:
    told = {"usageMetadata": {"promptTokenCount": said.prompt, "totalTokenCount": said.prompt}}
    flat: list[tuple[list[dict[str, Any]], int]] = []
    for block in _signed(said):
        if block.kind == "tool":
            flat.append((_parts(block), sum(tokens for _, tokens in block.pieces)))
            continue
        thought = {"thought": True} if block.kind == "thinking" else {}
        flat.extend(([{"text": text, **thought}] if text else [], tokens) for text, tokens in block.pieces)
    if any(block.kind == "refusal" for block in said.blocks):
        yield sse(
            {**_answer(said, heard, [], finish=True), "usageMetadata": _usage(said)}, None, said.tokens, content=True
        )
        return
    for parts, tokens in flat:
        if parts:
            yield sse({**_answer(said, heard, parts, finish=False), **told}, None, tokens, content=True)
        else:
            yield Piece(b"", tokens)  # thought, billed, not shown
    last = [{"text": ""}]
    yield sse({**_answer(said, heard, last, finish=True), "usageMetadata": _usage(said)})


class Embed(Camel, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The body of embedContent, and one request of batchEmbedContents."""

    content: Content
    model: str | UnsetType = UNSET
    task_type: str | UnsetType = UNSET
    title: str | UnsetType = UNSET
    output_dimensionality: int | UnsetType = UNSET
    auto_truncate: bool | UnsetType = UNSET
    embed_content_config: dict[str, Any] | UnsetType = UNSET


class Batch(Camel, forbid_unknown_fields=True, rename="camel"):
    requests: list[Embed]


class Instance(Struct, forbid_unknown_fields=True):
    content: str
    task_type: str | UnsetType = UNSET
    title: str | UnsetType = UNSET


class Parameters(Camel, forbid_unknown_fields=True, rename="camel"):
    auto_truncate: bool | UnsetType = UNSET
    output_dimensionality: int | UnsetType = UNSET


class Predict(Struct, forbid_unknown_fields=True):
    """The body of Vertex AI's predict for text embeddings."""

    instances: list[Instance]
    parameters: Parameters | UnsetType = UNSET


class Embeddings(Gemini):
    """`:embedContent`, `:batchEmbedContents` and Vertex AI's `:predict`."""

    def hear(self, heard: Heard) -> Asked:
        self._authorise(heard)
        require((heard.names[1] == "batchEmbedContents") <= (not self.vertex), "Not found", None, "not_found")
        texts, _ = self._texts(heard)
        require(all(texts), "content is empty")
        return Asked(model=heard.names[0], prompt=words(*texts))

    def speak(self, said: Said, heard: Heard) -> Reply:
        texts, size = self._texts(heard)
        vectors = common.numbers(texts, heard.seed, size)
        match heard.names[1]:
            case "predict":
                counts = [{"token_count": words(text), "truncated": False} for text in texts]
                found = [{"values": v, "statistics": s} for v, s in zip(vectors, counts, strict=True)]
                body: dict[str, Any] = {"predictions": [{"embeddings": one} for one in found]}
            case "embedContent":
                body = {"embedding": {"values": vectors[0]}, "usageMetadata": {"promptTokenCount": said.prompt}}
            case _:
                body = {"embeddings": [{"values": vector} for vector in vectors]}
                body["usageMetadata"] = {"promptTokenCount": said.prompt}
        reply = json_answer(body)
        reply.prompt_tokens = said.prompt
        return reply

    def _texts(self, heard: Heard) -> tuple[list[str], int]:
        if heard.names[1] == "predict":
            predict = common.read(heard.body, Predict)
            parameters = predict.parameters or Parameters()
            return [instance.content for instance in predict.instances], parameters.output_dimensionality or 8
        if heard.names[1] == "embedContent":
            asked = [common.read(heard.body, Embed)]
        else:
            asked = common.read(heard.body, Batch).requests
            require(all(one.model for one in asked), "requests.model is required")
        config = asked[0].embed_content_config or {}
        size = asked[0].output_dimensionality or config.get("outputDimensionality") or 8
        return ["".join(part.text or "" for part in one.content.parts) for one in asked], size


def models(heard: Heard) -> Reply:
    """Answer AI Studio's `GET /v1beta/models` (ai.google.dev/api/models): in pages, whose size the server may lower."""
    cards = [
        {
            "name": f"models/{name}",
            "displayName": name.replace("-", " ").title(),
            "inputTokenLimit": 1_048_576,
            "outputTokenLimit": 65_536,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        }
        for name in ("gemini-2.5-flash", "gemini-2.5-pro", "gemini-3-pro")
    ]
    if common.refused_key(heard):
        return Gemini(vertex=False).refuse(Refused("auth", ""), heard, Script())
    if not (heard.headers.get("x-goog-api-key") or heard.query.get("key") or heard.desk.knows(common.bearer(heard))):
        return Gemini(vertex=False).refuse(Refused("auth", ""), heard, Script())
    found, more = common.page(cards, heard, heard.query.get("pageToken"))
    return json_answer({"models": found, **({"nextPageToken": more} if more else {})})


def publisher_models(heard: Heard) -> Reply:
    """Answer Vertex AI's `GET /v1beta1/publishers/google/models` (publishers.models/list): in pages."""
    if not heard.desk.knows(common.bearer(heard)):
        return Gemini(vertex=True).refuse(Refused("auth", ""), heard, Script())
    names = {
        "google": ["gemini-2.5-flash", "gemini-2.5-pro", "gemini-3-pro"],
        "anthropic": ["claude-sonnet-4-5", "claude-opus-4-5", "claude-haiku-4-5"],
    }
    cards = [
        {"name": f"publishers/{heard.names[0]}/models/{name}", "versionId": "default", "launchStage": "GA"}
        for name in names.get(heard.names[0], [])
    ]
    found, more = common.page(cards, heard, heard.query.get("pageToken"))
    return json_answer({"publisherModels": found, **({"nextPageToken": more} if more else {})})
