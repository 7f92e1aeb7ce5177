"""Targets as strategies see them, names that lead to them, and exchanges that ask for them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from msgspec import Raw, Struct

from switchgear.contracts.capability import USUAL
from switchgear.contracts.exchange import Exchange, Plan, Step, Target
from switchgear.contracts.principal import Principal
from switchgear.contracts.provider import CANONICAL, Call, TargetModel
from switchgear.contracts.resource import Resource
from switchgear.contracts.upstream import Timeouts
from switchgear.contracts.usage import Pricing
from switchgear.resources.snapshot import Snapshot
from switchgear.testing.ambient import FixedAmbient
from switchgear_plugins.routing.chains import Chain, ChainSpec, ChainStep
from switchgear_plugins.routing.pools import Pool, PoolSpec, PoolTarget


class Health:
    """How a target fares, as the test says."""

    def __init__(self, *, active: int = 0, latency_s: float | None = None, available: bool = True) -> None:
        self.active = active
        self.latency_s = latency_s
        self.available = available

    def is_available(self) -> bool:
        return self.available


class Model:
    """A callable name with one target."""

    def __init__(
        self,
        name: str,
        health: Health | None = None,
        *,
        enabled: bool = True,
        pricing: Pricing | None = None,
        on: frozenset[str] | None = None,
    ) -> None:
        self.name = name
        self.enabled = enabled
        self.created_us = 0
        self.owned_by = "p"
        target = Target(
            model=TargetModel(
                name, name, Raw(b'"%s"' % name.encode()), {"temperature": Raw(b"0.5"), "seed": Raw(b"1")}
            ),
            provider_id="p",
            wires=frozenset({CANONICAL}),
            capabilities=USUAL,
            timeouts=Timeouts(),
            meters=cast("Any", None),  # nothing is measured while planning
            health=health,
            pricing=pricing,
        )
        self._plan = Plan((Step(target, on=on),), (f"model {name}",))

    def plan(self, x: Exchange) -> Plan:
        return self._plan


def asked(*, id: str = "key", **members: Any) -> Exchange:
    """Make an exchange with these members."""
    x = Exchange("x", "d", Snapshot(), began=0.0, started_us=0)
    x.principal = Principal(id, "key")
    x.call = Call("chat", CANONICAL, {name: Raw(json.dumps(it).encode()) for name, it in members.items()}, model="m")
    return x


def resource(spec: Struct, id: str = "r") -> Resource[Any]:
    return Resource(id, spec, 1, 1, "api", 7, 7)


def order(plan: Plan) -> list[str]:
    return [target.model.id for target in plan.targets]


def firsts(pool: Pool, exchanges: Sequence[Exchange]) -> dict[str, int]:
    """Count who came first."""
    found: dict[str, int] = {}
    for x in exchanges:
        name = order(pool.plan(x))[0]
        found[name] = found.get(name, 0) + 1
    return found


def pool_of(models: Mapping[Model, float], *, seed: int = 0, **spec: Any) -> Pool:
    """Make a pool of models with weights."""
    targets = tuple(PoolTarget(model.name, weight) for model, weight in models.items())
    return Pool(resource(PoolSpec(targets, **spec), "pool"), list(models), FixedAmbient(seed=seed))


def chain_of(steps: Sequence[tuple[Any, dict[str, Any]]], **spec: Any) -> Chain:
    """Make a chain of callables and what its steps say of them."""
    said = tuple(ChainStep(getattr(live, "name", "nested"), **more) for live, more in steps)
    return Chain(resource(ChainSpec(said, **spec), "chain"), [live for live, _ in steps])
