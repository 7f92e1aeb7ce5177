"""The canonical chat form, which is that of OpenAI's chat completions (platform.openai.com/docs/api-reference/chat).

Only the members the gateway must understand are decoded; the rest goes by as it came. Providers that speak this form share
what is here; those that do not translate to it.
"""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Answer, Call, Head, ProviderFault, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.errors import ConnectionBroken
from switchgear.wire.sse import SSEParser

_NULL = Raw(b"null")
_ROLE_ONLY = 48
"""Bytes of `{"role":"assistant","content":"","refusal":null}`: a shorter delta may be one without content."""
_MOST_TOKENS = 2**40
"""A count beyond this is not one: it is not believed, and cannot spoil the sums that it would become part of."""
_SHOWN = ("content", "tool_calls", "function_call", "refusal", "reasoning", "reasoning_content", "audio")


class _InputDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(Struct):
    reasoning_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


class _Choice(Struct, gc=False):
    index: int = 0
    finish_reason: str | None = None
    delta: Raw = _NULL


class _Chunk(Struct, gc=False):
    choices: list[_Choice] = []
    usage: Raw = _NULL
    error: Raw = _NULL


class _Completion(Struct):
    choices: list[_Choice]
    usage: Raw = _NULL
    error: Raw = _NULL
    model: str | None = None


class _Error(Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    param: str | None = None


class _ErrorBody(Struct):
    error: _Error | str | None = None


_usage_decoder = msgspec.json.Decoder(_Usage)
_chunk_decoder = msgspec.json.Decoder(_Chunk)
_completion_decoder = msgspec.json.Decoder(_Completion)
_error_decoder = msgspec.json.Decoder(_ErrorBody)
_delta_decoder = msgspec.json.Decoder(dict[str, Any])


def read_usage(raw: bytes | Raw) -> Usage | None:
    """Decode a `usage` object; None for null or for something that is not one."""
    if raw == _NULL:
        return None
    try:
        found = _usage_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if found.prompt_tokens is None and found.completion_tokens is None:
        return None
    if max(found.prompt_tokens or 0, found.completion_tokens or 0) > _MOST_TOKENS:
        return None
    given, made = found.prompt_tokens_details, found.completion_tokens_details
    return Usage(
        input_tokens=max(found.prompt_tokens or 0, 0),
        output_tokens=max(found.completion_tokens or 0, 0),
        cached_input_tokens=_part((given and given.cached_tokens) or 0),
        cache_write_tokens=_part((given and given.cache_write_tokens) or 0),
        reasoning_tokens=_part((made and made.reasoning_tokens) or 0),
    )


def _part(count: int) -> int:
    return count if 0 <= count <= _MOST_TOKENS else 0


def decode_answer(body: bytes, head: Head) -> Answer:
    """Read a whole chat completion. Raises `ProviderFault` (`protocol`) for anything else."""
    try:
        if not body.isascii():
            body.decode()
        found = _completion_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise decode_fault(head.status, body, head) from None
    if found.error != _NULL or not found.choices:
        raise decode_fault(head.status, body, head)
    return Answer(body, read_usage(found.usage), found.model, found.choices[0].finish_reason)


async def replay(answer: Answer, *, usage_wanted: bool) -> AsyncIterator[list[StreamEvent]]:
    """Tell a whole completion as a stream: a chunk with each choice's message, a finish chunk, the usage if wanted."""
    whole = msgspec.json.decode(answer.body)
    frame = {name: whole[name] for name in ("id", "created", "model", "system_fingerprint") if name in whole}
    frame["object"] = "chat.completion.chunk"

    def chunk(**members: Any) -> bytes:
        return msgspec.json.encode({**frame, **members})

    for choice in whole["choices"]:
        index = choice.get("index", 0)
        message = choice["message"]
        for place, call in enumerate(message.get("tool_calls") or ()):
            call["index"] = place
        delta = {"index": index, "delta": message, "finish_reason": None}
        yield [StreamEvent(chunk(choices=[delta]), content=len(str(message.get("content") or "")) or 1)]
        end = {"index": index, "delta": {}, "finish_reason": choice.get("finish_reason") or "stop"}
        yield [StreamEvent(chunk(choices=[end]), terminal=True)]
    shown = chunk(choices=[], usage=whole.get("usage")) if usage_wanted else b""
    yield [StreamEvent(shown, terminal=True, last=True, usage=answer.usage)]


class ChatDecoder:
    """Decodes a stream of chat completion chunks.

    Complete means: each of the `n` choices asked for has given its finish reason, or `[DONE]` was seen. An empty finish
    reason is none: some servers write one into every chunk.
    """

    __slots__ = ("_finished", "_head", "_open", "_sse", "_terminal", "_usage_wanted")

    def __init__(self, call: Call, head: Head) -> None:
        self._sse = SSEParser()
        self._head = head
        self._open = (call.member("n", int) or 1) if "n" in call.members else 1
        self._finished: set[int] = set()
        self._terminal = False
        self._usage_wanted = call.usage_wanted

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take a piece of the body; return the events it completes."""
        events: list[StreamEvent] = []
        for payload in self._sse.feed(data):
            events.append(event := self._event(payload))
            if event.last:
                break  # whatever comes behind the end belongs to nothing
        return events

    def close(self) -> None:
        """The body has ended. Raises `ConnectionBroken` unless the stream was complete."""
        if self._terminal:
            return
        media = self._head.header("content-type")
        if media is not None and "event-stream" not in media:
            raise ProviderFault("protocol", self._head.status, request_id=self._head.header("x-request-id"))
        raise ConnectionBroken("the provider's stream ended before its end was marked")

    def _event(self, payload: bytes) -> StreamEvent:
        if payload == b"[DONE]":
            self._terminal = True
            return StreamEvent(b"", terminal=True, last=True)
        try:
            if not payload.isascii():
                payload.decode()
            chunk = _chunk_decoder.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise decode_fault(200, payload, self._head) from None
        if chunk.error != _NULL:
            raise decode_fault(200, payload, self._head)
        content = 0
        terminal = False
        for choice in chunk.choices:
            content += _content(choice.delta)
            if choice.finish_reason:
                self._finished.add(choice.index)
                if len(self._finished) >= self._open:
                    terminal = self._terminal = True
        usage = None if chunk.usage == _NULL else read_usage(chunk.usage)
        if not self._usage_wanted:
            if not chunk.choices and usage is not None:
                return StreamEvent(b"", usage=usage)
            # The gateway asked for usage, the client did not: it must not see the nulls this puts into each chunk. These
            # bytes cannot occur inside a JSON string, where the quotes would be escaped.
            payload = payload.replace(b',"usage":null', b"")
        return StreamEvent(payload, None, content, terminal, False, usage)


def _content(delta: Raw) -> int:
    size = len(delta)
    if size <= 4:  # noqa: PLR2004 - null and {}
        return 0
    if size <= _ROLE_ONLY:
        try:
            members = _delta_decoder.decode(delta)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return 0
        return sum(len(str(members[name])) for name in _SHOWN if members.get(name))
    return size


def decode_fault(status: int, body: bytes, head: Head) -> ProviderFault:
    """Classify a failure in OpenAI's error shape, `{"error": {"message", "type", "code", "param"}}`.

    Source: platform.openai.com/docs/guides/error-codes.
    """
    try:
        found = _error_decoder.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    error = _Error(message=found) if isinstance(found, str) else found or _Error()
    code = str(error.code) if error.code is not None else None
    return ProviderFault(
        _cause(status, code, error.type, has_error=found is not None),
        status,
        message=error.message or "",
        code=code,
        param=error.param,
        retry_after=retry_after(head),
        request_id=head.header("x-request-id"),
    )


_BY_STATUS = {
    400: "invalid_request",
    401: "auth",
    403: "permission",
    404: "not_found",
    408: "timeout",
    409: "server",
    413: "invalid_request",
    422: "invalid_request",
    429: "rate_limit",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
_BY_CODE = {
    "context_length_exceeded": "context_length",
    "string_above_max_length": "context_length",
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "insufficient_quota": "quota",
    "billing_hard_limit_reached": "quota",
}
_IN_BAND = {"rate_limit_exceeded": "rate_limit", "invalid_api_key": "auth", "overloaded": "overloaded"}
"""Codes that only count where there is no status to go by: in an answer that began as a good one."""


def _cause(status: int, code: str | None, type: str | None, *, has_error: bool) -> str:
    for word in (code, type):
        if word in _BY_CODE:
            return _BY_CODE[word]
    if 200 <= status < 300:  # noqa: PLR2004 - HTTP's classes
        return _IN_BAND.get(code or "", "server") if has_error else "protocol"
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return "invalid_request" if 400 <= status < 500 else "server" if status >= 500 else "protocol"  # noqa: PLR2004


def retry_after(head: Head) -> float | None:
    """Read how long to wait, in seconds: `retry-after-ms`, or `retry-after` in seconds. A date is left to the router's clock."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = head.header(name)
        if value is not None:
            try:
                return min(max(float(value) * scale, 0.0), 3600.0)
            except ValueError:
                continue
    return None
