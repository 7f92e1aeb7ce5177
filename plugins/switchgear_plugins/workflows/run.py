"""One run of a workflow: steps in order, each with its inputs resolved, within a budget of steps.

What a step has called is called by `Caller`, in somebody's name. Events of the run are told as they happen.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct, structs

from switchgear.ambient import Ambient
from switchgear.contracts.content import StepRun, WorkflowStep
from switchgear.contracts.inside import InsideAnswer
from switchgear.contracts.resource import Snapshot
from switchgear.errors import (
    ApiError,
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    RateLimited,
    Unavailable,
    UpstreamFailed,
)
from switchgear_plugins.workflows.references import MISSING, Values, resolve
from switchgear_plugins.workflows.spec import Step

_AGAIN = (RateLimited, Unavailable, UpstreamFailed, DeadlineExceeded)
"""What may go well another time."""
_BACKOFF_S = 0.5
_LONGEST_S = 30.0


class Trace(Struct):
    """What became of one step in one run. `began_ms` is since the run began; tokens and cost are those of its calls.

    A cost of None is unknown.
    """

    name: str
    type: str
    status: str = "running"
    tries: int = 0
    began_ms: int = 0
    took_ms: int = 0
    input: Any = None
    output: Any = None
    error: dict[str, Any] | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int | None = 0


class Caller(Protocol):
    """Has models called for a run."""

    @property
    def snapshot(self) -> Snapshot:
        """The configuration of the run."""
        ...

    async def call(self, operation: str, body: Mapping[str, Any], *, model: str, step: str) -> InsideAnswer:
        """Call a model."""
        ...


class _End(Exception):
    """The workflow ends with this output."""

    def __init__(self, output: Any) -> None:
        super().__init__()
        self.output = output


class Run:
    """A run. `traces` are its steps in the order in which they began."""

    def __init__(
        self,
        steps: Sequence[Step],
        made: Mapping[str, WorkflowStep],
        request: Any,
        caller: Caller,
        ambient: Ambient,
        *,
        most_steps: int,
        mocks: Mapping[str, Any] | None = None,
        tell: Callable[[str, dict[str, Any]], None] = lambda _name, _data: None,
    ) -> None:
        self.traces: list[Trace] = []
        self._steps = steps
        self._made = made
        self._request = request
        self._caller = caller
        self._ambient = ambient
        self._most = self._left = most_steps
        self._mocks = mocks or {}
        self._tell = tell
        self._began_s = ambient.monotonic()

    async def run(self, output: Any = None) -> Any:
        """Run it; return what it comes to, by `output` where that is given. Raises the `ApiError` of a step that fails."""
        outputs: dict[str, Any] = {}
        try:
            last = await self.steps(self._steps, Values(self._request, outputs), outputs)
        except _End as end:
            return end.output
        if output is None:
            return last
        try:
            return resolve(output, Values(self._request, outputs))
        except ValueError as error:
            raise InvalidRequest(f"The output of the workflow: {error}.", code="invalid_output") from error

    async def steps(self, steps: Sequence[Step], values: Values, outputs: dict[str, Any]) -> Any:
        """Run steps in order, keeping their outputs; return the last."""
        place, last = 0, None
        while place < len(steps):
            self._left -= 1
            if self._left < 0:
                message = f"The workflow took more than the {self._most} steps that a run may take."
                raise InvalidRequest(message, code="too_many_steps")
            step = steps[place]
            event = await self._step(step, values)
            if event is None:
                outputs.pop(step.name, None)
                place += 1
                continue
            last = outputs[step.name] = event.get("output")
            if event.get("end"):
                raise _End(last)
            place = place + 1 if event.get("go_to") is None else _place(steps, event["go_to"], step)
        return last

    async def _step(self, step: Step, values: Values) -> Mapping[str, Any] | None:
        """Take a step; return its last event, None if it failed and is passed over."""
        trace = Trace(step.name, step.type, began_ms=self._now_ms())
        self.traces.append(trace)
        self._tell("step.started", {"step": step.name, "type": step.type})
        try:
            event = await self._tried(step, trace, values)
        except _End:
            trace.status, trace.took_ms = "completed", self._now_ms() - trace.began_ms
            raise
        except ApiError as error:
            trace.took_ms = self._now_ms() - trace.began_ms
            trace.error = {"message": error.message, "code": error.code, "type": error.type}
            trace.status = "skipped" if step.on_error == "skip_step" else "failed"
            self._tell(f"step.{trace.status}", {"step": step.name, "error": trace.error})
            if step.on_error == "skip_step":
                return None
            error.message = f"The step `{step.name}` failed: {error.message}"
            raise
        except asyncio.CancelledError:
            trace.status, trace.took_ms = "cancelled", self._now_ms() - trace.began_ms
            raise
        trace.took_ms = self._now_ms() - trace.began_ms
        trace.status, trace.output = "completed", event.get("output")
        self._tell("step.completed", {"step": step.name, **_shown(trace)})
        return event

    async def _tried(self, step: Step, trace: Trace, values: Values) -> Mapping[str, Any]:
        """Take a step, again where it may go well another time."""
        if step.name in self._mocks:
            return {"output": self._mocks[step.name]}
        while True:
            trace.tries += 1
            try:
                trace.input = resolve(step.inputs, values)
                async with asyncio.timeout(step.timeout_s) as within:
                    return await self._made_event(step, trace, values)
            except TimeoutError:
                if not within.expired():
                    raise
                failure: ApiError = DeadlineExceeded(f"It took longer than {step.timeout_s:g} s.", code="step_timeout")
            except _AGAIN as error:
                failure = error
            except ValueError as error:
                raise InvalidRequest(f"{error}.", param=step.name, code="invalid_step_input") from error
            except (ApiError, _End):
                raise
            except Exception as error:
                message = f"The step type `{step.type}` is broken."
                raise InternalError(message, code="step_broken") from error
            if trace.tries > step.retries:
                raise failure
            wait_s = failure.retry_after or _BACKOFF_S * 2 ** (trace.tries - 1)
            await asyncio.sleep(min(wait_s, _LONGEST_S))

    async def _made_event(self, step: Step, trace: Trace, values: Values) -> Mapping[str, Any]:
        last: Mapping[str, Any] | None = None
        async for event in self._made[step.name].run(trace.input, At(self, step, trace, values)):
            if last is not None:
                self._tell("step.progress", {"step": step.name, "event": last})
            last = event
        if last is None or "output" not in last:
            raise InternalError(f"The step type `{step.type}` ended without an output.", code="step_broken")
        return last

    async def call(self, operation: str, body: Mapping[str, Any], model: str, trace: Trace) -> InsideAnswer:
        """Have a model called for a step."""
        answer = await self._caller.call(operation, body, model=model, step=trace.name)
        if answer.usage is not None:
            trace.input_tokens += answer.usage.input_tokens
            trace.output_tokens += answer.usage.output_tokens
        unknown = trace.cost_microusd is None or answer.cost_microusd is None
        trace.cost_microusd = None if unknown else (trace.cost_microusd or 0) + (answer.cost_microusd or 0)
        return answer

    @property
    def snapshot(self) -> Snapshot:
        """The configuration of the run."""
        return self._caller.snapshot

    def _now_ms(self) -> int:
        return int((self._ambient.monotonic() - self._began_s) * 1000)


class At(StepRun):
    """A run as one of its steps sees it."""

    def __init__(self, run: Run, step: Step, trace: Trace, values: Values) -> None:
        self._run = run
        self._step = step
        self._trace = trace
        self._values = values

    @property
    def snapshot(self) -> Snapshot:
        """The configuration of the run."""
        return self._run.snapshot

    async def call(self, operation: str, body: Mapping[str, Any], *, model: str) -> InsideAnswer:
        """Have a model called."""
        return await self._run.call(operation, body, model, self._trace)

    async def steps(self, steps: Sequence[Step], *, item: Any = MISSING, index: int | None = None) -> Any:
        """Run steps that stand in this one."""
        outputs = dict(self._values.steps)
        values = structs.replace(self._values, steps=outputs)
        if index is not None:
            values = structs.replace(values, item=item, index=index)
        return await self._run.steps(steps, values, outputs)


async def at_once(work: Sequence[Callable[[], Any]], most: int) -> list[Any]:
    """Do several things, so many at a time; return what each came to. The first that fails ends the others."""
    room = asyncio.Semaphore(most)

    async def one(start: Callable[[], Any]) -> Any:
        async with room:
            return await start()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(start)) for start in work]
    except BaseExceptionGroup as failed:
        raise _first(failed) from None
    return [task.result() for task in tasks]


def _first(failed: BaseException) -> BaseException:
    return _first(failed.exceptions[0]) if isinstance(failed, BaseExceptionGroup) else failed


def _place(steps: Sequence[Step], name: str, by: Step) -> int:
    for place, step in enumerate(steps):
        if step.name == name:
            return place
    raise InternalError(f"The step `{by.name}` leads to `{name}`, which is not beside it.", code="no_such_step")


def _shown(trace: Trace) -> dict[str, Any]:
    members: dict[str, Any] = msgspec.to_builtins(trace)
    return {name: value for name, value in members.items() if name not in ("name", "input")}
