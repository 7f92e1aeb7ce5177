"""`POST /admin/v1/external-apis/{id}/try`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Meta, Struct

from switchgear import Context
from switchgear.admin.bodies import read
from switchgear.errors import NotFound, ValidationFailed
from switchgear_plugins.external_apis.resources import KIND
from switchgear_plugins.external_apis.step import HttpRequestInputs, HttpRequestSettings, HttpRequestStep, Plain

if TYPE_CHECKING:
    import httpx


class Try(Struct, frozen=True, forbid_unknown_fields=True):
    """A request, as a step `http_request` would send it."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: str = ""
    query: dict[str, Plain] = {}
    headers: dict[str, str] = {}
    body: Any = None
    extract: Annotated[str, Meta(max_length=1000)] | None = None


class Tried(Struct, frozen=True):
    """What was answered, whatever its status; `body` is JSON, or text. `extracted` is what `extract` leads to."""

    status: int
    body: Any
    extracted: Any
    took_ms: int


def handlers(context: Context, http: "Callable[[], httpx.AsyncClient]") -> list[HTTPRouteHandler]:
    """Make the route."""

    @post(
        "/admin/v1/external-apis/{id:str}/try",
        opt={"action": "test", "resource": KIND, "body": Try},
        status_code=200,
        summary="Send an external API a request, as a step of a workflow would",
        tags=[KIND],
    )
    async def try_request(request: Request[Any, Any, Any], id: FromPath[str]) -> Tried:
        asked = await read(request, Try)
        if context.resources.snapshot.live(KIND, id) is None:
            raise NotFound(f"There is no external API {id[:64]!r}.", code="not_found")
        settings = HttpRequestSettings(id, asked.method, asked.extract, fails_on_error=False)
        try:
            step = HttpRequestStep(settings, http)
        except ValueError as error:
            raise ValidationFailed(f"/extract: {error}", [("/extract", str(error))]) from error
        began_s = context.ambient.monotonic()
        inputs = HttpRequestInputs(asked.path, asked.query, asked.headers, asked.body)
        found = await step.send(inputs, context.resources.snapshot)
        took_ms = round((context.ambient.monotonic() - began_s) * 1000)
        return Tried(found["status"], found["body"], found.get("extracted"), took_ms)

    return [try_request]
