"""The suite of counters must fail for what is wrong, or passing it says nothing. Each of these is wrong in one thing."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import Phase, settings

from switchgear.contracts.counters import Bucket, Decision, Room
from switchgear.counters.memory import MemoryCounters
from switchgear.counters.sorts import ENTRIES, Period, TokenBucket
from switchgear.testing.ambient import START_US
from switchgear.testing.counters_suite import CountersSuite


def changed(bucket: Bucket, **members: Any) -> Bucket:
    own = {name: getattr(bucket, name) for name in bucket.__struct_fields__}
    return Bucket(**{**own, **members})


class OneMore(MemoryCounters):
    """Lets one more in than the limit."""

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision:
        return super().reserve(id, [changed(it, limit=it.limit + 1) for it in buckets], lease_s)


class Partial(MemoryCounters):
    """Keeps what it took before a bucket had no room."""

    def _give_back(self, buckets: Any, parts: Any) -> None:
        pass


class Forgetful(MemoryCounters):
    """Takes again for the same id."""

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision:
        self._open.pop(id, None)
        return super().reserve(id, buckets, lease_s)


class Shadowing(MemoryCounters):
    """Grants any buckets whatever to an id that is held."""

    def _again(self, id: str, buckets: tuple[Bucket, ...]) -> Decision:
        return self._open[id][1]


class Stubborn(MemoryCounters):
    """Remembers refusals."""

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision:
        decision = super().reserve(id, buckets, lease_s)
        if decision.refused is not None:
            self._open[id] = (1e9, decision, tuple(buckets), [])
        return decision


class Twice(MemoryCounters):
    """Gives back at each settling."""

    def __init__(self, ambient: Any) -> None:
        super().__init__(ambient)
        self.settled: dict[str, Any] = {}

    def settle(self, id: str, actual: Sequence[int] | None = None) -> None:
        if id in self._open:
            self.settled[id] = self._open[id]
        elif id in self.settled:
            self._open[id] = self.settled[id]
        super().settle(id, actual)


class Deaf(MemoryCounters):
    """Leaves what was reserved, whatever was used."""

    def settle(self, id: str, actual: Sequence[int] | None = None) -> None:
        if actual is not None and id in self._open and len(actual) == len(self._open[id][2]):
            actual = None
        super().settle(id, actual)


class Flattering(MemoryCounters):
    """Counts no more than was reserved."""

    def settle(self, id: str, actual: Sequence[int] | None = None) -> None:
        if actual is not None and id in self._open:
            taken = self._open[id][2]
            if len(taken) == len(actual):
                actual = [min(one, bucket.amount) for one, bucket in zip(actual, taken, strict=True)]
        super().settle(id, actual)


class Careless(MemoryCounters):
    """Takes any number of amounts for settled."""

    def settle(self, id: str, actual: Sequence[int] | None = None) -> None:
        if actual is not None and id in self._open and len(actual) != len(self._open[id][2]):
            actual = None
        super().settle(id, actual)


class Leaky(MemoryCounters):
    """Never ends a lease."""

    def _end_leases(self, now: float) -> None:
        pass


class Hasty(MemoryCounters):
    """Ends a lease before its time."""

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision:
        return super().reserve(id, buckets, lease_s * 0.9)


class Generous(MemoryCounters):
    """Gives windows and token buckets back with the lease."""

    def _end_leases(self, now: float) -> None:
        for _, _, buckets, parts in self._open.values():
            for bucket, part in zip(buckets, parts, strict=True):
                if part is not None and not isinstance(part, Period):
                    part.give_back(bucket.amount)
        super()._end_leases(now)


class Hoarding(MemoryCounters):
    """Keeps what a dead exchange reserved of a period."""

    def _end_leases(self, now: float) -> None:
        for _, _, buckets, parts in self._open.values():
            for bucket, part in zip(buckets, parts, strict=True):
                if isinstance(part, Period):
                    part.settled += bucket.amount
        super()._end_leases(now)


class Peeking(MemoryCounters):
    """Takes when it is only asked."""

    def peek(self, buckets: Sequence[Bucket]) -> tuple[Room, ...]:
        rooms = super().peek(buckets)
        self.reserve(f"peek {len(self._open)}", buckets, 1e9)
        return rooms


class AmountPeeking(MemoryCounters):
    """Says what would be left after taking."""

    def peek(self, buckets: Sequence[Bucket]) -> tuple[Room, ...]:
        rooms = super().peek(buckets)
        return tuple(
            Room(max(0, room.remaining - it.amount + 1), room.reset_s) for room, it in zip(rooms, buckets, strict=True)
        )


class Reseeding(MemoryCounters):
    """Seeds each time."""

    def seed(self, bucket: Bucket, epoch: str, total: int) -> None:
        super().seed(bucket, f"{epoch} but another", 0)
        super().seed(bucket, epoch, total)


class SeedDrops(MemoryCounters):
    """Forgets, when seeded, what is open."""

    def seed(self, bucket: Bucket, epoch: str, total: int) -> None:
        self._open.clear()
        if bucket.sort == "period":
            self._period(bucket).reserved = 0
        super().seed(bucket, epoch, total)


class SeedAdds(MemoryCounters):
    """Adds to what is counted instead of replacing it."""

    def seed(self, bucket: Bucket, epoch: str, total: int) -> None:
        before = self._period(bucket).settled if bucket.sort == "period" else 0
        super().seed(bucket, epoch, total + before)


class Unseeded(MemoryCounters):
    """Lets in whether seeded or not."""

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision:
        return super().reserve(id, [changed(it, epoch=None) for it in buckets], lease_s)


class OldLimit(MemoryCounters):
    """Keeps to the first limit it heard of."""

    def __init__(self, ambient: Any) -> None:
        super().__init__(ambient)
        self.limits: dict[Any, int] = {}

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision:
        first = [self.limits.setdefault((it.key, it.sort, it.start_us), it.limit) for it in buckets]
        return super().reserve(
            id, [changed(it, limit=limit) for it, limit in zip(buckets, first, strict=True)], lease_s
        )


class OneKey(MemoryCounters):
    """Takes a window and a period of one key for the same bucket."""

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision:
        return super().reserve(
            id, [changed(it, sort="window") if it.sort == "bucket" else it for it in buckets], lease_s
        )


class NoStart(MemoryCounters):
    """Takes all periods of a key for one."""

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision:
        return super().reserve(id, [changed(it, start_us=it.start_us and START_US) for it in buckets], lease_s)


class Endless(MemoryCounters):
    """Reserves in a period that is over, counting from nothing."""

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision:
        return super().reserve(
            id, [changed(it, period_s=1e9) if it.sort == "period" else it for it in buckets], lease_s
        )


class Tumbling(MemoryCounters):
    """Empties each window when the clock strikes."""

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision:
        strikes = [int(self._now() // it.period_s) for it in buckets]
        told = [
            changed(it, key=f"{it.key} {n}") if it.sort == "window" else it
            for it, n in zip(buckets, strikes, strict=True)
        ]
        return super().reserve(id, told, lease_s)


class NoBurst(MemoryCounters):
    """Holds as many tokens as the limit."""

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision:
        return super().reserve(id, [changed(it, burst=None) for it in buckets], lease_s)


class Slow(MemoryCounters):
    """Refills token buckets only once they have waited for a whole period."""

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision:
        for it in buckets:
            tokens = self._token_buckets.get(it.key)
            if isinstance(tokens, TokenBucket) and self._now() - tokens.at < it.period_s:
                tokens.at = self._now()
        return super().reserve(id, buckets, lease_s)


class Vague(MemoryCounters):
    """Takes any sort for slots."""

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision:
        return super().reserve(
            id, [it if it.sort in self.sorts else changed(it, sort="slots") for it in buckets], lease_s
        )


class LateSettle(MemoryCounters):
    """Counts what is settled after its lease."""

    def __init__(self, ambient: Any) -> None:
        super().__init__(ambient)
        self.ended: dict[str, Any] = {}

    def _end_leases(self, now: float) -> None:
        self.ended |= {id: taking for id, taking in self._open.items() if taking[0] <= now}
        super()._end_leases(now)

    def settle(self, id: str, actual: Sequence[int] | None = None) -> None:
        if (taking := self.ended.pop(id, None)) is not None and actual is not None:
            for bucket, part, amount in zip(taking[2], taking[3], actual, strict=True):
                if part is not None:
                    part.settle(0 if isinstance(part, Period) else bucket.amount, amount, self._now())
        super().settle(id, actual)


class Racing:
    """Looks first and takes after a moment."""

    sorts = MemoryCounters.sorts

    def __init__(self, ambient: Any) -> None:
        self.inner = MemoryCounters(ambient)

    async def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision:
        rooms = self.inner.peek(buckets)
        for index, (room, it) in enumerate(zip(rooms, buckets, strict=True)):
            if room.remaining < it.amount:
                return self.inner.reserve(id, buckets, lease_s) if index < 0 else Decision(rooms, index, 1.0)
        await asyncio.sleep(0)
        return self.inner.reserve(id, [changed(it, limit=10**9) for it in buckets], lease_s)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


MUTANTS = [
    OneMore, Partial, Forgetful, Shadowing, Stubborn, Twice, Deaf, Flattering, Careless, Leaky, Hasty, Generous,
    Hoarding, Peeking, AmountPeeking, Reseeding, SeedDrops, SeedAdds, Unseeded, OldLimit, OneKey, NoStart, Endless,
    Tumbling, NoBurst, Slow, Vague, LateSettle, Racing,
]  # fmt: skip

UNSHRUNK = settings(CountersSuite.replays, phases=[Phase.generate], database=None, derandomize=True)
MODEL = "test_it_decides_as_the_model_does"
TESTS = sorted(name for name in dir(CountersSuite) if name.startswith("test_") and name != MODEL)


def suite_of(make: Any) -> CountersSuite:
    members = {"window_slack": 1 / ENTRIES, "replays": UNSHRUNK, "make": lambda _, ambient: make(ambient)}
    suite: CountersSuite = type("Suite", (CountersSuite,), members)()
    return suite


def fails(suite: CountersSuite, name: str) -> bool:
    try:
        getattr(suite, name)()
    except (AssertionError, KeyError, ValueError, ExceptionGroup, pytest.fail.Exception):
        return True
    return False


@pytest.mark.parametrize("mutant", MUTANTS)
def test_it_fails_for_what_is_wrong_in_one_thing(mutant: Any) -> None:
    assert any(fails(suite_of(mutant), name) for name in TESTS), mutant.__doc__


@pytest.mark.parametrize("mutant", [OneMore, Partial, Deaf, Leaky, SeedAdds, Tumbling])
def test_the_model_alone_notices_it(mutant: Any) -> None:
    assert fails(suite_of(mutant), MODEL), mutant.__doc__


class Later:
    """Counters that are right and answer later, as over a network."""

    sorts = frozenset({"window", "slots"})

    def __init__(self, ambient: Any) -> None:
        self.inner = MemoryCounters(ambient)

    async def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision:
        await asyncio.sleep(0)
        if unknown := {it.sort for it in buckets} - self.sorts:
            raise ValueError(f"unknown sorts: {unknown}")
        return self.inner.reserve(id, buckets, lease_s)

    async def settle(self, id: str, actual: Sequence[int] | None = None) -> None:
        self.inner.settle(id, actual)

    async def peek(self, buckets: Sequence[Bucket]) -> tuple[Room, ...]:
        return self.inner.peek(buckets)

    async def seed(self, bucket: Bucket, epoch: str, total: int) -> None:
        self.inner.seed(bucket, epoch, total)


class TestCountersOfFewSortsThatAnswerLater(CountersSuite):
    async def make(self, ambient: Any) -> Later:
        return Later(ambient)
