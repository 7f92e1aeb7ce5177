"""The data plane: raw ASGI in front of the admin application, a dictionary of exact paths to dialect endpoints.

A Litestar route costs more than everything the gateway does for a request, so inference paths never enter its router.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from switchgear.ambient import Ambient
from switchgear.contracts.caller import Authenticator, Caller
from switchgear.contracts.dialect import Dialect, InferenceEndpoint, QueryEndpoint, QueryRequest
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.resource import Resources
from switchgear.edge.reply import HttpReply
from switchgear.errors import (
    ApiError,
    AuthenticationFailed,
    ClientGone,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    Unavailable,
    UnsupportedMedia,
)
from switchgear.exchange.bearer import identify, token_of
from switchgear.exchange.engine import Engine
from switchgear.exchange.reply import error_headers, printable
from switchgear.telemetry.logs import REQUEST_ID
from switchgear.upstream.watch import Watch
from switchgear.wire.members import parse_object


class DataPlane:
    """Serves the endpoints of every dialect and hands all other paths to `fallback`."""

    def __init__(
        self,
        *,
        dialects: Sequence[Dialect],
        authenticators: Sequence[Authenticator],
        engine: Engine,
        resources: Resources,
        ambient: Ambient,
        log: FilteringBoundLogger,
        total_timeout_s: float,
        body_cap: int,
        fallback: ASGIApp,
    ) -> None:
        self._loop = asyncio.get_running_loop()  # asked for once: each time is a system call before Python 3.12
        self._engine = engine
        self._in_flight = engine.in_flight
        self._authenticators = tuple(authenticators)
        self._resources = resources
        self._ambient = ambient
        self._log = log
        self._total_timeout_s = total_timeout_s
        self._body_cap = body_cap
        self._fallback = fallback
        self._inference = {e.path: (d, e) for d in dialects for e in d.inference}
        self._queries = {e.path: (d, e) for d in dialects for e in d.queries if not e.path.endswith("/")}
        self._prefixes = tuple((e.path, d, e) for d in dialects for e in d.queries if e.path.endswith("/"))
        self._default = dialects[0] if dialects else None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Route a request."""
        path: str = scope["path"]
        route = self._inference.get(path)
        if route is not None and scope["method"] == "POST":  # type: ignore[typeddict-item]  # the edge serves HTTP only
            return self._infer(route[0], route[1], scope, receive, send)
        if not path.startswith("/v1/"):
            return self._fallback(scope, receive, send)
        return self._query(path, scope, receive, send)

    async def _infer(
        self, dialect: Dialect, endpoint: InferenceEndpoint, scope: Any, receive: Receive, send: Send
    ) -> None:
        ambient = self._ambient
        x = Exchange(
            ambient.new_id(),
            dialect.name,
            self._resources.snapshot,
            began=ambient.monotonic(),
            started_us=ambient.now_us(),
        )
        REQUEST_ID.set(x.id)
        if dialect.request_id_header is not None:
            x.headers.append((dialect.request_id_header, x.id.encode()))
        reply = HttpReply(send)
        watch = Watch(self._loop, self._total_timeout_s)
        peer = scope.get("switchgear.peer")
        if peer is not None:
            peer.on_lost = lambda: watch.abort(_gone())
        try:
            headers: Mapping[bytes, bytes] = dict(scope["headers"])
            _note_ids(x, headers)
            as_of = self._in_flight.revision
            x.retried = headers.get(dialect.retry_count_header, b"0") != b"0"
            x.caller = await self._authenticate(headers)
            x.authenticated_s = ambient.monotonic() - x.began
            body = await self._read(headers, receive)
            x.request_bytes = len(body)
            x.call = endpoint.parse(parse_object(body), headers)
            x.call.model = x.snapshot.meant(x.call.model)
            if b"x-switchgear-strict" in headers:
                x.strict = _read_strict(headers[b"x-switchgear-strict"])
            while as_of != self._in_flight.revision:
                # Somebody's key changed while this caller was looked up or its body was on the way.
                as_of = self._in_flight.revision
                x.caller = await self._authenticate(headers)
        except asyncio.CancelledError:
            cause = watch.cause()
            watch.close()
            if cause is None:
                raise
            return
        except ApiError as error:
            watch.close()
            if not isinstance(error, ClientGone):
                await self._refuse(x, dialect, reply, error)
            return
        except Exception as error:  # noqa: BLE001 - answered as a 500 and logged with its traceback
            watch.close()
            self._log.error("request failed", request_id=x.id, exc_info=error)
            await self._refuse(x, dialect, reply, _bug())
            return
        await self._engine.run(x, dialect, endpoint, reply, watch)

    async def _query(self, path: str, scope: Any, receive: Receive, send: Send) -> None:
        ambient = self._ambient
        x = Exchange(
            ambient.new_id(), "", self._resources.snapshot, began=ambient.monotonic(), started_us=ambient.now_us()
        )
        reply = HttpReply(send)
        dialect, endpoint, rest = self._find(path)
        if dialect is None:
            await self._fallback(scope, receive, send)
            return
        try:
            headers = dict(scope["headers"])
            _note_ids(x, headers)
            if endpoint is None or scope["method"] not in ("GET", "HEAD"):
                allowed = "GET, HEAD" if endpoint is not None else "POST" if path in self._inference else None
                if allowed is not None:
                    x.headers.append((b"allow", allowed.encode()))
                await self._refuse(x, dialect, reply, _no_route(scope["method"], path, allowed))
                return
            caller = await self._authenticate(headers)
            x.authenticated_s = ambient.monotonic() - x.began
            answer = endpoint.handle(QueryRequest(caller, x.snapshot, rest, headers))
            own = [(b"x-request-id", x.id.encode()), *answer.headers]
            await reply.whole(answer.status, own, answer.body)
        except ApiError as error:
            await self._refuse(x, dialect, reply, error)
        except Exception as error:  # noqa: BLE001 - answered as a 500 and logged with its traceback
            self._log.error("request failed", request_id=x.id, exc_info=error)
            await self._refuse(x, dialect, reply, _bug())

    def _find(self, path: str) -> tuple[Dialect | None, QueryEndpoint | None, str]:
        exact = self._queries.get(path)
        if exact is not None:
            return exact[0], exact[1], ""
        for prefix, dialect, endpoint in self._prefixes:
            if path.startswith(prefix) and len(path) > len(prefix):
                return dialect, endpoint, path[len(prefix) :]
        route = self._inference.get(path)
        return (route[0] if route is not None else self._default), None, ""

    async def _authenticate(self, headers: Mapping[bytes, bytes]) -> Caller:
        token = token_of(headers)
        if token is None:
            raise AuthenticationFailed("No API key was sent; use `Authorization: Bearer`.", code="invalid_api_key")
        caller = await identify(token, self._authenticators)
        if caller is not None:
            return caller
        if not self._authenticators:
            message = "No authenticator is enabled in plugins.toml, so no key can be valid."
            raise Unavailable(message, code="no_authenticator")
        raise AuthenticationFailed("Incorrect API key provided.", code="invalid_api_key")

    async def _read(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        media = headers.get(b"content-type", b"application/json")
        if b"json" not in media:
            raise UnsupportedMedia("The request body must be JSON (`content-type: application/json`).")
        message: Any = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            body: bytes = message["body"]
            if len(body) > self._body_cap:
                raise self._too_large()
            return body
        pieces: list[bytes] = []
        size = 0
        while True:
            if message["type"] == "http.disconnect":
                raise _gone()
            size += len(message.get("body", b""))
            if size > self._body_cap:
                raise self._too_large()
            pieces.append(message.get("body", b""))
            if not message.get("more_body"):
                return b"".join(pieces)
            message = await receive()

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(f"The request body is larger than {self._body_cap} bytes.", code="body_too_large")

    async def _refuse(self, x: Exchange, dialect: Dialect, reply: HttpReply, error: ApiError) -> None:
        now_s = self._ambient.monotonic() - x.began
        await reply.whole(error.status, error_headers(x, error, now_s), dialect.error(error, x.id))


def _read_strict(value: bytes) -> bool:
    word = value.strip().lower()
    if word not in (b"true", b"false"):
        message = "The header `x-switchgear-strict` is `true` or `false`."
        raise InvalidRequest(message, param="x-switchgear-strict", code="invalid_header")
    return word == b"true"


def _note_ids(x: Exchange, headers: Mapping[bytes, bytes]) -> None:
    theirs = headers.get(b"x-request-id")
    if theirs is not None:
        x.client_request_id = printable(theirs.decode("latin-1")).decode() or None
    trace = headers.get(b"traceparent")
    if trace is not None and _is_traceparent(trace):
        x.trace = trace.decode()


def _is_traceparent(value: bytes) -> bool:
    """Check a W3C Trace Context version 00 header."""
    parts = value.split(b"-")
    return (
        [len(p) for p in parts] == [2, 32, 16, 2]
        and all(c in b"0123456789abcdef-" for c in value)
        and parts[0] == b"00"
    )


def _no_route(method: str, path: str, allowed: str | None) -> ApiError:
    if allowed is not None:
        return MethodNotAllowed(f"{method} is not allowed here; use {allowed}.", code="method_not_allowed")
    return NotFound(f"There is no {method} {path[:100]}.", code="unknown_url")


def _gone() -> ClientGone:
    return ClientGone("The client closed the connection.", code="client_gone")


def _bug() -> InternalError:
    return InternalError("The gateway failed. Its log has the details under this request id.", code="internal_error")
