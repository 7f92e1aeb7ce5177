"""The canonical chat form, which is that of OpenAI's chat completions (platform.openai.com/docs/api-reference/chat).

Only the members the gateway must understand are decoded; the rest goes by as it came. Providers that speak this form share
what is here; those that do not translate to it.
"""

import json
import math
import re
from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Answer, Call, Head, ProviderFault, StreamEvent
from switchgear.errors import ConnectionBroken
from switchgear.wire.canonical import ReasoningDetail
from switchgear.wire.halves import clean
from switchgear.wire.members import BROKEN, decode_text
from switchgear.wire.mend import USUAL_FINISHES, finish_word, mend_completion
from switchgear.wire.usage import UsageForm, read_usage, usage_of

_NULL = Raw(b"null")
NO_ERROR = (_NULL, Raw(b"{}"), Raw(b'""'), Raw(b"false"))


class _Function(Struct):
    name: str
    arguments: str


class _Custom(Struct):
    name: str
    input: str


class _ToolCall(Struct):
    id: str
    type: str = ""
    function: _Function | None = None
    custom: _Custom | None = None
    extra_content: Raw = _NULL


class _Message(Struct):
    """A message that is as the form has it."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: Raw = _NULL


class _Said(Struct):
    message: _Message
    index: int = 0
    finish_reason: str | None = None
    usage: Raw = _NULL


class _Completion(Struct):
    choices: list[_Said]
    id: str = ""
    created: int = 0
    model: str = ""
    usage: Raw = _NULL
    error: Raw = _NULL


class _Usual(_Completion):
    """A completion whose usage is as the form has it."""

    usage: UsageForm | None = None  # type: ignore[assignment]  # read at once rather than kept


class _Error(Struct):
    """What failed. Servers put many things into these members; only text and numbers are taken."""

    message: Any = None
    type: Any = None
    code: Any = None
    param: Any = None


class _ErrorBody(_Error):
    """An error, or what some servers answer instead of one: the same members at the top, or `detail`, as text or a list."""

    error: _Error | str | None = None
    detail: Any = None


_usual_decoder = msgspec.json.Decoder(_Usual)
_completion_decoder = msgspec.json.Decoder(_Completion)
_error_decoder = msgspec.json.Decoder(_ErrorBody)


def decode_answer(body: bytes, head: Head, call: Call | None = None) -> Answer:
    """Read a whole chat completion, mended where it is nearly right. Raises `ProviderFault` (`protocol`) for anything else."""
    found = _read(body)
    if found is None or (call is not None and _is_odd(found, call)):
        body = _mended(body, head, call)
        try:
            found = _completion_decoder.decode(body)
        except BROKEN:
            raise decode_fault(head.status, body, head) from None
    if found.error not in NO_ERROR or not found.choices:
        raise decode_fault(head.status, body, head)
    first = found.choices[0]
    if isinstance(found, _Usual):
        usage = read_usage(first.usage) if found.usage is None else usage_of(found.usage)
    else:
        usage = read_usage(first.usage if found.usage == _NULL else found.usage)
    return Answer(body, usage, found.model or None, first.finish_reason)


def _read(body: bytes) -> _Completion | None:
    """Decode a completion, one whose usage is odd too; None for what cannot be read as it is."""
    try:
        return decode_text(_usual_decoder, body)
    except BROKEN:
        pass
    try:
        return decode_text(_completion_decoder, body)
    except BROKEN:
        return None


def _is_odd(found: _Completion, call: Call) -> bool:
    """Say whether an answer that can be read is still not what its client understands."""
    foreign = call.origin != call.wire
    for choice in found.choices:
        said = choice.message
        reason = choice.finish_reason
        if reason not in USUAL_FINISHES:
            return True
        if said.tool_calls and reason != finish_word(reason, called=True, chosen=chose_function(call)):
            return True
        if said.tool_calls and len({tool.id for tool in said.tool_calls}) < len(said.tool_calls):
            return True
        if said.function_call != _NULL and foreign:
            return True
        for tool in said.tool_calls or ():
            called = tool.function or tool.custom
            if called is None or not tool.id or tool.type not in _CALL_TYPES or called.name in call.aliases:
                return True
            if foreign and tool.extra_content != _NULL:
                return True
    return False


_CALL_TYPES = frozenset({"function", "custom"})


def _mended(body: bytes, head: Head, call: Call | None) -> bytes:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise decode_fault(head.status, body, head) from None
    if not isinstance(found, dict) or not found.get("choices") or found.get("error"):
        raise decode_fault(head.status, body, head)
    names = {} if call is None else call.aliases
    foreign = call is not None and call.origin != call.wire
    chosen = call is not None and chose_function(call)
    return msgspec.json.encode(clean(mend_completion(found, names, foreign=foreign, chosen=chosen)))


def chose_function(call: Call) -> bool:
    """Say whether a client of this form named the one function that the answer has to call."""
    if "tool_choice" not in call.members or call.origin != call.wire:
        return False
    choice = call.member("tool_choice", object)
    return isinstance(choice, dict) and choice.get("type") == "function"


def begins_json(body: bytes) -> bool:
    """Say whether a body begins as an object or a list does, and no stream."""
    return body.lstrip(_BLANK)[:1] in (b"{", b"[")


_BLANK = b"\xef\xbb\xbf \t\r\n"


class Misdelivered:
    """A JSON body where a stream was asked for: an error, mostly; a whole answer of a server that does not stream.

    What a body is shows in how it begins: content types are missing, or wrong, at some servers.
    """

    __slots__ = ("_found", "_is_json")

    def __init__(self, head: Head) -> None:
        media = head.header("content-type")
        self._is_json = media is not None and media.partition(";")[0].strip().lower() == "application/json"
        self._found = bytearray()

    def is_stream(self, data: bytes) -> bool:
        """Say whether the body is a stream after all, going by this piece of it if nothing came before."""
        if self._found.strip(_BLANK) or not data.strip(_BLANK):
            return False
        return data.lstrip(_BLANK).startswith(_STREAMS) if self._is_json else not begins_json(data)

    def feed(self, data: bytes) -> bool:
        """Take a piece, and say whether it may have been the last; of a very long body only the beginning is kept."""
        if len(self._found) < _MOST_MISDELIVERED:
            self._found += data
        return data.rstrip().endswith((b"}", b"]"))

    def found(self) -> bytes:
        """Return the body."""
        return bytes(self._found)


_STREAMS = (b"data:", b"event:", b"id:", b"retry:", b":")
_MOST_MISDELIVERED = 4 * 1024 * 1024


def failed(fault: ProviderFault) -> StreamEvent:
    """Make the event that ends a stream in which the provider failed."""
    return StreamEvent(b"", last=True, fault=fault)


def cut(head: Head, request_id_header: str = "x-request-id", media_type: str = "event-stream") -> Exception:
    """Make the error for a stream that ended before its end was marked, or that was none, going by its content type."""
    media = head.header("content-type")
    if media is not None and media_type not in media:
        return ProviderFault("protocol", head.status, request_id=head.header(request_id_header))
    return ConnectionBroken("the provider's stream ended before its end was marked")


def without_null_usage(payload: bytes) -> bytes:
    """Take out what the provider put into each chunk because the gateway, not the client, asked for usage.

    These bytes cannot occur inside a JSON string, where the quotes would be escaped.
    """
    return payload.replace(b',"usage":null', b"")


def is_failure(payload: bytes) -> bool:
    """Say whether an object in an answer tells of a failure in a shape of some server's own."""
    try:
        whole = _error_decoder.decode(payload)
    except BROKEN:
        return False
    return bool(whole.error) or _unwrapped(whole) is not None


def decode_fault(status: int, body: bytes, head: Head) -> ProviderFault:
    """Classify a failure in OpenAI's error shape, `{"error": {"message", "type", "code", "param"}}`, or one of its kin.

    Source: platform.openai.com/docs/guides/error-codes.
    """
    try:
        whole = _error_decoder.decode(body)
    except BROKEN:
        whole = _ErrorBody()
    if isinstance(whole.error, str):
        found: _Error | None = _Error(message=whole.error)
    else:
        found = whole.error or _unwrapped(whole)
    error = found or _Error()
    message = _text(error.message) or ""
    code, type = _text(error.code), _text(error.type)
    is_prompt = code == "string_above_max_length" and _PROMPT.fullmatch(_text(error.param) or "") is not None
    known = "context_length_exceeded" if is_prompt else code
    return ProviderFault(
        cause_of(status, known, type, message, has_error=found is not None),
        status,
        message=message,
        code=code,
        param=_text(error.param),
        retry_after=retry_after(head),
        request_id=head.header("x-request-id"),
        final=is_final(head),
        extra=_others(body),
    )


def _others(body: bytes) -> dict[str, Any] | None:
    """Return the members of an error beyond those that every error has; None where there are none, or too much of them."""
    try:
        found = msgspec.json.decode(body).get("error")
        others = {name: value for name, value in found.items() if name not in _KNOWN}
    except (*BROKEN, AttributeError):
        return None
    return others if others and len(msgspec.json.encode(others)) <= _MOST_EXTRA else None


_KNOWN = frozenset({"message", "type", "code", "param"})
_MOST_EXTRA = 8192
"""Bytes of further members of an error that are passed on."""


def _unwrapped(whole: _ErrorBody) -> _Error | None:
    detail = whole.detail
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        place = detail[0].get("loc")
        named = ".".join(str(step) for step in place if step != "body") if isinstance(place, list) else None
        return _Error(message=detail[0].get("msg"), code=detail[0].get("type"), param=named)
    if isinstance(detail, str):
        return _Error(message=detail)
    return whole if isinstance(whole.message, str) else None


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


_BY_STATUS = {
    400: "invalid_request",
    401: "auth",
    402: "quota",
    403: "permission",
    404: "not_found",
    408: "timeout",
    409: "server",
    413: "invalid_request",
    422: "invalid_request",
    424: "server",
    429: "rate_limit",
    498: "overloaded",
    499: "server",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
_BY_CODE = {
    "context_length_exceeded": "context_length",
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "insufficient_quota": "quota",
    "billing_hard_limit_reached": "quota",
}
_IN_BAND = {
    "authentication_error": "auth",
    "invalid_api_key": "auth",
    "invalid_prompt": "invalid_request",
    "invalid_request_error": "invalid_request",
    "overloaded": "overloaded",
    "overloaded_error": "overloaded",
    "permission_error": "permission",
    "rate_limit_error": "rate_limit",
    "rate_limit_exceeded": "rate_limit",
}
"""Words that only count where there is no status to go by: in an answer that began as a good one."""
_STATUS_CODES = frozenset(str(status) for status in range(400, 600))
_PROMPT = re.compile(r"(?:messages|input|prompt|instructions)(?:\[\d+\]|\.(?:content|text|output))*")
"""Members whose text is what the model reads: one that is too long is a prompt that is too long."""
_TOO_LONG = re.compile(r"(?:maximum|available|model's) context (?:length|size|window)|context window", re.IGNORECASE)
"""How servers without codes say that the conversation does not fit."""


def cause_of(status: int, code: str | None, type: str | None, message: str = "", *, has_error: bool = True) -> str:
    """Name the cause of a failure by what is said of it; `status` is 200 where it happened inside an answer."""
    for word in (code, type):
        if word in _BY_CODE:
            return _BY_CODE[word]
    if 200 <= status < 300:  # noqa: PLR2004 - HTTP's classes
        if not has_error:
            return "protocol"
        for word in (code, type):
            if word in _IN_BAND:
                return _IN_BAND[word]
        if code not in _STATUS_CODES:
            return "server"
        status = int(code or 0)
    if status in {400, 413, 422} and _TOO_LONG.search(message):
        return "context_length"
    if status == 413 and code == "rate_limit_exceeded":  # noqa: PLR2004 - too large for what is left of this minute
        return "rate_limit"
    return cause_of_status(status)


def cause_of_status(status: int) -> str:
    """Name the cause of a failure of which nothing is known but its HTTP status."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return "invalid_request" if 400 <= status < 500 else "server" if status >= 500 else "protocol"  # noqa: PLR2004


def is_final(head: Head) -> bool:
    """Say whether the same request would fail again, by the provider's own word."""
    return head.header("x-should-retry") == "false"


def retry_after(head: Head) -> float | None:
    """Read how long to wait, in seconds: `retry-after-ms`, or `retry-after` in seconds. A date is left to the router's clock."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = head.header(name)
        if value is not None:
            try:
                seconds = float(value) * scale
            except ValueError:
                continue
            if not math.isnan(seconds):
                return min(max(seconds, 0.0), 3600.0)
    return None
