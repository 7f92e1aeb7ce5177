"""One client's connection below HTTP: admitted or turned away, watched by one timer, closed with care."""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from switchgear.edge.limits import EdgeState, peer_key
from switchgear.edge.refusals import INTERNAL, TOO_MANY_CONNECTIONS, Refusal
from switchgear.edge.request import Request

# Where reading stands: between requests, in a head, in a body, listening no more, or in a WebSocket.
IDLE, HEAD, BODY, CLOSING, SOCKET = range(5)


class Connection(HttpToolsProtocol):
    """uvicorn's httptools protocol with an end to everything that can be waited for.

    One timer looks at all deadlines; it is re-armed only when it has run, so nothing that happens costs one.
    """

    cycle: Request | None  # type: ignore[assignment]  # ours in place of uvicorn's

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
        self._active: Request | None = None  # the request being answered
        self._stage = HEAD
        self._since = 0.0  # when the head, or the silence between requests, began
        self._timer: asyncio.TimerHandle | None = None
        self._full_since = 0.0  # when the write buffer filled up; 0 while it has room
        self._close_at = 0.0  # when the connection is cut unless the client closes it; 0 while it is in use
        self._peer_key: str | None = None
        self.peer: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        """Admit the connection or turn it away."""
        super().connection_made(transport)
        self.peer = None if self.client is None else self.client[0]
        transport.set_write_buffer_limits(high=self.limits.write_buffer)
        if self._admitted():
            self._since = self.loop.time()
            self._timer = self.loop.call_later(self.limits.tick, self._on_timer)
        else:
            self.connections.discard(self)
            self._stage = CLOSING
            self.state.refused(TOO_MANY_CONNECTIONS.code)
            self._answer(TOO_MANY_CONNECTIONS)
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
        self._stage = CLOSING
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._peer_key is not None:
            held = self.state.peers.pop(self._peer_key) - 1
            if held:
                self.state.peers[self._peer_key] = held
        self.parser = None  # type: ignore[assignment]  # it refers back to us
        active, self._active, self.cycle = self._active, None, None
        if active is not None:
            active.lose_client()

    def eof_received(self) -> None:
        """Take the client's half close as its leaving; the transport closes once what was written is flushed."""
        self._stage = CLOSING
        if self._active is not None:
            self._active.lose_client()

    def pause_writing(self) -> None:
        """Note since when the client has not read what it has."""
        self._full_since = self.loop.time()
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        """Forget it: the client reads again."""
        self._full_since = 0.0
        self.flow.resume_writing()

    def answer_failure(self, request: Request, request_id: str) -> None:
        """Answer the 500 of an application that failed before it answered."""
        request.started = request.response_complete = True
        request.keep_alive = False
        self._answer(INTERNAL, request_id, with_body=request.method != "HEAD")
        self.on_response_complete()

    def read_on(self) -> None:
        """Read again, if it is paused, as soon as it is this connection's turn."""
        if self.flow.read_paused:
            self.state.turn.read(self, wanted=self._active is not None)

    def _pass_over(self) -> None:
        """Read more of what is thrown away, when nobody else is to be read."""
        self.flow.pause_reading()
        self.state.turn.read(self, wanted=False)

    def _answer(self, refusal: Refusal, request_id: str | None = None, *, with_body: bool = True) -> None:
        request_id = request_id or self.state.ambient.new_id()
        self.transport.write(refusal.render(request_id, self.state.date_line, with_body=with_body))

    def _close(self) -> None:
        """Close; if the client may still be sending, tell it that we are done and let it read the answer first.

        Closing a socket with unread data resets the connection, which can destroy an answer not yet read.
        """
        if self.transport.is_closing():
            return
        if self._stage == IDLE:
            self.transport.close()
            return
        self._stage = CLOSING
        self._close_at = self.loop.time() + self.limits.linger
        self.transport.write_eof()
        self._pass_over()
        self._rearm(self.limits.linger)

    def _rearm(self, delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(max(delay, 0.001), self._on_timer)

    def _on_timer(self) -> None:
        now = self.loop.time()
        if self._full_since and now - self._full_since >= self.limits.write_timeout:
            self.state.refused("write_timeout")
            self.transport.abort()
        elif self._close_at or self.transport.is_closing():
            self._await_flush(now)
        else:
            left = self._time_left(now)
            if self._full_since:
                left = min(left, self._full_since + self.limits.write_timeout - now)
            self._rearm(left)

    def _await_flush(self, now: float) -> None:
        """Cut a closing connection when its time is up, later if the client is still reading what was written."""
        limits = self.limits
        if not self._close_at:
            self._close_at = now
        late = now - self._close_at
        if late >= limits.write_timeout or (late >= 0 and not self.transport.get_write_buffer_size()):
            self.transport.abort()
        else:
            self._rearm(-late if late < 0 else limits.linger)

    def _time_left(self, _now: float) -> float:
        """Return the seconds until the next look, having acted on a deadline of HTTP's that has passed."""
        return self.limits.tick
