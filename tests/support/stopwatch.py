"""Bounds on time by the stopwatch.

async with at_most(1.0):
    ...
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from switchgear.testing.stopwatch import Stopwatch, starved_s

__all__ = ["Stopwatch", "at_most", "starved_s"]


@asynccontextmanager
async def at_most(within_s: float) -> AsyncIterator[None]:
    """Raise TimeoutError in what takes longer, by the stopwatch."""
    loop = asyncio.get_running_loop()
    watch = Stopwatch()
    due: asyncio.TimerHandle

    def look() -> None:
        nonlocal due
        left = within_s - watch.s
        if left > 0:
            due = loop.call_later(max(left, 0.01), look)
        else:
            limit.reschedule(loop.time())

    due = loop.call_later(within_s, look)
    try:
        async with asyncio.timeout(None) as limit:
            yield
    finally:
        due.cancel()
