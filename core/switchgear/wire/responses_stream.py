"""Streams of response events: passed on as they are, and mended where they are nearly right.

Clients take items from where each of them likes: from the events that end them, or from the closing event. Servers that speak
the form leave out the one or the other.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Call, Head, ProviderFault, StreamEvent
from switchgear.errors import ConnectionBroken
from switchgear.wire.chat import Misdelivered, cut, decode_fault, failed
from switchgear.wire.fit.tool_names import with_own_names
from switchgear.wire.halves import Halves
from switchgear.wire.members import BROKEN
from switchgear.wire.responses import Response, ResponseError, decode_response, mended_item, read_usage, response_fault
from switchgear.wire.sse import SSEParser
from switchgear.wire.texts import first

_NULL = Raw(b"null")
_NOTHING = (b"", b"null", b"[DONE]")
_ENDS = {"response.completed", "response.incomplete", "response.done"}
_FAILURES = {"response.failed", "error"}


class _Item(Struct, gc=False):
    type: str = ""
    id: str | None = None
    call_id: str | None = None
    content: Raw = _NULL
    arguments: Raw = _NULL

    def is_odd(self) -> bool:
        """Say whether it lacks the types of the form."""
        if self.type == "function_call":
            return not self.call_id or first(self.arguments) != b'"'
        return first(self.content) == b'"'


class _Event(Struct, gc=False):
    type: str
    delta: Raw = _NULL
    output_index: int | None = None
    item: Raw = _NULL


class _Closing(Struct):
    response: Response


class _ErrorEvent(ResponseError):
    error: ResponseError | None = None


_event_decoder = msgspec.json.Decoder(_Event)
_item_decoder = msgspec.json.Decoder(_Item)
_closing_decoder = msgspec.json.Decoder(_Closing)
_error_decoder = msgspec.json.Decoder(_ErrorEvent)


class ResponsesDecoder:
    """Decodes a stream of response events, whose names are kept. Complete means: its closing event was seen."""

    __slots__ = ("_added", "_aliases", "_body", "_created", "_done", "_halves", "_head", "_more", "_sse", "_terminal")

    def __init__(self, call: Call, head: Head) -> None:
        self._aliases = call.aliases
        self._sse = SSEParser()
        self._body: Misdelivered | None = Misdelivered(head)
        self._head = head
        self._terminal = False
        self._halves = Halves()
        self._created = b""
        self._more = 0
        self._added: set[int] = set()
        self._done: dict[int, Raw] = {}

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take a piece of the body; return the events it completes."""
        events: list[StreamEvent] = []
        if self._body is not None and self._body.is_stream(data):
            self._body = None
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
            self._take(with_own_names(payload, self._aliases), events)
            if events and events[-1].last:
                break
        return events

    def close(self) -> None:
        """The body has ended. Raises `ConnectionBroken` unless the stream was complete."""
        if self._body is not None and self._body.found():
            raise decode_fault(self._head.status, self._body.found(), self._head)
        if not self._terminal:
            raise cut(self._head)

    def _take(self, data: bytes, events: list[StreamEvent]) -> None:
        try:
            event, data = self._halves.decode(_event_decoder, data)
            kind = event.type
            if not (kind.isascii() and kind.isprintable()):
                events.append(failed(ProviderFault("protocol", 200)))
                return
            if self._more:
                data = msgspec.json.encode(_later(msgspec.json.decode(data), self._more))
            if event.item != _NULL and event.output_index is not None:
                self._item(event, event.output_index, data, events)
            elif kind in _ENDS:
                self._end(kind, data, events)
            elif kind in _FAILURES:
                error = _closing_decoder.decode(data).response.error if kind == "response.failed" else _told_error(data)
                events.append(failed(response_fault(error or ResponseError(), self._head)))
            else:
                self._pass_on(event, data, events)
        except BROKEN:
            events.append(failed(decode_fault(200, data, self._head)))

    def _pass_on(self, event: _Event, data: bytes, events: list[StreamEvent]) -> None:
        said = 0
        if event.delta != _NULL:
            said = max(len(event.delta) - 2, 0)
        elif event.type == "response.created":
            self._created = data
        elif event.type.endswith(".delta"):
            return
        # The name is the type: taken from there it is known to be one line, and servers that send none get one.
        events.append(StreamEvent(data, event.type.encode(), said))

    def _item(self, event: _Event, index: int, data: bytes, events: list[StreamEvent]) -> None:
        """Tell that an item begins or ends. One that only ends begins first."""
        name = event.type.encode()
        if _item_decoder.decode(event.item).is_odd():
            whole = msgspec.json.decode(data)
            whole["item"] = mended_item(whole["item"], {}, f"{self._created!r} {index}")
            data = msgspec.json.encode(whole)
            event.item = Raw(msgspec.json.encode(whole["item"]))
        if event.type == "response.output_item.done":
            if index not in self._added and self._created:
                ended = msgspec.json.decode(data)
                begun = {**ended, "type": "response.output_item.added"}
                events.append(StreamEvent(msgspec.json.encode(begun), b"response.output_item.added"))
                data = msgspec.json.encode(_later(ended, 1))
                self._more += 1
            self._done[index] = event.item
        self._added.add(index)
        events.append(StreamEvent(data, name))

    def _end(self, kind: str, data: bytes, events: list[StreamEvent]) -> None:
        response = _closing_decoder.decode(data).response
        if response.status == "failed" and response.error is not None:
            events.append(failed(response_fault(response.error, self._head)))
            return
        if kind == "response.done":
            kind = "response.incomplete" if response.status == "incomplete" else "response.completed"
            data = msgspec.json.encode({**msgspec.json.decode(data), "type": kind})
        if self._created and kind == "response.completed" and len(response.output or ()) != len(self._done):
            data = self._made_whole(data, events)
        self._terminal = True
        usage = read_usage(response.usage)
        events.append(StreamEvent(data, kind.encode(), terminal=True, last=True, usage=usage))

    def _made_whole(self, data: bytes, events: list[StreamEvent]) -> bytes:
        """Tell the items that only the closing event has, and return it with those that it lacks."""
        closing = msgspec.json.decode(data)
        output = closing["response"].get("output")
        if not output:
            closing["response"]["output"] = [self._done[index] for index in sorted(self._done)]
            return msgspec.json.encode(closing)
        known = {_item_decoder.decode(item).id for item in self._done.values()}
        for index, item in enumerate(output):
            if not isinstance(item, dict) or index in self._done or item.get("id") in known - {None}:
                continue
            for kind in ("response.output_item.added", "response.output_item.done"):
                if kind.endswith("added") and index in self._added:
                    continue
                number = {"sequence_number": closing["sequence_number"]} if "sequence_number" in closing else {}
                told = {"type": kind, **number, "output_index": index, "item": item}
                closing = _later(closing, 1)
                events.append(StreamEvent(msgspec.json.encode(told), kind.encode(), len(str(item))))
        return msgspec.json.encode(closing)


def _later(event: dict[str, Any], more: int) -> dict[str, Any]:
    """Return an event in front of which so many more were told than it counts."""
    number = event.get("sequence_number")
    return {**event, "sequence_number": number + more} if isinstance(number, int) else event


def _told_error(data: bytes) -> ResponseError:
    said = _error_decoder.decode(data)
    return said.error or said


def response_of(call: Call, head: Head, body: bytes) -> bytes:
    """Return the response that a stream ends with, which came where a whole one was asked for.

    Raises `ProviderFault` and `ConnectionBroken`, as the decoder of the stream does.
    """
    decoder = ResponsesDecoder(call, head)
    for event in decoder.feed(body):
        if event.fault is not None:
            raise event.fault
        if event.last:
            return msgspec.json.encode(msgspec.json.decode(event.data)["response"])
    decoder.close()
    raise ConnectionBroken("the provider's stream ended before its end was marked")


def _told_at_once(body: bytes, head: Head) -> list[bytes]:
    """Return the events of a response that came whole where a stream was asked for; none for what is no response."""
    try:
        response: dict[str, Any] = msgspec.json.decode(decode_response(body, head).body)
    except ProviderFault:
        return []
    return [msgspec.json.encode({**event, "sequence_number": number}) for number, event in enumerate(_events(response))]


def _events(response: dict[str, Any]) -> Iterator[dict[str, Any]]:
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    for place, item in enumerate(response["output"]):
        yield {"type": "response.output_item.added", "output_index": place, "item": item}
        yield {"type": "response.output_item.done", "output_index": place, "item": item}
    ended = "response.incomplete" if response.get("status") == "incomplete" else "response.completed"
    yield {"type": ended, "response": response}
