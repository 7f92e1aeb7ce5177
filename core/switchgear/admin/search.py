"""Resources of any kind: `GET /admin/v1/search` finds them by id or a word, `GET /admin/v1/references` by what they name."""

import contextlib
from typing import Annotated, Any

from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from msgspec import Struct

from switchgear.admin.conditions import PREFIX
from switchgear.authority import Authority
from switchgear.contracts.resource import ResourceKind
from switchgear.errors import NotFound
from switchgear.resources.conflicts import not_there
from switchgear.resources.engine import ResourceEngine

_OPT = {"action": "list", "resource": "search", "scoped": True}
_TAGS = ["search"]
_MOST_REFERRERS = 100
AnyRequest = Request[Any, Any, Any]


class Hit(Struct, frozen=True):
    """A resource that was found; `title` is its kind's, `name` its own where it has one."""

    kind: str
    title: str
    id: str
    name: str | None


class Hits(Struct, frozen=True):
    """Those whose id is what was asked for, then the others, each in the order of kinds."""

    data: list[Hit]


class Referrers(Struct, frozen=True):
    """Those that name a resource, as far as one may read them, by kind and id. With `more` there are others besides."""

    data: list[Hit]
    more: bool


def search_handlers(engine: ResourceEngine, authority: Authority) -> list[HTTPRouteHandler]:
    """Make the routes."""
    return [_search(engine, authority), _references(engine, authority)]


def _search(engine: ResourceEngine, authority: Authority) -> HTTPRouteHandler:
    @get(
        f"{PREFIX}/search",
        opt=_OPT,
        summary="Resources of any kind by their id, or a word in id or name",
        description="Of each kind as much is looked through as for one page of its list, and only of kinds that one may list.",
        tags=_TAGS,
    )
    async def search(
        request: AnyRequest,
        q: Annotated[str, QueryParameter(min_length=1, max_length=256)],
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
    ) -> Hits:
        exact: list[Hit] = []
        found: list[Hit] = []
        for kind in engine.kinds.values():
            scope = await authority.scope(request.state.principal, "list", kind.name, None)
            if not scope.allowed:
                continue
            with contextlib.suppress(NotFound):
                exact.append(_hit(kind, await engine.get(kind.name, q, scope)))
            if len(exact) + len(found) < limit:
                page = await engine.page(kind.name, word=q, limit=limit, scope=scope)
                found += [_hit(kind, view) for view in page.data if view["id"] != q]
        return Hits([*exact, *found][:limit])

    return search


def _references(engine: ResourceEngine, authority: Authority) -> HTTPRouteHandler:
    async def seen(request: AnyRequest, kind: str, id: str) -> Hit | None:
        scope = await authority.scope(request.state.principal, "read", kind, id)
        if not scope.allowed:
            return None
        with contextlib.suppress(NotFound):
            return _hit(engine.kind(kind), await engine.get(kind, id, scope))
        return None

    @get(
        f"{PREFIX}/references",
        opt=_OPT,
        summary="The resources that name one, which is not deleted while they do",
        tags=_TAGS,
    )
    async def references(
        request: AnyRequest,
        kind: Annotated[str, QueryParameter(min_length=1, max_length=64)],
        id: Annotated[str, QueryParameter(min_length=1, max_length=256)],
    ) -> Referrers:
        declared = engine.kind(kind)
        if await seen(request, kind, id) is None:
            raise not_there(declared, id)
        found = await engine.referrers(kind, id, _MOST_REFERRERS + 1)
        shown = [await seen(request, *it) for it in sorted(found[:_MOST_REFERRERS])]
        return Referrers([it for it in shown if it is not None], more=len(found) > _MOST_REFERRERS)

    return references


def _hit(kind: ResourceKind[Any, Any], view: dict[str, Any]) -> Hit:
    name = view.get("name")
    return Hit(kind.name, kind.title, view["id"], name if isinstance(name, str) else None)
