"""One request on a connection and its answer, as calls of the data plane are served; `asgi.py` adds ASGI for the rest."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from switchgear.errors import ClientGone
from switchgear.plugin_faults import is_own_doing
from switchgear.telemetry.logs import REQUEST_ID

if TYPE_CHECKING:
    from switchgear.contracts.exchange import Exchange
    from switchgear.edge.protocol import EdgeProtocol

Handler: TypeAlias = Callable[["Request"], Awaitable[None]]
"""Answers one request of the data plane."""

_NO_CONTENT, _NOT_MODIFIED = 204, 304
_BODILESS = (_NO_CONTENT, _NOT_MODIFIED)
_JOINED = 64 * 1024
"""Up to so many bytes a body is written together with its head; a longer one is not copied."""


class Request:
    """One request and its answer. Writing after the client left does nothing.

    method, path, query, headers  the head; names of headers are lower case
    fields                        the headers by name; of several lines with one name the last
    event                         made by the first reader that has to wait
    lines                         header lines that its answer has besides those that its handler gives
    started, response_complete    how far the answer is
    peer                          the address of whoever is connected
    lost                          the client left before its answer was complete; `on_lost`, if set, is called then, once
    task                          runs it, since `started_at`
    encoder                       frames an error in a stream that has begun
    """

    is_call: ClassVar[bool] = True
    """Whether it is refused where there is too much to do."""
    principal: ClassVar[None] = None

    __slots__ = (
        "body", "chunked", "connection", "encoder", "event", "fields", "handler", "head", "headers", "keep_alive",
        "lines", "lost", "method", "more_body", "news", "on_lost", "path", "peer", "query", "raw_path",
        "response_complete", "started", "started_at", "task", "waiting_for_100_continue",
    )  # fmt: skip

    def __init__(
        self,
        connection: "EdgeProtocol",
        handler: Any,
        method: str,
        path: str,
        raw_path: bytes,
        query: bytes,
        headers: list[tuple[bytes, bytes]],
        fields: dict[bytes, bytes],
        waiting_for_100_continue: bool,  # noqa: FBT001 - a name costs a dictionary for each request
        keep_alive: bool,  # noqa: FBT001 - likewise
    ) -> None:
        self.connection = connection
        self.handler = handler
        self.method = method
        self.path = path
        self.raw_path = raw_path
        self.query = query
        self.headers = headers
        self.fields = fields
        self.waiting_for_100_continue = waiting_for_100_continue
        self.keep_alive = keep_alive
        self.peer = connection.peer
        self.encoder: Any = None
        self.task: Any = None
        self.started_at = 0.0
        self.body: bytes | bytearray = b""
        self.more_body = True
        self.news = False
        self.event: asyncio.Event | None = None
        self.lost = False
        self.on_lost: Callable[[], None] | None = None
        self.started = False
        self.response_complete = False
        self.chunked = False
        self.head = b""
        self.lines = b""

    # What the connection calls.

    def add_body(self, piece: bytes) -> None:
        """Keep a piece of the request's body until it is read."""
        if not self.body:
            self.body = piece
        elif isinstance(self.body, bytearray):
            self.body += piece
        else:
            self.body = bytearray(self.body + piece)
        self.wake()

    def wake(self) -> None:
        """Tell whoever reads that body, the body's end or the connection's end has come."""
        self.news = True
        if self.event is not None:
            self.event.set()

    def lose_client(self) -> None:
        """Treat the client as gone: nothing more is sent, and the handler is told."""
        if not (self.lost or self.response_complete):
            self.lost = True
            self.wake()
            self.connection.flow.resume_writing()  # whoever waits for the client waits no longer
            if self.on_lost is not None:
                self.on_lost()

    async def run(self) -> None:
        """Handle the request; a failure becomes a 500, or a cut connection once the answer began."""
        connection = self.connection
        try:
            if self.is_call and connection.state.overload.too_late(self.started_at):
                connection.shed_late(self)
            else:
                await self.handler(self)
        except BaseException as error:
            if not is_own_doing(error):
                connection.transport.close()
                raise
            self._fail("the application raised", exc_info=True)
        else:
            if not self.response_complete and not self.lost:
                self._fail("the application returned without completing its answer")
        finally:
            connection.tasks.discard(self.task)

    def _fail(self, what: str, *, exc_info: bool = False) -> None:
        connection = self.connection
        request_id = REQUEST_ID.get() or connection.state.ambient.new_id()
        connection.state.log.error("%s (request %s)", what, request_id, exc_info=exc_info)
        if self.lost or self.response_complete:
            return
        if self.started and not self.head:
            self.lost = True
            connection.transport.close()
        else:
            connection.answer_failure(self, request_id)

    # Reading

    def whole_body(self) -> bytes | None:
        """Return the body if all of it has come, None if it has to be `read`. Only one of both is used."""
        if self.more_body or self.lost or self.waiting_for_100_continue:
            return None
        flow = self.connection.flow
        if flow.read_paused:
            flow.resume_reading()
        body, self.body = self.body, b""
        return body if type(body) is bytes else bytes(body)

    async def read(self) -> bytes | None:
        """Return the next piece of the body, None at its end. Raises `ClientGone`."""
        connection = self.connection
        if self.waiting_for_100_continue and not connection.transport.is_closing():
            connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        while not (self.body or self.lost) and self.more_body:
            connection.read_on()
            await self.wait()
        if self.lost:
            raise ClientGone("The client closed the connection.", code="client_gone")
        body, self.body = self.body, b""
        return bytes(body) if body else None

    async def wait(self) -> None:
        """Wait until there is news: of the body, its end, or the connection's."""
        if not self.news:
            if self.event is None:
                self.event = asyncio.Event()
            await self.event.wait()
            self.event.clear()
        self.news = False

    # Answering. Header lines are complete (`name: value` and CRLF each), and their maker has checked them.

    def claim(self) -> None:
        """Nobody else answers here."""

    def bind(self, x: "Exchange") -> None:
        """Say nothing: this is a client's own."""

    async def drain(self) -> None:
        """Wait while the client has not read what was written."""
        flow = self.connection.flow
        if flow.write_paused and not self.lost:
            await flow.drain()

    async def whole(self, status: int, lines: bytes, body: bytes, media_type: bytes = b"application/json") -> None:
        """Write a complete answer; length and type of its content are added."""
        connection = self.connection
        if connection.flow.write_paused:
            await self.drain()
        if self.lost:
            return
        kind = b"content-type: %b\r\ncontent-length: %d\r\n" % (media_type, len(body))
        if self.method == "HEAD" or status in _BODILESS:
            body = b""
            if status == _NO_CONTENT:  # which has neither type nor length
                kind = b""
        self.started = self.response_complete = True
        parts = STATUS_LINE[status], connection.state.date_line, lines, kind, self._closing(), b"\r\n", body
        if len(body) <= _JOINED:
            connection.transport.write(b"".join(parts))
        else:
            connection.transport.writelines((b"".join(parts[:-1]), body))
        connection.on_response_complete()

    def start(self, lines: bytes, media_type: bytes) -> None:
        """Begin a 200 stream. Its head goes out with its first piece."""
        if self.lost:
            return
        self.started = self.chunked = True
        self.head = b"%b%b%bcontent-type: %b\r\ntransfer-encoding: chunked\r\n%b\r\n" % (
            STATUS_LINE[200], self.connection.state.date_line, lines, media_type, self._closing(),
        )  # fmt: skip

    async def write(self, data: bytes) -> None:
        """Send a piece of the stream; waits while the client is slower than the provider."""
        if self.connection.flow.write_paused:
            await self.drain()
        self.write_if_ready(data)

    def write_if_ready(self, data: bytes) -> None:
        """Send a piece now, or not at all if the client has not read what it has: such a one needs no sign of life."""
        connection = self.connection
        if self.lost or connection.flow.write_paused or not data:
            return
        head, self.head = self.head, b""
        connection.transport.write(b"%b%x\r\n%b\r\n" % (head, len(data), data))

    async def close(self, data: bytes) -> None:
        """Send the last piece and end the stream."""
        connection = self.connection
        if connection.flow.write_paused:
            await self.drain()
        if self.lost:
            return
        head, self.head = self.head, b""
        last = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else b"0\r\n\r\n"
        self.response_complete = True
        connection.transport.write(head + last)
        connection.on_response_complete()

    def cut(self) -> None:
        """End an answer that has begun and cannot be completed, so that its client can tell."""
        self.lost = True
        self.connection.transport.close()

    def _closing(self) -> bytes:
        """Return the line that says that the connection ends with this answer, if it does."""
        if self.waiting_for_100_continue:
            # A client still waiting may or may not send its body now: only closing keeps the two ends in step.
            self.waiting_for_100_continue = self.keep_alive = False
        return self.lines if self.keep_alive else self.lines + b"connection: close\r\n"
