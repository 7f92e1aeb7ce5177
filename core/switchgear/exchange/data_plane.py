"""What the clients of the gateway call: the endpoints and routes of every dialect, by method and path.

None of it goes through a web framework's router, which would cost more than everything the gateway does for a request.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from switchgear.contracts.dialect import (
    Dialect,
    InferenceEndpoint,
    Route,
    RouteReply,
    RouteRequest,
    WebSocketRoute,
)
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.provider import Call
from switchgear.errors import ApiError, InvalidRequest, MethodNotAllowed, NotFound
from switchgear.exchange.broken import error_body
from switchgear.exchange.cors import Cors
from switchgear.exchange.engine import Engine
from switchgear.exchange.forms import FormRequest, is_form
from switchgear.exchange.inbound import Inbound, note_ids
from switchgear.exchange.reply import error_lines
from switchgear.exchange.routes import RouteRunner
from switchgear.paths import Owners, Table

Handler = Callable[[Any], Awaitable[None]]
_NOT_ASKED = frozenset({"", "false"})
"""Values of a parameter that say as much as its absence."""

_Entry = tuple[Dialect, InferenceEndpoint | Route | WebSocketRoute]


class DataPlane:
    """Finds who answers a call. `find` returns None for a path that is no dialect's."""

    def __init__(
        self, *, dialects: Sequence[Dialect], engine: Engine, routes: RouteRunner, cors: Cors | None = None
    ) -> None:
        self._cors = cors or Cors()
        self._has_cors = bool(self._cors)
        self._engine = engine
        self._routes = routes
        self._ambient = routes.ambient
        every: list[tuple[str, _Entry]] = [(e.path, (d, e)) for d in dialects for e in (*d.inference, *d.routes)]
        entries = [(path, entry) for path, entry in every if _when(entry[1]) is None]
        narrowed = [(path, entry) for path, entry in every if _when(entry[1]) is not None]
        self._narrowed = Table(narrowed)
        self._marks = {f"{when[0]}=".encode() for _, (_, e) in narrowed if (when := _when(e)) is not None}
        self._table = Table(entries)
        self._signed = [(header, d) for d in dialects if (header := getattr(d, "own_header", b""))]
        self._owners = Owners([(path, dialect) for path, (dialect, _) in entries])
        self._inference: dict[str, Handler] = {
            path: self._endpoint(d, e)
            for path, found in self._table.exact.items()
            for d, e in found
            if not isinstance(e, (Route, WebSocketRoute))
        }

    def find(self, method: str, path: str) -> Handler | None:
        """Return who answers at a path as it was written: a route has one spelling."""
        handler = self._inference.get(path)
        if handler is None or method != "POST":
            handler = self._route(method, path)
        return partial(self._for_browsers, path, handler) if self._has_cors and handler is not None else handler

    def find_narrowed(self, method: str, path: str, query: bytes) -> Handler | None:
        """Return who answers a request of this query instead of whoever `find` says; None: nobody does."""
        if not any(mark in query for mark in self._marks):
            return None
        found, params = self._narrowed.find(path)
        said = dict(reversed(parse_qsl(query.decode("latin-1"))))
        for dialect, entry in found:
            if not isinstance(entry, Route) or entry.when is None or entry.method != method:
                continue
            value = said.get(entry.when[0], "").lower()
            if value in _NOT_ASKED:
                continue
            handler = self._bound(dialect, entry if value == entry.when[1] else _refusing(entry, entry.when), params)
            return partial(self._for_browsers, path, handler) if self._has_cors else handler
        return None

    def find_socket(self, path: str) -> Handler | None:
        """Return who opens a WebSocket there, None if nobody does."""
        found, params = self._table.find(path)
        for dialect, entry in found:
            if isinstance(entry, WebSocketRoute):
                return partial(self._routes.connect, dialect, entry, params, self._cors)
        return None

    def _route(self, method: str, path: str) -> Handler | None:
        if not self._owners.covers(path) and path not in self._table.exact and self._meant(path) is None:
            return None
        found, params = self._table.find(path)
        wanted = "GET" if method == "HEAD" else method
        for dialect, entry in found:
            if _method(entry) == wanted:
                return self._bound(dialect, entry, params)
        return partial(self._no_route, [_method(entry) for _, entry in found])

    async def _for_browsers(self, path: str, handler: Handler, request: Any) -> None:
        if request.method == "OPTIONS" and self._cors.is_preflight(request):
            methods = [method for _, entry in self._table.find(path)[0] if (method := _method(entry))]
            if methods:
                await self._cors.preflight(methods, request)
                return
        request.lines = self._cors.lines(request)
        await handler(request)

    def _bound(self, dialect: Dialect, entry: Any, params: Mapping[str, str]) -> Handler:
        if isinstance(entry, Route):
            return partial(self._routes.run, dialect, entry, params)
        return self._endpoint(dialect, _InPath(entry, params))

    def _endpoint(self, dialect: Dialect, endpoint: Any) -> Handler:
        run = partial(self._engine.run, dialect, endpoint)
        return partial(self._form, run) if getattr(endpoint, "takes_forms", False) else run

    async def _form(self, run: Handler, request: Inbound) -> None:
        await run(FormRequest(request, self._engine.bodies.most) if is_form(request) else request)

    async def _no_route(self, allowed: Sequence[str], request: Inbound) -> None:
        """Say that nothing is there, or not by this method, as the dialect would whose path is nearest."""
        path = request.path
        meant = None if allowed else self._meant(path)
        dialect = self._owners.of(meant or path)
        if meant is None and not allowed:  # whose a client is, it may say itself
            dialect = next((signed for header, signed in self._signed if header in request.fields), dialect)
        ambient = self._ambient
        x = Exchange(
            ambient.new_id(),
            dialect.name,
            self._routes.resources.snapshot,
            began=ambient.monotonic(),
            started_us=ambient.now_us(),
        )
        note_ids(x, request.fields)
        if dialect.request_id_header is not None:
            x.headers.append((dialect.request_id_header, x.id.encode()))
        error: ApiError
        if not allowed:
            error = NotFound(f"There is no {request.method} {path[:100]}.{_hint(path, meant)}", code="unknown_url")
        else:
            methods = ", ".join(
                dict.fromkeys("GET, HEAD" if method == "GET" else method for method in allowed if method)
            )
            x.headers.append((b"allow", methods.encode()))
            use = f"use {methods}" if methods else "it takes a WebSocket"
            error = MethodNotAllowed(f"{request.method} is not allowed here; {use}.", code="method_not_allowed")
        now_s = ambient.monotonic() - x.began
        await request.whole(
            error.status, error_lines(x, error, now_s), error_body(self._routes.faults, dialect, error, x.id)
        )

    def _meant(self, path: str) -> str | None:
        """Return the path that is meant by one that nobody has, where that is clear."""
        known = self._table.exact
        bare = "/" + "/".join(filter(None, path.split("/")))
        if bare != path and self._table.find(bare)[0]:
            return bare
        if below := next((root[:-1] + bare for root in self._owners.roots if root[:-1] + bare in known), None):
            return below
        rest = "/" + bare[1:].partition("/")[2]
        return rest if rest in known and self._owners.covers(path) else None


def _hint(path: str, meant: str | None) -> str:
    if meant is None:
        return ""
    first = path[1:].partition("/")[0]
    if path == f"/{first}{meant}" and meant.startswith(f"/{first}/"):
        return f" The base URL has /{first} already: {meant[:100]} is meant."
    if path.rstrip("/") == meant:
        return f" {meant[:100]} is meant, without the slash at its end."
    return f" {meant[:100]} is meant: mend the base URL."


class _InPath:
    """An endpoint with parameters in its path, at one path: they are members of its calls."""

    def __init__(self, endpoint: InferenceEndpoint, params: Mapping[str, str]) -> None:
        self.inner = endpoint
        self._params = params

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def parse(self, members: dict[str, Raw], headers: Mapping[bytes, bytes]) -> Call:
        said = {name: Raw(msgspec.json.encode(value)) for name, value in self._params.items()}
        return self.inner.parse(members | said, headers)


def _when(entry: InferenceEndpoint | Route | WebSocketRoute) -> tuple[str, str] | None:
    """Return the parameter of a query without which an entry is not meant."""
    return entry.when if isinstance(entry, Route) else None


def _refusing(route: Route, when: tuple[str, str]) -> Route:
    """Return a route that says, in the place of another, that its parameter has no such value."""

    async def refuse(request: RouteRequest) -> RouteReply:  # noqa: ARG001 - a route's form
        raise InvalidRequest(f"`{when[0]}` is `{when[1]}` or `false`.", param=when[0], code="invalid_value")

    return replace(route, handler=refuse)


def _method(entry: InferenceEndpoint | Route | WebSocketRoute) -> str:
    """Return the method that it is for; empty for a WebSocket, which is none."""
    if isinstance(entry, WebSocketRoute):
        return ""
    return entry.method if isinstance(entry, Route) else "POST"
