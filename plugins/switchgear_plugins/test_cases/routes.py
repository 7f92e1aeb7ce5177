"""`/admin/v1/test-runs`, and what was of each test case before."""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter
from msgspec import Meta, Struct

from switchgear import Context
from switchgear.admin.bodies import read
from switchgear.contracts.jobs import Job
from switchgear.errors import InvalidRequest, NotFound
from switchgear_plugins.test_cases.results import ListedRun, ResultRecord, RunRecord, Variant, totals
from switchgear_plugins.test_cases.runner import PLAIN, By, RunAsked, Runner

JOB = "test_cases.run"
_TAGS = ["test cases"]
_CURSOR = re.compile(r"([0-9]{1,18}):(.{1,300})", re.DOTALL)


class NewRun(Struct, frozen=True, forbid_unknown_fields=True):
    """What to run: `cases` by their ids, or all that are enabled, or those of them with one of `tags`; each in every variant.

    Two variants with different models, or versions of prompts, are compared side by side.
    """

    cases: Annotated[list[str], Meta(max_length=10_000)] = []
    tags: Annotated[list[str], Meta(max_length=100)] = []
    variants: Annotated[list[Variant], Meta(max_length=20)] = []


class Progress(Struct, frozen=True):
    """How many of a run's calls were made."""

    done: int
    total: int


class TestRun(Struct, frozen=True):
    """A run. `comparison` has, for each case, what came of it in every variant; it is empty where there is one variant."""

    id: str
    state: str
    progress: Progress
    by: str
    at_us: int
    cases: list[str]
    variants: list[Variant]
    error: str | None
    totals: dict[str, int]
    results: list[ResultRecord]
    comparison: list[dict[str, Any]]


class TestRuns(Struct, frozen=True):
    """A page of runs, the newest first."""

    data: list[ListedRun]
    next_cursor: str | None


class TestResults(Struct, frozen=True):
    """A page of results of a case, the newest first."""

    data: list[ResultRecord]
    next_cursor: str | None


class Begun(Struct, frozen=True):
    """A run that was begun."""

    id: str
    state: str
    calls: int


def handlers(context: Context, runner: Callable[[], Runner], keep_s: float) -> list[HTTPRouteHandler]:
    """Make the routes."""

    async def begin(request: Request[Any, Any, Any], asked: NewRun) -> Begun:
        variants = asked.variants or list(PLAIN)
        chosen = runner().chosen(asked.cases, asked.tags)
        runner().check(chosen, variants)
        payload = msgspec.json.encode(RunAsked(chosen, variants, By.of(request.state.principal)))
        job = await context.jobs.enqueue(JOB, payload, max_tries=3, keep_s=keep_s)
        return Begun(job.id, job.state, len(chosen) * len(variants))

    @post(
        "/admin/v1/test-runs",
        opt={"action": "run", "resource": "test-cases", "body": NewRun},
        status_code=202,
        summary="Run test cases, in the background",
        tags=_TAGS,
    )
    async def create(request: Request[Any, Any, Any]) -> Begun:
        return await begin(request, await read(request, NewRun))

    @post(
        "/admin/v1/test-cases/{id:str}/run",
        opt={"action": "run", "resource": "test-cases"},
        status_code=202,
        summary="Run one test case, in the background",
        tags=_TAGS,
    )
    async def run_one(request: Request[Any, Any, Any], id: FromPath[str]) -> Begun:
        return await begin(request, NewRun(cases=[id]))

    @get(
        "/admin/v1/test-runs",
        opt={"action": "list", "resource": "test-cases"},
        summary="Runs of test cases, the newest first",
        tags=_TAGS,
    )
    async def list_runs(
        limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50,
        cursor: Annotated[str | None, QueryParameter()] = None,
    ) -> TestRuns:
        rows = await runner().results.runs(limit + 1, _before(cursor))
        return TestRuns(rows[:limit], _cursor(rows[limit - 1]) if len(rows) > limit else None)

    @get(
        "/admin/v1/test-runs/{id:str}",
        opt={"action": "read", "resource": "test-cases", "id": ""},
        summary="A run, how far it is, and what came of it",
        tags=_TAGS,
    )
    async def read_run(id: FromPath[str]) -> TestRun:
        return _shown(id, await _job(context, id), await runner().results.of_run(id))

    @post(
        "/admin/v1/test-runs/{id:str}/cancel",
        opt={"action": "run", "resource": "test-cases", "id": ""},
        status_code=200,
        summary="Stop a run; what came of it until then stays",
        tags=_TAGS,
    )
    async def cancel(id: FromPath[str]) -> TestRun:
        await _job(context, id)
        await context.jobs.cancel(id)
        return _shown(id, await _job(context, id), await runner().results.of_run(id))

    @get(
        "/admin/v1/test-cases/{id:str}/history",
        opt={"action": "read", "resource": "test-cases"},
        summary="What came of a test case, the newest first, each with its difference to the one before",
        tags=_TAGS,
    )
    async def history(
        id: FromPath[str],
        limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50,
        cursor: Annotated[str | None, QueryParameter()] = None,
    ) -> TestResults:
        rows = await runner().results.of_case(id, limit + 1, _before(cursor))
        return TestResults(rows[:limit], _cursor(rows[limit - 1]) if len(rows) > limit else None)

    return [create, run_one, list_runs, read_run, cancel, history]


async def _job(context: Context, id: str) -> Job:
    job = await context.jobs.get(id)
    if job is None or job.kind != JOB:
        raise NotFound(f"There is no run `{id[:100]}`.", code="not_found")
    return job


def _shown(id: str, job: Job, results: list[ResultRecord]) -> TestRun:
    asked = msgspec.json.decode(job.payload, type=RunAsked)
    total = len(asked.cases) * len(asked.variants)
    return TestRun(
        id=id,
        state=job.state,
        progress=Progress(len(results), total),
        by=asked.by.id,
        at_us=job.created_us,
        cases=asked.cases,
        variants=asked.variants,
        error=job.error,
        totals=totals(results),
        results=results,
        comparison=comparison(asked, results),
    )


def comparison(asked: RunAsked, results: list[ResultRecord]) -> list[dict[str, Any]]:
    """Put what came of each case in every variant side by side."""
    if len(asked.variants) == 1:
        return []
    names = ("status", "subject", "latency_ms", "cost_microusd", "text")
    found = {(it.case, it.variant): {name: getattr(it, name) for name in names} for it in results}
    return [
        {"case": case, "variants": {it.name: found.get((case, it.name)) for it in asked.variants}}
        for case in asked.cases
    ]


def _cursor(row: RunRecord | ResultRecord) -> str:
    return base64.urlsafe_b64encode(f"{row.at_us}:{row.id}".encode()).decode().rstrip("=")


def _before(cursor: str | None) -> tuple[int, str] | None:
    if cursor is None:
        return None
    try:
        found = _CURSOR.fullmatch(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode())
    except (binascii.Error, ValueError):
        found = None
    if found is None:
        raise InvalidRequest("`cursor` is not one this endpoint gave out.", param="cursor", code="invalid_cursor")
    return int(found[1]), found[2]
