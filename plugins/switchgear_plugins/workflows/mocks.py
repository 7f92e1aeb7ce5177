"""Running a workflow with outputs that are given for its steps: no model and no API is called."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.contracts.inside import InsideAnswer
from switchgear.contracts.resource import Snapshot
from switchgear.errors import ApiError, InvalidRequest
from switchgear_plugins.workflows.resources import LiveWorkflow
from switchgear_plugins.workflows.run import Run, Trace
from switchgear_plugins.workflows.schemas import check


class Mocked(Struct, frozen=True):
    """What a run with given outputs came to."""

    status: str
    output: Any
    error: dict[str, Any] | None
    steps: list[Trace]


class _Nobody:
    """Calls nobody."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    async def call(self, operation: str, body: Mapping[str, Any], *, model: str, step: str) -> InsideAnswer:  # noqa: ARG002
        message = f"There is no output for the step `{step}` in `outputs`, and a test asks no model."
        raise InvalidRequest(message, param="outputs", code="no_output_given")


async def run_mocked(
    workflow: LiveWorkflow, request: dict[str, Any], outputs: Mapping[str, Any], snapshot: Snapshot, ambient: Ambient
) -> Mocked:
    """Run it. Steps without a given output are run if they call nobody. Raises `InvalidRequest` for an unknown step."""
    unknown = [name for name in outputs if name not in workflow.made]
    if unknown:
        raise InvalidRequest(f"There is no step `{unknown[0][:64]}`.", param="outputs", code="no_such_step")
    refusing = {
        name: _Refusing(name)
        for name, made in workflow.made.items()
        if name not in outputs and getattr(made, "reaches_out", False)
    }
    spec = workflow.spec
    run = Run(
        spec.steps,
        {**workflow.made, **refusing},
        request,
        _Nobody(snapshot),
        ambient,
        most_steps=spec.most_steps,
        mocks=outputs,
    )
    try:
        if workflow.schema is not None:
            check(request, workflow.schema, "input")
        output = await run.run(spec.output)
    except ApiError as error:
        return Mocked("failed", None, {"message": error.message, "code": error.code, "param": error.param}, run.traces)
    return Mocked("completed", output, None, run.traces)


class _Refusing:
    """A step of which nobody knows what it does, so that it does nothing."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def run(self, inputs: Mapping[str, Any], at: Any) -> Any:  # noqa: ARG002 - the contract's shape
        message = f"There is no output for the step `{self._name}` in `outputs`, and a test calls nobody."
        raise InvalidRequest(message, param="outputs", code="no_output_given")
        yield {}  # which makes it a generator
