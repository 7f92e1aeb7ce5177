"""What aliases, pools and chains have in common: they are made of other callable names, within bounds."""

from collections.abc import Sequence
from typing import Any

from switchgear.contracts.exchange import Callable, Exchange, Plan, Step
from switchgear.contracts.resource import Resource, View
from switchgear.errors import ApiError

MOST_STEPS = 32
DEEPEST = 32


class Routed:
    """A callable name that leads to others. `size` is how many steps its plan may have, `depth` how many names lie on the way."""

    def __init__(self, resource: Resource[Any], targets: Sequence[Callable], *, owned_by: str = "switchgear") -> None:
        spec = resource.spec
        self.id = resource.id
        self.enabled = bool(spec.enabled) and any(target.enabled for target in targets)
        self.created_us = resource.created_us
        self.owned_by = owned_by
        self.size: int = sum(target.size if isinstance(target, Routed) else 1 for target in targets)
        self.depth: int = 1 + max((target.depth if isinstance(target, Routed) else 0 for target in targets), default=0)
        if self.size > MOST_STEPS:
            raise ValueError(f"it leads to {self.size} targets, and {MOST_STEPS} are the most; leave some out")
        if self.depth > DEEPEST:
            raise ValueError(
                f"it leads through {self.depth} names, and {DEEPEST} are the most; name the last ones directly"
            )


def target_of(view: View, name: str) -> Callable:
    """Return the live object of a name. Raises ValueError if it cannot be used."""
    found: Callable | None = view.callable(name)
    if found is None:
        raise ValueError(f"`{name}` cannot be used")
    return found


def planned(targets: Sequence[Callable], x: Exchange) -> list[Plan]:
    """Plan as each target does. One that has nowhere to go gets a plan without steps, if another has somewhere.

    Raises what the first of them said where none has.
    """
    plans: list[Plan] = []
    refusal: ApiError | None = None
    for target in targets:
        try:
            plans.append(target.plan(x))
        except ApiError as error:
            refusal = refusal or error
            plans.append(Plan((), (error.message,)))
    if refusal is not None and not any(plan.steps for plan in plans):
        raise refusal
    return plans


def joined(plans: Sequence[Plan], steps: Sequence[Step], why: str) -> Plan:
    """Put plans one after the other: their bounds add up, and what the first says of broken streams and of hedging is for all."""
    asked = [plan for plan in plans if plan.steps] or plans
    first = asked[0]
    attempts = [plan.attempts for plan in asked if plan.attempts is not None]
    seconds = [plan.seconds for plan in asked if plan.seconds is not None]
    return Plan(
        tuple(steps[:MOST_STEPS]),
        (why, *(line for plan in plans for line in plan.why)),
        sum(attempts) if len(attempts) == len(asked) else None,
        sum(seconds) if len(seconds) == len(asked) else None,
        first.recovery,
        first.hedge_s,
    )
