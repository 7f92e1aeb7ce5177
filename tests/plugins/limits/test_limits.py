import asyncio
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear import NoSettings
from switchgear.contracts.estimate import Estimate
from switchgear.contracts.exchange import Exchange, Outcome
from switchgear.contracts.principal import Principal
from switchgear.contracts.upstream import Timeouts
from switchgear.contracts.usage import Usage
from switchgear.counters.memory import MemoryCounters
from switchgear.errors import RateLimited
from switchgear.exchange.reservation import LEASE_MARGIN_S, Reservations
from switchgear.testing.context import PluginContext
from switchgear.testing.policy_suite import PolicySuite, WatchedCounters, make_exchange
from switchgear_plugins.limits.plugin import LimitsPlugin
from switchgear_plugins.limits.policy import MOST_CACHED, LimitsPolicy, duration


def principal(rpm: int | None = None, concurrent: int | None = None, id: str = "key_1") -> Principal:
    limits = {"requests_per_minute": rpm, "concurrent_requests": concurrent}
    return Principal(id, "key", facts={"limits": {name: most for name, most in limits.items() if most is not None}})


class TestLimitsPolicy(PolicySuite):
    principal: ClassVar[Principal] = principal(100, 10)

    def make(self, counters: Any) -> LimitsPolicy:
        return LimitsPolicy(counters)


class Host:
    """The policy over counters, in the phases as the gateway runs them."""

    def __init__(self, counters):
        self.counters = counters
        self.policy = LimitsPolicy(counters)
        self.reservations = Reservations([("limits", self.policy)], counters, lambda _, error: pytest.fail(repr(error)))

    def reserve(self, x):
        return self.reservations.reserve(x)

    def settle(self, x):
        return self.reservations.settle(x)


@pytest.fixture
def policy(ambient):
    return Host(MemoryCounters(ambient))


def headers(x):
    lines = x.lines.decode().splitlines()
    return {name.removeprefix("x-ratelimit-"): value for name, _, value in (line.partition(": ") for line in lines)}


def test_requests_per_minute_are_counted_and_shown(policy, ambient):
    shown = []
    for n in range(2):
        x = make_exchange(principal(2), id=f"x{n}")
        assert policy.reserve(x) is None
        policy.settle(x)
        shown.append(headers(x))
        ambient.advance(12)
    assert [
        {"limit-requests": "2", "remaining-requests": "1", "reset-requests": "1m0s"},
        {"limit-requests": "2", "remaining-requests": "0", "reset-requests": "1m0s"},
    ] == shown
    x = make_exchange(principal(2), id="x3")
    with pytest.raises(RateLimited) as caught:
        policy.reserve(x)
    assert ("rate_limit_exceeded", 36.0) == (caught.value.code, caught.value.retry_after)
    assert "Rate limit reached for requests per minute: limit 2. Try again in 36s." == caught.value.message
    assert {"limit-requests": "2", "remaining-requests": "0", "reset-requests": "48s"} == headers(x)
    ambient.advance(caught.value.retry_after)
    assert policy.reserve(x) is None


def test_a_slot_is_free_again_once_an_exchange_settles(policy):
    first, second = make_exchange(principal(None, 1), id="a"), make_exchange(principal(None, 1), id="b")
    policy.reserve(first)
    with pytest.raises(RateLimited, match="concurrent requests: limit 1") as caught:
        policy.reserve(second)
    assert 1.0 == caught.value.retry_after
    assert b"" == second.lines
    first.outcome = Outcome.CLIENT_GONE
    policy.settle(first)
    policy.settle(first)
    policy.reserve(second)


def test_a_request_refused_for_its_slot_does_not_use_up_the_minute(policy):
    policy.reserve(make_exchange(principal(5, 1), id="a"))
    for n in range(20):
        x = make_exchange(principal(5, 1), id=f"b{n}")
        with pytest.raises(RateLimited, match="concurrent"):
            policy.reserve(x)
        assert "4" == headers(x)["remaining-requests"]


def test_principals_do_not_share_limits(policy):
    for id in ("key_1", "key_2"):
        assert policy.reserve(make_exchange(principal(1, id=id), id=id)) is None


def test_a_changed_limit_is_in_force_with_the_next_request(policy):
    policy.reserve(make_exchange(principal(2), id="a"))
    with pytest.raises(RateLimited):
        policy.reserve(make_exchange(principal(1), id="b"))
    policy.reserve(make_exchange(principal(2), id="c"))


def test_a_limit_of_nothing_admits_nothing(policy):
    with pytest.raises(RateLimited):
        policy.reserve(make_exchange(principal(0), id="a"))


async def test_counters_that_answer_later_are_awaited():
    counters = WatchedCounters(later=True)
    policy, x = Host(counters), make_exchange(principal(5, 1))
    await policy.reserve(x)
    assert ["exchange-1"] == list(counters.held)
    assert "4" == headers(x)["remaining-requests"]
    await policy.settle(x)
    assert {} == counters.held


async def test_a_later_refusal_refuses():
    policy, x = Host(WatchedCounters(later=True, grant=False)), make_exchange(principal(5))
    with pytest.raises(RateLimited):
        await policy.reserve(x)


def test_without_limits_the_counters_are_not_asked():
    counters = WatchedCounters()
    policy = Host(counters)
    for x in (make_exchange(None), make_exchange(Principal("k", "key")), make_exchange(principal())):
        assert policy.reserve(x) is None
        assert policy.settle(x) is None
    assert 0 == counters.reserved


def test_the_lease_outlives_the_longest_exchange():
    class Noting(WatchedCounters):
        leases: ClassVar[list[float]] = []

        def reserve(self, id, buckets, lease_s):
            self.leases.append(lease_s)
            return super().reserve(id, buckets, lease_s)

    counters = Noting()
    Host(counters).reserve(make_exchange(principal(5)))
    assert [Timeouts().total + LEASE_MARGIN_S] == counters.leases


def test_what_is_kept_of_principals_is_bounded(policy):
    for n in range(MOST_CACHED + 10):
        policy.reserve(make_exchange(principal(5, id=f"key_{n}"), id=str(n)))
    assert len(policy.policy._compiled) <= MOST_CACHED


async def test_a_storm_at_once_never_has_more_in_flight_than_the_limit(policy):
    running = peak = refused = 0

    async def request(n):
        nonlocal running, peak, refused
        x = make_exchange(principal(None, 7), id=str(n))
        try:
            policy.reserve(x)
        except RateLimited:
            refused += 1
            return
        running += 1
        peak = max(peak, running)
        try:
            for _ in range(n % 5):
                await asyncio.sleep(0)
        finally:
            running -= 1
            policy.settle(x)

    tasks = [asyncio.create_task(request(n)) for n in range(300)]
    for task in tasks[::7]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert 7 == peak
    assert refused > 0
    assert (0, 0, 0, 0) == policy.counters.size()[1:]


def tokens(limit: int, expected: int, longest: int | None, id: str) -> Exchange:
    x = make_exchange(Principal("key_1", "key", facts={"limits": {"tokens_per_minute": limit}}), id=id)
    x._estimate = Estimate(expected, longest)
    return x


def test_tokens_are_reserved_at_their_worst_and_settled_as_they_were(policy):
    x = tokens(1000, 100, 400, "a")
    policy.reserve(x)
    assert {"limit-tokens": "1000", "remaining-tokens": "500", "reset-tokens": "1m0s"} == headers(x)
    with pytest.raises(RateLimited, match="tokens per minute: limit 1000"):
        policy.reserve(tokens(1000, 100, 401, "b"))
    x.usage = Usage.plain(90, 30)
    policy.settle(x)
    second = tokens(1000, 100, None, "c")
    policy.reserve(second)
    assert "780" == headers(second)["remaining-tokens"], "an answer without a bound is settled when it is known"
    policy.settle(second)
    third = tokens(1000, 0, 0, "d")
    policy.reserve(third)
    assert "880" == headers(third)["remaining-tokens"], "where nobody answered nothing was used"


def test_a_longest_answer_beyond_the_limit_takes_all_of_it_and_a_longer_prompt_is_refused(policy, ambient):
    x = tokens(1000, 100, 128_000, "a")
    policy.reserve(x)
    assert "0" == headers(x)["remaining-tokens"]
    ambient.advance(61)
    with pytest.raises(RateLimited):
        policy.reserve(tokens(1000, 1001, 0, "b"))


def test_kinds_of_principals_do_not_share_limits(policy):
    for kind in ("key", "user"):
        x = make_exchange(Principal("same", kind, facts={"limits": {"requests_per_minute": 1}}), id=kind)
        assert policy.reserve(x) is None


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        *[(0, "0s"), (-1, "0s"), (0.0001, "1ms"), (0.02, "20ms"), (0.9991, "1s"), (1, "1s"), (8.2, "9s")],
        *[(59.5, "1m0s"), (360, "6m0s"), (3600, "1h0m0s"), (3725, "1h2m5s")],
    ],
)
def test_durations_are_written_as_the_field_does(seconds, written):
    assert written == duration(seconds)


@given(st.floats(0, 1e6))
def test_waiting_a_written_duration_is_always_enough(seconds):
    total, number = 0.0, ""
    for character in duration(seconds).replace("ms", "q"):
        if character.isdigit():
            number += character
        else:
            total += int(number) * {"h": 3600, "m": 60, "s": 1, "q": 0.001}[character]
            number = ""
    assert seconds <= total + 1e-9 < seconds + 1.001


def test_what_is_left_is_explained_and_nothing_is_taken(policy, ambient):
    policy.reserve(make_exchange(principal(5, 2), id="a"))
    for _ in range(3):
        assert {
            "requests_per_minute": {"limit": 5, "remaining": 4, "reset_s": 60.0},
            "concurrent_requests": {"limit": 2, "remaining": 1},
        } == policy.policy.explain(make_exchange(principal(5, 2), id="b"))
    assert policy.policy.explain(make_exchange(principal())) is None
    assert policy.policy.explain(make_exchange(None)) is None


def test_the_plugin_makes_its_policy_over_the_active_counters(tmp_path, ambient):
    counters = MemoryCounters(ambient)
    plugin = LimitsPlugin(NoSettings(), PluginContext("limits", tmp_path, counters=counters))
    policy = plugin.switchgear_policies()[0].factory()
    counters.reserve("a", policy.reserve(make_exchange(principal(5, 5))), 10)
    assert 4 == policy.explain(make_exchange(principal(5, 5)))["concurrent_requests"]["remaining"]
    assert policy.sorts <= counters.sorts
