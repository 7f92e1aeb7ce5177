"""The one reservation of an exchange: whose buckets, who is told, who words the refusal, and that it is settled once."""

import asyncio
from collections.abc import Awaitable, Sequence
from inspect import isawaitable
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from switchgear.contracts.counters import Bucket, Room
from switchgear.contracts.exchange import Exchange, Outcome
from switchgear.contracts.policy import Policy
from switchgear.counters.memory import MemoryCounters
from switchgear.counting import check_sorts
from switchgear.errors import ApiError, CountersUnavailable, InvalidRequest, PluginError, RateLimited, Unavailable
from switchgear.exchange.policies import PolicyChain
from switchgear.exchange.reservation import LEASE_MARGIN_S, Reservations
from switchgear.telemetry.metrics import Metrics
from switchgear.testing.ambient import START_US, FixedAmbient
from switchgear.testing.policy_suite import make_exchange


async def admitted(chain: PolicyChain, x: Exchange) -> None:
    if isawaitable(waiting := chain.admit(x)):
        await waiting


class Counting(Policy):
    """Reserves what it is given and writes down what it is told."""

    def __init__(self, *buckets: Bucket, used: Sequence[int] | None = None) -> None:
        self.buckets = buckets
        self.actual = used
        self.told: list[tuple[int, ...]] = []

    def reserve(self, x: Exchange) -> Any:
        return self.buckets

    def reserved(self, x: Exchange, rooms: Sequence[Room]) -> None:
        self.told.append(tuple(room.remaining for room in rooms))

    def refused(self, x: Exchange, index: int, room: Room, retry_after_s: float) -> ApiError:
        return RateLimited(f"{self.buckets[index].key} at {index}", retry_after=retry_after_s)

    def used(self, x: Exchange) -> Sequence[int] | None:
        return self.actual


class Asked:
    """Counters that write down what they are asked; `later` answers with awaitables, `failing` raises."""

    sorts = frozenset({"window", "slots", "bucket", "period"})

    def __init__(self, *, later: bool = False) -> None:
        self.inner = MemoryCounters(FixedAmbient())
        self.log: list[tuple[Any, ...]] = []
        self.later = later
        self.hangs = False
        self.failing: Exception | None = None

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Any:
        self.log.append(("reserve", id, [bucket.key for bucket in buckets], lease_s))
        if self.failing is not None and not self.later:
            raise self.failing
        return self._answer(self.inner.reserve(id, buckets, lease_s))

    def settle(self, id: str, actual: Sequence[int] | None = None) -> Any:
        self.log.append(("settle", id, actual))
        if self.failing is not None and not self.later:
            raise self.failing
        self.inner.settle(id, actual)
        return self._answer(None)

    def peek(self, buckets: Sequence[Bucket]) -> Any:
        return self._answer(self.inner.peek(buckets))

    def seed(self, bucket: Bucket, epoch: str, total: int) -> Any:
        self.inner.seed(bucket, epoch, total)
        return self._answer(None)

    def _answer(self, answer: Any) -> Any:
        return self._wait(answer) if self.later else answer

    async def _wait(self, answer: Any) -> Any:
        await asyncio.sleep(3600 if self.hangs else 0)
        if self.failing is not None:
            raise self.failing
        return answer


class Host:
    def __init__(self, *policies: Policy, later: bool = False) -> None:
        self.counters = Asked(later=later)
        self.failed: list[str] = []
        named = [(f"p{index}", policy) for index, policy in enumerate(policies)]
        self.reservations = Reservations(named, self.counters, lambda name, _: self.failed.append(name))

    async def reserve(self, x: Exchange) -> None:
        if (waiting := self.reservations.reserve(x)) is not None:
            await waiting

    async def settle(self, x: Exchange) -> None:
        x.outcome = Outcome.COMPLETE
        if (waiting := self.reservations.settle(x)) is not None:
            await waiting


def exchange(id: str = "x", parent: Exchange | None = None) -> Exchange:
    x = make_exchange(None, id=id)
    x.parent = parent
    return x


def slots(key: str, limit: int, amount: int = 1) -> Bucket:
    return Bucket(key, "slots", limit, amount)


def period(key: str, limit: int, amount: int = 1) -> Bucket:
    return Bucket(key, "period", limit, amount, 86_400.0, start_us=START_US)


both = pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])


@both
async def test_the_buckets_of_all_policies_are_one_reservation(later: bool) -> None:
    a, b, c = Counting(slots("a", 5)), Counting(), Counting(slots("c1", 7), period("c2", 9, 3))
    host, x = Host(a, b, c, later=later), exchange()
    await host.reserve(x)
    assert [[(4,)], [], [(6, 6)]] == [a.told, b.told, c.told]
    await host.settle(x)
    lease = 600.0 + LEASE_MARGIN_S
    assert [("reserve", "x", ["a", "c1", "c2"], lease), ("settle", "x", None)] == host.counters.log


@both
async def test_who_had_no_room_words_the_refusal_and_nobody_lost_anything(later: bool) -> None:
    a, b = Counting(slots("a", 5)), Counting(slots("b", 5), slots("c", 1))
    host, first, second = Host(a, b, later=later), exchange("1"), exchange("2")
    await host.reserve(first)
    with pytest.raises(RateLimited, match="c at 1") as caught:
        await host.reserve(second)
    assert 1.0 == caught.value.retry_after
    assert ([(4,), (4,)], [(4, 0), (4, 0)]) == (a.told, b.told), "who was let in and who was not are told alike"
    await host.settle(second)
    assert "settle" not in [what for what, *_ in host.counters.log], "nothing was held"
    await host.settle(first)
    await host.reserve(second)


@both
async def test_it_is_settled_once_with_the_amounts_that_were_used(later: bool) -> None:
    host = Host(Counting(period("a", 9, 3)), Counting(period("b", 9, 5), slots("c", 1), used=[7, 0]), later=later)
    x = exchange()
    await host.reserve(x)
    for _ in range(3):
        await host.settle(x)
    assert [("settle", "x", [3, 7, 0])] == host.counters.log[1:]
    rooms = host.counters.inner.peek([period("a", 9), period("b", 9), slots("c", 1)])
    assert [6, 2, 1] == [room.remaining for room in rooms]


def test_who_reserves_nothing_costs_no_question() -> None:
    host, x = Host(Counting(), Counting()), exchange()
    assert host.reservations.reserve(x) is None
    assert host.reservations.settle(x) is None
    assert [] == host.counters.log
    silent = Reservations([("p", Policy())], None, lambda *_: None)
    assert silent.reserve(x) is None


def test_counters_that_answer_at_once_take_no_coroutine() -> None:
    host, x = Host(Counting(slots("a", 1)), Counting(slots("b", 1))), exchange()
    assert host.reservations.reserve(x) is None
    assert host.reservations.settle(x) is None


async def test_a_policy_may_look_something_up_before_it_names_its_buckets() -> None:
    class Slow(Counting):
        async def reserve(self, x: Exchange) -> Any:
            await asyncio.sleep(0)
            return self.buckets

    host, x = Host(Counting(slots("a", 1)), Slow(slots("b", 1)), Counting(slots("c", 1))), exchange()
    await host.reserve(x)
    assert ["a", "b", "c"] == host.counters.log[0][2]


async def test_a_policy_may_refuse_before_anything_is_reserved() -> None:
    class Refusing(Counting):
        def reserve(self, x: Exchange) -> Any:
            raise InvalidRequest("no")

    host = Host(Counting(slots("a", 1)), Refusing())
    with pytest.raises(InvalidRequest):
        await host.reserve(exchange())
    assert ([], []) == (host.counters.log, host.failed)


class Broken(Counting):
    """Breaks in one of its methods."""

    def __init__(self, where: str, *buckets: Bucket) -> None:
        super().__init__(*buckets)
        self.where = where

    def reserve(self, x: Exchange) -> Any:
        return self._do("reserve", super().reserve(x))

    def reserved(self, x: Exchange, rooms: Sequence[Room]) -> None:
        self._do("reserved", None)

    def refused(self, x: Exchange, index: int, room: Room, retry_after_s: float) -> ApiError:
        error: ApiError = self._do("refused", RateLimited("worded"))
        return error

    def used(self, x: Exchange) -> Sequence[int] | None:
        amounts: Sequence[int] | None = self._do("used", None)
        return amounts

    def _do(self, where: str, result: Any) -> Any:
        if where == self.where:
            raise ZeroDivisionError
        return result


class Lenient(Broken):
    on_error = "allow"


@pytest.mark.parametrize("where", ["reserve", "reserved"])
async def test_a_broken_policy_denies_or_is_passed_over_as_it_says(where: str) -> None:
    host, x = Host(Counting(slots("a", 2)), Broken(where, slots("b", 2))), exchange()
    with pytest.raises(Unavailable) as caught:
        await host.reserve(x)
    assert ("policy_failed", ["p1"]) == (caught.value.code, host.failed)
    await host.settle(x)
    assert 0 == host.counters.inner.size()[4], "what was reserved is given back"
    host, x = Host(Counting(slots("a", 2)), Lenient(where, slots("b", 2))), exchange()
    await host.reserve(x)
    assert ["p1"] == host.failed
    assert (["a"] if where == "reserve" else ["a", "b"]) == host.counters.log[0][2]


async def test_a_refusal_that_cannot_be_worded_is_a_refusal() -> None:
    for kind in (Broken, Lenient):
        host = Host(kind("refused", slots("b", 0)))
        with pytest.raises(RateLimited, match="The limit is reached"):
            await host.reserve(exchange())
        assert ["p0"] == host.failed


@pytest.mark.parametrize("policy", [Broken("used", slots("b", 2)), Counting(slots("b", 2), used=[1, 2])])
async def test_amounts_that_cannot_be_said_are_as_reserved(policy: Policy) -> None:
    host, x = Host(Counting(period("a", 9, 3), used=[1]), policy), exchange()
    await host.reserve(x)
    await host.settle(x)
    assert (["p1"], ("settle", "x", [1, 1])) == (host.failed, host.counters.log[-1])


async def test_counters_that_are_away_are_named_and_no_policy_is_blamed() -> None:
    host = Host(Counting(slots("a", 1)))
    host.counters.failing = CountersUnavailable("away")
    with pytest.raises(Unavailable) as caught:
        await host.reserve(exchange())
    assert ("counters_unavailable", []) == (caught.value.code, host.failed)


@both
@pytest.mark.parametrize("strict", [True, False])
async def test_counters_that_fail_deny_unless_every_policy_allows(later: bool, strict: bool) -> None:
    host = Host(Lenient("", slots("a", 1)), (Broken if strict else Lenient)("", slots("b", 1)), later=later)
    host.counters.failing = ConnectionError("away")
    x = exchange()
    if strict:
        with pytest.raises(Unavailable, match="`p1` could not decide"):
            await host.reserve(x)
    else:
        await host.reserve(x)
    assert ["p0", "p1"] == host.failed
    await host.settle(x)
    assert "settle" == host.counters.log[-1][0], "nobody knows whether it was taken"
    assert ["p0", "p1"] * 2 == host.failed


async def test_counters_that_hang_are_given_the_policies_time_and_settled() -> None:
    class Hasty(Counting):
        budget_s = 0.02

    host, x = Host(Hasty(slots("a", 1)), later=True), exchange()
    host.counters.hangs = True
    with pytest.raises(Unavailable):
        await host.reserve(x)
    host.counters.hangs = False
    await host.settle(x)
    assert 0 == host.counters.inner.size()[4]


async def test_who_leaves_while_the_counters_answer_holds_nothing_once_settled() -> None:
    host, x = Host(Counting(slots("a", 1)), later=True), exchange()
    task = asyncio.ensure_future(host.reserve(x))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await host.settle(x)
    assert 0 == host.counters.inner.size()[4]


async def test_another_reservation_under_the_exchanges_id_is_loud() -> None:
    class Beside(Counting):
        def __init__(self, counters: MemoryCounters) -> None:
            super().__init__()
            self.counters = counters

        def admit(self, x: Exchange) -> None:
            self.counters.reserve(x.id, [slots("mine", 0)], 10)

    counters, metrics = MemoryCounters(FixedAmbient()), Metrics()
    policies = [("limits", Counting(slots("a", 1))), ("beside", Beside(counters))]
    chain = PolicyChain(policies, metrics, structlog.get_logger(), counters)
    x = exchange()
    with pytest.raises(Unavailable, match="`beside`"):
        await admitted(chain, x)
    await chain.settle(x)
    assert 0 == counters.size()[4]


async def test_a_chain_reserves_before_it_admits_and_settles_before_its_policies() -> None:
    log: list[str] = []

    class Noting(Counting):
        def reserved(self, x: Exchange, rooms: Sequence[Room]) -> None:
            log.append("reserved")

        def admit(self, x: Exchange) -> None:
            log.append("admit")

        def used(self, x: Exchange) -> Sequence[int] | None:
            log.append("used")
            return None

        def settle(self, x: Exchange) -> None:
            log.append("settle")

    counters = MemoryCounters(FixedAmbient())
    chain = PolicyChain([("p", Noting(slots("a", 1)))], Metrics(), structlog.get_logger(), counters)
    x = exchange()
    await admitted(chain, x)
    await chain.settle(x)
    await chain.settle(x)
    assert ["reserved", "admit", "used", "settle", "settle"] == log


async def test_a_cancellation_while_settling_waits_until_the_counters_know() -> None:
    counters = Asked(later=True)
    chain = PolicyChain([("p", Counting(slots("a", 1)))], Metrics(), structlog.get_logger(), counters)
    x = exchange()
    await admitted(chain, x)
    settling = asyncio.ensure_future(chain.settle(x))
    await asyncio.sleep(0)
    settling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await settling
    assert 0 == counters.inner.size()[4]


@both
async def test_within_another_exchange_its_slots_are_not_taken_again(later: bool) -> None:
    policy = Counting(period("spent", 9, 2), slots("mine", 1), used=[2, 1])
    host = Host(policy, later=later)
    outer, inner = exchange("outer"), exchange("outer/1")
    inner.parent = outer
    innermost = exchange("outer/1/1", parent=inner)
    await host.reserve(outer)
    with pytest.raises(RateLimited, match="mine"):
        await host.reserve(exchange("stranger"))
    await host.reserve(inner)
    await host.reserve(innermost)
    assert [["spent", "mine"], ["spent", "mine"], ["spent"], ["spent"]] == [keys for _, _, keys, _ in host.counters.log]
    assert [(7, 0), (7, 0), (5, 0), (3, 0)] == policy.told, "it is told of each of its buckets"
    for x in (innermost, inner):
        await host.settle(x)
        assert [2] == host.counters.log[-1][2]
        assert 0 == (await _peek(host, slots("mine", 1))), "it is the outer exchange's"
    await host.settle(outer)
    assert 1 == (await _peek(host, slots("mine", 1)))


async def test_within_another_exchange_a_refusal_names_the_right_bucket() -> None:
    outer = exchange("outer")
    host = Host(Counting(slots("mine", 1), period("spent", 3, 2)))
    await host.reserve(outer)
    with pytest.raises(RateLimited, match="spent at 1"):
        await host.reserve(exchange("inner", parent=outer))


async def test_only_slots_held_above_are_left_out_entirely() -> None:
    host = Host(Counting(slots("mine", 1)))
    outer = exchange("outer")
    await host.reserve(outer)
    inner = exchange("inner", parent=outer)
    await host.reserve(inner)
    assert 1 == len(host.counters.log), "there is nothing to ask"
    await host.settle(inner)
    assert 0 == (await _peek(host, slots("mine", 1)))


def test_policies_that_count_are_checked_against_the_counters() -> None:
    class Windowed(Counting):
        sorts = frozenset({"window", "period"})

    bound: Any = SimpleNamespace(plugin="acme", item=SimpleNamespace(name="cap"))
    offered: Any = SimpleNamespace(item=SimpleNamespace(name="few"))
    counters: Any = SimpleNamespace(sorts=frozenset({"slots"}))
    check_sorts([(bound, Policy())], None, None)
    with pytest.raises(PluginError, match=r"(?s)`cap` counts in buckets of the sort `period`.*know `slots`.*`window`"):
        check_sorts([(bound, Windowed())], counters, offered)
    with pytest.raises(PluginError, match="no enabled plugin offers counters"):
        check_sorts([(bound, Windowed())], None, None)
    with pytest.raises(PluginError, match="does not say in which sorts"):
        check_sorts([(bound, Counting())], counters, offered)


async def _peek(host: Host, bucket: Bucket) -> int:
    answer: tuple[Room, ...] | Awaitable[tuple[Room, ...]] = host.counters.peek([bucket])
    rooms = await answer if isawaitable(answer) else answer
    return rooms[0].remaining
