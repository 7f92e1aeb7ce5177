"""`GET /admin/v1/api-keys/{id}/standing`: what is left to a key of its limits and budgets."""

from typing import Any

from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from switchgear import Context
from switchgear.contracts.dry_run import PolicyView
from switchgear.contracts.principal import USE, Scope
from switchgear.errors import NotFound
from switchgear_plugins.explain.explain import Explainer, Question

KEYS = "api-keys"
_WHOSE = ("id", "team_id", "owner_id")


class Standing(Struct, frozen=True):
    """What the policies say of the next call of a key, for `model`: the first that it may use, null if there is none."""

    model: str | None
    policies: list[PolicyView] = []


async def _first(context: Context, key: str) -> str | None:
    """Return the first name that a key may use."""
    known = await context.dry_run.known(key)
    for name in sorted(context.resources.snapshot.callables):
        if known is not None and await context.dry_run.may(known.principal, USE, "models", name):
            return name
    return None


def standing_handler(context: Context) -> HTTPRouteHandler:
    """Make the route."""

    @get(
        f"/admin/v1/{KEYS}/{{id:str}}/standing",
        opt={"action": "read", "resource": KEYS, "scoped": True},
        summary="What is left to a key of limits and budgets, as its next call would find it",
        tags=[KEYS],
    )
    async def standing(request: Request[Any, Any, Any], id: FromPath[str]) -> Standing:
        scope: Scope = request.state.scope
        key = await context.resources.get(KEYS, id)
        whose = {} if key is None else {"id": id, "team_id": key.spec.team_id, "owner_id": key.spec.owner_id}
        if key is None or not scope.covers(_WHOSE, whose):
            raise NotFound(f"There is no API key {id[:64]!r}.", code="not_found")
        model = await _first(context, id)
        if model is None:
            return Standing(None)
        explainer = Explainer(context.dry_run, context.resources, context.ambient)
        found = await explainer.explain(Question({"model": model}, key_id=id))
        return Standing(found.model, [it for it in found.policies if it.says])

    return standing
