"""`GET /admin/v1/workflow-runs`: what became of runs, and of each of their steps."""

from typing import Annotated

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter
from msgspec import Raw, Struct

from switchgear import Context
from switchgear.contracts.store import RecordQuery
from switchgear.errors import InvalidRequest, NotFound
from switchgear_plugins.workflows.records import RUNS, RunRecord
from switchgear_plugins.workflows.resources import KIND


class RunPage(Struct, frozen=True):
    """A page of runs, newest first, without what their steps were given and came to."""

    data: list[Raw]
    next_cursor: str | None


def trace_handlers(context: Context) -> list[HTTPRouteHandler]:
    """Make the routes."""

    @get(
        "/admin/v1/workflow-runs",
        opt={"action": "list", "resource": "workflow-runs"},
        summary="Runs of workflows, newest first",
        tags=[KIND],
    )
    async def runs(
        workflow: Annotated[str | None, QueryParameter()] = None,
        status: Annotated[str | None, QueryParameter()] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=500)] = 100,
        cursor: Annotated[str | None, QueryParameter()] = None,
    ) -> RunPage:
        equals: dict[str, str | int | bool | None] = {}
        equals |= {} if workflow is None else {"workflow": workflow}
        equals |= {} if status is None else {"status": status}
        query = RecordQuery(RUNS, equals=equals, before=_before(cursor), limit=limit + 1)
        rows = await context.records.scan(query)
        found = [msgspec.json.decode(row.body, type=RunRecord) for row in rows[:limit]]
        shown = [msgspec.structs.replace(it, input=None, output=None, steps=[]) for it in found]
        last = f"{rows[limit - 1].at_us}-{rows[limit - 1].id}" if len(rows) > limit else None
        return RunPage([Raw(msgspec.json.encode(it)) for it in shown], last)

    @get(
        "/admin/v1/workflow-runs/{id:str}",
        opt={"action": "read", "resource": "workflow-runs"},
        summary="One run, with each of its steps",
        tags=[KIND],
    )
    async def one_run(id: FromPath[str]) -> Raw:
        rows = await context.records.scan(RecordQuery(RUNS, equals={"id": id}, limit=1))
        if not rows:
            raise NotFound(f"There is no run {id[:64]!r}.", code="not_found")
        return Raw(rows[0].body)

    return [runs, one_run]


def _before(cursor: str | None) -> tuple[int, str] | None:
    if cursor is None:
        return None
    at_us, _, id = cursor.partition("-")
    if not (at_us.isascii() and at_us.isdigit() and id):
        raise InvalidRequest("`cursor` is not one this endpoint gave out.", param="cursor", code="invalid_cursor")
    return int(at_us[:18]), id
