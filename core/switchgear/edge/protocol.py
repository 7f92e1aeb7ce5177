"""The hardened HTTP/1.1 protocol: uvicorn's httptools protocol with the ways to hold, flood or confuse it closed.

What llhttp itself refuses (Content-Length beside Transfer-Encoding, two Content-Lengths, bare LF, obs-fold, a sign in a
length, control characters) becomes the same JSON 400 as what is refused here. After an error answer the connection
closes, and nothing that came behind the error is served.
"""

import asyncio
from collections import deque
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.server import ServerState

from switchgear.edge import refusals
from switchgear.edge.asgi import AsgiRequest
from switchgear.edge.connection import BODY, CLOSING, HEAD, IDLE, SOCKET, Connection
from switchgear.edge.head import WithoutHead, asks_for_socket, check_encoding, only_host, split_target, waits
from switchgear.edge.refusals import Refusal, Refused, malformed
from switchgear.edge.request import Request
from switchgear.edge.socket import SocketRequest


class EdgeProtocol(Connection):
    """HTTP on one connection: `cycle` is the newest request, `_active` the one being answered, `_queue` those behind it."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.url = b""
        self._last_url = b""
        self._target = ("", b"", b"")
        self._written = ""  # its path, nothing decoded
        self._queue: deque[Request] = deque()
        self._read = 0  # bytes of the read being parsed; -1 for a head that began behind another message's end
        self._head = 0  # bytes of this head in earlier reads
        self._sane_host: bytes | None = None
        self._length = 0
        self._chunked = False
        self._upgrading = False
        self._body = 0  # bytes of this body so far
        self._window_at = 0.0  # when the body's rate began to be measured; 0 if it came in one read
        self._window_bytes = 0
        self._counted = 0  # `_body` at the last read that ended inside it
        self._silent = 0  # bytes of chunk framing and trailers since the last byte of body
        self._long = min(HIGH_WATER_LIMIT, self.limits.body_bytes)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the requests that nobody waits for any more."""
        self._queue.clear()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close after what is in flight or half received, or at once if there is nothing."""
        if self.cycle is not None and self._active is not None:
            self.cycle.keep_alive = False
            if isinstance(self.cycle, SocketRequest):
                self.cycle.go_away()
        elif not (self._stage == HEAD and self._head):
            self.transport.close()

    # Reading

    def data_received(self, data: bytes) -> None:
        """Parse a read; the callbacks below are the parser's."""
        if self._stage >= CLOSING:
            if isinstance(self.cycle, SocketRequest) and self._stage == SOCKET:
                self.cycle.feed(data)
            else:
                self._pass_over()
            return
        self._read = len(data)
        rest = None
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as pause:
            rest = data[pause.args[0] :]
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, Refused):
                raise
            self.refuse(error.__context__.refusal)
        except httptools.HttpParserError as error:
            self.refuse(malformed(f"The request is not proper HTTP/1.1: {error}."))
        if rest is not None:
            self._upgrade(rest)
        elif self._stage:
            self._account()

    def _account(self) -> None:
        """Count a read that ended inside a message."""
        limits = self.limits
        if self._stage == HEAD:
            self._head += max(self._read, 0)
            if len(self.url) > limits.url_bytes:
                self.refuse(refusals.URL_TOO_LONG)
            elif self._head > limits.head_bytes:
                self.refuse(refusals.HEAD_TOO_LARGE)
        elif self._stage == BODY:
            if not self._window_at:
                self._open_window()  # this read held the head too
            elif self._body > self._counted:
                self._counted = self._body
                self._silent = 0
            else:
                self._silent += self._read
                if self._silent > limits.head_bytes:
                    self.refuse(refusals.HEAD_TOO_LARGE)
            self._window_bytes += self._read

    def _open_window(self) -> None:
        self._window_at = self.loop.time()
        self._window_bytes = 0

    def on_message_begin(self) -> None:
        """Forget the last message."""
        if self._stage == IDLE:
            self._stage = HEAD
            self._since = self.loop.time()
        self._head = 0
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, or a trailer."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Check the head and start the request, or queue it behind the one being answered."""
        parser, state = self.parser, self.state
        version = parser.get_http_version()
        fields = dict(self.headers)
        self._check_head(version, fields)
        if self.url != self._last_url:
            self._target = split_target(self.url, state.root_path)
            self._written = self._target[1].decode("ascii")
            self._last_url = self.url
        path, raw_path, query = self._target
        written = self._written
        method = parser.get_method().decode("ascii")
        handler = state.calls.find(method, written)
        if query:
            handler = state.calls.find_narrowed(method, written, query) or handler
        keep_alive = version == "1.1" and not state.draining and parser.should_keep_alive()
        make: type[Request] = Request
        if method == "GET" and not self._length and not self._chunked and asks_for_socket(parser, self.headers):
            found = state.calls.find_socket(written)
            make, handler = (SocketRequest, found) if found is not None else (make, handler)
        if handler is None:
            make, handler = AsgiRequest, self.app
        elif self._active is None and len(self.tasks) >= state.overload.ceiling:
            self._shed(written, fields, keep_alive=keep_alive)
            return
        request = make(
            self,
            handler,
            method,
            path,
            raw_path,
            query,
            self.headers,
            fields,
            self.expect_100_continue,
            keep_alive,
        )
        self._expect_body(request)
        if self._active is None:
            self._start(request)
        else:
            self.flow.pause_reading()
            self._queue.append(request)

    def _check_head(self, version: str, fields: dict[bytes, bytes]) -> None:
        limits, headers = self.limits, self.headers
        if version not in ("1.1", "1.0"):
            raise Refused(refusals.BAD_VERSION)
        if len(self.url) > limits.url_bytes:
            raise Refused(refusals.URL_TOO_LONG)
        if len(headers) > limits.head_lines:
            raise Refused(refusals.HEAD_TOO_LARGE)
        if self._read < 0 or self._head + self._read > limits.head_bytes:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in headers)
            if size > limits.head_bytes:
                raise Refused(refusals.HEAD_TOO_LARGE)
        host = fields.get(b"host")
        if host is None or host != self._sane_host or len(fields) != len(headers):
            self._sane_host = only_host(headers)
        self._chunked = b"transfer-encoding" in fields
        if self._chunked:
            check_encoding(headers, version)
        self.expect_100_continue = b"expect" in fields and waits(headers)
        self._length = int(fields.get(b"content-length", 0))
        if self._length > self._long:
            self._count_long(max(self._read, 0))
        if self._queue and len(self._queue) >= limits.max_pipelined:
            raise Refused(refusals.TOO_MANY_PIPELINED)

    def _expect_body(self, request: Request) -> None:
        self._stage = BODY
        self._body = self._counted = self._silent = 0
        self._window_at = 0.0
        self._upgrading = self.parser.should_upgrade()
        if self._chunked:
            self.headers = []  # trailers go here, not into the request
        self.cycle = request

    def _shed(self, path: str, fields: dict[bytes, bytes], *, keep_alive: bool) -> None:
        """Refuse a request that is not begun, since there is too much to do; its body is passed over as it comes."""
        state = self.state
        refusal = state.overload.shed(path)
        if not keep_alive or self.expect_100_continue:
            raise Refused(refusal)
        request_id = state.ambient.new_id()
        with_body = self.parser.get_method() != b"HEAD"
        self.transport.write(refusal.render(request_id, state.date_line, with_body=with_body, close=False))
        state.total_requests += 1
        passed = Request(
            self, None, "", *self._target, self.headers, fields, waiting_for_100_continue=False, keep_alive=True
        )
        passed.started = passed.response_complete = True
        self._expect_body(passed)
        if self._length <= self._long:  # else it waits for its turn within the body
            state.overload.rest(self)

    def shed_late(self, request: Request) -> None:
        """Refuse a request whose turn has come too late."""
        if request.lost:
            return
        state = self.state
        if request.waiting_for_100_continue:
            request.keep_alive = False
        request.started = request.response_complete = True
        answer = state.overload.shed(request.path).render(
            state.ambient.new_id(),
            state.date_line,
            with_body=request.method != "HEAD",
            close=not request.keep_alive,
        )
        self.transport.write(answer)
        self.on_response_complete()
        if request.keep_alive:
            state.overload.rest(self)

    def _start(self, request: Request) -> None:
        self._active = request
        request.started_at = self.state.ambient.monotonic()
        # Made as the loop would make it, which would also give each a name of its own.
        request.task = task = asyncio.Task(request.run(), loop=self.loop, name="request")
        self.tasks.add(task)

    def on_body(self, body: bytes) -> None:
        """Hand a piece of body to the request, unless its answer is out already."""
        self._body = size = self._body + len(body)
        if size > self.limits.body_bytes:
            raise Refused(refusals.BODY_TOO_LARGE)
        request = self.cycle
        assert request is not None
        if request.response_complete or request.lost:
            self._pass_over()
        else:
            request.add_body(body)
            if size > HIGH_WATER_LIMIT and len(request.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
                if size - len(body) <= HIGH_WATER_LIMIT and (self._window_at or self._chunked):
                    self._count_long(len(body))  # which came neither with a long body's head nor in its turn

    def on_message_complete(self) -> None:
        """Note the end of the request's body."""
        if self._upgrading:
            return  # the body comes yet
        self._read = -1
        self._stage = IDLE
        request = self.cycle
        assert request is not None
        request.more_body = False
        request.wake()
        if self._active is None:
            self._since = self.loop.time()

    def _upgrade(self, rest: bytes) -> None:
        """Leave HTTP where a WebSocket is served; otherwise read on."""
        if not isinstance(self.cycle, SocketRequest):
            self._go_on_without_upgrade(rest)
            return
        self._stage = SOCKET
        self.cycle.more_body = False
        if rest:
            self.cycle.feed(rest)

    def _go_on_without_upgrade(self, rest: bytes) -> None:
        """Read on as if the client had not asked for another protocol, which RFC 9110 section 7.8 lets a server do.

        llhttp passes over the body of such a request, so another parser takes it up, told no more than its framing.
        """
        self._upgrading = False
        framing = b"content-length: %d" % self._length if not self._chunked else b"transfer-encoding: chunked"
        self.parser = httptools.HttpRequestParser(WithoutHead(self))
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
        if rest:
            self.data_received(rest)
        elif self._stage:
            self._account()

    def _count_long(self, size: int) -> None:
        """Count so much of a long body, which is refused if it is too long, or too much came at once."""
        if self._length > self.limits.body_bytes:
            raise Refused(refusals.BODY_TOO_LARGE)
        if not self.state.turn.has_room(size):
            raise Refused(self.state.overload.shed(self.url.partition(b"?")[0].decode("ascii")))

    # Answering

    def on_response_complete(self) -> None:
        """Go on to the next request, to silence, or to the connection's end."""
        self.state.total_requests += 1
        cycle, self._active = self._active, None
        if cycle is None or self.transport.is_closing():
            return
        if not cycle.keep_alive:
            cycle.body = b""
            self._queue.clear()
            self._close()
        else:
            if self.flow.read_paused:
                self.read_on()
            if self._queue:
                self._start(self._queue.popleft())
            elif self._stage == IDLE:
                self._since = self.loop.time()
                self.cycle = None
            else:
                cycle.body = b""  # the rest is passed over

    def refuse(self, refusal: Refusal) -> None:
        """Stop listening, and answer the refusal unless that would cut into another answer; then close."""
        stage, self._stage = self._stage, CLOSING
        self.state.refused(refusal.code)
        cycle, active = self.cycle, self._active
        if cycle is None or active is None:
            if stage != BODY:  # else its answer has been given already
                self._answer(refusal)
            self._close()
        elif stage != BODY:
            cycle.keep_alive = False  # those before it are served, then the connection closes
        elif cycle is active:
            active.lose_client()
            active.body = b""
            self._active = None
            if not active.started:
                self._answer(refusal, with_body=active.method != "HEAD")
            self._close()
        else:
            self._queue.pop()
            self.cycle = self._queue[-1] if self._queue else active
            self.cycle.keep_alive = False

    def _time_left(self, now: float) -> float:
        """Act on the deadline of the present stage if it has passed; return the seconds until the next look."""
        limits = self.limits
        left = limits.tick
        if self._stage == HEAD:
            left = self._since + limits.head_timeout - now
            if left <= 0:
                self.refuse(refusals.HEAD_TIMEOUT)
        elif self._stage == BODY:
            left = self._body_time_left(now)
        elif self._stage == SOCKET and isinstance(self.cycle, SocketRequest):
            left = self.cycle.time_left(now)
        elif self._stage == IDLE and self._active is None:
            left = self._since + limits.keep_alive - now
            if left <= 0:
                self.transport.close()
        return min(left, limits.tick)

    def _body_time_left(self, now: float) -> float:
        limits = self.limits
        if self.flow.read_paused or (self.cycle is not None and self.cycle.waiting_for_100_continue):
            self._open_window()  # the client waits for us
        spent = now - self._window_at
        if spent >= limits.body_grace:
            # Who lets much be held must bring more: else a slow client holds all of it until the last byte.
            if self._window_bytes < (limits.body_min_rate + self._body / limits.body_patience) * spent:
                self.refuse(refusals.BODY_TIMEOUT)
            else:
                self._open_window()
            spent = 0.0
        return limits.body_grace - spent
