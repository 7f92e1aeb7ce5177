"""One loop owns every attempt: which target next, whether again, after how long. Nobody below here retries.

The first byte of content decides (`x.committed`): before it any target may still answer, after it nobody else may.
"""

import asyncio
from collections.abc import Iterator

from switchgear.ambient import Ambient
from switchgear.contracts.dialect import InferenceEndpoint
from switchgear.contracts.exchange import Exchange, Plan, Step, Target
from switchgear.contracts.provider import Call, ProviderFault
from switchgear.errors import EgressDenied, InvalidRequest, SecretUnavailable, TotalTimeout, UpstreamError, UpstreamFailed
from switchgear.exchange.ask import Asker
from switchgear.exchange.faults import cause_of, most_telling
from switchgear.exchange.health import Health, RoutingSettings, wait_for
from switchgear.exchange.needs import fit
from switchgear.exchange.reply import Reply
from switchgear.upstream.watch import Watch

Failure = UpstreamError | ProviderFault | SecretUnavailable

_PASSES = frozenset(
    {"overloaded", "rate_limit", "server", "protocol", "timeout", "auth", "permission", "quota", "not_found"}
)
"""Faults of a provider after which another target may do better, unless a step says on what it leads on."""
_AGAIN = frozenset({"connect", "connect_timeout", "connection", "overloaded", "rate_limit", "server", "timeout"})
"""Causes after which the same target may do better. A silent one is not among them: it was waited for long enough."""


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
            if failures and not self._may_go_on(x, plan, failures[-1], step.target):
                continue
            try:
                call = fit(x, endpoint, step.target)
                others = any(_is_available(later.target) for later in steps[place + 1 :])
                return await self._persist(x, call, step, endpoint, reply, watch, others=others)
            except InvalidRequest as error:
                if x.committed:
                    raise
                unfit = unfit or error  # this target cannot say it; perhaps the next one can
            except (UpstreamError, ProviderFault, SecretUnavailable) as error:
                if x.committed or not _leads_on(error, step):
                    raise
                failures.append(error)
        if failures:
            raise most_telling(failures)
        raise unfit or UpstreamFailed("No target is eligible for this request.", code="no_target", source="gateway")

    async def _persist(
        self, x: Exchange, call: Call, step: Step, endpoint: InferenceEndpoint, reply: Reply, watch: Watch, *, others: bool
    ) -> bytes:
        """Try one target as often as its step says. Where others wait behind it, they are the better second try."""
        most = step.retries if step.retries is not None else 0 if others else self._settings.retries
        tries = 0
        while True:
            try:
                return await self._guarded(x, call, step, endpoint, reply, watch)
            except (UpstreamError, ProviderFault) as error:
                wait = self._wait(x, step.target, error, tries) if tries < most else None
                if x.committed or wait is None:
                    raise
            tries += 1
            watch.relax()
            await asyncio.sleep(wait)

    def _wait(self, x: Exchange, target: Target, error: Failure, tries: int) -> float | None:
        """Say how long to wait before the same target is asked again; None where that is of no use."""
        plan = x.plan
        assert plan is not None
        if cause_of(error) not in _AGAIN or self._is_spent(x, plan):
            return None
        wait = wait_for(error, tries, self._settings.retry, self._ambient)
        if wait is None or (target.health is not None and not target.health.budget.take()):
            return None
        return wait

    async def _guarded(
        self, x: Exchange, call: Call, step: Step, endpoint: InferenceEndpoint, reply: Reply, watch: Watch
    ) -> bytes:
        """Ask within the target's limit of concurrency, and tell its breaker what came of it."""
        health = step.target.health
        if health is None:
            return await self._with_newest_secret(x, call, step, endpoint, reply, watch)
        await health.enter(self._settings.queue_s)
        try:
            said = await self._with_newest_secret(x, call, step, endpoint, reply, watch)
        except BaseException as error:
            health.leave(cause_of(error) if isinstance(error, (UpstreamError, ProviderFault)) else None, error)
            raise
        health.leave_well(x.attempts[-1] if x.attempts else None)
        return said
