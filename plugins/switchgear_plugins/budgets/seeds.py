"""What budgets have spent, as the records have it, and how counters that know nothing of it are told.

Counters of one process begin empty with it. Those that replicas share may lose what they had while calls are in flight: then each
replica says again what its own calls hold, and those of processes that were killed beside it. All wait until the records of calls
that ended meanwhile are in the store, and what is seeded after that is the sum of these records, with what is held on top.
"""

import asyncio
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from inspect import isawaitable
from itertools import product
from typing import Any

from msgspec.structs import replace

from switchgear import Context
from switchgear.contracts.counters import Bucket, Room
from switchgear.contracts.store import RecordQuery
from switchgear.errors import SwitchgearError
from switchgear_plugins.budgets.live import UNBOUNDED, Budget, member_of
from switchgear_plugins.budgets.notes import Notes

LOOK_S = 0.5
"""How often it is looked whether counters that are elsewhere have what they had."""
GATHER_S = 2.0
"""How long replicas have to say what they hold."""
DRAINED_S = 1.0
"""How long after it ended a call's record is surely in the store, within that time."""
_HERE = Bucket("budgets", "period", 1, 0, 100 * 365 * 86_400.0, start_us=0, epoch="1")
"""Is there as long as nothing was lost."""
_LONGEST_US = 3_600_000_000
"""A call that is in flight began no longer ago than this before its lease ends."""
_PAGE = 1000
_MOST_GROUPS = 1_000_000
_MOST_SEEDED = 200_000

Name = tuple[str, int | None]
"""Which bucket: its key, and when its period began."""


class Seeds:
    """Seeds buckets before they are first used. `held` are the buckets of calls in flight, with their leases, by exchange id."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._counters = context.counters
        self.seeded: set[Name] = set()
        self.held: dict[str, tuple[tuple[Bucket, ...], float]] = {}
        self._again: dict[str, tuple[Bucket, ...]] = {}
        self._running: dict[Name, asyncio.Task[None]] = {}
        self._mending: asyncio.Task[None] | None = None
        self._settling: set[asyncio.Task[None]] = set()
        self._lost_s = 0.0
        self._is_whole = False
        self._notes: Notes | None = None

    async def watch(self) -> None:
        """Look after counters that are elsewhere; ends at once where they are of this process."""
        while isawaitable(rooms := self._counters.peek((_HERE,))):
            try:
                if not (await rooms)[0].seeded:
                    self.lost()
                    await self._whole()
            except SwitchgearError:
                pass  # they are away, which whoever reserves is told
            await asyncio.sleep(LOOK_S)

    def hold(self, id: str, buckets: tuple[Bucket, ...], lease_s: float) -> None:
        """Note that a call holds something."""
        self.held[id] = buckets, lease_s
        if self._notes is not None:
            self._notes.write(id, self._context.ambient.now_us() + int(lease_s * 1e6), buckets)

    def close(self) -> None:
        """Let go of the file: nothing is in flight any more."""
        if self._notes is not None:
            self._notes.close()
            self._notes = None

    def lost(self) -> None:
        """Forget that anything was seeded: the counters know nothing of it."""
        self._is_whole = False
        self.seeded.clear()

    async def seed(self, budget: Budget, whose: str | None, bucket: Bucket, at_us: int) -> None:
        """Have a bucket seeded, once however many ask."""
        name = bucket.key, bucket.start_us
        if name in self.seeded:
            return
        running = self._running.get(name)
        if running is None:
            running = self._running[name] = asyncio.create_task(self._seed(budget, whose, bucket, at_us))
            running.add_done_callback(lambda _: self._running.pop(name, None))
        await asyncio.shield(running)

    async def spent(self, budget: Budget, whose: str | None, at_us: int) -> int:
        """Return what the records say that a budget has spent in the period of a moment, in microusd."""
        total = 0
        for query, by, wanted in _questions(budget, whose, budget.since_us(at_us)):
            for group in await self._context.records.summarise(query, by, ("cost_microusd",)):
                if wanted(group.by):
                    total += group.sums[0] or 0
        return total

    async def peek(self, buckets: Sequence[Bucket]) -> tuple[Room, ...]:
        """Say how buckets stand."""
        rooms = self._counters.peek(buckets)
        return rooms if isinstance(rooms, tuple) else await rooms

    def settled(self, id: str, amounts: Sequence[int]) -> None:
        """A call has ended: settle what was said again of it, once its record is surely counted or surely not."""
        self.held.pop(id, None)
        if self._notes is not None:
            self._notes.settled(id)
        if self._again and id in self._again:
            buckets = self._again.pop(id)
            ended_s = self._context.ambient.monotonic() - self._lost_s
            counted = ended_s < GATHER_S - DRAINED_S
            self.later(self._settle_again(id, [0] * len(buckets) if counted else list(amounts), GATHER_S))

    def later(self, work: Any) -> None:
        """Have something done that nobody waits for."""
        task = asyncio.ensure_future(work)
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _settle_again(self, id: str, amounts: Sequence[int], after_s: float) -> None:
        await asyncio.sleep(after_s)
        try:
            settling = self._counters.settle(_again(id), amounts)
            if settling is not None:
                await settling
        except SwitchgearError as error:
            self._context.log.warning("what a call held could not be given back before its time", error=str(error))

    async def _seed(self, budget: Budget, whose: str | None, bucket: Bucket, at_us: int) -> None:
        await self._whole()
        total = await self.spent(budget, whose, at_us)
        seeding = self._counters.seed(bucket, budget.epoch, total)
        if seeding is not None:
            await seeding
        if len(self.seeded) >= _MOST_SEEDED:
            self.seeded.clear()
        self.seeded.add((bucket.key, bucket.start_us))

    async def _remember(self) -> None:
        """Hold again what calls held of processes that were killed: of those that have no record nobody knows what they cost."""
        ambient = self._context.ambient
        if self._notes is None:
            self._notes = Notes(self._context.data_dir, f"{os.getpid()}-{ambient.new_id()}")
        now_us = ambient.now_us()
        left = [note for note in self._notes.left() if note.until_us > now_us]
        if not left:
            return
        recorded = await self._recorded(min(note.until_us for note in left) - _LONGEST_US)
        for note in left:
            if note.id in recorded:
                continue
            lease_s = (note.until_us - now_us) / 1e6
            with suppress(ValueError):  # counters that are elsewhere have it under its id, unless they lost it
                reserving = self._counters.reserve(note.id, note.unbounded(UNBOUNDED), lease_s)
                if isawaitable(reserving):
                    await reserving
            self._notes.write(note.id, note.until_us, note.unbounded(UNBOUNDED))

    async def _recorded(self, since_us: int) -> set[str]:
        """Return the ids of calls that have a record, of those since a moment."""
        found: set[str] = set()
        query = RecordQuery("usage", max(0, since_us), limit=_PAGE)
        while True:
            rows = await self._context.records.scan(query)
            found.update(row.id for row in rows)
            if len(rows) < _PAGE:
                return found
            query = replace(query, before=(rows[-1].at_us, rows[-1].id))

    async def _whole(self) -> None:
        """Return once the counters have all that is held of them."""
        if self._is_whole:
            return
        if self._mending is None:
            self._mending = asyncio.create_task(self._mend())
            self._mending.add_done_callback(self._mended)
        await asyncio.shield(self._mending)

    def _mended(self, task: "asyncio.Task[None]") -> None:
        self._mending = None
        if not task.cancelled():
            task.exception()

    async def _mend(self) -> None:
        rooms = self._counters.peek((_HERE,))
        if isinstance(rooms, tuple):
            await self._remember()
            self._is_whole = True
            return
        if not (await rooms)[0].seeded:
            self._lost_s = self._context.ambient.monotonic()
            self.seeded.clear()
            self._context.log.warning(
                "the counters know nothing of budgets: they are counted anew", held=len(self.held)
            )
            for id, (buckets, lease_s) in list(self.held.items()):
                unseeded = tuple(_unbounded(bucket) for bucket in buckets)
                self._again[id] = unseeded
                reserving = self._counters.reserve(_again(id), unseeded, lease_s)
                if isawaitable(reserving):
                    await reserving
            await self._remember()
            await asyncio.sleep(GATHER_S)
            seeding = self._counters.seed(_HERE, "1", 0)
            if seeding is not None:
                await seeding
        elif self._notes is None:
            await self._remember()
        self._is_whole = True


def _again(id: str) -> str:
    return f"{id}:budgets"


def _unbounded(bucket: Bucket) -> Bucket:
    return Bucket(
        bucket.key, bucket.sort, UNBOUNDED, bucket.amount, bucket.period_s, bucket.burst, bucket.start_us, epoch=None
    )


def _questions(budget: Budget, whose: str | None, since_us: int) -> Iterable[tuple[RecordQuery, list[str], Any]]:
    """Yield what to ask the records, so that no record is asked for twice: a query, the members to group by, and which groups
    count.
    """
    wanted: dict[str, frozenset[str]] = {member_of(name): values for name, values in budget.wanted.items()}
    if budget.each is not None and whose is not None:
        wanted[member_of(budget.each)] = frozenset({whose})
    equals: dict[str, Any] = {name: next(iter(values)) for name, values in wanted.items() if len(values) == 1}
    several = [(name, values) for name, values in wanted.items() if len(values) != 1]
    models = budget.models
    by = [] if models is None else ["model", "target"]
    room = 3 - len(by)
    grouped, looped = several[:room], several[room:]
    by += [name for name, _ in grouped]

    def counts(group: tuple[str | None, ...]) -> bool:
        offset = 0
        if models is not None:
            if group[0] not in models and group[1] not in models:
                return False
            offset = 2
        return all(group[offset + place] in values for place, (_, values) in enumerate(grouped))

    for chosen in product(*(sorted(values) for _, values in looped)):
        more = {name: value for (name, _), value in zip(looped, chosen, strict=True)}
        yield RecordQuery("usage", since_us, equals={**equals, **more}, limit=_MOST_GROUPS), by, counts
