"""Counters of one process: exact enough that no sliding window ever holds more than its limit.

A window keeps what it admitted as a queue of entries, newest last. Admissions closer together than a 256th of the period
share an entry that takes the time of the latest, so that an entry leaves the window late rather than early: a window
may hold back up to a 256th of its period for too long, and never admits too much. An entry is two numbers, so a
window costs at most some 260 of them however large its limit.
"""

from collections import deque
from collections.abc import Sequence

from switchgear.ambient import Ambient
from switchgear.contracts.counters import Bucket, Decision, Room

ENTRIES = 256
"""Entries one period is divided into at most."""

SWEEP_S = 1.0
"""How often leases and idle windows are looked at, by whoever comes next."""

SLOT_RETRY_S = 1.0
"""What a refusal for want of a slot suggests to wait: nobody knows when a running request ends."""


class _Entry:
    """Admissions of a moment: `at` is when the latest was, `began` the first; `amount` None once it left the window."""

    __slots__ = ("amount", "at", "began")

    def __init__(self, at: float, amount: int) -> None:
        self.began = self.at = at
        self.amount: int | None = amount


class _Window:
    __slots__ = ("entries", "period_s", "total")

    def __init__(self) -> None:
        self.entries: deque[_Entry] = deque()
        self.total = 0
        self.period_s = 0.0

    def expire(self, until: float) -> None:
        """Forget what was admitted at `until` or before."""
        entries = self.entries
        while entries and entries[0].at <= until:
            entry = entries.popleft()
            self.total -= entry.amount or 0
            entry.amount = None

    def wait(self, excess: int, now: float, period_s: float) -> float:
        """Return the seconds until `excess` has left the window; a period if that much is not in it."""
        for entry in self.entries:
            excess -= entry.amount or 0
            if excess <= 0:
                return entry.at + period_s - now
        return period_s


class _Slots:
    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = 0


class _Taking:
    """One reservation: what it took, where; `decision` is the answer it got, to be given again."""

    __slots__ = ("decision", "expires", "taken")

    def __init__(self, expires: int) -> None:
        self.expires = expires
        self.taken: list[tuple[str, _Slots | _Window, _Entry | None, int]] = []
        self.decision: Decision | None = None


class MemoryCounters:
    """Counters for a gateway that is one process; not for use by several threads.

    A refusal is not remembered: the same id may try again. A settled id is forgotten. An unsettled reservation gives its
    slots back within two seconds after its lease; windows keep what they counted. Idle keys are dropped within about a
    minute after their period, a few at each sweep, so memory follows the keys in use.
    """

    def __init__(self, ambient: Ambient) -> None:
        self._now = ambient.monotonic
        self._windows: dict[str, _Window] = {}
        self._slots: dict[str, _Slots] = {}
        self._takings: dict[str, _Taking] = {}
        # Ids by the second in which their lease ends, so that neither settling nor looking for dead ones searches.
        self._leases: dict[int, dict[str, None]] = {}
        self._next_sweep = self._now() + SWEEP_S
        self._unswept: list[str] = []

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision:
        """Take from every bucket or from none."""
        now = self._now()
        if now >= self._next_sweep:
            self._sweep(now)
        known = self._takings.get(id)
        if known is not None and known.decision is not None:
            return known.decision
        taking = _Taking(int(now + lease_s) + 1)
        rooms = []
        for index, bucket in enumerate(buckets):
            room = self._take(taking, bucket, now)
            if room is None:
                return self._refuse(taking, buckets, index, now)
            rooms.append(room)
        decision = taking.decision = Decision(tuple(rooms))
        self._takings[id] = taking
        lease = self._leases.get(taking.expires)
        if lease is None:
            lease = self._leases[taking.expires] = {}
        lease[id] = None
        return decision

    def settle(self, id: str, actual: Sequence[int] | None = None) -> None:
        """Give slots back and correct windows to the `actual` amounts, one for each bucket in the order of reserving."""
        taking = self._takings.get(id)
        if taking is None:
            return
        if actual is not None:
            if len(actual) != len(taking.taken):
                raise ValueError(f"{len(taking.taken)} buckets were reserved and {len(actual)} amounts given")
            for (_, state, entry, amount), used in zip(taking.taken, actual, strict=True):
                if entry is not None and entry.amount is not None:
                    entry.amount += used - amount
                    state.total += used - amount  # type: ignore[union-attr]  # an entry belongs to a window
        del self._takings[id]
        del self._leases[taking.expires][id]
        self._free(taking)

    def size(self) -> tuple[int, int, int]:
        """Return how many windows, slot keys and open reservations are held."""
        return len(self._windows), len(self._slots), len(self._takings)

    def _take(self, taking: _Taking, bucket: Bucket, now: float) -> Room | None:
        key, limit, amount = bucket.key, bucket.limit, bucket.amount
        if bucket.sort == "slots":
            slots = self._slots.get(key)
            if slots is None:
                slots = self._slots[key] = _Slots()
            remaining = limit - slots.held - amount
            if remaining < 0:
                if not slots.held:
                    del self._slots[key]
                return None
            slots.held += amount
            taking.taken.append((key, slots, None, amount))
            return Room(remaining, 0.0)
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = _Window()
        period_s = window.period_s = bucket.period_s
        entries = window.entries
        if entries and entries[0].at <= now - period_s:
            window.expire(now - period_s)
        remaining = limit - window.total - amount
        if remaining < 0:
            return None
        window.total += amount
        if entries and now - entries[-1].began < period_s / ENTRIES:
            entry = entries[-1]
            entry.at = now
            entry.amount += amount  # type: ignore[operator]  # an entry in the queue has an amount
        else:
            entry = _Entry(now, amount)
            entries.append(entry)
        taking.taken.append((key, window, entry, amount))
        return Room(remaining, period_s)

    def _refuse(self, taking: _Taking, buckets: Sequence[Bucket], refused: int, now: float) -> Decision:
        for _, state, entry, amount in taking.taken:
            if entry is not None:
                entry.amount -= amount  # type: ignore[operator]  # taken a moment ago, so it is in the queue
                state.total -= amount  # type: ignore[union-attr]  # an entry belongs to a window
        self._free(taking)
        bucket = buckets[refused]
        retry_after_s = SLOT_RETRY_S
        if bucket.sort == "window":
            window = self._windows[bucket.key]
            retry_after_s = window.wait(window.total + bucket.amount - bucket.limit, now, bucket.period_s)
        return Decision(tuple(self._room(bucket, now) for bucket in buckets), refused, retry_after_s)

    def _room(self, bucket: Bucket, now: float) -> Room:
        if bucket.sort == "slots":
            slots = self._slots.get(bucket.key)
            return Room(max(0, bucket.limit - (slots.held if slots else 0)), 0.0)
        window = self._windows.get(bucket.key)
        if window is None:
            return Room(max(0, bucket.limit), 0.0)
        window.expire(now - bucket.period_s)
        whole = window.entries[-1].at + bucket.period_s - now if window.entries else 0.0
        return Room(max(0, bucket.limit - window.total), whole)

    def _free(self, taking: _Taking) -> None:
        for key, state, entry, amount in taking.taken:
            if entry is None:
                state.held -= amount  # type: ignore[union-attr]  # what has no entry is slots
                if not state.held and self._slots.get(key) is state:  # type: ignore[union-attr]
                    del self._slots[key]

    def _sweep(self, now: float) -> None:
        self._next_sweep = now + SWEEP_S
        for second in [second for second in self._leases if second <= now]:
            for id in self._leases.pop(second):
                self._free(self._takings.pop(id))
        if not self._unswept:
            self._unswept = list(self._windows)
        share = max(64, len(self._unswept) // 32)
        for key in self._unswept[-share:]:
            window = self._windows[key]
            window.expire(now - window.period_s)
            if not window.entries:
                del self._windows[key]
        del self._unswept[-share:]
