"""Holds every principal to its limits (`facts["limits"]`): requests per minute, and requests at once."""

from collections.abc import Awaitable, Mapping, Sequence
from math import ceil
from typing import Any

from switchgear.contracts.counters import Bucket, Counters, Room
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.policy import Policy
from switchgear.errors import ApiError, RateLimited
from switchgear_plugins.limits.limit import LIMITS

MOST_CACHED = 16_384
"""Principals whose limits are kept compiled."""

_Line = tuple[bytes, bytes]


class LimitsPolicy(Policy):
    """Names the buckets of all limits of the principal, which are reserved with everybody else's.

    Answers and refusals alike say how the requests per minute stand, in the headers OpenAI uses:
    https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
    """

    on_error = "deny"
    budget_s = 1.0
    sorts = frozenset(limit.sort for limit in LIMITS)

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._compiled: dict[str, _Held] = {}

    def reserve(self, x: Exchange) -> Sequence[Bucket]:
        """Name a bucket for each limit of the principal."""
        held = self._held(x)
        return () if held is None else held.buckets

    def reserved(self, x: Exchange, rooms: Sequence[Room]) -> None:
        """Say in headers how the limits stand that have some."""
        held = self._held(x)
        if held is not None:
            for shown in held.shown:
                x.headers += shown.lines(rooms[shown.index])

    def refused(self, x: Exchange, index: int, room: Room, retry_after_s: float) -> ApiError:  # noqa: ARG002 - the phase's form
        """Name the limit that is reached."""
        held = self._held(x)
        assert held is not None
        limit = held.limits[index]
        return RateLimited(
            f"Rate limit reached for {limit.words}: limit {held.buckets[index].limit}. Try again in {duration(retry_after_s)}.",
            code="rate_limit_exceeded",
            retry_after=retry_after_s,
        )

    def explain(self, x: Exchange) -> Mapping[str, Any] | Awaitable[Mapping[str, Any]] | None:
        """Say what is left of each limit; None for a principal without any."""
        held = self._held(x)
        if held is None or not held.buckets:
            return None
        rooms = self._counters.peek(held.buckets)
        return held.standing(rooms) if isinstance(rooms, tuple) else _standing_later(held, rooms)

    def _held(self, x: Exchange) -> "_Held | None":
        """Return the compiled limits of the principal; None for one without any."""
        principal = x.principal
        if principal is None or (limits := principal.facts.get("limits")) is None:
            return None
        held = self._compiled.get(principal.id)
        if held is None or held.source is not limits:
            if len(self._compiled) >= MOST_CACHED:
                self._compiled.clear()
            held = self._compiled[principal.id] = _Held(principal.id, limits)
        return held


class _Held:
    """The limits of one principal as they are compiled: `limits` and `buckets` in one order, `shown` those with headers."""

    __slots__ = ("buckets", "limits", "shown", "source")

    def __init__(self, id: str, source: Mapping[str, int]) -> None:
        self.source = source
        found = [(limit, value) for limit in LIMITS if (value := source.get(limit.field)) is not None]
        self.limits = tuple(limit for limit, _ in found)
        self.buckets = tuple(limit.bucket(id, value) for limit, value in found)
        self.shown = tuple(
            _Shown(index, limit.header, bucket)
            for index, (limit, bucket) in enumerate(zip(self.limits, self.buckets, strict=True))
            if limit.header
        )

    def standing(self, rooms: Sequence[Room]) -> Mapping[str, Any]:
        """Say how each limit stands, under the name that it has in a key; `reset_s` is when all of it is there again."""
        return {
            limit.field: {
                "limit": bucket.limit,
                "remaining": room.remaining,
                **({} if bucket.sort == "slots" else {"reset_s": room.reset_s}),
            }
            for limit, bucket, room in zip(self.limits, self.buckets, rooms, strict=True)
        }


class _Shown:
    """The header lines of one limit, made ahead as far as they are the same for every request."""

    __slots__ = ("_limit", "_period_s", "_remaining", "_reset", "_whole", "index")

    def __init__(self, index: int, unit: str, bucket: Bucket) -> None:
        self.index = index
        self._limit = (f"x-ratelimit-limit-{unit}".encode(), b"%d" % bucket.limit)
        self._remaining = f"x-ratelimit-remaining-{unit}".encode()
        self._reset = f"x-ratelimit-reset-{unit}".encode()
        self._period_s = bucket.period_s
        self._whole = (self._reset, duration(bucket.period_s).encode())

    def lines(self, room: Room) -> tuple[_Line, _Line, _Line]:
        """Say how it stands."""
        reset_s = room.reset_s
        return (
            self._limit,
            (self._remaining, b"%d" % room.remaining),
            self._whole if reset_s == self._period_s else (self._reset, duration(reset_s).encode()),
        )


async def _standing_later(held: _Held, rooms: Awaitable[Sequence[Room]]) -> Mapping[str, Any]:
    return held.standing(await rooms)


def duration(seconds: float) -> str:
    """Write a duration as OpenAI does: `20ms`, `1s`, `6m0s`, `1h0m0s`; rounded up, so that waiting it out is enough."""
    if seconds <= 0:
        return "0s"
    milliseconds = ceil(seconds * 1000)
    if milliseconds < 1000:  # noqa: PLR2004 - a second
        return f"{milliseconds}ms"
    minutes, rest = divmod(ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
