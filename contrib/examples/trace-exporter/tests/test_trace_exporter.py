import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from switchgear_trace_exporter import TracePolicy

from support.faultup import FaultUpstream, Script
from support.gateway import Running, eventually, running
from support.web import Asked, Told, Web
from switchgear.contracts.policy import Policy
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.policy_suite import PolicySuite, WatchedCounters, make_exchange

CLIENTS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class NoQueue:
    def add(self, spans: list[Any]) -> None:
        assert spans


class TestTracePolicy(PolicySuite):
    def make(self, counters: WatchedCounters) -> Policy:
        return TracePolicy(FixedAmbient(), 1.0, NoQueue())  # type: ignore[arg-type]  # all that it uses

    def test_a_call_from_inside_is_a_part_of_the_call_around_it(self) -> None:
        outer, inner = make_exchange(None), make_exchange(None)
        inner.parent = outer
        policy = TracePolicy(FixedAmbient(), 1.0, NoQueue())  # type: ignore[arg-type]  # all that it uses
        policy.settle(inner)
        policy.settle(outer)
        above, trace = (x.notes["trace_exporter"] for x in (outer, inner))
        assert (above.id, above.span, True) == (trace.id, trace.parent, trace.is_sampled)


class Collector(Web):
    """Takes traces. `status` is what it answers."""

    def __init__(self) -> None:
        super().__init__(self._take)
        self.status = 200
        self.spans: list[dict[str, Any]] = []

    @property
    def enabled(self) -> str:
        return f'trace_exporter = {{ enabled = true, url = "{self.url}/v1/traces" }}'

    def _take(self, asked: Asked) -> Told:
        if self.status == 200:
            [resource] = asked.json["resourceSpans"]
            self.spans += [span for scope in resource["scopeSpans"] for span in scope["spans"]]
        return Told(self.status)


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with Collector() as made:
        yield made


@pytest.fixture
async def upstreams() -> AsyncIterator[list[FaultUpstream]]:
    async with FaultUpstream() as one, FaultUpstream() as two:
        yield [one, two]


@pytest.fixture
async def gateway(tmp_path: Path, collector: Collector, upstreams: list[FaultUpstream]) -> AsyncIterator[Running]:
    async with running(tmp_path, upstreams[0], plugins=collector.enabled) as run:
        await run.add_second(upstreams[1])
        await run.create("chains", id="c", steps=[{"target": "m"}, {"target": "n"}])
        await run.create("chains", id="h", steps=[{"target": "m"}, {"target": "n"}], hedge_after_ms=50)
        yield run


async def ask(run: Running, trace: str | None = CLIENTS, **members: Any) -> Any:
    body = {"model": "c", "messages": [{"role": "user", "content": "hi"}], **members}
    headers = {**run.auth, **({} if trace is None else {"traceparent": trace})}
    return await run.http.post("/v1/chat/completions", json=body, headers=headers)


async def spans_of(collector: Collector, count: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the span of the call and those of its attempts."""
    await eventually(lambda: len(collector.spans) >= count)
    assert count == len(collector.spans)
    [call] = [span for span in collector.spans if span["kind"] == 2]
    return call, [span for span in collector.spans if span["kind"] == 3]


def sent(upstream: FaultUpstream) -> list[str]:
    return [entry.headers["traceparent"] for entry in upstream.ledger]


def named(span: dict[str, Any], flags: str = "01") -> str:
    return f"00-{span['traceId']}-{span['spanId']}-{flags}"


def said(span: dict[str, Any]) -> dict[str, Any]:
    return {it["key"]: next(iter(it["value"].values())) for it in span["attributes"]}


@pytest.mark.parametrize("stream", [False, True])
async def test_each_attempt_is_a_span_that_its_upstream_was_told(
    gateway: Running, collector: Collector, upstreams: list[FaultUpstream], *, stream: bool
) -> None:
    upstreams[0].script(Script(status=500))
    assert 200 == (await ask(gateway, stream=stream)).status_code
    call, attempts = await spans_of(collector, 3)
    assert (CLIENTS.split("-")[1], CLIENTS.split("-")[2]) == (call["traceId"], call["parentSpanId"])
    assert [call["spanId"]] * 2 == [span["parentSpanId"] for span in attempts]
    assert [*sent(upstreams[0]), *sent(upstreams[1])] == [named(span) for span in attempts]
    assert [("p", "server"), ("q", None)] == [
        (said(span)["switchgear.provider"], said(span).get("error.type")) for span in attempts
    ]
    assert [2, 0, 0] == [span["status"]["code"] for span in (*attempts, call)]
    begin, end = int(call["startTimeUnixNano"]), int(call["endTimeUnixNano"])
    for span in attempts:
        assert begin <= int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"]) <= end
    assert "4" == said(call)["gen_ai.usage.output_tokens"]
    assert "hi" not in str(collector.spans).split("'")


async def test_of_two_that_are_asked_at_once_each_is_told_its_own(
    gateway: Running, collector: Collector, upstreams: list[FaultUpstream]
) -> None:
    upstreams[0].script(Script(hang=True))
    assert 200 == (await ask(gateway, model="h")).status_code
    _, attempts = await spans_of(collector, 3)
    assert {*sent(upstreams[0]), *sent(upstreams[1])} == {named(span) for span in attempts}
    assert 2 == len({span["spanId"] for span in attempts})


async def test_without_a_clients_trace_one_begins(
    gateway: Running, collector: Collector, upstreams: list[FaultUpstream]
) -> None:
    await ask(gateway, None)
    call, [attempt] = await spans_of(collector, 2)
    assert "" == call["parentSpanId"]
    assert sent(upstreams[0]) == [named(attempt)]


async def test_what_its_client_does_not_trace_is_passed_on_and_not_exported(
    gateway: Running, collector: Collector, upstreams: list[FaultUpstream]
) -> None:
    await ask(gateway, CLIENTS[:-2] + "00")
    await ask(gateway, None, model="nobody")
    call, _ = await spans_of(collector, 1)
    assert "404" == said(call)["http.response.status_code"]
    [header] = sent(upstreams[0])
    assert (CLIENTS.split("-")[1], "00") == (header.split("-")[1], header.split("-")[3])


async def test_a_collector_that_is_away_holds_nobody_up_and_gets_it_later(
    gateway: Running, collector: Collector
) -> None:
    collector.status = 503
    answers = await asyncio.gather(*(ask(gateway) for _ in range(20)))
    assert {200} == {answer.status_code for answer in answers}
    await eventually(lambda: collector.asked)
    assert not collector.spans
    collector.status = 200
    await eventually(lambda: len(collector.spans) == 40, within=20)
    assert 40 == len({span["spanId"] for span in collector.spans})


async def test_what_was_not_sent_yet_is_sent_when_the_gateway_stops(
    tmp_path: Path, collector: Collector, upstreams: list[FaultUpstream]
) -> None:
    async with running(tmp_path, upstreams[0], plugins=collector.enabled) as run:
        collector.status = 503
        await ask(run, model="m")
        await eventually(lambda: collector.asked)
        collector.status = 200
    assert 2 == len(collector.spans)
