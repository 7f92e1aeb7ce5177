"""`POST /admin/v1/models/{id}/execute`."""

from typing import Any

from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Stream

from switchgear import Context
from switchgear.admin.bodies import read
from switchgear.contracts.principal import Principal
from switchgear_plugins.execution.execute import Executed, Executor, Question


def handlers(context: Context) -> list[HTTPRouteHandler]:
    """Make the route. `id` is any name that clients may write in `model`."""

    @post(
        "/admin/v1/models/{id:str}/execute",
        opt={"action": "execute", "resource": "models", "body": Question},
        status_code=200,
        summary="Try a model: one call, with routing, policies, a price and a record",
        tags=["models"],
    )
    async def execute(request: Request[Any, Any, Any], id: FromPath[str]) -> Response[Executed] | Stream:
        question = await read(request, Question)
        by: Principal = request.state.principal
        executor = Executor(context)
        if question.stream:
            headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
            return Stream(await executor.stream(id, question, by), media_type="text/event-stream", headers=headers)
        return Response(await executor.whole(id, question, by))

    return [execute]
