"""A workflow as it is written."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+\Z")]
Short = Annotated[str, Meta(max_length=200)]


class Step(Struct, frozen=True, forbid_unknown_fields=True):
    """A step.

    settings   what it is made with: ids of resources, steps within it. No references stand there, so no input chooses them
    inputs     what it gets in a run; any text in it may have references
    on_error   whether its failure is that of the workflow, or it is passed over and has no output
    timeout_s  of each try
    retries    tries after the first, of what may go well another time
    """

    name: Name
    type: Annotated[str, Meta(min_length=1, max_length=100)]
    settings: dict[str, Any] = {}
    inputs: dict[str, Any] = {}
    on_error: Literal["fail_workflow", "skip_step"] = "fail_workflow"
    timeout_s: Annotated[float, Meta(gt=0, le=3600)] | None = None
    retries: Annotated[int, Meta(ge=0, le=5)] = 0


class Workflow(Struct, frozen=True, forbid_unknown_fields=True):
    """Steps that are taken in order: models that are asked, APIs that are called, decisions.

    input_schema  JSON Schema of what a run is given; None: any object
    output        what a run comes to, with references; None: the output of the last step
    most_steps    steps that a run may take: so those that lead back end
    """

    steps: Annotated[tuple[Step, ...], Meta(min_length=1, max_length=100)]
    name: Short = ""
    description: Annotated[str, Meta(max_length=2000)] = ""
    input_schema: dict[str, Any] | None = None
    output: Any = None
    most_steps: Annotated[int, Meta(ge=1, le=1000)] = 100
    enabled: bool = True
