"""Limits that two gateways share through Redis, and what becomes of calls while it is away."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from support.gateway import Running, eventually, running
from support.redis_server import RedisServer
from switchgear.config import load
from switchgear_plugins.redis.settings import RedisSettings

COUNTERS = 'counters = "redis"'


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.close()


def settings(server: RedisServer, **members: float) -> str:
    more = "".join(f", {name} = {value}" for name, value in {"timeout": 20.0, **members}.items())
    return f'redis = {{ enabled = true, url = "{server.url}"{more} }}'


async def echo(run: Running, key: str) -> int:
    body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    answer = await run.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
    return answer.status_code


async def test_two_gateways_together_let_as_many_in_as_the_limit_says(tmp_path: Path, server: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(running(tmp_path, gateway=COUNTERS, plugins=settings(server)))
            for _ in range(2)
        ]
        _, key = await first.new_key(limits={"requests_per_minute": 20, "concurrent_requests": 1000})
        await eventually(lambda: _is_known(second, key))
        codes = await asyncio.gather(*(echo((first, second)[n % 2], key) for n in range(60)))
        assert (20, 40) == (codes.count(200), codes.count(429))


async def _is_known(run: Running, key: str) -> bool:
    return (await run.http.get("/v1/models", headers={"authorization": f"Bearer {key}"})).status_code == 200


async def test_who_has_limits_waits_for_redis_to_come_back_and_nobody_else_does(
    tmp_path: Path, server: RedisServer
) -> None:
    async with running(tmp_path, gateway=COUNTERS, plugins=settings(server, timeout=0.2, rest=0.5)) as run:
        _, limited = await run.new_key(limits={"concurrent_requests": 5})
        assert 200 == await echo(run, limited)
        server.close()
        assert [503] * 8 == [await echo(run, limited) for _ in range(8)]
        assert 200 == await echo(run, run.key)
        server.start()
        await eventually(lambda: _answers(run, limited))
        assert "switchgear_redis_unanswered_total" in (await run.http.get("/metrics")).text


async def test_limits_that_may_be_counted_here_go_on_with_a_share_while_redis_stands_still(
    tmp_path: Path, server: RedisServer
) -> None:
    gateway = COUNTERS + "\nreplicas = 4"
    async with running(tmp_path, gateway=gateway, plugins=settings(server, timeout=0.2, rest=0.5)) as run:
        _, key = await run.new_key(limits={"requests_per_minute": 20, "concurrent_requests": 8, "outage": "local"})
        _, closed = await run.new_key(limits={"requests_per_minute": 20})
        assert 200 == await echo(run, key)
        server.freeze()
        codes = [await echo(run, key) for _ in range(10)]
        assert (5, 5) == (codes.count(200), codes.count(429)), "a quarter of the limit"
        assert 503 == await echo(run, closed)
        server.thaw()
        await eventually(lambda: _answers(run, closed))
        assert 200 == await echo(run, key)


async def _answers(run: Running, key: str) -> bool:
    return await echo(run, key) == 200


def test_the_variable_is_enough() -> None:
    config = load(None, environ={"REDIS_URL": "redis://far:6380/2"})
    assert "redis" in config.enabled
    assert "memory" not in config.enabled
    assert "redis://far:6380/2" == config.settings("redis", RedisSettings).url
    assert "memory" in load(None, environ={}).enabled
