"""An engine over pyreqwest (Rust reqwest), streamed and with no read-ahead.

One thing it cannot do (pyreqwest 0.15): a call that is cancelled while it waits for the answer's head goes on at the
peer until the head arrives or `_ORPHAN` has passed; closing the client does not end it either. Its slot is freed at
once. Cancelled while the body is read, the peer sees it at once.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from msgspec import Struct
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import ConnectTimeoutError, PyreqwestError
from pyreqwest.http import Url
from pyreqwest.proxy import ProxyBuilder
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from switchgear.contracts.upstream import ConnectionSettings, OutboundRequest
from switchgear.errors import (
    ConfigError,
    ConnectFailed,
    ConnectionBroken,
    ConnectTimeout,
    MalformedRequest,
    ResponseTooLarge,
    UpstreamError,
)
from switchgear.upstream.caps import HEAD_TOO_LARGE, MAX_HEAD_BYTES, MAX_PIECE
from switchgear.upstream.egress import EgressPolicy
from switchgear.upstream.resolve import Resolver
from switchgear.upstream.slots import Slots
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

T = TypeVar("T")

_ORPHAN: Final = timedelta(seconds=600)
_IDLE: Final = timedelta(seconds=30)
_FINAL: Final = 200
_MAX_TARGETS: Final = 1024
_LOST: Final = "The connection was lost after the request was sent."


class PyreqwestResponse:
    """An answer as it arrives; see `switchgear.contracts.upstream.UpstreamResponse`."""

    __slots__ = ("_answer", "_ended", "_reader", "_release", "_request", "_rest", "status")

    def __init__(self, request: StreamRequest, answer: Response, release: Callable[[], None]) -> None:
        self._request: StreamRequest | None = request
        self._answer = answer
        self._reader = answer.body_reader
        self._release = release
        self._rest = b""
        self._ended = False
        self.status = answer.status

    def header(self, name: str) -> str | None:
        """Return the first value of a header, whatever its case; None if absent."""
        return self._answer.get_header(name)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return all header lines as they came."""
        return [(name.encode("latin-1"), value.encode()) for name, value in self._answer.headers.items()]

    async def read(self) -> bytes | None:
        """Return the next piece of the body, None at its end; see the contract. Cancelling aborts at the peer."""
        piece = self._rest
        if not piece:
            if self._ended:
                return None
            if self._request is None:
                raise ConnectionBroken("The answer was closed before its end.")
            try:
                chunk = await _heeding(self._reader.read_chunk())
            except PyreqwestError:
                await self.close()
                raise ConnectionBroken("The connection was lost before the end of the answer.") from None
            except BaseException:
                await self.close()
                raise
            if chunk is None:
                self._ended = True
                self._request = None
                self._release()
                return None
            piece = chunk.to_bytes()
        if len(piece) > MAX_PIECE:
            self._rest = piece[MAX_PIECE:]
            return piece[:MAX_PIECE]
        self._rest = b""
        return piece

    async def body(self, limit: int) -> bytes:
        """Return the rest of the body; raise `ResponseTooLarge` as soon as it passes `limit` bytes."""
        parts = bytearray()
        while (piece := await self.read()) is not None:
            if len(parts) + len(piece) > limit:
                await self.close()
                raise ResponseTooLarge(f"The answer's body is over the cap of {limit} bytes.")
            parts += piece
        return bytes(parts)

    async def close(self) -> None:
        """Give the connection back, or abort it if the body was not read to its end."""
        request, self._request = self._request, None
        if request is not None:
            self._release()
            await request.__aexit__(None, None, None)


class _Pin(Struct, frozen=True):
    """A client whose connections to one origin go to one checked address."""

    client: Client
    address: str


class PyreqwestConnection:
    """The connections of one provider resource; see `switchgear.contracts.upstream.Connection`."""

    def __init__(self, settings: ConnectionSettings, egress: EgressPolicy, resolver: Resolver) -> None:
        self._settings = settings
        self._proxy = None if settings.proxy is None else parse_proxy(settings.proxy)
        self._egress = egress
        self._resolver = resolver
        self._slots = Slots(settings.max_connections)
        self._names = HeaderNames()
        self._targets: dict[str, tuple[Target, Url]] = {}
        self._pins: dict[tuple[str, str, int], _Pin] = {}
        self._roots = None if settings.ca_bundle is None else _pem(settings.ca_bundle, "ca_bundle")
        self._identity = None if settings.client_cert is None else _pem(settings.client_cert, "client_cert")
        self._closed = False
        self._builder()  # so that unusable files are reported now

    async def send(self, request: OutboundRequest) -> PyreqwestResponse:
        """Send and return when the answer's head has arrived; see the contract."""
        if self._closed:
            raise ConnectFailed("The provider's connection pool is closed; its resource was changed or removed.")
        target, url = self._targets.get(request.url) or self._target(request.url)
        self._names.check(request.headers)
        pin = self._pinned(target)
        if not self._slots.take():
            await self._slots.wait(self._settings.connect_timeout)
        answered = False
        try:
            if pin is None:
                outgoing, answer = await self._dial(target, url, request)
            else:
                outgoing, answer = await self._exchange(pin, url, request)
            answered = True
        finally:
            if not answered:
                self._slots.give()
        response = PyreqwestResponse(outgoing, answer, self._slots.give)
        if answer.status < _FINAL:
            await response.close()
            raise ConnectionBroken("The peer switched protocols.")
        if sum(map(len, answer.headers.values())) > MAX_HEAD_BYTES:  # reqwest's own caps: 400 KiB and 100 lines
            await response.close()
            raise ResponseTooLarge(HEAD_TOO_LARGE)
        return response

    async def close(self) -> None:
        """Close idle connections; calls in flight finish."""
        self._closed = True
        self._pins.clear()  # a client without an owner drains

    def _target(self, text: str) -> tuple[Target, Url]:
        target = parse_target(text)
        if target.literal:
            self._egress.check(target.host)
        if len(self._targets) >= _MAX_TARGETS:
            self._targets.clear()
        entry = self._targets[text] = (target, Url(target.url))
        return entry

    def _peer(self, target: Target) -> Target:
        return target if self._proxy is None else self._proxy.target

    def _pinned(self, target: Target) -> _Pin | None:
        """Return the client of an origin while its address is still one of the name's."""
        pin = self._pins.get(target.origin)
        if pin is None:
            return None
        peer = self._peer(target)
        if not peer.literal:
            answer = self._resolver.known(peer.host)
            if answer is None or pin.address not in answer.addresses:
                self._pins.pop(target.origin, None)
                return None
        return pin

    async def _dial(self, target: Target, url: Url, request: OutboundRequest) -> tuple[StreamRequest, Response]:
        """Send through the first of the name's addresses that can be connected to, and stay with it."""
        peer = self._peer(target)
        if peer.literal:
            self._egress.check(peer.host)
            addresses: tuple[str, ...] = (peer.host,)
        else:
            addresses = (await self._resolver.resolve(peer.host)).addresses
        for left, address in zip(range(len(addresses) - 1, -1, -1), addresses, strict=True):
            pin = _Pin(client=self._client(peer, address), address=address)
            try:
                exchange = await self._exchange(pin, url, request)
            except ConnectFailed:
                if not left:
                    raise
            else:
                self._pins[target.origin] = pin
                return exchange
        raise ConnectFailed("The name has no address.")

    def _client(self, peer: Target, address: str) -> Client:
        builder = self._builder()
        if not peer.literal:
            builder = builder.resolve(peer.host, address, peer.port)
        return builder.build()

    def _builder(self) -> ClientBuilder:
        settings = self._settings
        builder = (
            ClientBuilder()
            .no_proxy()
            .follow_redirects(False)
            .referer(False)
            .gzip(False)
            .brotli(False)
            .zstd(False)
            .deflate(False)
            .default_cookie_store(False)
            .tcp_nodelay(True)
            .http1_lower_case_headers()
            .default_headers(DEFAULT_HEADERS)
            .min_tls_version("TLSv1.2")
            .danger_accept_invalid_certs(not settings.verify_tls)
            .connect_timeout(timedelta(seconds=settings.connect_timeout))
            .pool_idle_timeout(_IDLE)
        )
        if self._proxy is not None:
            proxy = ProxyBuilder.all(self._proxy.target.url)
            if self._proxy.authorization is not None:
                proxy = proxy.custom_http_auth(self._proxy.authorization)
            builder = builder.proxy(proxy)
        try:
            if self._roots is not None:
                builder = builder.add_root_certificate_pem(self._roots)
            if self._identity is not None:
                builder = builder.identity_pem(self._identity)
        except (PyreqwestError, ValueError):
            raise ConfigError("ca_bundle or client_cert cannot be used: it is not PEM.") from None
        return builder

    async def _exchange(self, pin: _Pin, url: Url, request: OutboundRequest) -> tuple[StreamRequest, Response]:
        headers = request.headers
        if not request.body and request.method not in WITHOUT_LENGTH:
            headers = {**headers, "content-length": "0"}
        try:
            outgoing = (
                pin.client.request(request.method, url)
                .headers(headers)
                .body_bytes(request.body)
                .timeout(_ORPHAN)
                .streamed_read_buffer_limit(0)
                .build_streamed()
            )
        except ValueError:
            check_method(request.method)
            check_values(request.headers.items())
            raise MalformedRequest("The request is not valid HTTP; check the provider's headers.") from None
        try:
            return outgoing, await _heeding(outgoing.__aenter__())
        except PyreqwestError as error:
            raise _mapped(error) from None
        except asyncio.CancelledError:
            with contextlib.suppress(RuntimeError):  # no answer to close
                await outgoing.__aexit__(None, None, None)
            raise


async def _heeding(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` and be cancelled if the task was: pyreqwest drops a cancellation that meets its result."""
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    result = await work
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
    return result


def _mapped(error: PyreqwestError) -> UpstreamError:
    """Say what happened in our words. pyreqwest's classes mix failures before and after sending; its causes do not."""
    causes = _causes(error)
    if "client error (Connect)" in causes:
        if isinstance(error, ConnectTimeoutError):
            return ConnectTimeout("No connection was made in time; check base_url, or raise connect_timeout.")
        return ConnectFailed("No connection could be made; check base_url and that the provider is up.")
    if "message head is too large" in causes:
        return ResponseTooLarge(HEAD_TOO_LARGE)
    return ConnectionBroken(_LOST)


def _causes(error: PyreqwestError) -> list[str]:
    details: Any = getattr(error, "details", None) or {}
    return [cause["message"] for cause in details.get("causes") or ()]


def _pem(path: str, setting: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{setting} {path!r} cannot be used: {error.strerror}") from None
