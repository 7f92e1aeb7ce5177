"""The hardened HTTP/1.1 protocol: uvicorn's httptools protocol with the ways to hold, flood or confuse it closed.

One lazily re-armed timer a connection watches all of its deadlines, so a request costs no timer. What llhttp itself
refuses (Content-Length beside Transfer-Encoding, two Content-Lengths, bare LF, obs-fold, a sign in a length, control
characters) becomes the same JSON 400 as what is refused here.
"""

import asyncio
import re
import urllib.parse
from collections import deque
from typing import Any

import httptools
from uvicorn._types import HTTPScope
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from switchgear.http import refusals
from switchgear.http.cycle import Cycle, Peer
from switchgear.http.limits import EdgeLimits, EdgeState, peer_key
from switchgear.http.refusals import Refusal, Refused, malformed

__all__ = ["EdgeLimits", "EdgeProtocol", "EdgeState", "Peer"]

# Where reading stands: between requests, in a head, in a body, or listening no more.
_IDLE, _HEAD, _BODY, _DEAF = range(4)
_SLASH = ord("/")
_FRAMING = frozenset((b"host", b"content-length", b"transfer-encoding", b"expect"))
_HOST = re.compile(rb"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


class EdgeProtocol(HttpToolsProtocol):
    """One client's connection; `cycle` is the newest request, `_active` the one being answered, `_queue` those between."""

    cycle: Cycle | None  # type: ignore[assignment]  # ours in place of uvicorn's

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(server_state, EdgeState)
        self.state = server_state
        self.limits = server_state.limits
        self.url = b""
        self._active: Cycle | None = None
        self._queue: deque[Cycle] = deque()
        self._stage = _HEAD
        self._since = 0.0  # when the head, or the silence between requests, began
        self._timer: asyncio.TimerHandle | None = None
        self._full_since = 0.0  # when the write buffer filled up; 0 while it has room
        self._doomed_at = 0.0  # when the connection is cut unless the client closes it; 0 while it is in use
        self._peer_key: str | None = None
        self._read = 0  # bytes of the read being parsed; -1 for a head that began behind another message's end
        self._head = 0  # bytes of this head in earlier reads
        self._hosts = 0
        self._sane_host: bytes | None = None
        self._length = 0
        self._encoding: bytes | None = None
        self._upgrading = False
        self._body = 0  # bytes of this body so far
        self._window_at = 0.0  # when the body's rate began to be measured; 0 if it came in one read
        self._window_bytes = 0
        self._counted = 0  # `_body` at the last read that ended inside it
        self._silent = 0  # bytes of chunk framing and trailers since the last byte of body

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        """Admit the connection or turn it away."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=self.limits.write_buffer)
        if self._admitted():
            self._since = self.loop.time()
            self._timer = self.loop.call_later(self.limits.tick, self._on_timer)
        else:
            self.connections.discard(self)
            self._stage = _DEAF
            self._answer(refusals.TOO_MANY_CONNECTIONS)
            transport.close()

    def _admitted(self) -> bool:
        limits = self.limits
        if len(self.connections) > limits.max_connections:
            return False
        key = None
        if limits.max_connections_per_peer is not None and self.client is not None:
            key = peer_key(self.client[0])
        if key is not None:
            held = self.state.peers.get(key, 0)
            if held >= limits.max_connections_per_peer:  # type: ignore[operator]  # a key is only made for a bound
                return False
            self.state.peers[key] = held + 1
            self._peer_key = key
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Give back what the connection held and tell the request being answered."""
        self.connections.discard(self)
        self._stage = _DEAF
        if self._timer is not None:
            self._timer.cancel()
        if self._peer_key is not None:
            held = self.state.peers.pop(self._peer_key) - 1
            if held:
                self.state.peers[self._peer_key] = held
        self.parser = None  # type: ignore[assignment]  # it refers back to us
        self._queue.clear()
        if self._active is not None:
            self._active.lose_client()

    def eof_received(self) -> None:
        """Take the client's half close as its leaving; the transport closes once what was written is flushed."""
        self._stage = _DEAF
        if self._active is not None:
            self._active.lose_client()

    def shutdown(self) -> None:
        """Close after what is in flight or half received, or at once if there is nothing."""
        if self.cycle is not None and self._active is not None:
            self.cycle.keep_alive = False
        elif not (self._stage == _HEAD and self._head):
            self.transport.close()

    def pause_writing(self) -> None:
        """Note since when the client has not read what it has."""
        self._full_since = self.loop.time()
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        """Forget it: the client reads again."""
        self._full_since = 0.0
        self.flow.resume_writing()

    # Reading

    def data_received(self, data: bytes) -> None:
        """Parse a read; the callbacks below are the parser's."""
        if self._stage == _DEAF:
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
            self._go_on_without_upgrade(rest)
        elif self._stage:
            self._account()

    def _account(self) -> None:
        """Count a read that ended inside a message."""
        limits = self.limits
        if self._stage == _HEAD:
            self._head += max(self._read, 0)
            if len(self.url) > limits.url_bytes:
                self.refuse(refusals.URL_TOO_LONG)
            elif self._head > limits.head_bytes:
                self.refuse(refusals.HEAD_TOO_LARGE)
        elif self._stage == _BODY:
            if not self._window_at:
                self._open_window()
            self._window_bytes += self._read
            if self._body > self._counted:
                self._counted = self._body
                self._silent = 0
            else:
                self._silent += self._read
                if self._silent > limits.head_bytes:
                    self.refuse(refusals.HEAD_TOO_LARGE)

    def _open_window(self) -> None:
        self._window_at = self.loop.time()
        self._window_bytes = 0

    def on_message_begin(self) -> None:
        """Forget the last message."""
        if self._stage == _IDLE:
            self._stage = _HEAD
            self._since = self.loop.time()
        self._head = self._hosts = self._length = 0
        self._encoding = None
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, or a trailer; note what framing and Host say."""
        name = name.lower()
        if name in _FRAMING:
            if name == b"host":
                self._hosts += 1
                if value != self._sane_host:
                    if not _HOST.fullmatch(value.strip(b" \t")):
                        raise Refused(refusals.BAD_HOST)
                    self._sane_host = value
            elif name == b"content-length":
                self._length = int(value)
            elif name == b"transfer-encoding":
                self._encoding = value
            elif value.lower() == b"100-continue":
                self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the head and start the request, or queue it behind the one being answered."""
        parser = self.parser
        version = parser.get_http_version()
        headers = self.headers
        self._check_head(version)
        path, raw_path, query = self._target()
        peer = Peer()
        scope: HTTPScope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "method": parser.get_method().decode("ascii"),
            "scheme": self.scheme or "http",
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": self.client,
            "server": self.server,
            "state": {},
            "switchgear.peer": peer,  # type: ignore[typeddict-unknown-key]
        }
        cycle = Cycle(
            self,
            scope,
            peer,
            expect_100_continue=self.expect_100_continue,
            keep_alive=version == "1.1" and not self.state.draining and parser.should_keep_alive(),
        )
        self._stage = _BODY
        self._body = self._counted = self._silent = 0
        self._window_at = 0.0
        self._upgrading = parser.should_upgrade()
        if self._encoding is not None:
            self.headers = []  # trailers go here, not into the scope
        self.cycle = cycle
        if self._active is None:
            self._start(cycle)
        else:
            self.flow.pause_reading()
            self._queue.append(cycle)

    def _check_head(self, version: str) -> None:
        limits = self.limits
        if version not in ("1.1", "1.0"):
            raise Refused(refusals.BAD_VERSION)
        if len(self.url) > limits.url_bytes:
            raise Refused(refusals.URL_TOO_LONG)
        if len(self.headers) > limits.head_lines:
            raise Refused(refusals.HEAD_TOO_LARGE)
        if self._read < 0 or self._head + self._read > limits.head_bytes:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > limits.head_bytes:
                raise Refused(refusals.HEAD_TOO_LARGE)
        if self._hosts != 1:
            raise Refused(refusals.BAD_HOST)
        if self._encoding is not None and (version != "1.1" or self._encoding.strip(b" \t").lower() != b"chunked"):
            raise Refused(refusals.BAD_FRAMING)
        if self._length > limits.body_bytes:
            raise Refused(refusals.BODY_TOO_LARGE)
        if len(self._queue) >= limits.max_pipelined:
            raise Refused(refusals.TOO_MANY_PIPELINED)

    def _target(self) -> tuple[str, bytes, bytes]:
        """Return the decoded path, the raw path and the query of the request's target."""
        url = self.url
        if url[0] != _SLASH and url != b"*":
            try:
                parsed = httptools.parse_url(url)
            except httptools.HttpParserInvalidURLError as error:
                raise Refused(refusals.BAD_TARGET) from error
            if not parsed.schema or not parsed.path:
                raise Refused(refusals.BAD_TARGET)
            raw_path, query = parsed.path, parsed.query or b""
        else:
            raw_path, _, query = url.partition(b"?")
        if b"#" in url:
            raise Refused(refusals.BAD_TARGET)
        path = raw_path.decode("ascii")
        return urllib.parse.unquote(path) if "%" in path else path, raw_path, query

    def _start(self, cycle: Cycle) -> None:
        self._active = cycle
        cycle.task = task = self.loop.create_task(cycle.run(self.app))
        self.tasks.add(task)

    def on_body(self, body: bytes) -> None:
        """Hand a piece of body to the request, unless its answer is out already."""
        self._body += len(body)
        if self._body > self.limits.body_bytes:
            raise Refused(refusals.BODY_TOO_LARGE)
        cycle = self.cycle
        assert cycle is not None
        if not (cycle.response_complete or cycle.disconnected):
            cycle.add_body(body)
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()

    def on_message_complete(self) -> None:
        """Note the end of the request's body."""
        if self._upgrading:
            return  # the body comes yet
        self._read = -1
        self._stage = _IDLE
        cycle = self.cycle
        assert cycle is not None
        cycle.more_body = False
        cycle.wake()
        if self._active is None:
            self._since = self.loop.time()

    def _go_on_without_upgrade(self, rest: bytes) -> None:
        """Read on as if the client had not asked for another protocol, which RFC 9110 section 7.8 lets a server do.

        llhttp passes over the body of such a request, so another parser takes it up, told no more than its framing.
        """
        self._upgrading = False
        framing = b"content-length: %d" % self._length if self._encoding is None else b"transfer-encoding: chunked"
        self.parser = httptools.HttpRequestParser(_WithoutHead(self))
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
        if rest:
            self.data_received(rest)
        elif self._stage:
            self._account()

    # Answering

    def on_response_complete(self) -> None:
        """Go on to the next request, to silence, or to the connection's end."""
        self.state.total_requests += 1
        cycle, self._active = self._active, None
        if cycle is None or self.transport.is_closing():
            return
        if not cycle.keep_alive:
            self._queue.clear()
            self._close()
        else:
            self.flow.resume_reading()
            if self._queue:
                self._start(self._queue.popleft())
            elif self._stage == _IDLE:
                self._since = self.loop.time()
                self.cycle = None

    def answer_failure(self, cycle: Cycle, request_id: str) -> None:
        """Answer the 500 of an application that failed before it answered."""
        cycle.response_started = cycle.response_complete = True
        cycle.keep_alive = False
        self._answer(refusals.INTERNAL, request_id, with_body=cycle.scope["method"] != "HEAD")
        self.on_response_complete()

    def refuse(self, refusal: Refusal) -> None:
        """Stop listening, and answer the refusal unless that would cut into another answer; then close."""
        stage, self._stage = self._stage, _DEAF
        self.state.refused(refusal.code)
        cycle, active = self.cycle, self._active
        if cycle is None or active is None:
            if stage != _BODY:  # else its answer has been given already
                self._answer(refusal)
            self._close()
        elif stage != _BODY:
            cycle.keep_alive = False  # those before it are served, then the connection closes
        elif cycle is active:
            active.lose_client()
            self._active = None
            if not active.response_started:
                self._answer(refusal, with_body=active.scope["method"] != "HEAD")
            self._close()
        else:
            self._queue.pop()
            self.cycle = self._queue[-1] if self._queue else active
            self.cycle.keep_alive = False

    def _answer(self, refusal: Refusal, request_id: str | None = None, *, with_body: bool = True) -> None:
        request_id = request_id or self.state.ambient.new_id()
        self.transport.write(refusal.render(request_id, self.state.date_line, with_body=with_body))

    def _close(self) -> None:
        """Close; if the client may still be sending, tell it that we are done and let it read the answer first.

        Closing a socket with unread data resets the connection, which can destroy an answer not yet read.
        """
        if self.transport.is_closing():
            return
        if self._stage == _IDLE:
            self.transport.close()
            return
        self._stage = _DEAF
        self._doomed_at = self.loop.time() + self.limits.linger
        self.transport.write_eof()
        self.flow.resume_reading()
        self._rearm(self.limits.linger)

    # Deadlines

    def _rearm(self, delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(max(delay, 0.001), self._on_timer)

    def _on_timer(self) -> None:
        now = self.loop.time()
        if self._full_since and now - self._full_since >= self.limits.write_timeout:
            self.state.refused("write_timeout")
            self.transport.abort()
        elif self._doomed_at or self.transport.is_closing():
            self._await_flush(now)
        else:
            left = self._time_left(now)
            if self._full_since:
                left = min(left, self._full_since + self.limits.write_timeout - now)
            self._rearm(left)

    def _await_flush(self, now: float) -> None:
        """Cut a closing connection when its time is up, later if the client is still reading what was written."""
        limits = self.limits
        if not self._doomed_at:
            self._doomed_at = now
        late = now - self._doomed_at
        if late >= limits.write_timeout or (late >= 0 and not self.transport.get_write_buffer_size()):
            self.transport.abort()
        else:
            self._rearm(-late if late < 0 else limits.linger)

    def _time_left(self, now: float) -> float:
        """Act on the deadline of the present stage if it has passed; return the seconds until the next look."""
        limits = self.limits
        left = limits.tick
        if self._stage == _HEAD:
            left = self._since + limits.head_timeout - now
            if left <= 0:
                self.refuse(refusals.HEAD_TIMEOUT)
        elif self._stage == _BODY:
            left = self._body_time_left(now)
        elif self._stage == _IDLE and self._active is None:
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
            if self._window_bytes < limits.body_min_rate * spent:
                self.refuse(refusals.BODY_TIMEOUT)
            else:
                self._open_window()
            spent = 0.0
        return limits.body_grace - spent


class _WithoutHead:
    """Parser callbacks that pass over the first head and hand on the rest."""

    def __init__(self, protocol: EdgeProtocol) -> None:
        self._protocol = protocol
        self._primed = False
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete

    def on_message_begin(self) -> None:
        if self._primed:
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._primed:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._primed:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._primed:
            self._protocol.on_headers_complete()
        self._primed = True
