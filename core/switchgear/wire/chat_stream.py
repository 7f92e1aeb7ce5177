"""Streams of the canonical chat form, passed on as they are where they are as the form has them, and mended where not."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Call, Head, ProviderFault, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.wire.chat import (
    NO_ERROR,
    Misdelivered,
    chose_function,
    cut,
    decode_answer,
    decode_fault,
    failed,
    is_failure,
    without_null_usage,
)
from switchgear.wire.gathered import as_events
from switchgear.wire.halves import clean
from switchgear.wire.members import BROKEN, decode_text
from switchgear.wire.mend import USUAL_FINISHES, Mender, finish_word
from switchgear.wire.sse import SSEParser
from switchgear.wire.usage import read_usage

_NULL = Raw(b"null")
_ABSENT = Raw(b"")
_NOTHING = (b"", b"null", b"{}")
_ROLE_ONLY = 48
"""Bytes of `{"role":"assistant","content":"","refusal":null}`: a shorter delta may be one without content."""


class _Delta(Struct, gc=False):
    """What is read of a delta: texts that are texts. What is odd in it is mended, as is every call of a tool."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: Raw = _NULL
    tool_calls: Raw = _NULL
    function_call: Raw = _NULL
    audio: Raw = _NULL
    annotations: list[dict[str, Raw]] | None = None
    images: list[dict[str, Raw]] | None = None


class _Choice(Struct, gc=False):
    delta: Raw
    index: int = 0
    finish_reason: str | None = None
    logprobs: dict[str, Raw] | None = None
    usage: Raw = _NULL
    error: Raw = _NULL


class _Chunk(Struct, gc=False):
    choices: list[_Choice]
    id: str = ""
    created: int = 0
    model: str = ""
    usage: Raw = _ABSENT
    error: Raw = _NULL
    x_groq: Raw = _NULL


_chunk_decoder = msgspec.json.Decoder(_Chunk)
_delta_decoder = msgspec.json.Decoder(_Delta)


class ChatDecoder:
    """Decodes a stream of chat completion chunks, mended where they are nearly right (see `switchgear.wire.mend`).

    Complete means: each of the `n` choices asked for has given its finish reason, or `[DONE]` was seen behind some content. An
    empty finish reason is none: some servers write one into every chunk. Usage is shown to who asked for it, in a chunk of its
    own.
    """

    __slots__ = (
        "_body", "_call", "_counted", "_finished", "_frame", "_head", "_held", "_mender", "_open", "_said", "_sse", "_terminal",
        "_usage_wanted",
    )  # fmt: skip

    def __init__(self, call: Call, head: Head, sse: SSEParser | None = None) -> None:
        self._sse = sse or SSEParser()
        self._head = head
        self._body: Misdelivered | None = Misdelivered(head)
        self._call = call
        self._open = (call.member("n", int) or 1) if "n" in call.members else 1
        self._finished: set[int | None] = set()
        self._said = False
        self._counted = False
        self._terminal = False
        self._usage_wanted = call.usage_wanted
        self._held: dict[str, Any] | None = None
        self._frame: Any = None
        self._mender: Mender | None = None

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take a piece of the body; return the events it completes."""
        events: list[StreamEvent] = []
        if self._body is not None and self._body.is_stream(data):
            self._body = None
        if self._body is not None:
            return self._whole() if self._body.feed(data) else events
        for payload in self._sse.feed(data):
            self._take(payload, events)
            if events and events[-1].last:
                break  # whatever comes behind the end belongs to nothing
        return events

    def _whole(self) -> list[StreamEvent]:
        """Tell what a server answers at once that does not stream; nothing while it is no answer."""
        assert self._body is not None
        try:
            answer = decode_answer(self._body.found(), self._head, self._call)
        except ProviderFault:
            return []
        self._terminal, self._body = True, None
        return list(as_events(answer, usage_wanted=self._usage_wanted))

    def close(self) -> None:
        """The body has ended. Raises `ConnectionBroken` unless the stream was complete."""
        if self._body is not None and self._body.found():
            raise decode_fault(self._head.status, self._body.found(), self._head)
        if not self._terminal:
            raise cut(self._head)

    def _take(self, payload: bytes, events: list[StreamEvent]) -> None:
        if payload == b"[DONE]":
            self._done(events)
            return
        try:
            chunk = decode_text(_chunk_decoder, payload)
            deltas = [_delta_decoder.decode(choice.delta) for choice in chunk.choices]
        except BROKEN:
            self._mend(payload, events)
            return
        if chunk.error not in NO_ERROR:
            events.append(failed(decode_fault(200, payload, self._head)))
            return
        if any(choice.error not in NO_ERROR for choice in chunk.choices):
            broken = next(choice.error for choice in chunk.choices if choice.error not in NO_ERROR)
            events.append(failed(decode_fault(200, b'{"error":%b}' % bytes(broken), self._head)))
            return
        shown = self._plain(chunk, deltas, payload)
        if shown is None:
            self._mend(payload, events)
        else:
            events.append(self._shown(chunk, deltas, shown))

    def _plain(self, chunk: _Chunk, deltas: list[_Delta], payload: bytes) -> bytes | None:
        """Return a chunk that needs no mending, as its client is to see it; None for one that does."""
        if not chunk.choices or chunk.x_groq != _NULL:
            return None
        for choice, delta in zip(chunk.choices, deltas, strict=True):
            if delta.tool_calls != _NULL or delta.function_call != _NULL or choice.usage != _NULL:
                return None
            if delta.reasoning_details != _NULL and self._call.origin != self._call.wire:
                return None
            if choice.finish_reason and (choice.finish_reason not in USUAL_FINISHES or self._mender is not None):
                return None
        if chunk.usage == _ABSENT:
            return payload
        if chunk.usage != _NULL:
            return None
        if self._usage_wanted:
            return payload
        shorter = without_null_usage(payload)
        return shorter if len(shorter) < len(payload) else None

    def _shown(self, chunk: _Chunk, deltas: list[_Delta], shown: bytes, usage: Usage | None = None) -> StreamEvent:
        content = 0
        for choice, delta in zip(chunk.choices, deltas, strict=True):
            content += _content(choice.delta, delta)
        self._said = self._said or content > 0
        self._frame = chunk
        return StreamEvent(shown, None, content, self._finish(chunk.choices), False, usage)

    def _done(self, events: list[StreamEvent]) -> None:
        if not self._said and not self._finished:
            events.append(failed(ProviderFault("protocol", 200)))
            return
        if not self._finished and self._frame is not None:
            events.append(self._end(self._frame))
        self._terminal = True
        if self._held is not None:
            events.append(_usage_event(self._held))
        events.append(StreamEvent(b"", terminal=True, last=True))

    def _end(self, frame: Any) -> StreamEvent:
        """Say of a choice whose server did not that it is over: clients wait for it."""
        called = self._mender is not None and self._mender.has_called(0)
        choice = {"index": 0, "delta": {}, "finish_reason": finish_word(None, called=called)}
        told = {"id": frame.id, "object": "chat.completion.chunk", "created": frame.created, "model": frame.model}
        return StreamEvent(msgspec.json.encode({**told, "choices": [choice]}), terminal=True)

    def _finish(self, choices: Sequence[Any]) -> bool:
        """Note which choices are over; return whether all are by now."""
        terminal = False
        for choice in choices:
            if choice.finish_reason:
                self._finished.add(choice.index)
                if len(self._finished) >= self._open:
                    terminal = self._terminal = True
        return terminal

    def _without_usage(self, mended: dict[str, Any]) -> None:
        """Take out what is told in a chunk of its own, or what the gateway alone asked for."""
        for place in (mended, *mended["choices"]):
            if place.get("usage") is not None or not self._usage_wanted:
                place.pop("usage", None)

    def _news(self, said: dict[str, Any] | None) -> Usage | None:
        """Return what a usage tells; None for zeros behind counts."""
        usage = None if said is None else read_usage(msgspec.json.encode(clean(said)))
        if usage is None or (self._counted and not (usage.input_tokens or usage.output_tokens)):
            return None
        self._counted = True
        return usage

    def _mend(self, payload: bytes, events: list[StreamEvent]) -> None:
        """Take a chunk that is not plain: with calls of tools, with usage, or with something odd in it."""
        word = payload.strip()
        if word in _NOTHING:
            return
        if word.upper() == b"[DONE]":
            self._done(events)
            return
        found = _read(payload)
        if found is None:
            events.append(failed(decode_fault(200, payload, self._head)))
            return
        mender = self._mender
        if mender is None:
            call = self._call
            mender = Mender(call.aliases, foreign=call.origin != call.wire, chosen=chose_function(call))
            self._mender = mender
        mended = mender.chunk(payload, found)
        said = usage_in(found)
        usage = self._news(said)
        if not mended["choices"]:
            if usage is not None:
                self._held = None
                shown = payload if mended == found else msgspec.json.encode(clean(mended))
                events.append(StreamEvent(shown if self._usage_wanted else b"", usage=usage))
            return
        self._without_usage(mended)
        encoded = msgspec.json.encode(clean(mended))
        try:
            chunk = _chunk_decoder.decode(encoded)
            deltas = [_delta_decoder.decode(choice.delta) for choice in chunk.choices]
        except BROKEN:
            events.append(failed(decode_fault(200, payload, self._head)))
            return
        is_same = (
            mended == found and self._call.origin == self._call.wire
        )  # 1 and 1.0 are equal, and not to other forms
        event = self._shown(chunk, deltas, payload if is_same else encoded, usage)
        events.append(event)
        if usage is not None and self._usage_wanted:
            held = {**{n: mended[n] for n in _FRAME if n in mended}, "choices": [], "usage": said}
            if event.terminal and self._held is None:
                events.append(_usage_event(held))
            else:  # it counts as it goes, and may yet tell more
                self._held = held


def _read(payload: bytes) -> dict[str, Any] | None:
    """Return what may be a chunk; None for what is none, or tells of a failure."""
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("error"):
        return None
    is_chunk = isinstance(found.get("choices"), list | dict | None)
    return found if is_chunk and ("choices" in found or not is_failure(payload)) else None


def _usage_event(held: dict[str, Any]) -> StreamEvent:
    return StreamEvent(msgspec.json.encode(clean(held)))


_FRAME = ("id", "object", "created", "model", "system_fingerprint")


def usage_in(found: dict[str, Any]) -> dict[str, Any] | None:
    """Return the usage of a chunk, from wherever a server puts it."""
    other = found.get("x_groq")
    choices = found.get("choices")
    places = [found, *(choices if isinstance(choices, list) else ()), other]
    for place in places:
        if isinstance(place, dict) and isinstance(place.get("usage"), dict):
            usage: dict[str, Any] = place["usage"]
            return usage
    return None


def _content(raw: Raw, delta: _Delta) -> int:
    size = len(raw)
    if size <= 4:  # noqa: PLR2004 - null and {}
        return 0
    if size > _ROLE_ONLY:
        return size
    shown = 0
    for said in (delta.content, delta.refusal, delta.reasoning, delta.reasoning_content):
        if said:
            shown += len(said)
    for held in (delta.tool_calls, delta.function_call, delta.audio):
        if held != _NULL:
            shown += len(held)
    return shown
