"""What is kept of a run: what it was given and came to, and each of its steps."""

from typing import Any

import msgspec
from msgspec import Struct

from switchgear.contracts.record import RecordKind
from switchgear_plugins.workflows.run import Trace

RUNS = "workflow_runs"
_DAY_S = 86_400
_MOST_CONTENT = 16 * 1024


class RunRecord(Struct, frozen=True, omit_defaults=True):
    """A run. Its id is that of its exchange, which the usage records of its calls have as the label `parent`."""

    id: str
    at_us: int
    workflow: str
    version: int
    principal: str
    status: str
    took_ms: int
    steps_taken: int
    input_tokens: int
    output_tokens: int
    cost_microusd: int | None = None
    code: str | None = None
    error: str | None = None
    input: Any = None
    output: Any = None
    steps: list[Trace] = []


def runs_kind(keep_days: int) -> RecordKind:
    """Declare the records."""
    return RecordKind(
        RUNS,
        RunRecord,
        ("workflow", "status", "principal", "code"),
        ("took_ms", "steps_taken", "input_tokens", "output_tokens", "cost_microusd"),
        keep_s=keep_days * _DAY_S,
    )


def totals(traces: list[Trace]) -> tuple[int, int, int | None]:
    """Return input tokens, output tokens and cost of steps; the cost is None if that of any is unknown."""
    known = [it.cost_microusd for it in traces if it.cost_microusd is not None]
    cost = sum(known) if len(known) == len(traces) else None
    return sum(it.input_tokens for it in traces), sum(it.output_tokens for it in traces), cost


def bounded(value: Any, *, keep: bool) -> Any:
    """Return what is kept of content: all of it if that is little, else its beginning as text; None where none is."""
    if not keep or value is None:
        return None
    said = msgspec.json.encode(value)
    if len(said) <= _MOST_CONTENT:
        return value
    return {"cut": True, "bytes": len(said), "begins": said[:_MOST_CONTENT].decode("utf-8", "ignore")}


def kept(trace: Trace, *, keep: bool) -> Trace:
    """Return what is kept of a step."""
    return msgspec.structs.replace(
        trace, input=bounded(trace.input, keep=keep), output=bounded(trace.output, keep=keep)
    )
