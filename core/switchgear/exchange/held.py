"""The bytes that all exchanges of a process hold together, so that no number of them takes more memory than was said."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from io import BytesIO
from typing import Any

from switchgear.contracts.upstream import Connection, OutboundRequest, UpstreamResponse
from switchgear.errors import ResponseTooLarge

_SMALL = 1024 * 1024
"""Bytes up to which an answer, or a body written anew, needs no counting."""


class Held:
    """Bytes of request bodies, of what was written anew for providers, of answers, and of streams that are kept back.

    At most `most`: bodies and streams for which there is no room are refused or begun, answers wait for their turn.
    """

    __slots__ = ("most", "total", "turn")

    def __init__(self, most: int) -> None:
        self.most = most
        self.total = 0
        self.turn = asyncio.Lock()
        """Whose answer is read to its end although there is no room."""


def sent(
    connection: Connection, request: OutboundRequest, extra: Mapping[str, str] | None, held: Held
) -> Coroutine[Any, Any, UpstreamResponse]:
    """Return what sends a request and results in an answer's head. A long body that was written anew is counted meanwhile."""
    if isinstance(request.body, bytes) and len(request.body) > _SMALL:
        return _counted(connection, request, extra, held)
    return connection.send(request, extra)


async def _counted(
    connection: Connection, request: OutboundRequest, extra: Mapping[str, str] | None, held: Held
) -> UpstreamResponse:
    size = len(request.body)
    held.total += size
    try:
        return await connection.send(request, extra)
    finally:
        held.total -= size


async def read_answer(response: UpstreamResponse, most: int, held: Held, on_piece: Callable[[], None]) -> bytes:
    """Read a body that comes in pieces, and say so of each. Raises `ResponseTooLarge` as soon as it passes `most` bytes.

    Where there is no room for more no more is read, but for one answer at a time: else all might wait for each other.
    """
    found = BytesIO()
    counted = size = 0
    has_turn = False
    try:
        while (piece := await response.read()) is not None:
            size += found.write(piece)
            if size > most:
                raise ResponseTooLarge(f"The answer's body is over the cap of {most} bytes.")
            if size > _SMALL:
                held.total += size - counted
                counted = size
                if held.total > held.most and not has_turn:
                    has_turn = await held.turn.acquire()
            on_piece()
        return found.getvalue()
    finally:
        held.total -= counted
        if has_turn:
            held.turn.release()
