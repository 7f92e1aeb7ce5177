"""One loop owns every attempt: which target next, whether again, after how long. Nobody below here retries.

The first content decides (`x.committed`): before it any target may still answer, after it nobody else may.
"""

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

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
from switchgear.exchange.faults import cause_of, most_telling
from switchgear.exchange.health.health import Health
from switchgear.exchange.health.retry import wait_for
from switchgear.exchange.health.settings import RoutingSettings
from switchgear.exchange.needs import fit
from switchgear.exchange.reply import Reply
from switchgear.upstream.watch import Watch

Failure: TypeAlias = UpstreamError | ProviderFault | SecretUnavailable | Unavailable

_PASSES = frozenset(
    {"overloaded", "rate_limit", "server", "protocol", "timeout", "auth", "permission", "quota", "not_found"}
)
"""Faults of a provider after which another target may do better, unless a step says itself on what it leads on."""
_SAFE_AGAIN = frozenset({"connect", "connection", "overloaded", "rate_limit", "server", "timeout"})
"""Causes after which the same target may do better. A silent one is not among them: it was waited for long enough."""
_NOT_ASKED = frozenset({"target_open", "target_busy"})
"""Codes of an unavailability that is one target's: it is spared, or has no place free."""


class Attempter:
    """Tries the steps of a plan until one answers."""

    def __init__(self, asker: Asker, ambient: Ambient, settings: RoutingSettings) -> None:
        self._asker = asker
        self._ambient = ambient
        self._settings = settings

    async def run(self, x: Exchange, endpoint: InferenceEndpoint, reply: Reply, watch: Watch) -> bytes:
        """Return the bytes of the last write: a whole answer, or what ends the stream that was written meanwhile."""
        plan = x.plan
        assert plan is not None
        failures: list[Failure] = []
        unfit: InvalidRequest | None = None
        steps = _in_order(plan.steps)
        for place, step in enumerate(steps):
            if failures and (self._is_spent(x, plan) or not _is_worth_it(failures[-1], x, step.target)):
                continue
            others = any(_is_available(later.target) for later in steps[place + 1 :])
            try:
                call = fit(x, endpoint, step.target)
                return await self._persist(x, call, step, endpoint, reply, watch, others=others)
            except InvalidRequest as error:
                if x.committed:
                    raise
                unfit = unfit or error  # this target cannot say it; perhaps the next one can
            except (UpstreamError, ProviderFault, SecretUnavailable, Unavailable) as error:
                if x.committed or not _leads_on(error, step):
                    raise
                failures.append(error)
        if failures:
            raise most_telling(failures)
        raise unfit or UpstreamFailed("No target is eligible for this request.", code="no_target", source="gateway")

    async def _persist(
        self,
        x: Exchange,
        call: Call,
        step: Step,
        endpoint: InferenceEndpoint,
        reply: Reply,
        watch: Watch,
        *,
        others: bool,
    ) -> bytes:
        """Try one target as often as its step says. Where others wait behind it, they are the better second try."""
        most = step.retries if step.retries is not None else 0 if others else self._settings.retries
        tries = 0
        while True:
            try:
                return await self._guarded(x, call, step, endpoint, reply, watch, again=tries > 0, others=others)
            except (UpstreamError, ProviderFault) as error:
                wait = None if x.committed or tries >= most else self._wait(x, step.target, error, tries)
                if wait is None:
                    raise
            tries += 1
            watch.relax()
            await asyncio.sleep(wait)

    def _wait(self, x: Exchange, target: Target, error: UpstreamError | ProviderFault, tries: int) -> float | None:
        """Say how long to wait before the same target is asked again; None where that is of no use."""
        assert x.plan is not None
        if cause_of(error) not in _SAFE_AGAIN or self._is_spent(x, x.plan):
            return None
        wait = wait_for(error, tries, self._settings.retry, self._ambient.random)
        health = _health(target)
        if wait is None or (health is not None and not health.budget.spend()):
            return None
        return wait

    def _is_spent(self, x: Exchange, plan: Plan) -> bool:
        """Say whether the plan's own budget of attempts or seconds is used up."""
        if plan.attempts is not None and len(x.attempts) >= plan.attempts:
            return True
        return plan.seconds is not None and self._ambient.monotonic() - x.began >= plan.seconds

    async def _guarded(
        self,
        x: Exchange,
        call: Call,
        step: Step,
        endpoint: InferenceEndpoint,
        reply: Reply,
        watch: Watch,
        *,
        again: bool,
        others: bool,
    ) -> bytes:
        """Ask within the target's bound of concurrency, and tell its breaker what came of it."""
        health = _health(step.target)
        if health is None:
            return await self._with_newest_secret(x, call, step, endpoint, reply, watch)
        if not health.limiter.take():
            await health.limiter.acquire(0.0 if others else self._settings.queue)
        ticket = 0
        try:
            ticket = _begin(health, force=not others, again=again)
            said = await self._with_newest_secret(x, call, step, endpoint, reply, watch)
        except BaseException as error:
            if ticket and isinstance(error, (UpstreamError, ProviderFault)):
                health.failed(ticket, cause_of(error), getattr(error, "retry_after", None))
            elif ticket:
                health.abandoned(ticket)
            raise
        else:
            if x.first_byte_s is not None and x.attempts:
                health.note_latency(max(x.first_byte_s - x.attempts[-1].began_s, 0.0))
            health.succeeded(ticket)
            return said
        finally:
            health.limiter.release()

    async def _with_newest_secret(
        self, x: Exchange, call: Call, step: Step, endpoint: InferenceEndpoint, reply: Reply, watch: Watch
    ) -> bytes:
        """Ask, and once more where the target refuses a secret that has since been replaced."""
        handle = step.target.secret
        secret = None if handle is None else handle.peek()
        try:
            return await self._asker.ask(x, call, step, secret, endpoint, reply, watch)
        except ProviderFault as error:
            refused = x.attempts[-1].secret
            if error.cause != "auth" or handle is None or refused is None or x.committed:
                raise
            newer = await handle.renew(refused)
            if newer is None:
                raise
        return await self._asker.ask(x, call, step, newer, endpoint, reply, watch)


def _begin(health: Health, *, force: bool, again: bool) -> int:
    """Take leave to ask. Where nobody else is left it is always given: the last target of a plan is never ejected."""
    ticket = health.begin(force=force, retry=again)
    if not ticket:
        raise Unavailable("The provider is being left alone for a while.", code="target_open", retry_after=1)
    return ticket


def _in_order(steps: Sequence[Step]) -> Sequence[Step]:
    """Put targets that would not be asked now behind those that would; alone, they are still asked."""
    if len(steps) == 1:
        return steps
    return sorted(steps, key=lambda step: not _is_available(step.target))


def _is_available(target: Target) -> bool:
    return target.health is None or target.health.is_available()


def _health(target: Target) -> Health | None:
    found = target.health
    return found if isinstance(found, Health) else None


def _is_worth_it(error: Failure, x: Exchange, target: Target) -> bool:
    """Say whether a target may do better after this failure: a prompt that was too long needs a larger window."""
    if cause_of(error) != "context_length":
        return True
    window, tried = target.model.context_window, x.attempts[-1].target.model.context_window
    return window is not None and (tried is None or window > tried)


def _leads_on(error: Failure, step: Step) -> bool:
    """Say whether the next target may be tried after this failure."""
    if isinstance(error, (EgressDenied, TotalTimeout)):
        return False
    if isinstance(error, Unavailable):
        return error.code in _NOT_ASKED  # other unavailabilities are the gateway's own, as that it is shutting down
    cause = cause_of(error)
    if step.on is not None:
        return cause in step.on
    if isinstance(error, ProviderFault):
        return cause in _PASSES or cause == "context_length"
    return True
