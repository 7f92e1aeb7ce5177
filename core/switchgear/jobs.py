"""Workers: they take due jobs of one kind from the queue, run the plugin's handler, and keep the lease while it runs."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from switchgear.ambient import Ambient
from switchgear.contracts.jobs import Job, JobHandler, JobQueue, JobRun
from switchgear.errors import JobRefused, StoreError, SwitchgearError
from switchgear.plugin_faults import contained
from switchgear.telemetry.metrics import Counter, Metrics

_LONGEST_WAIT_S = 30.0
_AWAY_S = 1.0
_GRACE_S = 5.0
_MOST_WORDS = 1000
OUTCOMES = ("done", "retried", "failed", "lost", "put_back")


class JobWorker:
    """Runs jobs of one kind, as many at once as its handler allows, until it is cancelled."""

    def __init__(
        self,
        handler: JobHandler,
        queue: JobQueue,
        ambient: Ambient,
        metrics: Metrics,
        failed: Callable[[str, BaseException], None] = lambda _what, _error: None,
    ) -> None:
        self._told = failed
        self._handler = handler
        self._queue = queue
        self._ambient = ambient
        self._name = ambient.new_id()
        self._log = structlog.get_logger("switchgear.jobs")
        counted = metrics.counter("jobs", "Tries of background jobs, by how they ended.", ("kind", "outcome"))
        self._counted: dict[str, Counter] = {outcome: counted.child(handler.name, outcome) for outcome in OUTCOMES}

    async def run(self) -> None:
        """Work until cancelled; what is being done then is put back for others."""
        running: set[asyncio.Task[None]] = set()
        try:
            while True:
                if len(running) >= self._handler.concurrency:
                    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for job in await self._take(self._handler.concurrency - len(running)):
                    task = asyncio.create_task(self._try(job))
                    running.add(task)
                    task.add_done_callback(running.discard)
        finally:
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)

    async def _take(self, limit: int) -> list[Job]:
        """Return due jobs, once there are any or something else may have changed."""
        handler = self._handler
        try:
            jobs = list(await self._queue.take(handler.name, self._name, lease_s=handler.lease_s, limit=limit))
            if not jobs:
                await self._queue.wait(handler.name, _LONGEST_WAIT_S)
        except StoreError as away:
            self._log.warning("jobs wait for the store", kind=handler.name, error=str(away))
            await asyncio.sleep(_AWAY_S)
            return []
        return jobs

    async def _try(self, job: Job) -> None:
        run = _Run(job, self._queue, self._name, self._handler.lease_s)
        work = asyncio.ensure_future(_result(self._handler, run))
        keeping = asyncio.create_task(run.keep(work, self._ambient))
        try:
            done, _ = await asyncio.wait({work}, timeout=self._handler.timeout_s)
        except asyncio.CancelledError:
            await _cancelled(work)
            await self._kept(lambda: self._queue.put_back(job.id, self._name))
            self._counted["put_back"].inc()
            raise
        finally:
            keeping.cancel()
        if not done:
            await _cancelled(work)
            await self._failed(job, f"it took longer than {self._handler.timeout_s:g} s", final=False)
        elif run.lost or work.cancelled():
            # If it was cancelled, this ends it; if it is another worker's by now, this changes nothing.
            self._counted["lost"].inc()
            await self._kept(lambda: self._queue.fail(job.id, self._name, "it was interrupted", retry_s=0.0))
        elif (error := work.exception()) is not None:
            if not isinstance(error, SwitchgearError):
                self._told(f"job {job.kind} {job.id}", error)
            words = f"{type(error).__name__}: {error}"[:_MOST_WORDS]
            await self._failed(job, words, final=isinstance(error, JobRefused))
        else:
            await self._kept(lambda: self._queue.complete(job.id, self._name, work.result()))
            self._counted["done"].inc()

    async def _failed(self, job: Job, error: str, *, final: bool) -> None:
        final = final or job.tries >= job.max_tries
        longest_s = min(self._handler.retry_most_s, self._handler.retry_s * 2.0 ** (job.tries - 1))
        retry_s = None if final else longest_s * (0.5 + self._ambient.random() / 2)
        self._counted["failed" if final else "retried"].inc()
        self._log.warning("job failed", kind=job.kind, id=job.id, tries=job.tries, reason=error, retry_s=retry_s)
        await self._kept(lambda: self._queue.fail(job.id, self._name, error, retry_s=retry_s))

    async def _kept(self, tell: Callable[[], Awaitable[bool]]) -> None:
        """Tell the queue how a try ended; while the store is away, until the lease is over and another worker begins it again."""
        until = self._ambient.monotonic() + self._handler.lease_s
        while True:
            try:
                await tell()
            except StoreError:
                if self._ambient.monotonic() >= until:
                    return
                await asyncio.sleep(_AWAY_S)
            else:
                return


class _Run:
    """One try of a job, and whether it still is this worker's."""

    def __init__(self, job: Job, queue: JobQueue, worker: str, lease_s: float) -> None:
        self.job = job
        self.lost = False
        self._queue = queue
        self._worker = worker
        self._lease_s = lease_s

    async def report(self, progress: bytes) -> None:
        """Say how far it is."""
        await self._queue.renew(self.job.id, self._worker, lease_s=self._lease_s, progress=progress)

    async def keep(self, work: "asyncio.Future[bytes | None]", ambient: Ambient) -> None:
        """Renew the lease while the work runs; cancel the work when it is lost."""
        until = ambient.monotonic() + self._lease_s
        while not self.lost:
            await asyncio.sleep(self._lease_s / 3)
            began = ambient.monotonic()
            try:
                self.lost = not await self._queue.renew(self.job.id, self._worker, lease_s=self._lease_s)
                until = began + self._lease_s
            except StoreError:
                # Nobody else may begin it before the lease ends; by then this must have stopped.
                self.lost = ambient.monotonic() + self._lease_s / 3 >= until
        work.cancel()


async def _result(handler: JobHandler, run: JobRun) -> bytes | None:
    """Run a handler. Raises what it raises, `Misbehaviour`, and TypeError for a result that is none."""
    found = await contained(handler.run(run))
    if not isinstance(found, bytes | None):
        raise TypeError(f"it returned {type(found).__name__}, no bytes")
    return found


async def _cancelled(work: "asyncio.Future[bytes | None]") -> None:
    work.cancel()
    await asyncio.wait({work}, timeout=_GRACE_S)
