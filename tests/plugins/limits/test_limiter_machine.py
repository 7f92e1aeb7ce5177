"""The limiter against a model that is nothing but lists, on both backends: whoever asks, in any order, is let in just when every
limit has room, and a refusal takes nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from inspect import isawaitable
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from support.redis_server import redis_url
from switchgear.contracts.estimate import Estimate
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Resource
from switchgear.contracts.usage import Usage
from switchgear.counters import MemoryCounters
from switchgear.errors import RateLimited
from switchgear.exchange.reservation import Reservations
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.context import PluginContext
from switchgear.testing.policy_suite import EmptySnapshot, make_exchange
from switchgear_plugins.limits.policy import LimitsPolicy
from switchgear_plugins.limits.resources import KIND, LimitSpec, Rule
from switchgear_plugins.redis.counters import RedisCounters
from switchgear_plugins.redis.link import Link
from switchgear_plugins.redis.settings import RedisSettings

SPECS: dict[str, dict[str, Any]] = {
    "all": {"scope": {"all": True}, "requests_per_minute": 7, "concurrent_requests": 5},
    "team": {"scope": {"teams": ["*"], "each": "team"}, "requests_per_hour": 6},
    "big": {"scope": {"models": ["big"], "each": ["model", "key"]}, "tokens_per_minute": 100},
}
KEYS = {"k1": "a", "k2": "a", "k3": "b"}
"""Keys with their teams."""
LEASE_S = 630.0
"""How long calls hold places that nobody gives back: as long as a call may take, and half a minute."""
OWN = 3
"""Concurrent requests of each key."""


class Snapshot(EmptySnapshot):
    rules: ClassVar = {
        id: Rule(Resource(id, msgspec.convert(spec, LimitSpec), 1, 1, "", 0, 0)) for id, spec in SPECS.items()
    }

    def all(self, kind: str) -> dict[str, Any]:
        return self.rules if kind == KIND else {}


class Patient(LimitsPolicy):
    budget_s: ClassVar = 60.0


class Limiter(RuleBasedStateMachine):
    """Time moves by more than a minute at once, so that no window is in between."""

    counters: Any = None
    numbers = count()

    def __init__(self) -> None:
        super().__init__()
        self.ambient = FixedAmbient()
        self.loop = asyncio.new_event_loop()
        made = self.make(self.ambient)
        policy = Patient(made)
        policy.has_rules = True
        self.made, self.policy = made, policy
        self.reservations = Reservations([("limits", policy)], made, lambda _, error: pytest.fail(repr(error)))
        self.principals = {
            key: Principal(
                key, "key", labels={"key": key, "team": team}, facts={"limits": {"concurrent_requests": OWN}}
            )
            for key, team in KEYS.items()
        }
        self.open: list[tuple[Exchange, str, str, int]] = []
        self.since: dict[str, float] = {}
        self.admitted: list[tuple[float, str]] = []
        self.tokens: list[list[Any]] = []  # [when, key, amount]

    def make(self, ambient: FixedAmbient) -> Any:
        return MemoryCounters(ambient)

    def teardown(self) -> None:
        if hasattr(self.made, "_link"):
            self.run(self.made._link.close())
        self.loop.close()

    def run(self, answer: Any) -> Any:
        async def wait() -> Any:
            return await answer

        return self.loop.run_until_complete(wait()) if isawaitable(answer) else answer

    def within(self, seconds: float, key: str | None = None) -> int:
        now = self.ambient.monotonic()
        return sum(at > now - seconds and (key is None or KEYS[by] == KEYS[key]) for at, by in self.admitted)

    def taken(self, key: str) -> int:
        now = self.ambient.monotonic()
        return sum(amount for at, by, amount in self.tokens if by == key and at > now - 60)

    def has_room(self, key: str, model: str, amount: int) -> bool:
        open_ = Counter(by for _, by, _, _ in self.open)
        return (
            self.within(60) < 7
            and open_.total() < 5
            and open_[key] < OWN
            and self.within(3600, key) < 6
            and (model != "big" or self.taken(key) + amount <= 100)
        )

    @rule(key=st.sampled_from(sorted(KEYS)), model=st.sampled_from(["big", "small"]), amount=st.integers(1, 120))
    def ask(self, key: str, model: str, amount: int) -> None:
        x = make_exchange(self.principals[key], id=f"x{next(self.numbers)}")
        assert x.call is not None
        x.call.model, x.snapshot, x._estimate = model, Snapshot(), Estimate(amount, 0)
        expected = self.has_room(key, model, amount)
        try:
            self.loop.run_until_complete(self._reserve(x))
        except RateLimited:
            assert not expected
            self.loop.run_until_complete(self._settle(x))
            return
        assert expected
        self.open.append((x, key, model, amount))
        self.since[x.id] = self.ambient.monotonic()
        self.admitted.append((self.ambient.monotonic(), key))
        if model == "big":
            self.tokens.append([self.ambient.monotonic(), key, amount])
            self.open[-1] = (x, key, model, len(self.tokens) - 1)

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 10), used=st.integers(0, 60))
    def settle(self, which: int, used: int) -> None:
        x, _, model, index = self.open.pop(which % len(self.open))
        x.usage = Usage.plain(used, 0)
        self.loop.run_until_complete(self._settle(x))
        if model == "big":
            self.tokens[index][2] = used

    @rule(seconds=st.sampled_from([61, 3700]))
    def wait(self, seconds: int) -> None:
        self.ambient.advance(seconds)
        now = self.ambient.monotonic()
        self.open = [it for it in self.open if now - self.since[it[0].id] < LEASE_S]

    @invariant()
    def places_are_those_of_calls_in_flight(self) -> None:
        for key in KEYS:
            x = make_exchange(self.principals[key])
            x.snapshot = Snapshot()
            standing = self.run(self.policy.explain(x))
            open_ = Counter(by for _, by, _, _ in self.open)
            assert OWN - open_[key] == standing["concurrent_requests"]["remaining"]
            assert 5 - open_.total() == standing["all/concurrent_requests"]["remaining"]
            assert 7 - self.within(60) == standing["all/requests_per_minute"]["remaining"]
            assert 6 - self.within(3600, key) == standing["team/requests_per_hour"]["remaining"]

    async def _reserve(self, x: Exchange) -> None:
        if (waiting := self.reservations.reserve(x)) is not None:
            await waiting

    async def _settle(self, x: Exchange) -> None:
        if (waiting := self.reservations.settle(x)) is not None:
            await waiting


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with redis_url() as found:
        yield found


def test_in_memory_it_is_the_model() -> None:
    run_state_machine_as_test(Limiter, settings=settings(max_examples=50, stateful_step_count=30, deadline=None))


def test_in_redis_it_is_the_model(url: str) -> None:
    prefixes = count()
    with TemporaryDirectory() as directory:

        class InRedis(Limiter):
            def make(self, ambient: FixedAmbient) -> Any:
                link = Link(RedisSettings(url=url, timeout=30.0), PluginContext("redis", Path(directory)))
                return RedisCounters(link, f"{{machine}}{next(prefixes)}:", ambient.now_us)

        run_state_machine_as_test(InRedis, settings=settings(max_examples=20, stateful_step_count=30, deadline=None))
