"""The life of one exchange, from a parsed call to its settlement. There is one way through here and it ends in `_settle`.

prepare   policies rewrite the call
plan      the snapshot says where it may go
admit     policies decide
attempt   one loop over the plan's targets (`attempt.py`)
settle    outcome, usage and cost; policies in reverse, of which one keeps the record; metrics
reply     the client's last byte is sent after that, so what it saw is accounted for
"""

import asyncio
from itertools import chain

from structlog.typing import FilteringBoundLogger

from switchgear.ambient import Ambient
from switchgear.contracts.dialect import Dialect, InferenceEndpoint
from switchgear.contracts.exchange import Exchange, Outcome, Plan
from switchgear.contracts.provider import Answer
from switchgear.contracts.record import Ledger
from switchgear.errors import ApiError, ClientGone, Unavailable
from switchgear.exchange.ask import Asker, Caps
from switchgear.exchange.attempt import Attempter
from switchgear.exchange.faults import cause_of, model_not_found, outcome_of, to_api_error
from switchgear.exchange.health.settings import RoutingSettings
from switchgear.exchange.in_flight import InFlight
from switchgear.exchange.meters import ExchangeMeters
from switchgear.exchange.policies import PolicyChain
from switchgear.exchange.reply import Reply, answer_headers, causes, error_headers
from switchgear.exchange.stream import Pump, Silence
from switchgear.exchange.usage import estimate, learn, may_be_billed
from switchgear.upstream.watch import Watch
from switchgear.wire.chat import replay

_AT_ONCE_S = 60.0
"""How long the events of an answer that is there already may take to follow each other: any time is enough."""

_FAILED_UPSTREAM = frozenset({Outcome.UPSTREAM_ERROR, Outcome.UPSTREAM_CUT, Outcome.UPSTREAM_STALL, Outcome.DEADLINE})


class Engine:
    """Runs exchanges. One a process; `in_flight` are those it is running."""

    def __init__(
        self,
        *,
        policies: PolicyChain,
        ledger: Ledger,
        ambient: Ambient,
        meters: ExchangeMeters,
        log: FilteringBoundLogger,
        caps: Caps,
        routing: RoutingSettings | None = None,
    ) -> None:
        self._policies = policies
        self._ledger = ledger
        self._ambient = ambient
        self._meters = meters
        self._log = log
        self._caps = caps
        self._attempter = Attempter(Asker(policies, ambient, caps), ambient, routing or RoutingSettings())
        self.in_flight = InFlight()

    @property
    def running(self) -> int:
        """How many exchanges are in flight."""
        return self.in_flight.count

    def stop_all(self) -> None:
        """End every exchange in flight with the outcome `draining`."""
        self.in_flight.drain()

    async def run(self, x: Exchange, dialect: Dialect, endpoint: InferenceEndpoint, reply: Reply, watch: Watch) -> None:
        """Carry an authenticated, parsed exchange to its end and answer the client. Raises nothing of its own."""
        self.in_flight.enter(x, watch)
        self._meters.active.inc()
        last = b""
        error: BaseException | None = None
        try:
            last = await self._answer(x, endpoint, reply, watch)
        except asyncio.CancelledError as cancelled:
            error = watch.cause() or cancelled
        except Exception as failure:  # noqa: BLE001 - becomes the outcome; bugs are logged in _settle
            error = failure
        watch.close()
        try:
            unaccounted = await self._settle(x, error)
        finally:
            self.in_flight.leave(x)
            self._meters.active.inc(-1)
        if isinstance(error, asyncio.CancelledError):
            raise error
        await self._finish(x, dialect, reply, last, unaccounted or error)

    async def _answer(self, x: Exchange, endpoint: InferenceEndpoint, reply: Reply, watch: Watch) -> bytes:
        """Do everything but the last write, whose bytes are returned."""
        if self._policies.preparing:
            await self._policies.prepare(x)
        x.plan = self._plan(x)
        if not self._ledger.has_room:
            raise Unavailable("Nothing can be recorded now: the journal is full.", code="journal_full", retry_after=5)
        given = await self._policies.admit(x)
        x.admitted_s = self._ambient.monotonic() - x.began
        if given is not None:
            return await self._given(x, endpoint, reply, watch, given)
        return await self._attempter.run(x, endpoint, reply, watch)

    async def _given(
        self, x: Exchange, endpoint: InferenceEndpoint, reply: Reply, watch: Watch, given: Answer
    ) -> bytes:
        """Answer with what a policy gave (canonical), whole or as a stream, as the client asked."""
        assert x.call is not None
        if not x.call.stream:
            x.usage = given.usage
            return endpoint.answer(x.call, given)
        encoder = endpoint.encoder(x.call, translate=True)
        silence = Silence(_AT_ONCE_S, self._caps.keep_alive_s)
        pump = Pump(x, reply, encoder, watch, silence, self._policies, self._ambient)
        await pump.run(replay(given, usage_wanted=x.call.usage_wanted))
        return encoder.end()

    def _plan(self, x: Exchange) -> Plan:
        assert x.call is not None
        assert x.caller is not None
        name = x.call.model
        found = x.snapshot.callable(name)
        if found is None or not found.enabled or not x.caller.may_use_model(name):
            reason = "unknown" if found is None else "disabled" if not found.enabled else "not permitted"
            self._log.info("model refused", model=name[:64], key_id=x.caller.key_id, reason=reason, request_id=x.id)
            raise model_not_found(name)
        plan: Plan = found.plan(x)
        return plan

    async def _settle(self, x: Exchange, error: BaseException | None) -> ApiError | None:
        """Choose the outcome and account for it, once. Returns the error of a policy that must account for it and could not."""
        x.ended_s = self._ambient.monotonic() - x.began
        x.error = error
        x.outcome = Outcome.COMPLETE if error is None else outcome_of(error)
        x.cause = None if error is None else cause_of(error)
        x.status = 200 if error is None else to_api_error(error).status
        if error is None:
            learn(x)
        if x.usage is None and may_be_billed(x):
            x.usage = estimate(x)
        if x.outcome is Outcome.ERROR:
            self._log.error("exchange failed", request_id=x.id, exc_info=error)
        elif x.outcome in _FAILED_UPSTREAM and (target := x.target) is not None:
            self._log.warning(
                "provider failed", request_id=x.id, model=target.model.id, provider=target.provider_id, outcome=str(x.outcome),
                cause=x.attempts[-1].cause, status=x.attempts[-1].status,
            )  # fmt: skip
        try:
            return await self._policies.settle(x)
        finally:
            self._meters.settled(x)

    async def _finish(
        self, x: Exchange, dialect: Dialect, reply: Reply, last: bytes, error: BaseException | None
    ) -> None:
        if isinstance(error, ClientGone):
            return
        if error is None:
            if reply.started:
                await reply.close(last)
            else:
                await reply.whole(200, answer_headers(x, x.ended_s, stream=False), last)
            return
        answer = to_api_error(error, _secrets(x))
        if len(x.attempts) > 1 and answer.source == "provider":
            answer.message += f" Tried: {', '.join(causes(x))}."
        if reply.started:
            await reply.close(reply.encoder.error(answer, x.id))
        else:
            await reply.whole(answer.status, error_headers(x, answer, x.ended_s), dialect.error(answer, x.id))


def _secrets(x: Exchange) -> tuple[str, ...]:
    """Return what no message may show: the failure that is told may be any target's, not only the last one's."""
    handed = [attempt.secret.values() for attempt in x.attempts if attempt.secret is not None]
    known = [target.secrets() for target in dict.fromkeys(attempt.target for attempt in x.attempts)]
    return tuple(dict.fromkeys(chain.from_iterable((*known, *handed))))
