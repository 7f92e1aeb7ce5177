"""Records on their way to record sinks: behind the store, each sink at its own pace.

What the store took is appended to a journal of the sink's own, from which a drain of its own takes it. So a sink that is slow
or away holds up neither the store nor other sinks, and what it has not taken survives a restart.
"""

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Literal

import structlog
from msgspec import Struct

from switchgear.contracts.kernel import RecordSink
from switchgear.contracts.record import RecordKind
from switchgear.contracts.store import RecordRow
from switchgear.errors import StoreError, StoreUnavailable
from switchgear.ledger.drain import Drain, Sink
from switchgear.ledger.journal import Journal
from switchgear.phrasing import raised
from switchgear.plugin_faults import bounded, contained, name_of

_LONG_S = 30.0
"""After so long at one batch a sink is told of."""


class SinkState(Struct, frozen=True):
    """How a record sink stands: `ok`, or `failing` and why; `waiting` records are yet to be taken."""

    sink: str
    plugin: str
    status: Literal["ok", "failing"]
    waiting: int
    why: str | None = None


class SinkAdapter:
    """A record sink as a drain sees it. `failed` is told of everything it raises, which means that it is away.

    One that does not say which kinds it wants gets none. `why` says how it fails, None while it does not.
    """

    def __init__(
        self,
        name: str,
        sink: RecordSink,
        kinds: Mapping[str, RecordKind],
        failed: Callable[[str, str], None],
        monotonic: Callable[[], float] = monotonic,
    ) -> None:
        self._name = name
        self._sink = sink
        self._kinds = kinds
        self._failed = failed
        self._monotonic = monotonic
        self._began: float | None = None
        self._why: str | None = None
        self._unusable: str | None = None
        try:
            self._wanted = frozenset(sink.kinds) or frozenset(kinds)
        except Exception as error:  # noqa: BLE001 - counted and logged under the plugin's name
            self._wanted = frozenset()
            self._unusable = f"it does not say which kinds of record it wants: {raised(error)}"
            failed(f"record sink {name}", self._unusable)

    @property
    def why(self) -> str | None:
        """How it fails."""
        if self._began is not None and (took_s := self._monotonic() - self._began) > _LONG_S:
            return f"it has been at one batch for {took_s:.0f} s"
        return self._unusable or self._why

    def wants(self, kind: str) -> bool:
        """Say whether records of a kind go to it."""
        return kind in self._kinds and kind in self._wanted

    async def append(self, kind: str, rows: Sequence[RecordRow]) -> int:
        """Hand over a batch. Raises `StoreUnavailable` for whatever the sink raises."""
        self._began = self._monotonic()
        try:
            await contained(self._sink.write(self._kinds[kind], rows))
        except Exception as error:
            self._why = f"it raised {name_of(error)}"
            self._failed(f"record sink {self._name}", raised(error))
            raise StoreUnavailable(f"the record sink {self._name} took nothing: {name_of(error)}") from error
        finally:
            self._began = None
        self._why = None
        return len(rows)


class SinkQueue:
    """A record sink with its journal; run `drain.run` while it is open."""

    def __init__(self, offered: SinkAdapter, journal: Journal, drain: Drain, name: str = "", plugin: str = "") -> None:
        self._name = name
        self._plugin = plugin
        self.drain = drain
        self._offered = offered
        self._journal = journal

    @property
    def state(self) -> SinkState:
        """How it stands."""
        why = self._offered.why
        return SinkState(self._name, self._plugin, "ok" if why is None else "failing", self._journal.depth, why)

    async def put(self, kind: str, rows: Sequence[RecordRow]) -> None:
        """Keep records until the sink has them. Raises `JournalFull` when it has been away for too many."""
        if self._offered.wants(kind):
            for row in rows:
                self._journal.append(kind, row.id, row.at_us, row.body)
            await self._journal.sync()

    async def close(self, within_s: float) -> None:
        """Hand over what is left, for at most `within_s` seconds; the next process that starts goes on from there."""
        try:
            await bounded(within_s, self.drain.drain_now())
        except (StoreError, TimeoutError) as error:
            waiting = self._journal.depth
            structlog.get_logger("switchgear.ledger").warning(
                "sink_left_behind", sink=self._name, plugin=self._plugin, waiting=waiting, detail=str(error)
            )
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
