"""What every job queue does, as tests that third parties inherit.

    class TestMyJobs(JobQueueSuite):
        @pytest.fixture
        async def queue(self, tmp_path):
            ...
            yield queue

The fixture yields an empty queue that only this test uses. A queue whose clock the test holds overrides `pass_time`.
"""

import asyncio

import pytest

from switchgear.contracts.jobs import Job, JobQueue
from switchgear.testing.marks import asyncio_tests

LEASE_S = 0.3


@asyncio_tests
class JobQueueSuite:
    """Begun at least once, never by two at once while a lease holds, forgotten after their time."""

    async def pass_time(self, seconds: float) -> None:
        """Let time pass on the queue's clock."""
        await asyncio.sleep(seconds)

    async def begin(self, queue: JobQueue, worker: str = "w1", lease_s: float = 60.0) -> Job:
        """Take the one job that is due."""
        [job] = await queue.take("mail", worker, lease_s=lease_s, limit=10)
        return job

    async def state(self, queue: JobQueue, job: Job) -> tuple[str, int]:
        """Return a job's state and tries."""
        found = await queue.get(job.id)
        assert found is not None
        return found.state, found.tries

    async def test_a_job_is_begun_once_and_ends_with_its_result(self, queue: JobQueue) -> None:
        added = await queue.enqueue("mail", b"\x00payload")
        assert ("waiting", 0, b"\x00payload") == (added.state, added.tries, added.payload)
        assert added == await queue.get(added.id)
        assert [] == list(await queue.take("other", "w1", lease_s=60.0, limit=10))
        job = await self.begin(queue)
        assert (added.id, "mail", b"\x00payload", "running", 1) == (job.id, job.kind, job.payload, job.state, job.tries)
        assert [] == list(await queue.take("mail", "w2", lease_s=60.0, limit=10))
        assert await queue.renew(job.id, "w1", lease_s=60.0, progress=b"half")
        half = await queue.get(job.id)
        assert half is not None
        assert (b"half", "running") == (half.progress, half.state)
        assert await queue.complete(job.id, "w1", b"result")
        done = await queue.get(job.id)
        assert done is not None
        assert ("done", b"result", b"half", None) == (done.state, done.result, done.progress, done.error)
        assert done.ended_us is not None
        assert not await queue.complete(job.id, "w1", b"again")
        assert [] == list(await queue.take("mail", "w1", lease_s=60.0, limit=10))

    async def test_nobody_has_a_job_that_is_not_there(self, queue: JobQueue) -> None:
        assert await queue.get("nothing") is None
        assert not await queue.cancel("nothing")
        assert not await queue.renew("nothing", "w1", lease_s=1.0)
        assert not await queue.complete("nothing", "w1", None)
        assert not await queue.fail("nothing", "w1", "error", retry_s=None)
        assert not await queue.put_back("nothing", "w1")

    async def test_a_key_is_one_job_until_that_is_forgotten(self, queue: JobQueue) -> None:
        first = await queue.enqueue("mail", b"1", key="k", keep_s=LEASE_S)
        again = await asyncio.gather(*(queue.enqueue("mail", b"2", key="k") for _ in range(20)))
        assert {first.id} == {job.id for job in again}
        assert b"1" == again[0].payload
        assert first.id != (await queue.enqueue("other", b"", key="k")).id
        assert (await queue.enqueue("nokey", b"")).id != (await queue.enqueue("nokey", b"")).id
        job = await self.begin(queue)
        await queue.complete(job.id, "w1", None)
        assert ("done", first.id) == ((held := await queue.enqueue("mail", b"3", key="k")).state, held.id)
        assert 0 == await queue.forget()
        await self.pass_time(LEASE_S * 2)
        assert 1 == await queue.forget()
        assert await queue.get(first.id) is None
        assert first.id != (await queue.enqueue("mail", b"4", key="k")).id

    async def test_of_50_workers_one_begins_a_job(self, queue: JobQueue) -> None:
        added = [await queue.enqueue("mail", b"%d" % n) for n in range(20)]
        taken = await asyncio.gather(*(queue.take("mail", str(n), lease_s=60.0, limit=3) for n in range(50)))
        assert all(len(jobs) <= 3 for jobs in taken)
        assert sorted(job.id for job in added) == sorted(job.id for jobs in taken for job in jobs)

    async def test_what_is_due_first_is_begun_first_and_what_is_not_due_is_not(self, queue: JobQueue) -> None:
        late = await queue.enqueue("mail", b"late", delay_s=LEASE_S)
        now = await queue.enqueue("mail", b"now")
        await queue.enqueue("mail", b"much later", delay_s=3600.0)
        assert [now.id] == [job.id for job in await queue.take("mail", "w1", lease_s=60.0, limit=1)]
        assert [] == list(await queue.take("mail", "w1", lease_s=60.0, limit=10))
        await self.pass_time(LEASE_S * 2)
        assert [late.id] == [job.id for job in await queue.take("mail", "w1", lease_s=60.0, limit=10)]

    async def test_a_worker_that_says_nothing_more_loses_its_job(self, queue: JobQueue) -> None:
        await queue.enqueue("mail", b"")
        job = await self.begin(queue, "dead", LEASE_S)
        assert await queue.renew(job.id, "dead", lease_s=LEASE_S)
        await self.pass_time(LEASE_S * 2)
        again = await self.begin(queue, "w2")
        assert (job.id, 2) == (again.id, again.tries)
        assert not await queue.renew(job.id, "dead", lease_s=60.0)
        assert not await queue.complete(job.id, "dead", b"too late")
        assert not await queue.fail(job.id, "dead", "too late", retry_s=None)
        assert not await queue.put_back(job.id, "dead")
        assert ("running", 2) == await self.state(queue, job)
        assert await queue.complete(job.id, "w2", b"")

    async def test_a_job_whose_workers_die_is_not_begun_for_ever(self, queue: JobQueue) -> None:
        added = await queue.enqueue("mail", b"", max_tries=2)
        for _ in range(2):
            await self.begin(queue, "dead", LEASE_S)
            await self.pass_time(LEASE_S * 2)
        assert [] == list(await queue.take("mail", "w1", lease_s=60.0, limit=10))
        assert ("failed", 2) == await self.state(queue, added)

    async def test_a_failed_try_is_tried_again_later_until_there_were_enough(self, queue: JobQueue) -> None:
        added = await queue.enqueue("mail", b"", max_tries=2)
        await self.begin(queue)
        assert await queue.fail(added.id, "w1", "first", retry_s=LEASE_S)
        assert [] == list(await queue.take("mail", "w1", lease_s=60.0, limit=10))
        assert ("waiting", 1) == await self.state(queue, added)
        await self.pass_time(LEASE_S * 2)
        await self.begin(queue)
        assert await queue.fail(added.id, "w1", "second", retry_s=0.0)
        failed = await queue.get(added.id)
        assert failed is not None
        assert ("failed", "second") == (failed.state, failed.error)
        assert failed.ended_us is not None

    async def test_a_final_failure_is_not_tried_again(self, queue: JobQueue) -> None:
        added = await queue.enqueue("mail", b"")
        await self.begin(queue)
        assert await queue.fail(added.id, "w1", "never", retry_s=None)
        assert ("failed", 1) == await self.state(queue, added)

    async def test_what_is_put_back_was_not_tried(self, queue: JobQueue) -> None:
        added = await queue.enqueue("mail", b"", max_tries=1)
        await self.begin(queue)
        assert await queue.put_back(added.id, "w1")
        assert ("waiting", 0) == await self.state(queue, added)
        await self.begin(queue, "w2")
        assert await queue.complete(added.id, "w2", None)

    async def test_a_waiting_job_is_cancelled_at_once(self, queue: JobQueue) -> None:
        added = await queue.enqueue("mail", b"")
        assert await queue.cancel(added.id)
        assert [] == list(await queue.take("mail", "w1", lease_s=60.0, limit=10))
        assert ("cancelled", 0) == await self.state(queue, added)
        assert not await queue.cancel(added.id)

    @pytest.mark.parametrize("end", ["fail", "put back", "die", "complete"])
    async def test_a_running_job_is_cancelled_when_its_worker_hears_of_it(self, queue: JobQueue, end: str) -> None:
        added = await queue.enqueue("mail", b"")
        await self.begin(queue, "w1", LEASE_S)
        assert await queue.cancel(added.id)
        assert not await queue.renew(added.id, "w1", lease_s=60.0)
        if end == "fail":
            assert await queue.fail(added.id, "w1", "interrupted", retry_s=0.0)
        elif end == "put back":
            assert await queue.put_back(added.id, "w1")
        elif end == "complete":
            assert await queue.complete(added.id, "w1", b"just in time")
        await self.pass_time(LEASE_S * 2)
        assert [] == list(await queue.take("mail", "w2", lease_s=60.0, limit=10))
        assert ("done" if end == "complete" else "cancelled") == (await self.state(queue, added))[0]

    async def test_a_worker_waits_until_a_job_may_be_due(self, queue: JobQueue) -> None:
        waiting = asyncio.ensure_future(queue.wait("mail", 30.0))
        for _ in range(5):
            await asyncio.sleep(0.001)
        await queue.enqueue("mail", b"")
        await asyncio.wait_for(waiting, 10)
        await asyncio.wait_for(queue.wait("mail", 30.0), 10)
        await self.begin(queue)
        await queue.wait("mail", 0.01)
