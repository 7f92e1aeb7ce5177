"""`GET /admin/v1/search`: resources of any kind by their id, or a word in id or name."""

import contextlib
from typing import Annotated, Any

from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from msgspec import Struct

from switchgear.admin.conditions import PREFIX
from switchgear.authority import Authority
from switchgear.contracts.principal import Scope
from switchgear.contracts.resource import ResourceKind
from switchgear.errors import NotFound
from switchgear.resources.engine import ResourceEngine


class Hit(Struct, frozen=True):
    """A resource that was found; `title` is its kind's, `name` its own where it has one."""

    kind: str
    title: str
    id: str
    name: str | None


class Hits(Struct, frozen=True):
    """What was found: first what has just this id."""

    data: list[Hit]


def search_handler(engine: ResourceEngine, authority: Authority) -> HTTPRouteHandler:
    """Make the route."""

    @get(
        f"{PREFIX}/search",
        opt={"action": "list", "resource": "search", "scoped": True},
        summary="Resources of any kind by their id, or a word in id or name",
        description="Of each kind as much is looked through as for one page of its list, and only of kinds that one may list.",
        tags=["search"],
    )
    async def search(
        request: Request[Any, Any, Any],
        q: Annotated[str, QueryParameter(min_length=1, max_length=256)],
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
    ) -> Hits:
        exact: list[Hit] = []
        found: list[Hit] = []
        for kind in engine.kinds.values():
            scope = authority.decide(request.state.principal, "list", kind.name, None)
            scope = scope if isinstance(scope, Scope) else await scope
            if not scope.allowed:
                continue
            with contextlib.suppress(NotFound):
                exact.append(_hit(kind, await engine.get(kind.name, q, scope)))
            if len(exact) + len(found) < limit:
                page = await engine.page(kind.name, word=q, limit=limit, scope=scope)
                found += [_hit(kind, view) for view in page.data if view["id"] != q]
        return Hits([*exact, *found][:limit])

    return search


def _hit(kind: ResourceKind[Any, Any], view: dict[str, Any]) -> Hit:
    name = view.get("name")
    return Hit(kind.name, kind.title, view["id"], name if isinstance(name, str) else None)
