"""The engine of the hot path: HTTP/1.1 on the event loop.

Sending on a warm connection is one dictionary look-up, one write and one future. Cancelling closes the socket in the
same turn of the loop, whatever the call waits for.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from switchgear.contracts.upstream import ConnectionSettings, OutboundRequest, UpstreamResponse
from switchgear.errors import ConnectFailed, ConnectionBroken, ConnectTimeout, MalformedRequest
from switchgear.limiter import Limiter
from switchgear.upstream.dial import Dialer, Tls
from switchgear.upstream.egress import EgressPolicy
from switchgear.upstream.http1 import Body, Channel, Response
from switchgear.upstream.packed import unpacked
from switchgear.upstream.resolve import Resolver
from switchgear.upstream.target import (
    DEFAULT_HEADERS,
    WITHOUT_LENGTH,
    HeaderNames,
    Target,
    check_method,
    check_values,
    parse_proxy,
    parse_target,
)

_IDLE_SECONDS: Final = 30.0
_MAX_ROUTES: Final = 1024
_STALE_SECONDS: Final = 1.0
"""An idle connection that breaks later than so many after it was written to may have been worked on."""


class _Route:
    """What every request of one method to one URL shares, and the head of the last one up to its length."""

    __slots__ = ("bodiless", "head", "headers", "idle", "length", "start", "target")

    def __init__(self, target: Target, start: str, idle: dict[Channel, None], *, bodiless: bool, length: bool) -> None:
        self.target = target
        self.idle = idle
        self.start = start
        self.bodiless = bodiless
        self.length = length
        self.headers: dict[str, str] | None = None
        self.head = b""


class Http1Connection:
    """The connections of one provider resource; see `switchgear.contracts.upstream.Connection`.

    `buffer` is where everything is read into, at least one byte, shared by all connections of a loop.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        egress: EgressPolicy,
        resolver: Resolver,
        *,
        tls: Tls,
        buffer: memoryview,
    ) -> None:
        proxy = None if settings.proxy is None else parse_proxy(settings.proxy)
        self._proxy = proxy
        self._dialer = Dialer(egress, resolver, proxy=proxy, timeout=settings.connect_timeout, tls=tls)
        self._connect_timeout = settings.connect_timeout
        self._slots = Limiter(settings.max_connections)
        self._buffer = buffer
        self._names = HeaderNames()
        self._routes: dict[tuple[str, str], _Route] = {}
        self._idle: dict[tuple[str, str, int], dict[Channel, None]] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(self, request: OutboundRequest, extra: Mapping[str, str] | None = None) -> UpstreamResponse:
        """Send and return when the answer's head has arrived; see the contract."""
        route = self._routes.get((request.method, request.url)) or self._route(request)
        head = route.head if request.headers == route.headers else self._head(route, request.headers)
        if extra:
            head += self._lines(extra)
        body = request.body
        size = len(body) if isinstance(body, bytes) else sum(len(piece) for piece in body)
        head = b"%bcontent-length: %d\r\n\r\n" % (head, size) if size or route.length else head + b"\r\n"
        slots = self._slots
        if not slots.take() and not await slots.acquire(self._connect_timeout):
            raise ConnectTimeout("All max_connections of this provider are in use.")
        try:
            reused = self._take(route)
            channel = reused or await self._dial(route)
        except BaseException:
            slots.release()
            raise
        response = Response(channel, slots)
        sent_at = channel.loop.time()
        channel.start(response, head, body, bodiless=route.bodiless)
        try:
            while not response.status:
                await response.arrival()
        except ConnectionBroken:
            response.abort()
            if reused is None or not channel.was_hung_up or channel.loop.time() > sent_at + _STALE_SECONDS:
                raise
            response = await self._once_more(route, head, body)
        except BaseException:
            response.abort()
            raise
        return response if response.header("content-encoding") is None else unpacked(response)

    async def _once_more(self, route: _Route, head: bytes, body: Body) -> Response:
        """Send on a fresh connection what an idle one took without a word: its peer had closed it already."""
        slots = self._slots
        if not slots.take() and not await slots.acquire(self._connect_timeout):
            raise ConnectTimeout("All max_connections of this provider are in use.")
        try:
            channel = await self._dial(route)
        except BaseException:
            slots.release()
            raise
        response = Response(channel, slots)
        channel.start(response, head, body, bodiless=route.bodiless)
        try:
            while not response.status:
                await response.arrival()
        except BaseException:
            response.abort()
            raise
        return response

    async def close(self) -> None:
        """Close idle connections; calls in flight finish, and then theirs close too."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for channels in self._idle.values():
            for channel in list(channels):
                channel.abort()
            channels.clear()

    def _route(self, request: OutboundRequest) -> _Route:
        check_method(request.method)
        target = parse_target(request.url)
        self._dialer.check(target)
        proxied = self._proxy is not None and target.scheme == "http"
        start = f"{request.method} {target.url if proxied else target.path} HTTP/1.1\r\nhost: {target.authority}\r\n"
        if proxied and self._proxy is not None and self._proxy.authorization is not None:
            start += f"proxy-authorization: {self._proxy.authorization}\r\n"
        route = _Route(
            target,
            start,
            self._idle.setdefault(target.origin, {}),
            bodiless=request.method == "HEAD",
            length=request.method not in WITHOUT_LENGTH,
        )
        if len(self._routes) >= _MAX_ROUTES:
            self._routes.clear()
        self._routes[request.method, request.url] = route
        return route

    def _head(self, route: _Route, headers: dict[str, str]) -> bytes:
        """Render the head of a request up to its length. Providers say the same with each, so the last one is kept."""
        lines = self._lines({**DEFAULT_HEADERS, **headers})
        route.head = route.start.encode() + lines
        route.headers = dict(headers)
        return route.head

    def _lines(self, headers: Mapping[str, str]) -> bytes:
        self._names.check(headers)
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        count = len(headers)
        if lines.count("\n") != count or lines.count("\r") != count or "\0" in lines:
            check_values(headers.items())
        try:
            return lines.encode()
        except UnicodeEncodeError:
            raise MalformedRequest("A header's value is not text; check the provider's headers.") from None

    def _take(self, route: _Route) -> Channel | None:
        """Return an idle connection that may still be used."""
        while route.idle:
            channel, _ = route.idle.popitem()
            if channel.usable() and self._dialer.valid(route.target, channel.address):
                return channel
            channel.abort()
        return None

    async def _dial(self, route: _Route) -> Channel:
        if self._closed:
            raise ConnectFailed("The provider's connection pool is closed; its resource was changed or removed.")
        channel, address = await self._dialer.dial(route.target, self._channel)
        channel.address, channel.idle = address, route.idle
        return channel

    def _channel(self) -> Channel:
        return Channel(self._buffer, self._idled, self._lost)

    def _idled(self, channel: Channel) -> None:
        if self._closed:
            channel.abort()
            return
        channel.idle_since = channel.loop.time()
        channel.idle[channel] = None
        if self._sweeper is None:
            self._sweeper = channel.loop.call_later(_IDLE_SECONDS, self._sweep)

    def _lost(self, channel: Channel) -> None:
        channel.idle.pop(channel, None)

    def _sweep(self) -> None:
        """Close what was idle for long: the peer is about to do the same."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - _IDLE_SECONDS
        for channels in self._idle.values():
            for channel in list(channels):
                if channel.idle_since <= oldest:
                    del channels[channel]
                    channel.abort()
        self._sweeper = loop.call_later(_IDLE_SECONDS / 2, self._sweep) if any(self._idle.values()) else None
