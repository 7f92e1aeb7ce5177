"""`?async=true`, and the operations that come of it. Whoever asks for somebody else's is told that there is none."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from switchgear import Context
from switchgear.contracts.dialect import (
    InferenceEndpoint,
    Route,
    RouteReply,
    RouteRequest,
    WebSocketRoute,
    check_callable,
)
from switchgear.contracts.times import timestamp
from switchgear.errors import ApiError, Conflict, InvalidRequest, NotFound, UnsupportedMedia
from switchgear.wire.members import parse_object
from switchgear.wire.texts import write
from switchgear_plugins.operations.book import UNENDED, Book, Operation
from switchgear_plugins.operations.runner import Runner
from switchgear_plugins.operations.settings import OperationsSettings

_MOST_LISTED = 100
_encode = msgspec.json.Encoder().encode
_KEPT = ("anthropic-version", "anthropic-beta", "x-switchgear-strict", "traceparent")
"""Headers of a request that its endpoint, or the engine, looks at."""


class OperationsDialect:
    """The paths, and errors in the shape of OpenAI's API."""

    name = "operations"
    request_id_header: bytes | None = None
    retry_count_header: bytes = b""
    inference: tuple[InferenceEndpoint, ...] = ()

    def __init__(self, context: Context, book: Book, runner: Runner, settings: OperationsSettings) -> None:
        self._context = context
        self._book = book
        self._runner = runner
        asked = (
            Route(
                "POST",
                path,
                self._accepting(path),
                open_to="principals",
                max_body=settings.most_bytes,
                when=("async", "true"),
                summary="Answer with 202 and an operation at once, and do what is asked in the background",
            )
            for path in settings.paths
        )
        self.routes: tuple[Route | WebSocketRoute, ...] = (
            *asked,
            Route(
                "GET", "/v1/operations", self._list, open_to="principals", summary="List operations, or those of `ids`"
            ),
            Route("GET", "/v1/operations/{id}", self._read, open_to="principals", summary="Get an operation"),
            Route("DELETE", "/v1/operations/{id}", self._cancel, open_to="principals", summary="Cancel an operation"),
        )

    def error(self, error: ApiError, request_id: str) -> bytes:
        """Encode an error."""
        said = {**error.extra, "message": error.message, "type": error.type, "param": error.param, "code": error.code}
        return _encode({"error": said, "request_id": request_id})

    def _accepting(self, path: str) -> Any:
        async def accept(request: RouteRequest) -> RouteReply:
            return await self._accept(path, request)

        return accept

    async def _accept(self, path: str, request: RouteRequest) -> RouteReply:
        found = self._context.dry_run.endpoints.get(path)
        if found is None:
            raise NotFound(f"There is no POST {path[:100]}.", code="unknown_url")
        if request.media_type and "json" not in request.media_type:
            raise UnsupportedMedia("The request body must be JSON (`content-type: application/json`).")
        members = parse_object(await request.body()) | {name: write(it) for name, it in request.params.items()}
        call = found[1].parse(members, request.headers)
        await check_callable(request, call.model)
        headers = {name: value.decode("latin-1") for name in _KEPT if (value := request.headers.get(name.encode()))}
        replay = _replay(request.headers)
        id, is_new = await self._book.create(
            f"op-{_uuid(self._context.ambient.new_id())}",
            request.principal.id,
            path,
            call.model,
            headers,
            _encode(members),
            replay,
        )
        if is_new:
            await self._runner.enqueue(id, 0)
        operation = await self._mine(id, request)
        location = (b"location", f"/v1/operations/{id}".encode())
        return RouteReply(shown(operation), status=202, headers=(location,))

    async def _read(self, request: RouteRequest) -> RouteReply:
        return RouteReply(shown(await self._mine(request.params["id"], request)))

    async def _cancel(self, request: RouteRequest) -> RouteReply:
        operation = await self._mine(request.params["id"], request)
        if operation.state in UNENDED:
            await self._runner.cancel(operation)
            operation = await self._mine(operation.id, request)
        if operation.state != "cancelled":
            raise Conflict(f"This operation has {operation.state} already.", code="operation_ended")
        return RouteReply(shown(operation))

    async def _list(self, request: RouteRequest) -> RouteReply:
        ids = request.query.get("ids")
        if ids is not None:
            wanted = ids.split(",")
            if len(wanted) > _MOST_LISTED:
                raise InvalidRequest(
                    f"`ids` names at most {_MOST_LISTED} operations.", param="ids", code="invalid_value"
                )
            found = await self._book.several(request.principal.id, wanted)
            return RouteReply(_page(found, has_more=False))
        limit = request.query.get("limit", "20")
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= _MOST_LISTED):
            raise InvalidRequest(f"`limit` must be 1 to {_MOST_LISTED}.", param="limit", code="invalid_value")
        before = None
        if (after := request.query.get("after")) is not None:
            last = await self._mine(after, request)
            before = (last.created_us, last.id)
        found = await self._book.newest_of(request.principal.id, before, int(limit) + 1)
        return RouteReply(_page(found[: int(limit)], has_more=len(found) > int(limit)))

    async def _mine(self, id: str, request: RouteRequest) -> Operation:
        found = await self._book.find(id)
        if found is None or found.owner != request.principal.id:
            raise NotFound(f"There is no operation `{id[:100]}`.", param="id", code="operation_not_found")
        return found


def view(operation: Operation) -> dict[str, Any]:
    """Return an operation as it is shown, what is not known yet left out."""
    made: dict[str, Any] = {
        "operation_id": operation.id,
        "id": operation.id,
        "object": "operation",
        "status": operation.state,
        "endpoint": operation.path,
        "model": operation.model,
        "tries": operation.tries,
        "created_at": _time(operation.created_us),
        "started_at": _time(operation.started_us),
        "ended_at": _time(operation.ended_us),
        "expires_at": _time(operation.expires_us),
        "request_id": operation.request,
        "status_code": operation.status,
    }
    if operation.result is not None:
        made["error" if operation.state == "failed" else "result"] = Raw(operation.result)
    return {name: value for name, value in made.items() if value is not None}


def shown(operation: Operation) -> bytes:
    """Write an operation."""
    return _encode(view(operation))


def _page(found: list[Operation], *, has_more: bool) -> bytes:
    return _encode({"object": "list", "data": [view(it) for it in found], "has_more": has_more})


def _time(at_us: int | None) -> str | None:
    return None if at_us is None else timestamp(at_us)


def _uuid(id: str) -> str:
    """Write an id in the way of UUIDs."""
    return f"{id[:8]}-{id[8:12]}-{id[12:16]}-{id[16:20]}-{id[20:32]}"


def _replay(headers: Mapping[bytes, bytes]) -> str | None:
    given = headers.get(b"idempotency-key")
    if given is None:
        return None
    key = given.decode("latin-1").strip()
    if not 1 <= len(key) <= 255:  # noqa: PLR2004 - as in the admin API
        raise InvalidRequest(
            "`Idempotency-Key` has 1 to 255 characters.", param="Idempotency-Key", code="invalid_header"
        )
    return key
