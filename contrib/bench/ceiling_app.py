"""The ceiling: what an ASGI app on uvicorn can forward at best, doing nothing else. `python ceiling_app.py PORT UPSTREAM`.

No key, no route, no check: the body goes out as it came in, the answer goes back with its status and content type. A
stream is handed on piece by piece as the client library yields it (`streamed_read_buffer_limit(0)`: nothing ahead).
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from pyreqwest.client import Client, ClientBuilder

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Ceiling:
    """Forwards every request to one upstream."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._client: Client

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        request = self._client.post(self._upstream + scope["path"]).header("content-type", "application/json")
        if b'"stream":true' in body:
            await self._stream(request.body_bytes(body), send)
        else:
            response = await request.body_bytes(body).build().send()
            answer = await response.bytes()
            await send(_head(response))
            await send({"type": "http.response.body", "body": bytes(answer)})

    async def _stream(self, request: Any, send: Send) -> None:
        async with request.streamed_read_buffer_limit(0).build_streamed() as response:
            await send(_head(response))
            read = response.body_reader.read_chunk
            while (piece := await read()) is not None:
                await send({"type": "http.response.body", "body": bytes(piece), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with ClientBuilder().no_proxy().http1_only().build() as self._client:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


def _head(response: Any) -> dict[str, Any]:
    content_type = response.get_header("content-type").encode()
    return {"type": "http.response.start", "status": response.status, "headers": [(b"content-type", content_type)]}


if __name__ == "__main__":
    uvicorn.run(
        Ceiling(sys.argv[2]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        backlog=4096,
    )
