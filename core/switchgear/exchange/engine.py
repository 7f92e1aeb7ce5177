"""The life of one exchange, from the head of a request to its settlement. There is one way through here, `run`.

identify  who asks, which needs no body
read      the body, within budgets of bytes; its head is parsed, the rest stays raw
prepare   policies rewrite the call
plan      the snapshot says where it may go
admit     policies decide
attempt   one loop over the plan's targets (`attempt.py`)
settle    outcome, usage and cost; policies in reverse, of which one keeps the record; metrics
reply     the client's last byte is sent after that, so what it saw is accounted for

What fails early (401, 400, 413) takes the same way out as what fails late.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from itertools import chain

from msgspec.structs import replace
from structlog.typing import FilteringBoundLogger

from switchgear.ambient import Ambient
from switchgear.authority import Authority
from switchgear.contracts.dialect import Dialect, InferenceEndpoint
from switchgear.contracts.exchange import Exchange, Outcome, Plan
from switchgear.contracts.principal import KEY_HEADER, USE, Credentials, Found, Principal, Scope
from switchgear.contracts.provider import CANONICAL, Answer, Call, StreamEvent
from switchgear.contracts.record import Ledger
from switchgear.contracts.resource import Resources
from switchgear.errors import (
    ApiError,
    AuthenticationFailed,
    ClientGone,
    InvalidRequest,
    PermissionDenied,
    PluginFailed,
    Unavailable,
    model_not_found,
)
from switchgear.exchange.attachments import Policies
from switchgear.exchange.attempt import Attempter
from switchgear.exchange.broken import BrokenExchanges, error_body
from switchgear.exchange.coding import coding_of
from switchgear.exchange.cost import learn, settle_cost
from switchgear.exchange.faults import cause_of, model_broken, outcome_of, to_api_error
from switchgear.exchange.health.settings import RoutingSettings
from switchgear.exchange.held import Held
from switchgear.exchange.in_flight import InFlight
from switchgear.exchange.inbound import UNCOUNTED, Bodies, BodyLimits, Holding, Inbound, note_ids, parse_yielding
from switchgear.exchange.invoke import Caps, Ending, Invoker, whose_is
from switchgear.exchange.meters import ExchangeMeters
from switchgear.exchange.policies import PolicyChain
from switchgear.exchange.reply import Reply, answer_lines, causes, error_lines
from switchgear.exchange.stream import IdleTimes, StreamEnd, StreamRelay
from switchgear.exchange.target_faults import TargetFaults
from switchgear.plugin_faults import PluginFaults
from switchgear.telemetry.logs import REQUEST_ID
from switchgear.telemetry.metrics import Metrics
from switchgear.upstream.watch import Watch
from switchgear.wire.gathered import as_stream
from switchgear.wire.members import VERY_LONG, parse_object
from switchgear.wire.other_models import NAMES_OTHERS, models_of_tools

_AT_ONCE_S = 60.0
"""How long the events of an answer that is there already may take to follow each other: any time is enough."""

_ENDED = (asyncio.CancelledError, GeneratorExit)
"""What ends the task that runs an exchange."""
_FAILED_UPSTREAM = frozenset({Outcome.UPSTREAM_ERROR, Outcome.UPSTREAM_CUT, Outcome.UPSTREAM_STALL, Outcome.DEADLINE})


class Engine:
    """Runs exchanges. One a process; `in_flight` are those it is running, `bodies` what is read of requests."""

    def __init__(
        self,
        *,
        authority: Authority,
        policies: Policies,
        ledger: Ledger,
        resources: Resources,
        ambient: Ambient,
        meters: ExchangeMeters,
        log: FilteringBoundLogger,
        caps: Caps,
        total_timeout_s: float = 600.0,
        bodies: BodyLimits | None = None,
        routing: RoutingSettings | None = None,
        faults: PluginFaults | None = None,
    ) -> None:
        self._faults = faults = faults or PluginFaults(Metrics())
        self._broken = BrokenExchanges(faults, policies.always.names)
        self._loop = asyncio.get_running_loop()  # asked for once: each time is a system call before Python 3.12
        self._authority = authority
        self._always = policies.always
        self._attach = policies.attach
        self._attachable = bool(policies.attachable)
        self._wires = policies.wires
        self._ledger = ledger
        self._resources = resources
        self._ambient = ambient
        self._monotonic = ambient.monotonic
        self._meters = meters
        self._log = log
        self._caps = caps
        self._total_timeout_s = total_timeout_s
        held = Held(caps.held)
        self.bodies = Bodies(bodies or BodyLimits(caps.body, caps.held), held)
        routing = routing or RoutingSettings()
        self._attempter = Attempter(Invoker(ambient, caps, routing, TargetFaults(faults), held), ambient, routing)
        self.in_flight = InFlight(authority.decide, ambient)

    @property
    def running(self) -> int:
        """How many exchanges are in flight."""
        return self.in_flight.count

    def stop_all(self) -> None:
        """End every exchange in flight with the outcome `draining`."""
        self.in_flight.drain()

    async def run(self, dialect: Dialect, endpoint: InferenceEndpoint, request: Inbound) -> None:
        """Carry a request to its end and answer the client. Raises nothing of its own."""
        ambient = self._ambient
        x = Exchange(ambient.new_id(), dialect.name, self._resources.snapshot, self._monotonic(), ambient.now_us())
        x.policies = self._always
        REQUEST_ID.set(x.id)
        watch = Watch(self._loop, self._total_timeout_s, request.task)
        request.on_lost = watch.client_left
        held = Holding()
        ending: Ending | None = None
        error: BaseException | None = None
        self._meters.active.value += 1
        try:
            ending = await self._answer(x, dialect, endpoint, request, watch, held)
        except BaseException as failure:  # noqa: BLE001 - becomes the outcome; bugs are logged in _settle
            cause = watch.cause() if isinstance(failure, asyncio.CancelledError) else None
            error = self._broken.known(x, dialect, cause or failure)
        watch.close()
        if error is not None and x.principal is not None and not x.admitted_s and isinstance(error, ApiError):
            error = await x.policies.charge(x, error)
        try:
            self._conclude(x, error)
            unaccounted = await x.policies.settle(x)
        finally:
            self._measure(x)
            if x.principal is not None:
                self.in_flight.leave(x)
            if held.bodies is not None:
                held.bodies.give_back(held)
            self._meters.active.value -= 1
        if isinstance(error, _ENDED):
            raise error
        try:
            if (last := self._last(x, dialect, request, ending, unaccounted or error)) is not None:
                await last
        except Exception as failure:  # noqa: BLE001 - told of; a stream that has begun is cut
            await self._broken.finish(x, dialect, request, failure)
        if error is not None:
            # Its traceback leads back to this frame: a ring that would keep the body until somebody collects garbage.
            error = x.error = None

    async def _answer(
        self, x: Exchange, dialect: Dialect, endpoint: InferenceEndpoint, request: Inbound, watch: Watch, held: Holding
    ) -> Ending:
        """Do everything but the last write."""
        if request.lost:
            raise ClientGone("The client closed the connection.", code="client_gone")
        headers = request.fields
        _note_head(x, dialect, headers)
        principal = request.principal
        if principal is None:
            credentials = Credentials(headers, request.peer)
            found = self._authority.identify(credentials)
            principal = found if isinstance(found, Principal) else await self.identified(credentials, found)
            x.own = credentials.own() if KEY_HEADER in headers else None
        else:
            request.bind(x)
        x.principal = principal
        self.in_flight.enter(x, watch, principal.expires_us)
        self._always.begin(x)
        x.authenticated_s = self._monotonic() - x.began
        body = request.whole_body()
        coding = coding_of(headers)
        if body is None or coding is not None or len(body) > UNCOUNTED:
            body = await self._long_body(x, request, body, coding, held)
        x.endpoint, x.face = endpoint, endpoint.face
        members = parse_object(body) if len(body) <= VERY_LONG else await parse_yielding(body)
        call = x.call = endpoint.parse(members, headers)
        call.id, call.model = x.id, x.snapshot.without_prefix(call.model)
        policies = self._attach(x) if self._attachable or call.wire in self._wires else self._always
        if policies.preparing and policies.prepares(body):
            policies, call = await self._prepared(x, call, policies)
        endpoint.check(call)
        if NAMES_OTHERS in call.members:
            await self._look_at_tools(call, x.principal)
        scope = self._authority.decide(x.principal, USE, "models", call.model)
        x.plan = self._plan(x, call.model, scope if isinstance(scope, Scope) else await self._decided(x, scope))
        if not self._ledger.has_room:
            raise Unavailable("Nothing can be recorded now: the journal is full.", code="journal_full", retry_after=5)
        given = policies.admit(x)
        if given is not None and not isinstance(given, Answer):
            given = await given
        x.admitted_s = self._monotonic() - x.began
        if given is not None:
            return await self._given(x, endpoint, request, watch, given)
        ending = await self._attempter.run(x, x.plan, endpoint, request, watch)
        if policies.answering:
            seen = ending.answer if isinstance(ending, StreamEnd) else replace(ending, wire=endpoint.wire)
            await policies.answered(x, seen)
        return ending

    async def _long_body(
        self, x: Exchange, request: Inbound, body: bytes | None, coding: bytes | None, held: Holding
    ) -> bytes:
        """Read a body, unless its sender would be refused whatever is in it, and unpack it. Raises `ApiError`."""
        principal, policies = x.principal, x.policies
        assert principal is not None
        if body is None or len(body) > UNCOUNTED:
            if not self._authority.may_use_any(principal):
                raise PermissionDenied("These credentials may use no model.", code="not_permitted")
            await policies.look_ahead(x)
            body = await self.bodies.read(request, body, principal.id, held)
        return body if coding is None else await self.bodies.unpack(body, coding, principal.id, held)

    async def _look_at_tools(self, call: Call, principal: Principal) -> None:
        for name in models_of_tools(call.members):
            if not await self._authority.may(principal, USE, "models", name):
                call.bars_tools = True

    async def _prepared(self, x: Exchange, call: Call, policies: PolicyChain) -> tuple[PolicyChain, Call]:
        """Have the call rewritten; return the policies of all that follows, which go by what is called then, and the call."""
        name = call.model
        await policies.prepare(x)
        assert x.call is not None
        return policies if x.call.model == name else self._attach(x), x.call

    async def identified(self, credentials: Credentials, found: Found) -> Principal:
        """Return whose credentials these are, having waited for what the authority found. Raises `AuthenticationFailed`."""
        while found is not None and not isinstance(found, Principal):
            as_of = self.in_flight.revision
            found = await found
            if as_of != self.in_flight.revision:  # rights have changed while these credentials were looked up
                found = self._authority.identify(credentials)
        if found is None:
            raise self._unknown(credentials)
        return found

    def _unknown(self, credentials: Credentials) -> ApiError:
        if not self._authority.authenticators:
            message = "No authenticator is enabled in plugins.toml, so no credentials can be valid."
            return Unavailable(message, code="no_authenticator")
        if credentials.token is None:
            message = "No credentials were sent; use `Authorization: Bearer`."
            return AuthenticationFailed(message, code="invalid_api_key")
        return AuthenticationFailed("The credentials that were sent are not valid.", code="invalid_api_key")

    async def _decided(self, x: Exchange, asked: Awaitable[Scope]) -> Scope:
        """Wait for a decision, and decide again if something has changed meanwhile."""
        assert x.call is not None
        as_of = self.in_flight.revision
        scope = await asked
        while as_of != self.in_flight.revision:
            as_of = self.in_flight.revision
            assert x.principal is not None
            again = self._authority.decide(x.principal, USE, "models", x.call.model)
            scope = again if isinstance(again, Scope) else await again
        return scope

    async def _given(
        self, x: Exchange, endpoint: InferenceEndpoint, reply: Reply, watch: Watch, given: Answer
    ) -> Ending:
        """Answer with what a policy gave, whole or as a stream, as the client asked. Nothing of it was consumed."""
        assert x.call is not None
        translate = (given.wire or CANONICAL) != endpoint.wire
        if not x.call.stream:
            return given if given.wire == endpoint.wire else replace(given, body=endpoint.answer(x.call, given))
        encoder = endpoint.encoder(x.call, translate=translate or given.wire is None)
        silence = IdleTimes(_AT_ONCE_S, self._caps.keep_alive_s)
        relay = StreamRelay(x, reply, encoder, watch, silence, self._ambient)
        await relay.run(_at_once(given.events) if given.events else as_stream(given, usage_wanted=x.call.usage_wanted))
        x.usage = None
        return StreamEnd(encoder.end())

    def _plan(self, x: Exchange, name: str, scope: Scope) -> Plan:
        found = x.snapshot.callable(name)
        is_allowed = scope.allowed and scope.filter is None
        if found is None or not found.enabled or not is_allowed:
            is_broken = found is None and x.snapshot.is_broken(name)
            missing = "broken" if is_broken else "unknown"
            reason = missing if found is None else "disabled" if not found.enabled else "not permitted"
            self._log.info("model refused", model=name[:64], principal=whose_is(x), reason=reason, request_id=x.id)
            if is_broken and is_allowed:
                raise model_broken(name)
            raise model_not_found(name)
        plan: Plan = found.plan(x)
        return plan

    def _conclude(self, x: Exchange, error: BaseException | None) -> None:
        """Choose the outcome, and say what all of it consumed and cost, once."""
        x.ended_s = self._monotonic() - x.began
        try:
            if error is None:
                x.outcome, x.status = Outcome.COMPLETE, 200
                learn(x)
            else:
                x.error, x.outcome, x.cause = error, outcome_of(error), cause_of(error)
                x.status = to_api_error(error).status
            settle_cost(x)
        except (TypeError, AttributeError, ValueError) as spoilt:
            self._broken.mend(x, spoilt)
            settle_cost(x)
        if x.outcome is not Outcome.COMPLETE:
            self._log_failure(x, error)

    def _log_failure(self, x: Exchange, error: BaseException | None) -> None:
        if x.outcome is Outcome.ERROR and not isinstance(error, PluginFailed):
            self._log.error("exchange failed", request_id=x.id, exc_info=error)
        elif x.outcome in _FAILED_UPSTREAM and (target := x.target) is not None:
            self._log.warning(
                "provider failed", request_id=x.id, model=target.model.id, provider=target.provider_id, outcome=str(x.outcome),
                cause=x.attempts[-1].cause, status=x.attempts[-1].status, reason=x.attempts[-1].reason,
            )  # fmt: skip

    def _measure(self, x: Exchange) -> None:
        try:
            self._meters.settled(x)
        except (TypeError, AttributeError) as spoilt:
            self._broken.mend(x, spoilt)
            self._meters.settled(x)

    def _last(
        self, x: Exchange, dialect: Dialect, reply: Reply, ending: Ending | None, error: BaseException | None
    ) -> Awaitable[None] | None:
        """Return what sends the last byte; None where nobody waits for it."""
        if error is None:
            if isinstance(ending, Answer):
                return reply.whole(200, answer_lines(x, x.ended_s, stream=False), ending.body, ending.media_type)
            assert ending is not None
            return reply.close(ending.data)
        if isinstance(error, ClientGone):
            return None
        answer = to_api_error(error, _secrets(x))
        if len(x.attempts) > 1 and answer.source == "provider":
            answer.message += f" Tried: {', '.join(causes(x))}."
        if reply.started:
            return reply.close(reply.encoder.error(answer, x.id))
        return reply.whole(
            answer.status, error_lines(x, answer, x.ended_s), error_body(self._faults, dialect, answer, x.id)
        )


async def _at_once(events: Sequence[StreamEvent]) -> AsyncIterator[list[StreamEvent]]:
    yield list(events)


def _note_head(x: Exchange, dialect: Dialect, headers: Mapping[bytes, bytes]) -> None:
    """Take from the head what an exchange keeps of it. Raises `InvalidRequest`."""
    if dialect.request_id_header is not None:
        x.headers.append((dialect.request_id_header, x.id.encode()))
    note_ids(x, headers)
    if dialect.retry_count_header in headers:
        x.retried = headers[dialect.retry_count_header] != b"0"
    strict = headers.get(b"x-switchgear-strict")
    if strict is not None:
        word = strict.strip().lower()
        if word not in (b"true", b"false"):
            message = "The header `x-switchgear-strict` is `true` or `false`."
            raise InvalidRequest(message, param="x-switchgear-strict", code="invalid_header")
        x.strict = word == b"true"


def _secrets(x: Exchange) -> tuple[str, ...]:
    """Return what no message may show: the failure that is told may be any target's, not only the last one's."""
    handed = [attempt.secret.values() for attempt in x.attempts if attempt.secret is not None]
    known = [target.secrets() for target in dict.fromkeys(attempt.target for attempt in x.attempts)]
    return tuple(dict.fromkeys(chain.from_iterable((*known, *handed))))
