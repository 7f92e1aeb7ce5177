"""One request and its answer on a connection: the two ASGI callables and what becomes of them."""

import asyncio
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from uvicorn._types import ASGI3Application, ASGIReceiveEvent, ASGISendEvent, HTTPScope
from uvicorn.protocols.http.httptools_impl import HEADER_RE, STATUS_LINE

if TYPE_CHECKING:
    from switchgear.edge.protocol import EdgeProtocol

# What a response header means to framing.
_PLAIN, _LENGTH, _ENCODING, _CONNECTION = range(4)
_KINDS = {b"content-length": _LENGTH, b"transfer-encoding": _ENCODING, b"connection": _CONNECTION}
# Control characters that no header value may hold: all but the tab.
_CONTROLS = bytes(set(range(32)) - {9}) + b"\x7f"
_NAMES_KEPT = 512
_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class Peer:
    """The other end of one request, in the ASGI scope as `switchgear.peer`.

    `lost` turns true when the client leaves before its answer is complete; `on_lost`, if set, is called then, once.
    A client may be gone before `on_lost` is set: receive() says so then, and `lost` does.
    """

    __slots__ = ("lost", "on_lost")

    def __init__(self) -> None:
        self.lost = False
        self.on_lost: Callable[[], None] | None = None

    def mark_lost(self) -> None:
        """Say that the client left; only the first time counts."""
        if not self.lost:
            self.lost = True
            if self.on_lost is not None:
                self.on_lost()


class Cycle:
    """One request and its answer.

    Does what uvicorn's cycle does with less work per answer: a body that came in one read stays those bytes, names of
    response headers are checked once and remembered, values are checked for control characters all at once.
    """

    __slots__ = (
        "body",
        "chunked",
        "connection",
        "disconnected",
        "event",
        "head",
        "keep_alive",
        "more_body",
        "news",
        "peer",
        "remaining",
        "response_complete",
        "response_started",
        "scope",
        "started_at",
        "task",
        "waiting_for_100_continue",
    )

    def __init__(
        self, connection: "EdgeProtocol", scope: HTTPScope, peer: Peer, *, expect_100_continue: bool, keep_alive: bool
    ) -> None:
        self.connection = connection
        self.scope = scope
        self.peer = peer
        self.started_at = 0.0  # when its turn was asked for
        self.task: asyncio.Task[None] | None = None
        self.disconnected = False
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = expect_100_continue
        self.body: bytes | bytearray = b""
        self.more_body = True
        self.news = False
        self.event: asyncio.Event | None = None  # made by the first receive() that has to wait
        self.response_started = False
        self.head = b""
        self.response_complete = False
        self.chunked = False
        self.remaining = 0  # bytes of body the answer's content-length still promises

    def add_body(self, piece: bytes) -> None:
        """Keep a piece of the request's body for receive()."""
        if not self.body:
            self.body = piece
        elif isinstance(self.body, bytearray):
            self.body += piece
        else:
            self.body = bytearray(self.body + piece)
        self.wake()

    def wake(self) -> None:
        """Tell a waiting receive() that body, the body's end or the connection's end has come."""
        self.news = True
        if self.event is not None:
            self.event.set()

    def lose_client(self) -> None:
        """Treat the client as gone: nothing more is sent, and the application is told."""
        if not (self.disconnected or self.response_complete):
            self.disconnected = True
            self.wake()
            self.connection.flow.resume_writing()  # a send() that waits for the client waits no longer
            self.peer.mark_lost()

    async def run(self, app: ASGI3Application) -> None:
        """Run the application on this request; a failure becomes a 500, or a cut connection once the answer began."""
        try:
            if self.connection.state.overload.too_late(self.started_at) and self.scope["path"].startswith("/v1/"):
                self.connection.shed_late(self)
            else:
                await app(self.scope, self.receive, self.send)
        except Exception:  # noqa: BLE001 - answered as a 500 and logged with its traceback
            self._fail("the application raised", exc_info=True)
        except BaseException:
            self.connection.transport.close()
            raise
        else:
            if not self.response_complete and not self.disconnected:
                self._fail("the application returned without completing its answer")
        finally:
            if self.task is not None:
                self.connection.tasks.discard(self.task)
                self.task = None

    def _fail(self, what: str, *, exc_info: bool = False) -> None:
        connection = self.connection
        request_id = connection.state.ambient.new_id()
        connection.state.log.error("%s (request %s)", what, request_id, exc_info=exc_info)
        if self.disconnected or self.response_complete:
            return
        if self.response_started and not self.head:
            self.disconnected = True
            connection.transport.close()
        else:
            connection.answer_failure(self, request_id)

    async def send(self, message: ASGISendEvent) -> None:
        """Take one ASGI message of the answer; waits while the client's write buffer is full."""
        connection = self.connection
        if connection.flow.write_paused and not self.disconnected:
            await connection.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if not self.response_started:
            if kind != "http.response.start":
                raise RuntimeError(f"an answer begins with http.response.start, not {kind}")
            self._send_head(cast("dict[str, Any]", message))
        elif self.response_complete:
            raise RuntimeError(f"{kind} after the answer was complete")
        elif kind == "http.response.body":
            self._send_body(message.get("body", b""), message.get("more_body", False))  # type: ignore[arg-type]
        else:
            raise RuntimeError(f"an answer goes on with http.response.body, not {kind}")

    def _send_head(self, message: dict[str, Any]) -> None:
        status: int = message["status"]
        headers: Iterable[tuple[bytes, bytes]] = message.get("headers", ())
        state = self.connection.state
        parts = [STATUS_LINE[status], state.date_line]
        values = []
        framing: dict[int, bytes] = {}
        for name, value in headers:
            prefix, kind = state.response_names.get(name) or _learn(state.response_names, name)
            parts += (prefix, value, b"\r\n")
            values.append(value)
            if kind:
                framing[kind] = value.lower()
        joined = b"".join(values)
        if len(joined) != len(joined.translate(None, _CONTROLS)):
            raise ValueError("a response header holds a control character")
        closing = b"close" in framing.get(_CONNECTION, b"")
        if closing or self.waiting_for_100_continue:
            # A client still waiting may or may not send its body now: only closing keeps the two ends in step.
            self.waiting_for_100_continue = self.keep_alive = False
        if not (self.keep_alive or closing):
            parts.append(b"connection: close\r\n")
        bodiless = self.scope["method"] == "HEAD" or status in _BODILESS
        self.chunked = framing.get(_ENCODING) == b"chunked"
        if not (self.chunked or bodiless):
            if _LENGTH in framing:
                self.remaining = int(framing[_LENGTH])
            else:
                self.chunked = True
                parts.append(b"transfer-encoding: chunked\r\n")
        parts.append(b"\r\n")
        self.response_started = True
        # It goes out with the first piece of the body, as ASGI asks: one system call instead of two.
        self.head = b"".join(parts)

    def _send_body(self, body: bytes, more_body: bool) -> None:  # noqa: FBT001 - ASGI's own field
        data = self.head if self.scope["method"] == "HEAD" else self.head + self._framed(body, more_body)
        self.head = b""
        if data:
            self.connection.transport.write(data)
        if not more_body:
            if self.remaining:
                raise RuntimeError("the answer is shorter than its content-length")
            self.response_complete = True
            if self.event is not None:
                self.event.set()
            self.connection.on_response_complete()

    def _framed(self, body: bytes, more_body: bool) -> bytes:  # noqa: FBT001 - ASGI's own field
        if not self.chunked:
            self.remaining -= len(body)
            if self.remaining < 0:
                raise RuntimeError("the answer is longer than its content-length")
            return body
        if not body:
            return b"" if more_body else b"0\r\n\r\n"
        return (b"%x\r\n%b\r\n" if more_body else b"%x\r\n%b\r\n0\r\n\r\n") % (len(body), body)

    async def receive(self) -> ASGIReceiveEvent:
        """Return the next piece of the request's body, or wait for the client to leave or the answer to end."""
        connection = self.connection
        if self.waiting_for_100_continue and not connection.transport.is_closing():
            connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not self.disconnected and not self.response_complete:
            connection.flow.resume_reading()
            if not self.news:
                if self.event is None:
                    self.event = asyncio.Event()
                await self.event.wait()
                self.event.clear()
            self.news = False
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), b""
        return {"type": "http.request", "body": body, "more_body": self.more_body}


def _learn(names: dict[bytes, tuple[bytes, int]], name: bytes) -> tuple[bytes, int]:
    """Check a response header's name once and remember how it is written. Raises ValueError for an impossible one."""
    if not name or HEADER_RE.search(name):
        raise ValueError("a response header's name is not a token")
    lower = name.lower()
    entry = (lower + b": ", _KINDS.get(lower, _PLAIN))
    if len(names) < _NAMES_KEPT:
        names[name] = entry
    return entry
