"""A stream of response events as chat completion chunks.

Wire: developers.openai.com/api/reference/resources/responses/streaming-events.
"""

import re
from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Call, Head, StreamDecoder, StreamEvent
from switchgear.wire.chat_stream import ChatDecoder
from switchgear.wire.chunks import ChunkWriter
from switchgear.wire.members import BROKEN
from switchgear.wire.responses import finish_of
from switchgear.wire.responses_out.answer import OutputItem, annotations, is_response, reasoning_details
from switchgear.wire.responses_stream import ResponsesDecoder

_FIRST = re.compile(rb"(?:^|[\r\n\xbf])((?:event|data):[^\r\n]*)([\r\n])?")
"""The first line that says something, behind a mark of the byte order, comments and empty lines; and whether it is whole."""
_TOLD = re.compile(rb'event: ?(?:response\.|error)|data: ?\{.{0,512}?"type" ?: ?"(?:response\.|error")')
_MOST_LOOKED_AT = 64 * 1024
_THOUGHTS = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
_PIECES = ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta")
_CLOSING = ("response.completed", "response.incomplete")


class _Response(Struct):
    id: str = ""
    created_at: float | None = None
    model: str | None = None
    output: list[OutputItem] | None = None


class _Event(Struct):
    type: str
    delta: str | None = None
    item_id: str | None = None
    output_index: int = 0
    summary_index: int = 0
    item: OutputItem | None = None
    response: _Response | None = None
    annotation: dict[str, Any] | None = None
    logprobs: list[Raw] | None = None


_decoder = msgspec.json.Decoder(_Event)


class _Writer(ChunkWriter):
    """Also writes what only this wire tells."""

    __slots__ = ()

    def custom_call(self, place: int, id: str, name: str) -> StreamEvent:
        """Begin the call of a custom tool."""
        call = {"index": place, "id": id, "type": "custom", "custom": {"name": name, "input": ""}}
        return self._delta(b'{"tool_calls":%b}' % msgspec.json.encode([call]), len(name))

    def custom_input(self, place: int, piece: str) -> StreamEvent:
        """Go on with its input."""
        encoded = msgspec.json.encode(piece)
        return self._delta(b'{"tool_calls":[{"index":%d,"custom":{"input":%b}}]}' % (place, encoded), len(encoded) - 2)


class _Call:
    """A tool call that goes by: its place among the calls, and whether any of what it is called with has."""

    __slots__ = ("custom", "place", "told")

    def __init__(self, place: int, *, custom: bool) -> None:
        self.place = place
        self.custom = custom
        self.told = False


class ToldDecoder:
    """Tells a stream of response events as chunks. Complete means: the closing event was seen."""

    __slots__ = ("_calls", "_inner", "_known", "_spoke", "_thought", "_usage_wanted", "_writer")

    def __init__(self, call: Call, head: Head) -> None:
        self._inner = ResponsesDecoder(call, head)
        self._usage_wanted = call.usage_wanted
        self._writer: _Writer | None = None
        self._calls: dict[int, _Call] = {}
        self._known: set[str | None] = set()
        self._spoke: set[int] = set()
        self._thought: tuple[int, int] | None = None

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take a piece of the body; return the chunks that what it completes becomes."""
        told: list[StreamEvent] = []
        for event in self._inner.feed(data):
            if event.fault is not None:
                told.append(event)
                break
            told += self._tell(event)
        return told

    def close(self) -> None:
        """The body has ended. Raises `ConnectionBroken` unless the stream was complete."""
        self._inner.close()

    def _tell(self, event: StreamEvent) -> list[StreamEvent]:
        try:
            found = _decoder.decode(event.data)
        except BROKEN:
            return []  # an event of something that no chat shows
        writer, begun = self._begin(found)
        if found.type in _CLOSING:
            return [*begun, *self._end(writer, found, event)]
        return [*begun, *self._piece(writer, found)]

    def _begin(self, found: _Event) -> tuple[_Writer, list[StreamEvent]]:
        if self._writer is not None:
            return self._writer, []
        said = found.response or _Response()
        created = int(said.created_at or 0)
        self._writer = _Writer(id=said.id, created=created, model=said.model or "", usage_wanted=self._usage_wanted)
        return self._writer, [self._writer.role()]

    def _piece(self, writer: _Writer, found: _Event) -> list[StreamEvent]:
        place, delta = found.output_index, found.delta
        if found.type == "response.output_text.delta" and delta:
            self._spoke.add(place)
            told = [writer.text(delta)]
            if found.logprobs:
                told.append(writer.logprobs({"content": found.logprobs}))
            return told
        if found.type == "response.refusal.delta" and delta:
            self._spoke.add(place)
            return [writer.refusal(delta)]
        if found.type in _THOUGHTS and delta:
            self._spoke.add(place)
            now = (place, found.summary_index)
            apart = "\n\n" if self._thought is not None and self._thought != now else ""
            self._thought = now
            return [writer.reasoning(apart + delta)]
        if found.type in _PIECES and delta and place in self._calls:
            return [self._argument(writer, self._calls[place], delta)]
        if found.type == "response.output_text.annotation.added" and found.annotation is not None:
            return [writer.annotation(note) for note in annotations([found.annotation], 0)]
        if found.item is not None and found.type == "response.output_item.added":
            return self._open(writer, found.item, place)
        if found.item is not None and found.type == "response.output_item.done":
            return self._done(writer, found.item, place)
        return []

    def _open(self, writer: _Writer, item: OutputItem, place: int) -> list[StreamEvent]:
        if item.type not in ("function_call", "custom_tool_call"):
            return []
        custom = item.type == "custom_tool_call"
        call = self._calls[place] = _Call(len(self._known), custom=custom)
        self._known.add(item.call_id or item.id)
        begin = writer.custom_call if custom else writer.tool_call
        return [begin(call.place, item.call_id or item.id or f"call_{call.place}", item.name or "")]

    def _argument(self, writer: _Writer, call: _Call, piece: str) -> StreamEvent:
        call.told = True
        return writer.custom_input(call.place, piece) if call.custom else writer.arguments(call.place, piece)

    def _done(self, writer: _Writer, item: OutputItem, place: int) -> list[StreamEvent]:
        """Tell what of an item did not go by in pieces."""
        told: list[StreamEvent] = []
        if item.type in ("function_call", "custom_tool_call"):
            if place not in self._calls:
                told += self._open(writer, item, place)
            call = self._calls[place]
            whole = item.input if call.custom else item.arguments
            if whole and not call.told:
                told.append(self._argument(writer, call, whole))
        elif item.type == "reasoning":
            shown = [part.text for part in item.summary or item.content or () if part.text]
            if shown and place not in self._spoke:
                told.append(writer.reasoning("\n\n".join(shown)))
            told += [writer.reasoning_detail(detail) for detail in reasoning_details(item)]
        elif item.type == "message" and place not in self._spoke:
            for part in item.content or ():
                told += [writer.text(part.text)] if part.text else []
                told += [writer.refusal(part.refusal)] if part.refusal else []
        self._spoke.add(place)
        return told

    def _end(self, writer: _Writer, found: _Event, event: StreamEvent) -> list[StreamEvent]:
        told: list[StreamEvent] = []
        if found.response is not None:
            for place, item in enumerate(found.response.output or ()):
                if place not in self._spoke and (item.call_id or item.id) not in self._known:
                    told += self._done(writer, item, place)  # some servers tell it here alone
        reason = finish_of(event.data) or ("tool_calls" if self._calls else "stop")
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        return [*told, writer.finish(reason), writer.end(event.usage)]


class EitherDecoder:
    """Decodes a stream of which it shows from its first event whether it is of chunks or of response events."""

    def __init__(self, call: Call, head: Head) -> None:
        self._call = call
        self._head = head
        self._begun = b""
        self._inner: StreamDecoder | None = None

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take a piece of the body; return the events it completes."""
        if self._inner is not None:
            return self._inner.feed(data)
        self._begun += data
        first = _FIRST.search(self._begun)
        whole = self._begun.endswith(b"}") and self._begun.lstrip().startswith(b"{")
        if (first is None or first[2] is None) and not whole and len(self._begun) < _MOST_LOOKED_AT:
            return []
        return self._decide(first).feed(self._begun)

    def close(self) -> None:
        """The body has ended. Raises `ConnectionBroken` unless the stream was complete."""
        if self._inner is None:  # there was no whole line, and so no event
            self._decide(_FIRST.search(self._begun)).feed(self._begun)
        assert self._inner is not None
        self._inner.close()

    def _decide(self, first: re.Match[bytes] | None) -> StreamDecoder:
        told = first is not None and _TOLD.match(first[1]) is not None
        kind = ToldDecoder if told or is_response(self._begun) else ChatDecoder
        self._inner = kind(self._call, self._head)
        return self._inner
