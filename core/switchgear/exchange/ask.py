"""One question to one target: prepare, send, read. Nobody below here retries, and nothing here knows of other targets."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterable

from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.contracts.credential import Secret
from switchgear.contracts.dialect import StreamEncoder
from switchgear.contracts.exchange import Attempt, Exchange, Step, Target
from switchgear.contracts.provider import COUNT, Answer, Call, ProviderFault, StreamEvent
from switchgear.contracts.upstream import UpstreamResponse
from switchgear.errors import (
    ConnectionBroken,
    FirstByteTimeout,
    IdleTimeout,
    InvalidRequest,
    ResponseTooLarge,
    TotalTimeout,
    UpstreamError,
)
from switchgear.exchange.cost import account
from switchgear.exchange.faults import cause_of
from switchgear.exchange.health.retry import retry_after_date
from switchgear.exchange.inquiry import Inquiry
from switchgear.exchange.needs import count_body
from switchgear.exchange.policies import PolicyChain
from switchgear.exchange.stream import Hold, Pump, Silence
from switchgear.telemetry.scrub import SHORTEST
from switchgear.upstream.watch import Watch
from switchgear.wire.chat import replay

_FAULT_BODY = 64 * 1024
_READ_AT_ONCE = 256 * 1024


class Caps(Struct, frozen=True):
    """Bounds of every exchange: bytes of a whole answer; seconds of silence until a stream's client gets a sign of life."""

    body: int = 32 * 1024 * 1024
    keep_alive_s: float = 15.0


class Asker:
    """Asks targets."""

    def __init__(self, policies: PolicyChain, ambient: Ambient, caps: Caps) -> None:
        self._policies = policies
        self._ambient = ambient
        self._caps = caps

    async def ask(self, it: Inquiry, call: Call, step: Step, secret: Secret | None) -> bytes:
        """Return the bytes of the last write: a whole answer, or what ends the stream that was written meanwhile.

        `secret` is used instead of the target's own. Raises what went wrong, noted in the last of `x.attempts`.
        """
        x, endpoint, watch = it.x, it.endpoint, it.watch
        assert x.call is not None
        target = step.target
        if call.wire == COUNT and COUNT not in target.wires:
            x.headers.append((b"x-switchgear-estimated", b"true"))
            return endpoint.answer(x.call, Answer(count_body(target.estimator.input(call.members))))
        attempt = Attempt(target, began_s=self._ambient.monotonic() - x.began)
        x.attempts.append(attempt)
        x.usage = None  # what an attempt before this one consumed, or showed, is not this one's
        x.stream_bytes = x.stream_events = 0
        target.meters.active.inc()
        try:
            watch.shorten(target.timeouts.total)
            if secret is None and target.secret is not None:
                secret = await target.secret.get()
            attempt.secret = secret
            first_s, late = self._first_token(it, step)
            watch.expect(late, min(target.timeouts.first_byte, first_s))
            return await self._answer(it, call, step, attempt)
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
            account(x, attempt)
            if attempt.request_id is not None and _gives_away(attempt.request_id, target, secret):
                attempt.request_id = None
            target.meters.active.inc(-1)
            watch.relax()

    async def _answer(self, it: Inquiry, call: Call, step: Step, attempt: Attempt) -> bytes:
        x, endpoint = it.x, it.endpoint
        assert x.call is not None
        translate = call.wire != endpoint.wire
        if not x.call.stream:
            answer = await self._whole(it, call, attempt)
            x.usage = answer.usage
            x.stream_bytes = len(answer.body)
            return endpoint.answer(x.call, answer) if translate else answer.body
        encoder = it.continuation or endpoint.encoder(x.call, translate=translate)
        pump = self._pump(it, step, encoder)
        if call.stream:
            await self._stream(call, attempt, pump)
        else:
            answer = await self._whole(it, call, attempt)
            await pump.run(replay(answer, usage_wanted=call.usage_wanted))
        return encoder.end()

    def _first_token(self, it: Inquiry, step: Step) -> tuple[float, type[UpstreamError]]:
        """Return how long the first token may take, infinity where nobody says, and what it is if it does not come.

        What others left of the plan's time says nothing about this target: that it did not suffice is nobody's failure.
        """
        own_s = math.inf if step.first_token_s is None else step.first_token_s
        left_s = it.left_s(self._ambient.monotonic())
        if left_s < min(own_s, step.target.timeouts.first_byte) and len(it.x.attempts) > 1:
            return left_s, TotalTimeout
        return min(own_s, left_s), FirstByteTimeout

    def _pump(self, it: Inquiry, step: Step, encoder: StreamEncoder) -> Pump:
        assert it.x.plan is not None
        silence = Silence(step.target.timeouts.idle, self._caps.keep_alive_s)
        first_s, late = self._first_token(it, step)
        until = None if first_s == math.inf else self._ambient.monotonic() + first_s
        hold = Hold(until, late, whole=it.x.plan.recovery == "buffer", most=self._caps.body)
        return Pump(it.x, it.reply, encoder, it.watch, silence, self._policies, self._ambient, hold)

    async def _whole(self, it: Inquiry, call: Call, attempt: Attempt) -> Answer:
        x, target = it.x, attempt.target
        if target.native is not None:
            attempt.asked = True
            answer = await target.native.complete(call, target.model, attempt.secret)
            x.first_byte_s = self._ambient.monotonic() - x.began
            return answer
        assert target.provider is not None
        response = await self._send(x, call, attempt)
        try:
            x.first_byte_s = self._ambient.monotonic() - x.began
            body = await self._body(response, it.watch, target.timeouts.idle)
        finally:
            await response.close()
        return target.provider.decode(call, response, body)

    async def _stream(self, call: Call, attempt: Attempt, pump: Pump) -> None:
        target = attempt.target
        if target.native is not None:
            attempt.asked = True
            await pump.run(_one_by_one(target.native.stream(call, target.model, attempt.secret)))
            return
        assert target.provider is not None
        response = await self._send(pump.x, call, attempt)
        try:
            await pump.run_decoder(response, target.provider.decoder(call, response))
        finally:
            await response.close()

    async def _send(self, x: Exchange, call: Call, attempt: Attempt) -> UpstreamResponse:
        target = attempt.target
        assert target.provider is not None
        assert target.connection is not None
        try:
            request = target.provider.prepare(call, target.model, attempt.secret)
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
            fault = target.provider.fault(call, response, await _head(response))
            if fault.retry_after is None:
                fault.retry_after = retry_after_date(response, self._ambient.now_us())
            raise fault
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


def _gives_away(text: str, target: Target, secret: Secret | None) -> bool:
    """Say whether a provider sent back, where it is shown and recorded, what it was to keep to itself."""
    if secret is not None and _holds(text, secret.values()):
        return True
    if target.secret_headers and _holds(text, target.secret_headers):
        return True
    if target.credential is None or target.credential is target.secret:
        return False
    traded = target.credential.peek()  # what the token was got for
    return traded is not None and _holds(text, traded.values())


def _holds(text: str, secrets: Iterable[str]) -> bool:
    return any(len(value) >= SHORTEST and value in text for value in secrets)


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
