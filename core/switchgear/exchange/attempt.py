"""One loop owns every attempt: which target next, whether again, after how long. Nobody below here retries.

The first content decides (`x.committed`): before it any target may still answer, after it nobody else may, unless the plan has
others go on with what was said.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeAlias

from msgspec.structs import replace

from switchgear.ambient import Ambient
from switchgear.contracts.dialect import InferenceEndpoint
from switchgear.contracts.exchange import Exchange, Plan, Step, Target
from switchgear.contracts.provider import Call, ProviderFault
from switchgear.errors import (
    EgressDenied,
    InvalidRequest,
    SecretUnavailable,
    TotalTimeout,
    Unavailable,
    UpstreamError,
    UpstreamFailed,
)
from switchgear.exchange.attempt_context import AttemptContext
from switchgear.exchange.capabilities import fit
from switchgear.exchange.continuation import Continuation, may_continue
from switchgear.exchange.faults import cause_of, most_telling
from switchgear.exchange.health.health import Health
from switchgear.exchange.health.retry import wait_for
from switchgear.exchange.health.settings import RoutingSettings
from switchgear.exchange.hedge import Race
from switchgear.exchange.invoke import CIRCUIT_OPEN, Ending, Invoker, whose_is
from switchgear.exchange.reply import Reply
from switchgear.upstream.watch import Watch

Failure: TypeAlias = UpstreamError | ProviderFault | SecretUnavailable | Unavailable

_PASSES = frozenset(
    {"overloaded", "rate_limit", "server", "protocol", "timeout", "auth", "permission", "quota", "not_found"}
)
"""Faults of a provider after which another target may do better, unless a step says itself on what it leads on."""
_NOT_ASKED = frozenset({CIRCUIT_OPEN, "target_busy", "target_vetoed"})
"""Codes of an unavailability that is one target's: its circuit is open, it has no place free, a policy passes it over."""


class Attempter:
    """Tries the steps of a plan until one answers."""

    def __init__(self, invoker: Invoker, ambient: Ambient, settings: RoutingSettings) -> None:
        self._ask = invoker.ask
        self._abandoned: set[asyncio.Task[Ending]] = set()
        self._ambient = ambient
        self._settings = settings

    def run(
        self, x: Exchange, plan: Plan, endpoint: InferenceEndpoint, reply: Reply, watch: Watch
    ) -> Awaitable[Ending]:
        """Return what answers the exchange: a whole answer, or what ends the stream that was written meanwhile."""
        if not plan.steps:
            raise _no_target()
        ctx = AttemptContext(x, endpoint, reply, watch, plan.steps[0])
        return self._go_on(ctx, plan) if plan.recovery == "continue" else self._go_through(ctx, plan)

    async def _go_on(self, ctx: AttemptContext, plan: Plan) -> Ending:
        """Have others go on where a stream breaks off."""
        ctx.continuation = _continuation(ctx.x, ctx.endpoint)
        try:
            return await self._go_through(ctx, plan)
        finally:
            if ctx.continuation is not None and ctx.continuation.spent is not None:
                ctx.continuation.account(ctx.x)  # whatever ended it: those that broke off were asked too

    async def _go_through(self, ctx: AttemptContext, plan: Plan) -> Ending:
        x = ctx.x
        failures: list[Failure] = []
        outgrown: list[Step] = []
        unfit: InvalidRequest | None = None
        steps = _in_order(ctx, plan) if len(plan.steps) > 1 else list(plan.steps)
        while steps:
            step = steps.pop(0)
            if failures and (self._is_spent(ctx) or _is_outgrown(x, step, outgrown)):
                continue
            ctx.step = step
            before = len(x.attempts)
            try:
                if not steps:
                    return await self._persist(ctx, step, others=False)
                return await self._try(ctx, step, steps, hedge_s=None if failures else plan.hedge_s)
            except InvalidRequest as error:
                if x.committed and not failures:
                    raise
                unfit = unfit or error  # this target cannot say it; perhaps the next one can
                _note_failed(ctx, step, error, before)
            except (UpstreamError, ProviderFault, SecretUnavailable, Unavailable) as error:
                _note_failed(ctx, step, error, before)
                if (x.committed and not _goes_on(ctx)) or not _leads_on(error, ctx.step):
                    raise
                failures.append(error)
                if cause_of(error) == "context_length":
                    outgrown.append(ctx.step)
        if failures:
            raise failures[-1] if x.committed else most_telling(failures)
        raise unfit or _no_target()

    async def _try(self, ctx: AttemptContext, step: Step, later: list[Step], *, hedge_s: float | None) -> Ending:
        """Ask the target of a step; one of those `later` may be asked meanwhile, and is then out of the plan."""
        others = any(is_available(ctx.x, step.target) for step in later)
        if others and hedge_s is not None:
            return await self._hedged(ctx, step, later, hedge_s)
        return await self._persist(ctx, step, others=others)

    async def _hedged(self, ctx: AttemptContext, step: Step, later: list[Step], after_s: float) -> Ending:
        """Ask a target, and the next one as well if the first stays silent; it is then out of the plan."""

        def second() -> Step | None:
            health = health_of(step.target)
            found = next((index for index, other in enumerate(later) if is_available(ctx.x, other.target)), None)
            if found is None or self._is_spent(ctx) or (health is not None and not health.budget.spend()):
                return None
            return later.pop(found)

        async def ask(own: AttemptContext, which: Step) -> Ending:
            return await self._persist(own, which, others=True)

        def continuation() -> Continuation | None:
            return None if ctx.continuation is None else _continuation(ctx.x, ctx.endpoint)

        return await Race(ctx, ask, _leads_on, continuation, self._abandoned).run(step, second, after_s)

    async def _persist(self, ctx: AttemptContext, step: Step, *, others: bool) -> Ending:
        """Try one target as often as its step says. Where others wait behind it, they are the better second try."""
        call = (
            fit(ctx.x, ctx.endpoint, step.target) if ctx.continuation is None else _with_what_was_said(ctx, step.target)
        )
        tries = 0
        while True:
            asked = len(ctx.x.attempts)
            try:
                return await self._ask(ctx, call, step, again=tries > 0, others=others)
            except (UpstreamError, ProviderFault) as error:
                if len(ctx.x.attempts) == asked:
                    raise  # nobody was asked: it is to be left alone for longer than is waited for
                is_last = ctx.x.committed or tries >= self._most_retries(ctx, step, others=others)
                wait = None if is_last else self._wait(ctx, step.target, error, tries)
                if wait is None:
                    raise
                await asyncio.sleep(wait)
                if self._is_spent(ctx):  # what was asked meanwhile counts too
                    raise
            tries += 1

    def _most_retries(self, ctx: AttemptContext, step: Step, *, others: bool) -> int:
        if step.retries is not None:
            return step.retries
        # One layer tries again: where others wait behind this target, or the client does so itself, it is not this one.
        return 0 if others or ctx.x.retried else self._settings.retries

    def _wait(
        self, ctx: AttemptContext, target: Target, error: UpstreamError | ProviderFault, tries: int
    ) -> float | None:
        """Say how long to wait before the same target is asked again; None where that is of no use."""
        if self._is_spent(ctx):
            return None
        wait = wait_for(error, tries, self._settings.retry, self._ambient.random)
        health = health_of(target)
        if wait is None or wait >= ctx.left_s(self._ambient.monotonic()):
            return None
        if health is not None and not (health.breaker.ready() and health.budget.spend()):
            return None
        return wait

    def _is_spent(self, ctx: AttemptContext) -> bool:
        return ctx.is_spent(self._ambient.monotonic())


def _no_target() -> UpstreamFailed:
    return UpstreamFailed("No target is eligible for this request.", code="no_target", source="gateway")


def _continuation(x: Exchange, endpoint: InferenceEndpoint) -> Continuation | None:
    """Make what remembers a stream that may have to be gone on with; None for an answer that nobody could go on with."""
    assert x.call is not None
    if not x.call.stream or x.call.operation != "chat":
        return None
    try:
        call = endpoint.canonical(x.call)
    except InvalidRequest:
        return None
    if not may_continue(call):
        return None
    return Continuation(endpoint.encoder(x.call, translate=call.wire != endpoint.wire))


def _with_what_was_said(ctx: AttemptContext, target: Target) -> Call:
    """Return the call in the form in which another target can go on with the answer, and with what there is of it."""
    call = fit(ctx.x, ctx.endpoint, target, canonical=True)
    if ctx.x.committed and ctx.continuation is not None:
        call = ctx.x.sent = ctx.continuation.fit(call, target)
    return call


def _goes_on(ctx: AttemptContext) -> bool:
    """Account for a stream that broke off before its client, and say whether another target may go on with it."""
    if ctx.continuation is None:
        return False
    ctx.continuation.account(ctx.x)
    return ctx.continuation.can_go_on()


def health_of(target: Target) -> Health | None:
    """Return the health of a target, None for one that has none."""
    found = target.health
    return found if isinstance(found, Health) else None


def is_available(x: Exchange, target: Target) -> bool:
    """Say whether a target would be asked now, for this exchange."""
    health = health_of(target)
    held_back = health is not None and health.is_throttled and health.wait_s(whose_is(x))
    return not held_back and target.is_available()


def why_not(target: Target) -> str:
    """Say why a target is not available."""
    health = health_of(target)
    if health is not None and not health.breaker.ready():
        return "its breaker is open"
    if health is not None and health.wait_s():
        return "it wants a pause or a slower pace"
    return "its credential was refused"


def _in_order(ctx: AttemptContext, plan: Plan) -> list[Step]:
    """Put targets that would not be asked now behind those that would, and say so where that is another order.

    Each of them is to be asked the same, whatever those before it do to the call.
    """
    x = ctx.x
    assert x.call is not None
    ctx.asked = dict(x.call.members)
    ready = [is_available(x, step.target) for step in plan.steps]
    if ready == sorted(ready, reverse=True):
        return list(plan.steps)
    later = [step for step, is_ready in zip(plan.steps, ready, strict=True) if not is_ready]
    for step in later:
        _note(x, step, f"asked last, {why_not(step.target)}")
    return [*(step for step, is_ready in zip(plan.steps, ready, strict=True) if is_ready), *later]


def _note_failed(ctx: AttemptContext, step: Step, error: Exception, attempts: int) -> None:
    """Say of a step that failed why nobody was asked for it, if so: if there are no more attempts than before it."""
    x = ctx.x
    if ctx.asked is not None and x.call is not None and x.call.members != ctx.asked:
        x.call.members = dict(ctx.asked)
    if len(x.attempts) != attempts:
        return
    if isinstance(error, InvalidRequest):
        reason: str | None = "unfit"
    else:
        reason = error.code if isinstance(error, Unavailable) else cause_of(error)
    _note(x, step, f"not asked ({reason})")


def _note(x: Exchange, step: Step, what: str) -> None:
    """Add to the reasons why the request goes where it goes: of what was not asked no attempt tells."""
    assert x.plan is not None
    reason = f"{step.target.model.id} at {step.target.provider_id}: {what}"
    x.plan = replace(x.plan, why=(*x.plan.why, reason))


def _is_outgrown(x: Exchange, step: Step, before: list[Step]) -> bool:
    """Say whether a prompt that was too long for the targets of the steps before is so for this one, which is then noted.

    It is unless the window is larger. Where one is not known, the operator may have said that this leads on.
    """
    window = step.target.model.context_window
    for other in before:
        tried = other.target.model.context_window
        if (other.on is None) if window is None else (tried is not None and window <= tried):
            _note(x, step, "not asked (context_length)")
            return True
    return False


def _leads_on(error: Exception, step: Step) -> bool:
    """Say whether the next target may be tried after this failure."""
    if isinstance(error, (EgressDenied, TotalTimeout)):
        return False
    if isinstance(error, InvalidRequest):
        return True  # this target cannot say it; perhaps the next one can
    if isinstance(error, Unavailable):
        return error.code in _NOT_ASKED  # other unavailabilities are the gateway's own, as that it is shutting down
    cause = cause_of(error)
    if step.on is not None:
        return cause in step.on
    if isinstance(error, ProviderFault):
        return cause in _PASSES or cause == "context_length"
    return True
