"""Jobs in the store's own database."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from switchgear.ambient import Ambient
from switchgear.contracts.jobs import DAY_S, Job
from switchgear_plugins.postgres.database import Database, execute, rows

_LOOK_S = 5.0
"""How long one waits for news at the most: they may be lost with a connection."""


class PostgresJobs:
    """The `JobQueue` contract over the store's database. A job that is due at once is announced to all processes."""

    def __init__(self, database: Database, queries: Mapping[str, str], ambient: Ambient) -> None:
        self._database = database
        self._queries = queries
        self._ambient = ambient
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
        now_us = self._ambient.now_us()
        values = {
            "id": self._ambient.new_id(),
            "kind": kind,
            "key": key,
            "payload": payload,
            "max_tries": max_tries,
            "due_us": now_us + _us(delay_s),
            "now_us": now_us,
            "keep_us": _us(keep_s),
        }

        async with self._database.connection() as connection, connection.transaction():
            if await execute(connection, self._queries["add_job"], values):
                found = await rows(connection, self._queries["job"], {"id": values["id"]})
                if delay_s <= 0:
                    await execute(connection, self._queries["announce_job"])
            else:
                found = await rows(connection, self._queries["job_with_key"], {"kind": kind, "key": key})
        job = Job(*found[0])
        self.heard()
        return job

    async def get(self, id: str) -> Job | None:
        """Return a job."""
        found = await self._database.rows(self._queries["job"], {"id": id})
        return Job(*found[0]) if found else None

    async def cancel(self, id: str) -> bool:
        """Cancel a job."""
        values = {"id": id, "now_us": self._ambient.now_us()}

        async with self._database.connection() as connection, connection.transaction():
            waited = await execute(connection, self._queries["cancel_waiting_job"], values)
            return bool(waited or await execute(connection, self._queries["cancel_running_job"], {"id": id}))

    async def wait(self, kind: str, timeout_s: float) -> None:
        """Return when a job of a kind may be due."""
        news = self._news
        [[due_us]] = await self._database.rows(self._queries["next_due_job"], {"kind": kind})
        left_s = min(timeout_s, _LOOK_S)
        if due_us is not None:
            left_s = min(left_s, (due_us - self._ambient.now_us()) / 1e6)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(left_s, 0.0)):
                await news.wait()

    async def take(self, kind: str, worker: str, *, lease_s: float, limit: int) -> list[Job]:
        """Begin due jobs; what another worker is just taking is passed over."""
        now_us = self._ambient.now_us()
        due = {"kind": kind, "now_us": now_us}
        until_us = now_us + _us(lease_s)
        async with self._database.connection() as connection, connection.transaction():
            await execute(connection, self._queries["end_abandoned_jobs"], due)
            values = {**due, "worker": worker, "until_us": until_us, "limit": limit}
            jobs = [Job(*line) for line in await rows(connection, self._queries["take_jobs"], values)]
        return sorted(jobs, key=lambda job: (job.created_us, job.id))

    async def renew(self, id: str, worker: str, *, lease_s: float, progress: bytes | None = None) -> bool:
        """Go on for a while."""
        until_us = self._ambient.now_us() + _us(lease_s)
        return await self._change("renew_job", id=id, worker=worker, until_us=until_us, progress=progress)

    async def complete(self, id: str, worker: str, result: bytes | None) -> bool:
        """End a job well."""
        return await self._change("complete_job", id=id, worker=worker, result=result, now_us=self._ambient.now_us())

    async def fail(self, id: str, worker: str, error: str, *, retry_s: float | None) -> bool:
        """End a try badly."""
        now_us = self._ambient.now_us()
        retry_us = None if retry_s is None else now_us + _us(retry_s)
        changed = await self._change("fail_job", id=id, worker=worker, error=error, retry_us=retry_us, now_us=now_us)
        self.heard()
        return changed

    async def put_back(self, id: str, worker: str) -> bool:
        """Let another worker begin it."""
        changed = await self._change("put_job_back", id=id, worker=worker, now_us=self._ambient.now_us())
        self.heard()
        return changed

    async def forget(self) -> int:
        """Forget jobs that ended long enough ago."""
        values, forgotten = {"now_us": self._ambient.now_us()}, 0
        while step := await self._database.execute(self._queries["forget_jobs"], values):
            forgotten += step
        return forgotten

    def heard(self) -> None:
        """Have those look again that wait for a job."""
        self._news.set()
        self._news = asyncio.Event()

    async def _change(self, statement: str, **values: Any) -> bool:
        return await self._database.execute(self._queries[statement], values) > 0


def _us(seconds: float) -> int:
    return int(seconds * 1e6)
