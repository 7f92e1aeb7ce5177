"""Blocks one after another, made of deltas that may interleave. Wire: platform.claude.com/docs/en/build-with-claude/streaming.

A Messages stream has one block open at a time; canonical deltas of several tool calls may alternate. The first call is told as
it comes. What comes for others waits until the open call's arguments, a JSON object, are whole, or the stream ends.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from switchgear.contracts.provider import ProviderFault
from switchgear.errors import ResponseTooLarge
from switchgear.wire.braces import Braces
from switchgear.wire.sse import encode_event

TEXT = "text"
THINKING = "thinking"
TOOL = "tool_use"
REDACTED = "redacted_thinking"

_MOST_WAITING = 8 * 1024 * 1024
_EMPTY: dict[str, dict[str, Any]] = {
    TEXT: {"type": TEXT, "text": "", "citations": None},
    THINKING: {"type": THINKING, "thinking": "", "signature": ""},
}
_DELTAS = {
    TEXT: b'{"type":"text_delta","text":%b}}',
    THINKING: b'{"type":"thinking_delta","thinking":%b}}',
    TOOL: b'{"type":"input_json_delta","partial_json":%b}}',
}
_encode = msgspec.json.Encoder().encode


class _Block:
    """One block: open, or waiting with what is already known of it."""

    __slots__ = ("braces", "delta", "done", "head", "id", "kind", "pieces", "signature")

    def __init__(self, kind: str, head: dict[str, Any]) -> None:
        self.kind = kind
        self.head = head
        self.id: str | None = head.get("id")
        self.braces = Braces() if kind == TOOL else None
        self.done = kind == REDACTED  # nothing can be added
        self.signature: str | None = None
        self.pieces: list[str] = []
        self.delta = b""

    @property
    def may_close(self) -> bool:
        """Whether the next block may begin."""
        return self.braces is None or self.braces.closed or self.done


class Sequence:
    """Turns what a model says into block events; every method returns the bytes of the events it gives rise to.

    `called` says whether a tool was called. Raises `ResponseTooLarge` if too much has to wait, and `ProviderFault` (`protocol`)
    for more arguments behind the end of a call's.
    """

    __slots__ = ("_held", "_index", "_open", "_tools", "_waiting", "called")

    def __init__(self) -> None:
        self._index = -1
        self._open: _Block | None = None
        self._waiting: list[_Block] = []
        self._held = 0
        self._tools: dict[int, _Block] = {}
        self.called = False

    def text(self, piece: str) -> bytes:
        """Go on with the text, or begin one."""
        block = self._open
        if block is not None and block.kind is TEXT and not self._waiting:
            return self._delta(block, piece)
        return b"".join(self._say(TEXT, piece))

    def cite(self, citation: dict[str, Any]) -> bytes:
        """Say where the open text was found; nothing where none is open."""
        if self._open is None or self._open.kind is not TEXT:
            return b""
        delta = b'{"type":"citations_delta","citation":%b}' % _encode(citation)
        data = b'{"type":"content_block_delta","index":%d,"delta":%b}' % (self._index, delta)
        return encode_event(data, b"content_block_delta")

    def thinking(self, piece: str) -> bytes:
        """Go on with the thinking, or begin some."""
        return b"".join(self._say(THINKING, piece))

    def sign(self, text: str, signature: str) -> bytes:
        """Sign the thinking that went by, or say and sign `text` if none is unsigned."""
        last = self._last()
        if last is not None and last.kind is THINKING and not last.done:
            return b"".join(self._sign(last, signature))
        block = _Block(THINKING, _EMPTY[THINKING])
        out = [*self._begin(block)]
        if text:
            out += self._add(block, text)
        return b"".join([*out, *self._sign(block, signature)])

    def redacted(self, data: str) -> bytes:
        """Give a block of encrypted thinking."""
        self._hold(len(data))
        return b"".join(self._begin(_Block(REDACTED, {"type": REDACTED, "data": data})))

    def tool(self, place: int, id: str, name: str) -> bytes:
        """Begin the tool call number `place`; one that was begun under this number is over."""
        self.called = True
        before = self._tools.get(place)
        if before is not None:
            before.done = True
        block = self._tools[place] = _Block(
            TOOL, {"type": TOOL, "id": id, "name": name, "input": {}, "caller": {"type": "direct"}}
        )
        out = [*self._advance()] if before is not None else []
        return b"".join([*out, *self._begin(block)])

    def tool_id(self, place: int) -> str | None:
        """Return the id of the tool call number `place`, None if there is none yet."""
        block = self._tools.get(place)
        return None if block is None else block.id

    def arguments(self, place: int, piece: str) -> bytes:
        """Go on with the arguments of a tool call that was begun."""
        block = self._tools[place]
        if block is not self._open and block not in self._waiting:
            if piece.strip():
                raise ProviderFault("protocol", 200)
            return b""
        out = [*self._add(block, piece)]
        if block is self._open:
            out += self._advance()
        return b"".join(out)

    def end(self) -> bytes:
        """Tell what waits and close the last block."""
        out: list[bytes] = []
        while self._open is not None:
            self._open.done = True
            if self._waiting:
                out += self._advance()
            else:
                out.append(self._close())
        return b"".join(out)

    def _last(self) -> _Block | None:
        return self._waiting[-1] if self._waiting else self._open

    def _say(self, kind: str, piece: str) -> Iterator[bytes]:
        last = self._last()
        if last is None or last.kind is not kind or last.done:
            last = _Block(kind, _EMPTY[kind])
            yield from self._begin(last)
        yield from self._add(last, piece)

    def _begin(self, block: _Block) -> Iterator[bytes]:
        """Open a block, or let it wait for its turn."""
        if self._open is None or (self._open.may_close and not self._waiting):
            if self._open is not None:
                yield self._close()
            yield self._start(block)
        else:
            self._hold(len(str(block.head)))
            self._waiting.append(block)

    def _add(self, block: _Block, piece: str) -> Iterator[bytes]:
        if block.braces is not None:
            block.braces.feed(piece)
        if block is self._open:
            yield self._delta(block, piece)
        else:
            self._hold(len(piece))
            block.pieces.append(piece)

    def _sign(self, block: _Block, signature: str) -> Iterator[bytes]:
        block.done = True
        block.signature = signature
        if block is self._open:
            yield self._signature(signature)

    def _advance(self) -> Iterator[bytes]:
        """Tell the blocks that wait, as far as each is whole."""
        while self._waiting and self._open is not None and self._open.may_close:
            yield self._close()
            block = self._waiting.pop(0)
            yield self._start(block)
            if block.pieces:
                yield self._delta(block, "".join(block.pieces))
            if block.signature is not None:
                yield self._signature(block.signature)
            block.pieces = []
        if not self._waiting:
            self._held = 0

    def _hold(self, size: int) -> None:
        if self._waiting:
            self._held += size
            if self._held > _MOST_WAITING:
                raise ResponseTooLarge(f"tool calls that came mixed up hold more than {_MOST_WAITING} bytes")

    def _start(self, block: _Block) -> bytes:
        self._index += 1
        self._open = block
        if block.kind is not REDACTED:
            block.delta = b'{"type":"content_block_delta","index":%d,"delta":' % self._index + _DELTAS[block.kind]
        head = _encode(block.head)
        data = b'{"type":"content_block_start","index":%d,"content_block":%b}' % (self._index, head)
        return encode_event(data, b"content_block_start")

    def _close(self) -> bytes:
        self._open = None
        return encode_event(b'{"type":"content_block_stop","index":%d}' % self._index, b"content_block_stop")

    def _delta(self, block: _Block, piece: str) -> bytes:
        return encode_event(block.delta % _encode(piece), b"content_block_delta")

    def _signature(self, signature: str) -> bytes:
        delta = b'{"type":"signature_delta","signature":%b}' % _encode(signature)
        data = b'{"type":"content_block_delta","index":%d,"delta":%b}' % (self._index, delta)
        return encode_event(data, b"content_block_delta")
