"""What is known of one target, and of all of them."""

import gc
from typing import Any
from weakref import ref

import msgspec
import pytest

from switchgear.contracts.exchange import TargetHealth
from switchgear.exchange.health.health import Health
from switchgear.exchange.health.registry import HealthRegistry
from switchgear.exchange.health.settings import RoutingSettings
from switchgear.telemetry.metrics import Metrics
from switchgear.testing.ambient import FixedAmbient


def health(ambient: FixedAmbient) -> Health:
    return Health("p", "m", RoutingSettings(), ambient)


def trip(one: Health) -> None:
    for _ in range(5):
        one.failed(one.begin(), "connect")
    assert "open" == one.breaker.state


def test_it_is_what_strategies_look_at() -> None:
    ambient = FixedAmbient()
    one = health(ambient)
    seen: TargetHealth = one
    assert (0, None, True) == (seen.active, seen.latency_s, seen.is_available())
    one.limiter.take()
    one.note_latency(1.0)
    one.note_latency(2.0)
    assert 1 == seen.active
    assert pytest.approx(1.2) == seen.latency_s
    trip(one)
    assert not seen.is_available()
    ambient.advance(6.0)
    assert seen.is_available()


def test_a_target_that_asked_for_a_pause_gets_it() -> None:
    ambient = FixedAmbient()
    one = health(ambient)
    one.failed(one.begin(), "rate_limit", retry_after=3.0)
    one.failed(one.begin(force=True), "overloaded", retry_after=1.0)  # ends before the first
    assert (3.0, False) == (one.wait_s(), one.is_available())
    ambient.wall_us -= 3_600_000_000
    ambient.advance(2.9)
    assert not one.is_available()
    ambient.advance(0.2)
    assert (0.0, True) == (one.wait_s(), one.is_available())


def test_a_pause_is_capped_and_only_for_those_who_are_limited() -> None:
    one = health(FixedAmbient())
    one.failed(one.begin(), "server", retry_after=30.0)
    assert 0.0 == one.wait_s()
    one.failed(one.begin(), "rate_limit", retry_after=3600.0)
    assert 60.0 == one.wait_s()


def test_only_first_tries_earn_retries() -> None:
    one = health(FixedAmbient())
    for _ in range(50):
        one.begin()
    for _ in range(1000):
        one.begin(retry=True)
    assert 10 == [one.budget.spend() for _ in range(100)].count(True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"breaker": {"open": 0}},
        {"breaker": {"rate": 1.1}},
        {"breaker": {"least": 0}},
        {"breaker": {"open": 40, "open_most": 30}},
        {"retry": {"budget_share": -0.1}},
        {"retry": {"unknown": 1}},
        {"breakers": {}},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, RoutingSettings)


class Toy:
    def __init__(self) -> None:
        self.ambient = FixedAmbient()
        self.metrics = Metrics("s")
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.registry = HealthRegistry(
            RoutingSettings(), self.ambient, self.metrics, lambda name, data: self.told.append((name, data))
        )

    def exposed(self, name: str) -> list[str]:
        lines = self.metrics.expose().decode().splitlines()
        return sorted(line.removeprefix(f"s_target_breaker_{name}") for line in lines if f"breaker_{name}{{" in line)


def test_one_place_has_one_health_as_long_as_somebody_holds_it() -> None:
    toy = Toy()
    one = toy.registry.of("p", "m", "a")
    trip(one)
    assert one is toy.registry.of("p", "m", "b")
    other = toy.registry.of("q", "m", "a")
    assert [("p", "open"), ("q", "closed")] == [(v.provider_id, v.breaker.state) for v in toy.registry.views()]
    del one
    gc.collect()
    assert [other.view()] == toy.registry.views()
    assert ['{model="a",provider="q"} 0.0'] == toy.exposed("state")
    one = toy.registry.of("p", "m", "a")
    assert "closed" == one.breaker.state
    assert 2 == len(toy.registry.views())


def test_the_end_of_one_that_was_replaced_does_not_end_the_other() -> None:
    toy = Toy()
    one = toy.registry.of("p", "m", "a")
    trip(one)
    voice = toy.registry._known["p", "m"][1]
    # As after the collector took it in another thread, which has yet to say so.
    gone: Any = ref(set())
    toy.registry._known["p", "m"] = (gone, voice)
    two = toy.registry.of("p", "m", "a")
    del one
    gc.collect()
    assert [two.view()] == toy.registry.views()
    assert two is toy.registry.of("p", "m", "a")
    assert ['{model="a",provider="p"} 0.0'] == toy.exposed("state")


def test_opening_and_closing_are_told_and_counted() -> None:
    toy = Toy()
    one = toy.registry.of("p", "m", "label")
    trip(one)
    toy.ambient.advance(6.1)
    probe = one.begin()
    assert ['{model="label",provider="p"} 1.0'] == toy.exposed("state")
    one.failed(probe, "server")
    assert ['{model="label",provider="p"} 2.0'] == toy.exposed("state")
    toy.ambient.advance(12.1)
    one.succeeded(one.begin())
    assert ['{model="label",provider="p"} 0.0'] == toy.exposed("state")
    assert [
        '{model="label",provider="p",state="closed"} 1.0',
        '{model="label",provider="p",state="half_open"} 2.0',
        '{model="label",provider="p",state="open"} 2.0',
    ] == toy.exposed("transitions_total")
    (opened, why), closed = toy.told
    assert ("targets.opened", "p", "m", {"connect": 5}) == (opened, why["provider"], why["model"], why["causes"])
    assert 4.0 <= why["retry_in_s"] <= 6.0
    assert ("targets.closed", {"provider": "p", "model": "m"}) == closed


def test_labels_that_several_share_show_the_worst_of_them() -> None:
    toy = Toy()
    one, two = toy.registry.of("p", "m1", "p/*"), toy.registry.of("p", "m2", "p/*")
    trip(two)
    assert ['{model="p/*",provider="p"} 2.0'] == toy.exposed("state")
    toy.registry.of("p", "m2", "named")
    assert ['{model="named",provider="p"} 2.0', '{model="p/*",provider="p"} 2.0'] == toy.exposed("state")
    del two
    gc.collect()
    assert ['{model="p/*",provider="p"} 0.0'] == toy.exposed("state")
    assert one.is_available()


def test_views_are_json() -> None:
    toy = Toy()
    one = toy.registry.of("p", "m", "a")
    trip(one)
    view = msgspec.json.decode(msgspec.json.encode(toy.registry.views()[0]))
    assert {"state": "open", "requests": 5, "failures": 5, "causes": {"connect": 5}}.items() <= view["breaker"].items()
    assert {"provider_id": "p", "provider_model": "m", "active": 0, "waiting": 0, "limit": None}.items() <= view.items()


def refuse(one: Health, whose: str, retry_after: float = 3600.0) -> None:
    one.failed(one.begin(force=True), "rate_limit", retry_after=retry_after, whose=whose)


def test_what_one_is_refused_for_holds_nobody_else_back(ambient: FixedAmbient) -> None:
    one = health(ambient)
    for _ in range(50):
        refuse(one, "storm")
    assert (60.0, 0.0) == (one.wait_s("storm"), one.wait_s("other"))
    assert one.is_available()
    assert "closed" == one.breaker.state
    assert 60.0 == one.view().cooling_s, "operators are told of it all the same"


def test_two_who_are_refused_one_after_the_other_tell_that_all_are_meant(ambient: FixedAmbient) -> None:
    one = health(ambient)
    refuse(one, "a")
    refuse(one, "b")
    assert 60.0 == one.wait_s("anybody")
    assert not one.is_available()
    ambient.advance(130)
    assert 0.0 == one.wait_s("anybody")
    refuse(one, "a")
    assert 0.0 == one.wait_s("anybody"), "it is forgotten with the pause"


def test_who_was_refused_is_meant_alone_while_others_are_answered(ambient: FixedAmbient) -> None:
    one = health(ambient)
    for whose in ("a", "b", "c"):
        refuse(one, whose)
        one.succeeded(one.begin(), "good")
    assert [60.0, 60.0, 60.0, 0.0] == [one.wait_s(whose) for whose in ("a", "b", "c", "good")]
