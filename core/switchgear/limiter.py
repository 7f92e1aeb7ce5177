"""A fair concurrency limiter: slots handed out in turn to whoever waits for them, that a cancelled waiter cannot leak."""

import asyncio
from collections import OrderedDict


class Limiter:
    """`limit` slots, None for any number. For one event loop's thread.

    Those who wait are served in turn by who they are, each in the order in which they came: however many wait for one, the next
    slot but one is another's.

    if not limiter.take() and not await limiter.acquire(wait_s):
        raise ...
    try:
        ...
    finally:
        limiter.release()
    """

    __slots__ = ("_most", "_queues", "limit", "used")

    def __init__(self, limit: int | None = None) -> None:
        self.used = 0
        self._queues: OrderedDict[str, OrderedDict[asyncio.Future[bool], None]] = OrderedDict()
        self.resize(limit)

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return sum(map(len, self._queues.values()))

    def take(self) -> bool:
        """Take a slot if one is free, which it never is while others wait."""
        if self.used < self._most:
            self.used += 1
            return True
        return False

    async def acquire(self, wait_s: float, whose: str = "") -> bool:
        """Take a slot, waiting at most `wait_s`; return False if none came free. Cancelled, it holds none.

        `whose` says for whom it is.
        """
        if self.take():
            return True
        if wait_s > 0:
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[bool] = loop.create_future()
            self._queues.setdefault(whose, OrderedDict())[waiter] = None
            timer = loop.call_later(wait_s, self._give_up, waiter)
            try:
                return await waiter
            except BaseException:
                if waiter.done() and not waiter.cancelled() and waiter.result():
                    self.release()  # it was handed over in the moment its taker gave up
                raise
            finally:
                timer.cancel()
                self._leave(whose, waiter)
        return False

    def release(self) -> None:
        """Return a slot: to whose turn it is, if anybody waits."""
        self.used -= 1
        if self._queues:
            self._hand_over()

    def resize(self, limit: int | None) -> None:
        """Have another number of slots from now on. Of fewer, those that are too many go as they are returned."""
        if limit is not None and limit < 1:
            raise ValueError("a limit is at least 1")
        self.limit = limit
        self._most = float("inf") if limit is None else limit
        self._hand_over()

    def _hand_over(self) -> None:
        while self._queues and self.used < self._most:
            whose, queue = next(iter(self._queues.items()))
            waiter, _ = queue.popitem(last=False)
            if not queue:
                del self._queues[whose]
            if not waiter.done():
                if queue:
                    self._queues.move_to_end(whose)
                self.used += 1
                waiter.set_result(True)

    def _leave(self, whose: str, waiter: "asyncio.Future[bool]") -> None:
        queue = self._queues.get(whose)
        if queue is not None and queue.pop(waiter, self) is None and not queue:
            del self._queues[whose]

    @staticmethod
    def _give_up(waiter: "asyncio.Future[bool]") -> None:
        if not waiter.done():
            waiter.set_result(False)
