"""Amazon Bedrock: Converse, ConverseStream, CountTokens, and InvokeModel of Titan's and Cohere's embeddings.

Wire: docs.aws.amazon.com/bedrock/latest/APIReference (API_runtime_Converse, _ConverseStream, _CountTokens, _InvokeModel,
CommonErrors), /userguide/model-parameters-titan-embed-text and /model-parameters-embed.
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from support.faultup.dialects import common, sigv4
from support.faultup.dialects.common import Asked, Block, Heard, Refused, Said, json_answer, require, words
from support.faultup.dialects.converse_body import Content, Converse, Count, Image, Message, ToolConfig
from support.faultup.dialects.eventstream import frame
from switchgear.testing.upstream.reply import Piece, Reply
from switchgear.testing.upstream.script import Script

STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "content_filtered"}
ERRORS = {
    "invalid_request": (400, "ValidationException", "The request is invalid."),
    "context_length": (400, "ValidationException", "Input is too long for requested model."),
    "content_filter": (400, "ValidationException", "Output blocked by content filtering policy"),
    "not_found": (
        404,
        "ResourceNotFoundException",
        "Could not resolve the foundation model from the model identifier.",
    ),
    "auth": (403, "UnrecognizedClientException", "The security token included in the request is invalid."),
    "permission": (403, "AccessDeniedException", "You don't have access to the model with the specified model ID."),
    "quota": (400, "ServiceQuotaExceededException", "Your request exceeds the service quota for your account."),
    "rate_limit": (429, "ThrottlingException", "Too many requests, please wait before trying again."),
    "overloaded": (503, "ServiceUnavailableException", "The service isn't currently available. Try again later."),
    "server": (500, "InternalServerException", "The server encountered an internal error. Retry the request."),
}


def _one(value: Struct) -> str:
    """Return the one member of a union that is set."""
    given = [name for name in value.__struct_fields__ if getattr(value, name) is not UNSET]
    require(len(given) == 1, f"{type(value).__name__}: exactly one member must be set, not {given}")
    return given[0]


class Bedrock:
    """`POST /model/{modelId}/converse`, `/converse-stream`, `/count-tokens` and `/invoke`."""

    def hear(self, heard: Heard) -> Asked:
        authorise(heard)
        model, method = heard.names
        if method == "invoke":
            return _embedding(model, heard)
        if method == "count-tokens":
            body = common.read(heard.body, Count).input
            require(_one(body) == "converse", "invokeModel is not for this model")
            assert body.converse is not UNSET
            asked = _asked(model, body.converse)
            extra = {"inferenceConfig", "outputConfig"} & _given(body.converse)
            require(not extra, f"{extra} is not a member of ConverseTokensRequest")
            return asked
        converse = common.read(heard.body, Converse)
        asked = _asked(model, converse)
        asked.stream = method == "converse-stream"
        return asked

    def speak(self, said: Said, heard: Heard) -> Reply:
        match heard.names[1]:
            case "count-tokens":
                return json_answer({"inputTokens": said.prompt})
            case "invoke":
                return _vectors(said, heard)
            case "converse-stream":
                failure = Piece(_exception("throttlingException", ERRORS["rate_limit"][2]))
                kind = {"content-type": "application/vnd.amazon.eventstream"}
                return said.stream(_events(said), failure, kind | {"x-amzn-requestid": heard.id})
        content = [_block(block) for block in said.blocks]
        body = {
            "metrics": {"latencyMs": 12},
            "output": {"message": {"content": content, "role": "assistant"}},
            "stopReason": _stop(said),
            "usage": _usage(said),
        }
        return said.whole(body, {"x-amzn-requestid": heard.id})

    def refuse(self, refused: Refused, heard: Heard, script: Script) -> Reply:
        status, kind, text = ERRORS[refused.cause]
        headers = {"x-amzn-requestid": heard.id, "x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/"}
        return json_answer({"message": refused.message or text}, status, headers)


def authorise(heard: Heard) -> None:
    """Check the signature, or that there is an API key."""
    if common.bearer(heard):
        require(common.refused_key(heard) is None, "The security token is invalid.", None, "auth")
        return
    wrong = sigv4.wrong(heard)
    require(wrong is None, wrong or "", None, "auth")


def _given(body: Struct) -> set[str]:
    return {name for name in body.__struct_fields__ if getattr(body, name) is not UNSET}


def _asked(model: str, body: Converse) -> Asked:
    require(body.messages, "messages: a conversation must have a message")
    assert body.messages is not UNSET
    extra = body.additionalModelRequestFields or {}
    thinking = extra.get("thinking") or extra.get("reasoning_config") or extra.get("reasoningConfig") or {}
    effort = extra.get("reasoning_effort") or (body.outputConfig and body.outputConfig.effort)
    asked = Asked(model=model, prompt=len(body.messages))
    asked.thinks = asked.hidden = thinking.get("type") in {"enabled", "adaptive"} or bool(effort)
    _order(body.messages)
    for place, message in enumerate(body.messages):
        for content in message.content:
            _content(content, message.role, asked, last=place == len(body.messages) - 1)
    for system in body.system or ():
        _one(system)
        asked.prompt += words(system.text or "")
    if body.inferenceConfig:
        asked.cap = body.inferenceConfig.maxTokens or None
    if body.toolConfig:
        _tools(body.toolConfig, asked)
    elif any(content.toolUse or content.toolResult for message in body.messages for content in message.content):
        text = "The toolConfig field must be defined when using toolUse and toolResult content blocks."
        raise Refused("invalid_request", text)
    if body.outputConfig and body.outputConfig.textFormat:
        asked.schema = json.loads(body.outputConfig.textFormat.structure.jsonSchema.schema)
    return asked


def _tools(config: ToolConfig, asked: Asked) -> None:
    for tool in config.tools:
        _one(tool)
        if tool.toolSpec:
            asked.tools = {**asked.tools, tool.toolSpec.name: tool.toolSpec.inputSchema.json}
    if config.toolChoice and _one(config.toolChoice) == "tool":
        assert config.toolChoice.tool is not UNSET
        asked.forced = config.toolChoice.tool.name
        require(asked.forced in asked.tools, "The tool in toolChoice is not one of the tools.")


def _order(messages: list[Message]) -> None:
    require(messages[0].role == "user", "A conversation must start with a user message.")
    for place, message in enumerate(messages):
        before = messages[place - 1] if place else None
        text = "A conversation must alternate between user and assistant roles."
        require(before is None or before.role != message.role, text)
        answered = [part.toolResult.toolUseId for part in message.content if part.toolResult]
        called = [part.toolUse.toolUseId for part in before.content if part.toolUse] if before else []
        require(sorted(answered) == sorted(called), f"messages.{place}: toolResult {answered} for toolUse {called}")
    require(messages[-1].role == "user" or not any(part.toolUse for part in messages[-1].content), "Tools unanswered.")


def _content(content: Content, role: str, asked: Asked, *, last: bool) -> None:
    kind = _one(content)
    theirs = kind in {"toolUse", "reasoningContent"}
    require(role == "assistant" or not theirs, f"{kind} is the assistant's")
    require(role == "user" or kind not in {"toolResult", "image", "document"}, f"{kind} is the user's")
    if isinstance(content.text, str):
        require(content.text.strip(), "The text field in the ContentBlock object is blank.")
        asked.prompt += words(content.text)
    if content.image:
        asked.images.append(_sight(content.image))
    if content.toolResult:
        for part in content.toolResult.content:
            _one(part)
            if part.image:
                asked.images.append(_sight(part.image))
        texts = [part.text if isinstance(part.text, str) else json.dumps(part.json) for part in content.toolResult.content
                 if part.text is not UNSET or part.json is not UNSET]  # fmt: skip
        if last:
            asked.results = [*asked.results, " ".join(texts)]
        asked.prompt += words(*texts)
    if content.reasoningContent and _one(content.reasoningContent) == "reasoningText":
        assert content.reasoningContent.reasoningText is not UNSET
        said = content.reasoningContent.reasoningText
        require(said.signature == common.signature(said.text), "Invalid `signature` in `thinking` block")
    elif content.reasoningContent:
        require(common.is_sealed(content.reasoningContent.redactedContent or ""), "Invalid redactedContent")


def _sight(image: Image) -> tuple[str, int]:
    require(_one(image.source) == "bytes", "An image of this model must be bytes.")
    return f"image/{image.format}", len(common.unpacked(str(image.source.bytes)))


def _stop(said: Said) -> str:
    return "content_filtered" if any(block.kind == "refusal" for block in said.blocks) else STOPS[said.finish]


def _usage(said: Said) -> dict[str, Any]:
    cached, written = said.script.cached_tokens, said.script.cache_write_tokens
    return {
        "cacheReadInputTokens": cached,
        "cacheWriteInputTokens": written,
        "inputTokens": said.prompt - cached - written,
        "outputTokens": said.tokens,
        "totalTokens": said.prompt + said.tokens,
    }


def _block(block: Block) -> dict[str, Any]:
    match block.kind:
        case "thinking":
            text = {"text": block.text, "signature": common.signature(block.text)}
            return {"reasoningContent": {"reasoningText": text}}
        case "redacted":
            return {"reasoningContent": {"redactedContent": block.text}}
        case "tool":
            return {
                "toolUse": {"toolUseId": f"tooluse_{block.id}", "name": block.name, "input": json.loads(block.text)}
            }
        case _:
            return {"text": block.text}


def _events(said: Said) -> Iterator[Piece]:
    yield _event("messageStart", role="assistant")
    for index, block in enumerate(said.blocks):
        if block.kind == "tool":
            start = {"toolUse": {"toolUseId": f"tooluse_{block.id}", "name": block.name}}
            yield _event("contentBlockStart", contentBlockIndex=index, start=start)
        for text, tokens in block.pieces:
            match block.kind:
                case "thinking":
                    delta: dict[str, Any] = {"reasoningContent": {"text": text}}
                case "redacted":
                    delta = {"reasoningContent": {"redactedContent": text}}
                case "tool":
                    delta = {"toolUse": {"input": text}}
                case _:
                    delta = {"text": text}
            yield _event("contentBlockDelta", tokens, content=True, contentBlockIndex=index, delta=delta)
        if block.kind == "thinking":
            delta = {"reasoningContent": {"signature": common.signature(block.text)}}
            yield _event("contentBlockDelta", contentBlockIndex=index, delta=delta)
        yield _event("contentBlockStop", contentBlockIndex=index)
    yield _event("messageStop", stopReason=_stop(said))
    yield _event("metadata", metrics={"latencyMs": 12}, usage=_usage(said))


def _event(kind: str, tokens: int = 0, *, content: bool = False, **members: Any) -> Piece:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return Piece(frame(headers, common.encode({**members, "p": "abcdefgh"})), tokens, content)


def _exception(kind: str, message: str) -> bytes:
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, common.encode({"message": message}))


class Titan(Struct, forbid_unknown_fields=True):
    """The body of Titan Text Embeddings V2."""

    inputText: str  # noqa: N815 - the wire's name
    dimensions: Literal[256, 512, 1024] | UnsetType = UNSET
    normalize: bool | UnsetType = UNSET
    embeddingTypes: list[Literal["float", "binary"]] | UnsetType = UNSET  # noqa: N815 - the wire's name


class Cohere(Struct, forbid_unknown_fields=True):
    """The body of Cohere Embed v3 and v4."""

    input_type: Literal["search_document", "search_query", "classification", "clustering", "image"]
    texts: Annotated[list[str], Meta(max_length=96)]
    truncate: Literal["NONE", "START", "END", "LEFT", "RIGHT"] | UnsetType = UNSET
    embedding_types: list[Literal["float", "int8", "uint8", "binary", "ubinary"]] | UnsetType = UNSET
    output_dimension: Literal[256, 512, 1024, 1536] | UnsetType = UNSET
    max_tokens: int | UnsetType = UNSET


def _embedding(model: str, heard: Heard) -> Asked:
    if "cohere" in model:
        texts = common.read(heard.body, Cohere).texts
    else:
        require("titan-embed" in model, "This upstream invokes embedding models only; use Converse.")
        texts = [common.read(heard.body, Titan).inputText]
    require(all(texts), "Malformed input request: expected minLength: 1")
    return Asked(model=model, prompt=words(*texts))


def _vectors(said: Said, heard: Heard) -> Reply:
    headers = {"x-amzn-bedrock-input-token-count": str(said.prompt), "x-amzn-requestid": heard.id}
    if "cohere" in said.asked.model:
        cohere = common.read(heard.body, Cohere)
        vectors = common.numbers(cohere.texts, heard.seed, cohere.output_dimension or 8)
        typed = cohere.embedding_types is not UNSET
        shape: Any = {"float": vectors} if typed else vectors
        kind = "embeddings_by_type" if typed else "embeddings_floats"
        reply = json_answer(
            {"embeddings": shape, "id": heard.id, "response_type": kind, "texts": cohere.texts}, 200, headers
        )
    else:
        titan = common.read(heard.body, Titan)
        [vector] = common.numbers([titan.inputText], heard.seed, titan.dimensions or 8)
        body = {"embedding": vector, "embeddingsByType": {"float": vector}, "inputTextTokenCount": said.prompt}
        reply = json_answer(body, 200, headers)
    reply.prompt_tokens = said.prompt
    return reply


def models(heard: Heard) -> Reply:
    """Answer `GET /foundation-models`."""
    wrong = None if common.bearer(heard) else sigv4.wrong(heard)
    if wrong is not None:
        return Bedrock().refuse(Refused("auth", wrong), heard, Script())
    names = ("anthropic.claude-sonnet-4-5-20250929-v1:0", "amazon.titan-embed-text-v2:0")
    cards = [
        {
            "modelId": name,
            "modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{name}",
            "modelName": name,
            "providerName": name.partition(".")[0],
            "inferenceTypesSupported": ["ON_DEMAND"],
            "inputModalities": ["TEXT"],
            "outputModalities": ["EMBEDDING" if "embed" in name else "TEXT"],
            "modelLifecycle": {"status": "ACTIVE"},
        }
        for name in names
    ]
    return json_answer({"modelSummaries": cards})


def profiles(heard: Heard) -> Reply:
    """Answer `GET /inference-profiles` (API_ListInferenceProfiles): in pages."""
    wrong = None if common.bearer(heard) else sigv4.wrong(heard)
    if wrong is not None:
        return Bedrock().refuse(Refused("auth", wrong), heard, Script())
    cards = [
        {
            "inferenceProfileId": f"{where}.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "inferenceProfileName": f"{where.upper()} Claude Sonnet 4.5",
            "inferenceProfileArn": f"arn:aws:bedrock:us-east-1:1:inference-profile/{where}.anthropic.claude-sonnet-4-5",
            "status": "ACTIVE",
            "type": "SYSTEM_DEFINED",
        }
        for where in ("us", "eu", "global")
    ]
    found, more = common.page(cards, heard, heard.query.get("nextToken"))
    return json_answer({"inferenceProfileSummaries": found, **({"nextToken": more} if more else {})})
