"""What came of test cases: records that are only ever added, and what is said of them."""

import difflib
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from switchgear.contracts.record import RecordKind, Records
from switchgear.contracts.store import RecordQuery
from switchgear_plugins.test_cases.assertions import Verdict

RESULTS = "test_results"
RUNS = "test_runs"
Status: TypeAlias = Literal["passed", "failed", "error"]
Change: TypeAlias = Literal["new", "same", "fixed", "broken"]
_PAGE = 500
_MOST_GROUPS = 10_000
_LONGEST_RUN_US = 86_400_000_000
_MOST_DIFF_LINES = 400
_MOST_DIFF = 8_000
MOST_TEXT = 16_000
"""Characters of an answer that are kept."""


class Variant(Struct, frozen=True, forbid_unknown_fields=True):
    """A way in which cases are run: by another model, with another version of their prompts, with other members."""

    name: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
    model: str | None = None
    prompt_version: Annotated[int, Meta(ge=1)] | None = None
    parameters: dict[str, Any] = {}


class RunRecord(Struct, frozen=True):
    """A run: what is run, how, and for whom. Its id is that of its job."""

    id: str
    at_us: int
    by: str
    cases: list[str]
    variants: list[Variant]


class ListedRun(RunRecord, frozen=True):
    """A run in a list. `counts` are how many of its results have each status, as far as they came within a day."""

    counts: dict[str, int] = {}


class ResultRecord(Struct, frozen=True):
    """What came of one case in one variant.

    subject       the model or workflow that was tried
    status        `error` where there was no answer
    change        against the last result of this case with this subject; `previous_run` is where that was
    diff          how the answer differs from that one's, line by line
    text          the answer, as long as it is kept
    """

    id: str
    at_us: int
    run: str
    case: str
    case_version: int
    variant: str
    subject: str
    status: Status
    change: Change
    previous_run: str | None
    verdicts: list[Verdict]
    text: str
    diff: str
    error: str | None
    latency_ms: int
    input_tokens: int
    output_tokens: int
    cost_microusd: int | None
    request_id: str | None


def record_kinds(keep_days: int) -> list[RecordKind]:
    """Declare the kinds of record."""
    keep_s = keep_days * 86_400
    measures = ("latency_ms", "input_tokens", "output_tokens", "cost_microusd")
    return [
        RecordKind(RUNS, RunRecord, ("by",), keep_s=keep_s),
        RecordKind(RESULTS, ResultRecord, ("run", "case", "variant", "subject", "status"), measures, keep_s=keep_s),
    ]


class Results:
    """Reads them."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def of_run(self, run: str) -> list[ResultRecord]:
        """Return the results of a run, the first in front."""
        found: list[ResultRecord] = []
        query = RecordQuery(RESULTS, equals={"run": run}, limit=_PAGE)
        while rows := await self._records.scan(query):
            found += [msgspec.json.decode(row.body, type=ResultRecord) for row in rows]
            if len(rows) < _PAGE:
                break
            query = msgspec.structs.replace(query, before=(rows[-1].at_us, rows[-1].id))
        found.reverse()
        return found

    async def of_case(self, case: str, limit: int, before: tuple[int, str] | None = None) -> list[ResultRecord]:
        """Return results of a case, the newest first."""
        query = RecordQuery(RESULTS, equals={"case": case}, before=before, limit=limit)
        return [msgspec.json.decode(row.body, type=ResultRecord) for row in await self._records.scan(query)]

    async def last(self, case: str, subject: str, run: str) -> ResultRecord | None:
        """Return the last result of a case with a subject in another run."""
        query = RecordQuery(RESULTS, equals={"case": case, "subject": subject}, limit=20)
        for row in await self._records.scan(query):
            found = msgspec.json.decode(row.body, type=ResultRecord)
            if found.run != run:
                return found
        return None

    async def runs(self, limit: int, before: tuple[int, str] | None) -> list[ListedRun]:
        """Return runs, the newest first, each with what came of it."""
        rows = await self._records.scan(RecordQuery(RUNS, before=before, limit=limit))
        found = [msgspec.json.decode(row.body, type=ListedRun) for row in rows]
        if not found:
            return []
        within = RecordQuery(
            RESULTS, since_us=found[-1].at_us, until_us=found[0].at_us + _LONGEST_RUN_US, limit=_MOST_GROUPS
        )
        counted = await self._records.summarise(within, ("run", "status"), ())
        counts: dict[str | None, dict[str, int]] = {}
        for one in counted:
            counts.setdefault(one.by[0], {})[str(one.by[1])] = one.count
        return [msgspec.structs.replace(run, counts=counts.get(run.id, {})) for run in found]


def change_of(status: Status, previous: ResultRecord | None) -> Change:
    """Say how a result stands to the last one."""
    if previous is None:
        return "new"
    if (status == "passed") == (previous.status == "passed"):
        return "same"
    return "fixed" if status == "passed" else "broken"


def diff_of(previous: str, text: str) -> str:
    """Say how an answer differs from another one, in lines as `diff -u` has them; nothing where it does not."""
    if previous == text:
        return ""
    old, new = (it.splitlines()[:_MOST_DIFF_LINES] for it in (previous, text))
    lines = list(difflib.unified_diff(old, new, "before", "now", lineterm=""))
    return "\n".join(lines)[:_MOST_DIFF]


def totals(results: Sequence[ResultRecord]) -> dict[str, Any]:
    """Count what came of them. The cost is of those that are known."""
    return {
        "passed": sum(it.status == "passed" for it in results),
        "failed": sum(it.status == "failed" for it in results),
        "errors": sum(it.status == "error" for it in results),
        "fixed": sum(it.change == "fixed" for it in results),
        "broken": sum(it.change == "broken" for it in results),
        "cost_microusd": sum(it.cost_microusd or 0 for it in results),
    }
