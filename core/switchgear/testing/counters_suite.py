"""What every backend of counters must do, as tests to inherit.

    class TestMine(CountersSuite):
        def make(self, ambient): return MyCounters(ambient)

and pytest runs it, for the sorts that the backend declares. Its time is the `ambient`'s, which stands still until a test
advances it. A backend whose time is elsewhere overrides `advance`; one that holds something open, `close`. Both may be
coroutines, as all that a backend answers may. A test that cannot hold is overridden with a docstring that says why.
Hypothesis is needed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from inspect import isawaitable
from typing import Any, ClassVar, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchgear.contracts.counters import Bucket, Counters, Decision, Room
from switchgear.testing.ambient import START_US, FixedAmbient
from switchgear.testing.counters_model import ModelCounters

KNOWN = ("window", "slots", "bucket", "period")
"""The sorts that have a meaning for everybody."""

_Step: TypeAlias = tuple[Any, ...]


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

    def __init__(self, suite: "CountersSuite", counters: Counters, ambient: FixedAmbient) -> None:
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


class CountersSuite:
    """Inherit and fill in `make`.

    lease_slack_s   how long after its end a lease may still hold
    window_slack    for how long a window may hold what has left it, as a part of its period
    replays         how hypothesis compares the backend with the model
    """

    lease_slack_s: ClassVar[float] = 2.0
    window_slack: ClassVar[float] = 0.01
    replays: ClassVar[settings] = settings(max_examples=150, deadline=None)

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

    def test_it_declares_its_sorts_and_knows_no_other(self) -> None:
        async def work(one: Bench) -> None:
            sorts = one.counters.sorts
            assert isinstance(sorts, frozenset)
            assert sorts
            first = bucket(min(sorts & {*KNOWN}), 1)
            with pytest.raises(ValueError, match="no-such-sort"):
                await one.reserve("a", [first, bucket("no-such-sort", 5)])
            assert 1 == await one.left(first), "an error takes nothing"
            assert await one.grants("a", first)

        self.check(work)

    def test_it_takes_up_to_the_limit_and_says_what_is_left(self) -> None:
        async def work(one: Bench, sort: str) -> None:
            for n in range(3):
                decision = await one.reserve(f"x{n}", [bucket(sort, 3)])
                assert (None, 2 - n) == (decision.refused, decision.rooms[0].remaining)
            decision = await one.reserve("more", [bucket(sort, 3)])
            assert (0, 0) == (decision.refused, decision.rooms[0].remaining)
            assert decision.retry_after_s > 0
            assert not await one.grants("none", bucket(sort, 0, key="other"))
            assert await one.grants("much", bucket(sort, 10, 10, key="third"))
            assert not await one.grants("too much", bucket(sort, 10, 11, key="fourth"))

        self.check_each(work, *KNOWN)

    def test_a_reservation_takes_from_all_or_from_none(self) -> None:
        async def work(one: Bench, sort: str) -> None:
            wide = [bucket(other, 10, key="wide") for other in KNOWN if other in one.counters.sorts]
            narrow = bucket(sort, 1, key="narrow")
            assert await one.grants("a", narrow)
            for n in range(20):
                decision = await one.reserve(f"b{n}", [*wide, narrow, *wide])
                assert len(wide) == decision.refused, "the first without room is named"
                assert [10] * len(wide) == [room.remaining for room in decision.rooms[: len(wide)]]
            assert await one.grants("c", *wide)
            assert [9] * len(wide) == [room.remaining for room in await one.peek(*wide)]

        self.check_each(work, *KNOWN)

    def test_buckets_are_told_apart_by_key_and_sort(self) -> None:
        async def work(one: Bench) -> None:
            sorts = [sort for sort in KNOWN if sort in one.counters.sorts]
            same_key = [bucket(sort, 1) for sort in sorts]
            assert await one.grants("a", *same_key)
            assert await one.grants("b", *(bucket(sort, 1, key="other") for sort in sorts))
            for index, each in enumerate(same_key):
                assert not await one.grants(f"c{index}", each)

        self.check(work)

    def test_a_bucket_named_twice_is_taken_from_twice(self) -> None:
        async def work(one: Bench, sort: str) -> None:
            both = [bucket(sort, 3, 2), bucket(sort, 3, 2)]
            assert 1 == (await one.reserve("a", both)).refused
            assert await one.grants("b", bucket(sort, 3), bucket(sort, 3, 2))
            assert 0 == await one.left(bucket(sort, 3))
            await one.settle("b")
            assert (3 if sort == "slots" else 0) == await one.left(bucket(sort, 3))

        self.check_each(work, *KNOWN)

    def test_the_same_id_again_takes_nothing_and_gets_the_same_answer(self) -> None:
        async def work(one: Bench, sort: str) -> None:
            first = await one.reserve("a", [bucket(sort, 3)])
            assert await one.grants("b", bucket(sort, 3))
            assert first == await one.reserve("a", [bucket(sort, 3)])
            assert 1 == await one.left(bucket(sort, 3))
            await one.settle("a")
            assert (2 if sort == "slots" else 1) == await one.left(bucket(sort, 3))

        self.check_each(work, *KNOWN)

    def test_other_buckets_under_an_id_that_is_held_are_an_error_not_a_grant(self) -> None:
        async def work(one: Bench, sort: str) -> None:
            assert await one.grants("a", bucket(sort, 3))
            for others in ([bucket(sort, 3, key="other")], [bucket(sort, 3), bucket(sort, 3)], [bucket(sort, 3, 2)]):
                with pytest.raises(ValueError, match="a"):
                    await one.reserve("a", others)
            assert [2, 3] == [await one.left(bucket(sort, 3, key=key)) for key in ("k", "other")]
            await one.settle("a")
            assert await one.grants("a", bucket(sort, 3, key="other"))

        self.check_each(work, *KNOWN)

    def test_two_ids_share_a_bucket_and_who_was_refused_may_try_again(self) -> None:
        async def work(one: Bench) -> None:
            assert await one.grants("a", bucket("slots", 1))
            assert not await one.grants("b", bucket("slots", 1))
            await one.settle("b")
            assert not await one.grants("b", bucket("slots", 1)), "who was refused holds nothing that could be settled"
            await one.settle("a")
            assert await one.grants("b", bucket("slots", 1))

        self.check_if_known(work, "slots")

    def test_settling_twice_or_what_is_not_held_changes_nothing(self) -> None:
        async def work(one: Bench, sort: str) -> None:
            await one.settle("never")
            await one.settle("never", [5])
            assert await one.grants("a", bucket(sort, 10, 4))
            assert await one.grants("b", bucket(sort, 10, 4))
            for actual in ([1], [1], [9], None):
                await one.settle("a", actual)
            left = {"slots": 6, "window": 5, "bucket": 5, "period": 5}
            assert left[sort] == await one.left(bucket(sort, 10))

        self.check_each(work, *KNOWN)

    def test_settling_corrects_to_the_actual_amounts_also_beyond_the_limit(self) -> None:
        async def work(one: Bench, sort: str) -> None:
            assert await one.grants("a", bucket(sort, 100, 50), bucket(sort, 100, 10))
            await one.settle("a", [10, 30])
            assert 60 == await one.left(bucket(sort, 100))
            assert await one.grants("b", bucket(sort, 100, 5))
            await one.settle("b")
            assert 55 == await one.left(bucket(sort, 100))
            assert await one.grants("c", bucket(sort, 100, 0))
            await one.settle("c", [75])
            assert 0 == await one.left(bucket(sort, 100))
            assert not await one.grants("d", bucket(sort, 110))
            assert await one.grants("d", bucket(sort, 130, 10)), "120 are taken"
            assert not await one.grants("e", bucket(sort, 130))

        self.check_each(work, "window", "bucket", "period")

    def test_another_number_of_amounts_is_an_error_and_settles_nothing(self) -> None:
        async def work(one: Bench, sort: str) -> None:
            assert await one.grants("a", bucket(sort, 10, 4))
            for wrong in ([], [1, 2]):
                with pytest.raises(ValueError, match="1"):
                    await one.settle("a", wrong)
            assert 6 == await one.left(bucket(sort, 10))
            await one.settle("a", [0])
            assert 10 == await one.left(bucket(sort, 10))

        self.check_each(work, *KNOWN)

    def test_what_is_never_settled_holds_for_its_lease_and_then_is_given_back_or_stays(self) -> None:
        async def work(one: Bench, sort: str) -> None:
            def bucket_of(amount: int = 1) -> Bucket:
                return bucket(sort, 10, amount, period_s=86_400.0)

            assert await one.grants("lost", bucket_of(5), lease_s=30)
            await one.advance(29)
            assert 5 == await one.left(bucket_of())
            await one.advance(1 + self.lease_slack_s)
            left = {"slots": 10, "period": 10, "window": 5, "bucket": 5}[sort]
            assert left == await one.left(bucket_of())
            await one.settle("lost", [9])
            assert left == await one.left(bucket_of()), "settled after its lease"
            assert await one.grants("lost", bucket_of(left)), "the id is free again"
            assert 0 == await one.left(bucket_of())

        self.check_each(work, *KNOWN)

    def test_peeking_takes_nothing_whatever_the_amounts(self) -> None:
        async def work(one: Bench, sort: str) -> None:
            assert [4] == [room.remaining for room in await one.peek(bucket(sort, 4, 99))]
            assert await one.grants("a", bucket(sort, 4))
            for _ in range(10):
                assert [3, 0, 8] == [
                    room.remaining for room in await one.peek(*(bucket(sort, limit) for limit in (4, 1, 9)))
                ]
            assert await one.grants("b", bucket(sort, 4, 3))
            assert () == await one.peek()

        self.check_each(work, *KNOWN)

    def test_a_changed_limit_is_in_force_at_once(self) -> None:
        async def work(one: Bench, sort: str) -> None:
            assert await one.grants("a", bucket(sort, 5, 3))
            assert not await one.grants("b", bucket(sort, 3))
            assert not await one.grants("b", bucket(sort, 2))
            assert 0 == await one.left(bucket(sort, 2))
            decision = await one.reserve("b", [bucket(sort, 10, 6)])
            assert (None, 1) == (decision.refused, decision.rooms[0].remaining)

        self.check_each(work, *KNOWN)

    def test_no_reservation_at_all_is_granted_and_holds_nothing(self) -> None:
        async def work(one: Bench) -> None:
            assert Decision(()) == await one.reserve("a", [])
            await one.settle("a", [])
            await one.settle("a")

        self.check(work)

    def test_of_200_at_once_exactly_as_many_as_there_is_room_for_are_granted(self) -> None:
        async def work(one: Bench) -> None:
            buckets = [bucket(sort, 17 + n, key=sort) for n, sort in enumerate(KNOWN) if sort in one.counters.sorts]
            for round in range(3):
                ids = [f"{round}-{n}" for n in range(200)]
                granted = await asyncio.gather(*(one.grants(id, *buckets) for id in ids))
                narrowest = 17 if round == 0 or [*one.counters.sorts] == ["slots"] else 0
                assert narrowest == sum(granted)
                await asyncio.gather(*(one.settle(id) for id in ids))
            once = bucket(buckets[0].sort, 5, key="once")
            assert all(await asyncio.gather(*(one.grants("same", once) for _ in range(20))))
            assert 4 == await one.left(once), "of many with one id one takes"

        self.check(work)

    def test_a_window_slides(self) -> None:
        async def work(one: Bench) -> None:
            for n in range(3):
                assert 60.0 == (await one.reserve(f"x{n}", [bucket("window", 3)])).rooms[0].reset_s
                await one.advance(10)
            refused = await one.reserve("y", [bucket("window", 3)])
            assert 30 <= refused.retry_after_s <= 30 + 60 * self.window_slack
            assert 50 <= refused.rooms[0].reset_s <= 50 + 60 * self.window_slack
            await one.advance(refused.retry_after_s)
            assert await one.grants("y", bucket("window", 3))
            assert not await one.grants("z", bucket("window", 3))
            await one.advance(60 + 60 * self.window_slack)
            assert 3 == await one.left(bucket("window", 3))
            await one.settle("x0", [1000])
            await one.settle("y", [1000])
            assert 3 == await one.left(bucket("window", 3)), "a correction of what has left it does nothing"

        self.check_if_known(work, "window")

    def test_a_token_bucket_holds_its_burst_and_refills_at_its_rate(self) -> None:
        async def work(one: Bench) -> None:
            def tokens(amount: int = 1) -> Bucket:
                return bucket("bucket", 60, amount, burst=4)  # one a second, four at once

            assert await one.grants("a", tokens(4))
            refused = await one.reserve("b", [tokens()])
            assert 0.99 <= refused.retry_after_s <= 1.01
            assert 3.99 <= refused.rooms[0].reset_s <= 4.01
            await one.advance(refused.retry_after_s)
            assert await one.grants("b", tokens()), "waiting as long as was said is enough"
            assert not await one.grants("c", tokens())
            await one.advance(2.5)
            assert 2 == await one.left(tokens())
            await one.advance(3600)
            assert 4 == await one.left(tokens()), "it holds no more than its burst"
            assert not await one.grants("d", tokens(5))
            assert await one.grants("e", tokens(4))
            await one.settle("e", [10])
            await one.advance(6)
            assert not await one.grants("f", tokens()), "it is paid back first"
            await one.advance(1)
            assert await one.grants("f", tokens())
            assert await one.grants("g", bucket("bucket", 60, 60, key="whole")), "without a burst it holds its limit"

        self.check_if_known(work, "bucket")

    def test_a_period_counts_from_its_start_until_it_is_over(self) -> None:
        async def work(one: Bench) -> None:
            def hour(limit: int, amount: int = 1, after: int = 0) -> Bucket:
                return bucket("period", limit, amount, period_s=3600.0, start_us=START_US + after * 3600 * 1_000_000)

            decision = await one.reserve("a", [hour(5, 3)], 7200)
            assert (2, 3600.0) == (decision.rooms[0].remaining, decision.rooms[0].reset_s)
            await one.advance(3000)
            assert 2 == await one.left(hour(5)), "no part of it comes back before its end"
            refused = await one.reserve("b", [hour(5, 3)])
            assert refused.retry_after_s <= 600
            await one.settle("a", [2])
            assert await one.grants("b", hour(5, 3))
            await one.settle("b")
            assert 599 <= (await one.reserve("c", [hour(5)])).retry_after_s <= 601, (
                "what is settled stays until the end"
            )
            assert await one.grants("c", hour(6))
            await one.advance(630)
            assert await one.grants("d", hour(8)), "clocks differ"
            assert await one.grants("e", hour(1, 1, after=1)), "the next one is another bucket"
            await one.advance(60)
            for amount in (0, 1):
                assert not await one.grants("f", hour(100, amount)), "it is over for good"
            assert 0 == await one.left(hour(100))
            await one.settle("d", [50])
            assert 0 == await one.left(hour(1, after=1))
            with pytest.raises(ValueError, match="start_us"):
                await one.reserve("g", [Bucket("k", "period", 5)])

        self.check_if_known(work, "period")

    def test_a_seed_counts_once_per_epoch_and_what_is_open_on_top(self) -> None:
        async def work(one: Bench, sort: str) -> None:
            assert await one.grants("old", bucket(sort, 100, 7))
            await one.settle("old")
            assert await one.grants("open", bucket(sort, 100, 5))
            await one.seed(bucket(sort, 100), "first", 40)
            assert 55 == await one.left(bucket(sort, 100))
            await one.seed(bucket(sort, 100), "first", 90)
            assert 55 == await one.left(bucket(sort, 100)), "of many replicas the first seeds"
            await one.settle("open", [10])
            assert await one.grants("a", bucket(sort, 100, 50))
            assert not await one.grants("b", bucket(sort, 100))
            await one.settle("a", [20])
            await one.seed(bucket(sort, 100), "second", 100)
            assert not await one.grants("b", bucket(sort, 100))
            await one.seed(bucket(sort, 100), "third", 0)
            assert await one.grants("b", bucket(sort, 100, 100))

        self.check_each(work, "window", "period")

        async def refuses(one: Bench, sort: str) -> None:
            with pytest.raises(ValueError, match=sort):
                await one.seed(bucket(sort, 5), "epoch", 1)

        self.check_each(refuses, "slots", "bucket")

    def test_a_bucket_that_names_an_epoch_has_no_room_until_it_is_seeded_under_it(self) -> None:
        async def work(one: Bench, sort: str) -> None:
            mine = bucket(sort, 10, epoch="mine")
            assert (0, False) == ((room := (await one.peek(mine))[0]).remaining, room.seeded)
            refused = await one.reserve("a", [mine])
            assert (0, False) == (refused.refused, refused.rooms[0].seeded)
            assert 0 < refused.retry_after_s <= 10
            await one.seed(mine, "another", 1)
            assert not await one.grants("a", mine)
            await one.seed(mine, "mine", 4)
            assert (6, True) == ((room := (await one.peek(mine))[0]).remaining, room.seeded)
            assert await one.grants("a", bucket(sort, 10, 6, epoch="mine"))
            assert not await one.grants("b", mine)

        self.check_each(work, "window", "period")

    def test_it_decides_as_the_model_does(self) -> None:
        declared = self.declared()
        sorts = st.sampled_from([sort for sort in KNOWN if sort in declared])
        times = st.sampled_from([1 / 64, 0.5, 1.0, 7.0, 31.0])

        @st.composite
        def buckets(draw: st.DrawFn) -> Bucket:
            sort = draw(sorts)
            # The rate and burst of a token bucket stay as they are: from when a new rate counts is the backend's business.
            limit = 8 if sort == "bucket" else draw(st.integers(0, 12))
            period_s = {"window": 8.0, "period": 64.0}.get(sort, 4.0)
            start_us = START_US + draw(st.sampled_from([0, 64_000_000])) if sort == "period" else None
            amount = draw(st.integers(0, 5))
            burst = 6 if sort == "bucket" else None
            return Bucket(draw(st.sampled_from("ab")), sort, limit, amount, period_s, burst, start_us)

        steps: st.SearchStrategy[_Step] = st.one_of(
            st.tuples(st.just("reserve"), st.lists(buckets(), max_size=4), st.sampled_from([5.0, 20.0, 600.0])),
            st.tuples(
                st.just("settle"), st.integers(0, 30), st.none() | st.lists(st.integers(0, 9), min_size=4, max_size=4)
            ),
            st.tuples(st.just("advance"), times),
            st.tuples(st.just("seed"), buckets(), st.integers(0, 12)),
            st.tuples(st.just("look"), st.lists(buckets(), max_size=3)),
        )

        @self.replays
        @given(st.lists(steps, min_size=1, max_size=60))
        def replay(taken: list[_Step]) -> None:
            self.check(lambda one: self._replay(one, taken))

        replay()

    async def _replay(self, one: Bench, steps: list[_Step]) -> None:
        model = ModelCounters(one.ambient.monotonic(), self.window_slack)
        reserved: dict[str, list[Bucket]] = {}
        for number, (what, *rest) in enumerate(steps):
            match what, rest:
                case "advance", [seconds]:
                    await self._pass(one, model, seconds)
                case "reserve", [buckets, lease_s]:
                    id = f"x{number}"
                    decision = await one.reserve(id, buckets, lease_s)
                    model.check(buckets, decision, one.ambient.now_us())
                    if decision.refused is None:
                        model.reserve(id, buckets, lease_s)
                        reserved[id] = buckets
                        assert decision == await one.reserve(id, buckets, lease_s)
                case "settle", [which, amounts] if held := sorted(model.open()):
                    id = held[which % len(held)]
                    actual = None if amounts is None else amounts[: len(reserved[id])]
                    await one.settle(id, actual)
                    model.settle(id, actual)
                case "seed", [seeded, total] if seeded.sort in {"window", "period"}:
                    for repeated in (total, total + 1):
                        await one.seed(seeded, f"epoch {number}", repeated)
                    model.seed(seeded, f"epoch {number}", total)
                case "look", [buckets]:
                    for each, room in zip(buckets, await one.peek(*buckets), strict=True):
                        self._compare(model, each, room, one.ambient.now_us())

    def _compare(self, model: ModelCounters, each: Bucket, room: Room, now_us: int) -> None:
        least, most = model.used(each)
        limit = each.limit if each.burst is None else each.burst
        if model.is_shut(each, now_us):
            assert 0 == room.remaining
        else:
            assert max(0, int(limit - most)) <= room.remaining <= max(0, limit - least)
        assert room.reset_s >= 0

    async def _pass(self, one: Bench, model: ModelCounters, seconds: float) -> None:
        """Let time pass, and a little more where somebody's lease has ended, so that both have seen it."""
        ended = [ends for ends in model.open().values() if ends <= model.now + seconds]
        more = self.lease_slack_s if ended else 0.0
        while any(0 <= model.now + seconds + more - ends < self.lease_slack_s for ends in model.open().values()):
            more += self.lease_slack_s
        await one.advance(seconds + more)
        model.advance(seconds + more)
        await one.reserve("look", [])
        await one.settle("look")
