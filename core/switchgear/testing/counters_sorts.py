"""The part of `CountersSuite` that is about one sort of bucket each."""

import pytest

from switchgear.contracts.counters import Bucket
from switchgear.testing.ambient import START_US
from switchgear.testing.counters_bench import Bench, CountersChecks, bucket


class SortsSuite(CountersChecks):
    """What windows, token buckets and periods do as time passes, and when they are seeded."""

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
