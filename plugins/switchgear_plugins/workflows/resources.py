"""The resource kind `workflows`. Its ids are names that clients may write in `model`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jsonschema_rs

from switchgear.contracts.content import WorkflowStep
from switchgear.contracts.exchange import Exchange, Plan, Target
from switchgear.contracts.exchange import Step as PlanStep
from switchgear.contracts.offers import Offered
from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Problem, Reference, Resource, ResourceKind, View
from switchgear_plugins.workflows.checks import DEEPEST, every_step, problems
from switchgear_plugins.workflows.retrieval import KNOWLEDGE_BASES
from switchgear_plugins.workflows.schemas import validator
from switchgear_plugins.workflows.spec import Workflow

KIND = "workflows"
_NAMED = {
    "model_id": "callable",
    "prompt_id": "prompts",
    "external_api_id": "external-apis",
    "knowledge_base_id": KNOWLEDGE_BASES,
}
"""Settings of steps that name resources, by the kind of those."""


class LiveWorkflow:
    """A workflow that can be run: a name that answers, by the target that runs it. `made` are its steps, by name."""

    __slots__ = ("_plan", "created_us", "enabled", "id", "made", "owned_by", "schema", "spec", "version")

    def __init__(
        self,
        resource: Resource[Workflow],
        made: Mapping[str, WorkflowStep],
        schema: jsonschema_rs.Validator | None,
        target: Target,
    ) -> None:
        self.id = resource.id
        self.version = resource.version
        self.spec = resource.spec
        self.made = made
        self.schema = schema
        self.enabled = resource.spec.enabled
        self.created_us = resource.created_us
        self.owned_by = KIND
        self._plan = Plan((PlanStep(target),), (f"{resource.id} is a workflow",))

    def plan(self, x: Exchange) -> Plan:  # noqa: ARG002 - a workflow is always itself
        """Return its one target."""
        return self._plan


def workflows(
    offers: Callable[[], Mapping[str, Offered[Any]]], target: Callable[[str], Target]
) -> ResourceKind[Workflow, LiveWorkflow]:
    """Declare the kind. `offers` are the types of steps, `target` makes what answers to a workflow's name."""

    def validate(spec: Workflow, view: View, by: Principal) -> Sequence[Problem]:  # noqa: ARG001 - the shape of ResourceKind
        return problems(spec, offers(), view)

    def compile(resource: Resource[Workflow], view: View) -> LiveWorkflow:  # noqa: ARG001 - likewise
        spec = resource.spec
        made = {}
        for step in every_step(spec.steps):
            offered = offers().get(step.type)
            if offered is None:
                raise ValueError(f"no enabled plugin brings steps of the type {step.type!r}")
            made[step.name] = offered.make(step.settings)
        schema = None if spec.input_schema is None else validator(spec.input_schema)
        return LiveWorkflow(resource, made, schema, target(resource.id))

    return ResourceKind(
        name=KIND,
        title="workflow",
        spec=Workflow,
        validate=validate,
        compile=compile,
        references=tuple(
            Reference(f"{place}.settings.{name}", kind, optional=kind != "callable")
            for place in _places(("steps.*",), DEEPEST)
            for name, kind in _NAMED.items()
        ),
        callable=True,
    )


def _places(steps: tuple[str, ...], levels: int) -> tuple[str, ...]:
    """Return where steps stand: these, and those within them."""
    if levels == 1:
        return steps
    within = tuple(f"{place}.settings.{inner}" for place in steps for inner in ("steps.*", "branches.*.*"))
    return (*steps, *_places(within, levels - 1))
