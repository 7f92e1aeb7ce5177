"""One question to one target, with regard for its health: its pause, its slots, its breaker, its credential.

Nothing below here is tried again but for a secret that was renewed meanwhile and reasoning that is refused, and nothing here
knows of other targets.
"""

import asyncio
import math
from collections.abc import Mapping
from typing import NoReturn, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from switchgear.ambient import Ambient
from switchgear.contracts.credential import Secret
from switchgear.contracts.dialect import StreamEncoder
from switchgear.contracts.exchange import Attempt, Exchange, Step, Target
from switchgear.contracts.provider import COUNT, Answer, Call, Provider, ProviderFault
from switchgear.contracts.upstream import OutboundRequest, UpstreamResponse
from switchgear.errors import (
    FirstByteTimeout,
    IdleTimeout,
    InvalidRequest,
    TotalTimeout,
    Unavailable,
    UpstreamError,
)
from switchgear.exchange.attempt_context import AttemptContext
from switchgear.exchange.attempt_notes import begin, end, is_answer, note_cause
from switchgear.exchange.capabilities import count_body
from switchgear.exchange.faults import cause_of, reason_of
from switchgear.exchange.filters import face_of
from switchgear.exchange.health.health import Health
from switchgear.exchange.health.retry import retry_after_date
from switchgear.exchange.health.settings import RoutingSettings
from switchgear.exchange.held import Held, read_answer, sent
from switchgear.exchange.listener import Listener
from switchgear.exchange.policies import PolicyChain
from switchgear.exchange.reasoning import asked_with_less
from switchgear.exchange.refused import mark_refused, tell_owner
from switchgear.exchange.sound import JSON, check_answer, is_deep
from switchgear.exchange.stream import Buffering, IdleTimes, StreamEnd, StreamRelay, one_by_one
from switchgear.exchange.target_faults import TargetFaults, read_fault
from switchgear.plugin_faults import heeded
from switchgear.wire.gathered import as_stream

CIRCUIT_OPEN = "target_open"
_STATUS = {"rate_limit": 429, "overloaded": 503}
_REFUSED = frozenset({"auth", "permission"})

Ending: TypeAlias = Answer | StreamEnd
"""How an exchange is answered: with a whole answer in the client's wire format, or with what ends a stream written meanwhile."""


class Caps(Struct, frozen=True):
    """Bounds of every exchange: bytes of a whole answer; seconds of silence until a stream's client gets a sign of life.

    `held` bounds all of them together (`held.py`).
    """

    body: int = 32 * 1024 * 1024
    held: int = 128 * 1024 * 1024
    keep_alive_s: float = 15.0


class Invoker:
    """Asks targets that may be asked, and tells their health what came of it."""

    def __init__(
        self, ambient: Ambient, caps: Caps, settings: RoutingSettings, faults: TargetFaults, held: Held
    ) -> None:
        self._faults = faults
        self._ambient = ambient
        self._monotonic = ambient.monotonic
        self._caps = caps
        self._held = held
        self._settings = settings

    async def ask(self, ctx: AttemptContext, call: Call, step: Step, *, again: bool, others: bool) -> Ending:
        """Ask the target of a step.

        `again` says that it is not the first try in this exchange, `others` that others may be asked instead: then there is no
        waiting. Raises what went wrong, noted in the last of `x.attempts` where it came to an attempt; `ProviderFault` also for a
        target that wants a pause, and `Unavailable` (`target_open`, `target_busy`) for one that is not asked.
        """
        target = step.target
        if call.wire == COUNT and COUNT not in target.wires:
            return self._counted(ctx, call, target)
        health = target.health
        if not isinstance(health, Health):
            return await self._attempt(ctx, call, step)
        if health.is_throttled:
            await self._wait_turn(ctx, target, health, others=others)
        limiter = health.limiter
        if limiter.limit != target.concurrency:
            limiter.resize(target.concurrency)  # as many as this exchange's configuration allows
        if not limiter.take():
            await self._wait_place(ctx, target, health, others=others)
        ticket = 0
        try:
            # The last target of a plan is never ejected; but of several whose circuits are open only one is asked.
            ticket = health.begin(force=not others and (again or not ctx.x.attempts), retry=again) or _circuit_open()
            ending = await self._attempt(ctx, call, step)
        except BaseException as error:
            if ticket:
                _note_failure(health, ticket, error, ctx, step)
            raise
        else:
            x = ctx.x
            # Where it went on with an answer, the first byte was another's.
            if x.first_byte_s is not None and x.attempts and x.first_byte_s >= (began_s := x.attempts[-1].began_s):
                health.note_latency(x.first_byte_s - began_s)
            health.succeeded(ticket, whose_is(x) if health.is_throttled else None)
            return ending
        finally:
            limiter.release()

    async def _wait_turn(self, ctx: AttemptContext, target: Target, health: Health, *, others: bool) -> None:
        """Wait out a pause that a target asked for, or until the next turn at its pace; a longer wait is the answer."""
        whose = whose_is(ctx.x)
        wait = health.wait_s(whose)
        if not health.is_meant(whose):
            return
        most = min(self._settings.retry.wait_most, ctx.left_s(self._monotonic()))
        if wait and (others or wait > most or health.pacer.is_full(whose)):
            cause = health.throttle_reason
            raise ProviderFault(cause, _STATUS[cause], retry_after=wait)
        health.pacer.take()
        if wait:
            ctx.watch.shorten(target.timeouts.total)
            with health.pacer.waiting(whose):
                await asyncio.sleep(wait)

    async def _wait_place(self, ctx: AttemptContext, target: Target, health: Health, *, others: bool) -> None:
        wait = 0.0
        if not others:
            wait = min(self._settings.queue, ctx.left_s(self._monotonic()))
            ctx.watch.shorten(target.timeouts.total)
        if not await health.limiter.acquire(wait, whose_is(ctx.x)):
            message = f"All {health.limiter.limit} slots of this model's provider are in use; try again shortly."
            raise Unavailable(message, code="target_busy", retry_after=max(1.0, wait))

    async def _attempt(self, ctx: AttemptContext, call: Call, step: Step) -> Ending:
        """Prepare, send, read; once more where a secret is refused that was replaced meanwhile, or reasoning that came back."""
        x, watch, target = ctx.x, ctx.watch, step.target
        handle = target.secret
        secret = None if handle is None else handle.peek()
        is_newer = False
        while True:
            attempt = Attempt(target, self._monotonic() - x.began)
            told = x.policies.again if x.attempts else x.policies.attempting
            extra = await _headers(x, attempt) if told or x.trace is not None else None
            begin(x, attempt)
            try:
                watch.shorten(target.timeouts.total)
                if secret is None and handle is not None:
                    secret = await handle.get()
                attempt.secret = x.own if target.takes_own else secret
                self._expect_first_token(ctx, step)
                if x.call is not None and x.call.stream:
                    ending: Ending = await self._stream(ctx, call, step, attempt, extra)
                else:
                    answer = await self._whole(ctx, call, attempt, extra)
                    if not answer.body.startswith(b"{") or answer.media_type is not JSON:
                        check_answer(answer)
                    x.usage = answer.usage
                    x.stream_bytes = len(answer.body)
                    ending = self._told(ctx, call, answer)
            except BaseException as raised:  # noqa: BLE001 - raised there, but for what may be asked once more
                fault = self._failure(ctx, attempt, raised)
            else:
                if target.credential is not None:
                    target.credential.accepted()
                return ending
            finally:
                attempt.ended_s = self._monotonic() - x.began
                end(x, attempt)
                watch.relax()
            less = None if ctx.is_spent(self._monotonic()) else asked_with_less(ctx, call, fault)
            if less is not None:
                call = less
            else:
                secret, is_newer = await self._newer(ctx, attempt, fault, again=is_newer), True

    def _failure(self, ctx: AttemptContext, attempt: Attempt, raised: BaseException) -> ProviderFault:
        """Note how an attempt failed. Returns a fault after which the target may be asked once more, and raises all others."""
        error = (ctx.watch.cause() if isinstance(raised, asyncio.CancelledError) else None) or raised
        error = self._faults.told_as(ctx.x, attempt, ctx.endpoint, error)
        if not isinstance(error, Exception):
            raise raised  # it is given up
        note_cause(attempt, error)
        if isinstance(error, ProviderFault) and not ctx.x.committed:
            return error
        if error is raised:
            raise error
        raise error from None

    async def _newer(self, ctx: AttemptContext, attempt: Attempt, refusal: ProviderFault, *, again: bool) -> Secret:
        """Return the secret that has replaced one that was refused. Raises the fault where none has, or time is up."""
        target, old, newer = attempt.target, attempt.secret, None
        tell_owner(target, refusal)
        if refusal.cause not in _REFUSED or target.secret is None:
            raise refusal
        if not again and old is not None and refusal.cause == "auth":
            newer = await target.secret.renew(old)
        if newer is None:
            mark_refused(target, refusal)
            raise refusal
        if ctx.is_spent(self._monotonic()):
            raise refusal
        return newer

    def _expect_first_token(self, ctx: AttemptContext, step: Step) -> None:
        timeout_s = step.target.timeouts.first_byte
        plan = ctx.x.plan
        if step.first_token_s is None and (plan is None or plan.seconds is None):
            ctx.watch.expect(FirstByteTimeout, timeout_s)
        else:
            first_s, late = self._first_token(ctx, step)
            ctx.watch.expect(late, min(timeout_s, first_s))

    def _first_token(self, ctx: AttemptContext, step: Step) -> tuple[float, type[UpstreamError]]:
        """Return how long the first token may take, infinity where nothing says, and what it is if it does not come.

        What others left of the plan's time says nothing about this target: that it did not suffice is no failure of its own.
        """
        own_s = math.inf if step.first_token_s is None else step.first_token_s
        left_s = ctx.left_s(self._monotonic())
        if left_s < min(own_s, step.target.timeouts.first_byte) and len(ctx.x.attempts) > 1:
            return left_s, TotalTimeout
        return min(own_s, left_s), FirstByteTimeout

    def _counted(self, ctx: AttemptContext, call: Call, target: Target) -> Answer:
        """Answer for a target that does not count tokens with an estimate."""
        ctx.x.headers.append((b"x-switchgear-estimated", b"true"))
        return self._told(ctx, call, Answer(count_body(target.estimator.input(call.members))))

    def _told(self, ctx: AttemptContext, call: Call, answer: Answer) -> Answer:
        """Return a whole answer as its client gets it: after the filters of policies, in the client's wire format."""
        if call.wire == ctx.endpoint.wire and not ctx.x.policies.listening:
            return answer
        assert ctx.x.call is not None
        listener = self._listener(ctx, call)
        try:
            if listener is not None:
                answer = replace(answer, body=listener.whole(answer.body))
            if call.wire == ctx.endpoint.wire:
                return answer
            return replace(answer, body=ctx.endpoint.answer(ctx.x.call, answer))
        except BaseException as error:
            self._faults.told_by_dialect(ctx.endpoint, call, answer, error)
            raise

    def _listener(self, ctx: AttemptContext, call: Call) -> Listener | None:
        """Return what policies see the answer by; the same for all that give one answer together."""
        policies: PolicyChain = ctx.x.policies
        if not policies.listening:
            return None
        if ctx.listener is None or not ctx.x.committed:
            filter = policies.filter(ctx.x, face_of(ctx.endpoint, call.wire))
            ctx.listener = Listener(filter, call.wire, keeps=bool(policies.answering))
        return ctx.listener

    async def _whole(
        self, ctx: AttemptContext, call: Call, attempt: Attempt, extra: Mapping[str, str] | None
    ) -> Answer:
        x, target = ctx.x, attempt.target
        if target.native is not None:
            attempt.asked = True
            answer = await heeded(target.native.complete(x, call, target.model, attempt.secret))
            x.first_byte_s = self._monotonic() - x.began
            return answer
        provider, connection = target.provider, target.connection
        assert provider is not None
        assert connection is not None
        response = await sent(connection, self._request(call, attempt, provider), extra, self._held)
        if not is_answer(response, attempt, provider):
            raise await self._fault(call, provider, response)
        x.first_byte_s = self._monotonic() - x.began
        body = response.whole(self._caps.body)
        if body is None:
            watch, idle_s = ctx.watch, target.timeouts.idle
            watch.expect(IdleTimeout, idle_s)
            try:
                body = await read_answer(
                    response, self._caps.body, self._held, lambda: watch.expect(IdleTimeout, idle_s)
                )
            finally:
                await response.close()
        return provider.decode(call, response, body)

    async def _stream(
        self, ctx: AttemptContext, call: Call, step: Step, attempt: Attempt, extra: Mapping[str, str] | None
    ) -> StreamEnd:
        x, endpoint, target = ctx.x, ctx.endpoint, attempt.target
        assert x.call is not None
        try:
            encoder = ctx.continuation or endpoint.encoder(x.call, translate=call.wire != endpoint.wire)
        except BaseException as error:
            self._faults.told_by_dialect(endpoint, call, None, error)
            raise
        listener = self._listener(ctx, call)
        relay = self._relay(ctx, step, encoder, listener)
        try:
            if not call.stream:
                answer = await self._whole(ctx, call, attempt, extra)
                await relay.run(as_stream(answer, usage_wanted=call.usage_wanted))
            elif target.native is not None:
                attempt.asked = True
                await relay.run(one_by_one(target.native.stream(x, call, target.model, attempt.secret)))
            else:
                provider, connection = target.provider, target.connection
                assert provider is not None
                assert connection is not None
                response = await sent(connection, self._request(call, attempt, provider), extra, self._held)
                if not is_answer(response, attempt, provider):
                    raise await self._fault(call, provider, response)
                try:
                    await relay.run_decoder(response, provider.decoder(call, response))
                finally:
                    await response.close()
        finally:
            relay.give_back()
        try:
            return StreamEnd(encoder.end(), None if listener is None else listener.streamed())
        except BaseException as error:
            self._faults.told_by_dialect(endpoint, call, None, error)
            raise

    def _relay(self, ctx: AttemptContext, step: Step, encoder: StreamEncoder, listener: Listener | None) -> StreamRelay:
        assert ctx.x.plan is not None
        silence = IdleTimes(step.target.timeouts.idle, self._caps.keep_alive_s)
        first_s, late = self._first_token(ctx, step)
        until = None if first_s == math.inf else self._monotonic() + first_s
        hold = Buffering(until, late, whole=ctx.x.plan.recovery == "buffer", most=self._caps.body, kept=self._held)
        return StreamRelay(ctx.x, ctx.reply, encoder, ctx.watch, silence, self._ambient, hold, listener)

    def _request(self, call: Call, attempt: Attempt, provider: Provider) -> OutboundRequest:
        """Return what a provider is asked with."""
        try:
            request = provider.prepare(call, attempt.target.model, attempt.secret)
        except RecursionError:
            if not is_deep(call.members):
                raise
            raise InvalidRequest("The request body is nested too deeply.", code="invalid_json") from None
        attempt.asked = True
        return request

    async def _fault(self, call: Call, provider: Provider, response: UpstreamResponse) -> ProviderFault:
        """Return what a provider's answer that is none says."""
        try:
            fault = provider.fault(call, response, await read_fault(response))
            if fault.retry_after is None:
                fault.retry_after = retry_after_date(response, self._ambient.now_us())
            return fault
        finally:
            await response.close()


def whose_is(x: Exchange) -> str:
    """Say for whom an exchange is: places and turns at a target are shared by that."""
    return "" if x.principal is None else x.principal.id


def _note_failure(health: Health, ticket: int, error: BaseException, ctx: AttemptContext, step: Step) -> None:
    """Tell a target's health how an attempt failed, if it was the target that did."""
    if isinstance(error, (UpstreamError, ProviderFault)) and not _plan_was_impatient(error, ctx, step):
        health.failed(ticket, cause_of(error), getattr(error, "retry_after", None), reason_of(error), whose_is(ctx.x))
    else:
        health.abandoned(ticket)


async def _headers(x: Exchange, attempt: Attempt) -> dict[str, str]:
    """Return the headers of one attempt: the client's trace context, and what policies send."""
    policies: PolicyChain = x.policies
    headers: dict[str, str] = {} if x.trace is None else {"traceparent": x.trace}
    if policies.again if x.attempts else policies.attempting:
        headers.update(await policies.headers(x, attempt))
    return headers


def _plan_was_impatient(error: Exception, ctx: AttemptContext, step: Step) -> bool:
    """Return True if the plan's own deadline fired before the target's: such a timeout is not held against the target."""
    if not isinstance(error, FirstByteTimeout):
        return False
    plan, target = ctx.x.plan, step.target
    hasty = step.first_token_s is not None and step.first_token_s < target.timeouts.first_byte
    hasty = hasty or (plan is not None and plan.seconds is not None)
    health = target.health
    return hasty and isinstance(health, Health) and health.breaker.answers()


def _circuit_open() -> NoReturn:
    raise Unavailable("The provider is being left alone for a while.", code=CIRCUIT_OPEN, retry_after=1)
