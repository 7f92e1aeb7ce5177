"""`/admin/v1/operations`: everybody's, for operators."""

from typing import Annotated, Any

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter
from msgspec import Raw, Struct

from switchgear.errors import Conflict, InvalidRequest, NotFound
from switchgear_plugins.operations.book import Book, Operation
from switchgear_plugins.operations.dialect import view
from switchgear_plugins.operations.runner import Runner

_STATES = ("pending", "running", "completed", "failed", "cancelled")


class OperationView(Struct, frozen=True, omit_defaults=True):
    """An operation and whose it is. What somebody asked and was answered is theirs, and not shown."""

    id: str
    owner: str
    status: str
    endpoint: str
    model: str
    tries: int
    created_at: str
    started_at: str | None = None
    ended_at: str | None = None
    expires_at: str | None = None
    request_id: str | None = None
    status_code: int | None = None
    error: Raw | None = None


class OperationPage(Struct, frozen=True):
    """A page of operations, newest first."""

    data: list[OperationView]
    next_cursor: str | None


def handlers(book: Any, runner: Any) -> list[HTTPRouteHandler]:
    """Make the routes. What they work on is asked for when it is there."""

    @get(
        "/admin/v1/operations",
        opt={"action": "list", "resource": "operations"},
        summary="Operations, newest first",
        tags=["operations"],
    )
    async def operations(
        status: Annotated[str, QueryParameter(description=f"One of {', '.join(_STATES)}")] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=500)] = 100,
        cursor: Annotated[str | None, QueryParameter()] = None,
    ) -> OperationPage:
        if status and status not in _STATES:
            raise InvalidRequest(f"`status` is one of {', '.join(_STATES)}.", param="status", code="invalid_value")
        kept: Book = book()
        before = None
        if cursor is not None:
            last = await _found(kept, cursor)
            before = (last.created_us, last.id)
        found = await kept.newest(status, before, limit + 1)
        page = [_view(it) for it in found[:limit]]
        return OperationPage(page, page[-1].id if len(found) > limit else None)

    @get(
        "/admin/v1/operations/{id:str}",
        opt={"action": "read", "resource": "operations"},
        summary="One operation",
        tags=["operations"],
    )
    async def operation(id: FromPath[str]) -> OperationView:
        return _view(await _found(book(), id))

    @post(
        "/admin/v1/operations/{id:str}/cancel",
        opt={"action": "cancel", "resource": "operations"},
        status_code=200,
        summary="Cancel an operation",
        tags=["operations"],
    )
    async def cancel(id: FromPath[str]) -> OperationView:
        running: Runner = runner()
        if not await running.cancel(await _found(book(), id)):
            raise Conflict("This operation has ended already.", code="operation_ended")
        return _view(await _found(book(), id))

    return [operations, operation, cancel]


async def _found(book: Book, id: str) -> Operation:
    found = await book.find(id)
    if found is None:
        raise NotFound(f"There is no operation {id[:64]!r}.", code="not_found")
    return found


def _view(operation: Operation) -> OperationView:
    members = view(operation)
    members.pop("result", None)
    known = {field: members[field] for field in OperationView.__struct_fields__ if field in members}
    return OperationView(owner=operation.owner, **known)
