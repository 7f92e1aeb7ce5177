"""Resources of any kind: `GET /admin/v1/search` by their id, or a word in id or name; `GET /admin/v1/references` by what they name."""

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
from switchgear.resources.conflicts import not_there
from switchgear.resources.engine import ResourceEngine


_MOST_REFERRERS = 500
"""Resources that name one, of which so many are looked at."""


class Hit(Struct, frozen=True):
    """A resource that was found; `title` is its kind's, `name` its own where it has one."""

    kind: str
    title: str
    id: str
    name: str | None


class Hits(Struct, frozen=True):
    """What was found: first what has just this id."""

    data: list[Hit]


class Referrers(Struct, frozen=True):
    """Those that name a resource, as far as one may read them, by kind and id."""

    data: list[Hit]


def search_handlers(engine: ResourceEngine, authority: Authority) -> list[HTTPRouteHandler]:
    """Make the routes."""

    async def scope_of(request: Request[Any, Any, Any], action: str, kind: str, id: str | None) -> Scope:
        found = authority.decide(request.state.principal, action, kind, id)
        return found if isinstance(found, Scope) else await found

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
            scope = await scope_of(request, "list", kind.name, None)
            if not scope.allowed:
                continue
            with contextlib.suppress(NotFound):
                exact.append(_hit(kind, await engine.get(kind.name, q, scope)))
            if len(exact) + len(found) < limit:
                page = await engine.page(kind.name, word=q, limit=limit, scope=scope)
                found += [_hit(kind, view) for view in page.data if view["id"] != q]
        return Hits([*exact, *found][:limit])

    @get(
        f"{PREFIX}/references",
        opt={"action": "list", "resource": "search", "scoped": True},
        summary="The resources that name one, which is not deleted while they do",
        tags=["search"],
    )
    async def references(
        request: Request[Any, Any, Any],
        kind: Annotated[str, QueryParameter(min_length=1, max_length=64)],
        id: Annotated[str, QueryParameter(min_length=1, max_length=256)],
    ) -> Referrers:
        async def seen(kind: str, id: str) -> Hit | None:
            scope = await scope_of(request, "read", kind, id)
            if not scope.allowed:
                return None
            try:
                return _hit(engine.kind(kind), await engine.get(kind, id, scope))
            except NotFound:
                return None

        if await seen(engine.kind(kind).name, id) is None:
            raise not_there(engine.kind(kind), id)
        users = await engine.referrers(kind, id, _MOST_REFERRERS)
        return Referrers([hit for user in sorted(users) if (hit := await seen(*user)) is not None])

    return [search, references]


def _hit(kind: ResourceKind[Any, Any], view: dict[str, Any]) -> Hit:
    name = view.get("name")
    return Hit(kind.name, kind.title, view["id"], name if isinstance(name, str) else None)
