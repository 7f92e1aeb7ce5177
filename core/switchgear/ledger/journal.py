"""The journal: a record is acknowledged once it is appended here, before the client sees the end of its answer.

An append is a copy into mapped memory whose disk blocks are reserved already, so it makes no system call and cannot fail for
want of room; want of room shows when the next segment is reserved, half a segment ahead of need.
"""

import asyncio
import mmap
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import structlog

from switchgear.contracts.store import RecordRow
from switchgear.errors import JournalFull, RecordRefused, StoreError, StoreUnavailable
from switchgear.ledger.frames import pack
from switchgear.ledger.recent import Recent
from switchgear.ledger.segments import InstanceLock, Segment, flush_data, segment_numbers

SEGMENT_BYTES = 4 * 1024 * 1024
CAP_BYTES = 1024 * 1024 * 1024
_LOCK_PAUSE_S = 0.02
_LOCK_TRIES = 500
_MOST_RECENT = 2
"""Segments whose records are kept in memory too; of older ones, which wait for a store that is away, there are only the files."""


class Journal:
    """Appends records to `directory/instance`; `Drain` takes them from there to the store.

    One event loop appends. `cap_bytes` bounds the segments on disk. `durability`: with `process` an appended record survives
    the death of the process; with `full` it survives the loss of power once `sync` has returned.
    """

    def __init__(
        self,
        directory: Path,
        instance: str,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        cap_bytes: int = CAP_BYTES,
        durability: Literal["process", "full"] = "process",
    ) -> None:
        self.root = directory
        self.directory = directory / instance
        self.has_room = False
        """Whether a new call may begin. False while what is left is kept for calls in flight. Free to ask."""
        self.appended = 0
        """Records appended since `open`."""
        self.drained = 0
        """Of those, how many the store has."""
        self.older: frozenset[int] = frozenset()
        """Segments found at `open`: this instance's life before."""
        self._segment_bytes = segment_bytes
        self._most_segments = max(2, cap_bytes // segment_bytes)
        self.durable = durability == "full"
        """Whether an answer must wait for `sync`."""
        self._lock = InstanceLock(self.directory)
        self._log = structlog.get_logger("switchgear.ledger")
        self._reserver: ThreadPoolExecutor | None = None
        self._flusher: ThreadPoolExecutor | None = None
        self._numbers: list[int] = []
        self._last_number = 0
        self._current: Segment | None = None
        self._map: mmap.mmap | bytearray = bytearray()
        self._at = 0
        self._limit = -1
        self._next: Future[Segment] | None = None
        self._recent: dict[int, Recent] = {}
        self._newest = Recent()
        self._unflushed: list[Segment] = []
        self._flush: asyncio.Task[None] | None = None
        self._flushed = 0
        self._broken: str | None = None

    @property
    def depth(self) -> int:
        """Records appended since `open` that are not in the store yet."""
        return self.appended - self.drained

    @property
    def segments(self) -> list[int]:
        """The numbers of the segments that may hold records, oldest first; those found at `open` are among them."""
        return list(self._numbers)

    @property
    def position(self) -> tuple[int, int]:
        """How far the journal is written: (segment, offset). Everything in earlier segments comes before it."""
        if self._current is not None:
            return self._current.number, self._at
        return (self._numbers[-1] + 1 if self._numbers else 0), 0

    async def open(self) -> None:
        """Take the instance's directory and reserve the first segment.

        A full disk is no reason to fail: `has_room` stays False until `make_room` finds some. Raises `StoreError` if another
        process has the same instance.
        """
        await asyncio.to_thread(self._take_directory)
        self._reserver = ThreadPoolExecutor(1, "journal-reserve")
        self._flusher = ThreadPoolExecutor(1, "journal-flush")
        self._numbers = segment_numbers(self.directory)
        self.older = frozenset(self._numbers)
        self._last_number = self._numbers[-1] if self._numbers else 0
        self.make_room()
        if self._next is not None:
            await asyncio.gather(asyncio.wrap_future(self._next), return_exceptions=True)
            try:
                self._turn(0)
            except JournalFull as full:
                self._log.error("journal_full", detail=str(full))

    def append(self, kind: str, id: str, at_us: int, body: bytes) -> None:
        """Acknowledge a record. Raises `JournalFull`, or `RecordRefused` for one that fits in no segment."""
        frame = pack(kind, id, at_us, body)
        start = self._at
        end = start + len(frame)
        if end > self._limit:
            if len(frame) > self._segment_bytes:
                raise RecordRefused(
                    kind, (id,), f"a record of {len(frame)} bytes is larger than a segment of the journal"
                )
            start = self._turn(len(frame))
            end = start + len(frame)
        self._map[start:end] = frame
        self._at = end
        self.appended += 1
        newest = self._newest
        newest.records.append((kind, RecordRow(id, at_us, body)))
        newest.ends.append(end)

    async def sync(self) -> None:
        """Return when everything appended so far survives the loss of power; at once unless `durability` is `full`.

        All who wait share one flush. Raises `StoreUnavailable` when the disk fails, and from then on.
        """
        if not self.durable:
            return
        wanted = self.appended
        while self._flushed < wanted:
            if self._broken is not None:
                raise StoreUnavailable(self._broken)
            if self._flush is None:
                self._flush = asyncio.create_task(self._flush_all())
            await asyncio.shield(self._flush)

    def end_of(self, number: int) -> int | None:
        """Return how far a segment is written: None for one that is finished, to be read until nothing more is found."""
        current = self._current
        return self._at if current is not None and number == current.number else None

    def recent(self, number: int) -> Recent | None:
        """Return the records of a segment that are in memory as well; None: read the file."""
        return self._recent.get(number)

    def forget(self, number: int) -> None:
        """Count a segment no more whose file was deleted, all of its records being in the store."""
        self._numbers.remove(number)
        self._recent.pop(number, None)

    def make_room(self) -> None:
        """See that the segment after this one is being reserved, if it is needed by now. Never blocks."""
        assert self._reserver is not None, "the journal is not open"
        if self._next is not None and self._next.done() and self._next.exception() is not None:
            self._next = None
        if self._next is not None or (self._current is not None and self._limit < self._current.size):
            return
        if len(self._numbers) >= self._most_segments:
            self.has_room = False
            return
        self._last_number += 1
        self._next = self._reserver.submit(
            Segment, self.directory, self._last_number, self._segment_bytes, durable=self.durable
        )
        self._next.add_done_callback(self._reserved)

    async def close(self) -> None:
        """Let go, after a last flush; leave nothing behind if the store has everything."""
        try:
            await self.sync()
        finally:
            await self._close()

    async def _close(self) -> None:
        for pool in (self._reserver, self._flusher):
            if pool is not None:
                await asyncio.to_thread(pool.shutdown)
        self._reserver = self._flusher = None
        self.has_room = False
        self._limit = -1
        if self._next is not None and self._next.exception() is None:
            unused = self._next.result()
            unused.close()
            unused.path.unlink()
        self._next = None
        for segment in self._unflushed:
            segment.close()
        self._unflushed = []
        current, self._current = self._current, None
        if current is not None:
            current.close()
            if self.depth == 0 and self._numbers == [current.number]:
                current.path.unlink()
                self.forget(current.number)
        self._lock.release(remove=not self._numbers)

    def _take_directory(self) -> None:
        # Another process may be draining what a dead process of this name left behind.
        for _ in range(_LOCK_TRIES):
            if self._lock.take():
                return
            time.sleep(_LOCK_PAUSE_S)
        raise StoreError(f"another process has the journal {self.directory}: give each process its own instance name")

    def _reserved(self, future: Future[Segment]) -> None:
        # Called in the reserving thread: one assignment, and a line when the answer changed.
        fault = None if future.cancelled() else future.exception()
        if fault is not None and self.has_room:
            self._log.error("journal_full", detail=str(fault))
        self.has_room = fault is None and self._broken is None

    def _turn(self, length: int) -> int:
        """Return where a frame of `length` goes now that the current segment is half full, or has no room for it."""
        if self._reserver is None:
            raise StoreUnavailable("the journal is not open")
        current = self._current
        if current is not None:
            self._limit = current.size
        if current is None or self._at + length > current.size:
            self._take_next()
        if self._at + length > self._segment_bytes // 2:
            self._limit = self._segment_bytes
            self.make_room()
        return self._at

    def _take_next(self) -> None:
        self.make_room()
        if self._next is None:
            raise JournalFull(
                f"the journal has no room: {len(self._numbers)} segments wait in {self.directory}, the most there may be; it "
                "takes records again once the store took some"
            )
        segment = self._next.result()
        if self._current is not None:
            if self.durable:
                self._unflushed.append(self._current)
            else:
                self._current.close()
        self._next = None
        self._current = segment
        self._map = segment.map
        self._numbers.append(segment.number)
        self._newest = self._recent[segment.number] = Recent()
        while len(self._recent) > _MOST_RECENT:
            del self._recent[min(self._recent)]
        self._at = 0
        self._limit = self._segment_bytes // 2

    async def _flush_all(self) -> None:
        goal = self.appended
        finished, self._unflushed = self._unflushed, []
        current = [] if self._current is None else [self._current]
        try:
            await asyncio.get_running_loop().run_in_executor(self._flusher, _flush_segments, [*finished, *current])
        except OSError as fault:
            # After a failed flush the kernel may have dropped the pages: nothing it says later can be trusted.
            self._broken = (
                f"flushing the journal {self.directory} failed ({fault.strerror}): check the disk, then restart"
            )
            self.has_room = False
            raise StoreUnavailable(self._broken) from fault
        finally:
            self._flush = None
            for segment in finished:
                segment.close()
        self._flushed = goal


def _flush_segments(segments: list[Segment]) -> None:
    for segment in segments:
        flush_data(segment.fd)
