"""`GET /admin/v1/budgets/{id}/status`: how a budget stands now."""

from collections.abc import Callable
from typing import Annotated

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter

from switchgear import Context
from switchgear.errors import NotFound
from switchgear_plugins.budgets.seeds import Seeds
from switchgear_plugins.budgets.spec import KIND
from switchgear_plugins.budgets.status import Standing, Standings, standing, standings


def handlers(context: Context, seeds: Callable[[], Seeds]) -> list[HTTPRouteHandler]:
    """Make the route."""

    @get(
        "/admin/v1/budgets/{id:str}/status",
        opt={"action": "read", "resource": KIND},
        summary="How a budget stands: spent, reserved, left, and what it will come to",
        tags=[KIND],
    )
    async def status(
        id: FromPath[str],
        whose: Annotated[str | None, QueryParameter(description="A value of `each`. Default: all that spent")] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    ) -> Standing | Standings:
        budget = context.resources.snapshot.live(KIND, id)
        if budget is None:
            raise NotFound(f"There is no budget `{id[:64]}`.", code="not_found")
        if budget.each is not None and whose is None:
            return await standings(context, seeds(), budget, limit)
        return await standing(context, seeds(), budget, whose)

    return [status]
