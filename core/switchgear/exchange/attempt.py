"""One loop owns every attempt. Providers translate, the upstream carries, and nobody below here retries."""

import asyncio
from collections.abc import AsyncIterator

from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.contracts.credential import Secret
from switchgear.contracts.dialect import InferenceEndpoint
from switchgear.contracts.exchange import Attempt, Exchange, Target
from switchgear.contracts.provider import COUNT, Answer, Call, ProviderFault, StreamEvent
from switchgear.contracts.upstream import UpstreamResponse
from switchgear.errors import (
    ConnectionBroken,
    EgressDenied,
    FirstByteTimeout,
    IdleTimeout,
    InvalidRequest,
    ResponseTooLarge,
    SecretUnavailable,
    UpstreamError,
    UpstreamFailed,
)
from switchgear.exchange.faults import cause_of
from switchgear.exchange.needs import count_body, fit
from switchgear.exchange.policies import PolicyChain
from switchgear.exchange.reply import Reply
from switchgear.exchange.stream import Pump, Silence
from switchgear.telemetry.scrub import SHORTEST
from switchgear.upstream.watch import Watch
from switchgear.wire.chat import replay

_FAULT_BODY = 64 * 1024
_READ_AT_ONCE = 256 * 1024
_MOVE_ON = frozenset(
    {"overloaded", "rate_limit", "server", "protocol", "timeout", "auth", "permission", "quota", "not_found"}
)


class Caps(Struct, frozen=True):
    """Bounds of every exchange: bytes of a whole answer; seconds of silence until a stream's client gets a sign of life."""

    body: int = 32 * 1024 * 1024
    keep_alive_s: float = 15.0


class Attempter:
    """Tries the targets of a plan in order until one answers."""

    def __init__(self, policies: PolicyChain, ambient: Ambient, caps: Caps) -> None:
        self._policies = policies
        self._ambient = ambient
        self._caps = caps

    async def run(self, x: Exchange, endpoint: InferenceEndpoint, reply: Reply, watch: Watch) -> bytes:
        """Return the bytes of the last write: a whole answer, or what ends the stream that was written meanwhile."""
        assert x.plan is not None
        failure: Exception | None = None
        unfit: InvalidRequest | None = None
        for target in x.plan.targets:
            try:
                call = fit(x, endpoint, target)
                return await self._try(x, call, target, endpoint, reply, watch)
            except InvalidRequest as error:
                if reply.started:
                    raise
                unfit = unfit or error  # this target cannot say it; perhaps the next one can
            except (UpstreamError, ProviderFault, SecretUnavailable) as error:
                # The first byte decides: after it, nobody else may answer.
                if reply.started or not _may_move_on(error):
                    raise
                failure = error
        raise (
            failure
            or unfit
            or UpstreamFailed("No target is eligible for this request.", code="no_target", source="gateway")
        )

    async def _try(
        self, x: Exchange, call: Call, target: Target, endpoint: InferenceEndpoint, reply: Reply, watch: Watch
    ) -> bytes:
        """Ask one target, and once more where it refuses a secret that has since been replaced."""
        handle = target.secret
        secret = None if handle is None else handle.peek()
        try:
            return await self._ask(x, call, target, secret, endpoint, reply, watch)
        except ProviderFault as error:
            refused = x.attempts[-1].secret
            if error.cause != "auth" or handle is None or refused is None or reply.started:
                raise
            newer = await handle.renew(refused)
            if newer is None:
                raise
        return await self._ask(x, call, target, newer, endpoint, reply, watch)

    async def _ask(
        self,
        x: Exchange,
        call: Call,
        target: Target,
        secret: Secret | None,
        endpoint: InferenceEndpoint,
        reply: Reply,
        watch: Watch,
    ) -> bytes:
        assert x.call is not None
        translate = call.wire != endpoint.wire
        if call.wire == COUNT and COUNT not in target.wires:
            x.headers.append((b"x-switchgear-estimated", b"true"))
            return endpoint.answer(x.call, Answer(count_body(target.estimator.input(call.members))))
        attempt = Attempt(target, began_s=self._ambient.monotonic() - x.began)
        x.attempts.append(attempt)
        x.usage = None  # what an attempt before this one consumed is not this one's
        target.meters.active.inc()
        try:
            watch.shorten(target.timeouts.total)
            if secret is None and target.secret is not None:
                secret = await target.secret.get()
            attempt.secret = secret
            watch.expect(FirstByteTimeout, target.timeouts.first_byte)
            if not x.call.stream:
                answer = await self._whole(x, call, target, secret, attempt, watch)
                x.usage = answer.usage
                x.stream_bytes = len(answer.body)
                return endpoint.answer(x.call, answer) if translate else answer.body
            encoder = endpoint.encoder(x.call, translate=translate)
            silence = Silence(target.timeouts.idle, self._caps.keep_alive_s)
            pump = Pump(x, reply, encoder, watch, silence, self._policies, self._ambient)
            if call.stream:
                await self._stream(call, target, secret, attempt, pump)
            else:
                answer = await self._whole(x, call, target, secret, attempt, watch)
                await pump.run(replay(answer, usage_wanted=call.usage_wanted))
            return encoder.end()
        except asyncio.CancelledError:
            error = watch.cause()
            if error is None:
                raise
            attempt.cause = cause_of(error)
            raise error from None
        except Exception as error:
            attempt.cause = cause_of(error)
            if isinstance(error, ProviderFault):
                attempt.status, attempt.request_id = error.status, error.request_id
            raise
        finally:
            attempt.ended_s = self._ambient.monotonic() - x.began
            if attempt.request_id is not None and _holds(attempt.request_id, target, secret):
                attempt.request_id = None
            target.meters.active.inc(-1)
            watch.relax()

    async def _whole(
        self, x: Exchange, call: Call, target: Target, secret: Secret | None, attempt: Attempt, watch: Watch
    ) -> Answer:
        if target.native is not None:
            attempt.asked = True
            answer = await target.native.complete(call, target.model, secret)
            x.first_byte_s = self._ambient.monotonic() - x.began
            return answer
        assert target.provider is not None
        response = await self._send(x, call, target, secret, attempt)
        try:
            x.first_byte_s = self._ambient.monotonic() - x.began
            body = await self._body(response, watch, target.timeouts.idle)
        finally:
            await response.close()
        return target.provider.decode(call, response, body)

    async def _stream(self, call: Call, target: Target, secret: Secret | None, attempt: Attempt, pump: Pump) -> None:
        if target.native is not None:
            attempt.asked = True
            await pump.run(_one_by_one(target.native.stream(call, target.model, secret)))
            return
        assert target.provider is not None
        response = await self._send(pump.x, call, target, secret, attempt)
        try:
            await pump.run_decoder(response, target.provider.decoder(call, response))
        finally:
            await response.close()

    async def _send(
        self, x: Exchange, call: Call, target: Target, secret: Secret | None, attempt: Attempt
    ) -> UpstreamResponse:
        assert target.provider is not None
        assert target.connection is not None
        try:
            request = target.provider.prepare(call, target.model, secret)
        except RecursionError:
            raise InvalidRequest("The request body is nested too deeply.", code="invalid_json") from None
        if x.trace is not None:
            request.headers["traceparent"] = x.trace
        attempt.asked = True
        response = await target.connection.send(request)
        attempt.status = response.status
        if 200 <= response.status < 300:  # noqa: PLR2004 - HTTP's classes
            attempt.request_id = response.header(target.provider.request_id_header)
            return response
        try:
            raise target.provider.fault(call, response, await _head(response))
        finally:
            await response.close()

    async def _body(self, response: UpstreamResponse, watch: Watch, idle_s: float) -> bytes:
        watch.expect(IdleTimeout, idle_s)
        size = response.header("content-length")
        if size is not None and size.isdigit() and int(size) <= _READ_AT_ONCE:
            return await response.body(self._caps.body)
        pieces: list[bytes] = []
        total = 0
        while (piece := await response.read()) is not None:
            watch.expect(IdleTimeout, idle_s)
            total += len(piece)
            if total > self._caps.body:
                raise ResponseTooLarge("the answer passed the cap on bodies")
            pieces.append(piece)
        return b"".join(pieces)


def _may_move_on(error: Exception) -> bool:
    if isinstance(error, ProviderFault):
        return error.cause in _MOVE_ON
    return not isinstance(error, EgressDenied)


def _holds(text: str, target: Target, secret: Secret | None) -> bool:
    """Say whether a provider sent back, where it is shown and recorded, what it was to keep to itself."""
    known = (*target.secrets(), *(() if secret is None else secret.values()))
    return any(len(value) >= SHORTEST and value in text for value in known)


async def _head(response: UpstreamResponse) -> bytes:
    """Read as much of an error's body as is looked at; an error that breaks off is still that error."""
    found = b""
    try:
        while len(found) < _FAULT_BODY and (piece := await response.read()) is not None:
            found += piece
    except ConnectionBroken:
        pass
    return found[:_FAULT_BODY]


async def _one_by_one(events: AsyncIterator[StreamEvent]) -> AsyncIterator[list[StreamEvent]]:
    async for event in events:
        yield [event]
