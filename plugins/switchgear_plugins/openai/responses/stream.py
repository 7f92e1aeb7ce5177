"""Streams of the Responses API: made of canonical chunks, or passed on as they came."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from switchgear.contracts.provider import Call, ProviderFault, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.errors import ApiError
from switchgear.wire.canonical import ReasoningDetail
from switchgear.wire.chunks import Chunk, ChunkChoice, Delta, ToolCallDelta, read_chunk
from switchgear.wire.compaction import compaction_item
from switchgear.wire.packed_reasoning import words
from switchgear.wire.sse import encode_event
from switchgear_plugins.openai.frames import NULL
from switchgear_plugins.openai.logprobs import read_logprobs
from switchgear_plugins.openai.responses.answer import failed, finished, item_status, response, stem
from switchgear_plugins.openai.responses.events import CallItem, EventWriter, MessageItem, ReasoningItem
from switchgear_plugins.openai.responses.request import compacts, wants_summary
from switchgear_plugins.openai.responses.toolbox import Origin, Toolbox

_Item = MessageItem | ReasoningItem | CallItem


class _Slot:
    """An item that is open, or waits for its turn with what is to be told of it."""

    __slots__ = ("item", "later")

    def __init__(self, item: _Item) -> None:
        self.item = item
        self.later: list[Callable[[], bytes]] = []

    @property
    def may_close(self) -> bool:
        """Whether the next item may begin."""
        return not isinstance(self.item, CallItem) or self.item.braces.closed


class ResponsesEncoder:
    """Makes the typed events of one response of canonical chunks. One a stream.

    One item is open at a time, as clients expect who keep but one: what comes for others waits until the open one is whole, a
    call when its arguments are. Nothing is sent before there is something to say: until then another target may answer.
    """

    media_type = b"text/event-stream; charset=utf-8"
    keep_alive = b": keep-alive\n\n"

    def __init__(self, call: Call) -> None:
        self._call = call
        self._summarised = wants_summary(call)
        self._summary: list[str] | None = [] if compacts(call) else None
        self._writer = EventWriter()
        self._first = Chunk()
        self._begun: dict[str, Any] | None = None
        self._stem = ""
        self._out: list[bytes] = []
        self._places = 0
        self._toolbox: Toolbox | None = None
        self._slots: deque[_Slot] = deque()
        self._calls: dict[int, _Slot] = {}
        self._call_ids: dict[int, str | None] = {}
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
        if self._summary is not None:
            item = compaction_item(self._stem, "".join(self._summary))
            self._out.append(self._writer.event("response.output_item.added", output_index=0, item=item))
            self._out.append(self._writer.event("response.output_item.done", output_index=0, item=item))
            self._output[0] = item
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
        if self._summary is not None:
            if choice.delta is not None and choice.delta.content:
                self._begin()
                self._summary.append(choice.delta.content)
            self._finish = choice.finish_reason or self._finish
            return
        delta = choice.delta
        if delta is not None:
            self._say(delta, choice)
        if choice.finish_reason:
            self._finish = choice.finish_reason
            self._begin()
            self._close_all()

    def _say(self, delta: Delta, choice: ChunkChoice) -> None:
        if delta.reasoning_details or delta.thought:
            self._think(delta)
        if delta.content:
            logprobs = [] if choice.logprobs == NULL else read_logprobs(choice.logprobs)
            slot, item = self._message()
            self._tell(slot, partial(item.text, delta.content, logprobs))
        if delta.annotations:
            slot, item = self._message()
            self._tell(slot, partial(item.note, delta.annotations))
        for image in delta.images or ():
            slot, item = self._message()
            self._tell(slot, partial(item.text, image.named(), []))
        if delta.refusal:
            slot, item = self._message()
            self._tell(slot, partial(item.refusal, delta.refusal))
        for call in delta.tool_calls or ():
            self._add_call(call)

    def _think(self, delta: Delta) -> None:
        details = delta.reasoning_details or []
        # A signed text went by in pieces before it was signed; another may not have.
        text = delta.thought or words(detail for detail in details if detail.signature is None)
        last = self._slots[-1] if self._slots else None
        item = None if last is None else last.item
        if not text and self._places and not isinstance(item, ReasoningItem):
            self._late += details
            return
        if last is None or not isinstance(item, ReasoningItem):
            place = self._next_place()
            item = ReasoningItem(self._writer, self._stem, place, summarised=self._summarised)
            last = self._add(item)
        if text:
            self._tell(last, partial(item.think, text))
        item.keep(details)

    def _message(self) -> tuple[_Slot, MessageItem]:
        last = self._slots[-1] if self._slots else None
        if last is not None and isinstance(last.item, MessageItem):
            return last, last.item
        place = self._next_place()
        item = MessageItem(self._writer, self._stem, place)
        return self._add(item), item

    def _add_call(self, delta: ToolCallDelta) -> None:
        slot = self._calls.get(delta.index)
        named = (delta.function and delta.function.name) or ""
        if slot is None or (named and delta.id and delta.id != self._call_ids[delta.index]):
            # Some servers number no calls: a new id with a name is a new call.
            if slot is not None and isinstance(slot.item, CallItem):
                slot.item.braces.closed = True
            place = self._next_place()
            slot = self._add(CallItem(self._writer, self._stem, place, delta, self._origin(named)))
            self._calls[delta.index] = slot
            self._call_ids[delta.index] = delta.id
        item = slot.item
        assert isinstance(item, CallItem)
        if named and not item.named:
            self._tell(slot, partial(item.name, self._origin(named)))
        piece = delta.function and delta.function.arguments
        if not piece:
            return
        if slot not in self._slots:
            if piece.strip():
                raise ProviderFault("protocol", 200)
            return
        self._tell(slot, partial(item.arguments, piece))
        item.braces.feed(piece)
        self._advance()

    def _origin(self, name: str) -> Origin:
        if self._toolbox is None:
            self._toolbox = Toolbox(self._call)
        return self._toolbox.origin(name)

    def _begin(self) -> dict[str, Any]:
        if self._begun is None:
            first = self._first
            self._stem = stem(self._call, first.id)
            self._begun = response(self._call, id=first.id, created=first.created, model=first.model)
            self._out.append(self._writer.event("response.created", response=self._begun))
            self._out.append(self._writer.event("response.in_progress", response=self._begun))
        return self._begun

    def _next_place(self) -> int:
        self._begin()
        self._places += 1
        return self._places - 1

    def _add(self, item: _Item) -> _Slot:
        """Put an item behind the others; it is open at once if the one before is whole."""
        slot = _Slot(item)
        self._slots.append(slot)
        if len(self._slots) == 1:
            self._out.append(item.open())
        else:
            self._advance()
        return slot

    def _tell(self, slot: _Slot, say: Callable[[], bytes]) -> None:
        if self._slots and slot is self._slots[0]:
            self._out.append(say())
        else:
            slot.later.append(say)
            self._advance()

    def _advance(self) -> None:
        """Close what is whole, and open what waits behind it."""
        while len(self._slots) > 1 and self._slots[0].may_close:
            self._open_next("completed")

    def _open_next(self, status: str) -> None:
        self._close(self._slots.popleft().item, status)
        if self._slots:
            slot = self._slots[0]
            self._out.append(slot.item.open())
            self._out += [say() for say in slot.later]
            slot.later.clear()

    def _close_all(self) -> None:
        while self._slots:
            self._open_next(item_status(self._finish, last=len(self._slots) == 1))
        self._calls, self._call_ids = {}, {}

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
