"""Limits of teams, users, models, labels and of all together, as resources say them."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.contracts.exchange import Exchange
from switchgear.contracts.principal import Principal, operator
from switchgear.contracts.resource import Resource
from switchgear.counters import MemoryCounters
from switchgear.errors import CountersUnavailable, RateLimited, Unavailable
from switchgear.exchange.outage import HereAlone
from switchgear.exchange.reservation import Reservations
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.policy_suite import EmptySnapshot, make_exchange
from switchgear_plugins.limits.policy import LimitsPolicy
from switchgear_plugins.limits.resources import KIND, LimitSpec, Rule, limits


class Rules(EmptySnapshot):
    def __init__(self, **specs: dict[str, Any]) -> None:
        made = {id: msgspec.convert(spec, LimitSpec) for id, spec in specs.items()}
        self.rules = {id: Rule(Resource(id, spec, 1, 1, "", 0, 0)) for id, spec in made.items()}

    def all(self, kind: str) -> dict[str, Any]:
        return self.rules if kind == KIND else {}


class Away:
    sorts = MemoryCounters.sorts

    def reserve(self, *_: Any) -> Any:
        raise CountersUnavailable("away")

    settle = peek = reserve


class Host:
    def __init__(self, snapshot: Rules, counters: Any = None, processes: int | None = None) -> None:
        ambient = FixedAmbient()
        self.ambient = ambient
        self.snapshot = snapshot
        self.here = None if processes is None else HereAlone(MemoryCounters(ambient), processes)
        counters = counters or MemoryCounters(ambient)
        self.policy = LimitsPolicy(counters)
        self.policy.has_rules = True
        self.reservations = Reservations(
            [("limits", self.policy)], counters, lambda _, error: pytest.fail(repr(error)), here=self.here
        )
        self.count = 0

    def ask(self, model: str = "m", labels: dict[str, str] | None = None, limits: Any = None, **of: str) -> Exchange:
        """Ask as somebody; raises what the client is told."""
        self.count += 1
        id = of.pop("key", "key_1")
        facts = {"limits": limits} if limits else None
        x = make_exchange(Principal(id, "key", labels={"key": id, **of}, facts=facts), id=f"x{self.count}")
        assert x.call is not None
        x.call.model = model
        x.labels = labels or {}
        x.snapshot = self.snapshot
        self.reservations.reserve(x)
        return x

    def done(self, x: Exchange) -> None:
        self.reservations.settle(x)

    def granted(self, times: int = 10, **of: Any) -> int:
        """Say how often of so many times somebody may ask."""
        found = 0
        for _ in range(times):
            try:
                self.ask(**of)
            except RateLimited:
                continue
            found += 1
        return found


def headers(x: Exchange) -> dict[str, str]:
    lines = x.lines.decode().splitlines()
    return {name.removeprefix("x-ratelimit-"): value for name, _, value in (line.partition(": ") for line in lines)}


def test_all_share_a_limit_of_all():
    host = Host(Rules(all={"scope": {"all": True}, "requests_per_minute": 3}))
    assert (2, 1, 0) == tuple(host.granted(2, key=f"key_{n}") for n in range(3))


def test_a_team_shares_its_limit_and_others_do_not_feel_it():
    host = Host(Rules(a={"scope": {"teams": ["a"]}, "requests_per_minute": 2}))
    assert 1 == host.granted(1, team="a", key="key_1")
    assert 1 == host.granted(5, team="a", key="key_2")
    assert 5 == host.granted(5, team="b") == host.granted(5)


def test_each_value_of_a_label_has_a_limit_of_its_own_from_its_first_request():
    host = Host(Rules(users={"scope": {"all": True, "each": "user"}, "requests_per_hour": 2}))
    assert [2, 2] == [host.granted(user=f"never seen before {n}") for n in range(2)]
    assert 10 == host.granted(), "what has no such label is not meant"


def test_a_model_has_a_limit_and_so_has_what_leads_to_it():
    host = Host(Rules(big={"scope": {"models": ["big/*"]}, "requests_per_day": 2}))
    assert (2, 10) == (host.granted(model="big/one"), host.granted(model="small"))
    each = Host(Rules(m={"scope": {"teams": ["*"], "each": ["team", "model"]}, "requests_per_minute": 1}))
    asked = [each.granted(model=model, team=team) for model in ("m", "n") for team in ("a", "b")]
    assert [1, 1, 1, 1] == asked


def test_labels_of_a_request_count_and_never_stand_in_for_those_of_whoever_asks():
    host = Host(Rules(free={"scope": {"labels": {"plan": ["free", "trial"]}}, "requests_per_minute": 1}))
    assert [1, 1] == [host.granted(1, labels={"plan": "free"}), host.granted(5, labels={"plan": "paid"}) // 5]
    assert 0 == host.granted(5, labels={"plan": "trial"})
    assert 0 == host.granted(5, labels={"plan": "paid"}, plan="free"), (
        "the principal's own label is the one that counts"
    )


def test_a_request_is_held_to_its_key_and_to_every_limit_that_is_for_it_all_or_nothing():
    host = Host(
        Rules(
            team={"scope": {"teams": ["a"]}, "requests_per_minute": 5, "concurrent_requests": 4},
            all={"scope": {"all": True}, "requests_per_minute": 100},
        )
    )
    shown = [headers(host.ask(team="a", limits={"requests_per_minute": 50})) for _ in range(3)]
    assert ["4", "3", "2"] == [it["remaining-requests"] for it in shown], "the limit of which least is left tells"
    host.ask(team="a")
    with pytest.raises(RateLimited, match="concurrent requests of the limit `team`: limit 4"):
        host.ask(team="a")
    found = host.policy.explain(host.ask(key="key_2", team="b"))
    assert found is not None
    assert {"all/requests_per_minute": {"limit": 100, "remaining": 95, "reset_s": 60.0}} == found


def test_a_second_holds_a_burst_and_then_a_rate():
    host = Host(Rules(all={"scope": {"all": True}, "requests_per_second": 2, "burst": 5}))
    assert 5 == host.granted(20)
    host.ambient.advance(1)
    assert 2 == host.granted(20)
    x = make_exchange(None)
    x.snapshot = host.snapshot
    with pytest.raises(RateLimited) as caught:
        host.reservations.reserve(x)
    assert 0.5 == pytest.approx(caught.value.retry_after)
    assert {"limit-requests": "2", "remaining-requests": "0", "reset-requests": "3s"} == headers(x)


def test_what_is_under_way_is_settled_by_the_limits_that_it_began_with():
    host = Host(Rules(all={"scope": {"all": True}, "concurrent_requests": 1}))
    x = host.ask()
    before = host.snapshot
    host.snapshot = Rules(all={"scope": {"all": True}, "concurrent_requests": 1, "tokens_per_minute": 1000})
    assert 0 == host.granted(3)
    host.done(x)
    y = host.ask()
    host.snapshot = before
    host.done(y)
    assert 1 == host.granted(3)


def test_counters_that_are_away_refuse_unless_every_limit_may_be_counted_here():
    closed = {"scope": {"all": True}, "requests_per_minute": 100}
    local = {**closed, "outage": "local"}
    for host in (
        Host(Rules(a=local), Away()),
        Host(Rules(a=closed), Away(), 4),
        Host(Rules(a=local, b=closed), Away(), 4),
        Host(Rules(a={**local, "requests_per_minute": 3}), Away(), 4),
    ):
        with pytest.raises(Unavailable):
            host.ask()


def test_of_counters_that_are_away_each_process_counts_its_share():
    rule = {"scope": {"all": True}, "requests_per_minute": 10, "concurrent_requests": 6, "outage": "local"}
    host = Host(Rules(a=rule), Away(), 3)
    x, y = host.ask(), host.ask()
    with pytest.raises(RateLimited, match="concurrent"):
        host.ask()
    host.done(x)
    z = host.ask()
    host.done(y)
    with pytest.raises(RateLimited, match="per minute"):
        host.ask()
    host.done(z)
    assert host.here is not None
    assert (0, 0) == (host.here.counters.size()[1], host.here.counters.size()[4]), "nothing is held any more"


def test_a_key_may_be_counted_here_too():
    host = Host(Rules(), Away(), 2)
    limits = {"requests_per_minute": 4, "tokens_per_minute": 1000, "outage": "local"}
    shown = [headers(host.ask(limits=limits)) for _ in range(2)]
    assert ["1", "0"] == [it["remaining-requests"] for it in shown]
    with pytest.raises(RateLimited):
        host.ask(limits=limits)


@pytest.mark.parametrize(
    ("spec", "pointer"),
    [
        ({"scope": {}, "requests_per_minute": 1}, "/scope"),
        ({"scope": {"all": True, "keys": ["k"]}, "requests_per_minute": 1}, "/scope"),
        ({"scope": {"keys": ["k"], "labels": {"key": "k"}}, "requests_per_minute": 1}, "/scope/labels/key"),
        ({"scope": {"all": True}}, ""),
        ({"scope": {"all": True}, "requests_per_minute": 1, "burst": 5}, "/burst"),
    ],
)
def test_what_cannot_be_meant_is_refused(spec, pointer):
    view: Any = None
    found = limits().validate(msgspec.convert(spec, LimitSpec), view, operator("cli"))
    assert [pointer] == [it.pointer for it in found]


@given(st.lists(st.text(), min_size=2, max_size=2), st.lists(st.text(), min_size=2, max_size=2))
def test_no_two_scopes_share_a_bucket_whatever_labels_hold(one, other):
    rule = Rules(r={"scope": {"all": True, "each": ["a", "b"]}, "requests_per_minute": 1}).rules["r"]
    whose = [
        rule.whose(Principal("p", "key", labels=dict(zip("ab", values, strict=True))), None, ())
        for values in (one, other)
    ]
    assert (one == other) == (whose[0] == whose[1])


def test_no_value_meets_the_limit_of_another_rule_or_of_a_key() -> None:
    everybody = {"scope": {"all": True}, "requests_per_minute": 9}
    rules = Rules(
        a={**everybody, "scope": {"all": True, "each": "user"}}, **{"a:1:x": everybody, "a:1:x:1:y": everybody}
    )
    whose = [rule.whose(Principal("p", "key", labels={"user": "x"}), None, ()) for rule in rules.rules.values()]
    whose += [rules.rules["a"].whose(Principal("p", "key", labels={"user": "x/1"}), None, ()), "limit:a:1:x", "limit:a"]
    assert len(whose) == len(set(whose))
