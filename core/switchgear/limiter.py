"""A fair concurrency limiter: slots handed out in the order they are asked for, that a cancelled waiter cannot leak."""

import asyncio
from collections import OrderedDict


class Limiter:
    """`limit` slots, None for any number, handed out in the order they are asked for. For one event loop's thread.

    if not limiter.take() and not await limiter.acquire(wait_s):
        raise ...
    try:
        ...
    finally:
        limiter.release()
    """

    __slots__ = ("_most", "_waiters", "limit", "used")

    def __init__(self, limit: int | None = None) -> None:
        self.used = 0
        self._waiters: OrderedDict[asyncio.Future[bool], None] = OrderedDict()
        self.resize(limit)

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._waiters)

    def take(self) -> bool:
        """Take a slot if one is free, which it never is while others wait."""
        if self.used < self._most:
            self.used += 1
            return True
        return False

    async def acquire(self, wait_s: float) -> bool:
        """Take a slot, waiting at most `wait_s`; return False if none came free. Cancelled, it holds none."""
        if self.take():
            return True
        if wait_s > 0:
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[bool] = loop.create_future()
            self._waiters[waiter] = None
            timer = loop.call_later(wait_s, self._give_up, waiter)
            try:
                return await waiter
            except BaseException:
                if waiter.done() and not waiter.cancelled() and waiter.result():
                    self.release()  # it was handed over in the moment its taker gave up
                raise
            finally:
                timer.cancel()
                self._waiters.pop(waiter, None)
        return False

    def release(self) -> None:
        """Return a slot: to who has waited longest, if anybody has."""
        self.used -= 1
        if self._waiters:
            self._hand_over()

    def resize(self, limit: int | None) -> None:
        """Have another number of slots from now on. Of fewer, those that are too many go as they are returned."""
        if limit is not None and limit < 1:
            raise ValueError("a limit is at least 1")
        self.limit = limit
        self._most = float("inf") if limit is None else limit
        self._hand_over()

    def _hand_over(self) -> None:
        while self._waiters and self.used < self._most:
            waiter, _ = self._waiters.popitem(last=False)
            if not waiter.done():
                self.used += 1
                waiter.set_result(True)

    @staticmethod
    def _give_up(waiter: "asyncio.Future[bool]") -> None:
        if not waiter.done():
            waiter.set_result(False)
