"""What every backend of counters must do, as tests to inherit.

    class TestMine(CountersSuite):
        def make(self, ambient): return MyCounters(ambient)

and pytest runs it, for the sorts that the backend declares. Its time is the `ambient`'s, which stands still until a test
advances it. A backend whose time is elsewhere overrides `advance`; one that holds something open, `close`. Both may be
coroutines, as all that a backend answers may. A test that cannot hold is overridden with a docstring that says why.
"""

import asyncio

import pytest

from switchgear.contracts.counters import Bucket, Decision
from switchgear.testing.counters_bench import KNOWN, Bench, bucket
from switchgear.testing.counters_replay import ReplaySuite
from switchgear.testing.counters_sorts import SortsSuite


class CountersSuite(SortsSuite, ReplaySuite):
    """Inherit and fill in `make`; see `CountersChecks` for what else may be said of a backend."""

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

    def test_a_period_that_keeps_counts_what_was_never_settled(self) -> None:
        async def work(one: Bench) -> None:
            gone, stays = bucket("period", 10, 4, key="gone"), bucket("period", 10, 4, key="stays", keeps=True)
            assert await one.grants("a", gone, stays, lease_s=10)
            assert await one.grants("b", gone, stays, lease_s=10)
            await one.settle("b", [1, 1])
            await one.advance(10 + self.lease_slack_s)
            assert [9, 5] == [await one.left(gone), await one.left(stays)]

        self.check_if_known(work, "period")

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
            buckets = [
                bucket(sort, 17 + n, key=sort) for n, sort in enumerate(it for it in KNOWN if it in one.counters.sorts)
            ]
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
