"""From the journal to the store: in batches, idempotent by record id, for as long as it takes."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import structlog

from switchgear.ambient import Ambient
from switchgear.contracts.store import RecordRow
from switchgear.errors import RecordRefused, StoreError
from switchgear.ledger.frames import Reading, pack
from switchgear.ledger.journal import Journal
from switchgear.ledger.recent import Recent
from switchgear.ledger.segments import InstanceLock, SegmentReader, segment_numbers, segment_path, warm

BAD = "bad"
"""The folder beside the instances where records lie that the store refused for good, as frames in `<instance>-<n>.bad`."""

_MORE = 4
_MOST_TIMES = 16
_LONGEST_DELAY_S = 15.0
_RECOVER_EVERY_S = 30.0


class Sink(Protocol):
    """Where records go: the store."""

    async def append(self, kind: str, rows: Sequence[RecordRow]) -> int:
        """As in `Store.append`."""
        ...


class Backlog(Protocol):
    """Segments of one instance, as the drain needs them."""

    directory: Path

    @property
    def segments(self) -> list[int]:
        """Numbers, oldest first."""
        ...

    def end_of(self, number: int) -> int | None:
        """How far a segment is written, None if it is finished."""
        ...

    def recent(self, number: int) -> Recent | None:
        """Return the records of a segment that are in memory as well, None if there is only the file."""
        ...

    def forget(self, number: int) -> None:
        """Count a segment no more, whose file was deleted."""
        ...


class DeadJournal:
    """What a process left behind that is no more. `taken` is False if it lives."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = InstanceLock(directory)
        self.taken = self._lock.take()
        self.segments = segment_numbers(directory) if self.taken else []

    def end_of(self, number: int) -> int | None:  # noqa: ARG002 - all of them are finished
        """Return None: nobody writes any more."""
        return None

    def recent(self, number: int) -> None:
        """Return None: they are in the file only."""

    def forget(self, number: int) -> None:
        """Count a segment no more."""
        self.segments.remove(number)

    def close(self) -> None:
        """Let go, and remove the directory if nothing is left in it."""
        self._lock.release(remove=not self.segments)


class Cursor:
    """How far a backlog is drained: everything before (segment, offset) is in the store."""

    def __init__(self) -> None:
        self.number = 0
        self.offset = 0
        self.reader: SegmentReader | None = None

    @property
    def at(self) -> tuple[int, int]:
        """Comparable with `Journal.position`."""
        return self.number, self.offset

    def move(self, number: int) -> None:
        """Go to the start of a segment."""
        if self.reader is not None:
            self.reader.close()
        self.number, self.offset, self.reader = number, 0, None


class Drain:
    """Moves records from `journal`, and from journals of dead processes beside it, into `store`.

    There is no cursor on disk: a segment is deleted when the store has all of it, and one half drained when the process died
    is read again, which changes nothing as the store keeps an id once. While the store is away the journal grows.
    A segment is gone once the store answered, so for the loss of power the store must be as durable as the journal.
    """

    def __init__(
        self, journal: Journal, store: Sink, ambient: Ambient, *, interval_s: float = 0.2, batch: int = 256
    ) -> None:
        self.refused = 0
        """Records set aside because the store will never take them."""
        self.recovered = 0
        """Records taken over from dead processes, or from this instance's life before; some may have been in the store."""
        self.failures = 0
        """How often the store could not take a batch."""
        self.why: str | None = None
        """Why the last one could not be taken; None if it could."""
        self._journal = journal
        self._store = store
        self._ambient = ambient
        self._interval_s = interval_s
        self._batch = batch
        self._log = structlog.get_logger("switchgear.ledger")
        self._turn = asyncio.Lock()
        self._recovering = asyncio.Lock()
        self._cursor = Cursor()
        self._recover_at = 0.0

    async def run(self) -> None:
        """Drain for ever, until cancelled; then call `drain_now` once more, and close the journal."""
        tries = 0
        while True:
            delay = self._interval_s
            try:
                if self._ambient.monotonic() >= self._recover_at:
                    await self.recover()
                    self._recover_at = self._ambient.monotonic() + _RECOVER_EVERY_S
                await self.drain_now()
                if tries:
                    self._log.info("drain_resumed", tries=tries)
                tries = 0
                self.why = None
            except Exception as fault:  # noqa: BLE001 - told, and tried again
                tries += 1
                self.failures += 1
                is_known = isinstance(fault, (StoreError, OSError))
                self.why = str(fault) if is_known else f"it raised {type(fault).__name__}"
                if tries == 1:
                    self._log.error(
                        "drain_failed",
                        detail=str(fault),
                        waiting=self._journal.depth,
                        exc_info=None if is_known else fault,
                    )
                ceiling = min(_LONGEST_DELAY_S, self._interval_s * 2**tries)
                delay = ceiling / 2 + ceiling / 2 * self._ambient.random()
            self._journal.make_room()
            await asyncio.sleep(delay)

    async def drain_now(self) -> None:
        """Return when the store has everything appended before this call. Raises what the store raises."""
        wanted = self._journal.position
        while self._cursor.at < wanted:
            async with self._turn:
                if self._cursor.at < wanted:
                    await self._step(self._journal, self._cursor)

    async def recover(self) -> None:
        """Drain and remove the journals of processes that are no more. Raises what the store raises."""
        async with self._recovering:  # who asks meanwhile waits for what is being recovered
            for directory in await asyncio.to_thread(_other_instances, self._journal):
                dead, cursor = await asyncio.to_thread(DeadJournal, directory), Cursor()
                try:
                    while dead.segments:
                        await self._step(dead, cursor)
                finally:
                    cursor.move(0)
                    dead.close()

    async def _step(self, backlog: Backlog, cursor: Cursor) -> None:
        """Move one batch of the oldest segment."""
        number = backlog.segments[0]
        end = backlog.end_of(number)
        appended = self._journal.appended
        recent = backlog.recent(number)
        if cursor.number != number:
            cursor.move(number)
        if recent is not None and recent.start == cursor.offset:
            reading = recent.read(self._batch_size())
        else:
            reading = await self._read(backlog, cursor, end)
        await self._keep(reading, f"{backlog.directory.name}-{number}")
        if reading.torn and end is not None:
            path = segment_path(backlog.directory, number)
            raise StoreError(f"{path} is damaged at byte {reading.offset}: check the machine's memory and disk")
        if recent is not None:
            recent.forget(len(reading.records))
        if backlog is not self._journal or number in self._journal.older:
            self.recovered += len(reading.records)
        elif reading.offset == end:
            self._journal.drained = appended
        else:
            self._journal.drained += len(reading.records)
        if end is None and reading.finished:
            await self._finish(backlog, number, reading)
            cursor.move(number + 1)
        else:
            cursor.offset = reading.offset

    async def _read(self, backlog: Backlog, cursor: Cursor, end: int | None) -> Reading:
        path = segment_path(backlog.directory, cursor.number)
        if cursor.reader is None:
            if end is None:
                await asyncio.to_thread(warm, path)
            cursor.reader = SegmentReader(path)
        return cursor.reader.read(cursor.offset, end, self._batch_size())

    def _batch_size(self) -> int:
        # Every batch waits for the interpreter's lock, however small it is, so one that falls behind takes more at once.
        depth = self._journal.depth
        size = self._batch
        while size * _MORE <= min(depth, self._batch * _MOST_TIMES):
            size *= _MORE
        return size

    async def _finish(self, backlog: Backlog, number: int, reading: Reading) -> None:
        name = backlog.directory.name
        path = segment_path(backlog.directory, number)
        if reading.torn:
            self._log.warning("journal_torn", segment=number, instance=name, damaged=reading.beyond)
        if reading.beyond:
            # More than an append cut short by a crash: keep the evidence.
            await asyncio.to_thread(_set_aside, path, self._journal.root / BAD / f"{name}-{number}.damaged")
        else:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        backlog.forget(number)

    async def _keep(self, reading: Reading, origin: str) -> None:
        rows: dict[str, list[RecordRow]] = {}
        for kind, row in reading.records:
            rows.setdefault(kind, []).append(row)
        for kind, of_kind in rows.items():
            await self._keep_rows(kind, of_kind, origin)

    async def _keep_rows(self, kind: str, rows: Sequence[RecordRow], origin: str) -> None:
        while rows:
            try:
                await self._store.append(kind, rows)
            except RecordRefused as refused:
                bad = [row for row in rows if row.id in refused.ids]
                if not bad:
                    raise
                await asyncio.to_thread(_keep_bad, self._journal.root / BAD, origin, kind, bad)
                self.refused += len(bad)
                self._log.error("records_refused", detail=str(refused), count=len(bad), kept_in=f"{origin}.bad")
                rows = [row for row in rows if row.id not in refused.ids]
            else:
                return


def _other_instances(journal: Journal) -> list[Path]:
    return sorted(
        path for path in journal.root.iterdir() if path.is_dir() and path != journal.directory and path.name != BAD
    )


def _keep_bad(directory: Path, origin: str, kind: str, rows: Sequence[RecordRow]) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    with (directory / f"{origin}.bad").open("ab") as file:
        file.writelines(pack(kind, row.id, row.at_us, row.body) for row in rows)
        file.flush()
        os.fsync(file.fileno())


def _set_aside(path: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, exist_ok=True)
    path.rename(target)
