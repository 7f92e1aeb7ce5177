"""Pools: requests spread over several targets, the others following the one that was chosen."""

from collections.abc import Sequence
from itertools import chain
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from switchgear.ambient import Ambient
from switchgear.contracts.exchange import Callable, Exchange, Plan, Recovery
from switchgear.contracts.model import Weight
from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Problem, Reference, Resource, ResourceKind, View
from switchgear.weighted_hashing import hash_draw, hash_of_name, weighted_order
from switchgear_plugins.routing.routed import MOST_STEPS, Routed, joined, planned, target_of
from switchgear_plugins.routing.sticky import Sticky, sticky_key
from switchgear_plugins.routing.strategies import Strategies, StrategyName

Millis = Annotated[int, Meta(ge=1, le=86_400_000)]


class PoolTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """A callable name and its part; with weight 0 it is never asked first."""

    model: str
    weight: Weight = 1.0


class PoolSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Targets that can stand for each other.

    `strategy` says which is asked first; `sticky` keeps requests that belong together at one target, and the strategy is for
    those with nothing to go by. With `fallback` the others follow. `recovery` and `hedge_after_ms` are as in chains; left out,
    they are those of the first target.
    """

    targets: tuple[PoolTarget, ...]
    strategy: StrategyName = "weighted"
    sticky: Sticky = "none"
    fallback: bool = True
    recovery: Recovery | None = None
    hedge_after_ms: Millis | None = None
    enabled: bool = True
    tags: tuple[str, ...] = ()
    metadata: dict[str, str] = {}


class Pool(Routed):
    """A pool come alive. Targets that are disabled are left out, those not available now are asked last."""

    def __init__(self, resource: Resource[PoolSpec], targets: Sequence[Callable], ambient: Ambient) -> None:
        super().__init__(resource, targets)
        spec = resource.spec
        usable = [(it, live) for it, live in zip(spec.targets, targets, strict=True) if live.enabled]
        self._names = [it.model for it, _ in usable]
        self._targets = [live for _, live in usable]
        self._weights = [it.weight for it, _ in usable]
        self._hashes = [hash_of_name(name) for name in self._names]
        self._spec = spec
        self._strategy = Strategies(self._weights, ambient.random).make(spec.strategy)

    def plan(self, x: Exchange) -> Plan:
        """Choose who is first; the others follow."""
        if not self._targets:
            return Plan((), (f"{self.id} is a pool of which no target is enabled",))
        plans = planned(self._targets, x)
        up = [index for index, plan in enumerate(plans) if plan.is_available()]
        candidates = up or [index for index, plan in enumerate(plans) if plan.steps]
        if not candidates:
            return Plan((), (f"{self.id} is a pool of which no target has anywhere to go",))
        key = None if self._spec.sticky == "none" else sticky_key(self._spec.sticky, x)
        if key is None:
            order = self._strategy(candidates, plans)
            how: str = self._spec.strategy
        else:
            order = [i for i in weighted_order(self._weights, hash_draw(key, self._hashes)) if i in candidates]
            how = f"sticky by {self._spec.sticky}"
        down = [index for index in range(len(plans)) if index not in candidates]
        order += down
        if not self._spec.fallback:
            del order[1:]
        chosen = [plans[index] for index in order]
        why = f"{self.id} is a pool, {how}: {', '.join(self._names[index] for index in order)}"
        if down and self._spec.fallback:
            why += f" ({', '.join(self._names[index] for index in down)} last, not available now)"
        plan = joined(chosen, list(chain.from_iterable(plan.steps for plan in chosen)), why)
        return _with(plan, self._spec)


def _with(plan: Plan, spec: PoolSpec) -> Plan:
    if spec.recovery is None and spec.hedge_after_ms is None:
        return plan
    hedge_s = plan.hedge_s if spec.hedge_after_ms is None else spec.hedge_after_ms / 1000
    return msgspec.structs.replace(plan, recovery=spec.recovery or plan.recovery, hedge_s=hedge_s)


def _validate(spec: PoolSpec, view: View, by: Principal) -> Sequence[Problem]:  # noqa: ARG001 - the shape of ResourceKind.validate
    names = [target.model for target in spec.targets]
    problems = [
        Problem(f"/targets/{index}/model", f"`{name}` is in it already; give that one more weight")
        for index, name in enumerate(names)
        if name in names[:index]
    ]
    if not 1 <= len(names) <= MOST_STEPS:
        problems.append(Problem("/targets", f"name 1 to {MOST_STEPS} targets"))
    elif not any(target.weight for target in spec.targets):
        problems.append(Problem("/targets", "at least one needs a weight above 0"))
    return problems


def pools(ambient: Ambient) -> ResourceKind[PoolSpec, Pool]:
    """Declare the kind."""

    def compile(resource: Resource[PoolSpec], view: View) -> Pool:
        return Pool(resource, [target_of(view, target.model) for target in resource.spec.targets], ambient)

    return ResourceKind(
        name="pools",
        title="pool",
        spec=PoolSpec,
        references=(Reference("targets.*.model", "callable"),),
        validate=_validate,
        callable=True,
        compile=compile,
    )
