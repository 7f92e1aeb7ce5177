"""What the tests of counters are run with: a backend, its time, and each test in a loop of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from inspect import isawaitable
from typing import Any, ClassVar

from hypothesis import settings

from switchgear.contracts.counters import Bucket, Counters, Decision, Room
from switchgear.testing.ambient import START_US, FixedAmbient

KNOWN = ("window", "slots", "bucket", "period")
"""The sorts that have a meaning for everybody."""


def bucket(sort: str, limit: int, amount: int = 1, key: str = "k", **rest: Any) -> Bucket:
    """Make a bucket of a minute; a period begins where a `FixedAmbient` does."""
    if sort == "period":
        rest.setdefault("start_us", START_US)
    return Bucket(key, sort, limit, amount, **rest)


async def given_by(answer: Any) -> Any:
    """Wait for what a backend may have answered at once."""
    return await answer if isawaitable(answer) else answer


class Bench:
    """A backend under test, its time, and its methods as coroutines."""

    def __init__(self, suite: "CountersChecks", counters: Counters, ambient: FixedAmbient) -> None:
        self.counters = counters
        self.ambient = ambient
        self._suite = suite

    async def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float = 600.0) -> Decision:
        """Reserve."""
        decision: Decision = await given_by(self.counters.reserve(id, buckets, lease_s))
        assert len(buckets) == len(decision.rooms), "one room for each bucket"
        return decision

    async def grants(self, id: str, *buckets: Bucket, lease_s: float = 600.0) -> bool:
        """Say whether a reservation is granted."""
        return (await self.reserve(id, buckets, lease_s)).refused is None

    async def settle(self, id: str, actual: Sequence[int] | None = None) -> None:
        """Settle."""
        await given_by(self.counters.settle(id, actual))

    async def peek(self, *buckets: Bucket) -> tuple[Room, ...]:
        """Peek."""
        rooms: tuple[Room, ...] = await given_by(self.counters.peek(buckets))
        return rooms

    async def left(self, one: Bucket) -> int:
        """Say what is left of one bucket."""
        return (await self.peek(one))[0].remaining

    async def seed(self, one: Bucket, epoch: str, total: int) -> None:
        """Seed."""
        await given_by(self.counters.seed(one, epoch, total))

    async def advance(self, seconds: float) -> None:
        """Let time pass."""
        await given_by(self._suite.advance(self.ambient, seconds))


class CountersChecks:
    """What the suites run their tests with; `make` is filled in.

    lease_slack_s   how long after its end a lease may still hold
    window_slack    for how long a window may hold what has left it, as a part of its period
    replays         how hypothesis compares the backend with the model
    """

    lease_slack_s: ClassVar[float] = 2.0
    window_slack: ClassVar[float] = 0.01
    replays: ClassVar[settings] = settings(max_examples=50, deadline=None)

    def make(self, ambient: FixedAmbient) -> Counters | Awaitable[Counters]:  # noqa: ARG002 - whoever overrides it uses it
        """Make empty counters that nobody else uses."""
        raise AssertionError("override `make` to return the counters under test")

    def advance(self, ambient: FixedAmbient, seconds: float) -> Awaitable[None] | None:
        """Let time pass for the counters."""
        ambient.advance(seconds)
        return None

    def close(self, counters: Counters) -> Awaitable[None] | None:
        """Let go of what `make` opened."""

    def check(self, work: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
        """Run a test over new counters in a loop of its own."""

        async def run() -> None:
            ambient = FixedAmbient()
            counters: Counters = await given_by(self.make(ambient))
            try:
                await work(Bench(self, counters, ambient))
            finally:
                await given_by(self.close(counters))

        asyncio.run(run())

    def declared(self) -> frozenset[str]:
        """Return the sorts that the backend says it knows."""
        found: list[frozenset[str]] = []

        async def look(one: Bench) -> None:
            found.append(one.counters.sorts)

        self.check(look)
        return found[0]

    def check_each(self, work: Callable[..., Coroutine[Any, Any, None]], *sorts: str) -> None:
        """Run a test for each of these sorts that the backend knows."""
        for sort in sorts:
            if sort in self.declared():
                self.check(partial(work, sort=sort))

    def check_if_known(self, work: Callable[[Bench], Coroutine[Any, Any, None]], sort: str) -> None:
        """Run a test if the backend knows the sort."""
        if sort in self.declared():
            self.check(work)
