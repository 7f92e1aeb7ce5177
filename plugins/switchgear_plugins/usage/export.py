"""`GET /admin/v1/usage/export`: every record that the filters leave, as a file."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.response import Stream

from switchgear import Context
from switchgear.contracts.store import RecordQuery, RecordRow
from switchgear_plugins.usage.record import ShownUsage

_PAGE = 500
_FIELDS = ShownUsage.__struct_fields__
_FORMULA = frozenset("=+-@\t\r")
"""What a spreadsheet takes for the beginning of a formula."""


def export_handler(
    context: Context, asked: Callable[[Request[Any, Any, Any], int], RecordQuery], filters: str
) -> HTTPRouteHandler:
    """Make the route. `asked` reads what a request wants, within the bounds of who asks, in pages of so many."""

    @get(
        "/admin/v1/usage/export",
        opt={"action": "list", "resource": "usage", "scoped": True},
        summary="Usage records as a file, newest first",
        description=f"It is made as it is read, a page at a time. {filters}",
        tags=["usage"],
    )
    async def export(
        request: Request[Any, Any, Any], format: Annotated[Literal["csv", "ndjson"], QueryParameter()] = "ndjson"
    ) -> Stream:
        media, write = ("text/csv", _csv) if format == "csv" else ("application/x-ndjson", _ndjson)
        headers = {"content-disposition": f'attachment; filename="usage.{format}"'}
        return Stream(_pieces(context, asked(request, _PAGE), write), media_type=media, headers=headers)

    return export


async def _pieces(
    context: Context, query: RecordQuery, write: Callable[[Sequence[RecordRow], bool], bytes]
) -> AsyncIterator[bytes]:
    first = True
    while True:
        rows = await context.records.scan(query)
        if rows or first:
            yield write(rows, first)
        if len(rows) < query.limit:
            return
        first = False
        query = msgspec.structs.replace(query, before=(rows[-1].at_us, rows[-1].id))


def _ndjson(rows: Sequence[RecordRow], first: bool) -> bytes:  # noqa: ARG001, FBT001 - the shape of both
    return b"".join(msgspec.json.encode(msgspec.json.decode(row.body, type=ShownUsage)) + b"\n" for row in rows)


def _csv(rows: Sequence[RecordRow], first: bool) -> bytes:  # noqa: FBT001 - as above
    out = io.StringIO()
    writer = csv.writer(out)
    if first:
        writer.writerow(_FIELDS)
    for row in rows:
        record = msgspec.to_builtins(msgspec.json.decode(row.body, type=ShownUsage))
        writer.writerow([_cell(record[name]) for name in _FIELDS])
    return out.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list | tuple):
        return msgspec.json.encode(value).decode() if value else ""
    return f"'{value}" if isinstance(value, str) and value[:1] in _FORMULA else value
