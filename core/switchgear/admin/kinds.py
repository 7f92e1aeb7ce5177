"""`GET /admin/v1/kinds`: the kinds of resource there are, each with what a form or a client needs to know of it.

Nothing in it is anybody's, but what one may do oneself: it is what /openapi.json says as well, by kind.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from switchgear.admin.conditions import JSON, PREFIX
from switchgear.authority import Authority
from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Reference, ResourceKind
from switchgear.errors import NotFound, PermissionDenied
from switchgear.resources.views import filter_fields

_OPEN: dict[str, Any] = {"action": "list", "resource": "kinds", "public": True}
_TAGS = ["kinds"]
ACTIONS = ("list", "read", "create", "replace", "patch", "delete", "restore")
"""What every kind has routes for."""


class ActionView(Struct, frozen=True):
    """A verb of one kind; `takes` says whether it is sent a body."""

    name: str
    summary: str
    takes: bool


class KindView(Struct, frozen=True):
    """A kind of resource, as its declaration says (`switchgear.contracts.resource.ResourceKind`).

    summary     what one is, in a sentence
    id          who names one: `client`, or `gateway`
    references  fields that hold ids of others; the kind `callable` stands for all whose ids are names of models
    secrets     paths of fields that are written and shown masked
    filters     fields that a list may be filtered by
    scoped      whether an authorizer can limit a principal to part of them, as those of its team
    """

    name: str
    title: str
    group: str
    summary: str
    id: str
    id_slashes: bool
    callable: bool
    restorable: bool
    scoped: bool
    references: tuple[Reference, ...]
    secrets: tuple[str, ...]
    once: tuple[str, ...]
    filters: tuple[str, ...]
    actions: tuple[ActionView, ...]


class Allowed(Struct, frozen=True):
    """The actions that the caller may take on resources of a kind, on all of them or on those within the caller's bounds.

    An action that is refused only now, because there are too many keys already for instance, is listed: the refusal says why.
    """

    actions: list[str]


def kind_list(kinds: Mapping[str, ResourceKind[Any, Any]], authority: Authority) -> list[HTTPRouteHandler]:
    """Make the routes."""

    @cache
    def listed() -> bytes:
        return msgspec.json.encode({"data": [_view(kind) for kind in kinds.values()]})

    @cache
    def described(name: str) -> bytes:
        return msgspec.json.encode({**msgspec.to_builtins(_view(kinds[name])), **_schemas(kinds[name])})

    @get(f"{PREFIX}/kinds", opt=_OPEN, sync_to_thread=False, summary="The kinds of resource there are", tags=_TAGS)
    def list_kinds() -> Response[bytes]:
        return Response(listed(), media_type=JSON)

    @get(
        f"{PREFIX}/kinds/{{name:str}}",
        opt=_OPEN,
        sync_to_thread=False,
        summary="A kind of resource, with JSON Schemas of what is written and shown",
        tags=_TAGS,
    )
    def get_kind(name: FromPath[str]) -> Response[bytes]:
        return Response(described(_known(kinds, name).name), media_type=JSON)

    @get(
        f"{PREFIX}/kinds/{{name:str}}/allowed",
        opt={"action": "read", "resource": "kinds", "scoped": True, "id": ""},
        summary="The actions that the caller may take on resources of a kind",
        tags=_TAGS,
    )
    async def allowed(request: Request[Any, Any, Any], name: FromPath[str]) -> Allowed:
        kind = _known(kinds, name)
        wanted = (*ACTIONS, *(it.name for it in kind.actions))
        return Allowed([it for it in wanted if await _may(authority, request.state.principal, it, kind.name)])

    return [list_kinds, get_kind, allowed]


async def _may(authority: Authority, by: Principal, action: str, kind: str) -> bool:
    try:
        return (await authority.scope(by, action, kind, None)).allowed
    except PermissionDenied:
        return True


def _known(kinds: Mapping[str, ResourceKind[Any, Any]], name: str) -> ResourceKind[Any, Any]:
    if name not in kinds:
        raise NotFound(f"There is no kind of resource `{name[:80]}` here.", code="not_found")
    return kinds[name]


def _view(kind: ResourceKind[Any, Any]) -> KindView:
    secrets = kind.secrets({}) if callable(kind.secrets) else kind.secrets
    written = re.split(r"\n\s*\n|(?<=[.]) ", (kind.spec.__doc__ or "").strip(), maxsplit=1)[0]
    return KindView(
        name=kind.name,
        title=kind.title,
        group=kind.group,
        summary=" ".join(written.split()),
        id="client" if kind.id_prefix is None else "gateway",
        id_slashes=kind.id_slashes,
        callable=kind.callable,
        restorable=kind.restorable,
        scoped=bool(kind.scope),
        references=kind.references,
        secrets=tuple(secrets),
        once=kind.once,
        filters=tuple(filter_fields(kind)),
        actions=tuple(ActionView(it.name, it.summary, it.input is not None) for it in kind.actions),
    )


def _schemas(kind: ResourceKind[Any, Any]) -> dict[str, Any]:
    from switchgear.admin.openapi import KindTypes  # noqa: PLC0415 - costs start-up time that few requests need

    types = KindTypes(kind)
    inputs = {it.name: it.input for it in kind.actions if it.input is not None}
    wanted = [types.create, types.replace, types.view, *inputs.values()]
    (create, replace, view, *others), components = msgspec.json.schema_components(wanted, ref_template="#/$defs/{name}")
    schemas = {"create": create, "replace": replace, "view": view, "actions": dict(zip(inputs, others, strict=True))}
    return {"schemas": schemas, "$defs": components}
