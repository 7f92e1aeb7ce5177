"""One connection of the fault upstream: requests in, played scripts out, the client's leaving noted."""

import asyncio
import time
from collections import deque
from typing import Protocol, cast

import httptools

from switchgear.testing.upstream.ledger import Entry
from switchgear.testing.upstream.player import Cut, Player, delivered
from switchgear.testing.upstream.reply import Reply
from switchgear.testing.upstream.script import Script


class Request:
    """One parsed request."""

    def __init__(self) -> None:
        self.method = ""
        self.target = b""
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.arrived_at = time.monotonic()

    @property
    def path(self) -> str:
        return self.target.partition(b"?")[0].decode("latin-1")

    @property
    def query(self) -> str:
        return self.target.partition(b"?")[2].decode("latin-1")


class Upstream(Protocol):
    """What a connection needs of its server."""

    connections: "set[Connection]"
    failures: list[BaseException]

    def admit(self, request: Request, connection: "Connection") -> tuple[Script, Entry, Reply]: ...


class Connection(asyncio.Protocol):
    """Answers one request after another, in order, and sees when the peer goes."""

    transport: asyncio.Transport

    def __init__(self, upstream: Upstream, number: int) -> None:
        self._upstream = upstream
        self.number = number
        self.control = False
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._pending: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._entry: Entry | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        # What is written is at the kernel before more is made. Through TLS a limit of 0 would never be undershot.
        self.transport.set_write_buffer_limits(high=0 if transport.get_extra_info("sslcontext") is None else 1)
        self._upstream.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio names it
        self._upstream.connections.discard(self)
        self._peer_left()

    def eof_received(self) -> bool:
        self._peer_left()
        return False

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._upstream.failures.append(error)
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()

    # httptools

    def on_message_begin(self) -> None:
        self._request = Request()

    def on_url(self, url: bytes) -> None:
        self._request.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._request.method = self._parser.get_method().decode()
        if self._request.headers.get("expect", "").lower() == "100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._request.body += body

    def on_message_complete(self) -> None:
        self._request.arrived_at = time.monotonic()
        self._pending.append(self._request)
        self._next()

    # Ours

    async def stop(self) -> None:
        """Reset the connection and wait for its task."""
        if self._entry is not None:
            self._entry.close("stopped")
        self.transport.abort()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _next(self) -> None:
        if self._task is None and self._pending:
            request = self._pending.popleft()
            script, self._entry, reply = self._upstream.admit(request, self)
            player = Player(script, self._entry, self.transport, self._writable.wait)
            self._task = asyncio.get_running_loop().create_task(_run(player, reply, self.transport))
            self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._task = self._entry = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._upstream.failures.append(error)
            self.transport.abort()
        elif not self.transport.is_closing():
            self._next()

    def _peer_left(self) -> None:
        if self._entry is not None and self._entry.finish == "open":
            self._entry.client_closed_at = time.monotonic()
            self._entry.close("client_gone")
        if self._task is not None:
            self._task.cancel()
            self.transport.abort()


async def _run(player: Player, reply: Reply, transport: asyncio.Transport) -> None:
    """Play a reply and close the connection if the script or the framing says so."""
    try:
        if not await player.play(reply):
            await delivered(transport)
            transport.close()
    except Cut:
        pass
