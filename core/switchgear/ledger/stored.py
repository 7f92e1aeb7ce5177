"""Records as plugins read them: what was recorded a moment ago is drained into the store first."""

from collections.abc import Awaitable, Callable, Sequence

from switchgear.contracts.store import Aggregate, RecordQuery, RecordRow, Store


class StoredRecords:
    """The `Records` of a store; `drain_now` brings it up to date."""

    def __init__(self, store: Store, drain_now: Callable[[], Awaitable[None]]) -> None:
        self._drain_now = drain_now
        self._store = store

    async def scan(self, query: RecordQuery) -> list[RecordRow]:
        """Return records that match, newest first."""
        await self._drain_now()
        return await self._store.scan(query)

    async def summarise(self, query: RecordQuery, by: Sequence[str], sums: Sequence[str]) -> list[Aggregate]:
        """Group matching records and add up integer members."""
        await self._drain_now()
        return await self._store.summarise(query, by, sums)
