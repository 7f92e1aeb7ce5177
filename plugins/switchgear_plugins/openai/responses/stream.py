"""Streams of the Responses API: made of canonical chunks, or passed on as they came."""

from typing import Any

import msgspec
from msgspec import Struct

from switchgear.contracts.provider import Call, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.errors import ApiError
from switchgear.wire.canonical import ReasoningDetail
from switchgear.wire.chunks import Chunk, ChunkChoice, Delta, ToolCallDelta, read_chunk
from switchgear.wire.sse import encode_event
from switchgear_plugins.openai.frames import NULL
from switchgear_plugins.openai.logprobs import read_logprobs
from switchgear_plugins.openai.responses.answer import failed, finished, item_status, response, stem
from switchgear_plugins.openai.responses.events import CallItem, EventWriter, MessageItem, ReasoningItem
from switchgear_plugins.openai.responses.reasoning import words
from switchgear_plugins.openai.responses.request import wants_summary

_Item = MessageItem | ReasoningItem | CallItem


class ResponsesEncoder:
    """Makes the typed events of one response of canonical chunks. One a stream.

    A message or reasoning is ended by whatever comes next; function calls are open until the finish reason, since their
    arguments may come by turns. Nothing is sent before there is something to say: until then another target may answer.
    """

    media_type = b"text/event-stream; charset=utf-8"
    keep_alive = b": keep-alive\n\n"

    def __init__(self, call: Call) -> None:
        self._call = call
        self._summarised = wants_summary(call)
        self._writer = EventWriter()
        self._first = Chunk()
        self._begun: dict[str, Any] | None = None
        self._stem = ""
        self._out: list[bytes] = []
        self._places = 0
        self._talk: MessageItem | ReasoningItem | None = None
        self._calls: dict[int, CallItem] = {}
        self._call_ids: dict[int, str | None] = {}
        self._open_calls: list[CallItem] = []
        self._late: list[ReasoningDetail] = []
        self._output: dict[int, dict[str, Any]] = {}
        self._finish: str | None = None
        self._usage: Usage | None = None

    def event(self, event: StreamEvent) -> bytes:
        """Frame what a chunk says; empty if nothing."""
        if event.usage is not None:
            self._usage = event.usage
        chunk = read_chunk(event.data)
        if self._begun is None:
            self._first = chunk
        for choice in chunk.choices:
            if choice.index == 0:
                self._take(choice)
        return self._flush()

    def end(self) -> bytes:
        """End every item that is open, and the response."""
        begun = self._begin()
        self._close_all()
        if self._late:
            kept = ReasoningItem(self._writer, self._stem, self._next_place(), summarised=self._summarised)
            kept.keep(self._late)
            self._out.append(kept.open())
            self._close(kept)
        whole = finished(begun, self._done(), self._finish, self._usage)
        self._out.append(self._writer.event(f"response.{whole['status']}", response=whole))
        return self._flush()

    def error(self, error: ApiError, request_id: str) -> bytes:
        """Frame the error, then the response as failed, with the items that were whole."""
        begun = self._begin()
        self._out.append(self._writer.error(error, request_id))
        self._out.append(self._writer.event("response.failed", response=failed(begun, self._done(), error)))
        return self._flush()

    def _take(self, choice: ChunkChoice) -> None:
        delta = choice.delta
        if delta is not None:
            if delta.reasoning_details or delta.thought:
                self._think(delta)
            if delta.content:
                logprobs = [] if choice.logprobs == NULL else read_logprobs(choice.logprobs)
                self._out.append(self._message().text(delta.content, logprobs))
            if delta.refusal:
                self._out.append(self._message().refusal(delta.refusal))
            for call in delta.tool_calls or ():
                self._add_call(call)
        if choice.finish_reason:
            self._finish = choice.finish_reason
            self._begin()
            self._close_all()

    def _think(self, delta: Delta) -> None:
        details = delta.reasoning_details or []
        # A signed text went by in pieces before it was signed; another may not have.
        text = delta.thought or words(detail for detail in details if detail.signature is None)
        if not text and self._places and not isinstance(self._talk, ReasoningItem):
            self._late += details
            return
        item = self._talk
        if not isinstance(item, ReasoningItem):
            self._close_talk()
            self._begin()
            item = ReasoningItem(self._writer, self._stem, self._next_place(), summarised=self._summarised)
            self._talk = item
            self._out.append(item.open())
        if text:
            self._out.append(item.think(text))
        item.keep(details)

    def _message(self) -> MessageItem:
        item = self._talk
        if not isinstance(item, MessageItem):
            self._close_talk()
            self._begin()
            self._talk = item = MessageItem(self._writer, self._stem, self._next_place())
            self._out.append(item.open())
        return item

    def _add_call(self, delta: ToolCallDelta) -> None:
        item = self._calls.get(delta.index)
        named = delta.function and delta.function.name
        if item is None or (named and delta.id and delta.id != self._call_ids[delta.index]):
            # Some servers number no calls: a new id with a name is a new call.
            self._close_talk()
            self._begin()
            item = CallItem(self._writer, self._stem, self._next_place(), delta)
            self._calls[delta.index] = item
            self._call_ids[delta.index] = delta.id
            self._open_calls.append(item)
            self._out.append(item.open())
        item.name = item.name or named or ""
        if delta.function is not None and delta.function.arguments:
            self._out.append(item.arguments(delta.function.arguments))

    def _begin(self) -> dict[str, Any]:
        if self._begun is None:
            first = self._first
            self._stem = stem(first.id)
            self._begun = response(self._call, id=first.id, created=first.created, model=first.model)
            self._out.append(self._writer.event("response.created", response=self._begun))
            self._out.append(self._writer.event("response.in_progress", response=self._begun))
        return self._begun

    def _next_place(self) -> int:
        self._places += 1
        return self._places - 1

    def _close_talk(self) -> None:
        item, self._talk = self._talk, None
        if item is not None:
            self._close(item)

    def _close_all(self) -> None:
        talk: list[_Item] = [] if self._talk is None else [self._talk]
        left = sorted([*self._open_calls, *talk], key=lambda item: item.place)
        for item in left:
            self._close(item, item_status(self._finish, last=item is left[-1]))
        self._talk, self._calls, self._call_ids, self._open_calls = None, {}, {}, []

    def _close(self, item: _Item, status: str = "completed") -> None:
        self._out.append(item.close(status))
        self._output[item.place] = item.item

    def _done(self) -> list[dict[str, Any]]:
        return [self._output[place] for place in sorted(self._output)]

    def _flush(self) -> bytes:
        out, self._out = self._out, []
        return b"".join(out)


class NativeEncoder:
    """Passes on the events of a provider that speaks this API. One a stream."""

    media_type = ResponsesEncoder.media_type
    keep_alive = ResponsesEncoder.keep_alive

    def __init__(self) -> None:
        self._first = b""
        self._last = b""

    def event(self, event: StreamEvent) -> bytes:
        """Frame one event."""
        self._last = event.data
        self._first = self._first or event.data
        return encode_event(event.data, event.name)

    def end(self) -> bytes:
        """Return nothing: the response's last event was the end."""
        return b""

    def error(self, error: ApiError, request_id: str) -> bytes:
        """Frame the error, numbered on, then the response as failed if it had begun."""
        writer = EventWriter(_peek(self._last).sequence_number + 1)
        said = writer.error(error, request_id)
        begun = _peek(self._first).response
        if begun is not None:
            said += writer.event("response.failed", response=failed(begun, [], error))
        return said


class _Numbered(Struct):
    sequence_number: int = -1
    response: dict[str, Any] | None = None


_numbered = msgspec.json.Decoder(_Numbered)


def _peek(event: bytes) -> _Numbered:
    try:
        return _numbered.decode(event)
    except (msgspec.DecodeError, RecursionError):
        return _Numbered()  # an error must reach the client, whatever came before it
