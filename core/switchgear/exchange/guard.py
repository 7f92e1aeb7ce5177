"""One target asked with regard for how it fares: its pause, its slots, its breaker, its credential."""

import asyncio
from typing import NoReturn

from switchgear.ambient import Ambient
from switchgear.contracts.exchange import Step, Target
from switchgear.contracts.provider import Call, ProviderFault
from switchgear.errors import FirstByteTimeout, Unavailable, UpstreamError
from switchgear.exchange.ask import Asker
from switchgear.exchange.faults import cause_of
from switchgear.exchange.health.health import Health
from switchgear.exchange.health.limiter import Limiter
from switchgear.exchange.health.settings import RoutingSettings
from switchgear.exchange.inquiry import Inquiry

TARGET_OPEN = "target_open"
_STATUS = {"rate_limit": 429, "overloaded": 503}
_UNAUTHORIZED = 401
_REFUSED = frozenset({"auth", "permission"})


class Guard:
    """Asks targets that may be asked, and tells their health what came of it."""

    def __init__(self, asker: Asker, ambient: Ambient, settings: RoutingSettings) -> None:
        self._asker = asker
        self._monotonic = ambient.monotonic
        self._settings = settings

    async def ask(self, it: Inquiry, call: Call, step: Step, *, again: bool, others: bool) -> bytes:
        """Ask as `Asker` does.

        `again` says that it is not the first try in this exchange, `others` that others may be asked instead: then there is no
        waiting. Raises also `ProviderFault` for a target that wants a pause, and `Unavailable` (`target_open`, `target_busy`).
        """
        target = step.target
        health = target.health
        if not isinstance(health, Health):
            return await self._ask(it, call, step)
        if health.is_eased:
            await self._wait_turn(it, target, health, others=others)
        limiter = health.limiter
        if not _has_place(limiter, target.concurrency):
            await self._wait_place(it, target, limiter, others=others)
        ticket = 0
        try:
            # The last target of a plan is never ejected; but of several that are spared only one is asked.
            ticket = health.begin(force=not others and (again or not it.x.attempts), retry=again) or _spared()
            said = await self._ask(it, call, step)
        except BaseException as error:
            if ticket and isinstance(error, (UpstreamError, ProviderFault)) and not _was_impatient(error, it, step):
                health.failed(ticket, cause_of(error), getattr(error, "retry_after", None))
            elif ticket:
                health.abandoned(ticket)
            raise
        else:
            x = it.x
            # Where it went on with an answer, the first byte was another's.
            if x.first_byte_s is not None and x.attempts and x.first_byte_s >= x.attempts[-1].began_s:
                health.note_latency(x.first_byte_s - x.attempts[-1].began_s)
            health.succeeded(ticket)
            return said
        finally:
            limiter.release()

    async def _wait_turn(self, it: Inquiry, target: Target, health: Health, *, others: bool) -> None:
        """Wait out a pause that a target asked for, or until the next turn at its pace; a longer wait is the answer."""
        wait = health.wait_s()
        most = min(self._settings.retry.wait_most, it.left_s(self._monotonic()))
        if wait and (others or wait > most or health.pacer.is_full()):
            cause = health.eased_for
            raise ProviderFault(cause, _STATUS[cause], retry_after=wait)
        health.pacer.take()
        if wait:
            it.watch.shorten(target.timeouts.total)
            await asyncio.sleep(wait)

    async def _wait_place(self, it: Inquiry, target: Target, limiter: Limiter, *, others: bool) -> None:
        wait = 0.0
        if not others:
            wait = min(self._settings.queue, it.left_s(self._monotonic()))
            it.watch.shorten(target.timeouts.total)
        await limiter.acquire(wait)

    async def _ask(self, it: Inquiry, call: Call, step: Step) -> bytes:
        """Ask, and once more where the target refuses a secret that has since been replaced."""
        target = step.target
        handle = target.secret
        try:
            said = await self._asker.ask(it, call, step, None if handle is None else handle.peek())
        except ProviderFault as error:
            if error.cause not in _REFUSED or handle is None or it.x.committed:
                raise
            refused = it.x.attempts[-1].secret
            newer = None if refused is None or error.cause != "auth" else await handle.renew(refused)
            if newer is None:
                _tell(target, error)
                raise
            if it.is_spent(self._monotonic()):
                raise
        else:
            if target.credential is not None:
                target.credential.accepted()
            return said
        try:
            return await self._asker.ask(it, call, step, newer)
        except ProviderFault as error:
            if error.cause in _REFUSED:
                _tell(target, error)
            raise


def health_of(target: Target) -> Health | None:
    """Return the health of a target, None for one that has none."""
    found = target.health
    return found if isinstance(found, Health) else None


def why_not(target: Target) -> str:
    """Say why a target is not available."""
    health = health_of(target)
    if health is not None and not health.breaker.ready():
        return "its breaker is open"
    if health is not None and health.wait_s():
        return "it wants a pause or a slower pace"
    return "its credential was refused"


def _was_impatient(error: Exception, it: Inquiry, step: Step) -> bool:
    """Say whether it was the plan that would not wait, not the target that is known to answer which was silent for too long."""
    if not isinstance(error, FirstByteTimeout):
        return False
    plan, target = it.x.plan, step.target
    hasty = step.first_token_s is not None and step.first_token_s < target.timeouts.first_byte
    hasty = hasty or (plan is not None and plan.seconds is not None)
    health = health_of(target)
    return hasty and health is not None and health.breaker.answers()


def _has_place(limiter: Limiter, most: int | None) -> bool:
    """Take a place, of as many as this exchange's configuration allows."""
    if limiter.limit != most:
        limiter.resize(most)
    return limiter.take()


def _spared() -> NoReturn:
    raise Unavailable("The provider is being left alone for a while.", code=TARGET_OPEN, retry_after=1)


def _tell(target: Target, fault: ProviderFault) -> None:
    """Mark the credential, not the model: what is refused is who asks."""
    if target.credential is not None:
        target.credential.refused(target.provider_id, _UNAUTHORIZED if fault.cause == "auth" else fault.status)
