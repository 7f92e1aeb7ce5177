"""OpenAI's chat completions, legacy completions and embeddings, held to OpenAI's own strictness; Azure OpenAI's addresses.

The answer itself is made by `switchgear.testing.upstream.reply`; this reads requests and shapes errors.
Wire: platform.openai.com/docs/api-reference (chat, completions, embeddings), /docs/guides/error-codes;
learn.microsoft.com/azure/ai-services/openai/reference and /concepts/content-filter.
"""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from support.faultup.dialects import common
from support.faultup.dialects.common import Asked, Heard, Refused, Said, json_answer, require, words
from switchgear.testing.upstream import answer
from switchgear.testing.upstream.answer import Ask
from switchgear.testing.upstream.reply import Piece, Reply, compose
from switchgear.testing.upstream.script import Cause, Script


class Part(Struct, forbid_unknown_fields=True, tag_field="type", kw_only=True):
    """A content part."""

    prompt_cache_breakpoint: dict[str, Any] | UnsetType = UNSET


class TextPart(Part, tag="text"):
    text: str


class RefusalPart(Part, tag="refusal"):
    refusal: str


class ImageURL(Struct, forbid_unknown_fields=True):
    url: str
    detail: Literal["auto", "low", "high", "original"] | UnsetType = UNSET


class ImagePart(Part, tag="image_url"):
    image_url: ImageURL


class AudioPart(Part, tag="input_audio"):
    input_audio: dict[str, str]


class FilePart(Part, tag="file"):
    file: dict[str, str]


AnyPart: TypeAlias = TextPart | RefusalPart | ImagePart | AudioPart | FilePart


class FunctionCall(Struct, forbid_unknown_fields=True):
    name: str
    arguments: str


class ToolCall(Struct, forbid_unknown_fields=True):
    id: Annotated[str, Meta(min_length=1, max_length=64)]
    type: Literal["function"]
    function: FunctionCall


class Message(Struct, forbid_unknown_fields=True, kw_only=True, tag_field="role"):
    """One message."""

    name: str | UnsetType = UNSET


class System(Message, tag="system"):
    content: str | list[TextPart]


class Developer(Message, tag="developer"):
    content: str | list[TextPart]


class User(Message, tag="user"):
    content: str | list[TextPart | ImagePart | AudioPart | FilePart]


class Assistant(Message, tag="assistant"):
    content: str | list[TextPart | RefusalPart] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | UnsetType = UNSET
    audio: dict[str, str] | None = None
    annotations: list[Any] | UnsetType = UNSET  # answers have it, and clients send answers back as they came


class ToolMessage(Message, tag="tool"):
    tool_call_id: str
    content: str | list[TextPart]


class Function(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]
    description: str | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET
    strict: bool | None = None


class Tool(Struct, forbid_unknown_fields=True):
    type: Literal["function"]
    function: Function


class Named(Struct, forbid_unknown_fields=True):
    name: str


class OneTool(Struct, forbid_unknown_fields=True):
    type: Literal["function"]
    function: Named


class JSONSchema(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]
    schema: dict[str, Any] | UnsetType = UNSET
    description: str | UnsetType = UNSET
    strict: bool | None = None


class ResponseFormat(Struct, forbid_unknown_fields=True):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JSONSchema | UnsetType = UNSET


class StreamOptions(Struct, forbid_unknown_fields=True):
    include_usage: bool | UnsetType = UNSET
    include_obfuscation: bool | UnsetType = UNSET


class Common(Struct, forbid_unknown_fields=True, kw_only=True):
    """What chat and legacy completions share."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    logit_bias: dict[str, int] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    seed: int | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    user: str | UnsetType = UNSET


class Chat(Common, forbid_unknown_fields=True, kw_only=True):
    """The body of a chat completion."""

    messages: Annotated[list[System | Developer | User | Assistant | ToolMessage], Meta(min_length=1)]
    audio: dict[str, Any] | None = None
    logprobs: bool | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    metadata: Annotated[dict[str, str], Meta(max_length=16)] | None = None
    modalities: list[str] | None = None
    parallel_tool_calls: bool | UnsetType = UNSET
    prediction: dict[str, Any] | None = None
    prompt_cache_key: str | UnsetType = UNSET
    prompt_cache_retention: str | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    response_format: ResponseFormat | UnsetType = UNSET
    safety_identifier: str | UnsetType = UNSET
    service_tier: Literal["auto", "default", "flex", "scale", "priority"] | None = None
    store: bool | None = None
    tool_choice: Literal["none", "auto", "required"] | OneTool | UnsetType = UNSET
    tools: list[Tool] | UnsetType = UNSET
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    web_search_options: dict[str, Any] | UnsetType = UNSET


class Completion(Common, forbid_unknown_fields=True, kw_only=True):
    """The body of a legacy completion."""

    prompt: str | list[str | int | list[int]] | None
    best_of: int | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    suffix: str | None = None


class Embedding(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of an embedding."""

    model: str
    input: str | Annotated[list[str | int | list[int]], Meta(min_length=1, max_length=2048)]
    dimensions: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    encoding_format: Literal["float", "base64"] | UnsetType = UNSET
    user: str | UnsetType = UNSET


ERRORS: dict[Cause, tuple[int, str, str | None, str | None, str]] = {
    "invalid_request": (400, "invalid_request_error", None, None, "Invalid request."),
    "context_length": (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "messages",
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
    ),
    "content_filter": (
        400,
        "invalid_request_error",
        "content_policy_violation",
        None,
        "Your request was rejected as a result of our safety system.",
    ),
    "not_found": (
        404,
        "invalid_request_error",
        "model_not_found",
        None,
        "The model does not exist or you do not have access to it.",
    ),
    "auth": (401, "invalid_request_error", "invalid_api_key", None, "Incorrect API key provided: sk-fault****."),
    "permission": (403, "invalid_request_error", "unsupported_country", None, "Country, region not supported."),
    "quota": (429, "insufficient_quota", "insufficient_quota", None, "You exceeded your current quota."),
    "rate_limit": (429, "requests", "rate_limit_exceeded", None, "Rate limit reached for requests."),
    "overloaded": (503, "server_error", None, None, "The engine is currently overloaded, please try again later."),
    "server": (500, "server_error", None, None, "The server had an error while processing your request."),
}


def check_key(heard: Heard) -> None:
    """Check the key. The vendor's words have a part of it; these have all of it."""
    bad = common.refused_key(heard)
    require(bad is None, f"Incorrect API key provided: {bad}. You can find your API key in your account.", None, "auth")


class OpenAI:
    """`POST /v1/chat/completions`, `/v1/completions` and `/v1/embeddings`. What a model thinks is billed, not shown."""

    hides = True

    def hear(self, heard: Heard) -> Asked:
        self.authorise(heard)
        if heard.path.endswith("/embeddings"):
            embedding = common.read(heard.body, Embedding)
            return Asked(model=embedding.model)
        if heard.path.endswith("/chat/completions"):
            chat = common.read(heard.body, Chat)
            _order(chat)
            return _asked(chat)
        text = common.read(heard.body, Completion)
        _streams(text)
        return Asked(model=text.model, thinks=False)

    def authorise(self, heard: Heard) -> None:
        require(common.bearer(heard), "You didn't provide an API key.", None, "auth")
        check_key(heard)

    def speak(self, said: Said, heard: Heard) -> Reply:
        """Let `compose` answer, told what the words are."""
        ask = msgspec.json.decode(heard.body, type=Ask)
        script = said.script
        chat = heard.path.endswith("/chat/completions")
        if chat and script.reasoning and self.hides:
            told = answer.usage(script, said.prompt, said.tokens, said.reasoning)
            script = msgspec.structs.replace(script, reasoning="", usage=told)
        reply = compose(script, ask, heard.path, request_id=heard.id, seed=heard.seed, body=heard.body)
        if script is not said.script:
            reply.completion_tokens += said.reasoning
            reply.pieces = [Piece(b"", said.reasoning), *reply.pieces] if reply.streamed else reply.pieces
        return reply

    def refuse(self, refused: Refused, heard: Heard, script: Script) -> Reply:
        status, kind, code, param, text = ERRORS[refused.cause]
        error = {"message": refused.message or text, "type": kind, "param": refused.param or param, "code": code}
        return json_answer({"error": {**error, **(script.error or {})}}, status)


class Lenient(OpenAI):
    """The same as a compatible server has it: members nobody knows are ignored, and reasoning is shown."""

    hides = False

    def hear(self, heard: Heard) -> Asked:
        check_key(heard)
        if not heard.path.endswith("/chat/completions"):
            return Asked(model=str(common.read(heard.body, dict[str, Any]).get("model", "")), thinks=True)
        members = common.read(heard.body, dict[str, Any])
        roles = {"system": System, "developer": Developer, "user": User, "assistant": Assistant, "tool": ToolMessage}
        messages = [
            {
                name: value
                for name, value in message.items()
                if name in ("role", *roles[message["role"]].__struct_fields__)
            }
            for message in members.get("messages", ())
        ]
        known = {name: value for name, value in members.items() if name in Chat.__struct_fields__}
        return _asked(common.read(common.encode({**known, "messages": messages}), Chat))


_FILTERED = {
    name: {"filtered": name == "violence", "severity": "medium" if name == "violence" else "safe"}
    for name in ("hate", "self_harm", "sexual", "violence")
}
_SAFE = {name: {"filtered": False, "severity": "safe"} for name in _FILTERED}


class Azure(OpenAI):
    """The same under `/openai/deployments/{deployment}/…?api-version=` and `/openai/v1/…`."""

    def authorise(self, heard: Heard) -> None:
        token = common.bearer(heard)
        check_key(heard)
        good = heard.headers.get("api-key") or heard.desk.knows(token)
        require(good, "Access denied due to invalid subscription key or wrong API endpoint.", None, "auth")
        if heard.path.startswith("/openai/deployments/"):
            require("api-version" in heard.query, "Resource not found", None, "not_found")

    def hear(self, heard: Heard) -> Asked:
        if not heard.names:
            return super().hear(heard)
        self.authorise(heard)
        members = common.read(heard.body, dict[str, Any])
        asked = super().hear(msgspec.structs.replace(heard, body=common.encode({"model": heard.names[0], **members})))
        asked.model = heard.names[0]
        return asked

    def speak(self, said: Said, heard: Heard) -> Reply:
        reply = super().speak(said, heard)
        if said.asked.stream and reply.status < 300:
            filters = [{"prompt_index": 0, "content_filter_results": _SAFE}]
            head = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": filters}
            reply.pieces = [common.sse(head), *reply.pieces]
        return reply

    def refuse(self, refused: Refused, heard: Heard, script: Script) -> Reply:
        if refused.cause == "content_filter":
            inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": _FILTERED}
            text = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."
            error = {"message": text, "type": None, "param": "prompt", "code": "content_filter", "status": 400}
            return json_answer({"error": {**error, "innererror": inner}}, 400)
        if refused.cause == "auth":
            return json_answer({"error": {"code": "401", "message": refused.message or "Access denied."}}, 401)
        if refused.cause == "not_found":
            text = "The API deployment for this resource does not exist."
            return json_answer({"error": {"code": "DeploymentNotFound", "message": refused.message or text}}, 404)
        if refused.cause in {"rate_limit", "quota"}:
            text = "Requests have exceeded the token rate limit of your current pricing tier. Please retry after 7 seconds."
            return json_answer({"error": {"code": "429", "message": text}}, 429)
        return super().refuse(refused, heard, script)


def _streams(body: Common) -> None:
    require(body.stream or body.stream_options is None, "The 'stream_options' parameter is only allowed when 'stream' is "
            "enabled.", "stream_options")  # fmt: skip


def _order(chat: Chat) -> None:
    """Check that every tool call is answered, right after it, and nothing else is."""
    open_calls: set[str] = set()
    for place, message in enumerate(chat.messages):
        where = f"messages.[{place}].role"
        if isinstance(message, ToolMessage):
            text = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
            require(message.tool_call_id in open_calls, f"Invalid parameter: {text}", where)
            open_calls.discard(message.tool_call_id)
            continue
        text = "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'."
        require(not open_calls, f"{text} Unanswered: {sorted(open_calls)}", where)
        if isinstance(message, Assistant):
            open_calls = {call.id for call in message.tool_calls or ()}
            said = message.content or message.refusal or message.tool_calls
            require(said or message.content == "", f"messages[{place}]: content is required", where)
    require(not open_calls, f"Tool calls are not answered: {sorted(open_calls)}", "messages")
    _streams(chat)
    require(chat.top_logprobs is None or chat.logprobs, "top_logprobs needs logprobs", "top_logprobs")
    require(chat.tool_choice is UNSET or chat.tools, "'tool_choice' is only allowed when 'tools' are specified.")
    require(chat.parallel_tool_calls is UNSET or chat.tools, "'parallel_tool_calls' is only allowed with 'tools'.")
    if chat.max_tokens is not None:
        require(chat.max_completion_tokens is None, "Set one of max_tokens and max_completion_tokens.", "max_tokens")


def _asked(chat: Chat) -> Asked:
    asked = Asked(model=chat.model, stream=bool(chat.stream), prompt=len(chat.messages), thinks=True)
    asked.cap = chat.max_completion_tokens or chat.max_tokens
    for message in chat.messages:
        parts: list[Any] = message.content if isinstance(message.content, list) else []
        texts = [message.content] if isinstance(message.content, str) else []
        texts += [part.text for part in parts if isinstance(part, TextPart)]
        asked.images.extend(sight(part.image_url.url) for part in parts if isinstance(part, ImagePart))
        asked.prompt += words(*texts)
        asked.results = [*asked.results, " ".join(texts)] if isinstance(message, ToolMessage) else []
    if chat.tool_choice != "none":
        asked.tools = {tool.function.name: tool.function.parameters or {} for tool in chat.tools or ()}
    if isinstance(chat.tool_choice, OneTool):
        asked.forced = chat.tool_choice.function.name
        require(asked.forced in asked.tools, "Tool choice 'function' not found in 'tools' parameter.", "tool_choice")
    if chat.response_format and chat.response_format.type == "json_schema":
        require(chat.response_format.json_schema, "Missing required parameter", "response_format.json_schema")
        assert chat.response_format.json_schema is not UNSET
        asked.schema = chat.response_format.json_schema.schema or {}
    return asked


def sight(url: str) -> tuple[str, int]:
    """Read an image URL: the media type and size of a data URL, or the address and 0."""
    if not url.startswith("data:"):
        require(url.startswith(("https://", "http://")), "Invalid image URL", "messages")
        return url, 0
    head, comma, data = url[5:].partition(",")
    require(comma and head.endswith(";base64"), "Invalid image data URL", "messages")
    return head.removesuffix(";base64"), len(common.unpacked(data))


def models(heard: Heard) -> Reply:
    """Answer Azure's `GET /openai/models`."""
    try:
        Azure().authorise(heard)
    except Refused as refused:
        return Azure().refuse(refused, heard, Script())
    cards = [{"id": name, "object": "model", "created_at": 1_700_000_000} for name in ("gpt-4o", "gpt-4o-mini")]
    return json_answer({"object": "list", "data": cards})
