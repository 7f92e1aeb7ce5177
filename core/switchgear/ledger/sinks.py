"""Records on their way to record sinks: behind the store, each sink at its own pace.

What the store took is appended to a journal of the sink's own, from which a drain of its own takes it. So a sink that is slow
or away holds up neither the store nor other sinks, and what it has not taken survives a restart.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from switchgear.contracts.kernel import RecordSink
from switchgear.contracts.record import RecordKind
from switchgear.contracts.store import RecordRow
from switchgear.errors import StoreError, StoreUnavailable
from switchgear.ledger.drain import Drain, Sink
from switchgear.ledger.journal import Journal
from switchgear.phrasing import raised


class SinkAdapter:
    """A record sink as a drain sees it. `failed` is told of everything it raises, which means that it is away."""

    def __init__(
        self, name: str, sink: RecordSink, kinds: Mapping[str, RecordKind], failed: Callable[[str, str], None]
    ) -> None:
        self._name = name
        self._sink = sink
        self._kinds = kinds
        self._failed = failed

    def wants(self, kind: str) -> bool:
        """Say whether records of a kind go to it."""
        return kind in self._kinds and (not self._sink.kinds or kind in self._sink.kinds)

    async def append(self, kind: str, rows: Sequence[RecordRow]) -> int:
        """Hand over a batch. Raises `StoreUnavailable` for whatever the sink raises."""
        try:
            await self._sink.write(self._kinds[kind], rows)
        except Exception as error:
            self._failed(f"record sink {self._name}", raised(error))
            raise StoreUnavailable(f"the record sink {self._name} took nothing: {type(error).__name__}") from error
        return len(rows)


class SinkQueue:
    """A record sink with its journal; run `drain.run` while it is open."""

    def __init__(self, offered: SinkAdapter, journal: Journal, drain: Drain) -> None:
        self.drain = drain
        self._offered = offered
        self._journal = journal

    async def put(self, kind: str, rows: Sequence[RecordRow]) -> None:
        """Keep records until the sink has them. Raises `JournalFull` when it has been away for too many."""
        if self._offered.wants(kind):
            for row in rows:
                self._journal.append(kind, row.id, row.at_us, row.body)
            await self._journal.sync()

    async def close(self, within_s: float) -> None:
        """Hand over what is left, for at most `within_s` seconds; the next process that starts goes on from there."""
        try:
            async with asyncio.timeout(within_s):
                await self.drain.drain_now()
        except (StoreError, TimeoutError) as error:
            waiting = self._journal.depth
            structlog.get_logger("switchgear.ledger").warning("sink_left_behind", waiting=waiting, detail=str(error))
        finally:
            await self._journal.close()


class TeeSink:
    """The store with outlets behind it: a batch that it took is put into each of them before the journal lets go of it."""

    def __init__(self, store: Sink, outlets: Sequence[SinkQueue]) -> None:
        self._store = store
        self._outlets = outlets

    async def append(self, kind: str, rows: Sequence[RecordRow]) -> int:
        """As in `Store.append`. Also raises `JournalFull` when an outlet is full: the batch then comes again."""
        new = await self._store.append(kind, rows)
        for outlet in self._outlets:
            await outlet.put(kind, rows)
        return new
