"""Requests at the routes of dialects: everything a client may ask that is no inference call.

They share with calls who asks, the limits on bodies, what ends them before their time, and how they are answered. One that is
`counted` is an exchange to the policies as well: without an attempt, its operation named by the route.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping

from structlog.typing import FilteringBoundLogger

from switchgear.ambient import Ambient
from switchgear.authority import Authority
from switchgear.contracts.dialect import ANYBODY, Dialect, Route, RouteReply, WebSocketRoute
from switchgear.contracts.exchange import Exchange, Outcome, Plan
from switchgear.contracts.principal import Credentials, Principal, Scope
from switchgear.contracts.provider import Call
from switchgear.contracts.record import Ledger
from switchgear.contracts.resource import Resources
from switchgear.errors import ClientGone, InternalError, PermissionDenied, Unavailable, model_not_found
from switchgear.exchange.attachments import Policies
from switchgear.exchange.broken import error_body
from switchgear.exchange.cors import Cors
from switchgear.exchange.engine import Engine
from switchgear.exchange.faults import Draining, cause_of, outcome_of, to_api_error
from switchgear.exchange.guarded import mend
from switchgear.exchange.inbound import Holding, Opening, Routed, note_ids
from switchgear.exchange.meters import ExchangeMeters
from switchgear.exchange.reply import answer_lines, error_lines, header_lines
from switchgear.exchange.route_request import RoutedRequest, check_media_type
from switchgear.exchange.sound import check_reply
from switchgear.plugin_faults import Misbehaviour, PluginFaults, heeded, is_own_doing
from switchgear.telemetry.logs import REQUEST_ID
from switchgear.telemetry.metrics import Metrics
from switchgear.upstream.watch import Watch

_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:; ?[\w!#$&^.+=\"/ -]+)*", re.ASCII)


class RouteRunner:
    """Answers requests at routes. `engine` lends what both have: who asks, budgets of bytes, what is in flight."""

    def __init__(
        self,
        *,
        engine: Engine,
        authority: Authority,
        policies: Policies,
        ledger: Ledger,
        resources: Resources,
        ambient: Ambient,
        meters: ExchangeMeters,
        log: FilteringBoundLogger,
        total_timeout_s: float = 600.0,
        faults: PluginFaults | None = None,
    ) -> None:
        self.faults = faults or PluginFaults(Metrics())
        self.engine = engine
        self.authority = authority
        self.policies = policies
        self.ledger = ledger
        self.resources = resources
        self.ambient = ambient
        self.meters = meters
        self.log = log
        self.total_timeout_s = total_timeout_s
        self.loop = asyncio.get_running_loop()

    async def run(self, dialect: Dialect, route: Route, params: Mapping[str, str], request: Routed) -> None:
        """Answer one request. Raises nothing of its own."""
        visit = Visit(self, dialect, route, request)
        reply: RouteReply | None = None
        error: BaseException | None = None
        try:
            reply = await self._reply(visit, route, params)
        except BaseException as failure:  # noqa: BLE001 - becomes the outcome; bugs are logged when it is settled
            error = visit.cause_of(failure)
        error = await visit.end(error)
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            raise error
        if error is not None:
            await visit.refuse(error)
        elif request.started:
            await request.close(b"")
        else:
            assert reply is not None
            assert isinstance(reply.body, bytes)
            await request.whole(reply.status, visit.lines(reply), reply.body, _type(reply))

    async def connect(
        self, dialect: Dialect, route: WebSocketRoute, params: Mapping[str, str], cors: Cors, request: Opening
    ) -> None:
        """Open a WebSocket and serve it to its end. Raises nothing of its own."""
        visit = Visit(self, dialect, route, request)
        error: BaseException | None = None
        try:
            cors.check_home(request)
            asked = await visit.enter(params)
            visit.x.status = 101
            await route.handler(asked, request.accept(visit.lines(RouteReply()), route.subprotocols))
        except BaseException as failure:  # noqa: BLE001 - becomes the outcome; bugs are logged when it is settled
            error = visit.cause_of(failure)
        error = await visit.end(error)
        if request.socket is not None:
            request.socket.finish(*_closing(error))
        elif error is not None and not isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            await visit.refuse(error)
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            raise error

    async def _reply(self, visit: "Visit", route: Route, params: Mapping[str, str]) -> RouteReply:
        asked = await visit.enter(params)
        if (wrong := check_media_type(route, asked.headers)) is not None:
            raise wrong
        reply = await heeded(route.handler(asked))
        check_reply(reply)
        if not isinstance(reply.body, bytes):
            return await _stream(visit, reply, reply.body)
        visit.x.status = reply.status
        return reply


class Visit:
    """One request at a route, from its head to its settlement."""

    def __init__(self, runner: RouteRunner, dialect: Dialect, route: Route | WebSocketRoute, request: Routed) -> None:
        self._house = runner
        self._dialect = dialect
        self._route = route
        self._request = request
        self._held = Holding()
        ambient = runner.ambient
        self._monotonic = ambient.monotonic
        self.x = Exchange(
            ambient.new_id(),
            dialect.name,
            runner.resources.snapshot,
            began=ambient.monotonic(),
            started_us=ambient.now_us(),
        )
        self.x.status = 200
        self.x.policies = runner.policies.always
        REQUEST_ID.set(self.x.id)
        total_s = runner.total_timeout_s if isinstance(route, Route) else float("inf")
        self.watch = Watch(runner.loop, total_s, task=request.task)
        request.on_lost = self.watch.client_left
        runner.meters.active.value += 1

    async def enter(self, params: Mapping[str, str]) -> RoutedRequest:
        """Say who asks and whether they may, and have it counted. Raises `ApiError`."""
        x, request, route, house = self.x, self._request, self._route, self._house
        engine = house.engine
        if request.lost:
            raise ClientGone("The client closed the connection.", code="client_gone")
        headers = request.fields
        note_ids(x, headers)
        if self._dialect.request_id_header is not None:
            x.headers.append((self._dialect.request_id_header, x.id.encode()))
        if route.open_to == "everybody":
            x.principal = ANYBODY
        else:
            credentials = Credentials(headers, request.peer)
            found = house.authority.identify(credentials)
            x.principal = found if isinstance(found, Principal) else await engine.identified(credentials, found)
        engine.in_flight.enter(x, self.watch, x.principal.expires_us)
        if route.counted:
            house.policies.always.begin(x)
        x.authenticated_s = self._monotonic() - x.began
        if route.open_to == "granted":
            await self._allow(params)
        if route.counted:
            await self._count()
        x.admitted_s = self._monotonic() - x.began
        return RoutedRequest(
            request, route, x, params, headers, bodies=engine.bodies, held=self._held, authority=house.authority
        )

    async def _allow(self, params: Mapping[str, str]) -> None:
        x, route = self.x, self._route
        right = (route.action, route.kind, None if route.id is None else params[route.id])
        in_flight = self._house.engine.in_flight
        while True:
            assert x.principal is not None
            as_of = in_flight.revision
            scope = self._house.authority.decide(x.principal, *right)
            scope = scope if isinstance(scope, Scope) else await scope
            if as_of == in_flight.revision:
                break  # else something has changed while it was decided
        if not scope.allowed or (scope.filter is not None and not route.scoped):
            if right[1] == "models" and right[2] is not None:
                raise model_not_found(right[2])
            raise PermissionDenied(f"You may not {route.action} {route.kind} here.", code="not_permitted")
        x.right, x.bounds = right, scope.filter

    async def _count(self) -> None:
        """Make it an exchange to the policies, which may refuse it. There is nothing in it that they could rewrite."""
        x, route, house = self.x, self._route, self._house
        x.call = Call(route.operation or route.path, "", {}, model="")
        x.plan = Plan(())
        if not house.ledger.has_room:
            raise Unavailable("Nothing can be recorded now: the journal is full.", code="journal_full", retry_after=5)
        policies = house.policies.attach(x) if house.policies.attachable else house.policies.always
        given = policies.admit(x)
        if given is not None and asyncio.iscoroutine(given):
            given = await given
        if given is not None:
            message = "A policy has an answer of its own for this, which cannot be given here."
            raise PermissionDenied(message, code="policy_answered")

    async def end(self, error: BaseException | None) -> BaseException | None:
        """Account for it, once, and give back what it held. Returns what its client is to be told, None if it went well."""
        x, house = self.x, self._house
        self.watch.close()
        x.ended_s = self._monotonic() - x.began
        x.error = error
        if error is None:
            x.outcome = Outcome.COMPLETE
        else:
            x.outcome, x.status, x.cause = outcome_of(error), to_api_error(error).status, cause_of(error)
        if x.outcome is Outcome.ERROR and error is not None:
            faults, what = house.faults, f"{getattr(self._route, 'method', 'WebSocket')} {self._route.path}"
            faults.note(faults.owner(self._dialect), what, error, request_id=x.id, dialect=x.dialect)
        if spoilt := mend(x):
            house.faults.note(house.faults.owner(self._dialect), self._route.path, "; ".join(spoilt), request_id=x.id)
        try:
            if x.call is not None:
                x.cost_microusd = x.cost_microusd or 0
            unaccounted = await x.policies.settle(x) if self._route.counted and x.principal is not None else None
        finally:
            house.meters.settled(x)
            if x.principal is not None:
                house.engine.in_flight.leave(x)
            if self._held.bodies is not None:
                self._held.bodies.give_back(self._held)
            house.meters.active.value -= 1
        return unaccounted or error

    def cause_of(self, failure: BaseException) -> BaseException:
        """Return what ended it: a timeout, an abort, what its handler raised."""
        cause = self.watch.cause() if isinstance(failure, asyncio.CancelledError) else None
        if cause is None and not isinstance(failure, Exception) and is_own_doing(failure):
            cause = Misbehaviour(type(failure).__name__)
            cause.__cause__ = failure
        return cause or failure

    def lines(self, reply: RouteReply, *, stream: bool = False) -> bytes:
        """Render the headers of an answer."""
        x = self.x
        now_s = self._monotonic() - x.began
        return answer_lines(x, now_s, stream=stream, named=False) + header_lines(reply.headers)

    def begin(self, reply: RouteReply) -> None:
        """Begin an answer in pieces."""
        self._request.start(self.lines(reply, stream=True), _type(reply))

    async def write(self, piece: bytes) -> None:
        """Send one."""
        await self._request.write(piece)

    @property
    def is_head(self) -> bool:
        """Whether nobody wants a body."""
        return self._request.method == "HEAD"

    async def refuse(self, error: BaseException) -> None:
        """Tell the client, as far as it can be told."""
        request, x = self._request, self.x
        if isinstance(error, ClientGone):
            return
        if request.started:
            request.cut()
            return
        answer = to_api_error(error)
        body = error_body(self._house.faults, self._dialect, answer, x.id)
        await request.whole(answer.status, error_lines(x, answer, x.ended_s), body)


async def _stream(visit: Visit, reply: RouteReply, pieces: AsyncIterator[bytes]) -> RouteReply:
    """Send an answer in pieces, all but its end."""
    begun = False
    try:
        if visit.is_head:
            return RouteReply(b"", media_type=reply.media_type, headers=reply.headers)
        async for piece in pieces:
            if not isinstance(piece, (bytes, bytearray, memoryview)):
                raise TypeError(f"its answer has a piece that is {type(piece).__name__}, no bytes")
            if not begun:
                visit.begin(reply)
                begun = True
            await visit.write(piece)
        if not begun:
            visit.begin(reply)
        return reply
    finally:
        if (close := getattr(pieces, "aclose", None)) is not None:
            await close()


def _closing(error: BaseException | None) -> tuple[int, str]:
    """Return how a WebSocket is closed (RFC 6455 section 7.4.1)."""
    if error is None or isinstance(error, ClientGone):
        return 1000, ""
    if isinstance(error, Draining):
        return 1001, error.message
    told = to_api_error(error)
    return (1011 if isinstance(told, InternalError) else 1008), told.message


def _type(reply: RouteReply) -> bytes:
    return (reply.media_type if _MEDIA_TYPE.fullmatch(reply.media_type) else "application/octet-stream").encode()
