"""`GET /admin/v1/usage` and `/usage/summary`: what was consumed, up to the moment of asking."""

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.connection import Request
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from msgspec import Struct

from switchgear import Context
from switchgear.contracts.exchange import Outcome
from switchgear.contracts.principal import Scope
from switchgear.contracts.record import RecordKind
from switchgear.contracts.store import RecordQuery, member_path
from switchgear.errors import InvalidRequest, PermissionDenied, StoreError
from switchgear_plugins.usage.export import export_handler
from switchgear_plugins.usage.record import ShownUsage, usage_kind

_MOST_BY = 3
_ONLY_SUMMARY = ("day", "hour", "minute")
_MICROSECONDS = re.compile(r"[0-9]{1,18}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LEAST_MICROSECONDS = 10**14
"""In March 1973: what is less are seconds, milliseconds, or a date without its dashes."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIMES = (
    "A time is RFC 3339 (UTC if it does not say), or microseconds since 1970. A date is a whole day in UTC: "
    "`since=2026-11-30&until=2026-11-30` is that day. `labels.NAME=…` is a label; `null` is no value."
)


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


def usage_handlers(context: Context) -> list[HTTPRouteHandler]:
    """Make the routes. Filters are query parameters named like the record's dimensions: `?model=gpt-4o&outcome=complete`."""
    kind = usage_kind()
    filters = f"Filters: `since`, `until` and any of {', '.join(kind.dimensions)}. {_TIMES}"

    @get(
        "/admin/v1/usage",
        opt={"action": "list", "resource": "usage", "scoped": True},
        summary="Usage records, newest first",
        description=filters,
        tags=["usage"],
    )
    async def usage(
        request: Request[Any, Any, Any],
        limit: Annotated[int, QueryParameter(ge=1, le=500)] = 100,
        cursor: Annotated[str | None, QueryParameter()] = None,
    ) -> UsagePage:
        query = _query(request.query_params, kind, limit=limit + 1, before=_decode_cursor(cursor))
        query = _bounded(query, request.state.scope, kind)
        rows = await context.records.scan(query)
        more = len(rows) > limit
        rows = rows[:limit]
        data = [msgspec.json.decode(row.body, type=ShownUsage) for row in rows]
        return UsagePage(data, _encode_cursor(rows[-1].at_us, rows[-1].id) if more else None)

    @get(
        "/admin/v1/usage/summary",
        opt={"action": "list", "resource": "usage", "scoped": True},
        summary="Usage summed up by up to three dimensions",
        description=filters,
        tags=["usage"],
    )
    async def summary(
        request: Request[Any, Any, Any],
        by: Annotated[
            str, QueryParameter(description="Up to three dimensions, or `day`, `hour`, `minute`, separated by commas")
        ] = "model",
        limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 1000,
    ) -> UsageSummary:
        names = [name for name in by.split(",") if name]
        if not 0 < len(names) <= _MOST_BY or not all(
            name in _ONLY_SUMMARY or _is_dimension(kind, name) for name in names
        ):
            known = ", ".join((*kind.dimensions, *_ONLY_SUMMARY))
            raise InvalidRequest(f"`by` takes one to three of {known}.", param="by", code="invalid_value")
        query = _bounded(_query(request.query_params, kind, limit=limit), request.state.scope, kind)
        groups = await context.records.summarise(query, names, kind.measures)
        data = [
            UsageGroup(
                dict(zip(names, group.by, strict=True)), group.count, dict(zip(kind.measures, group.sums, strict=True))
            )
            for group in groups
        ]
        return UsageSummary(names, data)

    def asked(request: Request[Any, Any, Any], limit: int) -> RecordQuery:
        return _bounded(_query(request.query_params, kind, limit=limit), request.state.scope, kind)

    return [usage, summary, export_handler(context, asked, filters)]


def _query(params: Any, kind: RecordKind, *, limit: int, before: tuple[int, str] | None = None) -> RecordQuery:
    equals: dict[str, str | int | bool | None] = {}
    fields = {field.name: field.type for field in msgspec.structs.fields(kind.type)}
    since, until = 0, None
    for name, value in params.items():
        if name in ("limit", "cursor", "by", "format"):
            continue
        if name == "since":
            since = _instant(name, value)
        elif name == "until":
            until = _instant(name, value, end=True)
        elif _is_dimension(kind, name):
            equals[name] = _typed(name, value, fields.get(name, str))
        else:
            message = f"There is no filter `{name}`; filters are since, until, {', '.join(kind.dimensions)}."
            raise InvalidRequest(message, param=name, code="unknown_parameter")
    return RecordQuery(kind.name, since, until, equals, before, limit)


def _bounded(query: RecordQuery, scope: Scope, kind: RecordKind) -> RecordQuery:
    """Leave of a query what is within somebody's bounds, which are dimensions with one value each."""
    equals = dict(query.equals)
    for name, values in (scope.filter or {}).items():
        if not _is_dimension(kind, name) or len(values) != 1:
            raise PermissionDenied("You may not see usage here.", code="not_permitted")
        if equals.setdefault(name, values[0]) != values[0]:
            return msgspec.structs.replace(query, since_us=0, until_us=0)  # somebody else's: nothing is there
    return msgspec.structs.replace(query, equals=equals)


def _typed(name: str, value: str, type: Any) -> str | int | bool | None:
    if value == "null":
        return None
    if name == "outcome" and value not in list(Outcome):
        known = ", ".join(Outcome)
        raise InvalidRequest(f"`outcome` is one of {known}.", param=name, code="invalid_value")
    try:
        converted: str | int | bool | None = msgspec.convert(value, type, strict=False)
    except msgspec.ValidationError:
        raise InvalidRequest(f"`{name}` cannot be {value[:50]!r}.", param=name, code="invalid_value") from None
    return converted


def _is_dimension(kind: RecordKind, name: str) -> bool:
    if not kind.has_dimension(name):
        return False
    try:
        member_path(name)
    except StoreError:
        return False
    return True


def _instant(name: str, value: str, *, end: bool = False) -> int:
    """Read microseconds since the epoch, or an RFC 3339 time (UTC if it does not say), or a date: its begin or its `end`."""
    if _MICROSECONDS.fullmatch(value) and (int(value) >= _LEAST_MICROSECONDS or not int(value)):
        return int(value)
    try:
        if _MICROSECONDS.fullmatch(value):
            raise ValueError(value)  # noqa: TRY301 - what is no time is refused in one place
        moment = datetime.fromisoformat(value)
        if _DATE.fullmatch(value) and end:
            moment += timedelta(days=1)
    except (ValueError, OverflowError):
        message = f"`{name}` is a time as 2026-01-31T12:00:00Z, a date as 2026-01-31, or microseconds since 1970."
        raise InvalidRequest(message, param=name, code="invalid_value") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0, (moment - _EPOCH) // _MICROSECOND)


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
