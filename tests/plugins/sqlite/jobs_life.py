"""One life of a process that does jobs and is killed: see test_sqlite_jobs.py."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from switchgear.ambient import Ambient
from switchgear.contracts.jobs import JobHandler, JobRun
from switchgear.jobs import JobWorker
from switchgear.telemetry.metrics import Metrics
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore
from zygote import serve

LEASE_S = 1.0


def life(argument: str, acknowledge: Callable[[str], None]) -> None:
    directory, _ = argument.split(" ")
    asyncio.run(work(Path(directory), acknowledge))


async def work(directory: Path, acknowledge: Callable[[str], None]) -> None:
    ambient = Ambient()
    store = SqliteStore(SqliteSettings(), directory, ambient)
    await store.open()

    async def run(it: JobRun) -> bytes:
        acknowledge(f"{it.job.payload.decode()} {ambient.now_us()}")
        await asyncio.sleep(0.02)
        return b""

    handler = JobHandler("mail", run, concurrency=4, lease_s=LEASE_S)
    await JobWorker(handler, store.jobs, ambient, Metrics()).run()


if __name__ == "__main__":
    serve(life)
