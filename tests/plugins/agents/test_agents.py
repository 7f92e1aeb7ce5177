from collections.abc import Mapping
from typing import Any, ClassVar

from msgspec import Raw

from switchgear.contracts.exchange import Plan, Step, Target
from switchgear.contracts.principal import Principal
from switchgear.contracts.provider import CANONICAL, TargetModel
from switchgear.contracts.upstream import Timeouts
from switchgear.testing.kind_suite import ResourceKindSuite
from switchgear.testing.policy_suite import make_exchange
from switchgear_plugins.agents.agents import agents


class Model:
    """A callable name with one target."""

    enabled = True
    created_us = 0
    owned_by = "p"

    def __init__(self) -> None:
        model = TargetModel("m", "m", Raw(b'"m"'), {"seed": Raw(b"1"), "temperature": Raw(b"0")})
        target = Target(model, "p", frozenset({CANONICAL}), frozenset(), Timeouts(), meters=None)  # type: ignore[arg-type]
        self._plan = Plan((Step(target),), ("the model",))

    def plan(self, x: object) -> Plan:
        return self._plan


MODEL = Model()


class TestAgents(ResourceKindSuite):
    kind = agents()
    live: ClassVar[Mapping[tuple[str, str], Any]] = {("callable", "m"): MODEL}
    examples = (
        {"model": "m", "system": "Be brief."},
        {"model": "m", "system": "x", "config": {"temperature": 0.5, "stop": ["a"]}, "description": "d", "enabled": False,
         "tags": ["t"], "metadata": {"a": "b"}},
    )  # fmt: skip


def test_an_agent_lays_its_prompt_and_members_over_those_of_its_model() -> None:
    kind, suite = agents(), TestAgents()
    inner = kind.compile(suite.resource({"model": "m", "system": "Inner.", "config": {"temperature": 0.5}}), Named())
    outer = kind.compile(suite.resource({"model": "m", "system": "Outer."}), Named(inner))
    x = make_exchange(Principal("p", "key"))
    plan = outer.plan(x)
    target = plan.steps[0].target
    assert "Outer.\n\nInner." == target.preamble
    assert {"seed": Raw(b"1"), "temperature": Raw(b"0.5")} == target.model.defaults
    assert target is outer.plan(x).steps[0].target, "what is made of a target is kept"
    assert ("id-1 is an agent of m", "id-1 is an agent of m", "the model") == plan.why


class Named:
    def __init__(self, live: object = MODEL) -> None:
        self._live = live

    def live(self, kind: str, id: str) -> None: ...

    def callable(self, name: str) -> object:
        return self._live
