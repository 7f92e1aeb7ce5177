"""The second engine: httpcore, the transport of httpx, over connections that our dialer made.

Its pool loses slots for good when a task is cancelled inside it (httpcore 1.0.9), so nothing is: every call runs in a
task of its own, and giving up closes the socket under it, which it survives like any lost connection.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextvars import ContextVar
from typing import Any, Final, TypeVar, cast

import httpcore

from switchgear.contracts.upstream import ConnectionSettings, OutboundRequest
from switchgear.errors import (
    ConnectFailed,
    ConnectionBroken,
    ConnectTimeout,
    MalformedRequest,
    ResponseTooLarge,
    UpstreamError,
)
from switchgear.upstream.caps import HEAD_TOO_LARGE, MAX_HEAD_BYTES, MAX_HEAD_LINES, MAX_PIECE
from switchgear.upstream.dial import Dialer
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

_IDLE_SECONDS: Final = 30.0
_TOO_LARGE_HINT: Final = 431  # what h11 suggests to answer when a head passes its own cap
_FINAL: Final = 200


class _Call:
    """One request: what to close when its caller gives up."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.aborted = False
        self.dialling: asyncio.Task[Any] | None = None
        self.stream: _Stream | None = None

    def abort(self) -> None:
        self.aborted = True
        if self.dialling is not None:
            self.dialling.cancel()
        if self.stream is not None:
            self.stream.abort()


class _Protocol(asyncio.StreamReaderProtocol):
    """A reader of bytes that knows its transport."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader(limit=MAX_PIECE)
        self.transport: asyncio.Transport | None = None
        super().__init__(self.reader)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        super().connection_made(transport)


class _Stream(httpcore.AsyncNetworkStream):
    """A connection as httpcore sees it. TLS is on before httpcore gets it, so `start_tls` has nothing left to do."""

    def __init__(self, protocol: _Protocol, calls: ContextVar[_Call], valid: Callable[[], bool]) -> None:
        assert protocol.transport is not None
        self._reader = protocol.reader
        self._transport = protocol.transport
        self._writer = asyncio.StreamWriter(protocol.transport, protocol, protocol.reader, asyncio.get_running_loop())
        self._calls = calls
        self._valid = valid

    def abort(self) -> None:
        self._transport.abort()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109, ARG002
        try:
            return await self._reader.read(max_bytes)
        except OSError:
            raise httpcore.ReadError from None

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109, ARG002
        call = self._calls.get()
        call.stream = self
        if call.aborted:
            self.abort()
        if not buffer:
            return
        try:
            self._writer.write(buffer)
            await self._writer.drain()
        except OSError:
            raise httpcore.WriteError from None

    async def aclose(self) -> None:
        self._transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,  # noqa: ARG002
        server_hostname: str | None = None,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ASYNC109, ARG002
    ) -> httpcore.AsyncNetworkStream:
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # asked of an idle connection: yes means that it is of no more use
            return self._reader.at_eof() or self._transport.is_closing() or not self._valid()
        return None


class _Backend(httpcore.AsyncNetworkBackend):
    """Gives httpcore connections to checked addresses."""

    def __init__(self, dialer: Dialer, calls: ContextVar[_Call]) -> None:
        self._dialer = dialer
        self._calls = calls

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - the call knows its target
        port: int,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ASYNC109, ARG002
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        call = self._calls.get()
        target = call.target
        call.dialling = asyncio.get_running_loop().create_task(self._dialer.dial(target, _Protocol))
        try:
            protocol, address = await call.dialling
        except asyncio.CancelledError:
            if call.aborted:
                raise ConnectFailed("The call was given up while connecting.") from None
            raise
        finally:
            call.dialling = None
        return _Stream(protocol, self._calls, lambda: self._dialer.valid(target, address))


class HttpxResponse:
    """An answer as it arrives; see `switchgear.contracts.upstream.UpstreamResponse`."""

    def __init__(self, connection: "HttpxConnection", call: _Call, answer: httpcore.Response) -> None:
        self._connection = connection
        self._call = call
        self._answer = answer
        self._pieces: AsyncIterator[bytes] = answer.aiter_stream()
        self._rest = b""
        self._open = True
        self._ended = False
        self.status = answer.status

    def header(self, name: str) -> str | None:
        """Return the first value of a header, whatever its case; None if absent."""
        wanted = name.lower().encode("latin-1")
        for key, value in self._answer.headers:
            if key.lower() == wanted:
                return value.decode("latin-1")
        return None

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return all header lines as they came."""
        return list(self._answer.headers)

    async def read(self) -> bytes | None:
        """Return the next piece of the body, None at its end; see the contract. Cancelling aborts at the peer."""
        piece = self._rest
        while not piece:
            if self._ended:
                return None
            if not self._open:
                raise ConnectionBroken("The answer was closed before its end.")
            try:
                following = await self._connection.guarded(self._call, self._next())
            except BaseException:
                await self.close()
                raise
            if following is None:
                self._ended = True
                await self.close()
                return None
            piece = following
        self._rest = piece[MAX_PIECE:]
        return piece[:MAX_PIECE]

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
        if not self._open:
            return
        self._open = False
        if not self._ended:
            self._call.abort()
        await self._connection.release(self._answer)

    async def _next(self) -> bytes | None:
        return await anext(self._pieces, None)


class HttpxConnection:
    """The connections of one provider resource; see `switchgear.contracts.upstream.Connection`."""

    def __init__(
        self,
        settings: ConnectionSettings,
        egress: EgressPolicy,
        resolver: Resolver,
        *,
        tls: Callable[[], ssl.SSLContext],
    ) -> None:
        self._proxy = None if settings.proxy is None else parse_proxy(settings.proxy)
        self._dialer = Dialer(egress, resolver, proxy=self._proxy, timeout=settings.connect_timeout, tls=tls)
        self._connect_timeout = settings.connect_timeout
        self._slots = Slots(settings.max_connections)
        self._names = HeaderNames()
        self._calls: ContextVar[_Call] = ContextVar("switchgear_upstream_call")
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._pool = httpcore.AsyncConnectionPool(
            # Without roots it can verify nothing: should httpcore ever use it, it fails.
            ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            max_connections=None,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=_Backend(self._dialer, self._calls),
        )

    async def send(self, request: OutboundRequest) -> HttpxResponse:
        """Send and return when the answer's head has arrived; see the contract."""
        if self._closed:
            raise ConnectFailed("The provider's connection pool is closed; its resource was changed or removed.")
        target = parse_target(request.url)
        self._dialer.check(target)
        outgoing = self._request(target, request)
        if not self._slots.take():
            await self._slots.wait(self._connect_timeout)
        call = _Call(target)
        try:
            answer = await self.guarded(call, self._run(call, outgoing), self._drop)
        except BaseException:
            self._slots.give()
            raise
        if problem := _problem(answer):
            call.abort()
            await self.release(answer)
            raise problem
        return HttpxResponse(self, call, answer)

    async def close(self) -> None:
        """Close idle connections; calls in flight finish, and then theirs close too."""
        self._closed = True
        await self._close_idle()

    async def guarded(
        self, call: _Call, work: Coroutine[Any, Any, T], unwanted: Callable[[T], None] | None = None
    ) -> T:
        """Run `work` in a task of its own, which being cancelled here does not reach; it ends because `call` is aborted.

        A result that came too late to be returned is given to `unwanted`. Raises our errors for httpcore's.
        """
        task = self._spawn(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            call.abort()
            if unwanted is not None:
                task.add_done_callback(lambda done: None if _failed(done) else unwanted(done.result()))
            raise
        except httpcore.ConnectError:
            raise ConnectFailed("No connection could be made.") from None
        except httpcore.TimeoutException:
            raise ConnectTimeout("No connection was made in time.") from None
        except httpcore.LocalProtocolError:
            raise MalformedRequest("The request is not valid HTTP; check the provider's headers.") from None
        except httpcore.RemoteProtocolError as error:
            if getattr(error.__context__, "error_status_hint", None) == _TOO_LARGE_HINT:
                raise ResponseTooLarge(HEAD_TOO_LARGE) from None
            raise ConnectionBroken("The connection was lost, or the answer is not HTTP/1.1.") from None
        except httpcore.NetworkError:
            raise ConnectionBroken("The connection was lost after the request was sent.") from None

    async def release(self, answer: httpcore.Response) -> None:
        """Give an answer's connection back and free its slot, also if cancelled meanwhile."""
        await asyncio.shield(self._spawn(self._finish(answer, self._slots.give)))

    def _drop(self, answer: httpcore.Response) -> None:
        self._spawn(self._finish(answer, lambda: None))

    async def _finish(self, answer: httpcore.Response, then: Callable[[], None]) -> None:
        try:
            await answer.aclose()
            if self._closed:
                await self._close_idle()
        finally:
            then()

    async def _close_idle(self) -> None:
        for connection in self._pool.connections:
            if connection.is_idle():
                await connection.aclose()

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_failed)
        return task

    async def _run(self, call: _Call, request: httpcore.Request) -> httpcore.Response:
        self._calls.set(call)
        return await self._pool.handle_async_request(request)

    def _request(self, target: Target, request: OutboundRequest) -> httpcore.Request:
        check_method(request.method)
        self._names.check(request.headers)
        check_values(request.headers.items())
        headers = {"host": target.authority, **DEFAULT_HEADERS, **request.headers}
        if request.body or request.method not in WITHOUT_LENGTH:
            headers["content-length"] = str(len(request.body))
        path = target.path
        if self._proxy is not None and target.scheme == "http":
            path = target.url
            if self._proxy.authorization is not None:
                headers["proxy-authorization"] = self._proxy.authorization
        try:
            pairs = [(name.encode("ascii"), value.encode()) for name, value in headers.items()]
        except UnicodeEncodeError:
            raise MalformedRequest("A header's value is not text; check the provider's headers.") from None
        url = httpcore.URL(
            scheme=target.scheme.encode("ascii"),
            host=target.host.encode("ascii"),
            port=target.port,
            target=path.encode("ascii"),
        )
        return httpcore.Request(request.method.encode("ascii"), url, headers=pairs, content=request.body)


def _failed(task: asyncio.Task[Any]) -> bool:
    """Tell whether a task has no result, and mark its error as seen: whoever waited for it got it too."""
    return task.cancelled() or task.exception() is not None


def _problem(answer: httpcore.Response) -> UpstreamError | None:
    if answer.status < _FINAL:
        return ConnectionBroken("The peer switched protocols.")
    size = sum(len(name) + len(value) for name, value in answer.headers)
    if size > MAX_HEAD_BYTES or len(answer.headers) > MAX_HEAD_LINES:
        return ResponseTooLarge(HEAD_TOO_LARGE)
    return None
