"""Conditions, and the step `conditional` that decides by them where a workflow goes on."""

from collections.abc import AsyncIterator, Callable, Mapping, Sized
from typing import Any, Literal

import msgspec
from msgspec import Struct

from switchgear import NoSettings
from switchgear.contracts.content import StepRun

Operator = Literal["eq", "ne", "gt", "gte", "lt", "lte", "is_empty", "is_not_empty", "contains"]
Action = Literal["continue", "go_to_step", "end_workflow"]


class Decision(Struct, frozen=True, forbid_unknown_fields=True):
    """What is done: `step` is where to go, `output` what a workflow ends with."""

    action: Action = "continue"
    step: str | None = None
    output: Any = None


class Condition(Decision, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is done if a condition holds."""

    field: Any
    operator: Operator
    value: Any = None


class ConditionalInputs(Struct, frozen=True, forbid_unknown_fields=True):
    """Conditions in order: the first that holds decides, else the default, of which the name of an action may be enough."""

    conditions: tuple[Condition, ...]
    default_action: Decision | Action = "continue"


class ConditionalStep:
    """The step. Its output says which condition held (`matched`, null for the default) and what is done."""

    inputs_type = ConditionalInputs

    def __init__(self, settings: NoSettings) -> None:
        """Take no settings."""

    async def run(self, inputs: Mapping[str, Any], at: StepRun) -> AsyncIterator[Mapping[str, Any]]:  # noqa: ARG002
        """Decide."""
        asked = msgspec.convert(dict(inputs), ConditionalInputs)
        place = next((n for n, it in enumerate(asked.conditions) if holds(it.field, it.operator, it.value)), None)
        decision: Decision | Action = asked.default_action if place is None else asked.conditions[place]
        if isinstance(decision, str):
            decision = Decision(decision)
        if decision.action == "end_workflow":
            yield {"output": decision.output, "end": True}
        elif decision.action == "go_to_step":
            yield {
                "output": {"matched": place, "action": decision.action, "step": decision.step},
                "go_to": decision.step,
            }
        else:
            yield {"output": {"matched": place, "action": decision.action}}


def holds(field: Any, operator: Operator, value: Any) -> bool:
    """Say whether a condition holds.

    Numbers and texts that read as numbers are compared as numbers; else as texts, if both are. What cannot be ordered is in no
    order.
    """
    return _OPERATORS[operator](field, value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return float(value)
    try:
        return float(value) if isinstance(value, str) and len(value) < 50 else None  # noqa: PLR2004 - no number is longer
    except ValueError:
        return None


def _equal(field: Any, value: Any) -> bool:
    one, other = _number(field), _number(value)
    if one is not None and other is not None:
        return one == other
    return type(field) is type(value) and bool(field == value)


def _order(field: Any, value: Any) -> int | None:
    one, other = _number(field), _number(value)
    if one is None or other is None:
        if not (isinstance(field, str) and isinstance(value, str)):
            return None
        return (field > value) - (field < value)
    if one != one or other != other:  # noqa: PLR0124 - not a number
        return None
    return (one > other) - (one < other)


def _empty(field: Any) -> bool:
    return field is None or (isinstance(field, Sized) and not len(field))


def _contains(field: Any, value: Any) -> bool:
    if isinstance(field, str):
        return isinstance(value, str) and value in field
    if isinstance(field, Mapping):
        return isinstance(value, str) and value in field
    return isinstance(field, (list, tuple)) and any(_equal(it, value) for it in field)


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": _equal,
    "ne": lambda field, value: not _equal(field, value),
    "gt": lambda field, value: _order(field, value) == 1,
    "gte": lambda field, value: _order(field, value) in (0, 1),
    "lt": lambda field, value: _order(field, value) == -1,
    "lte": lambda field, value: _order(field, value) in (0, -1),
    "is_empty": lambda field, _: _empty(field),
    "is_not_empty": lambda field, _: not _empty(field),
    "contains": _contains,
}
