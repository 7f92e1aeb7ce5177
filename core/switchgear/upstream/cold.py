"""The engine behind an `httpx.AsyncClient`, for everything that is not inference."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import httpx

from switchgear.contracts.upstream import Connection, OutboundRequest, UpstreamResponse
from switchgear.errors import ConnectFailed, ConnectTimeout, EgressDenied, MalformedRequest, UpstreamError

_ENGINE_SETS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "keep-alive"})


class ColdTransport(httpx.AsyncBaseTransport):
    """Sends httpx's requests through a connection, so that each one, also of a redirect, passes the egress guard.

    Request bodies are sent whole. Answers are capped at `max_body` bytes as received, and refused when compressed
    although `identity` was asked for: httpx would expand them without bound.
    """

    def __init__(self, connection: Connection, max_body: int) -> None:
        self._connection = connection
        self._max_body = max_body

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request. Raises httpx's exceptions, with ours as their cause."""
        outbound = OutboundRequest(
            method=request.method,
            url=str(request.url),
            headers=_headers(request),
            body=await request.aread(),
        )
        timeouts = request.extensions.get("timeout", {})
        wait = _sum(timeouts.get("pool"), timeouts.get("connect"), timeouts.get("read"))
        try:
            async with asyncio.timeout(wait):
                answer = await self._connection.send(outbound)
        except (UpstreamError, TimeoutError) as error:
            raise _httpx_error(error, request) from error
        lines = answer.headers()
        if outbound.headers.get("accept-encoding", "identity") == "identity" and _encoded(answer):
            await answer.close()
            raise httpx.DecodingError("The answer is compressed although that was not asked for.", request=request)
        stream = _Body(answer, request, timeouts.get("read"), self._max_body)
        return httpx.Response(answer.status, headers=lines, stream=stream)

    async def aclose(self) -> None:
        """Close the connection's idle sockets."""
        await self._connection.close()


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: UpstreamResponse, request: httpx.Request, wait: float | None, limit: int) -> None:
        self._answer = answer
        self._request = request
        self._wait = wait
        self._left = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout(self._wait):
                    piece = await self._answer.read()
            except (UpstreamError, TimeoutError) as error:
                raise _httpx_error(error, self._request) from error
            if piece is None:
                return
            self._left -= len(piece)
            if self._left < 0:
                await self._answer.close()
                raise httpx.ReadError("The answer is over the cap on its size.", request=self._request)
            yield piece

    async def aclose(self) -> None:
        await self._answer.close()


def _headers(request: httpx.Request) -> dict[str, str]:
    """Return httpx's headers without those that the engine sets; values of one name are joined (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for name, value in request.headers.multi_items():
        if name not in _ENGINE_SETS:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _encoded(answer: UpstreamResponse) -> bool:
    return (answer.header("content-encoding") or "identity").strip().lower() != "identity"


def _sum(*seconds: float | None) -> float | None:
    known = [value for value in seconds if value is not None]
    return sum(known) if len(known) == len(seconds) else None


def _httpx_error(error: UpstreamError | TimeoutError, request: httpx.Request) -> httpx.RequestError:
    message = str(error) or "The peer did not answer in time."
    match error:
        case EgressDenied():
            return httpx.UnsupportedProtocol(message, request=request)
        case MalformedRequest():
            return httpx.LocalProtocolError(message, request=request)
        case ConnectTimeout():
            return httpx.ConnectTimeout(message, request=request)
        case ConnectFailed():
            return httpx.ConnectError(message, request=request)
        case TimeoutError():
            return httpx.ReadTimeout(message, request=request)
        case _:
            return httpx.ReadError(message, request=request)
