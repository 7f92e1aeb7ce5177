"""Runs test cases: each is a call from inside, in the name of whoever asked for the run, or a run of a workflow."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from switchgear import Context
from switchgear.contracts.principal import USE, Grant, Principal
from switchgear.contracts.record import shorten
from switchgear.errors import ApiError, NotFound, UpstreamFailed, ValidationFailed
from switchgear.wire.members import BROKEN
from switchgear_plugins.test_cases.assertions import Measured, Verdict
from switchgear_plugins.test_cases.cases import TestCase, TestCaseSpec, messages_of
from switchgear_plugins.test_cases.court import verdicts
from switchgear_plugins.test_cases.results import (
    MOST_TEXT,
    RESULTS,
    RUNS,
    ResultRecord,
    Results,
    RunRecord,
    Status,
    Variant,
    change_of,
    diff_of,
)
from switchgear_plugins.test_cases.settings import TestCasesSettings

_WORKFLOW = "/v1/workflows/{id}/execute"
"""Where workflows are run, if a plugin does that."""
PLAIN = (Variant("default"),)
"""How cases are run where nobody says more: as they are."""


class By(Struct, frozen=True):
    """Who asked for a run, as its job has it."""

    id: str
    kind: str
    labels: dict[str, str] = {}

    @classmethod
    def of(cls, principal: Principal) -> "By":
        """Note a principal."""
        return cls(principal.id, principal.kind, dict(principal.labels))

    def principal(self, *models: str) -> Principal:
        """Make the principal again, who may use these models: whoever may run cases may use what they name."""
        grants = (Grant(USE, "models", models),) if models else ()
        return Principal(self.id, self.kind, name=self.id, labels=self.labels, grants=grants)


class RunAsked(Struct, frozen=True):
    """What is to be run."""

    cases: list[str]
    variants: list[Variant]
    by: By


class _RanUsage(Struct, frozen=True):
    input_tokens: int = 0
    output_tokens: int = 0


class _Ran(Struct, frozen=True):
    """What is read of a run of a workflow; its own exchange consumes nothing, its steps do."""

    output: Any
    usage: _RanUsage = _RanUsage()
    cost_microusd: int | None = None


class _Answered(Struct, frozen=True):
    text: str
    request_id: str | None
    input_tokens: int
    output_tokens: int
    cost_microusd: int | None


class Runner:
    """Runs cases."""

    def __init__(self, context: Context, settings: TestCasesSettings) -> None:
        self._context = context
        self._settings = settings
        self.results = Results(context.records)

    def chosen(self, ids: Sequence[str], tags: Sequence[str]) -> list[str]:
        """Return the cases that are meant: those of these ids, those with one of the tags, or all that are enabled.

        Raises `NotFound` for an id of none.
        """
        known: dict[str, TestCase] = dict(self._context.resources.snapshot.all("test-cases"))
        for id in ids:
            if id not in known:
                raise NotFound(f"There is no test case `{id[:100]}`.", code="not_found")
        meant = ids or [
            id for id, it in known.items() if it.spec.enabled and (not tags or set(tags) & set(it.spec.tags))
        ]
        return sorted(dict.fromkeys(meant))

    def check(self, cases: Sequence[str], variants: Sequence[Variant]) -> None:
        """Refuse what cannot be run. Raises `ValidationFailed`."""
        problems: list[tuple[str, str]] = []
        if not cases:
            problems.append(("/cases", "there is no such test case that is enabled"))
        if len(cases) * len(variants) > self._settings.most_calls:
            most = self._settings.most_calls
            problems.append(("/cases", f"{len(cases)} cases in {len(variants)} variants are more than {most} calls"))
        names = [it.name for it in variants]
        problems += [(f"/variants/{n}/name", "is there twice") for n, it in enumerate(names) if it in names[:n]]
        snapshot = self._context.resources.snapshot
        for place, it in enumerate(variants):
            if it.model is not None and snapshot.callable(it.model) is None:
                problems.append((f"/variants/{place}/model", f"nothing answers to `{it.model[:100]}`"))
        if problems:
            raise ValidationFailed("; ".join(f"{pointer}: {detail}" for pointer, detail in problems), problems)

    async def run(
        self, run: str, at_us: int, asked: RunAsked, done: Callable[[int, int], Awaitable[None]]
    ) -> list[ResultRecord]:
        """Run what is asked, and keep what comes of it. What a run that was interrupted did is not done again."""
        await self._record(RUNS, run, at_us, RunRecord(run, at_us, asked.by.id, asked.cases, asked.variants))
        known = {(it.case, it.variant) for it in await self.results.of_run(run)}
        total, count = len(asked.cases) * len(asked.variants), len(known)
        await done(count, total)
        gate = asyncio.Semaphore(self._settings.concurrency)

        async def one(case: str, variant: Variant) -> None:
            nonlocal count
            async with gate:
                await self._one(run, case, variant, asked.by)
                count += 1
                await done(count, total)

        waiting = [(case, it) for case in asked.cases for it in asked.variants if (case, it.name) not in known]
        await _all(one(case, variant) for case, variant in waiting)
        return await self.results.of_run(run)

    async def _one(self, run: str, id: str, variant: Variant, by: By) -> None:
        case: TestCase | None = self._context.resources.snapshot.live("test-cases", id)
        ambient = self._context.ambient
        began_s = ambient.monotonic()
        found: _Answered | None = None
        error: str | None = None
        subject = "" if case is None else case.spec.workflow or variant.model or case.spec.model or ""
        try:
            if case is None:
                raise NotFound("The test case is gone.", code="not_found")
            async with asyncio.timeout(self._settings.timeout):
                found = await self._ask(case.spec, variant, by, {"test_case": id, "test_run": run})
        except ApiError as failure:
            error = f"{failure.code or failure.type}: {failure.message}"
        except TimeoutError:
            error = f"timeout: it took longer than {self._settings.timeout:g} s"
        took_ms = round((ambient.monotonic() - began_s) * 1000)
        judged: list[Verdict] = []
        if found is not None and case is not None:
            judged = await verdicts(case.spec.assertions, Measured(found.text, took_ms, found.cost_microusd))
        passed = found is not None and all(it.passed for it in judged)
        status: Status = "error" if found is None else "passed" if passed else "failed"
        text = "" if found is None else shorten(found.text, MOST_TEXT)
        previous = await self.results.last(id, subject, run)
        at_us = ambient.now_us()
        result = ResultRecord(
            id=f"{run}.{sha256(f'{id} {variant.name}'.encode()).hexdigest()[:32]}",
            at_us=at_us,
            run=run,
            case=id,
            case_version=0 if case is None else case.version,
            variant=variant.name,
            subject=subject,
            status=status,
            change=change_of(status, previous),
            previous_run=None if previous is None else previous.run,
            verdicts=judged,
            text=text,
            diff="" if previous is None else diff_of(previous.text, text),
            error=None if error is None else error[:1000],
            latency_ms=took_ms,
            input_tokens=0 if found is None else found.input_tokens,
            output_tokens=0 if found is None else found.output_tokens,
            cost_microusd=None if found is None else found.cost_microusd,
            request_id=None if found is None else found.request_id,
        )
        await self._record(RESULTS, result.id, at_us, result)

    async def _ask(self, spec: TestCaseSpec, variant: Variant, by: By, labels: dict[str, str]) -> _Answered:
        if spec.workflow is not None:
            return await self._workflow(spec.workflow, spec, by, labels)
        model = variant.model or spec.model or ""
        body = {**spec.parameters, **variant.parameters, "messages": messages_of(spec, variant.prompt_version)}
        answer = await self._context.call("chat", body, principal=by.principal(model), model=model, labels=labels)
        text = _text(answer.body)
        read, written = (0, 0) if answer.usage is None else (answer.usage.input_tokens, answer.usage.output_tokens)
        return _Answered(text, answer.id, read, written, answer.cost_microusd)

    async def _workflow(self, id: str, spec: TestCaseSpec, by: By, labels: dict[str, str]) -> _Answered:
        asked = {"id": id, "input": spec.input}
        answer = await self._context.call(_WORKFLOW, asked, principal=by.principal("*"), labels=labels)
        try:
            ran = msgspec.json.decode(answer.body, type=_Ran)
        except BROKEN:
            raise UpstreamFailed("What the workflow answered is no run.", code="protocol") from None
        text = ran.output if isinstance(ran.output, str) else msgspec.json.encode(ran.output).decode()
        return _Answered(text, answer.id, ran.usage.input_tokens, ran.usage.output_tokens, ran.cost_microusd)

    async def _record(self, kind: str, id: str, at_us: int, body: Struct) -> None:
        flushing = self._context.record(kind, id, at_us, body)
        if flushing is not None:
            await flushing


def _text(body: bytes) -> str:
    """Return what an answer says; of calls of tools, these as JSON."""
    try:
        message = msgspec.json.decode(body)["choices"][0]["message"]
        content = message.get("content")
        if isinstance(content, str) and content:
            return content
        return msgspec.json.encode(message.get("tool_calls") or message.get("refusal") or "").decode()
    except (*BROKEN, LookupError, TypeError, AttributeError):
        return ""


async def _all(work: Iterable[Awaitable[Any]]) -> None:
    """Do everything at once; where one fails, or this is cancelled, none goes on."""
    tasks = [asyncio.ensure_future(it) for it in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task
