"""A client's call that can be looked at while it runs: what came so far, and how it ended."""

import asyncio
import json
from typing import Any, Self

from support.http1 import Answer, request_bytes
from support.stopwatch import at_most

DONE = b"data: [DONE]\n\n"


class Talk:
    """One request on a connection of its own. Ends with it as a context manager."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.answer = Answer()
        self.sent_at = 0.0
        self._reader = reader
        self._writer = writer

    @classmethod
    async def begin(cls, port: int, key: str, **members: Any) -> Self:
        """Send a chat completion; `members` replace those of a streamed "hi" to the model `m`."""
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True, **members}
        return await cls.open(port, body, {"authorization": f"Bearer {key}"})

    @classmethod
    async def open(cls, port: int, body: Any, headers: dict[str, str]) -> Self:
        """Connect and send a chat completion."""
        talk = cls(*await asyncio.open_connection("127.0.0.1", port))
        await talk.send(request_bytes(body, headers=headers))
        return talk

    async def send(self, data: bytes) -> None:
        self.sent_at = asyncio.get_running_loop().time()
        self._writer.write(data)
        await self._writer.drain()

    async def until(self, text: bytes, within: float = 10.0) -> None:
        """Read until the body has `text`; fail if it ends before."""
        async with at_most(within):
            while text not in self.answer.body:
                assert await self._read(), f"it ended: {self.answer.raw!r}"

    async def begun(self) -> None:
        """Read until the first content."""
        await self.until(b'"content":')

    async def end(self, within: float = 10.0) -> Answer:
        """Read until the answer is whole, or the connection ends before that."""
        async with at_most(within):
            while await self._read():
                pass
        self.close()
        return self.answer

    def close(self) -> None:
        """Leave."""
        self._writer.transport.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def request_id(self) -> str:
        return self.answer.headers["x-request-id"]

    @property
    def complete(self) -> bool:
        """Whether the client may believe that it has the whole answer."""
        answer = self.answer
        if not answer.whole or answer.status != 200:
            return False
        return DONE in answer.body if "event-stream" in answer.headers["content-type"] else True

    @property
    def error(self) -> dict[str, Any]:
        """The error of the answer, or the error event at the end of its stream."""
        last = self.answer.body.rstrip(b"\n").rpartition(b"data: ")[2]
        error: dict[str, Any] = json.loads(last)["error"]
        return error

    async def _read(self) -> bool:
        if self.answer.whole:
            return False
        try:
            data = await self._reader.read(65_536)
        except ConnectionError:
            self.answer.ended(reset=True)
            return False
        if not data:
            self.answer.ended(reset=False)
            return False
        self.answer.feed(data)
        return True


async def call(port: int, key: str, **members: Any) -> Talk:
    """Send a chat completion and read its answer to the end."""
    talk = await Talk.begin(port, key, **members)
    try:
        await talk.end()
    finally:
        talk.close()
    return talk
