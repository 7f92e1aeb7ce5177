"""Budgets that several gateways hold to together, through Redis, also when it loses what it had."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from support.faultup import FaultUpstream, Script
from support.gateway import Running, eventually, running
from support.redis_server import RedisServer

pytestmark = pytest.mark.slow

PRICES = {"input": 1_000_000, "output": 10_000_000}
AMOUNT = 20_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.close()


@pytest.fixture
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        up.default = Script(chunks=12, prompt_tokens=8, delay_ms=30)
        up.register("slow", Script(chunks=12, prompt_tokens=8, delay_ms=1500))
        yield up


@pytest.fixture
async def pair(tmp_path: Path, upstream: FaultUpstream, server: RedisServer) -> AsyncIterator[list[Running]]:
    plugins = f'redis = {{ enabled = true, url = "{server.url}", timeout = 20.0 }}\nbudgets = {{ enabled = true }}'
    async with AsyncExitStack() as stack:
        gateways = [
            await stack.enter_async_context(running(tmp_path, upstream, gateway='counters = "redis"', plugins=plugins))
            for _ in range(2)
        ]
        await gateways[0].patch("/models/m", pricing=PRICES)
        await gateways[0].create("models", id="slow", provider_id="p", provider_model="fault-slow", pricing=PRICES)
        yield gateways


async def ask(run: Running, secret: str, model: str = "m") -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 12}
    return await run.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {secret}"})


def billed(upstream: FaultUpstream) -> int:
    return sum(entry.prompt_tokens + 10 * entry.completion_tokens for entry in upstream.ledger)


async def budget(pair: list[Running]) -> str:
    """Make a key with a budget that both know."""
    key, secret = await pair[0].new_key()
    await pair[0].create("budgets", id="b", scope={"keys": [key]}, amount_microusd=AMOUNT, period="total")

    async def known() -> bool:
        listed = await pair[1].admin.get("/budgets/b/status")
        answer = await pair[1].http.get("/v1/models", headers={"authorization": f"Bearer {secret}"})
        return listed.status_code == answer.status_code == 200

    await eventually(known)
    return secret


async def spend_the_rest(pair: list[Running], secret: str, clients: int = 60) -> Counter[int]:
    """Call from many clients until each was refused for the last time."""
    codes: Counter[int] = Counter()

    async def client(number: int) -> None:
        refused = 0
        while refused < 3:
            try:
                answer = await ask(pair[number % len(pair)], secret)
            except (
                httpx.TransportError
            ):  # one loop runs both gateways, their provider and all clients: it may be too busy
                continue
            codes[answer.status_code] += 1
            if answer.status_code != 200:
                refused += answer.status_code == 429
                await asyncio.sleep(0.3)

    await asyncio.gather(*map(client, range(clients)))
    return codes


async def test_two_gateways_together_spend_no_more_than_there_is(pair: list[Running], upstream: FaultUpstream) -> None:
    secret = await budget(pair)
    codes = await spend_the_rest(pair, secret)
    assert {200, 429} <= set(codes) <= {200, 429, 503}
    assert 0.95 * AMOUNT <= billed(upstream) <= AMOUNT
    for run in pair:

        async def is_told(run: Running = run) -> bool:
            found = (await run.admin.get("/budgets/b/status")).json()
            return bool(found["spent_microusd"] == billed(upstream) and not found["reserved_microusd"])

        await eventually(is_told)


async def test_a_redis_that_lost_everything_makes_nobody_overspend(
    pair: list[Running], upstream: FaultUpstream, server: RedisServer
) -> None:
    secret = await budget(pair)
    first = await asyncio.gather(*(ask(pair[n % 2], secret) for n in range(40)))
    assert 200 in {answer.status_code for answer in first}
    in_flight = [asyncio.create_task(ask(pair[n % 2], secret, "slow")) for n in range(10)]
    await eventually(lambda: sum(entry.finish == "open" for entry in upstream.ledger) >= 8)
    Redis.from_url(server.url).flushall()
    codes = await spend_the_rest(pair, secret)
    await asyncio.gather(*in_flight)
    codes += await spend_the_rest(pair, secret, clients=10)
    assert codes[200]
    assert set(codes) <= {200, 429, 503}
    assert billed(upstream) <= AMOUNT
    assert 0.9 * AMOUNT <= billed(upstream), "and most of it can be spent"
