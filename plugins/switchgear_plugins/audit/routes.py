"""`GET /admin/v1/audit`: every write of every resource, the newest first. Nothing of its content: versions have that."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal, TypeAlias

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from msgspec import Struct

from switchgear import Context
from switchgear.contracts.store import Change, Store
from switchgear.contracts.times import timestamp
from switchgear.errors import InvalidRequest

_REVISIONS = 500
"""Revisions that are read at a time, from the newest back."""
_MOST_READ = 20_000
"""Revisions that one request looks through for what its filters leave."""


Action: TypeAlias = Literal["created", "changed", "deleted"]


class Entry(Struct, frozen=True):
    """A write of a resource.

    action   `created`, `changed` (also: made again after it was deleted) or `deleted`
    by       the id of who wrote: an API key, a user, `admin-key`, `cli`, a file's owner
    """

    revision: int
    at: str
    by: str
    action: Action
    kind: str
    id: str
    version: int


class EntryPage(Struct, frozen=True):
    """A page of writes. Where the filters leave few, it may be empty and have a cursor: there are older ones."""

    data: list[Entry]
    next_cursor: str | None


def handlers(context: Context) -> list[HTTPRouteHandler]:
    """Make the route."""

    @get(
        "/admin/v1/audit",
        opt={"action": "list", "resource": "audit"},
        summary="Who changed which resources, the newest first",
        tags=["audit"],
    )
    async def audit(
        kind: Annotated[str, QueryParameter()] = "",
        id: Annotated[str, QueryParameter()] = "",
        by: Annotated[str, QueryParameter(description="The id of who wrote")] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=500)] = 100,
        cursor: Annotated[str | None, QueryParameter()] = None,
    ) -> EntryPage:
        store = context.store
        before = await store.revision() + 1 if cursor is None else _revision(cursor)
        oldest = max(1, before - _MOST_READ)
        found: list[Entry] = []
        async for change in _newest(store, before, oldest):
            if len(found) >= limit and change.revision < found[-1].revision:
                return EntryPage(found, str(found[-1].revision))
            if kind in ("", change.kind) and id in ("", change.id) and by in ("", change.actor):
                found.append(_entry(change))
        return EntryPage(found, None if oldest == 1 else str(oldest))

    return [audit]


async def _newest(store: Store, before: int, oldest: int) -> AsyncIterator[Change]:
    """Yield the changes before a revision, the newest first, down to the oldest."""
    while before > oldest:
        begin = max(oldest, before - _REVISIONS)
        changes: list[Change] = []
        while page := await store.changes(changes[-1].revision if changes else begin - 1, limit=_REVISIONS):
            changes += [change for change in page if change.revision < before]
            if page[-1].revision >= before - 1:
                break
        for change in reversed(changes):
            yield change
        before = begin


def _entry(change: Change) -> Entry:
    action: Action = "deleted" if change.deleted else "created" if change.version == 1 else "changed"
    return Entry(change.revision, timestamp(change.at_us), change.actor, action, change.kind, change.id, change.version)


def _revision(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):  # noqa: PLR2004 - digits of what a store counts to
        raise InvalidRequest("`cursor` is not one this endpoint gave out.", param="cursor", code="invalid_cursor")
    return int(cursor)
