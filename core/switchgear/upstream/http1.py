"""One HTTP/1.1 connection (RFC 9112) and the answers read from it, on the event loop, parsed by llhttp."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Final, TypeAlias, cast

import httptools
from msgspec import Raw

from switchgear.errors import ConnectionBroken, ResponseTooLarge, UpstreamError
from switchgear.limiter import Limiter
from switchgear.upstream.caps import HEAD_TOO_LARGE, MAX_HEAD_BYTES, MAX_HEAD_LINES, MAX_PIECE

LOST: Final = "The connection was lost after the request was sent."

Body: TypeAlias = bytes | tuple[bytes | Raw, ...]
_AT_ONCE: Final = 1024 * 1024
"""Bytes of a body up to which all of it is handed to the transport."""
_PIECE: Final = 256 * 1024
_FINAL: Final = 200  # the first status that is not informational
_SWITCHING: Final = 101


class Response:
    """An answer as it arrives; see `switchgear.contracts.upstream.UpstreamResponse`.

    At most two pieces of `MAX_PIECE` are held ahead of the reader; beyond that the peer is not read from. `pieces` of the
    body, of `buffered` bytes in all, come from the channel.
    """

    __slots__ = (
        "_by_name", "_channel", "_error", "_loop", "_message", "_slots", "_waiter", "buffered", "complete", "lines",
        "pieces", "status",
    )  # fmt: skip

    def __init__(self, channel: "Channel", slots: Limiter) -> None:
        self._loop = channel.loop
        self._channel: Channel | None = channel
        self._slots = slots
        self._waiter: asyncio.Future[None] | None = None
        self._error: type[UpstreamError] | None = None
        self._message = ""
        self._by_name: dict[bytes, bytes] | None = None
        self.pieces: deque[bytes] = deque()
        self.buffered = 0
        self.lines: list[tuple[bytes, bytes]] = []
        self.status = 0
        self.complete = False

    def header(self, name: str) -> str | None:
        """Return the first value of a header, whatever its case; None if absent."""
        by_name = self._by_name
        if by_name is None:
            by_name = {name.lower(): value for name, value in self.lines}
            if len(by_name) != len(self.lines):
                by_name = {name.lower(): value for name, value in reversed(self.lines)}
            self._by_name = by_name
        value = by_name.get(_lower(name))
        return None if value is None else value.decode("latin-1")

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return all header lines as they came."""
        return self.lines

    async def read(self) -> bytes | None:
        """Return the next piece of the body, None at its end; see the contract. Cancelling aborts at the peer."""
        pieces = self.pieces
        while not pieces:
            if self.complete:
                return None
            try:
                await self.arrival()
            except BaseException:
                self.abort()
                raise
        if self.buffered <= MAX_PIECE:
            piece = pieces.popleft() if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self.buffered = 0
            if self._channel is not None:
                self._channel.resume()
        else:
            piece = pieces.popleft()
            self.buffered -= len(piece)
        return piece

    def whole(self, limit: int) -> bytes | None:
        """Take the body if it has arrived in one piece; see the contract."""
        if not self.complete or len(self.pieces) != 1 or self.buffered > limit:
            return None
        self.buffered = 0
        return self.pieces.popleft()

    async def body(self, limit: int, on_piece: Callable[[], None] | None = None) -> bytes:
        """Return the rest of the body; see the contract."""
        parts = []
        size = 0
        while (piece := await self.read()) is not None:
            size += len(piece)
            if size > limit:
                self.abort()
                raise ResponseTooLarge(f"The answer's body is over the cap of {limit} bytes.")
            parts.append(piece)
            if on_piece is not None and not self.complete:
                on_piece()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def close(self) -> None:
        """Abort the connection unless the body was read to its end."""
        self.abort()

    def abort(self) -> None:
        """Do what `close` does, without being awaited."""
        channel = self._channel
        if channel is not None:
            self.fail(ConnectionBroken, "The answer was closed before its end.")
            channel.abort()

    def arrival(self) -> "asyncio.Future[None]":
        """Return what is done once more has arrived, or nothing more will. Raises what the answer failed with.

        Whoever waits for it and is cancelled calls `abort`.
        """
        if self._error is not None:
            raise self._error(self._message)
        self._waiter = waiter = self._loop.create_future()
        return waiter

    # What the channel calls.

    def wake(self) -> None:
        """Let the reader look again."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def full(self) -> bool:
        """Tell whether the peer should not be read from until the reader has caught up."""
        return self.buffered >= MAX_PIECE

    def finish(self) -> None:
        """The whole message has arrived."""
        self.complete = True
        self._channel = None
        self._slots.release()
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def fail(self, error: type[UpstreamError], message: str) -> None:
        """Nothing more will arrive: the reader gets what is there, then `error`."""
        if self._channel is not None:
            self._error, self._message = error, message
            self._channel = None
            self._slots.release()
            self.wake()


class Channel(asyncio.BufferedProtocol):
    """One connection: at most one answer at a time is read from it.

    `on_idle` is called when it may carry another request, `on_lost` when it never will. `buffer` is read into and
    emptied within one callback, so all connections of a loop share it.
    """

    def __init__(
        self, buffer: memoryview, on_idle: "Callable[[Channel], None]", on_lost: "Callable[[Channel], None]"
    ) -> None:
        self._buffer = buffer
        self._on_idle = on_idle
        self._on_lost = on_lost
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._response: Response | None = None
        self._lines: list[tuple[bytes, bytes]] = []
        self._ended = False  # the response's message is complete
        self._bodiless = False
        self._keep_alive = False
        self._paused = False
        self._overhead = 0  # bytes received since the last byte of a body
        self._hung_up = False
        self._unsent: Iterator[memoryview] | None = None
        self._write_paused = False
        self.loop = asyncio.get_running_loop()
        self.address = ""
        self.idle_since = 0.0
        self.idle: dict[Channel, None] = {}
        """The idle ones to its origin, of which it is one while nothing is asked on it; the engine's."""

    def start(self, response: Response, head: bytes, body: Body, *, bodiless: bool) -> None:
        """Send a head and a body; the answer goes to `response`. `bodiless` is for HEAD.

        A long body is handed to the transport a piece at a time, as the peer takes them: encrypted it exists twice.
        """
        transport = self._transport
        if transport is None:
            response.fail(ConnectionBroken, LOST)
            return
        self._response = response
        self._lines = response.lines
        self._ended = False
        self._bodiless = bodiless
        self._overhead = 0
        if type(body) is not bytes or len(body) > _AT_ONCE:
            transport.write(head)
            self._unsent = _cut(body if isinstance(body, tuple) else (body,))
            self._write_on()
        elif len(body) <= MAX_PIECE:
            transport.write(head + body)
        else:
            transport.writelines((head, body))

    def _write_on(self) -> None:
        """Hand on what is unsent, up to where the transport wants no more."""
        while self._unsent is not None and not self._write_paused:
            piece = next(self._unsent, None)
            if piece is None or self._transport is None:
                self._unsent = None
            else:
                self._transport.write(piece)

    def abort(self) -> None:
        """Close the connection at once, discarding what was not sent."""
        transport, self._transport = self._transport, None
        self._response = self._unsent = None
        if transport is not None:
            transport.abort()

    def resume(self) -> None:
        """Read on, if reading was paused."""
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    @property
    def was_hung_up(self) -> bool:
        """Whether the peer closed it, rather than broke it off, before anything of an answer came."""
        return self._hung_up

    def usable(self) -> bool:
        """Tell whether a request can be sent on it."""
        transport = self._transport
        return transport is not None and not transport.is_closing()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio's
        self._transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:  # noqa: D102 - asyncio's
        self._write_paused = True

    def resume_writing(self) -> None:  # noqa: D102 - asyncio's
        self._write_paused = False
        self._write_on()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002, D102 - asyncio's
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:  # noqa: D102 - asyncio's
        response = self._response
        if response is None:
            self.abort()  # bytes that nobody asked for
            return
        self._overhead += nbytes
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except httptools.HttpParserCallbackError as error:
            self._broken(response, error.__context__)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._broken(response, None)
        else:
            if self._ended:
                self._complete(response)
            elif self._overhead > MAX_HEAD_BYTES:
                self._broken(response, ResponseTooLarge(HEAD_TOO_LARGE))
            elif response.status:
                if response.full() and not self._paused and self._transport is not None:
                    self._paused = True
                    self._transport.pause_reading()
                response.wake()

    def eof_received(self) -> None:  # noqa: D102 - asyncio's
        response, self._response = self._response, None
        if response is None:
            return
        self._hung_up = self._overhead == 0
        if response.status and _ends_with_connection(response.lines):
            response.finish()
        else:
            response.fail(ConnectionBroken, "The provider closed the connection before its answer was complete.")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002, D102 - asyncio's
        self._transport = self._unsent = None
        response, self._response = self._response, None
        if response is not None:
            response.fail(ConnectionBroken, LOST)
        self._on_lost(self)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Refuse a message that follows a complete one: nobody asked for it."""
        if self._ended:
            raise ConnectionBroken("The peer sent more than one answer.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header line; trailers are dropped."""
        self._lines.append((name, value))

    def on_headers_complete(self) -> None:
        """Publish the head, unless it is informational (RFC 9110, section 15.2)."""
        response = self._response
        if response is None:
            return
        status = self._parser.get_status_code()
        headers = response.lines
        if len(headers) > MAX_HEAD_LINES or (
            # Names and values are part of what came, so counting them is seldom needed.
            self._overhead > MAX_HEAD_BYTES and sum(len(n) + len(v) for n, v in headers) > MAX_HEAD_BYTES
        ):
            raise ResponseTooLarge(HEAD_TOO_LARGE)
        if status >= _FINAL:
            response.status = status
            self._lines = []  # trailers go here
            if self._bodiless:
                # The parser expects the body this length is about, so the connection cannot be kept.
                self._keep_alive = False
                self._ended = True
        elif status == _SWITCHING:
            raise ConnectionBroken("The peer switched protocols.")
        else:
            headers.clear()

    def on_body(self, piece: bytes) -> None:
        """Collect a piece of the body."""
        response = self._response
        if response is not None and not self._ended:
            response.pieces.append(piece)
            response.buffered += len(piece)
            self._overhead = 0

    def on_message_complete(self) -> None:
        """Note the end of the message and whether the connection outlives it."""
        response = self._response
        if response is not None and response.status and not self._ended:
            self._keep_alive = self._parser.should_keep_alive()
            self._ended = True

    def _complete(self, response: Response) -> None:
        transport = self._transport
        self._response = None
        response.finish()
        if (
            self._keep_alive
            and self._unsent is None
            and transport is not None
            and not transport.get_write_buffer_size()
            and not transport.is_closing()
        ):
            if self._paused:
                self.resume()
            self._on_idle(self)
        else:
            self.abort()

    def _broken(self, response: Response, cause: BaseException | None) -> None:
        if self._ended:  # the answer is whole; what follows it is not
            response.finish()
        elif isinstance(cause, UpstreamError):
            response.fail(type(cause), str(cause))
        else:
            response.fail(ConnectionBroken, "The answer is not HTTP/1.1.")
        self.abort()


def _cut(pieces: Iterable[Any]) -> Iterator[memoryview]:
    for piece in pieces:
        view = memoryview(piece)
        for at in range(0, len(view), _PIECE):
            yield view[at : at + _PIECE]


@lru_cache(256)
def _lower(name: str) -> bytes:
    return name.lower().encode("latin-1")


def _ends_with_connection(headers: list[tuple[bytes, bytes]]) -> bool:
    """Tell whether the body's end is the connection's (RFC 9112, section 6.3)."""
    for name, value in headers:
        lower = name.lower()
        if lower == b"content-length":
            return False
        if lower == b"transfer-encoding" and value.lower().rstrip().endswith(b"chunked"):
            return False
    return True
