"""Jobs of one process, which end with it: beside the store in memory."""

import asyncio
import contextlib

from msgspec.structs import replace

from switchgear.ambient import Ambient
from switchgear.contracts.jobs import DAY_S, Job


class MemoryJobs:
    """The `JobQueue` contract in dictionaries."""

    def __init__(self, ambient: Ambient) -> None:
        self._ambient = ambient
        self._jobs: dict[str, Job] = {}
        self._keep_us: dict[str, int] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._workers: dict[str, str] = {}
        self._unwanted: set[str] = set()
        self._news = asyncio.Event()

    async def enqueue(
        self,
        kind: str,
        payload: bytes,
        *,
        key: str | None = None,
        delay_s: float = 0.0,
        max_tries: int = 5,
        keep_s: float = DAY_S,
    ) -> Job:
        """Add a job, or return the one that has its key."""
        if key is not None and (kind, key) in self._keys:
            return self._jobs[self._keys[kind, key]]
        now_us = self._ambient.now_us()
        job = Job(self._ambient.new_id(), kind, payload, "waiting", max_tries, now_us + _us(delay_s), now_us, key=key)
        self._jobs[job.id] = job
        self._keep_us[job.id] = _us(keep_s)
        if key is not None:
            self._keys[kind, key] = job.id
        self._tell()
        return job

    async def get(self, id: str) -> Job | None:
        """Return a job."""
        return self._jobs.get(id)

    async def cancel(self, id: str) -> bool:
        """Cancel a job."""
        job = self._jobs.get(id)
        if job is None or job.ended_us is not None:
            return False
        if job.state == "running":
            self._unwanted.add(id)
        else:
            self._jobs[id] = replace(job, state="cancelled", ended_us=self._ambient.now_us())
        return True

    async def wait(self, kind: str, timeout_s: float) -> None:
        """Return when a job of a kind may be due."""
        now_us = self._ambient.now_us()
        due = [(job.due_us - now_us) / 1e6 for job in self._open(kind)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(timeout_s, *due) if due else timeout_s)):
                await self._news.wait()

    async def take(self, kind: str, worker: str, *, lease_s: float, limit: int) -> list[Job]:
        """Begin due jobs."""
        now_us = self._ambient.now_us()
        taken: list[Job] = []
        for job in sorted(self._open(kind), key=lambda job: (job.due_us, job.id)):
            if job.due_us > now_us or len(taken) == limit:
                break
            if job.state == "running" and (job.id in self._unwanted or job.tries >= job.max_tries):
                if job.id in self._unwanted:
                    self._end(replace(job, state="cancelled"))
                else:
                    self._end(replace(job, state="failed", error=job.error or "its worker died"))
                continue
            job = replace(job, state="running", tries=job.tries + 1, due_us=now_us + _us(lease_s))  # noqa: PLW2901 - the same job, begun
            self._jobs[job.id] = job
            self._workers[job.id] = worker
            taken.append(job)
        return taken

    async def renew(self, id: str, worker: str, *, lease_s: float, progress: bytes | None = None) -> bool:
        """Go on for a while."""
        job = self._own(id, worker)
        if job is None or id in self._unwanted:
            return False
        until_us = self._ambient.now_us() + _us(lease_s)
        self._jobs[id] = replace(job, due_us=until_us, progress=job.progress if progress is None else progress)
        return True

    async def complete(self, id: str, worker: str, result: bytes | None) -> bool:
        """End a job well."""
        job = self._own(id, worker)
        if job is not None:
            self._end(replace(job, state="done", result=result, error=None))
        return job is not None

    async def fail(self, id: str, worker: str, error: str, *, retry_s: float | None) -> bool:
        """End a try badly."""
        job = self._own(id, worker)
        if job is None:
            return False
        if id in self._unwanted:
            self._end(replace(job, state="cancelled", error=error))
        elif retry_s is None or job.tries >= job.max_tries:
            self._end(replace(job, state="failed", error=error))
        else:
            self._wait(replace(job, error=error), retry_s)
        return True

    async def put_back(self, id: str, worker: str) -> bool:
        """Let another worker begin it."""
        job = self._own(id, worker)
        if job is None:
            return False
        job = replace(job, tries=job.tries - 1)
        if id in self._unwanted:
            self._end(replace(job, state="cancelled"))
        else:
            self._wait(job, 0.0)
        return True

    async def forget(self) -> int:
        """Forget jobs that ended long enough ago."""
        now_us = self._ambient.now_us()
        old = [
            job
            for job in self._jobs.values()
            if job.ended_us is not None and job.ended_us + self._keep_us[job.id] <= now_us
        ]
        for job in old:
            del self._jobs[job.id], self._keep_us[job.id]
            if job.key is not None:
                del self._keys[job.kind, job.key]
        return len(old)

    def _open(self, kind: str) -> list[Job]:
        return [job for job in self._jobs.values() if job.kind == kind and job.ended_us is None]

    def _own(self, id: str, worker: str) -> Job | None:
        return self._jobs[id] if self._workers.get(id) == worker else None

    def _end(self, job: Job) -> None:
        self._workers.pop(job.id, None)
        self._unwanted.discard(job.id)
        self._jobs[job.id] = replace(job, ended_us=self._ambient.now_us())

    def _wait(self, job: Job, delay_s: float) -> None:
        self._workers.pop(job.id, None)
        self._jobs[job.id] = replace(job, state="waiting", due_us=self._ambient.now_us() + _us(delay_s))
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _us(seconds: float) -> int:
    return int(seconds * 1e6)
