"""One loop owns every attempt: which target next, whether again, after how long. Nobody below here retries.

The first content decides (`x.committed`): before it any target may still answer, after it nobody else may, unless the plan has
others go on with what was said.
"""

import asyncio
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
from switchgear.exchange.ask import Asker
from switchgear.exchange.continuation import Continuation, may_continue
from switchgear.exchange.faults import cause_of, most_telling
from switchgear.exchange.guard import TARGET_OPEN, Guard, health_of, why_not
from switchgear.exchange.health.retry import wait_for
from switchgear.exchange.health.settings import RoutingSettings
from switchgear.exchange.hedge import Race
from switchgear.exchange.inquiry import Inquiry
from switchgear.exchange.needs import fit
from switchgear.exchange.reply import Reply
from switchgear.upstream.watch import Watch

Failure: TypeAlias = UpstreamError | ProviderFault | SecretUnavailable | Unavailable

_PASSES = frozenset(
    {"overloaded", "rate_limit", "server", "protocol", "timeout", "auth", "permission", "quota", "not_found"}
)
"""Faults of a provider after which another target may do better, unless a step says itself on what it leads on."""
_NOT_ASKED = frozenset({TARGET_OPEN, "target_busy"})
"""Codes of an unavailability that is one target's: it is spared, or has no place free."""


class Attempter:
    """Tries the steps of a plan until one answers."""

    def __init__(self, asker: Asker, ambient: Ambient, settings: RoutingSettings) -> None:
        self._guard = Guard(asker, ambient, settings)
        self._deaf: set[asyncio.Task[bytes]] = set()
        self._ambient = ambient
        self._settings = settings

    async def run(self, x: Exchange, endpoint: InferenceEndpoint, reply: Reply, watch: Watch) -> bytes:
        """Return the bytes of the last write: a whole answer, or what ends the stream that was written meanwhile."""
        plan = x.plan
        assert plan is not None
        if not plan.steps:
            raise _no_target()
        it = Inquiry(x, endpoint, reply, watch, plan.steps[0])
        if plan.recovery != "continue":
            return await self._go_through(it, plan)
        it.continuation = _continuation(x, endpoint)
        try:
            return await self._go_through(it, plan)
        finally:
            if it.continuation is not None and it.continuation.spent is not None:
                it.continuation.account(x)  # whatever ended it: those who broke off were asked too

    async def _go_through(self, it: Inquiry, plan: Plan) -> bytes:
        x = it.x
        failures: list[Failure] = []
        outgrown: list[Target] = []
        unfit: InvalidRequest | None = None
        steps = _in_order(x, plan) if len(plan.steps) > 1 else list(plan.steps)
        while steps:
            step = steps.pop(0)
            if failures and (self._is_spent(it) or not _holds_more(step.target, outgrown)):
                continue
            it.step = step
            before = len(x.attempts)
            try:
                if not steps:
                    return await self._persist(it, step, others=False)
                return await self._try(it, step, steps, hedge_s=None if failures else plan.hedge_s)
            except InvalidRequest as error:
                if x.committed and not failures:
                    raise
                unfit = unfit or error  # this target cannot say it; perhaps the next one can
                _note_unasked(x, step, error, before)
            except (UpstreamError, ProviderFault, SecretUnavailable, Unavailable) as error:
                _note_unasked(x, step, error, before)
                if (x.committed and not _goes_on(it)) or not _leads_on(error, it.step):
                    raise
                failures.append(error)
                if cause_of(error) == "context_length":
                    outgrown.append(x.attempts[-1].target)
        if failures:
            raise failures[-1] if x.committed else most_telling(failures)
        raise unfit or _no_target()

    async def _try(self, it: Inquiry, step: Step, later: list[Step], *, hedge_s: float | None) -> bytes:
        """Ask the target of a step; one of those `later` may be asked meanwhile, and is then out of the plan."""
        others = any(step.target.is_available() for step in later)
        if others and hedge_s is not None:
            return await self._hedged(it, step, later, hedge_s)
        return await self._persist(it, step, others=others)

    async def _hedged(self, it: Inquiry, step: Step, later: list[Step], after_s: float) -> bytes:
        """Ask a target, and the next one as well if the first stays silent; it is then out of the plan."""

        def second() -> Step | None:
            health = health_of(step.target)
            found = next((index for index, other in enumerate(later) if other.target.is_available()), None)
            if found is None or self._is_spent(it) or (health is not None and not health.budget.spend()):
                return None
            return later.pop(found)

        async def ask(own: Inquiry, which: Step) -> bytes:
            return await self._persist(own, which, others=True)

        def continuation() -> Continuation | None:
            return None if it.continuation is None else _continuation(it.x, it.endpoint)

        return await Race(it, ask, _leads_on, continuation, self._deaf).run(step, second, after_s)

    async def _persist(self, it: Inquiry, step: Step, *, others: bool) -> bytes:
        """Try one target as often as its step says. Where others wait behind it, they are the better second try."""
        call = fit(it.x, it.endpoint, step.target) if it.continuation is None else _with_what_was_said(it, step.target)
        most = step.retries
        # One layer tries again: where others wait behind this target, or the client does so itself, it is not this one.
        if most is None:
            most = 0 if others or it.x.retried else self._settings.retries
        tries = 0
        while True:
            try:
                return await self._guard.ask(it, call, step, again=tries > 0, others=others)
            except (UpstreamError, ProviderFault) as error:
                wait = None if it.x.committed or tries >= most else self._wait(it, step.target, error, tries)
                if wait is None:
                    raise
                await asyncio.sleep(wait)
                if self._is_spent(it):  # who was asked meanwhile counts too
                    raise
            tries += 1

    def _wait(self, it: Inquiry, target: Target, error: UpstreamError | ProviderFault, tries: int) -> float | None:
        """Say how long to wait before the same target is asked again; None where that is of no use."""
        if self._is_spent(it):
            return None
        wait = wait_for(error, tries, self._settings.retry, self._ambient.random)
        health = health_of(target)
        if wait is None or wait >= it.left_s(self._ambient.monotonic()):
            return None
        if health is not None and not (health.breaker.ready() and health.budget.spend()):
            return None
        return wait

    def _is_spent(self, it: Inquiry) -> bool:
        return it.is_spent(self._ambient.monotonic())


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


def _with_what_was_said(it: Inquiry, target: Target) -> Call:
    """Return the call in the form in which another target can go on with the answer, and with what there is of it."""
    call = fit(it.x, it.endpoint, target, canonical=True)
    if it.x.committed and it.continuation is not None:
        call = it.x.sent = it.continuation.fit(call, target)
    return call


def _goes_on(it: Inquiry) -> bool:
    """Account for a stream that broke off before its client, and say whether another target may go on with it."""
    if it.continuation is None:
        return False
    it.continuation.account(it.x)
    return it.continuation.can_go_on()


def _in_order(x: Exchange, plan: Plan) -> list[Step]:
    """Put targets that would not be asked now behind those that would, and say so where that is another order."""
    ready = [step.target.is_available() for step in plan.steps]
    if ready == sorted(ready, reverse=True):
        return list(plan.steps)
    later = [step for step, is_ready in zip(plan.steps, ready, strict=True) if not is_ready]
    for step in later:
        _note(x, step, f"asked last, {why_not(step.target)}")
    return [*(step for step, is_ready in zip(plan.steps, ready, strict=True) if is_ready), *later]


def _note_unasked(x: Exchange, step: Step, error: Exception, attempts: int) -> None:
    """Say of a step that failed why nobody was asked for it, if so: if there are no more attempts than before it."""
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


def _holds_more(target: Target, outgrown: list[Target]) -> bool:
    """Say whether a target's window is larger than those the prompt was too long for."""
    window = target.model.context_window
    tried = [other.model.context_window for other in outgrown]
    return not tried or (window is not None and all(it is None or window > it for it in tried))


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
