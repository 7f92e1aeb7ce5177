"""What is counted of one bucket in the memory of one process, by its sort. Slots are a number and need no class."""

from collections import deque
from math import floor

from switchgear.contracts.counters import Bucket, Room

ENTRIES = 256
"""Entries one window's period is divided into at most."""

SOON_S = 1.0
"""What a refusal suggests to wait where nobody knows: until a running request ends, until a bucket is seeded."""

GRACE_US = 60_000_000
"""How long after its end a period still takes reservations."""

_DUST = 1e-6
"""Tokens that are a rounding error: one who waited as long as was said is let in."""


class Entry:
    """Admissions of a moment: `at` is when the latest was, `began` the first; `amount` None once it left the window."""

    __slots__ = ("amount", "at", "began", "window")

    def __init__(self, window: "Window", at: float, amount: int) -> None:
        self.window = window
        self.began = self.at = at
        self.amount: int | None = amount

    def settle(self, reserved: int, actual: int, now: float) -> None:  # noqa: ARG002 - one signature for all sorts
        """Correct what was reserved, if it is still in the window."""
        if self.amount is not None:
            self.amount += actual - reserved
            self.window.total += actual - reserved

    def give_back(self, amount: int) -> None:
        """Undo a taking of this moment."""
        self.settle(amount, 0, 0.0)

    def lapse(self, amount: int) -> None:
        """Keep it: it was admitted."""


class Window:
    """A sliding window: the sum of what was admitted during the last period."""

    __slots__ = ("entries", "epoch", "period_s", "total")

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self.total = 0
        self.period_s = 0.0
        self.epoch: str | None = None

    def take(self, bucket: Bucket, now: float) -> Entry | None:
        """Count an admission; None if there is no room for it."""
        period_s = self.period_s = bucket.period_s
        entries = self.entries
        if entries and entries[0].at <= now - period_s:
            self.expire(now - period_s)
        amount = bucket.amount
        total = self.total + amount
        if total > bucket.limit or (bucket.epoch is not None and bucket.epoch != self.epoch):
            return None
        self.total = total
        if entries:
            entry = entries[-1]
            if now - entry.began < period_s / ENTRIES:
                entry.at = now
                entry.amount += amount  # type: ignore[operator]  # an entry in the queue has an amount
                return entry
        entry = Entry(self, now, amount)
        entries.append(entry)
        return entry

    def expire(self, until: float) -> None:
        """Forget what was admitted at `until` or before."""
        entries = self.entries
        while entries and entries[0].at <= until:
            entry = entries.popleft()
            self.total -= entry.amount or 0
            entry.amount = None

    def restart(self, total: int, now: float) -> Entry:
        """Forget everything and count `total` as of now."""
        self.expire(float("inf"))
        entry = Entry(self, now, total)
        self.entries.append(entry)
        self.total = total
        return entry

    def room(self, bucket: Bucket, now: float) -> Room:
        """Say how it stands."""
        self.expire(now - bucket.period_s)
        whole = self.entries[-1].at + bucket.period_s - now if self.entries else 0.0
        if bucket.epoch is not None and bucket.epoch != self.epoch:
            return Room(0, whole, seeded=False)
        return Room(max(0, bucket.limit - self.total), whole)

    def wait(self, bucket: Bucket, now: float) -> float:
        """Return the seconds until there is room; a period if there never will be."""
        if bucket.epoch is not None and bucket.epoch != self.epoch:
            return SOON_S
        excess = self.total + bucket.amount - bucket.limit
        for entry in self.entries:
            excess -= entry.amount or 0
            if excess <= 0:
                return entry.at + bucket.period_s - now
        return bucket.period_s


class TokenBucket:
    """A token bucket, kept as what is missing from it: nothing is, once `missing` has been refilled."""

    __slots__ = ("at", "missing", "rate")

    def __init__(self, now: float) -> None:
        self.missing = 0.0
        self.rate = 0.0
        self.at = now

    def take(self, bucket: Bucket, now: float) -> bool:
        """Take tokens; False if there are too few."""
        self.refill(now)
        self.rate = bucket.limit / bucket.period_s
        missing = self.missing + bucket.amount
        if missing > _burst(bucket) + _DUST:
            return False
        self.missing = missing
        return True

    def refill(self, now: float) -> None:
        """Put back what has come since the last time."""
        missing = self.missing - (now - self.at) * self.rate
        self.missing = missing if missing > _DUST else 0.0
        self.at = now

    def settle(self, reserved: int, actual: int, now: float) -> None:
        """Put back what was not used, or take what was used on top; that may be more than there is."""
        self.refill(now)
        self.missing = max(0.0, self.missing + actual - reserved)

    def give_back(self, amount: int) -> None:
        """Undo a taking of this moment."""
        self.missing = max(0.0, self.missing - amount)

    def lapse(self, amount: int) -> None:
        """Keep it: it was admitted."""

    def room(self, bucket: Bucket, now: float) -> Room:
        """Say how it stands."""
        self.refill(now)
        left = max(0, floor(_burst(bucket) - self.missing + _DUST))
        return Room(left, self.missing * bucket.period_s / bucket.limit if bucket.limit > 0 else 0.0)

    def wait(self, bucket: Bucket) -> float:
        """Return the seconds until there are enough tokens; a period if there never will be."""
        burst = _burst(bucket)
        if bucket.amount > burst or bucket.limit <= 0:
            return bucket.period_s
        return (self.missing + bucket.amount - burst) * bucket.period_s / bucket.limit


class Period:
    """What was consumed since a period began: `settled`, and what is `reserved` on top of it."""

    __slots__ = ("ends_us", "epoch", "reserved", "settled")

    def __init__(self, ends_us: float) -> None:
        self.ends_us = ends_us
        self.epoch: str | None = None
        self.settled = 0
        self.reserved = 0

    def take(self, bucket: Bucket, now_us: int) -> bool:
        """Reserve; False if there is no room, or the period is over."""
        if bucket.epoch is not None and bucket.epoch != self.epoch:
            return False
        if self.settled + self.reserved + bucket.amount > bucket.limit or self.is_over(now_us):
            return False
        self.reserved += bucket.amount
        return True

    def is_over(self, now_us: int) -> bool:
        """Say whether nothing more is reserved in it."""
        return now_us >= self.ends_us + GRACE_US

    def settle(self, reserved: int, actual: int, now: float) -> None:  # noqa: ARG002 - one signature for all sorts
        """Count what was consumed in the place of what was reserved."""
        self.reserved -= reserved
        self.settled += actual

    def give_back(self, amount: int) -> None:
        """Undo a taking."""
        self.reserved -= amount

    lapse = give_back

    def room(self, bucket: Bucket, now_us: int) -> Room:
        """Say how it stands."""
        reset_s = max(0.0, (self.ends_us - now_us) / 1e6)
        if bucket.epoch is not None and bucket.epoch != self.epoch:
            return Room(0, reset_s, seeded=False)
        left = 0 if self.is_over(now_us) else max(0, bucket.limit - self.settled - self.reserved)
        return Room(left, reset_s)

    def wait(self, bucket: Bucket, now_us: int) -> float:
        """Return the seconds until there is room, as far as one knows."""
        unseeded = bucket.epoch is not None and bucket.epoch != self.epoch
        if unseeded or self.is_over(now_us) or self.settled + bucket.amount <= bucket.limit:
            return SOON_S
        return max(SOON_S, (self.ends_us - now_us) / 1e6)


def period_end_us(bucket: Bucket) -> float:
    """Return when a period is over. Raises `ValueError` for one without a start."""
    if bucket.start_us is None:
        raise ValueError(f"the bucket {bucket.key} is a period and has no start_us")
    return bucket.start_us + bucket.period_s * 1e6


def _burst(bucket: Bucket) -> int:
    return bucket.limit if bucket.burst is None else bucket.burst
