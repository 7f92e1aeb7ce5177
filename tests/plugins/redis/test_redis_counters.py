"""The counters in Redis: the suite of all counters, and what is Redis's own: shared, and away at times."""

import asyncio
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from support.redis_server import RedisServer, redis_url
from switchgear.contracts.counters import Bucket
from switchgear.errors import ConfigError, CountersUnavailable
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.context import PluginContext
from switchgear.testing.counters_suite import CountersSuite
from switchgear_plugins.redis.counters import RedisCounters
from switchgear_plugins.redis.link import Link, Script
from switchgear_plugins.redis.settings import RedisSettings

PREFIXES = count()
PATIENT_S = 30.0


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with redis_url() as found:
        yield found


def linked(url: str, directory: Path, **members: Any) -> Link:
    return Link(RedisSettings(url=url, **{"timeout": PATIENT_S, **members}), PluginContext("redis", directory))


class Closing(RedisCounters):
    """Counters whose link is their own."""

    async def close(self) -> None:
        await self._link.close()


class TestRedisCounters(CountersSuite):
    lease_slack_s = 0.001

    @pytest.fixture(autouse=True)
    def _place(self, url: str, tmp_path: Path) -> None:
        self.url, self.directory = url, tmp_path

    def make(self, ambient: FixedAmbient) -> Closing:
        return Closing(linked(self.url, self.directory), f"{{test}}{next(PREFIXES)}:", ambient.now_us)

    async def close(self, counters: Any) -> None:
        await counters.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.close()


def slots(limit: int) -> Bucket:
    return Bucket("k", "slots", limit)


async def test_gateways_of_one_prefix_share_what_they_count(url: str, tmp_path: Path) -> None:
    one, two = (Closing(linked(url, tmp_path), "{test}shared:") for _ in range(2))
    other = Closing(linked(url, tmp_path), "{test}another:")
    wanted = [Bucket("k", "window", 50), slots(1000)]
    answers = await asyncio.gather(*((one, two)[n % 2].reserve(f"x{n}", wanted, 60) for n in range(200)))
    assert 50 == sum(answer.refused is None for answer in answers)
    assert 50 == (await other.peek(wanted))[0].remaining
    for each in (one, two, other):
        await each.close()


class Counted(Link):
    """Counts the scripts."""

    scripts = 0

    async def run(self, script: Script) -> bytes:
        self.scripts += 1
        return await super().run(script)


def counting(url: str, directory: Path, **members: Any) -> tuple[Closing, Counted, PluginContext]:
    context = PluginContext("redis", directory)
    link = Counted(RedisSettings(url=url, **{"timeout": PATIENT_S, **members}), context)
    return Closing(link, "{test}:"), link, context


async def test_what_is_asked_at_once_goes_as_few_scripts(url: str, tmp_path: Path) -> None:
    counters, link, _ = counting(url, tmp_path)
    await asyncio.gather(*(counters.reserve(f"x{n}", [slots(500)], 60) for n in range(200)))
    await asyncio.gather(*(counters.settle(f"x{n}") for n in range(200)))
    assert 500 == (await counters.peek([slots(500)]))[0].remaining
    assert 3 == link.scripts
    await counters.close()


async def test_who_does_not_wait_any_more_hinders_nobody(url: str, tmp_path: Path) -> None:
    counters, _, _ = counting(url, tmp_path)
    gone = asyncio.create_task(counters.reserve("gone", [slots(1)], 60))
    stays = asyncio.create_task(counters.reserve("stays", [slots(9)], 60))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await stays).refused is None
    await counters.settle("gone")
    await counters.settle("stays")
    assert 1 == (await counters.peek([slots(1)]))[0].remaining
    await counters.close()


async def test_a_redis_that_stands_still_is_left_alone_and_told_of_once(server: RedisServer, tmp_path: Path) -> None:
    counters, _, context = counting(server.url, tmp_path, timeout=0.2, rest=60)
    assert (await counters.reserve("a", [slots(2)], 600)).refused is None
    server.freeze()
    for n in range(20):
        with pytest.raises(CountersUnavailable):
            await counters.reserve(f"b{n}", [slots(2)], 600)
    assert [1.0] == [child.value for child in context.metrics.counter("redis_unanswered", "").children.values()]
    server.thaw()
    context.ambient.advance(61)
    await counters.settle("a")
    assert 2 >= (await counters.peek([slots(2)]))[0].remaining >= 1, "the one that was tried may have been done"
    await counters.settle("b0")
    assert 2 == (await counters.peek([slots(2)]))[0].remaining
    await counters.close()


async def test_a_redis_that_lost_everything_has_its_scripts_again_and_wants_seeds(
    server: RedisServer, tmp_path: Path
) -> None:
    counters, _, context = counting(server.url, tmp_path, rest=0.001)
    mine = Bucket("k", "window", 10, epoch="first")
    await counters.seed(mine, "first", 4)
    assert 6 == (await counters.peek([mine]))[0].remaining
    server.close()
    with pytest.raises(CountersUnavailable):
        await counters.peek([mine])
    server.start()
    context.ambient.advance(1)
    [room] = await counters.peek([mine])
    assert (0, False) == (room.remaining, room.seeded)
    assert 0 == (await counters.reserve("a", [mine], 60)).refused
    await counters.close()


async def test_time_is_that_of_redis_where_nobody_gives_another(url: str, tmp_path: Path) -> None:
    counters, _, _ = counting(url, tmp_path)
    brief = Bucket("brief", "window", 1, period_s=0.25)
    assert (await counters.reserve("a", [brief], 0.25)).refused is None
    refused = await counters.reserve("b", [brief], 0.25)
    assert 0 == refused.refused
    assert 0 < refused.retry_after_s <= 0.26
    await asyncio.sleep(refused.retry_after_s)
    assert (await counters.reserve("b", [brief], 0.25)).refused is None
    await counters.close()


async def test_nothing_is_kept_for_ever(url: str, tmp_path: Path) -> None:
    counters, _, _ = counting(url, tmp_path)
    now_us = time.time_ns() // 1000
    wanted = [
        Bucket("old", "window", 5, period_s=30),
        Bucket("old", "bucket", 5),
        Bucket("old", "period", 5, start_us=now_us),
        Bucket("old", "slots", 5),
    ]
    await counters.reserve("a", wanted, 60)
    await counters.settle("a")
    async with Redis.from_url(url) as redis:
        left = {key: await redis.pttl(key) async for key in redis.scan_iter(match="{test}:*old*")}
    assert 3 == len(left)
    assert all(0 < milliseconds < 400_000 for milliseconds in left.values())
    await counters.close()


@pytest.mark.parametrize("wrong", ["localhost:6379", "http://localhost"])
def test_an_address_that_is_none_is_refused(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="url"):
        linked(wrong, tmp_path)
