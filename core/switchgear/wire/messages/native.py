"""Streams of the Messages form for clients that speak it: passed on as they are, and mended where they are nearly right.

Servers that speak the form differ in what they leave out: the ends of blocks, their numbers, ids of tools, counts. Clients rely
on all of it, and a server's word is changed nowhere else.
"""

from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Head, StreamEvent
from switchgear.wire.chunks import own_id
from switchgear.wire.members import BROKEN
from switchgear.wire.mend import arguments_text, object_text, text, words
from switchgear.wire.messages.answer import own_name
from switchgear.wire.messages.form import Block, Delta, Event, read_tokens, stop_of
from switchgear.wire.messages.stream import EMPTY_INPUTS, NEEDED, MessagesDecoder, NotAnEventError

_NO_NAMES: Mapping[str, str] = MappingProxyType({})
_SAID_IN = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
"""Which member of a delta holds what it says."""
_KINDS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking"}
"""The kinds of blocks that a delta alone can begin."""
_GIVEN_AS = {"text": "text_delta", "thinking": "thinking_delta", "tool_use": "input_json_delta"}


class _Open(Struct):
    """A block that has begun: its number for the client, and what its beginning already said, which waits for a delta."""

    kind: str
    number: int
    given: str = ""
    said: list[str] = []

    def is_plain(self, index: float | None, delta: Delta) -> bool:
        """Say whether a piece of a text is told as it is."""
        return self.kind == "text" and index == self.number and not self.given and isinstance(delta.text, str)

    def is_over(self) -> bool:
        """Say whether nothing more can come once another block has begun: all but arguments that lack their end."""
        if self.kind != "tool_use":
            return True
        try:
            msgspec.json.decode("".join(self.said) or self.given)
        except (msgspec.DecodeError, RecursionError):
            return False
        return True


class NativeDecoder(MessagesDecoder):
    """Passes events on, each under its type as its name.

    `aliases` are the client's names of tools by those they have here.
    """

    __slots__ = ("_aliases", "_begun", "_ids", "_is_begun", "_open")

    def __init__(self, head: Head, aliases: Mapping[str, str] = _NO_NAMES) -> None:
        super().__init__(head)
        self._aliases = aliases
        self._is_begun = False
        self._begun = 0
        self._open: dict[float | None, _Open] = {}
        self._ids: dict[str, int] = {}

    def _take(self, event: Event, payload: bytes, events: list[StreamEvent]) -> None:
        kind = event.type
        if kind == "content_block_delta" and event.delta is not None:
            self._delta(event.index, event.delta, payload, events)
        elif kind == "content_block_start" and event.content_block is not None:
            self._start(event.index, event.content_block, payload, events)
        elif kind == "content_block_stop":
            self._stop(event.index, payload, events)
        elif kind == "message_delta":
            self._count(event.usage)
            self._close_all(events)
            payload = self._ended(event, payload)
            events.append(StreamEvent(payload, b"message_delta", usage=self._counts.usage()))
        elif kind == "message_stop" and self._is_begun:
            self._end(payload, events)
        elif kind == "message_start" and not self._is_begun and event.message is not None:
            self._is_begun = True
            self._count(event.message.usage)
            events.append(StreamEvent(_begun(payload), b"message_start"))
        elif kind in NEEDED or kind == "error" or not (kind.isascii() and kind.isidentifier()):
            raise NotAnEventError  # a name that is no word could end the line that it is written into
        else:
            events.append(StreamEvent(payload, kind.encode()))

    def _start(self, index: float | None, block: Block, payload: bytes, events: list[StreamEvent]) -> None:
        if not self._is_begun:
            raise NotAnEventError
        for at, other in list(self._open.items()):
            if at == index or other.is_over():
                self._close(at, events)
        opened = self._open[index] = _Open(block.type, self._begun)
        self._begun += 1
        content = len(block.text or "") + len(block.name or "") + len(block.data or "")
        mended: dict[str, Any] = {}
        if block.type == "tool_use":
            id = own_id(block.id or "", self._ids, f"{self.head.header(self.request_id_header)} {opened.number}")
            self._ids[id] = opened.number
            if block.input not in EMPTY_INPUTS:
                opened.given = object_text(bytes(block.input).decode())
            if id != block.id or block.input not in _NO_INPUT or block.name in self._aliases:
                mended = {"id": id, "input": {}}
        elif block.type in _GIVEN_AS:
            given = block.text if block.type == "text" else block.thinking
            opened.given = given or ""
            if given != "":
                mended = {block.type: ""}
        if mended or index != opened.number:
            whole = msgspec.json.decode(payload)
            said = own_name({**whole["content_block"], **mended}, self._aliases)
            payload = msgspec.json.encode({**whole, "index": opened.number, "content_block": said})
        events.append(StreamEvent(payload, b"content_block_start", content))

    def _delta(self, index: float | None, delta: Delta, payload: bytes, events: list[StreamEvent]) -> None:
        if (
            delta.type == "text_delta"
            and (opened := self._open.get(index)) is not None
            and opened.is_plain(index, delta)
        ):
            events.append(StreamEvent(payload, b"content_block_delta", len(delta.text)))
            return
        kind = _KINDS.get(delta.type)
        opened = self._found(index)
        if kind is not None and (opened is None or (opened.kind in _KINDS.values() and opened.kind != kind)):
            empty = {"thinking": "", "signature": ""} if kind == "thinking" else {"text": ""}
            begun = {"type": "content_block_start", "index": index, "content_block": {"type": kind, **empty}}
            self._start(index, Block(kind, text="", thinking=""), msgspec.json.encode(begun), events)
            opened = self._open[index]
        if opened is None:
            return  # arguments of nothing
        name = _SAID_IN.get(delta.type)
        said = getattr(delta, name) if name is not None else None
        if name is not None and said is None:
            return
        piece = said if said is None or isinstance(said, str) else _text(name, said)
        if name is not None and opened.given and piece:
            self._give(opened, piece, events)
        if piece and opened.kind == "tool_use":
            opened.said.append(piece)
        if index != opened.number or piece is not said:
            whole = msgspec.json.decode(payload)
            told = whole["delta"] if name is None else {**whole["delta"], name: piece}
            payload = msgspec.json.encode({**whole, "index": opened.number, "delta": told})
        events.append(StreamEvent(payload, b"content_block_delta", len(piece or "")))

    def _found(self, index: float | None) -> _Open | None:
        """Return the block that a delta goes on with: the last one where it has no number, or one that is nobody's."""
        if index in self._open:
            return self._open[index]
        last = next(reversed(self._open.values()), None)
        return last if last is not None and (index is None or last.kind == "tool_use") else None

    def _give(self, opened: _Open, first: str, events: list[StreamEvent]) -> None:
        """Say what a block's beginning held. Input is not said twice, and a text only if its first delta goes on with it."""
        if opened.given not in (first, "") and opened.kind != "tool_use":
            self._say(opened, events)
        opened.given = ""

    def _say(self, opened: _Open, events: list[StreamEvent]) -> None:
        kind = _GIVEN_AS[opened.kind]
        delta = {"type": kind, _SAID_IN[kind]: opened.given}
        self._tell("content_block_delta", events, len(opened.given), index=opened.number, delta=delta)
        opened.given = ""

    def _stop(self, index: float | None, payload: bytes, events: list[StreamEvent]) -> None:
        at = index if index is not None else next(reversed(self._open), None)
        if at not in self._open:
            return  # told already
        opened = self._open[at]
        if opened.given or index != opened.number:
            self._close(at, events)
        else:
            del self._open[at]
            events.append(StreamEvent(payload, b"content_block_stop"))

    def _close(self, at: float | None, events: list[StreamEvent]) -> None:
        opened = self._open.pop(at)
        if opened.given:
            self._say(opened, events)
        self._tell("content_block_stop", events, index=opened.number)

    def _close_all(self, events: list[StreamEvent]) -> None:
        for at in list(self._open):
            self._close(at, events)

    def _ended(self, event: Event, payload: bytes) -> bytes:
        """Return a `message_delta` that has counts, and stops for a reason of this form."""
        reason = None if event.delta is None else event.delta.stop_reason
        stop = stop_of(reason, called=bool(self._ids))
        newer = read_tokens(event.usage)
        if stop == reason and newer is not None and not self._counts.outlast(newer):
            return payload
        whole = msgspec.json.decode(payload)
        if stop != reason:
            whole["delta"]["stop_reason"] = stop
        if newer is None:
            whole["usage"] = {"output_tokens": self._counts.output_tokens or 0}
        else:
            whole["usage"] = {**whole["usage"], **self._counts.outlast(newer)}
        return msgspec.json.encode(whole)

    def _end(self, payload: bytes, events: list[StreamEvent]) -> None:
        self._close_all(events)
        if not self._stopped:
            delta = {"stop_reason": "tool_use" if self._ids else "end_turn", "stop_sequence": None}
            self._tell("message_delta", events, delta=delta, usage={"output_tokens": self._counts.output_tokens or 0})
        self.complete = True
        events.append(StreamEvent(payload, b"message_stop", 0, terminal=True, last=True))

    def _tell(self, kind: str, events: list[StreamEvent], content: int = 0, **members: Any) -> None:
        events.append(StreamEvent(msgspec.json.encode({"type": kind, **members}), kind.encode(), content))


_NO_INPUT = (Raw(b"{}"), Raw(b"{ }"))


def _text(name: str | None, value: Any) -> str:
    return arguments_text(value) if name == "partial_json" else words(value)


def _begun(payload: bytes) -> bytes:
    """Return a `message_start` whose message has what clients count and add to."""
    whole = msgspec.json.decode(payload)
    message = whole["message"]
    usual = {
        "id": f"msg_{sha256(payload).hexdigest()[:24]}",
        "content": [],
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }
    missing = {name: value for name, value in usual.items() if not isinstance(message.get(name), type(value))}
    return msgspec.json.encode({**whole, "message": {**message, **missing}}) if missing else payload


def message_of(head: Head, body: bytes, aliases: Mapping[str, str]) -> bytes:
    """Return the message that a stream tells, which came where a whole one was asked for.

    Raises `ProviderFault` and `ConnectionBroken`, as the decoder of the stream does.
    """
    decoder = NativeDecoder(head, aliases)
    message: dict[str, Any] = {}
    blocks: dict[int, tuple[dict[str, Any], dict[str, list[Any]]]] = {}
    for event in decoder.feed(body):
        if event.fault is not None:
            raise event.fault
        told = msgspec.json.decode(event.data)
        if event.name == b"message_start":
            message = told["message"]
        elif event.name == b"content_block_start":
            blocks[told["index"]] = (told["content_block"], {})
        elif event.name == b"content_block_delta":
            for name, said in told["delta"].items():
                if name in _ADDED:
                    blocks[told["index"]][1].setdefault(name, []).append(said)
        elif event.name == b"message_delta":
            message.update(told.get("delta") or {}, usage={**message["usage"], **told["usage"]})
    decoder.close()
    return msgspec.json.encode({**message, "content": [_put_together(*block) for block in blocks.values()]})


_ADDED = ("text", "thinking", "signature", "partial_json", "citation")


def _put_together(block: dict[str, Any], said: dict[str, list[Any]]) -> dict[str, Any]:
    citations, arguments = said.pop("citation", None), said.pop("partial_json", None)
    if citations is not None:
        block["citations"] = citations
    if arguments is not None:
        with suppress(*BROKEN):  # one that was cut has no input
            block["input"] = msgspec.json.decode("".join(arguments) or "{}")
    return {**block, **{name: "".join(map(text, pieces)) for name, pieces in said.items()}}
