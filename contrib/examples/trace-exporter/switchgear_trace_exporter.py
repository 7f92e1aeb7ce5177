"""Traces of calls for an OpenTelemetry collector: a span for each call, and one within it for each attempt at a provider."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec

from switchgear import Context, Offer, Plugin
from switchgear.ambient import Ambient
from switchgear.contracts.exchange import Attempt, Exchange
from switchgear.contracts.policy import Policy

if TYPE_CHECKING:
    import httpx

NAME = "trace_exporter"
_BATCH = 512
_SERVER, _CLIENT, _FAILED = 2, 3, 2  # https://github.com/open-telemetry/opentelemetry-proto: SpanKind, StatusCode

_Json: TypeAlias = dict[str, Any]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table [plugins.trace_exporter].

    url     where OTLP/HTTP takes traces (`http://127.0.0.1:4318/v1/traces`); None: nothing is traced
    ratio   part of the calls that are traced where the client does not say
    waiting most spans that wait for the collector; older ones are dropped, and counted
    """

    url: str | None = None
    ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    waiting: Annotated[int, msgspec.Meta(ge=_BATCH)] = 10_000


class Trace:
    """The trace of one call: its own span's id, and those of its attempts in the order in which they began.

    `above` is that of the call from within which this one was made.
    """

    def __init__(self, x: Exchange, above: "Trace | None", ambient: Ambient, ratio: float) -> None:
        self.span = ambient.token(8).hex()
        self.attempts: list[tuple[Attempt, str]] = []
        self.id, self.parent, self.flags = ambient.token(16).hex(), "", "00"
        if above is not None:
            self.id, self.parent, self.flags = above.id, above.span, above.flags
        elif x.trace is not None:
            _, self.id, self.parent, self.flags = x.trace.split("-")
        elif ambient.random() < ratio:
            self.flags = "01"

    @property
    def is_sampled(self) -> bool:
        """Whether anybody wants to see it."""
        return bool(int(self.flags, 16) & 1)


class TracePolicy(Policy):
    """Sends each attempt upstream under a span of its own, and queues the spans of a call that is over."""

    on_error = "allow"

    def __init__(self, ambient: Ambient, ratio: float, queue: "Queue") -> None:
        self._ambient = ambient
        self._ratio = ratio
        self._queue = queue

    def attempting(self, x: Exchange, attempt: Attempt) -> Mapping[str, str]:
        """Name the attempt to its provider (https://www.w3.org/TR/trace-context/)."""
        trace, span = self._trace(x), self._ambient.token(8).hex()
        trace.attempts.append((attempt, span))
        return {"traceparent": f"00-{trace.id}-{span}-{trace.flags}"}

    def settle(self, x: Exchange) -> None:
        """Queue what happened. An attempt that another policy vetoed never was one."""
        trace = self._trace(x)
        if trace.is_sampled:
            made = [(attempt, span) for attempt, span in trace.attempts if any(attempt is it for it in x.attempts)]
            self._queue.add([_call(x, trace), *(_attempt(x, trace, attempt, span) for attempt, span in made)])

    def _trace(self, x: Exchange) -> Trace:
        trace: Trace | None = x.notes.get(NAME)
        if trace is None:
            above = None if x.parent is None else self._trace(x.parent)
            trace = x.notes[NAME] = Trace(x, above, self._ambient, self._ratio)
        return trace


class Queue:
    """Spans on their way to the collector."""

    def __init__(self, settings: Settings, context: Context) -> None:
        self._url = settings.url or ""
        self._spans: deque[_Json] = deque(maxlen=settings.waiting)
        self._some = asyncio.Event()
        self._sending = asyncio.Lock()
        self._http: httpx.AsyncClient = context.http(timeout=5.0)
        self._dropped = context.metrics.counter(
            "trace_spans_dropped", "Spans that the collector did not take in time."
        ).child()

    def add(self, spans: list[_Json]) -> None:
        """Queue spans; the oldest make room where there is none."""
        self._dropped.inc(max(0, len(self._spans) + len(spans) - (self._spans.maxlen or 0)))
        self._spans.extend(spans)
        self._some.set()

    async def run(self) -> None:
        """Send what is queued as it comes. What is raised is tried again with backoff."""
        while True:
            await self._some.wait()
            await self.flush()

    async def flush(self) -> None:
        """Send all there is. Raises where the collector does not take it; it then stays queued."""
        async with self._sending:
            while self._spans:
                batch = [self._spans.popleft() for _ in range(min(len(self._spans), _BATCH))]
                try:
                    answer = await self._http.post(
                        self._url, content=_encode(batch), headers={"content-type": "application/json"}
                    )
                    answer.raise_for_status()
                except BaseException:
                    back = batch[: (self._spans.maxlen or 0) - len(self._spans)]  # others came meanwhile
                    self._spans.extendleft(reversed(back))
                    self._dropped.inc(len(batch) - len(back))
                    raise
            self._some.clear()


class TraceExporterPlugin(Plugin[Settings]):
    """The policy and its queue."""

    api = 1
    settings_type = Settings
    _queue: Queue | None = None

    def switchgear_policies(self) -> list[Offer[Policy]]:
        """Offer the policy, if there is a collector."""
        return [] if self.settings.url is None else [Offer(NAME, self._policy)]

    async def start(self) -> None:
        """Begin to send."""
        if self.settings.url is not None:
            self._queue = Queue(self.settings, self.context)
            self.context.spawn("send", self._queue.run)

    async def stop(self) -> None:
        """Send the rest, if that can be done at once."""
        if self._queue is not None:
            with suppress(Exception):
                async with asyncio.timeout(2):
                    await self._queue.flush()

    def _policy(self) -> Policy:
        assert self._queue is not None
        return TracePolicy(self.context.ambient, self.settings.ratio, self._queue)


def _call(x: Exchange, trace: Trace) -> _Json:
    call, usage = x.call, x.usage
    said = {"http.response.status_code": x.status, "error.type": x.cause, "switchgear.request_id": x.id}
    if call is not None:
        said |= {"gen_ai.operation.name": call.operation, "gen_ai.request.model": call.model}
    if usage is not None:
        said |= {"gen_ai.usage.input_tokens": usage.input_tokens, "gen_ai.usage.output_tokens": usage.output_tokens}
    span = {"spanId": trace.span, "parentSpanId": trace.parent, "name": x.dialect, "kind": _SERVER}
    return _span(x, trace, span, (0.0, x.ended_s), said)


def _attempt(x: Exchange, trace: Trace, attempt: Attempt, id: str) -> _Json:
    model, provider = attempt.target.model, attempt.target.provider_id
    said = {"switchgear.provider": provider, "gen_ai.request.model": model.name, "error.type": attempt.cause}
    span = {"spanId": id, "parentSpanId": trace.span, "name": f"attempt {model.id}", "kind": _CLIENT}
    return _span(x, trace, span, (attempt.began_s, attempt.ended_s), said)


def _span(x: Exchange, trace: Trace, span: _Json, times: tuple[float, float], said: _Json) -> _Json:
    begin, end = (str(x.started_us * 1000 + int(seconds * 1e9)) for seconds in times)
    attributes = [
        {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for key, value in said.items()
        if value is not None
    ]
    span |= {"traceId": trace.id, "startTimeUnixNano": begin, "endTimeUnixNano": end, "attributes": attributes}
    return {**span, "status": {"code": _FAILED if said["error.type"] else 0}}


def _encode(spans: Sequence[_Json]) -> bytes:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "switchgear"}}]}
    scopes = [{"scope": {"name": NAME}, "spans": spans}]
    return msgspec.json.encode({"resourceSpans": [{"resource": resource, "scopeSpans": scopes}]})
