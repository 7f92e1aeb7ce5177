"""Counters of one process: exact enough that no sliding window ever holds more than its limit.

A window keeps what it admitted as a queue of entries, newest last. Admissions closer together than a 256th of the period
share an entry that takes the time of the latest, so that an entry leaves the window late rather than early: a window
may hold back up to a 256th of its period for too long, and never admits too much. An entry is a few numbers, so a
window costs at most some 260 of them however large its limit.
"""

from collections.abc import Sequence
from typing import TypeAlias

from switchgear.ambient import Ambient
from switchgear.contracts.counters import Bucket, Decision, Room
from switchgear.counters.sorts import SOON_S, Entry, Period, TokenBucket, Window, period_end_us

SWEEP_S = 1.0
"""How often leases and idle keys are looked at, by whoever comes next."""

_SORTS = frozenset({"window", "slots", "bucket", "period"})

_Part: TypeAlias = Entry | TokenBucket | Period | None
"""Where a reservation took from a bucket: None where that is slots, which are numbers."""

_Taking: TypeAlias = tuple[float, Decision, tuple[Bucket, ...], list[_Part]]
"""A reservation: when its lease ends, the answer it got, and what it took."""


class MemoryCounters:
    """Counters for a gateway that is one process; not for use by several threads.

    A refusal is not remembered: the same id may try again. A settled id is forgotten. The lease of an unsettled reservation is
    noticed within two seconds after its end. Idle keys are dropped within about a minute after their period, a few at each
    sweep, so memory follows the keys in use; a window that is dropped forgets its epoch.
    """

    sorts = _SORTS

    def __init__(self, ambient: Ambient) -> None:
        self._now = ambient.monotonic
        self._now_us = ambient.now_us
        self._windows: dict[str, Window] = {}
        self._slots: dict[str, int] = {}
        self._token_buckets: dict[str, TokenBucket] = {}
        self._periods: dict[tuple[str, int], Period] = {}
        self._open: dict[str, _Taking] = {}
        self._next_sweep = self._now() + SWEEP_S
        # No open reservation's lease ends before this, so that most sweeps look at none of them.
        self._first_lease_end = float("inf")
        self._unswept: list[str | tuple[str, int]] = []

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision:
        """Take from every bucket or from none."""
        now = self._now()
        if now >= self._next_sweep:
            self._sweep(now)
        buckets = tuple(buckets)
        if id in self._open:
            return self._again(id, buckets)
        parts: list[_Part] = []
        rooms: list[Room] = []
        for bucket in buckets:
            sort = bucket.sort
            if sort == "slots":
                key = bucket.key
                held = self._slots.get(key, 0) + bucket.amount
                left = bucket.limit - held
                if left < 0:
                    return self._refuse(buckets, parts, now)
                self._slots[key] = held
                parts.append(None)
                rooms.append(Room(left, 0.0))
            elif sort == "window":
                window = self._windows.get(bucket.key) or self._new_window(bucket)
                if (entry := window.take(bucket, now)) is None:
                    return self._refuse(buckets, parts, now)
                parts.append(entry)
                rooms.append(Room(bucket.limit - window.total, bucket.period_s))
            elif (part := self._take(bucket, buckets, parts, now)) is None:
                return self._refuse(buckets, parts, now)
            else:
                parts.append(part)
                rooms.append(self._room(bucket, now))
        decision = Decision(tuple(rooms))
        until = now + lease_s
        if until < self._first_lease_end:  # noqa: PLR1730 - half of what min() takes
            self._first_lease_end = until
        self._open[id] = (until, decision, buckets, parts)
        return decision

    def settle(self, id: str, actual: Sequence[int] | None = None) -> None:
        """Give slots back and correct the rest to the `actual` amounts, one for each bucket in the order of reserving."""
        taking = self._open.pop(id, None)
        if taking is None:
            return
        buckets = taking[2]
        if actual is not None and len(actual) != len(buckets):
            self._open[id] = taking
            raise ValueError(f"{len(buckets)} buckets were reserved and {len(actual)} amounts given")
        slots, parts = self._slots, taking[3]
        for bucket, part in zip(buckets, parts, strict=True):
            if part is None:
                held = slots.get(bucket.key, 0) - bucket.amount
                if held:
                    slots[bucket.key] = held
                else:
                    slots.pop(bucket.key, None)
            elif actual is None and type(part) is Period:
                self._correct(bucket, part, None)
        if actual is not None:
            for bucket, part, used in zip(buckets, parts, actual, strict=True):
                if part is not None:
                    self._correct(bucket, part, used)

    def peek(self, buckets: Sequence[Bucket]) -> tuple[Room, ...]:
        """Say how the buckets stand."""
        now = self._now()
        if now >= self._next_sweep:
            self._sweep(now)
        return tuple(self._room(bucket, now) for bucket in buckets)

    def seed(self, bucket: Bucket, epoch: str, total: int) -> None:
        """Replace what was counted, once per epoch."""
        if bucket.sort == "period":
            period = self._period(bucket)
            if period.epoch != epoch:
                period.epoch = epoch
                period.settled = total
            return
        if bucket.sort != "window":
            raise ValueError(f"a bucket of the sort `{bucket.sort}` cannot be seeded")
        window = self._windows.setdefault(bucket.key, Window())
        if window.epoch != epoch:
            window.epoch = epoch
            window.period_s = bucket.period_s
            self._restart(window, total)

    def size(self) -> tuple[int, int, int, int, int]:
        """Return how many windows, slot keys, token buckets, periods and open reservations are held."""
        return len(self._windows), len(self._slots), len(self._token_buckets), len(self._periods), len(self._open)

    def _again(self, id: str, buckets: tuple[Bucket, ...]) -> Decision:
        _, decision, reserved, _ = self._open[id]
        if buckets != reserved:
            raise ValueError(f"the id {id} holds a reservation of other buckets: take an id of your own")
        return decision

    def _take(
        self, bucket: Bucket, buckets: tuple[Bucket, ...], parts: list[_Part], now: float
    ) -> TokenBucket | Period | None:
        """Take from a bucket that is neither window nor slots; None if it has no room. What was taken is undone if it is none."""
        try:
            if bucket.sort == "period":
                period = self._period(bucket)
                return period if period.take(bucket, self._now_us()) else None
            if bucket.sort == "bucket":
                tokens = self._token_buckets.get(bucket.key)
                if tokens is None:
                    tokens = self._token_buckets[bucket.key] = TokenBucket(now)
                return tokens if tokens.take(bucket, now) else None
            raise _unknown(bucket)
        except ValueError:
            self._give_back(buckets, parts)
            raise

    def _new_window(self, bucket: Bucket) -> Window:
        window = self._windows[bucket.key] = Window()
        return window

    def _correct(self, bucket: Bucket, part: Entry | TokenBucket | Period, actual: int | None) -> None:
        if type(part) is TokenBucket:
            # It may have been full in the meantime, and dropped.
            part = self._token_buckets.setdefault(bucket.key, part)
        part.settle(bucket.amount, bucket.amount if actual is None else actual, self._now())

    def _period(self, bucket: Bucket) -> Period:
        ends_us = period_end_us(bucket)
        name = (bucket.key, bucket.start_us or 0)
        period = self._periods.get(name)
        if period is None:
            period = self._periods[name] = Period(ends_us)
        period.ends_us = ends_us
        return period

    def _refuse(self, buckets: tuple[Bucket, ...], parts: list[_Part], now: float) -> Decision:
        """Undo what was taken; the next bucket is the one without room."""
        self._give_back(buckets, parts)
        refused = len(parts)
        rooms = tuple(self._room(bucket, now) for bucket in buckets)
        return Decision(rooms, refused, self._wait(buckets[refused], now))

    def _give_back(self, buckets: tuple[Bucket, ...], parts: list[_Part]) -> None:
        for bucket, part in zip(buckets, parts, strict=False):  # the parts are those that were taken so far
            if part is None:
                self._free(bucket)
            else:
                part.give_back(bucket.amount)

    def _free(self, bucket: Bucket) -> None:
        held = self._slots.get(bucket.key, 0) - bucket.amount
        if held:
            self._slots[bucket.key] = held
        else:
            self._slots.pop(bucket.key, None)

    def _room(self, bucket: Bucket, now: float) -> Room:
        key, sort = bucket.key, bucket.sort
        if sort == "slots":
            return Room(max(0, bucket.limit - self._slots.get(key, 0)), 0.0)
        if sort == "window":
            return self._windows.get(key, Window()).room(bucket, now)
        if sort == "bucket":
            return (self._token_buckets.get(key) or TokenBucket(now)).room(bucket, now)
        if sort == "period":
            ends_us = period_end_us(bucket)
            return (self._periods.get((key, bucket.start_us or 0)) or Period(ends_us)).room(bucket, self._now_us())
        raise _unknown(bucket)

    def _wait(self, bucket: Bucket, now: float) -> float:
        if bucket.sort == "window":
            return self._windows[bucket.key].wait(bucket, now)
        if bucket.sort == "bucket":
            return self._token_buckets[bucket.key].wait(bucket)
        if bucket.sort == "period":
            return self._period(bucket).wait(bucket, self._now_us())
        return SOON_S

    def _restart(self, window: Window, total: int) -> None:
        """Count `total` in a window, and on top of it what is reserved and not settled."""
        held = [
            (parts, index, buckets[index].amount)
            for _, _, buckets, parts in self._open.values()
            for index, part in enumerate(parts)
            if type(part) is Entry and part.window is window
        ]
        entry = window.restart(total + sum(amount for _, _, amount in held), self._now())
        for parts, index, _ in held:
            parts[index] = entry

    def _sweep(self, now: float) -> None:
        self._next_sweep = now + SWEEP_S
        if now >= self._first_lease_end:
            self._end_leases(now)
        if not self._unswept:
            self._unswept = [*self._windows, *self._token_buckets, *self._periods]
        share = max(64, len(self._unswept) // 32)
        for name in self._unswept[-share:]:
            if isinstance(name, tuple):
                if (period := self._periods.get(name)) is not None and period.is_over(self._now_us()):
                    del self._periods[name]
                continue
            if (window := self._windows.get(name)) is not None:
                window.expire(now - window.period_s)
                if not window.entries:
                    del self._windows[name]
            if (tokens := self._token_buckets.get(name)) is not None:
                tokens.refill(now)
                if not tokens.missing:
                    del self._token_buckets[name]
        del self._unswept[-share:]

    def _end_leases(self, now: float) -> None:
        for id in [id for id, taking in self._open.items() if taking[0] <= now]:
            _, _, buckets, parts = self._open.pop(id)
            for bucket, part in zip(buckets, parts, strict=True):
                if part is None:
                    self._free(bucket)
                elif bucket.keeps and type(part) is Period:
                    part.settle(bucket.amount, bucket.amount, self._now())
                else:
                    part.lapse(bucket.amount)
        self._first_lease_end = min((taking[0] for taking in self._open.values()), default=float("inf"))


def _unknown(bucket: Bucket) -> ValueError:
    return ValueError(f"no bucket of the sort `{bucket.sort}` is known here")
