"""Counters that many requests share: reserved all or nothing under an id, settled by that id.

What a bucket counts is its sort. A backend names the sorts it knows; these four have a meaning for everybody:

| sort     | has room while                                                                        | never settled       |
|----------|---------------------------------------------------------------------------------------|---------------------|
| `window` | what was taken during the last `period_s` is less than `limit`                        | stays counted       |
| `slots`  | fewer than `limit` are held; what is settled is held no more                          | given back          |
| `bucket` | a token bucket that holds `burst` and refills with `limit` each `period_s` is not empty | stays counted     |
| `period` | what was taken since `start_us` is less than `limit`; it is over after `period_s`     | given back, or kept |

The last column is what becomes of a reservation whose lease ended before it was settled. `slots` and `period` get it back,
for nothing else would ever free it; a `period` whose bucket `keeps` counts it as consumed instead, for it may have been.
`window` and `bucket` keep it, for it was admitted, and time frees it. Settling it afterwards does nothing: what was consumed by
then is known to the records alone, and a `seed` from them under a new epoch corrects a count.
"""

from collections.abc import Awaitable, Sequence
from typing import Protocol

from msgspec import Struct


class Bucket(Struct, frozen=True, gc=False):
    """Something with room for `limit`. Buckets of one key and sort are the same bucket, periods if they also begin together.

    key        names it (`rpm:key_01`)
    sort       what it counts: `window`, `slots`, `bucket`, `period`, or another that the active backend declares
    limit      its room, which may be another in each reservation: the newest is in force at once
    amount     what this reservation takes; not negative
    period_s   seconds: the length of a `window` or `period`, the time in which `limit` tokens come back to a `bucket`
    burst      most tokens in a `bucket`; None: as many as `limit`
    start_us   when a `period` began, microseconds since the Unix epoch. It takes reservations until a minute after its end,
               because clocks differ, and has no room from then on
    epoch      what a `window` or `period` must have been seeded under before anything can be reserved in it, so that a
               backend that lost its counts does not start from nothing; None: it needs no seed
    keeps      of a `period`: whether what was never settled stays counted when its lease ends
    """

    key: str
    sort: str
    limit: int
    amount: int = 1
    period_s: float = 60.0
    burst: int | None = None
    start_us: int | None = None
    epoch: str | None = None
    keeps: bool = False


class Room(Struct, frozen=True, gc=False):
    """How a bucket stands: what is left, never less than 0, and the seconds until all of it is there again (0 for slots).

    `seeded` is False where the bucket names an epoch that it was not seeded under: then nothing is left.
    """

    remaining: int
    reset_s: float
    seeded: bool = True


class Decision(Struct, frozen=True, gc=False):
    """The answer to a reservation: `rooms` are the buckets as they stand after it, in their order.

    Refused: nothing was taken from any, `refused` is the index of the first bucket without room, and `retry_after_s` the
    seconds until another try makes sense.
    """

    rooms: tuple[Room, ...]
    refused: int | None = None
    retry_after_s: float = 0.0


class Counters(Protocol):
    """A backend of counters. It may answer at once (in process) or return an awaitable (over the network)."""

    @property
    def sorts(self) -> frozenset[str]:
        """The sorts of bucket it knows. The gateway does not start with a policy that counts in another."""
        ...

    def reserve(self, id: str, buckets: Sequence[Bucket], lease_s: float) -> Decision | Awaitable[Decision]:
        """Take from every bucket or from none; one that is named twice is taken from twice.

        The same `id` and buckets again take nothing and get the same answer, until it is settled or its lease is over; a
        refused id may try again. What is not settled within `lease_s` seconds is given back or stays, as its sort says.

        Exchanges reserve under their own id, for all policies together; whoever reserves besides takes another one
        (`{x.id}:mine`). Raises `ValueError` for other buckets under an id that is held, for a sort that it does not know, for a
        `period` without a start.
        """
        ...

    def settle(self, id: str, actual: Sequence[int] | None = None) -> None | Awaitable[None]:
        """Give slots back and correct the others to the `actual` amounts, one for each bucket reserved (None: as reserved).

        An actual amount may pass the limit; a correction of what has left its window or period does nothing. Safe to repeat, and
        with an id that is not held. Raises `ValueError`, and settles nothing, for another number of amounts.
        """
        ...

    def peek(self, buckets: Sequence[Bucket]) -> tuple[Room, ...] | Awaitable[tuple[Room, ...]]:
        """Say how the buckets stand, whatever their amounts. It takes nothing."""
        ...

    def seed(self, bucket: Bucket, epoch: str, total: int) -> None | Awaitable[None]:
        """Say what was consumed of a `window` or `period`, as the records have it; `epoch` names the occasion (a start, a loss).

        The first seed of an epoch replaces what was counted, and what is reserved and not settled yet is counted on top of it.
        Another one with the same epoch does nothing, so that of many replicas the first seeds. A window takes it as consumed
        now. Raises `ValueError` for another sort.
        """
        ...
