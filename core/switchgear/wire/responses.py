"""The Responses wire, forwarded as it is (platform.openai.com/docs/api-reference/responses, …/responses-streaming).

A stream is of named events. `response.completed` and `response.incomplete` end it; nothing follows, no `[DONE]` either.
`response.failed` and `error` are failures.
"""

from typing import Any, Protocol, runtime_checkable

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import Answer, Call, Head, ProviderFault, StreamEvent
from switchgear.contracts.upstream import OutboundRequest
from switchgear.contracts.usage import Usage
from switchgear.wire.chat import Misdelivered, cause_of, cut, decode_fault, failed, retry_after
from switchgear.wire.fit.tool_names import with_own_names
from switchgear.wire.members import BROKEN, decode_text, decode_whole
from switchgear.wire.sse import SSEParser
from switchgear.wire.usage import read_counts

_NULL = Raw(b"null")
_CODES = {
    "bio_policy": "content_filter",
    "image_content_policy_violation": "content_filter",
    "misalignment_policy_violation": "content_filter",
    "vector_store_timeout": "timeout",
    "server_error": "server",
    "rate_limit_exceeded": "rate_limit",
    "invalid_prompt": "invalid_request",
    "data_residency_mismatch": "invalid_request",
    "failed_to_download_image": "invalid_request",
    "empty_image_file": "invalid_request",
    "unsupported_image_media_type": "invalid_request",
}
"""The documented codes of a response that failed, but for those of bad images, which begin alike."""
_CALLS = frozenset({"function_call", "custom_tool_call"})


@runtime_checkable
class ResponseKeeper(Protocol):
    """A provider that may keep the responses it gave, and can then be asked for them."""

    def response_request(self, method: str, path: str, secret: Secret | None) -> OutboundRequest:
        """Build a request about one of them. `path` is what stands behind the address of responses: its id, and more."""
        ...


class _InputDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(Struct):
    reasoning_tokens: int | None = None


class _Usage(Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Error(Struct):
    code: Any = None
    message: Any = None
    param: Any = None
    type: Any = None


class _Incomplete(Struct):
    reason: str | None = None


class _Item(Struct, gc=False):
    type: str = ""


class _Response(Struct):
    status: str | None = None
    output: list[_Item] | None = None
    usage: Raw = _NULL
    error: _Error | None = None
    incomplete_details: _Incomplete | None = None
    model: str | None = None


class _Count(Struct):
    input_tokens: int


class _Event(Struct, gc=False):
    type: str
    delta: Raw = _NULL


class _Closing(Struct):
    response: _Response


class _ErrorEvent(_Error):
    error: _Error | None = None


_usage_decoder = msgspec.json.Decoder(_Usage)
_response_decoder = msgspec.json.Decoder(_Response)
_count_decoder = msgspec.json.Decoder(_Count)
_event_decoder = msgspec.json.Decoder(_Event)
_closing_decoder = msgspec.json.Decoder(_Closing)
_error_decoder = msgspec.json.Decoder(_ErrorEvent)


def read_usage(raw: bytes | Raw) -> Usage | None:
    """Decode a `usage` object of this wire; None for null or for something that is not one."""
    found = read_counts(_usage_decoder, raw)
    if found is None or (found.input_tokens is None and found.output_tokens is None):
        return None
    given, made = found.input_tokens_details, found.output_tokens_details
    return Usage.of(
        found.input_tokens or 0,
        found.output_tokens or 0,
        total=found.total_tokens or 0,
        cached_input=(given and given.cached_tokens) or 0,
        cache_write=(given and given.cache_write_tokens) or 0,
        reasoning=(made and made.reasoning_tokens) or 0,
    )


def decode_response(body: bytes, head: Head) -> Answer:
    """Read a whole response. Raises `ProviderFault`: `protocol` for anything else, its own cause for one that failed.

    One that runs in the background (`queued`, `in_progress`) has no finish reason and no usage yet.
    """
    try:
        found = decode_text(_response_decoder, body)
    except BROKEN:
        raise decode_fault(head.status, body, head) from None
    if found.status in {"failed", "cancelled"}:
        raise _fault(found.error or _Error(), head)
    if found.output is None or found.error is not None:
        raise decode_fault(head.status, body, head)
    return Answer(body, read_usage(found.usage), found.model, _finish(found))


def decode_input_tokens(body: bytes, head: Head) -> Answer:
    """Read how many tokens a request has. Raises `ProviderFault` (`protocol`) for anything else."""
    try:
        decode_text(_count_decoder, body)
    except BROKEN:
        raise decode_fault(head.status, body, head) from None
    return Answer(body)


def finish_of(event: bytes) -> str | None:
    """Say why a response ended, by its closing event, in a chat's words; None for an event that does not say."""
    try:
        return _finish(_closing_decoder.decode(event).response)
    except BROKEN:
        return None


def _finish(found: _Response) -> str | None:
    if found.status == "incomplete":
        reason = found.incomplete_details and found.incomplete_details.reason
        return "content_filter" if reason == "content_filter" else "length"
    if found.status not in {None, "completed"}:
        return None
    return "tool_calls" if any(item.type in _CALLS for item in found.output or ()) else "stop"


def _fault(error: _Error, head: Head) -> ProviderFault:
    code, message = (value if isinstance(value, str) else None for value in (error.code, error.message))
    cause = _CODES.get(code or "")
    if cause is None:
        type = error.type if isinstance(error.type, str) and error.type != "error" else None
        is_image = code is not None and "image" in code
        cause = "invalid_request" if is_image else cause_of(200, code, type, message or "")
    return ProviderFault(
        cause,
        head.status,
        message=message or "",
        code=code,
        param=error.param if isinstance(error.param, str) else None,
        retry_after=retry_after(head),
        request_id=head.header("x-request-id"),
    )


def _told_at_once(body: bytes, head: Head) -> list[bytes]:
    """Return the events of a response that came whole where a stream was asked for; none for what is no response."""
    try:
        decode_response(body, head)
    except ProviderFault:
        return []
    response: dict[str, Any] = msgspec.json.decode(body)
    ended = "response.incomplete" if response.get("status") == "incomplete" else "response.completed"
    told: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**response, "status": "in_progress", "output": [], "usage": None}}
    ]
    for place, item in enumerate(response["output"]):
        told.append({"type": "response.output_item.added", "output_index": place, "item": item})
        told.append({"type": "response.output_item.done", "output_index": place, "item": item})
    told.append({"type": ended, "response": response})
    return [msgspec.json.encode({**event, "sequence_number": number}) for number, event in enumerate(told)]


_NOTHING = (b"", b"null", b"[DONE]")


class ResponsesDecoder:
    """Decodes a stream of response events, whose names are kept. Complete means: its closing event was seen."""

    __slots__ = ("_aliases", "_body", "_head", "_sse", "_terminal")

    def __init__(self, call: Call, head: Head) -> None:
        self._aliases = call.aliases
        self._sse = SSEParser()
        self._body = Misdelivered.of(head)
        self._head = head
        self._terminal = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take a piece of the body; return the events it completes."""
        events: list[StreamEvent] = []
        if self._body is not None:
            told = _told_at_once(self._body.found(), self._head) if self._body.feed(data) else []
            if not told:
                return events
            self._body = None
        else:
            told = self._sse.feed(data)
        for payload in told:
            if payload.strip() in _NOTHING:
                continue  # some servers end every stream of theirs so; it proves nothing about a response
            events.append(event := self._event(with_own_names(payload, self._aliases)))
            if event.last:
                break
        return events

    def close(self) -> None:
        """The body has ended. Raises `ConnectionBroken` unless the stream was complete."""
        if self._body is not None:
            raise decode_fault(self._head.status, self._body.found(), self._head)
        if not self._terminal:
            raise cut(self._head)

    def _event(self, data: bytes) -> StreamEvent:
        try:
            event = decode_whole(_event_decoder, data)
            kind = event.type
            if kind in {"response.completed", "response.incomplete"}:
                response = _closing_decoder.decode(data).response
                if response.status == "failed" and response.error is not None:
                    return failed(_fault(response.error, self._head))
                usage = read_usage(response.usage)
                self._terminal = True
                return StreamEvent(data, kind.encode(), terminal=True, last=True, usage=usage)
            if kind == "response.failed":
                return failed(_fault(_closing_decoder.decode(data).response.error or _Error(), self._head))
            if kind == "error":
                said = _error_decoder.decode(data)
                return failed(_fault(said.error or said, self._head))
        except BROKEN:
            return failed(decode_fault(200, data, self._head))
        if not (kind.isascii() and kind.isprintable()):
            return failed(ProviderFault("protocol", 200))
        # The name is the type: taken from there it is known to be one line, and servers that send none get one.
        return StreamEvent(data, kind.encode(), 0 if event.delta == _NULL else max(len(event.delta) - 2, 0))
