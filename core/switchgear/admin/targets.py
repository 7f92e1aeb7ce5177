"""How targets fare, and resetting one: `/admin/v1/targets`."""

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from msgspec import Struct

from switchgear.admin.bodies import read
from switchgear.contracts.health import HealthView
from switchgear.errors import NotFound
from switchgear.exchange.health.registry import HealthRegistry

_TAGS = ["routing"]


class Targets(Struct, frozen=True):
    """How models at providers fare in this process, whatever names lead there."""

    data: list[HealthView]


class WhichTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """A model at a provider, by the provider's name for it."""

    provider_id: str
    provider_model: str


def target_handlers(health: HealthRegistry) -> list[HTTPRouteHandler]:
    """Make the routes."""

    @get(
        "/admin/v1/targets",
        opt={"action": "list", "resource": "targets"},
        sync_to_thread=False,
        summary="How each model at each provider fares in this process",
        tags=_TAGS,
    )
    def targets(
        provider_id: Annotated[str | None, QueryParameter()] = None,
        provider_model: Annotated[str | None, QueryParameter()] = None,
    ) -> Targets:
        return Targets(
            [
                view
                for view in health.views()
                if provider_id in (None, view.provider_id) and provider_model in (None, view.provider_model)
            ]
        )

    @post(
        "/admin/v1/targets/reset",
        opt={"action": "reset", "resource": "targets", "body": WhichTarget},
        status_code=200,
        summary="Close a target's breaker and end its pause in this process",
        tags=_TAGS,
    )
    async def reset(request: Request[Any, Any, Any]) -> HealthView:
        which = await read(request, WhichTarget)
        found = health.find(which.provider_id, which.provider_model)
        if found is None:
            message = f"no name leads to `{which.provider_model[:80]}` at the provider `{which.provider_id[:80]}`"
            raise NotFound(message, code="not_found")
        found.reset()
        return found.view()

    return [targets, reset]
