"""Clients that leave, by the thousand and at any moment: the provider hears of it, all is accounted for, no slot is lost."""

import asyncio
import itertools
import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from faults.figures import Record
from support.daemon import Daemon, daemon
from support.faultup import FaultUpstream, Script
from support.files import open_files
from support.gateway import SOURCE, eventually
from support.http1 import request_bytes
from support.probe import measured, quantile
from support.soak import usually
from support.talk import Talk

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(1200)]

PATIENT = {"SWITCHGEAR__GATEWAY__TIMEOUTS__FIRST_BYTE": "60", "SWITCHGEAR__GATEWAY__TIMEOUTS__IDLE": "60"}
"""The provider is in the loop of those who leave by the thousand."""
ROW = "10 clients leave"
CALLS = usually(3_000, soak=50_000)
AT_ONCE = 25
SLOTS = 200
BUSY = Script(chunks=20, delay_ms=2, chunk_delay_ms=2)
LONGEST_S = 0.02
"""How long after a stream's first byte, or after a request for a whole answer, its client leaves at most."""


class Leaver(asyncio.Protocol):
    """One call on a connection of its own, left without a word."""

    def __init__(self, request: bytes) -> None:
        self.heard = b""
        self.left_at = 0.0
        self.answered = asyncio.get_running_loop().create_future()
        self._request = request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.heard += data
        if not self.answered.done():
            self.answered.set_result(None)

    def leave(self, *, rudely: bool) -> None:
        """Close, or reset."""
        self.left_at = time.monotonic()
        if rudely:
            self.transport.abort()
        else:
            self.transport.close()


class Churn:
    """Calls that are left. `calls` has each by the name the client gave it."""

    def __init__(self, gateway: Daemon, seed: int) -> None:
        self.calls: dict[str, Leaver] = {}
        self._gateway = gateway
        self._chance = random.Random(seed)
        self._names = (f"call-{number}" for number in itertools.count())

    async def run(self, count: int, at_once: int) -> None:
        await asyncio.gather(*(self._go_on(count // at_once) for _ in range(at_once)))

    async def _go_on(self, count: int) -> None:
        for _ in range(count):
            await self._call(next(self._names))

    async def _call(self, name: str) -> None:
        chance = self._chance
        messages = [{"role": "user", "content": name}]
        stream = chance.random() < 0.7
        body = {"model": "m", "messages": messages, "stream": stream}
        headers = {"authorization": f"Bearer {self._gateway.key}", "x-request-id": name}
        request = request_bytes(body, headers=headers)
        loop = asyncio.get_running_loop()
        _, call = await loop.create_connection(lambda: Leaver(request), "127.0.0.1", self._gateway.port)
        self.calls[name] = call
        if stream and chance.random() < 0.8:
            await asyncio.wait_for(call.answered, 60)
        await asyncio.sleep(chance.random() * LONGEST_S)  # the moment of leaving is the fault
        call.leave(rudely=chance.random() < 0.5)


async def test_clients_that_leave_by_the_thousand_leave_nothing_behind(tmp_path: Path, figure: Record) -> None:
    with open_files(8 * SLOTS):
        async with FaultUpstream() as upstream, daemon(tmp_path, environ=PATIENT) as gateway:
            await gateway.create("credentials", id="c", type="openai", source=SOURCE)
            where = {"base_url": upstream.base_url, "credential_id": "c", "max_connections": SLOTS}
            await gateway.create("providers", id="p", type="openai", **where)
            await gateway.create("models", id="m", provider_id="p", provider_model="upstream-model")
            _, gateway.key = await gateway.new_key(limits={"concurrent_requests": SLOTS})
            upstream.default = BUSY
            await gateway.chat()
            upstream.ledger.clear()
            churn = Churn(gateway, seed=10)
            began = time.monotonic()
            await churn.run(CALLS, AT_ONCE)
            took = time.monotonic() - began
            await eventually(lambda: _is_quiet(gateway), within=10)
            await eventually(lambda: not upstream.ledger.open, within=10)
            found = await gateway.all_usage()
            records = [it for it in found.values() if it["client_request_id"]]
            aborted = check_records(churn, upstream, records)
            await check_breaker(gateway)
            lost = SLOTS - await slots_free(gateway, upstream)
            upstream.default = Script()
            body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
            probe = await measured(gateway.port, gateway.key, body, count=1000)
            assert {200: 1000} == dict(probe.statuses)
    assert quantile(aborted, 0.99) <= 5.0
    figure(
        ROW,
        "calls left at random moments",
        f"{len(churn.calls)} in {took:.0f} s, {len(aborted)} of them while the provider answered",
    )
    p50, p99 = quantile(aborted, 0.5) * 1e3, quantile(aborted, 0.99) * 1e3
    figure(
        ROW, "from the client's leaving to the provider's hearing of it, p99", f"{p99:.1f} ms (p50 {p50:.1f})", "<= 1 s"
    )
    rows = f"{len(records)} of {len(churn.calls)}"
    figure(ROW, "usage rows of calls, each once and none missing of those that reached the provider", rows)
    figure(ROW, f"slots lost, of {SLOTS} of the pool and {SLOTS} of the key", str(lost), "0")
    figure(ROW, "success afterwards", f"{probe.statuses[200] / 10:.2f} %", "100 %")


def check_records(churn: Churn, upstream: FaultUpstream, found: list[dict[str, Any]]) -> list[float]:
    """Compare calls, records and what reached the provider, one by one; return how long each abort took to get there."""
    by_name = {record["client_request_id"]: record for record in found}
    assert len(found) == len(by_name), "a call has one record"
    assert by_name.keys() <= churn.calls.keys()
    outcomes = Counter(record["outcome"] for record in found)
    assert outcomes.keys() <= {"client_gone", "complete"}, outcomes
    reached = {json.loads(entry.body)["messages"][0]["content"]: entry for entry in upstream.ledger}
    assert len(upstream.ledger) == len(reached), "a call reached the provider once"
    assert reached.keys() <= by_name.keys(), "what reached the provider is recorded"
    aborted = []
    for name, entry in reached.items():
        call, record = churn.calls[name], by_name[name]
        if entry.client_left_early and entry.client_closed_at is not None:
            assert "client_gone" == record["outcome"]
            aborted.append(entry.client_closed_at - call.left_at)
        if b'"content":"' in call.heard:
            assert record["output_tokens"] > 0, "what was delivered is accounted for"
        assert record["input_tokens"] > 0
    assert len(aborted) > CALLS / 3, "the storm did leave in the middle"
    return aborted


async def check_breaker(gateway: Daemon) -> None:
    detail = (await gateway.http.get("/health/detailed", headers=gateway.admin.headers)).json()
    [target] = [it for it in detail["targets"] if it["provider_model"] == "upstream-model"]
    assert ("closed", 0, 0) == (target["breaker"]["state"], target["breaker"]["failures"], target["active"])


async def slots_free(gateway: Daemon, upstream: FaultUpstream) -> int:
    """Take every slot of the key and of the pool at once: each is there, and not one more."""
    upstream.ledger.clear()
    upstream.default = Script(hang=True)
    talks = [await Talk.begin(gateway.port, gateway.key, stream=False) for _ in range(SLOTS)]
    await upstream.ledger.until(lambda ledger: len(ledger.open) == SLOTS, timeout_s=4.0)
    taken = len(upstream.ledger.open)
    refused = await gateway.chat()
    assert 429 == refused.status_code
    for talk in talks:
        talk.close()
    await eventually(lambda: _is_quiet(gateway))
    await upstream.ledger.settled(SLOTS)
    return taken


async def _is_quiet(gateway: Daemon) -> bool:
    detail = (await gateway.http.get("/health/detailed", headers=gateway.admin.headers)).json()
    count: int = detail["exchanges_in_flight"]
    return count == 0
