"""What a test of the edge needs: an application that does many things, and a client that writes raw bytes."""

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from support.stopwatch import Stopwatch, at_most
from switchgear.edge.asgi import AsgiRequest

App = Callable[..., Awaitable[None]]


async def until(condition: Callable[[], object], within: float = 3.0) -> float:
    """Wait for a condition, polling; return the seconds it took, or fail."""
    watch = Stopwatch()
    while not condition():
        assert watch.wall_s < within or watch.s < within, f"the condition did not come true in {watch!r}"
        await asyncio.sleep(0.005)
    return watch.s


class Client:
    """One connection; everything sent and received is bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Read one answer's status and headers."""
        text = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)).decode("latin-1")
        status, *lines = text.strip().split("\r\n")
        return int(status.split(" ")[1]), dict(line.split(": ", 1) for line in lines)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read one answer with a content-length."""
        status, headers = await self.head()
        return status, headers, await asyncio.wait_for(self.reader.readexactly(int(headers["content-length"])), 5)

    async def rest(self, within: float = 5) -> bytes:
        """Read to the connection's end, however it ends."""
        pieces = []
        async with at_most(within):
            try:
                while piece := await self.reader.read(65536):
                    pieces.append(piece)
            except ConnectionError:
                pieces.append(b"")
        return b"".join(pieces)

    async def refusal(self, within: float = 5) -> tuple[int, str]:
        """Read an error answer of the edge, check its shape and that the connection ends with it."""
        raw = await self.rest(within)
        head, _, body = raw.partition(b"\r\n\r\n")
        assert body, f"no answer but {raw!r}"
        status = int(head.split(b" ")[1])
        error = json.loads(body)["error"]
        assert {"message", "type", "param", "code"} == set(error)
        lines = head.decode().lower().split("\r\n")
        assert "connection: close" in lines
        assert f"content-length: {len(body)}" in lines
        assert any(line.startswith("x-request-id: ") and len(line) == len("x-request-id: ") + 32 for line in lines)
        return status, error["code"]

    async def close(self) -> None:
        self.writer.transport.abort()


class Edge:
    """A running server: where it is, what reached the application, what was refused."""

    def __init__(self) -> None:
        self.port = 0
        self.refused: Counter[str] = Counter()
        self.seen: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.peers: list[AsgiRequest] = []
        self.lost: list[float] = []
        self.sent = 0
        self.proceed = asyncio.Event()
        self.stop = asyncio.Event()
        self.ended: Counter[str] = Counter()
        self.clients = AsyncExitStack()

    async def connect(self, *, receive_buffer: int | None = None) -> Client:
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        client = Client(*await asyncio.open_connection(sock=sock, limit=65536 if receive_buffer is None else 256))
        self.clients.push_async_callback(client.close)
        return client

    async def ask(self, data: bytes) -> Client:
        client = await self.connect()
        await client.send(data)
        return client

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer by path; `/` echoes the body once it is whole."""
        self.seen.append(scope)
        peer = scope["switchgear.request"]
        self.peers.append(peer)
        peer.on_lost = lambda: self.lost.append(time.monotonic())
        try:
            await getattr(self, "on_" + scope["path"].strip("/").replace("-", "_"), self.on_)(receive, send)
        finally:
            self.ended[scope["path"]] += 1

    async def body(self, receive: Any) -> bytes:
        pieces, more = [], True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                break
            pieces.append(message["body"])
            more = message["more_body"]
        self.bodies.append(b"".join(pieces))
        return self.bodies[-1]

    async def reply(self, send: Any, body: bytes, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
        head = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body)), *headers]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})

    async def on_(self, receive: Any, send: Any) -> None:
        await self.reply(send, await self.body(receive))

    async def on_unread(self, _receive: Any, send: Any) -> None:
        await self.reply(send, b"no", 401)

    async def on_wait(self, receive: Any, send: Any) -> None:
        await self.body(receive)
        await self.proceed.wait()
        await self.reply(send, b"waited")

    async def on_hold_body(self, receive: Any, send: Any) -> None:
        await self.proceed.wait()
        await self.on_(receive, send)

    async def on_stream(self, receive: Any, send: Any) -> None:
        await self.body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await self.proceed.wait()
        await send({"type": "http.response.body", "body": b"last", "more_body": False})

    async def on_flood(self, receive: Any, send: Any) -> None:
        await self.body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not self.peers[-1].lost and not self.proceed.is_set():
            await send({"type": "http.response.body", "body": b"x" * 16384, "more_body": True})
            self.sent += 16384
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def on_raise(self, _receive: Any, _send: Any) -> None:
        raise LookupError("a secret of the application")

    async def on_raise_late(self, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        raise LookupError("a secret of the application")

    async def on_silent(self, _receive: Any, _send: Any) -> None:
        """Return without an answer."""

    async def on_empty(self, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def on_split(self, receive: Any, send: Any) -> None:
        """Bring every byte that content-length promised, and end only later."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok", "more_body": True})
        await self.proceed.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
