import asyncio
import fcntl
from datetime import UTC, datetime
from inspect import isawaitable
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import Raw
from msgspec.structs import replace

from switchgear.contracts.exchange import Attempt, Plan, Step
from switchgear.contracts.principal import Principal
from switchgear.contracts.provider import Call
from switchgear.contracts.resource import Resource
from switchgear.contracts.store import Aggregate, RecordRow
from switchgear.contracts.usage import Pricing, Usage
from switchgear.counters.memory import MemoryCounters
from switchgear.errors import ApiError, InvalidRequest, RateLimited
from switchgear.exchange.cost import settle_cost
from switchgear.exchange.reservation import Reservations
from switchgear.telemetry.metrics import Metrics
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.policy_suite import PolicySuite, WatchedCounters, make_exchange, make_target
from switchgear.wire.members import raw
from switchgear_plugins.budgets import seeds
from switchgear_plugins.budgets.live import Budget
from switchgear_plugins.budgets.periods import Calendar
from switchgear_plugins.budgets.policy import BudgetsPolicy
from switchgear_plugins.budgets.prompts import longest_prompt
from switchgear_plugins.budgets.spec import BudgetSpec, Scope

PRICING = Pricing({"input": 1_000_000, "output": 10_000_000})


def budget(id: str = "b", amount: int = 10_000, **members: Any) -> Budget:
    members.setdefault("scope", Scope(all=True))
    return Budget(Resource(id, BudgetSpec(amount_microusd=amount, **members), 1, 1, "api", 5, 5))


class Records:
    """The ledger: what each call cost, by what its record says."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, str], int]] = []
        self.ids: list[tuple[str, int]] = []

    async def scan(self, query: Any) -> list[RecordRow]:
        return [RecordRow(id, at_us, b"{}") for id, at_us in self.ids if at_us >= query.since_us][: query.limit]

    async def summarise(self, query: Any, by: Any, sums: Any) -> list[Aggregate]:
        groups: dict[tuple[str | None, ...], int] = {}
        for at_us, members, cost in self.rows:
            if at_us >= query.since_us and all(members.get(name) == value for name, value in query.equals.items()):
                group = tuple(members.get(name) for name in by)
                groups[group] = groups.get(group, 0) + cost
        return [Aggregate(group, 1, (total,)) for group, total in groups.items()]


class Host:
    """The policy with its counters, in the phases as the gateway runs them."""

    def __init__(self, *budgets: Budget, counters: Any = None, ambient: FixedAmbient | None = None) -> None:
        self.directory = Path(mkdtemp(prefix="budgets"))
        self.ambient = ambient or FixedAmbient()
        self.counters = MemoryCounters(self.ambient) if counters is None else counters
        self.records = Records()
        self.begin(*budgets)
        self.number = 0

    def begin(self, *budgets: Budget) -> None:
        self.budgets = {it.id: it for it in budgets}
        snapshot = SimpleNamespace(all=lambda _: self.budgets)
        resources = SimpleNamespace(snapshot=snapshot, on_change=lambda *_: None)
        log = SimpleNamespace(warning=lambda *_, **__: None)
        context: Any = SimpleNamespace(
            ambient=self.ambient,
            counters=self.counters,
            records=self.records,
            resources=resources,
            metrics=Metrics(),
            data_dir=self.directory,
            log=log,
        )
        self.policy = BudgetsPolicy(context, 50, 4096)
        self.reservations = Reservations([("budgets", self.policy)], self.counters, _broke)

    def exchange(self, principal: Principal, longest: int | None, pricing: Pricing | None = PRICING) -> Any:
        self.number += 1
        x = make_exchange(principal, id=f"x{self.number}")
        x.started_us = self.ambient.now_us()
        x.plan = Plan((Step(replace(make_target(), pricing=pricing)),))
        assert x.call is not None
        x.call.max_tokens = longest
        return x

    async def reserve(self, x: Any) -> None:
        waiting = self.reservations.reserve(x)
        if isawaitable(waiting):
            await waiting

    async def settle(self, x: Any, cost: int | None, *, estimated: bool = False, seen: int = 0) -> None:
        usage = Usage({"input": 1, "output": seen}, estimated)
        x.attempts.append(Attempt(x.plan.targets[0], 0.0, accounted=True, usage=usage, cost_microusd=cost))
        settle_cost(x)
        waiting = self.reservations.settle(x)
        if isawaitable(waiting):
            await waiting


def _broke(name: str, error: BaseException) -> None:
    raise AssertionError(f"{name} broke: {error!r}") from error


def test_no_value_of_each_meets_another_budget() -> None:
    pairs = [("a", None), ("a", "b"), ("a:b", None), ("a", "b/c"), ("a:b", "c"), ("a", "b:c"), ("a:b:c", None)]
    keys = [budget(id).bucket(whose, 0, 0).key for id, whose in pairs]
    assert len(keys) == len(set(keys))


class TestBudgetsPolicy(PolicySuite):
    def make(self, counters: WatchedCounters) -> BudgetsPolicy:
        return Host(budget(), counters=counters).policy


def make_call(**members: Any) -> Call:
    return Call("chat", "chat", {name: msgspec.Raw(msgspec.json.encode(it)) for name, it in members.items()}, model="m")


@pytest.mark.parametrize(
    ("members", "most"),
    [
        ({}, 1), ({"n": None}, 1), ({"n": 3}, 3), ({"n": 2, "best_of": 5}, 5), ({"n": -1}, 1), ({"n": 10**30}, 10**30),
        ({"prompt": "a"}, 1), ({"prompt": ["a", "b"]}, 2), ({"prompt": [1, 2, 3]}, 1), ({"prompt": [[1], [2, 3], [4]]}, 3),
        ({"prompt": ["a", "b"], "n": 3}, 6), ({"prompt": None, "prompt_embeds": ["QUJD", "QUJD"]}, 3), ({"prompt": []}, 1),
    ],
)  # fmt: skip
async def test_every_answer_to_every_prompt_is_reserved_for(members: dict[str, Any], most: int) -> None:
    host = Host(budget(amount=10**7))
    x = host.exchange(KEY, 10)
    x.call.members |= {name: Raw(raw(it)) for name, it in members.items()}
    priced = host.policy._bounds.of(x.plan.targets[0], x.call)
    assert most * 10 * 10_000_000 == host.policy._bounds.question(x)._written(priced)


@pytest.mark.parametrize("number", ["3", 3.0, 2.5, [3], True, {}])
@pytest.mark.parametrize("name", ["n", "best_of"])
async def test_a_number_of_answers_that_is_none_is_refused(name: str, number: Any) -> None:
    x = (host := Host(budget())).exchange(KEY, 10)
    x.call.members[name] = Raw(raw(number))
    with pytest.raises(InvalidRequest) as refused:
        await host.reserve(x)
    assert name == refused.value.param


KEY = Principal("key_1", "key", labels={"team": "red", "user": "ann", "tier": "gold"})


@pytest.mark.parametrize(
    ("scope", "fits"),
    [
        ({"all": True}, True),
        ({"keys": ["key_1", "key_2"]}, True),
        ({"keys": ["key_2"]}, False),
        ({"teams": ["red"], "users": ["ann"]}, True),
        ({"teams": ["red"], "users": ["bob"]}, False),
        ({"labels": {"team": "red", "tier": "gold"}}, True),
        ({"labels": {"team": "red", "tier": "iron"}}, False),
        ({"labels": {"team": "blue"}, "teams": ["red"]}, False),
        ({"models": ["m"]}, True),
        ({"models": ["other"]}, False),
        ({"each": "user"}, True),
        ({"each": "desk"}, False),
        ({"teams": ["red"], "each": "model"}, True),
    ],
)
async def test_a_call_is_within_a_budget_if_it_fits_every_member(scope: Any, fits: bool) -> None:
    host = Host(budget(amount=0, scope=msgspec.convert(scope, Scope)))
    x = host.exchange(KEY, 5)
    if not fits:
        await host.reserve(x)
        return
    with pytest.raises(RateLimited, match="budget `b`"):
        await host.reserve(x)


async def test_a_budget_that_is_not_enabled_holds_nobody() -> None:
    host = Host(budget(amount=0, enabled=False))
    await host.reserve(host.exchange(KEY, 5))


async def test_labels_that_a_budget_goes_by_stand_in_the_record() -> None:
    host = Host(budget(scope=Scope(labels={"tier": "gold"})))
    x = host.exchange(KEY, 5)
    await host.reserve(x)
    assert {"tier": "gold"} == x.labels


async def test_what_a_killed_process_held_is_held_until_its_lease_ends() -> None:
    """Unless its call has a record, and so is counted there."""
    host = Host(budget(amount=1_000, period="total"))
    first = host.exchange(KEY, 20)
    await host.reserve(first)
    second = host.exchange(KEY, 20)
    await host.reserve(second)
    third = host.exchange(KEY, 20)
    await host.reserve(third)
    held = first.notes["budgets"].reserved
    await host.settle(third, 5)
    host.records.rows += [(third.started_us, {}, 5), (second.started_us, {}, 7)]
    host.records.ids += [(third.id, third.started_us), (second.id, second.started_us)]
    notes = host.policy.seeds._notes
    assert notes is not None
    notes._map.flush()
    fcntl.flock(notes._file, fcntl.LOCK_UN)  # as if it was killed
    host.counters = MemoryCounters(host.ambient)
    host.begin(*host.budgets.values())
    x = host.exchange(KEY, 1)
    await host.reserve(x)
    [bucket] = x.notes["budgets"].buckets
    assert 1_000 - 5 - 7 - held - x.notes["budgets"].reserved == host.counters.peek((bucket,))[0].remaining
    await host.settle(x, 0)
    host.ambient.advance(700)
    assert 1_000 - 5 - 7 == host.counters.peek((bucket,))[0].remaining
    host.policy.seeds.close()


class Elsewhere:
    """Counters that replicas share: each answer is waited for."""

    def __init__(self, counters: MemoryCounters) -> None:
        self.counters = counters

    def __getattr__(self, name: str) -> Any:
        async def answer(*arguments: Any) -> Any:
            return getattr(self.counters, name)(*arguments)

        return answer


@pytest.mark.parametrize("is_lost", [False, True])
async def test_what_a_killed_gateway_held_is_held_once_by_counters_elsewhere(
    is_lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeds, "GATHER_S", 0.0)
    ambient = FixedAmbient()
    counters = MemoryCounters(ambient)
    host = Host(budget(amount=1_000, period="total"), counters=Elsewhere(counters), ambient=ambient)
    killed = host.exchange(KEY, 20)
    await host.reserve(killed)
    notes = host.policy.seeds._notes
    assert notes is not None
    fcntl.flock(notes._file, fcntl.LOCK_UN)
    if is_lost:
        host.counters.counters = counters = MemoryCounters(ambient)
    host.begin(*host.budgets.values())
    x = host.exchange(KEY, 1)
    await host.reserve(x)
    [bucket] = x.notes["budgets"].buckets
    held = sum(it.notes["budgets"].reserved for it in (killed, x))
    assert 1_000 - held == counters.peek((bucket,))[0].remaining
    host.policy.seeds.close()


async def test_an_attempt_after_one_that_may_be_billed_reserves_what_it_may_cost_on_top() -> None:
    host = Host(budget(amount=10_000))
    x = host.exchange(KEY, 50)
    await host.reserve(x)
    held = host.policy.reserve(x)[0].amount
    target = x.plan.targets[0]
    assert host.policy.attempting(x, Attempt(target, 0.0)) is None, "the first is what was reserved"
    x.attempts.append(Attempt(target, 0.0, accounted=True, cost_microusd=100))
    more = host.policy.attempting(x, Attempt(target, 0.0))
    assert more is not None
    await more
    [bucket] = x.notes["budgets"].buckets
    assert 10_000 - held - 100 == host.counters.peek((bucket,))[0].remaining
    await host.settle(x, 150)
    for _ in range(3):
        await asyncio.sleep(0)
    assert 10_000 - 250 == host.counters.peek((bucket,))[0].remaining


async def test_of_an_answer_of_which_nothing_was_seen_all_counts() -> None:
    host = Host(budget(amount=10_000))
    x = host.exchange(KEY, 50)
    await host.reserve(x)
    [bucket] = x.notes["budgets"].buckets
    unseen = Usage({"input": 10}, estimated=True)
    x.attempts.append(Attempt(x.plan.targets[0], 0.0, accounted=True, usage=unseen, cost_microusd=10))
    more = host.policy.attempting(x, Attempt(x.plan.targets[0], 0.0))
    assert more is not None
    await more
    answer = 50 * 10
    lost = 10 + answer + -(-(bucket.amount - 10 - answer) // 4)
    assert 10_000 - lost - bucket.amount == host.counters.peek((bucket,))[0].remaining
    await host.settle(x, 150)
    for _ in range(3):
        await asyncio.sleep(0)
    assert 10_000 - lost - 150 == host.counters.peek((bucket,))[0].remaining


async def test_an_attempt_that_the_budget_cannot_pay_is_refused() -> None:
    host = Host(budget(amount=700))
    x = host.exchange(KEY, 50)
    await host.reserve(x)
    x.attempts.append(Attempt(x.plan.targets[0], 0.0, accounted=True, cost_microusd=None))
    more = host.policy.attempting(x, Attempt(x.plan.targets[0], 0.0))
    assert more is not None
    with pytest.raises(RateLimited):
        await more


@pytest.mark.parametrize("bound", [b"-1", b"1000000000"])
async def test_whichever_name_has_the_larger_bound_counts(bound: bytes) -> None:
    host = Host(budget(amount=100_000))
    x = host.exchange(KEY, 5)
    x.call.members["max_completion_tokens"] = msgspec.Raw(b"5")
    x.call.members["max_tokens"] = msgspec.Raw(bound)
    if bound == b"-1":
        await host.reserve(x)
        assert b"50" == bytes(x.call.members["max_tokens"]), "less than nothing is no bound, and one is set"
    else:
        with pytest.raises(RateLimited):
            await host.reserve(x)


@pytest.mark.parametrize(
    ("period", "zone", "moment", "begin", "end"),
    [
        ("day", "UTC", "2026-11-30T23:59:59+00:00", "2026-11-30T00:00:00+00:00", "2026-12-01T00:00:00+00:00"),
        ("day", "Europe/Berlin", "2026-10-25T12:00:00+01:00", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"),
        ("day", "Asia/Kolkata", "2026-11-30T19:00:00+00:00", "2026-12-01T00:00:00+05:30", "2026-12-02T00:00:00+05:30"),
        ("week", "UTC", "2026-11-29T10:00:00+00:00", "2026-11-23T00:00:00+00:00", "2026-11-30T00:00:00+00:00"),
        (
            "month",
            "America/New_York",
            "2026-12-01T03:00:00+00:00",
            "2026-11-01T00:00:00-04:00",
            "2026-12-01T00:00:00-05:00",
        ),
        ("month", "UTC", "2028-02-29T03:00:00+00:00", "2028-02-01T00:00:00+00:00", "2028-03-01T00:00:00+00:00"),
    ],
)
def test_periods_are_the_calendars(period: Any, zone: str, moment: str, begin: str, end: str) -> None:
    at, *bounds = (
        int(datetime.fromisoformat(it).astimezone(UTC).timestamp()) * 1_000_000 for it in (moment, begin, end)
    )
    assert tuple(bounds) == Calendar(period, zone, 0).at(at)


class BudgetMachine(RuleBasedStateMachine):
    """A budget against a model of it: what was spent, what is held, and what can be refused."""

    amount = 3_000

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.host = Host(budget(amount=self.amount, period="total"))
        self.open: dict[Any, int] = {}
        self.spent = 0
        self.lapsed = 0

    def teardown(self) -> None:
        self.loop.close()

    @rule(longest=st.one_of(st.none(), st.integers(1, 120)))
    def call(self, longest: int | None) -> None:
        x = self.host.exchange(KEY, longest)
        before = self.amount - self.spent - self.lapsed - sum(self.open.values())
        try:
            self.loop.run_until_complete(self.host.reserve(x))
        except ApiError as error:
            refusal: ApiError | None = error
        else:
            refusal = None
        if refusal is not None:
            assert "budget_exceeded" == refusal.code
            assert x.notes["budgets"].reserved > before, "a refusal implies that there was no room"
            return
        claim = x.notes["budgets"]
        assert claim.reserved <= before
        if longest is None:
            assert 16 <= claim.question.bound <= 50
        self.open[x] = claim.reserved

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def settle(self, data: Any) -> None:
        x = data.draw(st.sampled_from(list(self.open)))
        held = self.open.pop(x)
        cost = data.draw(st.one_of(st.none(), st.integers(0, held)))
        self.loop.run_until_complete(self.host.settle(x, cost))
        actual = held if cost is None else cost
        self.spent += actual
        self.host.records.rows.append((x.started_us, {}, actual))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), seen=st.integers(0, 1))
    def cut(self, data: Any, seen: int) -> None:
        x = data.draw(st.sampled_from(list(self.open)))
        held = self.open.pop(x)
        cost = data.draw(st.integers(0, held))
        answer = x.notes["budgets"].question.bound * 10
        self.loop.run_until_complete(self.host.settle(x, cost, estimated=True, seen=seen))
        made = 0 if seen else min(held - cost, answer)
        kept = cost + made + -(-(held - cost - made) // 4)
        self.spent += kept
        self.host.records.rows.append((x.started_us, {}, kept))

    @precondition(lambda self: not self.open)
    @rule()
    def restart(self) -> None:
        self.host.counters = MemoryCounters(self.host.ambient)
        self.host.begin(*self.host.budgets.values())
        self.lapsed = 0  # no record tells of it

    @rule()
    def time_passes(self) -> None:
        self.host.ambient.advance(400)
        for x in list(
            self.open
        ):  # what timed out counts as spent: its gateway must have died, and its provider may bill it
            if self.host.ambient.now_us() - x.started_us > 700e6:
                self.lapsed += self.open.pop(x)

    @invariant()
    def never_more_than_there_is(self) -> None:
        assert self.spent + self.lapsed + sum(self.open.values()) <= self.amount


BudgetMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestBudgetMachine = BudgetMachine.TestCase


ADDRESS = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
HELD = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
TEXT = {"type": "text", "text": ";base64," + "A" * 100_000}


@pytest.mark.parametrize(
    ("members", "least", "most"),
    [
        ({"messages": [{"role": "user", "content": "x" * 100}]}, 100, 300),
        ({"messages": [{"role": "user", "content": [ADDRESS] * 5}]}, 5 * 4096, 5 * 4300),
        ({"messages": [{"role": "user", "content": [HELD]}]}, 4096, 4500),
        ({"messages": [{"role": "user", "content": [TEXT]}]}, 100_000, 101_000),
        ({"messages": [{"role": "user", "content": [HELD, TEXT]}]}, 104_096, 106_000),
        ({"messages": [{"type": ["image"], "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]}, 9000, 9500),
        (
            {"messages": [{"content": [{"type": "document", "source": {"type": "url", "url": "https://a/b"}}]}]},
            9000,
            9500,
        ),
        (
            {"messages": [{"content": [{"type": "tool_use", "input": {"type": "image", "data": "A" * 9000}}]}]},
            9000,
            9500,
        ),
        ({"previous_response_id": "resp_1", "input": "x"}, 9000, 9200),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 1024, 1300),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}] * 3}, 4096, 4500),
    ],
)
def test_no_prompt_has_more_tokens_than_are_reserved_for_it(members: dict[str, Any], least: int, most: int) -> None:
    call = make_call(**members)
    assert least <= longest_prompt(call, 4096, [9000]) <= most


def test_what_is_no_text_is_found_however_it_is_written() -> None:
    call = make_call()
    call.members["messages"] = msgspec.Raw(
        rb'[{"content":[{"type":"\u0069mage_url","\u0069mage_url":{"url":"https://a/b"}}]}]'
    )
    assert longest_prompt(call, 4096, []) > 4096


async def test_what_an_agent_says_first_is_paid_for() -> None:
    host = Host(budget(amount=10_000))
    x = host.exchange(KEY, 5)
    step = x.plan.steps[0]
    x.plan = Plan((Step(replace(step.target, preamble="x" * 20_000)),))
    with pytest.raises(RateLimited):
        await host.reserve(x)
