"""Old records leave the store: a few at a time, so that nothing that is being written waits for it."""

import asyncio
from collections.abc import Iterable

from switchgear.ambient import Ambient
from switchgear.contracts.record import RecordKind
from switchgear.contracts.store import Store

EVERY_S = 60.0
STEP = 500
PAUSE_S = 0.05


class Retention:
    """Deletes records of each kind that are older than its `keep_s`."""

    def __init__(self, store: Store, kinds: Iterable[RecordKind], ambient: Ambient) -> None:
        self._store = store
        self._kept = [(kind.name, kind.keep_s * 1_000_000) for kind in kinds if kind.keep_s is not None]
        self._ambient = ambient

    async def run(self) -> None:
        """Delete for ever, until cancelled. Raises what the store raises."""
        while True:
            await self.expire()
            await asyncio.sleep(EVERY_S)

    async def expire(self) -> int:
        """Delete what is too old now; return how many records that were."""
        deleted = 0
        for kind, keep_us in self._kept:
            before_us = self._ambient.now_us() - keep_us
            while step := await self._store.expire(kind, before_us, limit=STEP):
                deleted += step
                if step < STEP:
                    break
                await asyncio.sleep(PAUSE_S)
        return deleted
