"""Jobs in SQLite: the contract, two processes on one file, and workers that are killed."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from switchgear.ambient import Ambient
from switchgear.contracts.jobs import JobQueue
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.jobs_suite import JobQueueSuite
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore
from zygote import Zygote

JOBS = 60
KILLS = 6
LEASE_S = 1.0
"""As in jobs_life.py."""


class TestSqliteJobs(JobQueueSuite):
    ambient: FixedAmbient

    async def pass_time(self, seconds: float) -> None:
        self.ambient.advance(seconds)

    @pytest.fixture
    async def queue(self, tmp_path: Path) -> AsyncIterator[JobQueue]:
        type(self).ambient = FixedAmbient()
        store = SqliteStore(SqliteSettings(), tmp_path, self.ambient)
        await store.open()
        yield store.jobs
        await store.close()


async def test_of_two_processes_on_one_file_each_job_is_begun_by_one(tmp_path: Path) -> None:
    stores = [SqliteStore(SqliteSettings(), tmp_path, Ambient()) for _ in range(2)]
    for store in stores:
        await store.open()
    for n in range(40):
        await stores[n % 2].jobs.enqueue("mail", b"%d" % n)
    taken = await asyncio.gather(*(stores[n % 2].jobs.take("mail", str(n), lease_s=60.0, limit=2) for n in range(40)))
    assert [b"%d" % n for n in range(40)] == sorted((job.payload for jobs in taken for job in jobs), key=int)
    for store in stores:
        await store.close()


async def test_over_kills_every_job_is_done_and_none_is_begun_again_before_its_lease_ends(tmp_path: Path) -> None:
    ambient = Ambient()
    store = SqliteStore(SqliteSettings(), tmp_path, ambient)
    await store.open()
    jobs = [await store.jobs.enqueue("mail", b"%d" % n, key=str(n), max_tries=100) for n in range(JOBS)]
    await store.close()
    words: list[str] = []
    with Zygote(Path(__file__).parent / "jobs_life.py", seed=11) as zygote:
        for number in range(KILLS):
            words += zygote.live_and_die(f"{tmp_path} life{number}", 0.15)
    # Those whose worker was killed wait for its lease to end, and are then begun by another.
    await store.open()
    async with asyncio.timeout(30):
        while {"done"} != {job.state for id in jobs if (job := await store.jobs.get(id.id)) is not None}:
            for job in await store.jobs.take("mail", "last", lease_s=60.0, limit=100):
                words.append(f"{job.payload.decode()} {ambient.now_us()}")
                assert await store.jobs.complete(job.id, "last", b"")
            await store.jobs.wait("mail", 0.1)
    await store.close()
    begun: dict[str, list[int]] = {}
    for word in words:
        payload, at_us = word.split()
        begun.setdefault(payload, []).append(int(at_us))
    again = [later - at for times in begun.values() for at, later in itertools.pairwise(times)]
    assert JOBS >= len(begun) >= JOBS - KILLS * 4  # a kill may come between beginning a job and the word of it
    assert again, "no job was interrupted"
    assert all(after_us > (LEASE_S - 0.1) * 1e6 for after_us in again)
