"""What people say of calls: notes that are only ever added, summed up, exported as CSV, and kept for so long."""

import csv
import io
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from switchgear import Context, Plugin
from switchgear.contracts.record import RecordKind
from switchgear.contracts.store import RecordQuery

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

KIND = "call_notes"
_DAY_S = 86_400
_PAGE = 500
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table [plugins.call_notes]."""

    keep_days: Annotated[int, msgspec.Meta(ge=1)] = 90


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody says of the call `call` (its `x-request-id`). `rating` is -1, 0 or 1."""

    call: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    rating: Annotated[int, msgspec.Meta(ge=-1, le=1)] = 0
    text: Annotated[str, msgspec.Meta(max_length=2000)] = ""


class NoteRecord(msgspec.Struct, frozen=True):
    """A note as it is kept. `by` is the id of who wrote it."""

    id: str
    at_us: int
    by: str
    call: str
    rating: int
    text: str


class CallNotesPlugin(Plugin[Settings]):
    """The kind of record, and the admin routes over it."""

    api = 1
    settings_type = Settings

    def switchgear_record_kinds(self) -> list[RecordKind]:
        """Declare the records `call_notes`."""
        return [RecordKind(KIND, NoteRecord, ("by", "call"), ("rating",), keep_s=self.settings.keep_days * _DAY_S)]

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring /admin/v1/call-notes."""
        return _handlers(self.context)


async def _csv(context: Context, query: RecordQuery) -> AsyncIterator[str]:
    """Write all that match, newest first, a page at a time."""
    names = NoteRecord.__struct_fields__
    yield _lines([names])
    while rows := await context.records.scan(query):
        notes = [msgspec.json.decode(row.body, type=NoteRecord) for row in rows]
        yield _lines([_cell(getattr(note, name)) for name in names] for note in notes)
        query = msgspec.structs.replace(query, before=(rows[-1].at_us, rows[-1].id))


def _lines(rows: Any) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def _cell(value: str | int) -> str | int:
    """Keep a spreadsheet from running what somebody wrote."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _handlers(context: Context) -> "list[HTTPRouteHandler]":
    from litestar import Request, get, post  # noqa: PLC0415 - Litestar takes long to import
    from litestar.params import FromQuery, JSONBody  # noqa: PLC0415
    from litestar.response import Stream  # noqa: PLC0415

    @post("/admin/v1/call-notes", opt={"action": "create", "resource": "call-notes", "body": Note})
    async def add(request: Request[Any, Any, Any], data: JSONBody[Note]) -> NoteRecord:
        id, at_us = context.ambient.new_id(), context.ambient.now_us()
        note = NoteRecord(id, at_us, request.state.principal.id, data.call, data.rating, data.text)
        flushing = context.record(KIND, id, at_us, note)
        if flushing is not None:
            await flushing
        return note

    @get("/admin/v1/call-notes/summary", opt={"action": "list", "resource": "call-notes"})
    async def summary() -> dict[str, Any]:
        groups = await context.records.summarise(RecordQuery(KIND), ["call"], ["rating"])
        return {"data": [{"call": it.by[0], "notes": it.count, "rating": it.sums[0]} for it in groups]}

    @get("/admin/v1/call-notes.csv", opt={"action": "export", "resource": "call-notes"})
    async def export(call: FromQuery[str | None] = None, since_us: FromQuery[int] = 0) -> Stream:
        query = RecordQuery(KIND, since_us, equals={} if call is None else {"call": call}, limit=_PAGE)
        headers = {"content-disposition": 'attachment; filename="call-notes.csv"'}
        return Stream(_csv(context, query), media_type="text/csv", headers=headers)

    return [add, summary, export]
