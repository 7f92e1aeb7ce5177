"""Aliases: another name for something, with members of its own where the client set none."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.exchange import Callable, Exchange, Plan, Step, Target
from switchgear.contracts.model import ModelConfig
from switchgear.contracts.resource import Reference, Resource, ResourceKind, View
from switchgear.wire.members import raw
from switchgear_plugins.routing.routed import Routed, target_of


class AliasSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Another name for `target`. `config` holds members used where the client set none, before those of the model."""

    target: str
    config: ModelConfig = ModelConfig()
    enabled: bool = True
    tags: tuple[str, ...] = ()
    metadata: dict[str, str] = {}


class Alias(Routed):
    """An alias come alive."""

    def __init__(self, resource: Resource[AliasSpec], target: Callable) -> None:
        super().__init__(resource, [target], owned_by=target.owned_by)
        config: dict[str, Any] = msgspec.to_builtins(resource.spec.config)
        self._target = target
        self._overrides = {name: Raw(raw(value)) for name, value in config.items()}
        self._made: dict[int, tuple[Target, Target]] = {}
        self._why = f"{self.id} is an alias of {resource.spec.target}"

    def plan(self, x: Exchange) -> Plan:
        """Plan as its target does."""
        plan = self._target.plan(x)
        steps = tuple(map(self._overridden, plan.steps)) if self._overrides else plan.steps
        return msgspec.structs.replace(plan, steps=steps, why=(self._why, *plan.why))

    def _overridden(self, step: Step) -> Step:
        return msgspec.structs.replace(step, target=self._with_members(step.target))

    def _with_members(self, target: Target) -> Target:
        # Plans are made for each request, what is in them is not: so what is made of a target is kept.
        known = self._made.get(id(target))
        if known is not None:
            return known[1]
        model = msgspec.structs.replace(target.model, defaults={**target.model.defaults, **self._overrides})
        made = msgspec.structs.replace(target, model=model)
        if len(self._made) >= _MOST_KEPT:
            self._made.clear()
        self._made[id(target)] = (target, made)
        return made


_MOST_KEPT = 64
"""Targets that are kept with an alias's members before they are made anew."""


def aliases() -> ResourceKind[AliasSpec, Alias]:
    """Declare the kind."""

    def compile(resource: Resource[AliasSpec], view: View) -> Alias:
        return Alias(resource, target_of(view, resource.spec.target))

    return ResourceKind(
        name="aliases",
        title="alias",
        spec=AliasSpec,
        references=(Reference("target", "callable"),),
        callable=True,
        id_slashes=True,
        compile=compile,
    )
