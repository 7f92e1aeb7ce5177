"""The part of `CountersSuite` that compares a backend with the model, over whatever hypothesis thinks of."""

from typing import Any, TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from switchgear.contracts.counters import Bucket, Room
from switchgear.testing.ambient import START_US
from switchgear.testing.counters_bench import KNOWN, Bench, CountersChecks
from switchgear.testing.counters_model import ModelCounters

_Step: TypeAlias = tuple[Any, ...]


class ReplaySuite(CountersChecks):
    """Whatever is reserved, settled and seeded in whatever order, the backend decides as the model does."""

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
            start_us = START_US + draw(st.sampled_from([0, 0, 64_000_000])) if sort == "period" else None
            amount = draw(st.integers(0, 5))
            burst = 6 if sort == "bucket" else None
            return Bucket(draw(st.sampled_from("aaab")), sort, limit, amount, period_s, burst, start_us)

        steps: st.SearchStrategy[_Step] = st.one_of(
            st.tuples(
                st.just("reserve"), st.lists(buckets(), min_size=1, max_size=4), st.sampled_from([5.0, 20.0, 600.0])
            ),
            st.tuples(
                st.just("settle"), st.integers(0, 30), st.none() | st.lists(st.integers(0, 9), min_size=4, max_size=4)
            ),
            st.tuples(st.just("advance"), times),
            st.tuples(st.just("seed"), buckets(), st.integers(0, 12)),
            st.tuples(st.just("look"), st.lists(buckets(), max_size=3)),
        )

        @self.replays
        @given(st.lists(steps, min_size=50, max_size=80))
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
