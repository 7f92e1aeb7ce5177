"""What the clients of the gateway call: the endpoints of every dialect, by method and path.

None of it goes through a web framework's router, which would cost more than everything the gateway does for a request.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from structlog.typing import FilteringBoundLogger

from switchgear.ambient import Ambient
from switchgear.authority import Authority
from switchgear.contracts.dialect import Dialect, QueryEndpoint, QueryRequest
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.principal import Credentials, Principal
from switchgear.contracts.resource import Resources
from switchgear.errors import ApiError, InternalError, MethodNotAllowed, NotFound
from switchgear.exchange.engine import Engine, note_ids
from switchgear.exchange.inbound import Inbound
from switchgear.exchange.reply import error_lines, header_lines

Handler = Callable[[Inbound], Awaitable[None]]


class DataPlane:
    """Finds who answers a call. `find` returns None for a path that is no dialect's."""

    def __init__(
        self,
        *,
        dialects: Sequence[Dialect],
        authority: Authority,
        engine: Engine,
        resources: Resources,
        ambient: Ambient,
        log: FilteringBoundLogger,
    ) -> None:
        self._resources = resources
        self._ambient = ambient
        self._authority = authority
        self._identify = engine.identify
        self._log = log
        every = [(path, d) for d in dialects for path in (*(e.path for e in d.inference), *(e.path for e in d.queries))]
        self._dialects = dict(every)
        self._inference: dict[str, Handler] = {e.path: partial(engine.run, d, e) for d in dialects for e in d.inference}
        self._queries = {
            e.path: partial(self._query, d, e, "") for d in dialects for e in d.queries if e.path[-1] != "/"
        }
        self._prefixes = tuple((e.path, d, e) for d in dialects for e in d.queries if e.path[-1] == "/")
        self._default = dialects[0] if dialects else None
        self._roots = tuple({root for path, _ in every if (root := _root(path))})

    def find(self, method: str, path: str) -> Handler | None:
        """Return who answers."""
        handler = self._inference.get(path)
        if handler is not None and method == "POST":
            return handler
        if not path.startswith(self._roots):
            return None
        query = self._queries.get(path)
        if query is None:
            for prefix, dialect, endpoint in self._prefixes:
                if path.startswith(prefix) and len(path) > len(prefix):
                    query = partial(self._query, dialect, endpoint, path[len(prefix) :])
                    break
        if query is not None and method in ("GET", "HEAD"):
            return query
        allowed = "GET, HEAD" if query is not None else "POST" if path in self._inference else None
        return partial(self._no_route, allowed)

    async def _query(self, dialect: Dialect, endpoint: QueryEndpoint, rest: str, request: Inbound) -> None:
        x = self._exchange(dialect)
        try:
            headers = dict(request.headers)
            note_ids(x, headers)
            found = self._identify(Credentials(headers, request.peer))
            principal = found if isinstance(found, Principal) else await found
            may = partial(self._authority.may, principal)
            answer = await endpoint.handle(QueryRequest(principal, x.snapshot, rest, headers, may))
            lines = b"x-request-id: %b\r\n" % x.id.encode() + header_lines(answer.headers)
            await request.whole(answer.status, lines, answer.body)
        except ApiError as error:
            await self._refuse(x, dialect, request, error)
        except Exception as error:  # noqa: BLE001 - answered as a 500 and logged with its traceback
            self._log.error("request failed", request_id=x.id, exc_info=error)
            message = "The gateway failed. Its log has the details under this request id."
            await self._refuse(x, dialect, request, InternalError(message, code="internal_error"))

    async def _no_route(self, allowed: str | None, request: Inbound) -> None:
        dialect = self._dialects.get(request.path, self._default)
        assert dialect is not None
        x = self._exchange(dialect)
        note_ids(x, dict(request.headers))
        error: ApiError
        if allowed is None:
            error = NotFound(f"There is no {request.method} {request.path[:100]}.", code="unknown_url")
        else:
            x.headers.append((b"allow", allowed.encode()))
            error = MethodNotAllowed(f"{request.method} is not allowed here; use {allowed}.", code="method_not_allowed")
        await self._refuse(x, dialect, request, error)

    def _exchange(self, dialect: Dialect) -> Exchange:
        """Make what an answer is told by that is not of an inference call."""
        ambient = self._ambient
        return Exchange(
            ambient.new_id(),
            dialect.name,
            self._resources.snapshot,
            began=ambient.monotonic(),
            started_us=ambient.now_us(),
        )

    async def _refuse(self, x: Exchange, dialect: Dialect, request: Inbound, error: ApiError) -> None:
        now_s = self._ambient.monotonic() - x.began
        await request.whole(error.status, error_lines(x, error, now_s), dialect.error(error, x.id))


def _root(path: str) -> str:
    """Return the first segment of a path with both slashes: everything below is the dialects'."""
    return path[: path.find("/", 1) + 1]
