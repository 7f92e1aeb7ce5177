"""A real server on loopback that plays a script on every connection."""

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from msgspec import Struct

Script = Callable[["Line"], Awaitable[None]]


class Request(Struct):
    """A request as it came in. `lines` are the header lines, names lower case."""

    start: str
    lines: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.lines if key == name), None)


class Line:
    """The server's side of one connection."""

    def __init__(self, peer: "Peer", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peer = peer
        self.reader = reader
        self.writer = writer

    async def request(self) -> Request:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("utf-8")
        start, *rest = head.split("\r\n")
        lines = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in rest if line)]
        request = Request(start=start, lines=lines, body=b"")
        request.body = await self.reader.readexactly(int(request.header("content-length") or 0))
        self.peer.requests.append(request)
        return request

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def gone(self) -> None:
        """Wait until the client closes the connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Peer:
    """Counts connections and keeps the requests it read."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self._script = script
        self._tls = tls
        self._host = host
        self._lines: set[asyncio.Task[None]] = set()
        self.requests: list[Request] = []
        self.open = 0
        self.accepted = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://{self._host}:{self.port}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, self._host, 0, ssl=self._tls, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._server.close()
        for task in list(self._lines):
            task.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(Line(self, reader, writer)))
        self._lines.add(task)
        task.add_done_callback(self._lines.discard)

    async def _serve(self, line: Line) -> None:
        self.open += 1
        self.accepted += 1
        try:
            await self._script(line)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left in the middle of the script
        finally:
            self.open -= 1
            line.writer.close()


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> float:
    """Wait until a condition holds and return how long that took; fail when it does not in time."""
    start = time.monotonic()
    while not condition():
        waited = time.monotonic() - start
        assert waited < seconds, f"still not so after {waited:.1f} s"
        await asyncio.sleep(0.002)
    return time.monotonic() - start


def plays(data: bytes) -> Script:
    """Answer each connection's first request with these bytes, then close."""

    async def script(line: Line) -> None:
        await line.request()
        await line.send(data)

    return script


async def answers(line: Line) -> None:
    """Answer every request with its own body."""
    while True:
        request = await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(request.body) + request.body)


async def hangs(line: Line) -> None:
    """Read the request and never answer."""
    await line.request()
    await line.gone()
