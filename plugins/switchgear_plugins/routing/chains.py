"""Chains: what is tried after what, how often, how long, and on what."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from switchgear.contracts.exchange import Callable, Exchange, Plan, Recovery, Step
from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Problem, Reference, Resource, ResourceKind, View
from switchgear_plugins.routing.pools import Millis
from switchgear_plugins.routing.routed import MOST_STEPS, Routed, joined, planned, target_of

Cause: TypeAlias = Literal[
    "timeout", "429", "5xx", "connection", "overloaded", "auth", "quota", "not_found", "protocol", "context_length",
    "content_filter",
]  # fmt: skip
CAUSES: dict[Cause, frozenset[str]] = {
    "timeout": frozenset({"timeout", "first_byte_timeout", "idle_timeout", "connect_timeout"}),
    "429": frozenset({"rate_limit"}),
    "5xx": frozenset({"server", "overloaded", "timeout"}),
    "connection": frozenset({"connection", "connect", "connect_timeout"}),
    "overloaded": frozenset({"overloaded"}),
    "auth": frozenset({"auth", "permission", "credential"}),
    "quota": frozenset({"quota"}),
    "not_found": frozenset({"not_found"}),
    "protocol": frozenset({"protocol", "too_large", "request"}),
    "context_length": frozenset({"context_length"}),
    "content_filter": frozenset({"content_filter"}),
}
"""A chain's words for what may go wrong, in those of `ProviderFault` and `UpstreamError`."""
_USUAL = frozenset().union(*(CAUSES[word] for word in CAUSES if word not in ("context_length", "content_filter")))
"""What leads on where nothing is said."""

Retries = Annotated[int, Meta(ge=0, le=10)]
Attempts = Annotated[int, Meta(ge=1, le=1000)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class Preset(Struct, frozen=True):
    """What a chain says where it says no more than this word: what its steps and itself leave out is as here.

    `max_latency_ms` is for steps that others wait behind: after the last there is nobody to go on to.
    """

    max_retries: int
    max_latency_ms: int
    recovery: Recovery


PresetName: TypeAlias = Literal["interactive", "unattended"]
PRESETS: dict[PresetName, Preset] = {
    "interactive": Preset(max_retries=1, max_latency_ms=10_000, recovery="continue"),
    "unattended": Preset(max_retries=2, max_latency_ms=30_000, recovery="buffer"),
}
"""Somebody reads the answer as it comes; or a program takes it, for which whole counts more than soon."""


class ChainStep(Struct, frozen=True, forbid_unknown_fields=True):
    """One callable name, tried `max_retries` more times where that may help, for `max_latency_ms` to the first token; `on` says
    what leads on to the next step. What is left out is as the target has it.
    """

    target: str
    max_retries: Retries | None = None
    max_latency_ms: Millis | None = None
    on: tuple[Cause, ...] | None = None


class Budget(Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds over all steps: attempts, and seconds until the first token."""

    attempts: Attempts | None = None
    seconds: Seconds | None = None


class ChainSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Targets in the order in which they are tried.

    `recovery` says what becomes of a stream that breaks: an `error`; `buffer`: it is held until it is complete, so that the next
    target can answer instead; `continue`: the next target whose model takes a prefill goes on with it. After `hedge_after_ms`
    without a first byte the second target is asked as well. Both are those of the first target where they are left out. `preset`
    is a word for careful values of what is left out; see `PRESETS`.
    """

    steps: tuple[ChainStep, ...]
    budget: Budget = Budget()
    preset: PresetName | None = None
    recovery: Recovery | None = None
    hedge_after_ms: Millis | None = None
    enabled: bool = True
    tags: tuple[str, ...] = ()
    metadata: dict[str, str] = {}


class Chain(Routed):
    """A chain come alive. Steps whose target is disabled are passed over."""

    def __init__(self, resource: Resource[ChainSpec], targets: Sequence[Callable]) -> None:
        super().__init__(resource, targets)
        spec = resource.spec
        self._spec = spec
        self._steps = [(it, live) for it, live in zip(spec.steps, targets, strict=True) if live.enabled]
        self._preset = preset = None if spec.preset is None else PRESETS[spec.preset]
        self._recovery = spec.recovery or (None if preset is None else preset.recovery)
        self._on = [
            None if it.on is None else frozenset().union(*(CAUSES[word] for word in it.on)) for it, _ in self._steps
        ]
        self._why = f"{self.id} is a chain: {', then '.join(it.target for it, _ in self._steps)}"

    def plan(self, x: Exchange) -> Plan:
        """Plan all steps in order."""
        if not self._steps:
            return Plan((), (f"{self.id} is a chain of which no target is enabled",))
        plans = planned([live for _, live in self._steps], x)
        steps: list[Step] = []
        for (it, _), on, plan in zip(self._steps, self._on, plans, strict=True):
            steps += _tried(plan.steps, it, on)
        if self._preset is not None:
            steps = _preset(steps, self._preset)
        plan = joined(plans, steps, self._why)
        spec = self._spec
        return msgspec.structs.replace(
            plan,
            attempts=plan.attempts if spec.budget.attempts is None else spec.budget.attempts,
            seconds=plan.seconds if spec.budget.seconds is None else spec.budget.seconds,
            recovery=self._recovery or plan.recovery,
            hedge_s=plan.hedge_s if spec.hedge_after_ms is None else spec.hedge_after_ms / 1000,
        )


def _tried(steps: Sequence[Step], said: ChainStep, on: frozenset[str] | None) -> list[Step]:
    """Return the steps of a target as a chain's step says."""
    wait_s = None if said.max_latency_ms is None else said.max_latency_ms / 1000
    last = len(steps) - 1
    return [
        Step(
            step.target,
            step.retries if said.max_retries is None else said.max_retries,
            step.first_token_s if wait_s is None else wait_s,
            # `on` is about leaving the step of the chain: within a pool, what usually leads on still does.
            step.on if on is None else on if index == last else on | (_USUAL if step.on is None else step.on),
        )
        for index, step in enumerate(steps)
    ]


def _preset(steps: Sequence[Step], preset: Preset) -> list[Step]:
    """Return the steps with what they leave out as the preset says."""
    return [
        Step(
            step.target,
            preset.max_retries if step.retries is None else step.retries,
            preset.max_latency_ms / 1000
            if step.first_token_s is None and step is not steps[-1]
            else step.first_token_s,
            step.on,
        )
        for step in steps
    ]


def _validate(spec: ChainSpec, view: View, by: Principal) -> Sequence[Problem]:  # noqa: ARG001 - the shape of ResourceKind.validate
    if not 1 <= len(spec.steps) <= MOST_STEPS:
        return [Problem("/steps", f"name 1 to {MOST_STEPS} steps")]
    return []


def chains() -> ResourceKind[ChainSpec, Chain]:
    """Declare the kind."""

    def compile(resource: Resource[ChainSpec], view: View) -> Chain:
        return Chain(resource, [target_of(view, step.target) for step in resource.spec.steps])

    return ResourceKind(
        name="chains",
        title="chain",
        spec=ChainSpec,
        references=(Reference("steps.*.target", "callable"),),
        validate=_validate,
        callable=True,
        compile=compile,
    )
