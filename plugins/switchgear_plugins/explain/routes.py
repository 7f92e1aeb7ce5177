"""`POST /admin/v1/explain`."""

from typing import Any

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler

from switchgear import Context
from switchgear.admin.bodies import read
from switchgear_plugins.explain.explain import Explainer, Explanation, Question


def explain_handler(context: Context) -> HTTPRouteHandler:
    """Make the route."""

    @post(
        "/admin/v1/explain",
        opt={"action": "explain", "resource": "routing", "body": Question},
        status_code=200,
        summary="What would become of a request, without sending it",
        tags=["routing"],
    )
    async def explain(request: Request[Any, Any, Any]) -> Explanation:
        explainer = Explainer(context.dry_run, context.resources, context.ambient)
        return await explainer.explain(await read(request, Question))

    return explain
