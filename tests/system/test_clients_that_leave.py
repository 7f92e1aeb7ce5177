"""A client that leaves takes its upstream call with it, is charged for what it got, and leaves nothing behind."""

import asyncio
import json
import random
from contextlib import suppress
from pathlib import Path

import pytest

from support.faultup import FaultUpstream, Script
from support.gateway import Running, eventually
from support.soak import usually

CALLS = usually(500, soak=5_000)
SLOW = Script(chunks=1000, chunk_delay_ms=20)


async def begin(gateway: Running, *, stream: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
    return reader, writer


@pytest.mark.parametrize("moment", ["waiting", "streaming", "whole"])
async def test_upstream_is_aborted_and_usage_recorded(gateway: Running, upstream: FaultUpstream, moment: str) -> None:
    upstream.script(SLOW if moment == "streaming" else Script(hang=True))
    reader, writer = await begin(gateway, stream=moment != "whole")
    if moment == "streaming":
        await reader.readuntil(b'"content":')
    else:
        await eventually(lambda: len(upstream.ledger.entries) == 1)
    writer.close()
    await eventually(lambda: upstream.ledger.entries[-1].client_left_early, within=1.0)
    [record] = await eventually(lambda: gateway.usage(outcome="client_gone"))
    assert (record["status"], record["usage_estimated"]) == (499, True)
    assert record["input_tokens"] > 0
    assert (record["output_tokens"] > 0) == (moment == "streaming")
    assert gateway.gateway.kernel.metrics.expose().count(b'outcome="client_gone"') == 1


@pytest.mark.soak
async def test_cancelled_calls_leak_nothing(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.default = Script(chunks=20, delay_ms=5, chunk_delay_ms=2)
    chance = random.Random(5)
    await gateway.chat()

    def held() -> tuple[int, int]:
        return upstream.open_connections, len(list(Path("/proc/self/fd").iterdir()))

    async def one() -> None:
        _, writer = await begin(gateway, stream=chance.random() < 0.7)
        await asyncio.sleep(chance.random() * 0.05)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def many(count: int) -> None:
        for _ in range(count):
            await one()

    _, before = held()
    await asyncio.gather(*(many(CALLS // 50) for _ in range(50)))
    await eventually(lambda: gateway.gateway.exchanges_in_flight == 0, within=10)
    await eventually(lambda: held()[1] <= before + 40, within=10)
    assert (await gateway.chat()).status_code == 200
    summary = (await gateway.admin.get("/usage/summary", params={"by": "outcome"})).json()["data"]
    recorded = sum(group["requests"] for group in summary)
    reached = len(upstream.ledger.entries)
    assert recorded >= reached, "every call that reached the provider has its record"
    assert recorded <= CALLS + 2
