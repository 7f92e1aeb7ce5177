"""A bound on calls in flight that a cancelled waiter cannot leak from."""

import asyncio
from collections import deque

from switchgear.errors import ConnectTimeout


class Slots:
    """`limit` slots, handed to waiters in order of arrival; None: no bound."""

    def __init__(self, limit: int | None) -> None:
        self._bounded = limit is not None
        self._free = limit or 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    def take(self) -> bool:
        """Take a slot if one is free; False means `wait`."""
        if not self._bounded:
            return True
        if self._free:
            self._free -= 1
            return True
        return False

    async def wait(self, seconds: float) -> None:
        """Take the next slot that comes free; raise `ConnectTimeout` when none did in time."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self.give()  # it was handed over in the moment its taker gave up
            if isinstance(error, TimeoutError):
                raise ConnectTimeout("All max_connections of this provider are in use.") from None
            raise

    def give(self) -> None:
        """Return a slot."""
        if not self._bounded:
            return
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1
