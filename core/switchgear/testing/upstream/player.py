"""Plays a reply onto a socket with the script's faults, exact to the byte."""

import asyncio
import fcntl
import socket
import struct
import termios
import time
from collections.abc import Awaitable, Callable, Iterable

from switchgear.testing.upstream.ledger import Entry
from switchgear.testing.upstream.reply import Piece, Reply, gzipped
from switchgear.testing.upstream.script import Script

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


class Cut(Exception):
    """The script ended the connection here."""


async def for_ever() -> None:
    """Wait until cancelled."""
    await asyncio.get_running_loop().create_future()


def hang_up(transport: asyncio.WriteTransport, *, reset: bool) -> None:
    """Close a connection: FIN after what was written, or RST (`SO_LINGER` 0)."""
    raw = transport.get_extra_info("socket")
    if not reset or raw is None or raw.fileno() < 0:
        transport.close()
        return
    with socket.fromfd(raw.fileno(), raw.family, raw.type) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def delivered(transport: asyncio.WriteTransport, timeout_s: float = 2.0) -> None:
    """Wait until the peer's kernel has everything, because a reset throws away what is still queued here."""
    raw = transport.get_extra_info("socket")
    deadline = time.monotonic() + timeout_s
    while raw is not None and raw.fileno() >= 0 and time.monotonic() < deadline:
        queued = struct.unpack("i", fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0]
        if queued == 0 and transport.get_write_buffer_size() == 0:
            return
        await asyncio.sleep(0.001)


class Player:
    """One reply on its way. `play` returns whether the connection may be used again; raises `Cut`."""

    def __init__(
        self,
        script: Script,
        entry: Entry,
        transport: asyncio.Transport,
        drained: Callable[[], Awaitable[object]],
    ) -> None:
        self._script, self._entry, self._transport, self._drained = script, entry, transport, drained
        self._raw_sent = 0
        self._body_sent = 0
        self._chunked = self._truncated = self._reusable = False

    async def play(self, reply: Reply) -> bool:
        script, entry = self._script, self._entry
        if script.bill == "all":
            entry.prompt_tokens, entry.completion_tokens = reply.prompt_tokens, reply.completion_tokens
        if script.delay_ms:
            await asyncio.sleep(script.delay_ms / 1000)
        if script.hang:
            await for_ever()
        pieces = self._shaped(reply)
        await self._head(reply, pieces)
        if script.bill == "wire" and 200 <= reply.status < 300:
            entry.prompt_tokens = reply.prompt_tokens
            if not reply.streamed:
                entry.completion_tokens = reply.completion_tokens
        await self._body(pieces, bill=script.bill == "wire" and reply.streamed)
        if self._chunked:
            await self._write(b"0\r\n\r\n")
        entry.close("cut" if self._truncated else "complete")
        return self._reusable

    def _shaped(self, reply: Reply) -> Iterable[Piece]:
        script = self._script
        pieces = reply.pieces
        if script.gzip:
            pieces = gzipped(pieces, flush_each=reply.streamed)
        if script.cut_how == "clean":
            pieces, self._truncated = _truncated(pieces, script.cut_at, script.cut_after_chunks)
        framing = script.framing
        if framing == "auto":
            framing = "chunked" if reply.streamed or not isinstance(pieces, list) else "length"
        if framing == "length":
            pieces = list(pieces)
        self._chunked = framing == "chunked"
        self._reusable = script.keep_alive and framing != "close"
        return pieces

    async def _head(self, reply: Reply, pieces: Iterable[Piece]) -> None:
        script = self._script
        headers = {**reply.headers, "x-request-id": self._entry.id, "server": "faultup"}
        if script.gzip:
            headers["content-encoding"] = "gzip"
        if self._chunked:
            headers["transfer-encoding"] = "chunked"
        elif isinstance(pieces, list) and script.framing != "close":
            headers["content-length"] = str(sum(len(piece.data) for piece in pieces))
        if not self._reusable:
            headers["connection"] = "close"
        if script.huge_header:
            headers["x-padding"] = "a" * script.huge_header
        headers.update(script.headers)
        lines = [f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        await self._write("\r\n".join([*lines, "", ""]).encode())
        self._entry.status = reply.status

    async def _body(self, pieces: Iterable[Piece], *, bill: bool) -> None:
        script, entry = self._script, self._entry
        chunks, first = 0, True
        for piece in pieces:
            if chunks > 0 or piece.content:
                await self._at_chunk(chunks)
            if not first and script.chunk_delay_ms:
                await asyncio.sleep(script.chunk_delay_ms / 1000)
            first = False
            if piece.data:
                await self._piece(piece.data)
            if bill:
                entry.completion_tokens += piece.tokens
            chunks += piece.content
        await self._at_chunk(chunks)
        await self._marks(self._body_sent, self._body_sent + 1)

    async def _at_chunk(self, chunks: int) -> None:
        if self._script.stall_after_chunks == chunks:
            await self._stall()
        if self._script.cut_after_chunks == chunks and self._script.cut_how != "clean":
            await self._cut()

    async def _piece(self, data: bytes) -> None:
        start, self._body_sent = self._body_sent, self._body_sent + len(data)
        if self._entry.answer is not None:
            self._entry.answer += data
        frame = b"%x\r\n" % len(data) if self._chunked else b""
        at = start
        for mark in self._stops(start, start + len(data)):
            if mark > at:
                await self._write(frame + data[at - start : mark - start])
                self._entry.body_bytes += mark - at
                frame, at = b"", mark
            await self._marks(mark, mark + 1)
        await self._write(frame + data[at - start :] + (b"\r\n" if self._chunked else b""))
        self._entry.body_bytes += start + len(data) - at

    def _stops(self, start: int, end: int) -> list[int]:
        """Return the body offsets in [start, end) before which a write ends."""
        script = self._script
        stops = {*script.splits, script.stall_at}
        if script.cut_of == "body" and script.cut_how != "clean":
            stops.add(script.cut_at)
        if every := script.split_every:
            stops.update(range(start + -start % every, end, every))
        return sorted(stop for stop in stops if stop is not None and start <= stop < end)

    async def _marks(self, start: int, end: int) -> None:
        """Do what the script has for body offsets in [start, end)."""
        script = self._script
        if script.stall_at is not None and start <= script.stall_at < end:
            await self._stall()
        cut_at = script.cut_at if script.cut_of == "body" and script.cut_how != "clean" else None
        if cut_at is not None and start <= cut_at < end:
            await self._cut()
        if script.splits or script.split_every:
            await asyncio.sleep(0.0005)  # one write, one read at the other end, as far as TCP allows

    async def _stall(self) -> None:
        if self._script.stall_ms is None:
            await for_ever()
        else:
            await asyncio.sleep(self._script.stall_ms / 1000)

    async def _cut(self) -> None:
        reset = self._script.cut_how == "rst"
        if reset:
            await delivered(self._transport)
        self._entry.close("cut")
        hang_up(self._transport, reset=reset)
        raise Cut

    async def _write(self, data: bytes) -> None:
        script = self._script
        cut_at = script.cut_at if script.cut_of == "raw" else None
        if cut_at is not None and self._raw_sent <= cut_at < self._raw_sent + len(data):
            await self._send(data[: cut_at - self._raw_sent])
            await self._cut()
        await self._send(data)

    async def _send(self, data: bytes) -> None:
        step = self._script.drip_bytes or max(1, len(data))
        for at in range(0, len(data), step):
            if at:
                await asyncio.sleep(self._script.drip_ms / 1000)
            part = data[at : at + step]
            if self._entry.first_byte_at is None:
                self._entry.first_byte_at = time.monotonic()
            self._transport.write(part)
            self._raw_sent += len(part)
            await self._drained()


def _truncated(pieces: Iterable[Piece], cut_at: int | None, after_chunks: int | None) -> tuple[list[Piece], bool]:
    """Return the pieces up to a body offset or a number of content chunks, and whether any is left out."""
    kept: list[Piece] = []
    size = chunks = 0
    for piece in pieces:
        if after_chunks is not None and chunks >= after_chunks and (chunks > 0 or piece.content):
            return kept, True
        if cut_at is not None and size + len(piece.data) > cut_at:
            kept.append(Piece(piece.data[: cut_at - size]))
            return kept, True
        kept.append(piece)
        size += len(piece.data)
        chunks += piece.content
    return kept, False
