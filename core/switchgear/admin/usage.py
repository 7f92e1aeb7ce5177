"""`GET /admin/v1/usage` and `/usage/summary`: what was consumed, read from the store after the journal was drained."""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.connection import Request
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from msgspec import Struct

from switchgear.contracts.record import RecordKind
from switchgear.contracts.store import RecordQuery, Store
from switchgear.errors import InvalidRequest
from switchgear.exchange.usage import USAGE, UsageRecord

_MOST_BY = 3
_ONLY_SUMMARY = ("day",)
_MICROSECONDS = re.compile(r"[0-9]{1,18}")


class ShownUsage(UsageRecord, frozen=True, omit_defaults=False):
    """A usage record with every field said, null where it is not known."""


class UsagePage(Struct, frozen=True):
    """A page of usage records, newest first."""

    data: list[ShownUsage]
    next_cursor: str | None


class UsageGroup(Struct, frozen=True):
    """One group of a summary. A sum is null when no record of the group knows it."""

    group: dict[str, str | None]
    requests: int
    sums: dict[str, int | None]


class UsageSummary(Struct, frozen=True):
    """Groups in the order of their values."""

    by: list[str]
    data: list[UsageGroup]


def usage_handlers(store: Store, drain_now: Callable[[], Awaitable[None]]) -> list[HTTPRouteHandler]:
    """Make the routes. Filters are query parameters named like the record's dimensions: `?model=gpt-4o&outcome=complete`."""

    @get(
        "/admin/v1/usage",
        opt={"action": "list", "resource": "usage"},
        summary="Usage records, newest first",
        tags=["usage"],
    )
    async def usage(
        request: Request[Any, Any, Any],
        limit: Annotated[int, QueryParameter(ge=1, le=500)] = 100,
        cursor: Annotated[str | None, QueryParameter()] = None,
    ) -> UsagePage:
        await drain_now()
        query = _query(request.query_params, USAGE, limit=limit + 1, before=_decode_cursor(cursor))
        rows = await store.scan(query)
        more = len(rows) > limit
        rows = rows[:limit]
        data = [msgspec.json.decode(row.body, type=ShownUsage) for row in rows]
        return UsagePage(data, _encode_cursor(rows[-1].at_us, rows[-1].id) if more else None)

    @get(
        "/admin/v1/usage/summary",
        opt={"action": "list", "resource": "usage"},
        summary="Usage summed up by up to three dimensions",
        tags=["usage"],
    )
    async def summary(
        request: Request[Any, Any, Any],
        by: Annotated[
            str, QueryParameter(description="Up to three dimensions, or `day`, separated by commas")
        ] = "model",
        limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 1000,
    ) -> UsageSummary:
        await drain_now()
        names = [name for name in by.split(",") if name]
        known = (*USAGE.dimensions, *_ONLY_SUMMARY)
        if not names or len(names) > _MOST_BY or any(name not in known for name in names):
            raise InvalidRequest(f"`by` takes one to three of {', '.join(known)}.", param="by", code="invalid_value")
        query = _query(request.query_params, USAGE, limit=limit)
        groups = await store.summarise(query, names, USAGE.measures)
        data = [
            UsageGroup(
                dict(zip(names, group.by, strict=True)), group.count, dict(zip(USAGE.measures, group.sums, strict=True))
            )
            for group in groups
        ]
        return UsageSummary(names, data)

    return [usage, summary]


def _query(params: Any, kind: RecordKind, *, limit: int, before: tuple[int, str] | None = None) -> RecordQuery:
    equals: dict[str, str | int | bool | None] = {}
    fields = {field.name: field.type for field in msgspec.structs.fields(kind.type)}
    since, until = 0, None
    for name, value in params.items():
        if name in ("limit", "cursor", "by"):
            continue
        if name == "since":
            since = _instant(name, value)
        elif name == "until":
            until = _instant(name, value)
        elif name in kind.dimensions:
            equals[name] = _typed(name, value, fields[name])
        else:
            message = f"There is no filter `{name}`; filters are since, until, {', '.join(kind.dimensions)}."
            raise InvalidRequest(message, param=name, code="unknown_parameter")
    return RecordQuery(kind.name, since, until, equals, before, limit)


def _typed(name: str, value: str, type: Any) -> str | int | bool | None:
    if value == "null":
        return None
    try:
        converted: str | int | bool | None = msgspec.convert(value, type, strict=False)
    except msgspec.ValidationError:
        raise InvalidRequest(f"`{name}` cannot be {value[:50]!r}.", param=name, code="invalid_value") from None
    return converted


def _instant(name: str, value: str) -> int:
    """Read microseconds since the epoch, or an RFC 3339 time or date (UTC if it does not say)."""
    if _MICROSECONDS.fullmatch(value):
        return int(value)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        message = f"`{name}` is a time as 2026-01-31T12:00:00Z, or microseconds since 1970."
        raise InvalidRequest(message, param=name, code="invalid_value") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1e6)


def _encode_cursor(at_us: int, id: str) -> str:
    return base64.urlsafe_b64encode(f"{at_us}:{id}".encode()).decode().rstrip("=")


def _decode_cursor(cursor: str | None) -> tuple[int, str] | None:
    if cursor is None:
        return None
    try:
        at_us, _, id_ = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
    except (binascii.Error, ValueError):
        at_us, id_ = "", ""
    if not _MICROSECONDS.fullmatch(at_us):
        raise InvalidRequest("`cursor` is not one this endpoint gave out.", param="cursor", code="invalid_cursor")
    return int(at_us), id_
