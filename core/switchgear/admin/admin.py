"""The generated admin API: for every resource kind the same routes under /admin/v1/KIND, from its declaration alone.

Every handler declares in its `opt` the `action` and `resource` it is about; the guard asks the authority for just that, and
refuses a handler that declares nothing. Who it is, and within what bounds, is in the request's state (`principal`, `scope`).
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from litestar import Request, Response, delete, get, patch, post, put
from litestar.connection import ASGIConnection
from litestar.datastructures import MutableScopeHeaders, State
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.params import FromPath
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from switchgear.admin import conditions, problems, replay
from switchgear.admin.app import App
from switchgear.admin.docs import docs_handlers
from switchgear.admin.kinds import kind_list
from switchgear.admin.replay import Answer
from switchgear.admin.search import search_handlers
from switchgear.authority import Authority
from switchgear.contracts.dialect import Dialect
from switchgear.contracts.principal import Credentials
from switchgear.errors import PermissionDenied
from switchgear.plugin_faults import PluginFaults
from switchgear.resources import Remember, ResourceEngine, Terms
from switchgear.resources.body import parse_json, plain, refuse
from switchgear.resources.engine import MAX_PAGE
from switchgear.resources.shape import decode
from switchgear.resources.views import Written

MAX_BODY = 1024 * 1024
MAX_VERSION = 2**62
KIND_IN_PATH = "{kind}"
"""What generated handlers declare for their `resource`: the kind that the path names."""

AnyRequest = Request[Any, Any, Any]
Reply = Response[bytes | None]


def create_admin_app(
    engine: ResourceEngine,
    *,
    authority: Authority,
    extra_handlers: Sequence[HTTPRouteHandler] = (),
    max_body: int = MAX_BODY,
    dialects: Sequence[Dialect] = (),
    root_path: str = "",
    faults: PluginFaults | None = None,
) -> App:
    """Make the Litestar application of the admin side: routes of all kinds, `extra_handlers`, API description and docs.

    `extra_handlers` declare `opt={"action": …, "resource": …}` as the generated ones do; `"public": True` instead opens one
    to everybody. One that keeps to `request.state.scope` says `"scoped": True`; the others are closed to who has bounds.
    `"id"` is the path parameter that names the resource, if that is not `id`. Bodies over `max_body` bytes are refused.
    """

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        if handler.opt.get("public") is True:
            return
        action, resource = handler.opt.get("action"), handler.opt.get("resource")
        if not isinstance(action, str) or not isinstance(resource, str):
            raise PermissionDenied("this route declares neither action nor resource, so nobody may use it")
        parameters = connection.path_params
        parameters.update({name: it.replace("%2F", "/") for name, it in parameters.items() if isinstance(it, str)})
        id = parameters.get(handler.opt.get("id", "id"))
        connection.state.principal, connection.state.scope = await authority.enter(
            _credentials(connection),
            action,
            _kind(connection) if resource == KIND_IN_PATH else resource,
            None if id is None else str(id),
            scoped=handler.opt.get("scoped") is True,
        )

    extra_handlers = [*kind_list(engine.kinds, authority), *search_handlers(engine, authority), *extra_handlers]
    return App(
        [*kind_handlers(engine), *extra_handlers, *docs_handlers(engine.kinds, extra_handlers, dialects, root_path)],
        guards=[guard],
        exception_handlers={Exception: problems.to_response},
        before_send=[_before_send],
        state=State({"ambient": engine.ambient, "faults": faults}),
        request_max_body_size=max_body,
        etag=None,
    )


def as_written(app: ASGIApp, root_path: str = "") -> ASGIApp:
    """Let `%2F` in a path be part of an id, as `aliases/acme%2Fgpt-4o`, instead of ending it: servers decode it before anyone
    can tell. Once the path is divided it is a slash again. Where an answer says where something is, it is below `root_path`.
    """
    root = root_path.encode()

    async def keeping(scope: Scope, receive: Receive, send: Send) -> None:
        written: bytes = scope.get("raw_path") or b""
        if b"%2f" in written.lower():
            parts = re.split("%2f", written.partition(b"?")[0].decode("latin-1"), flags=re.IGNORECASE)
            scope["path"] = "%2F".join(map(unquote, parts))

        async def rooted(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    (name, root + value if name == b"location" and value.startswith(b"/") else value)
                    for name, value in message["headers"]
                ]
            await send(message)

        await app(scope, receive, rooted if root else send)

    return keeping


def _credentials(connection: ASGIConnection[Any, Any, Any, Any]) -> Credentials:
    client = connection.scope["client"]
    return Credentials(
        dict(connection.scope["headers"]), None if client is None else client[0], str(connection.scope.get("method"))
    )


async def _before_send(message: Message, scope: Scope) -> None:
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders.from_message(message)
        headers["x-request-id"] = problems.request_id(scope)
        headers["x-content-type-options"] = "nosniff"
        headers.setdefault("cache-control", "no-store")


def _declares(action: str) -> dict[str, Any]:
    """Return what a generated handler's `opt` says it is about."""
    return {"action": action, "resource": KIND_IN_PATH, "scoped": True}


def _kind(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return the kind that the path of a generated route names."""
    return connection.scope["path_template"].split("/")[3]


def kind_handlers(engine: ResourceEngine) -> list[HTTPRouteHandler]:
    """Make the route handlers of resources. Each serves its path below every kind: Litestar takes its time over a handler."""
    every = [f"{conditions.PREFIX}/{name}" for name in engine.kinds]
    one = [f"{path}/{{id:str}}" for path in every]
    actions: dict[str, list[str]] = {}
    for path, kind in zip(one, engine.kinds.values(), strict=True):
        for action in kind.actions:
            actions.setdefault(action.name, []).append(f"{path}/{action.name}")
    return [
        *_reading(engine, every, one),
        *_writing(engine, every, one),
        *(_action(engine, name, paths) for name, paths in actions.items()),
    ]


def _reading(engine: ResourceEngine, every: list[str], one: list[str]) -> list[HTTPRouteHandler]:
    @get(every, opt=_declares("list"))
    async def list_resources(request: AnyRequest) -> Reply:
        found = conditions.parameters(request)
        limit = conditions.number(found, "limit", default=100, least=1, most=MAX_PAGE)
        assert limit is not None
        cursor, word, prefix = found.pop("cursor", None), found.pop("q", None), found.pop("prefix", None)
        scope = request.state.scope
        return _reply(
            await engine.page(
                _kind(request), cursor=cursor, limit=limit, equals=found, word=word, prefix=prefix, scope=scope
            )
        )

    @get(one, opt=_declares("read"))
    async def get_resource(request: AnyRequest, id: FromPath[str]) -> Reply:
        view = await engine.get(_kind(request), id, request.state.scope)
        headers = {"etag": conditions.etag(view["version"])}
        if conditions.is_known(request, view["version"]):
            return Response(None, status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return _reply(view, headers)

    @get([f"{path}/versions" for path in one], opt=_declares("read"))
    async def list_versions(request: AnyRequest, id: FromPath[str]) -> Reply:
        found = conditions.parameters(request)
        limit = conditions.number(found, "limit", default=100, least=1, most=MAX_PAGE)
        before = conditions.number(found, "cursor", default=None, least=1, most=MAX_VERSION)
        conditions.no_more(found)
        assert limit is not None
        scope = request.state.scope
        versions = await engine.versions(_kind(request), id, before=before, limit=limit, scope=scope)
        more = len(versions) == limit and versions[-1]["version"] > 1
        return _reply({"data": versions, "next_cursor": str(versions[-1]["version"]) if more else None})

    @get([f"{path}/versions/{{version:int}}" for path in one], opt=_declares("read"))
    async def get_version(request: AnyRequest, id: FromPath[str], version: FromPath[int]) -> Reply:
        wanted = version if 0 < version < MAX_VERSION else 0
        return _reply(await engine.version(_kind(request), id, wanted, request.state.scope))

    return [list_resources, get_resource, list_versions, get_version]


def _writing(engine: ResourceEngine, every: list[str], one: list[str]) -> list[HTTPRouteHandler]:
    @post(every, opt=_declares("create"), status_code=HTTPStatus.CREATED)
    async def create_resource(request: AnyRequest) -> Reply:
        body = await _body(request, conditions.JSON)
        return await replay.write(
            engine,
            request,
            lambda it: engine.create(_kind(request), body, _terms(request, it)),
            lambda it: _created(_kind(request), it),
        )

    @put(one, opt=_declares("replace"))
    async def replace_resource(request: AnyRequest, id: FromPath[str]) -> Reply:
        body = await _body(request, conditions.JSON)
        return await replay.write(
            engine,
            request,
            lambda it: engine.replace(_kind(request), id, body, _terms(request, it)),
            _changed,
        )

    @patch(one, opt=_declares("patch"))
    async def patch_resource(request: AnyRequest, id: FromPath[str]) -> Reply:
        body = await _body(request, conditions.MERGE_PATCH, conditions.JSON)
        return await replay.write(
            engine, request, lambda it: engine.patch(_kind(request), id, body, _terms(request, it)), _changed
        )

    @delete(one, opt=_declares("delete"), status_code=HTTPStatus.OK)
    async def delete_resource(request: AnyRequest, id: FromPath[str]) -> Reply:
        return await replay.write(
            engine,
            request,
            lambda it: engine.delete(_kind(request), id, _terms(request, it)),
            lambda _: Answer(HTTPStatus.NO_CONTENT),
        )

    @post([f"{path}/restore" for path in one], opt=_declares("restore"), status_code=HTTPStatus.OK)
    async def restore_version(request: AnyRequest, id: FromPath[str]) -> Reply:
        wanted, wrong = decode(conditions.Restore, plain(await _body(request, conditions.JSON)))
        refuse(wrong)
        assert wanted is not None
        version = wanted.version if 0 < wanted.version < MAX_VERSION else 0
        return await replay.write(
            engine,
            request,
            lambda it: engine.restore(_kind(request), id, version, _terms(request, it)),
            _changed,
        )

    return [create_resource, replace_resource, patch_resource, delete_resource, restore_version]


def _action(engine: ResourceEngine, name: str, paths: list[str]) -> HTTPRouteHandler:
    @post(paths, opt=_declares(name), status_code=HTTPStatus.OK)
    async def act(request: AnyRequest, id: FromPath[str]) -> Reply:
        body = await _body(request, conditions.JSON) if await request.body() else None
        return await replay.write(
            engine,
            request,
            lambda it: engine.act(_kind(request), id, name, body, _terms(request, it)),
            _changed,
        )

    return act


async def _body(request: AnyRequest, *accepted: str) -> Any:
    conditions.require_media(request, *accepted)
    return parse_json(await request.body())


def _terms(request: AnyRequest, remember: Remember | None) -> Terms:
    state = request.state
    return Terms(state.principal, conditions.expected_versions(request), remember, state.scope)


def _created(kind: str, written: Written) -> Answer:
    headers = {
        "location": f"{conditions.PREFIX}/{kind}/{quote(written.id, safe='')}",
        "etag": conditions.etag(written.version),
    }
    return Answer(HTTPStatus.CREATED, headers, written.view, written.once)


def _changed(written: Written) -> Answer:
    return Answer(HTTPStatus.OK, {"etag": conditions.etag(written.version)}, written.view, written.once)


def _reply(content: Any, headers: Mapping[str, str] | None = None) -> Reply:
    return Response(msgspec.json.encode(content), media_type=conditions.JSON, headers=dict(headers or {}))
