"""WebSockets on the data plane (RFC 6455): a request that asks for one, and what is open afterwards.

The protocol itself is the `websockets` library's, which does no I/O; it reads and writes on the connection's transport.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from switchgear.contracts.dialect import Socket
from switchgear.edge.request import Request
from switchgear.errors import ClientGone, InvalidRequest

if TYPE_CHECKING:
    from websockets.frames import Frame
    from websockets.server import ServerProtocol

_HELD = 256 * 1024
"""Bytes of messages that wait for the handler before the client is read no more."""
_EARLY = 64 * 1024
"""Bytes that a client may send before it was answered."""
_HANDSHAKE = frozenset((b"host", b"upgrade", b"connection"))
_SWITCHING = 101
_GOING_AWAY, _NOT_HEARD, _INVALID = 1001, 1011, 1007


class SocketRequest(Request):
    """A request for a WebSocket, at a path where one is served. It may be refused like any other until it is accepted."""

    socket: "EdgeSocket | None" = None
    early: bytes = b""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.keep_alive = False  # there is no HTTP behind it

    def accept(self, lines: bytes, subprotocols: Sequence[str]) -> "EdgeSocket":
        """Answer the handshake with these header lines besides, and open. Raises `InvalidRequest`, `ClientGone`."""
        from websockets.http11 import Request as Handshake  # noqa: PLC0415 - few gateways serve WebSockets
        from websockets.server import ServerProtocol  # noqa: PLC0415 - likewise

        def choose(_: Any, offered: Sequence[str]) -> str | None:
            return next((name for name in subprotocols if name in offered), None)

        if self.lost:
            raise ClientGone("The client closed the connection.", code="client_gone")
        protocol = ServerProtocol(
            select_subprotocol=choose,  # type: ignore[arg-type]  # its names are of a type of their own
            subprotocols=list(subprotocols) or None,  # type: ignore[arg-type]  # likewise
            max_size=self.connection.limits.message_bytes,
        )
        head = [b"%b: %b\r\n" % it for it in self.headers if it[0] in _HANDSHAKE or it[0].startswith(b"sec-websocket-")]
        protocol.receive_data(b"GET / HTTP/1.1\r\n" + b"".join(head) + b"\r\n")
        asked = next((it for it in protocol.events_received() if isinstance(it, Handshake)), None)
        if asked is None:
            raise InvalidRequest("The WebSocket handshake cannot be read.", code="invalid_handshake")
        response = protocol.accept(asked)
        if response.status_code != _SWITCHING:
            why = str(protocol.handshake_exc or "it is refused")
            raise InvalidRequest(f"The WebSocket handshake is not proper: {why[:200]}.", code="invalid_handshake")
        protocol.send_response(response)
        self.started = True
        answer = b"".join(protocol.data_to_send())
        self.connection.transport.write(answer.removesuffix(b"\r\n") + lines + b"\r\n")
        self.socket = EdgeSocket(self, protocol)
        early, self.early = self.early, b""
        self.connection.flow.resume_reading()
        if early:
            self.socket.feed(early)
        return self.socket

    # What the connection calls.

    def feed(self, data: bytes) -> None:
        """Take what comes after the head."""
        if self.socket is not None:
            self.socket.feed(data)
            return
        self.early += data
        if len(self.early) > _EARLY:
            self.connection.transport.abort()

    def lose_client(self) -> None:
        """Tell the handler, unless both ends had closed."""
        if self.socket is None or not self.socket.is_over:
            super().lose_client()
        self.lost = True
        if self.socket is not None:
            self.socket.end()

    def go_away(self) -> None:
        """Close since the gateway stops: the messages end, and the handler has until the grace period's end."""
        if self.socket is not None:
            self.socket.begin_close(_GOING_AWAY, "the gateway is stopping")

    def time_left(self, now: float) -> float:
        """Return the seconds until the next look, having acted on silence."""
        return self.connection.limits.socket_idle if self.socket is None else self.socket.time_left(now)


class EdgeSocket(Socket):
    """One open WebSocket."""

    def __init__(self, request: SocketRequest, protocol: "ServerProtocol") -> None:
        self.subprotocol: str | None = protocol.subprotocol
        self.is_over = False
        self._request = request
        self._connection = request.connection
        self._protocol = protocol
        self._messages: deque[str | bytes] = deque()
        self._held = 0
        self._pieces: list[bytes] = []
        self._is_text = False
        self._event = asyncio.Event()
        self._heard = self._connection.loop.time()
        self._asked = False

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Yield messages until either end closes."""
        while True:
            while not (self._messages or self.is_over):
                self._event.clear()
                await self._event.wait()
            if not self._messages:
                return
            message = self._messages.popleft()
            self._held -= len(message)
            if self._held <= _HELD and not self.is_over:
                self._connection.flow.resume_reading()
            yield message

    async def send(self, message: str | bytes) -> None:
        """Send a message."""
        if self._connection.flow.write_paused and not self._request.lost:
            await self._connection.flow.drain()
        if self.is_over or self._request.lost:
            raise ClientGone("The WebSocket is closed.", code="client_gone")
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        self._flush()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close."""
        self.begin_close(code, reason)

    def begin_close(self, code: int, reason: str) -> None:
        """Say that this end closes; nothing more is sent."""
        if not self.is_over:
            self._protocol.send_close(code, reason.encode()[:120].decode(errors="ignore"))
            self._flush()

    def finish(self, code: int, reason: str) -> None:
        """Close if that is not done, and leave the connection."""
        self.begin_close(code, reason)
        request = self._request
        if not request.response_complete:
            request.response_complete = True
            self._connection.on_response_complete()

    def end(self) -> None:
        """Let whoever waits for a message know that none comes any more."""
        self.is_over = True
        self._event.set()

    def feed(self, data: bytes) -> None:
        """Take bytes from the client."""
        self._heard = self._connection.loop.time()
        self._asked = False
        self._protocol.receive_data(data)
        for frame in self._protocol.events_received():
            self._take(frame)  # type: ignore[arg-type]  # after the handshake all events are frames
        self._flush()

    def _take(self, frame: "Frame") -> None:
        from websockets.frames import Opcode  # noqa: PLC0415 - few gateways serve WebSockets

        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT) or self.is_over:
            return
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._pieces.append(bytes(frame.data))
        if not frame.fin:
            return
        data = b"".join(self._pieces)
        self._pieces.clear()
        try:
            message = data.decode() if self._is_text else data
        except UnicodeDecodeError:
            self._protocol.fail(_INVALID, "a text is not UTF-8")
            return
        self._messages.append(message)
        self._held += len(message)
        self._event.set()
        if self._held > _HELD:
            self._connection.flow.pause_reading()

    def _flush(self) -> None:
        transport = self._connection.transport
        for data in self._protocol.data_to_send():
            if data:
                transport.write(data)
            else:
                self.end()
                transport.close()
        if self._protocol.close_expected():
            self.end()

    def time_left(self, now: float) -> float:
        """Ask a silent client whether it is there, and close when it stays silent; return the seconds until the next look."""
        idle = self._connection.limits.socket_idle
        silent = now - self._heard
        if self._connection.flow.read_paused:
            self._heard = now  # the client waits for us
        elif silent >= idle:
            self._protocol.fail(_NOT_HEARD, "nothing was heard for too long")
            self._flush()
        elif silent >= idle / 2 and not self._asked and not self.is_over:
            self._asked = True
            self._protocol.send_ping(b"")
            self._flush()
        return max(idle / 2 - silent if silent < idle / 2 else idle - silent, 0.01)
