"""A raw HTTP/1.1 client for tests: one request, every byte of the answer, and how the connection ended."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httptools


class Answer:
    """What came back. `raw` is every byte; `whole` is whether the framing says that the body is complete."""

    def __init__(self) -> None:
        self.raw = b""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.whole = False
        self.reset = False
        self._parser = httptools.HttpResponseParser(self)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def feed(self, data: bytes) -> None:
        self.raw += data
        self._parser.feed_data(data)

    def ended(self, *, reset: bool) -> None:
        """Note the end of the connection, which ends a body that has no other end."""
        self.reset = reset
        framed = {"content-length", "transfer-encoding"} & self.headers.keys()
        if self.status and not framed and not reset:
            self.whole = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole = True


def request_bytes(
    body: Any,
    *,
    path: str = "/v1/chat/completions",
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Return a request with a JSON body."""
    payload = json.dumps(body).encode() if method != "GET" else b""
    lines = [f"{method} {path} HTTP/1.1", "host: test", f"content-length: {len(payload)}"]
    lines += [
        "content-type: application/json",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + payload


async def exchange(port: int, body: Any, *, until_close: bool = True, **more: Any) -> Answer:
    """Send one request and read until its answer is whole, or with `until_close` until the server hangs up."""
    answer = Answer()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request_bytes(body, **more))
        while until_close or not answer.whole:
            data = await reader.read(65_536)
            if not data:
                answer.ended(reset=False)
                break
            answer.feed(data)
    except ConnectionResetError:
        answer.ended(reset=True)
    finally:
        writer.transport.abort()
    return answer


async def post(port: int, body: Any, **more: Any) -> Answer:
    """Send one request and read its answer to its end."""
    return await exchange(port, body, until_close=False, **more)
