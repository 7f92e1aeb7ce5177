"""Answers written straight to ASGI: no response objects, one head and as few writes as there is data."""

from typing import Any

from litestar.types import Send

from switchgear.contracts.dialect import StreamEncoder
from switchgear.exchange.reply import Headers

_JSON = (b"content-type", b"application/json")


class HttpReply:
    """One answer over ASGI's `send`. Writing after the client left does nothing (the server drops it)."""

    __slots__ = ("_send", "encoder", "started")

    encoder: StreamEncoder

    def __init__(self, send: Send) -> None:
        self._send: Any = send
        self.started = False

    def claim(self) -> None:
        """Nobody else answers here."""

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a complete JSON answer."""
        self.started = True
        headers.append(_JSON)
        headers.append((b"content-length", b"%d" % len(body)))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def start(self, headers: Headers, media_type: bytes) -> None:
        """Begin a 200 stream."""
        self.started = True
        headers.append((b"content-type", media_type))
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    def start_now(self, headers: Headers, media_type: bytes) -> None:
        """Begin a 200 stream: the head fits into any buffer, so there is nothing to wait for."""
        try:
            self.start(headers, media_type).send(None)
        except StopIteration:
            return
        raise RuntimeError("the head of an answer had to wait")

    async def write(self, data: bytes) -> None:
        """Send a piece of the stream; waits while the client is slower than the provider."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    def nudge(self, data: bytes) -> None:
        """Send a comment now, or not at all: a client that has not read what it has needs no sign of life."""
        sending = self._send({"type": "http.response.body", "body": data, "more_body": True})
        try:
            sending.send(None)
        except StopIteration:
            return
        sending.close()

    async def close(self, data: bytes) -> None:
        """Send the last piece and end."""
        await self._send({"type": "http.response.body", "body": data, "more_body": False})
