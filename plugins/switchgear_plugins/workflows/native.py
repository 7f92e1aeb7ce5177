"""Workflows as what answers to a name: each run is an exchange, and what its steps have called are calls within it.

It is asked in two wires: its own (`input`, and a result with every step), and a chat, whose messages are the input and whose
answer is the output.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from switchgear import Context
from switchgear.contracts.credential import Secret
from switchgear.contracts.event import Event
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.inside import InsideAnswer
from switchgear.contracts.provider import CANONICAL, Answer, Call, StreamEvent, TargetModel, Traits
from switchgear.contracts.resource import Snapshot
from switchgear.contracts.usage import Usage
from switchgear.errors import ApiError, InternalError, InvalidRequest, NotFound
from switchgear.wire.gathered import as_stream
from switchgear_plugins.workflows.records import RUNS, RunRecord, bounded, kept, totals
from switchgear_plugins.workflows.references import written
from switchgear_plugins.workflows.resources import KIND, LiveWorkflow
from switchgear_plugins.workflows.run import Run
from switchgear_plugins.workflows.schemas import check
from switchgear_plugins.workflows.settings import WorkflowsSettings

WIRE = "workflow"
FAILED = "workflows.failed"
_Queue = asyncio.Queue[tuple[str, dict[str, Any]] | None]


class ExchangeCaller:
    """Has models called in an exchange, in the name of whoever asked."""

    def __init__(self, context: Context, x: Exchange, workflow: str) -> None:
        self._context = context
        self._x = x
        self._workflow = workflow

    @property
    def snapshot(self) -> Snapshot:
        """The configuration of the exchange."""
        return self._x.snapshot

    async def call(self, operation: str, body: Mapping[str, Any], *, model: str, step: str) -> InsideAnswer:
        """Call a model."""
        assert self._x.principal is not None
        labels = {"workflow": self._workflow, "step": step}
        return await self._context.call(
            operation, body, principal=self._x.principal, parent=self._x, model=model, labels=labels
        )


class WorkflowNative:
    """Runs workflows."""

    wires = frozenset({WIRE, CANONICAL})

    def __init__(self, context: Context, settings: WorkflowsSettings) -> None:
        self._context = context
        self._settings = settings

    def traits(self, model: str) -> Traits:  # noqa: ARG002 - the contract's shape
        """Say in which wires it is spoken to."""
        return Traits(self.wires)

    async def complete(self, x: Exchange, call: Call, model: TargetModel, secret: Secret | None) -> Answer:  # noqa: ARG002
        """Run one whole."""
        workflow, request = self._asked(x, call, model)
        run = self._run(x, workflow, request)
        output = await self._finished(x, workflow, request, run)
        if call.wire == WIRE:
            return Answer(msgspec.json.encode(result(x.id, workflow, run, output)), Usage(nested=True))
        return _completion(x, workflow, run, output)

    async def stream(
        self,
        x: Exchange,
        call: Call,
        model: TargetModel,
        secret: Secret | None,  # noqa: ARG002 - the contract's shape
    ) -> AsyncIterator[StreamEvent]:
        """Run one, telling of its steps as they are taken; in a chat, what it came to."""
        workflow, request = self._asked(x, call, model)
        if call.wire != WIRE:
            run = self._run(x, workflow, request)
            output = await self._finished(x, workflow, request, run)
            answer = _completion(x, workflow, run, output)
            async for batch in as_stream(answer, usage_wanted=call.usage_wanted):
                for event in batch:
                    yield event
            return
        told: _Queue = asyncio.Queue()
        run = self._run(x, workflow, request, told)
        working = asyncio.create_task(self._finished(x, workflow, request, run))
        working.add_done_callback(lambda _: told.put_nowait(None))
        try:
            yield _event("workflow.started", {"id": x.id, "workflow": workflow.id, "version": workflow.version})
            while (one := await told.get()) is not None:
                yield _event(*one)
            output = await working
        finally:
            working.cancel()
            await asyncio.wait({working})
        done = msgspec.json.encode(result(x.id, workflow, run, output))
        yield StreamEvent(done, b"workflow.completed", 1, terminal=True, last=True, usage=Usage(nested=True))

    def _asked(self, x: Exchange, call: Call, model: TargetModel) -> tuple[LiveWorkflow, Any]:
        workflow: LiveWorkflow | None = x.snapshot.live(KIND, model.id)
        if workflow is None:
            raise NotFound(f"There is no workflow `{model.id[:64]}`.", code="workflow_not_found")
        request = given(call) if call.wire == WIRE else _said(call)
        if workflow.schema is not None:
            check(request, workflow.schema, "input" if call.wire == WIRE else "")
        return workflow, request

    def _run(self, x: Exchange, workflow: LiveWorkflow, request: Any, told: _Queue | None = None) -> Run:
        def tell(name: str, data: dict[str, Any]) -> None:
            if told is not None:
                told.put_nowait((name, data))

        spec = workflow.spec
        caller = ExchangeCaller(self._context, x, workflow.id)
        ambient = self._context.ambient
        return Run(spec.steps, workflow.made, request, caller, ambient, most_steps=spec.most_steps, tell=tell)

    async def _finished(self, x: Exchange, workflow: LiveWorkflow, request: Any, run: Run) -> Any:
        """Run it to its end, and keep the record of that, whatever it is."""
        error: BaseException | None = None
        output: Any = None
        try:
            output = await run.run(workflow.spec.output)
        except BaseException as failure:
            error = failure
            raise
        finally:
            flushing = self._context.record(
                RUNS, x.id, x.started_us, self._record(x, workflow, request, run, output, error)
            )
            if isinstance(error, ApiError):
                data = {"id": x.id, "workflow": workflow.id, "code": error.code, "error": error.message}
                self._context.emit(Event(FAILED, self._context.ambient.now_us(), data, id=x.id))
        if flushing is not None:
            await flushing
        return output

    def _record(
        self, x: Exchange, workflow: LiveWorkflow, request: Any, run: Run, output: Any, error: BaseException | None
    ) -> RunRecord:
        keep = self._settings.keep_content
        read, wrote, cost = totals(run.traces)
        status = "completed" if error is None else "failed" if isinstance(error, Exception) else "cancelled"
        told = error if isinstance(error, ApiError) else None
        assert x.principal is not None
        return RunRecord(
            id=x.id,
            at_us=x.started_us,
            workflow=workflow.id,
            version=workflow.version,
            principal=x.principal.id,
            status=status,
            took_ms=int((self._context.ambient.monotonic() - x.began) * 1000),
            steps_taken=len(run.traces),
            input_tokens=read,
            output_tokens=wrote,
            cost_microusd=cost,
            code=None if told is None else told.code,
            error=None if told is None else told.message[:1000],
            input=bounded(request, keep=keep),
            output=bounded(output, keep=keep),
            steps=[kept(trace, keep=keep) for trace in run.traces],
        )


def given(call: Call) -> Any:
    """Return the input that is asked with. Raises `InvalidRequest`."""
    raw = call.members.get("input")
    found = {} if raw is None else msgspec.json.decode(raw)
    if not isinstance(found, dict):
        raise InvalidRequest("`input` is an object.", param="input", code="invalid_value")
    return found


def result(id: str, workflow: LiveWorkflow, run: Run, output: Any) -> dict[str, Any]:
    """Return what a run came to, with its steps."""
    read, wrote, cost = totals(run.traces)
    return {
        "id": id,
        "object": "workflow.run",
        "workflow": workflow.id,
        "version": workflow.version,
        "status": "completed",
        "output": output,
        "steps": run.traces,
        "usage": {"input_tokens": read, "output_tokens": wrote},
        "cost_microusd": cost,
    }


def _said(call: Call) -> dict[str, Any]:
    """Return what a chat gives to a workflow: its messages, and what the user said last."""
    messages = call.member("messages", list[dict[str, Any]]) or []
    said = next((it.get("content") for it in reversed(messages) if it.get("role") == "user"), "")
    if isinstance(said, list):
        said = "".join(str(part.get("text", "")) for part in said if isinstance(part, dict))
    return {"messages": messages, "message": said or "", "metadata": call.member("metadata", dict[str, Any]) or {}}


def _completion(x: Exchange, workflow: LiveWorkflow, run: Run, output: Any) -> Answer:
    if isinstance(output, dict) and isinstance(output.get("content"), str):
        output = output["content"]
    message = {"role": "assistant", "content": written(output)}
    read, wrote, _ = totals(run.traces)
    said = {
        "id": f"chatcmpl-{x.id}",
        "object": "chat.completion",
        "created": x.started_us // 1_000_000,
        "model": workflow.id,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote},
    }
    return Answer(msgspec.json.encode(said), replace(Usage.plain(read, wrote), nested=True))


def _event(name: str, data: dict[str, Any]) -> StreamEvent:
    try:
        return StreamEvent(msgspec.json.encode(data), name.encode(), 1)
    except (TypeError, ValueError) as error:
        raise InternalError("A step told an event that is no JSON.", code="step_broken") from error
