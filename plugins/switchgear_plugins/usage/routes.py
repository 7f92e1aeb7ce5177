"""`GET /admin/v1/usage` and below: what was consumed, up to the moment of asking."""

from typing import Annotated, Any, Literal

import msgspec
from litestar import get
from litestar.connection import Request
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.response import Stream
from msgspec import Struct

from switchgear import Context
from switchgear_plugins.usage.anomalies import Anomaly, anomaly_kind
from switchgear_plugins.usage.asking import TIMES, bounded, decode_cursor, encode_cursor, groups_of, query_of, sums_of
from switchgear_plugins.usage.exports import MEDIA_TYPES, lines
from switchgear_plugins.usage.record import AttemptRecord, UsageRecord, attempt_kind, usage_kind


class ShownUsage(UsageRecord, frozen=True, omit_defaults=False):
    """A usage record with every field said, null where it is not known."""


class UsagePage(Struct, frozen=True):
    """A page of usage records, newest first."""

    data: list[ShownUsage]
    next_cursor: str | None


class ShownAttempt(AttemptRecord, frozen=True, omit_defaults=False):
    """A record of an attempt with every field said."""


class AttemptPage(Struct, frozen=True):
    """A page of records of attempts, newest first."""

    data: list[ShownAttempt]
    next_cursor: str | None


class AnomalyPage(Struct, frozen=True):
    """A page of hours in which spending left its usual band, newest first."""

    data: list[Anomaly]
    next_cursor: str | None


class UsageGroup(Struct, frozen=True):
    """One group of a summary. A sum is null when no record of the group knows it.

    `cost_microusd` is what is known; how many calls have a cost that is not says `unpriced`.
    """

    group: dict[str, str | None]
    requests: int
    sums: dict[str, int | None]


class UsageSummary(Struct, frozen=True):
    """Groups in the order of their values."""

    by: list[str]
    data: list[UsageGroup]


Limit = Annotated[int, QueryParameter(ge=1, le=500)]
Cursor = Annotated[str | None, QueryParameter()]


def usage_handlers(context: Context) -> list[HTTPRouteHandler]:
    """Make the routes. Filters are query parameters named like the record's dimensions: `?model=gpt-4o&outcome=complete`."""
    kind = usage_kind()
    filters = f"Filters: `since`, `until` and any of {', '.join(kind.dimensions)}. {TIMES}"

    async def page(request: Request[Any, Any, Any], of: Any, type: Any, limit: int, cursor: str | None) -> Any:
        query = query_of(request.query_params, of, limit=limit + 1, before=decode_cursor(cursor))
        query = bounded(query, request.state.scope, of)
        rows = await context.records.scan(query)
        more = len(rows) > limit
        rows = rows[:limit]
        data = [msgspec.json.decode(row.body, type=type) for row in rows]
        return data, encode_cursor(rows[-1].at_us, rows[-1].id) if more else None

    @get(
        "/admin/v1/usage",
        opt={"action": "list", "resource": "usage", "scoped": True},
        summary="Usage records, newest first",
        description=filters,
        tags=["usage"],
    )
    async def usage(request: Request[Any, Any, Any], limit: Limit = 100, cursor: Cursor = None) -> UsagePage:
        return UsagePage(*await page(request, kind, ShownUsage, limit, cursor))

    @get(
        "/admin/v1/usage/attempts",
        opt={"action": "list", "resource": "usage", "scoped": True},
        summary="Attempts of calls that had several, newest first",
        description=f"Filters: `since`, `until` and any of {', '.join(attempt_kind().dimensions)}. {TIMES}",
        tags=["usage"],
    )
    async def attempts(request: Request[Any, Any, Any], limit: Limit = 100, cursor: Cursor = None) -> AttemptPage:
        return AttemptPage(*await page(request, attempt_kind(), ShownAttempt, limit, cursor))

    @get(
        "/admin/v1/usage/anomalies",
        opt={"action": "list", "resource": "usage", "scoped": True},
        summary="Hours in which spending left its usual band, newest first",
        description=f"Filters: `since`, `until` and any of {', '.join(anomaly_kind().dimensions)}. {TIMES}",
        tags=["usage"],
    )
    async def anomalies(request: Request[Any, Any, Any], limit: Limit = 100, cursor: Cursor = None) -> AnomalyPage:
        return AnomalyPage(*await page(request, anomaly_kind(), Anomaly, limit, cursor))

    @get(
        "/admin/v1/usage/export",
        opt={"action": "list", "resource": "usage", "scoped": True},
        summary="Usage records as a file: CSV, NDJSON or FOCUS",
        description=filters,
        tags=["usage"],
        media_type="text/csv",
    )
    async def export(
        request: Request[Any, Any, Any],
        format: Annotated[Literal["csv", "ndjson", "focus"], QueryParameter()] = "csv",
    ) -> Stream:
        query = bounded(query_of(request.query_params, kind, limit=1), request.state.scope, kind)
        name = "usage.ndjson" if format == "ndjson" else f"usage-{format}.csv" if format == "focus" else "usage.csv"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Stream(lines(context.records, query, format), media_type=MEDIA_TYPES[format], headers=headers)

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
        names = groups_of(by, kind)
        query = bounded(query_of(request.query_params, kind, limit=limit), request.state.scope, kind)
        groups = await context.records.summarise(query, names, kind.measures)
        data = [
            UsageGroup(dict(zip(names, group.by, strict=True)), group.count, sums_of(group, kind)) for group in groups
        ]
        return UsageSummary(names, data)

    return [usage, attempts, anomalies, export, summary]
