"""Records on their way: into the journal, from there to the store and to the sinks that plugins offer, and away after a while."""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from urllib.parse import quote

import structlog

from switchgear.contracts.record import rollups_of
from switchgear.contracts.rollups import RollsUp
from switchgear.contracts.store import Store
from switchgear.errors import StoreUnavailable
from switchgear.hooks import Hooks
from switchgear.kernel import Kernel
from switchgear.ledger.drain import Drain
from switchgear.ledger.journal import Journal
from switchgear.ledger.retention import Retention
from switchgear.ledger.sinks import SinkAdapter, SinkQueue, SinkState, TeeSink
from switchgear.ledger.stored import StoredRecords
from switchgear.plugin_faults import Owner
from switchgear.settings import GatewaySettings

Work = tuple[str, Callable[[], Awaitable[None]]]
"""Something to be done in the background, and its name."""


class Recording:
    """The records of a gateway. `open` before the plugins start, `connect` once they have; `stack` closes what was opened."""

    def __init__(self, kernel: Kernel, settings: GatewaySettings, store: Store, stack: AsyncExitStack) -> None:
        self._kernel = kernel
        self._settings = settings
        self._store = store
        self._stack = stack
        self._drain: Drain | None = None
        self._outlets: list[SinkQueue] = []
        self.kinds = {b.item.name: b.item for b in kernel.registry.all(Hooks.switchgear_record_kinds)}
        self.records = StoredRecords(store, self._catch_up)
        self.journal = self._journal("journal")

    async def open(self) -> None:
        """Open the journal. Raises `BootError`."""
        journal = self.journal
        await journal.open()
        self._stack.push_async_callback(journal.close)
        self._kernel.metrics.observe_with("journal_depth", "Records not yet in the store.", lambda: journal.depth)

    async def connect(self) -> None:
        """Lead the journal to the store, and to the sinks of plugins, each of which has a journal of its own."""
        for bound, made in self._kernel.make_all(Hooks.switchgear_record_sinks):
            name = bound.item.name
            journal = self._journal("sinks", quote(name, safe=""))
            await journal.open()
            ambient, failed = self._kernel.ambient, partial(self._kernel.faults.note, Owner(bound.plugin, name))
            offered = SinkAdapter(name, made, self.kinds, failed, ambient.monotonic)
            outlet = SinkQueue(offered, journal, Drain(journal, offered, ambient), name, bound.plugin)
            self._stack.push_async_callback(outlet.close, self._settings.plugin_timeout)
            self._outlets.append(outlet)
        store = TeeSink(self._store, self._outlets) if self._outlets else self._store
        drain = self._drain = Drain(self.journal, store, self._kernel.ambient)
        self._stack.push_async_callback(self._drain_last, drain)

    def sinks(self) -> list[SinkState]:
        """Say how the record sinks stand."""
        return [outlet.state for outlet in self._outlets]

    def why_not(self) -> str | None:
        """Say why records do not get to the store; None if they do."""
        return None if self._drain is None else self._drain.why

    def work(self) -> Iterator[Work]:
        """Yield what is to be done in the background once it is connected."""
        assert self._drain is not None
        yield "journal", self._drain.run
        yield from (("record sink", outlet.drain.run) for outlet in self._outlets)
        if isinstance(self._store, RollsUp):
            yield "rollups", partial(self._roll_up, self._store)
        yield "retention", Retention(self._store, self.kinds.values(), self._kernel.ambient).run

    async def _roll_up(self, store: RollsUp) -> None:
        """Have the store keep the sums that kinds of record want; of what is there it takes a while, once."""
        for kind in self.kinds.values():
            await store.roll_up(kind.name, rollups_of(kind))

    async def _drain_last(self, drain: Drain) -> None:
        try:
            await drain.drain_now()
        except StoreUnavailable as error:
            structlog.get_logger().error(
                "the store is away: records stay in the journal, for the next start", error=str(error)
            )

    async def _catch_up(self) -> None:
        if self._drain is not None:
            await self._drain.recover()
            await self._drain.drain_now()

    def _journal(self, *folder: str) -> Journal:
        settings = self._settings.journal
        return Journal(
            self._settings.data_path.joinpath(*folder),
            f"{os.getpid()}-{self._kernel.ambient.new_id()[:12]}",
            segment_bytes=settings.segment_bytes,
            cap_bytes=settings.cap_bytes,
            durability=settings.durability,
        )
