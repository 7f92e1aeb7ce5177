"""What a chain says of its steps, what an alias says of members, and the bounds of both."""

import pytest

from plugins.routing.planning import Model, asked, chain_of, order, pool_of, resource
from switchgear.contracts.model import ModelConfig
from switchgear_plugins.routing.aliases import Alias, AliasSpec
from switchgear_plugins.routing.chains import CAUSES, PRESETS, Budget, PresetName


def test_steps_are_tried_as_the_chain_says() -> None:
    said = {"max_retries": 3, "max_latency_ms": 1500, "on": ("429", "timeout")}
    plan = chain_of([(Model("a"), said), (Model("b"), {})], budget=Budget(4, 9.5)).plan(asked())
    first, second = plan.steps
    assert (3, 1.5, CAUSES["429"] | CAUSES["timeout"]) == (first.retries, first.first_token_s, first.on)
    assert (None, None, None) == (second.retries, second.first_token_s, second.on)
    assert (4, 9.5, "error") == (plan.attempts, plan.seconds, plan.recovery)
    assert ("chain is a chain: a, then b", "model a", "model b") == plan.why


def test_within_a_pool_what_usually_leads_on_still_does() -> None:
    inner = pool_of({Model("a"): 1, Model("b"): 1, Model("c", on=frozenset({"quota"})): 1})
    plan = chain_of([(inner, {"on": ("content_filter",)}), (Model("d"), {})]).plan(asked())
    for step in plan.steps[:2]:
        assert step.on is not None
        assert "content_filter" in step.on
    ons = {step.target.model.id: step.on for step in plan.steps}
    assert frozenset({"content_filter"}) == plan.steps[2].on
    for name in order(plan)[:2]:
        usual = frozenset({"quota"}) if name == "c" else frozenset({"server", "rate_limit", "connect", "not_found"})
        assert usual <= (ons[name] or frozenset())
        assert "context_length" not in (ons[name] or frozenset())


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_what_is_left_out(name: PresetName) -> None:
    preset = PRESETS[name]
    steps = [(Model("a"), {}), (Model("b"), {"max_retries": 0, "max_latency_ms": 60_000}), (Model("c"), {})]
    plan = chain_of(steps, preset=name).plan(asked())
    soon = preset.max_latency_ms / 1000
    assert [(preset.max_retries, soon), (0, 60.0), (preset.max_retries, None)] == [
        (step.retries, step.first_token_s) for step in plan.steps
    ]
    assert preset.recovery == plan.recovery
    assert "error" == chain_of(steps, preset=name, recovery="error").plan(asked()).recovery


def test_a_disabled_step_is_passed_over() -> None:
    assert ["b"] == order(chain_of([(Model("a", enabled=False), {}), (Model("b"), {})]).plan(asked()))
    off = chain_of([(Model("a", enabled=False), {})])
    assert not off.enabled
    assert () == off.plan(asked()).steps


def test_an_alias_has_its_own_members_before_those_of_the_model() -> None:
    inner = Alias(resource(AliasSpec("m", ModelConfig(temperature=0.1, top_p=0.2)), "inner"), Model("m"))
    outer = Alias(resource(AliasSpec("inner", ModelConfig(temperature=0.9)), "outer"), inner)
    [step] = outer.plan(asked()).steps
    defaults = {name: bytes(value) for name, value in step.target.model.defaults.items()}
    assert {"temperature": b"0.9", "top_p": b"0.2", "seed": b"1"} == defaults
    assert outer.plan(asked()).targets == outer.plan(asked()).targets
    assert "p" == outer.owned_by


def test_what_an_alias_keeps_is_bounded_and_right() -> None:
    pools = chain_of([(Model(f"m{n}"), {"max_retries": 2}) for n in range(3)])
    alias = Alias(resource(AliasSpec("chain", ModelConfig(seed=4)), "a"), pools)
    made = alias.plan(asked()).targets
    for _ in range(100):
        steps = alias.plan(asked()).steps
        assert [("m0", b"4"), ("m1", b"4"), ("m2", b"4")] == [
            (step.target.model.id, bytes(step.target.model.defaults["seed"])) for step in steps
        ]
        assert made == tuple(step.target for step in steps), "made once, though a chain makes new steps each time"
    assert len(alias._made) <= 64


def test_more_than_32_targets_are_refused_however_nested() -> None:
    half = pool_of({Model(f"m{n}"): 1 for n in range(16)})
    assert 32 == len(chain_of([(half, {}), (half, {})]).plan(asked()).steps)
    with pytest.raises(ValueError, match="33 targets"):
        chain_of([(half, {}), (half, {}), (Model("m"), {})])


def test_more_than_32_names_on_the_way_are_refused() -> None:
    live: Alias | Model = Model("m")
    for n in range(32):
        live = Alias(resource(AliasSpec("x"), f"a{n}"), live)
    assert ["m"] == order(live.plan(asked()))
    with pytest.raises(ValueError, match="33 names"):
        Alias(resource(AliasSpec("x"), "last"), live)
