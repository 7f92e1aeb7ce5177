"""Agents: a model with a system prompt and members of its own, under a name that clients write in `model`."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from switchgear.contracts.exchange import Callable, Exchange, Plan, Step, Target
from switchgear.contracts.model import ModelConfig
from switchgear.contracts.resource import Reference, Resource, ResourceKind, View
from switchgear.wire.members import raw

_MOST_KEPT = 64
"""Targets that are kept with an agent's prompt before they are made anew."""

Prompt = Annotated[str, Meta(min_length=1, max_length=1_000_000)]


class AgentSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A callable name that says something to its model before all else.

    model   the callable name that answers: a model, an alias, a pool, a chain, another agent
    system  what the system says in front of what the client's own system text says
    config  members used where the client set none, before those of the model
    """

    model: str
    system: Prompt
    config: ModelConfig = ModelConfig()
    description: Annotated[str, Meta(max_length=2000)] = ""
    enabled: bool = True
    tags: tuple[str, ...] = ()
    metadata: dict[str, str] = {}


class Agent:
    """An agent come alive."""

    def __init__(self, resource: Resource[AgentSpec], model: Callable) -> None:
        spec = resource.spec
        config: dict[str, Any] = msgspec.to_builtins(spec.config)
        self.enabled = spec.enabled and model.enabled
        self.created_us = resource.created_us
        self.owned_by = model.owned_by
        self._model = model
        self._system = spec.system
        self._defaults = {name: Raw(raw(value)) for name, value in config.items()}
        self._made: dict[int, tuple[Target, Target]] = {}
        self._why = f"{resource.id} is an agent of {spec.model}"

    def plan(self, x: Exchange) -> Plan:
        """Plan as its model does."""
        plan = self._model.plan(x)
        steps = tuple(map(self._instructed, plan.steps))
        return msgspec.structs.replace(plan, steps=steps, why=(self._why, *plan.why))

    def _instructed(self, step: Step) -> Step:
        return msgspec.structs.replace(step, target=self._with_prompt(step.target))

    def _with_prompt(self, target: Target) -> Target:
        # Plans are made for each request, what is in them is not: so what is made of a target is kept.
        known = self._made.get(id(target))
        if known is not None:
            return known[1]
        model = msgspec.structs.replace(target.model, defaults={**target.model.defaults, **self._defaults})
        preamble = self._system if target.preamble is None else f"{self._system}\n\n{target.preamble}"
        made = msgspec.structs.replace(target, model=model, preamble=preamble)
        if len(self._made) >= _MOST_KEPT:
            self._made.clear()
        self._made[id(target)] = (target, made)
        return made


def agents() -> ResourceKind[AgentSpec, Agent]:
    """Declare the kind."""

    def compile(resource: Resource[AgentSpec], view: View) -> Agent:
        found: Callable | None = view.callable(resource.spec.model)
        if found is None:
            raise ValueError(f"`{resource.spec.model}` cannot be used")
        return Agent(resource, found)

    return ResourceKind(
        name="agents",
        title="agent",
        spec=AgentSpec,
        references=(Reference("model", "callable"),),
        callable=True,
        compile=compile,
    )
