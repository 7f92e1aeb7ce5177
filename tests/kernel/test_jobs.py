"""Workers: what becomes of a job however its handler ends."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from polling import eventually
from switchgear.ambient import Ambient
from switchgear.contracts.jobs import Job, JobHandler, JobRun
from switchgear.errors import JobRefused, StoreUnavailable
from switchgear.jobs import JobWorker
from switchgear.telemetry.metrics import Metrics
from switchgear_plugins.memory.jobs import MemoryJobs


@pytest.fixture
def queue() -> MemoryJobs:
    return MemoryJobs(Ambient())


@asynccontextmanager
async def working(queue: Any, run: Callable[[JobRun], Awaitable[bytes | None]], **options: Any):
    worker = JobWorker(JobHandler("mail", run, retry_s=0.01, **options), queue, Ambient(), Metrics())
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def ended(queue: MemoryJobs, id: str) -> Job:
    await eventually(lambda: queue._jobs[id].ended_us is not None)
    return queue._jobs[id]


async def test_what_a_handler_returns_is_the_result(queue: MemoryJobs) -> None:
    async def run(it: JobRun) -> bytes:
        await it.report(b"half")
        return it.job.payload * 2

    async with working(queue, run):
        job = await ended(queue, (await queue.enqueue("mail", b"ab")).id)
    assert ("done", b"abab", b"half", 1) == (job.state, job.result, job.progress, job.tries)


async def test_a_handler_that_raises_is_tried_again(queue: MemoryJobs) -> None:
    async def run(it: JobRun) -> bytes:
        if it.job.tries < 3:
            raise OSError("not yet")
        return b""

    async with working(queue, run):
        job = await ended(queue, (await queue.enqueue("mail", b"")).id)
        assert ("done", 3) == (job.state, job.tries)
        job = await ended(queue, (await queue.enqueue("mail", b"", max_tries=2)).id)
        assert ("failed", 2, "OSError: not yet") == (job.state, job.tries, job.error)


async def test_a_refusal_is_final(queue: MemoryJobs) -> None:
    async def run(it: JobRun) -> bytes:
        raise JobRefused("no such address")

    async with working(queue, run):
        job = await ended(queue, (await queue.enqueue("mail", b"")).id)
    assert ("failed", 1, "JobRefused: no such address") == (job.state, job.tries, job.error)


async def test_a_try_that_takes_too_long_is_interrupted(queue: MemoryJobs) -> None:
    interrupted = []

    async def run(it: JobRun) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            interrupted.append(it.job.tries)
            raise

    async with working(queue, run, timeout_s=0.05):
        job = await ended(queue, (await queue.enqueue("mail", b"", max_tries=2)).id)
    assert ("failed", [1, 2]) == (job.state, interrupted)
    assert job.error is not None
    assert "took longer" in job.error


async def test_a_job_that_is_cancelled_interrupts_its_handler(queue: MemoryJobs) -> None:
    begun = asyncio.Event()

    async def run(it: JobRun) -> None:
        begun.set()
        await asyncio.sleep(60)

    async with working(queue, run, lease_s=0.1):
        added = await queue.enqueue("mail", b"")
        await begun.wait()
        assert await queue.cancel(added.id)
        assert "cancelled" == (await ended(queue, added.id)).state


async def test_what_runs_when_the_gateway_stops_is_put_back(queue: MemoryJobs) -> None:
    begun = asyncio.Event()

    async def run(it: JobRun) -> None:
        begun.set()
        await asyncio.sleep(60)

    async with working(queue, run):
        added = await queue.enqueue("mail", b"", max_tries=1)
        await begun.wait()
    job = await queue.get(added.id)
    assert job is not None
    assert ("waiting", 0) == (job.state, job.tries)


async def test_a_lease_is_kept_for_as_long_as_it_takes_and_no_more_run_at_once_than_may(queue: MemoryJobs) -> None:
    running, most = 0, 0

    async def run(it: JobRun) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.3)
        running -= 1

    async with working(queue, run, lease_s=0.1, concurrency=2):
        jobs = [await queue.enqueue("mail", b"") for _ in range(4)]
        done = [await ended(queue, job.id) for job in jobs]
    assert ([("done", 1)] * 4, 2) == ([(job.state, job.tries) for job in done], most)


async def test_a_handler_stops_before_a_lease_that_cannot_be_renewed_ends(queue: MemoryJobs) -> None:
    interrupted = asyncio.Event()

    class Away(MemoryJobs):
        async def renew(self, id: str, worker: str, *, lease_s: float, progress: bytes | None = None) -> bool:
            raise StoreUnavailable("away")

    async def run(it: JobRun) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            interrupted.set()

    away = Away(Ambient())
    began = asyncio.get_running_loop().time()
    async with working(away, run, lease_s=0.6):
        await away.enqueue("mail", b"")
        await asyncio.wait_for(interrupted.wait(), 10)
        assert asyncio.get_running_loop().time() - began < 0.6


async def test_a_worker_outlives_a_store_that_is_away(queue: MemoryJobs) -> None:
    away = True

    class Flaky(MemoryJobs):
        async def take(self, kind: str, worker: str, *, lease_s: float, limit: int) -> list[Job]:
            nonlocal away
            if away:
                away = False
                raise StoreUnavailable("away")
            return await super().take(kind, worker, lease_s=lease_s, limit=limit)

    async def run(it: JobRun) -> bytes:
        return b""

    flaky = Flaky(Ambient())
    async with working(flaky, run):
        assert "done" == (await ended(flaky, (await flaky.enqueue("mail", b"")).id)).state
