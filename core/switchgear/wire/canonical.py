"""The canonical chat request, read in full, for providers that speak another wire format.

Wire: platform.openai.com/docs/api-reference/chat/create. Four members beyond it are the field's custom, and what other
formats need to survive the way through this one:

    reasoning_content      of an assistant message: what the model thought, as text
    reasoning_details      beside it: what must come back unchanged for the model to go on, as signatures; see `ReasoningDetail`
    is_error               of a tool message: what the tool said is that it failed
    cache_control          of a content part or a tool: a prompt-cache marker (`{"type": "ephemeral"}`, perhaps with `ttl`)
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from switchgear.contracts.provider import Call, TargetModel
from switchgear.errors import InvalidRequest
from switchgear.rawjson import what_and_where
from switchgear.wire.calls import readable_message, whole_calls
from switchgear.wire.members import holds_items, member, raw

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool", "function"]


class CacheControl(Struct, omit_defaults=True):
    """A prompt-cache marker: everything up to here may be cached by the provider, for `ttl` (`5m`, `1h`) if given."""

    type: str = field(default_factory=lambda: "ephemeral")  # written even where it is the default: it is required
    ttl: str | None = None


class ImageURL(Struct, omit_defaults=True):
    """Where an image is: a web address or a data URL. `detail` is `low`, `high` or `auto`."""

    url: str
    detail: str | None = None


class InputAudio(Struct):
    """Base64 audio and its format (`wav`, `mp3`)."""

    data: str
    format: str


class File(Struct, omit_defaults=True):
    """A document: `file_data` is a data URL, `file_id` one that was uploaded to the provider."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class TextPart(Struct, tag_field="type", tag="text", omit_defaults=True):
    """Text."""

    text: str
    cache_control: CacheControl | None = None


class RefusalPart(Struct, tag_field="type", tag="refusal"):
    """What an assistant said instead of an answer."""

    refusal: str


class ImagePart(Struct, tag_field="type", tag="image_url", omit_defaults=True):
    """An image."""

    image_url: ImageURL
    cache_control: CacheControl | None = None


class AudioPart(Struct, tag_field="type", tag="input_audio"):
    """A recording."""

    input_audio: InputAudio


class FilePart(Struct, tag_field="type", tag="file", omit_defaults=True):
    """A document."""

    file: File
    cache_control: CacheControl | None = None


class ThinkingPart(Struct, tag_field="type", tag="thinking"):
    """What an assistant thought, as models write it whose answers are parts: a text, or parts with a `text`."""

    thinking: Raw


Part: TypeAlias = TextPart | RefusalPart | ImagePart | AudioPart | FilePart | ThinkingPart


class FunctionCall(Struct):
    """A function the model wants called; `arguments` is JSON text, as the model wrote it."""

    name: str
    arguments: str = ""


class ToolCall(Struct):
    """One call of a tool. `id` pairs it with the tool message that answers it."""

    id: Annotated[str, Meta(min_length=1)]
    function: FunctionCall
    type: str = "function"


class ReasoningDetail(Struct, omit_defaults=True):
    """A piece of reasoning that must come back as it was, in the shape that OpenRouter's API made common.

    type    `reasoning.text` (with `text`, and its `signature`), `reasoning.summary` (with `summary`) or `reasoning.encrypted`
            (with `data`)
    id      what it belongs to, where the provider ties it to something (a tool call, a reasoning item)
    format  whose it is, where a provider must tell its own from others'
    """

    type: str
    text: str | None = None
    summary: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    format: str | None = None
    index: int | None = None


class Message(Struct, omit_defaults=True):
    """One message. Which members mean something depends on the role."""

    role: Role
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    cache_control: CacheControl | None = None
    is_error: bool | None = None

    def parts(self) -> list[Part]:
        """Return the content as parts; a plain text is one."""
        if self.content is None:
            return []
        if isinstance(self.content, str):
            return [TextPart(self.content, self.cache_control)] if self.content else []
        return self.content

    def text(self) -> str:
        """Return what the text parts say, joined."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content or () if isinstance(part, TextPart))


class Function(Struct, omit_defaults=True):
    """A function the model may call; `parameters` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Struct, omit_defaults=True):
    """A tool. Only functions are canonical."""

    type: str
    function: Function | None = None
    cache_control: CacheControl | None = None


class NamedFunction(Struct):
    """The name of a function."""

    name: str


class AllowedTools(Struct):
    """Those of the tools that may be called (`mode` `auto`), or one of which must be (`required`)."""

    tools: list["NamedTool"]
    mode: Literal["auto", "required"] = "auto"


class NamedTool(Struct):
    """The tool that must be called, or those that may."""

    type: str
    function: NamedFunction | None = None
    allowed_tools: AllowedTools | None = None


class JSONSchema(Struct, omit_defaults=True):
    """The schema an answer is held to."""

    name: str = "answer"
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Struct, omit_defaults=True):
    """`text`, `json_object` or `json_schema`."""

    type: str
    json_schema: JSONSchema | None = None


class ChatRequest(Struct):
    """A canonical request with its model's defaults laid under it. What the client left out is None."""

    messages: list[Message]
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    n: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None
    web_search_options: dict[str, Any] | None = None
    thinking: Raw | UnsetType = UNSET

    @property
    def limit(self) -> int | None:
        """The bound on the answer, whichever of its two names the client used."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    @property
    def stops(self) -> list[str]:
        """The stop sequences."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    def functions(self) -> list[tuple[Function, CacheControl | None]]:
        """Return the function tools. Raises `InvalidRequest` for a tool of another type."""
        found = []
        for place, tool in enumerate(self.tools or ()):
            if tool.function is None:
                where = f"tools[{place}]"
                message = f"`{where}` is of type `{tool.type[:40]}`; this model's provider takes function tools."
                raise InvalidRequest(message, param=where, code="unsupported_tool")
            found.append((tool.function, tool.cache_control))
        return found


_decoder = msgspec.json.Decoder(ChatRequest)
_encoder = msgspec.json.Encoder()
_ALWAYS_CARRIED = frozenset({"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens"})


def read_chat(call: Call, model: TargetModel) -> ChatRequest:
    """Decode a canonical call and the defaults of its model. Raises `InvalidRequest` naming the member."""
    _refuse_falsified(call)
    defaults = model.defaults
    if "max_completion_tokens" in call.members and "max_tokens" in defaults:
        defaults = {name: value for name, value in defaults.items() if name != "max_tokens"}
    try:
        try:
            chat = _decoder.decode(_encoder.encode({**defaults, **call.members}))
        except msgspec.ValidationError:
            chat = None
        if chat is None or any(it.role == "tool" and not it.tool_call_id for it in chat.messages):
            chat = _decoder.decode(_encoder.encode({**defaults, **_readable(call)}))
    except RecursionError:
        raise InvalidRequest("The request is nested too deeply.", code="invalid_json") from None
    except msgspec.DecodeError as error:
        detail, where = what_and_where(error)
        param = where.lstrip(".") or None
        named = f"`{param}` is invalid: " if param else "The request is invalid: "
        raise InvalidRequest(f"{named}{detail}.", param=param, code="invalid_value") from None
    return chat


def _readable(call: Call) -> dict[str, Raw]:
    """Return the members with a history that is written in nearly the right way."""
    messages = member(call.members, "messages", list[dict[str, Raw]]) or []
    return {**call.members, "messages": raw([readable_message(message) for message in whole_calls(messages)])}


def _refuse_falsified(call: Call) -> None:
    """Refuse what no provider of another wire can carry and without which the answer would be another one."""
    if holds_items(call.members, "functions"):
        message = "`functions` is the old form of `tools`, which this model's provider does not take: send `tools`."
        raise InvalidRequest(message, param="functions", code="unsupported_parameter")
    if "modalities" in call.members and "audio" in (call.member("modalities", list[str]) or ()):
        message = "`modalities` cannot hold `audio`: this model's provider answers in text."
        raise InvalidRequest(message, param="modalities", code="unsupported_parameter")


JSON_ONLY = "Answer with one JSON object and nothing else: no text before or behind it, no code fence."
"""What a model is told whose provider cannot hold it to JSON of any shape."""


def wants_json(chat: ChatRequest) -> bool:
    """Say whether the answer is to be JSON of any shape."""
    return chat.response_format is not None and chat.response_format.type == "json_object"


def drop_others(call: Call, carried: Iterable[str]) -> None:
    """Drop what the client sent beyond `carried`; nulls and what every provider carries are not counted.

    `carried` names the members a translator has read, whether or not it could carry all of what they say.
    """
    known = _ALWAYS_CARRIED.union(carried)
    call.drop(*(name for name, value in call.members.items() if name not in known and value != _NULL))


_NULL = Raw(b"null")


def data_url(url: str) -> tuple[str, bytes] | None:
    """Split a data URL (RFC 2397) into its media type and base64 text; None for another URL. Raises `InvalidRequest`."""
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url[5:].partition(",")
    media, *options = head.split(";")
    if not comma:
        raise _bad_image()
    if options and options[-1].strip().lower() == "base64":
        encoded = data.encode("ascii", "replace")
    else:
        encoded = base64.b64encode(unquote_to_bytes(data))
    try:
        base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise _bad_image() from None
    return media.strip().lower() or "text/plain", encoded


def _bad_image() -> InvalidRequest:
    return InvalidRequest(
        "A data URL in `messages` is not `data:<type>;base64,<data>`.", param="messages", code="invalid_url"
    )
