"""What is forgotten after a while."""

import asyncio

from switchgear.ambient import Ambient
from switchgear.contracts.jobs import JobQueue
from switchgear.contracts.store import Store

_DAY_US = 24 * 3600 * 1_000_000
_HOUR_S = 3600.0


async def housekeeping(store: Store, jobs: JobQueue | None, ambient: Ambient) -> None:
    """Forget answers kept for Idempotency-Keys after a day, and jobs that ended long enough ago."""
    while True:
        await store.forget(ambient.now_us() - _DAY_US)
        if jobs is not None:
            await jobs.forget()
        await asyncio.sleep(_HOUR_S)
