import asyncio
from collections.abc import Callable


async def eventually(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in threads, files and other processes
            await asyncio.sleep(0.001)
