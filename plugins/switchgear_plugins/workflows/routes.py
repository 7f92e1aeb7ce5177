"""`/admin/v1/workflows/…` beyond the resources, and `/admin/v1/workflow-steps`."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Stream
from msgspec import Meta, Raw, Struct

from switchgear import Context
from switchgear.admin.bodies import read
from switchgear.contracts.principal import USE, Grant, Principal
from switchgear.errors import NotFound
from switchgear_plugins.workflows.dialect import PATH, told
from switchgear_plugins.workflows.mocks import Mocked, run_mocked
from switchgear_plugins.workflows.resources import KIND, LiveWorkflow
from switchgear_plugins.workflows.templates import filled, needs, templates

STEPS = "workflow_steps"
_LABELS = {"by": "admin"}


class ExecuteBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What a workflow is run with; with `stream` its steps are told as they are taken, as server-sent events."""

    input: dict[str, Any] = {}
    stream: bool = False


class TestBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What a workflow is tried with: an input, and outputs of steps by their names."""

    input: dict[str, Any] = {}
    outputs: dict[str, Any] = {}


class CloneBody(Struct, frozen=True, forbid_unknown_fields=True):
    """How the copy is called."""

    id: Annotated[str, Meta(min_length=1, max_length=50)]
    name: str | None = None


class TemplateBody(Struct, frozen=True, forbid_unknown_fields=True):
    """How the workflow is called that is made of a template, and what that needs."""

    id: Annotated[str, Meta(min_length=1, max_length=50)]
    model: str | None = None
    knowledge_base: str | None = None
    external_api: str | None = None


class Template(Struct, frozen=True):
    """A template, and what it needs."""

    id: str
    needs: list[str]
    workflow: dict[str, Any]


class Templates(Struct, frozen=True):
    """The templates."""

    data: list[Template]


class StepType(Struct, frozen=True):
    """A type of step: JSON Schemas of its settings and, where they are known, its inputs."""

    type: str
    plugin: str
    summary: str
    settings: dict[str, Any]
    inputs: dict[str, Any] | None


class StepTypes(Struct, frozen=True):
    """The types of steps that enabled plugins bring."""

    data: list[StepType]


def handlers(context: Context) -> list[HTTPRouteHandler]:
    """Make the routes."""

    @post(
        "/admin/v1/workflows/{id:str}/execute",
        opt={"action": "execute", "resource": KIND, "body": ExecuteBody},
        status_code=200,
        summary="Run a workflow now, in the name of whoever asks",
        tags=[KIND],
    )
    async def execute(request: Request[Any, Any, Any], id: FromPath[str]) -> Response[Raw] | Stream:
        asked = await read(request, ExecuteBody)
        _live(context, id)
        body = {"id": id, "input": asked.input}
        by = spender(request.state.principal)
        if asked.stream:
            events = await context.call(PATH, body, principal=by, labels=_LABELS, stream=True)
            headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
            return Stream(told(events), media_type="text/event-stream", headers=headers)
        answer = await context.call(PATH, body, principal=by, labels=_LABELS)
        return Response(Raw(answer.body))

    @post(
        "/admin/v1/workflows/{id:str}/test",
        opt={"action": "test", "resource": KIND, "body": TestBody},
        status_code=200,
        summary="Run a workflow with given outputs of its steps; nobody is called",
        tags=[KIND],
    )
    async def test(request: Request[Any, Any, Any], id: FromPath[str]) -> Mocked:
        asked = await read(request, TestBody)
        workflow = _live(context, id)
        return await run_mocked(workflow, asked.input, asked.outputs, context.resources.snapshot, context.ambient)

    @post(
        "/admin/v1/workflows/{id:str}/clone",
        opt={"action": "create", "resource": KIND, "body": CloneBody},
        status_code=201,
        summary="Make a copy of a workflow",
        tags=[KIND],
    )
    async def clone(request: Request[Any, Any, Any], id: FromPath[str]) -> dict[str, Any]:
        asked = await read(request, CloneBody)
        found = await context.resources.get(KIND, id)
        if found is None:
            raise NotFound(f"There is no workflow {id[:64]!r}.", code="not_found")
        body = msgspec.to_builtins(found.spec)
        body["name"] = asked.name if asked.name is not None else f"{found.spec.name or id} (copy)"
        return dict(await context.resources.create(KIND, asked.id, body, by=request.state.principal))

    @get(
        "/admin/v1/workflows/templates",
        opt={"action": "list", "resource": KIND},
        summary="Workflows to begin with",
        tags=[KIND],
    )
    async def show_templates() -> Templates:
        return Templates([Template(id, needs(body), body) for id, body in templates().items()])

    @post(
        "/admin/v1/workflows/templates/{template:str}",
        opt={"action": "create", "resource": KIND, "body": TemplateBody},
        status_code=201,
        summary="Make a workflow of a template",
        tags=[KIND],
    )
    async def instantiate(request: Request[Any, Any, Any], template: FromPath[str]) -> dict[str, Any]:
        asked = await read(request, TemplateBody)
        given = {name: value for name, value in msgspec.structs.asdict(asked).items() if value is not None}
        body = filled(template, given)
        return dict(await context.resources.create(KIND, asked.id, body, by=request.state.principal))

    @get(
        "/admin/v1/workflow-steps",
        opt={"action": "list", "resource": KIND},
        summary="The types of steps, with the schemas of their settings and inputs",
        tags=[KIND],
    )
    async def step_types() -> StepTypes:
        return StepTypes(
            [
                StepType(
                    name,
                    it.plugin,
                    it.offer.summary,
                    msgspec.json.schema(it.offer.settings_type),
                    _inputs(it.offer.factory),
                )
                for name, it in sorted(context.offers(STEPS).items())
            ]
        )

    return [execute, test, clone, show_templates, instantiate, step_types]


def spender(by: Principal) -> Principal:
    """Return who an operator is to the data plane, once they may execute: what they ask for is recorded under their id."""
    return Principal(by.id, by.kind, name=by.name, labels=by.labels, tags=by.tags, grants=(Grant(USE, "models"),))


def _live(context: Context, id: str) -> LiveWorkflow:
    found: LiveWorkflow | None = context.resources.snapshot.live(KIND, id)
    if found is None:
        raise NotFound(f"There is no workflow {id[:64]!r}.", code="not_found")
    return found


def _inputs(factory: Any) -> dict[str, Any] | None:
    """Return the schema of what steps are given that a class makes, or a function that says which it returns."""
    made = factory if isinstance(factory, type) else getattr(factory, "__annotations__", {}).get("return")
    found = getattr(made, "inputs_type", None)
    return None if found is None else msgspec.json.schema(found)
