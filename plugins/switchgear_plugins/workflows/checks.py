"""What can be known to be wrong with a workflow when it is written."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from switchgear.contracts.offers import Offered
from switchgear.contracts.resource import Problem, View
from switchgear_plugins.workflows.references import has_references, references
from switchgear_plugins.workflows.retrieval import KNOWLEDGE_BASES
from switchgear_plugins.workflows.schemas import validator
from switchgear_plugins.workflows.spec import Step, Workflow

_CONDITIONAL = "conditional"
_FLOW = ("action", "step")
_MOST_STEPS = 200
DEEPEST = 4
"""Levels of steps within steps."""


class Listed(Struct, frozen=True):
    """Steps that run one after the other: where they stand, what they may refer to besides each other, if there is an item."""

    steps: Sequence[Step]
    pointer: str
    before: frozenset[str]
    has_item: bool
    level: int = 1


def problems(spec: Workflow, offers: Mapping[str, Offered[Any]], view: View) -> list[Problem]:
    """Name everything that is wrong."""
    found: list[Problem] = []
    lists = list(_lists(Listed(spec.steps, "/steps", frozenset(), has_item=False)))
    names = [step.name for it in lists for step in it.steps]
    if len(names) > _MOST_STEPS:
        return [Problem("/steps", f"has {len(names)} steps with those inside others, and {_MOST_STEPS} are the most")]
    for listed in lists:
        if listed.level > DEEPEST:
            found.append(Problem(listed.pointer, f"steps stand within each other on {DEEPEST} levels at the most"))
        for place, step in enumerate(listed.steps):
            pointer = f"{listed.pointer}/{place}"
            if names.count(step.name) > 1:
                found.append(Problem(f"{pointer}/name", f"`{step.name}` is the name of several steps"))
            found += _step_problems(step, pointer, offers, view)
            found += _reference_problems(step, place, pointer, listed)
        found += _flow_problems(listed)
    if spec.output is not None:
        found += _referring(spec.output, "/output", frozenset(step.name for step in spec.steps), has_item=False)
    if spec.input_schema is not None:
        try:
            validator(spec.input_schema)
        except ValueError as error:
            found.append(Problem("/input_schema", str(error)))
    return found


def nested(step: Step) -> Iterator[tuple[str, Sequence[Any], bool]]:
    """Yield the steps within a step, as far as it has its form: where they stand, and whether they have an item."""
    if step.type == "parallel" and isinstance(branches := step.settings.get("branches"), Mapping):
        for name, steps in branches.items():
            yield f"/settings/branches/{name}", steps if isinstance(steps, (list, tuple)) else (), False
    elif step.type == "map" and isinstance(steps := step.settings.get("steps"), (list, tuple)):
        yield "/settings/steps", steps, True


def every_step(steps: Sequence[Step]) -> Iterator[Step]:
    """Yield steps with those within them."""
    for listed in _lists(Listed(steps, "", frozenset(), has_item=False)):
        yield from listed.steps


def _lists(listed: Listed) -> Iterator[Listed]:
    yield listed
    before = listed.before
    for place, step in enumerate(listed.steps):
        for where, steps, has_item in nested(step):
            try:
                inner = msgspec.convert(steps, tuple[Step, ...])
            except msgspec.ValidationError:
                continue  # its settings are told to be wrong
            pointer = f"{listed.pointer}/{place}{where}"
            within = Listed(inner, pointer, before, has_item=has_item or listed.has_item, level=listed.level + 1)
            yield from _lists(within) if within.level <= DEEPEST else (within,)
        before |= {step.name}


def _step_problems(step: Step, pointer: str, offers: Mapping[str, Offered[Any]], view: View) -> Iterator[Problem]:
    offered = offers.get(step.type)
    if offered is None:
        known = ", ".join(f"`{name}`" for name in sorted(offers))
        yield Problem(f"{pointer}/type", f"no enabled plugin brings steps of this type; there are {known}")
        return
    wrong = list(offered.problems(step.settings, f"{pointer}/settings"))
    yield from wrong
    own = {name: value for name, value in step.settings.items() if name not in ("branches", "steps")}
    if has_references(own):
        yield Problem(
            f"{pointer}/settings", "has a reference; they stand in `inputs`, so that no input chooses resources"
        )
        return
    if wrong:
        return
    try:
        made = offered.make(step.settings)
    except ValueError as error:
        yield Problem(f"{pointer}/settings", str(error))
        return
    inputs_type = getattr(made, "inputs_type", None)
    if inputs_type is not None:
        yield from _input_problems(step, pointer, inputs_type)
    if step.type == "knowledge_base_search":
        id = str(step.settings.get("knowledge_base_id"))
        if view.live(KNOWLEDGE_BASES, id) is None:
            detail = f"there is no knowledge base `{id}`. A plugin has to be enabled that brings the kind `{KNOWLEDGE_BASES}`"
            yield Problem(f"{pointer}/settings/knowledge_base_id", detail)


def _input_problems(step: Step, pointer: str, inputs_type: type[Struct]) -> Iterator[Problem]:
    """Check inputs as far as they are known: names, and each that is there before the run, or may be anything there."""
    known = {field.encode_name: field for field in msgspec.structs.fields(inputs_type)}
    for name in step.inputs:
        if name not in known:
            yield Problem(f"{pointer}/inputs/{name}", f"there is no such input; known are {', '.join(known) or 'none'}")
    for name, field in known.items():
        if field.required and name not in step.inputs:
            yield Problem(f"{pointer}/inputs", f"`{name}` is missing")
    for name, value in step.inputs.items():
        if name in known and (step.type == _CONDITIONAL or not has_references(value)):
            try:
                msgspec.convert(value, known[name].type, strict=False)
            except msgspec.ValidationError as error:
                yield Problem(f"{pointer}/inputs/{name}", str(error))


def _reference_problems(step: Step, place: int, pointer: str, listed: Listed) -> Iterator[Problem]:
    earlier = listed.before | {it.name for it in listed.steps[:place]}
    yield from _referring(step.inputs, f"{pointer}/inputs", earlier, has_item=listed.has_item)


def _referring(value: Any, pointer: str, earlier: frozenset[str], *, has_item: bool) -> Iterator[Problem]:
    try:
        found = list(references(value))
    except ValueError as error:
        yield Problem(pointer, str(error))
        return
    for where, reference in found:
        if reference.step is not None and reference.step not in earlier:
            detail = f"`{reference.step}` is no step that comes before this one"
            yield Problem(f"{pointer}{where}", detail)
        if reference.scope in ("item", "index") and not has_item:
            yield Problem(f"{pointer}{where}", f"`{reference.scope}` is only known within a step `map`")


def _flow_problems(listed: Listed) -> Iterator[Problem]:
    """Find decisions that lead nowhere, and ways that never end."""
    places = {step.name: place for place, step in enumerate(listed.steps)}
    ways: list[set[int]] = []
    for place, step in enumerate(listed.steps):
        pointer = f"{listed.pointer}/{place}/inputs"
        ahead = {place + 1}
        if step.type == _CONDITIONAL:
            ahead = set()
            for where, decision in _decisions(step):
                wrong = _decision_problem(decision, places)
                if wrong is not None:
                    yield Problem(f"{pointer}{where}", wrong)
                action = decision.get("action", "continue")
                target = places.get(str(decision.get("step")), len(listed.steps))
                ahead.add(
                    target if action == "go_to_step" else len(listed.steps) if action == "end_workflow" else place + 1
                )
        ways.append(ahead)
    end = len(listed.steps)
    for place, step in enumerate(listed.steps):
        if place in _reached({0}, ways) and end not in _reached({place}, ways):
            yield Problem(
                f"{listed.pointer}/{place}", f"from `{step.name}` no way leads to an end: a cycle without an exit"
            )


def _decisions(step: Step) -> Iterator[tuple[str, Mapping[str, Any]]]:
    conditions = step.inputs.get("conditions")
    for place, condition in enumerate(conditions if isinstance(conditions, (list, tuple)) else ()):
        if isinstance(condition, Mapping):
            yield f"/conditions/{place}", condition
    default = step.inputs.get("default_action", {})
    yield "/default_action", default if isinstance(default, Mapping) else {"action": default}


def _decision_problem(decision: Mapping[str, Any], places: Mapping[str, int]) -> str | None:
    if any(has_references(decision.get(name)) for name in _FLOW):
        return "`action` and `step` hold no references, so that no input decides where the workflow goes on"
    if decision.get("action") == "go_to_step" and decision.get("step") not in places:
        return f"`step` has to be one of {', '.join(places)}"
    return None


def _reached(begin: set[int], ways: Sequence[set[int]]) -> set[int]:
    reached, waiting = set(begin), list(begin)
    while waiting:
        place = waiting.pop()
        if place < len(ways):
            new = ways[place] - reached
            reached |= new
            waiting += new
    return reached
