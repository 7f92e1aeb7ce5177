"""An answer as a client of a chat's stream reads it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any

import msgspec

from switchgear.contracts.inside import InsideStream
from switchgear.contracts.provider import StreamEvent
from switchgear.errors import ApiError, StoreError, UpstreamFailed
from switchgear.wire.chunks import usage_members
from switchgear.wire.sse import encode_event
from switchgear_plugins.dialogs.heard import Heard
from switchgear_plugins.dialogs.making import Making, Workers, shown
from switchgear_plugins.dialogs.shelf import Row, Spent

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_KEEP_ALIVE_S = 15.0
KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"


class Streamed:
    """The pieces. The last chunk tells the usage, and in `dialog` what was kept, before the end is marked. An answer whose client
    leaves, or that breaks off, is kept as far as it was heard.
    """

    def __init__(
        self, making: Making, stream: InsideStream, workers: Workers, most_bytes: int, log: "FilteringBoundLogger"
    ) -> None:
        self._making = making
        self._stream = stream
        self._workers = workers
        self._most_bytes = most_bytes
        self._log = log
        self._heard = Heard()
        self._pieces = self._tell()

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return the pieces."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece."""
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """End it, unless it has ended."""
        await self._pieces.aclose()
        if not self._making.is_over:
            await self._workers.surely(self._break_off())

    async def _tell(self) -> AsyncGenerator[bytes, None]:
        try:
            async for event in self._events():
                if event is None:
                    yield KEEP_ALIVE
                elif event.data and self._heard.feed(event.data):
                    yield encode_event(event.data)
                if self._heard.size > self._most_bytes:
                    raise UpstreamFailed("The answer is larger than a dialog may be.", code="answer_too_long")
            self._making.spent = Spent.of(self._stream.usage, self._stream.cost_microusd)
            row = await self._making.keep(self._heard, self._stream.id, "complete")
            yield encode_event(self._last(row))
            yield DONE
        except ApiError as error:
            if not self._making.is_over:
                await self._workers.surely(self._break_off())
            told = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
            yield encode_event(msgspec.json.encode({"error": told}))

    async def _events(self) -> AsyncGenerator[StreamEvent | None, None]:
        """Yield the events, and None where there was none for a while."""
        pending: asyncio.Future[StreamEvent | None] | None = None
        try:
            while True:
                pending = pending or asyncio.ensure_future(_next(self._stream))
                done, _ = await asyncio.wait({pending}, timeout=_KEEP_ALIVE_S)
                if not done:
                    yield None
                    continue
                event, pending = pending.result(), None
                if event is None:
                    return
                yield event
        finally:
            if pending is not None:
                pending.cancel()

    async def _break_off(self) -> None:
        """Keep what was heard."""
        await self._stream.aclose()
        self._making.spent = Spent.of(self._stream.usage, self._stream.cost_microusd)
        try:
            await self._making.keep(self._heard, self._stream.id, "partial")
        except (ApiError, StoreError) as error:
            self._log.warning("answer not kept", dialog=self._making.turn.dialog["id"], reason=str(error))

    def _last(self, row: Row | None) -> bytes:
        heard, usage = self._heard, self._stream.usage
        chunk: dict[str, Any] = {
            "id": heard.id,
            "object": "chat.completion.chunk",
            "created": heard.created,
            "model": heard.model,
            "choices": [],
            "usage": None if usage is None else usage_members(usage),
            "dialog": shown(self._making.turn, row),
        }
        return msgspec.json.encode(chunk)


async def _next(stream: InsideStream) -> StreamEvent | None:
    try:
        return await anext(stream)
    except StopAsyncIteration:
        return None
