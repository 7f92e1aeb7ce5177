"""Holds every principal to its limits (`facts["limits"]`): requests and tokens per minute, and requests at once."""

from collections.abc import Awaitable, Mapping, Sequence
from math import ceil
from typing import Any

from switchgear.contracts.counters import Bucket, Counters, Room
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.policy import Policy
from switchgear.contracts.principal import Principal
from switchgear.errors import ApiError, RateLimited
from switchgear_plugins.limits.limit import LIMITS

MOST_CACHED = 16_384
"""Principals whose limits are kept compiled."""


class LimitsPolicy(Policy):
    """Names the buckets of all limits of the principal, which are reserved with everybody else's.

    Answers and refusals alike say how requests and tokens per minute stand, in the headers OpenAI uses:
    https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
    """

    on_error = "deny"
    budget_s = 1.0
    sorts = frozenset(limit.sort for limit in LIMITS)
    guarded = False

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._compiled: dict[str, _Held] = {}

    def reserve(self, x: Exchange) -> Sequence[Bucket]:
        """Name a bucket for each limit of the principal."""
        held = self._held(x)
        return held.asked(x) if held.measures else held.buckets

    def any_request(self, x: Exchange) -> Sequence[Bucket]:
        """Name a bucket for each limit on requests."""
        return self._held(x).of_requests

    def reserved(self, x: Exchange, rooms: Sequence[Room]) -> None:
        """Say in headers how the limits stand that have some."""
        for shown in self._held(x).shown:
            x.lines += shown.lines(rooms[shown.index])

    def used(self, x: Exchange) -> Sequence[int] | None:
        """Say what was taken of limits that are not on requests."""
        held = self._held(x)
        return held.used(x) if held.measures else None

    def refused(self, x: Exchange, index: int, room: Room, retry_after_s: float) -> ApiError:  # noqa: ARG002 - the phase's form
        """Name the limit that is reached."""
        held = self._held(x)
        limit = held.limits[index]
        return RateLimited(
            f"Rate limit reached for {limit.words}: limit {held.buckets[index].limit}. Try again in {duration(retry_after_s)}.",
            code="rate_limit_exceeded",
            retry_after=retry_after_s,
        )

    def explain(self, x: Exchange) -> Mapping[str, Any] | Awaitable[Mapping[str, Any]] | None:
        """Say what is left of each limit; None for a principal without any."""
        held = self._held(x)
        if not held.buckets:
            return None
        rooms = self._counters.peek(held.buckets)
        return held.standing(rooms) if isinstance(rooms, tuple) else _standing_later(held, rooms)

    def _held(self, x: Exchange) -> "_Held":
        """Return the compiled limits of the principal."""
        principal = x.principal
        id = "" if principal is None else principal.id
        held = self._compiled.get(id)
        if held is None or held.principal is not principal:
            if len(self._compiled) >= MOST_CACHED:
                self._compiled.clear()
            held = self._compiled[id] = _Held(principal)
        return held


class _Held:
    """The limits of one principal as they are compiled.

    `limits` and `buckets` have one order, those on requests first (`of_requests`); `shown` are those with headers, `measures`
    tells whether one counts something else than requests.
    """

    __slots__ = ("_whose", "buckets", "limits", "measures", "of_requests", "principal", "shown")

    def __init__(self, principal: Principal | None) -> None:
        self.principal = principal
        self._whose = whose = "" if principal is None else f"{principal.kind}:{principal.id}"
        source: Mapping[str, int] = {} if principal is None else principal.facts.get("limits") or {}
        by_sort = sorted(LIMITS, key=lambda limit: limit.amount is not None)
        found = [(limit, value) for limit in by_sort if (value := source.get(limit.field)) is not None]
        self.limits = tuple(limit for limit, _ in found)
        self.buckets = tuple(limit.bucket(whose, value) for limit, value in found)
        self.measures = any(limit.amount for limit in self.limits)
        self.of_requests = tuple(b for b, limit in zip(self.buckets, self.limits, strict=True) if limit.amount is None)
        self.shown = tuple(
            _Shown(index, limit.header, bucket)
            for index, (limit, bucket) in enumerate(zip(self.limits, self.buckets, strict=True))
            if limit.header
        )

    def asked(self, x: Exchange) -> Sequence[Bucket]:
        """Return the buckets with what this exchange takes of each."""
        return tuple(
            bucket if limit.amount is None else limit.bucket(self._whose, bucket.limit, limit.amount(x, bucket.limit))
            for limit, bucket in zip(self.limits, self.buckets, strict=True)
        )

    def used(self, x: Exchange) -> Sequence[int]:
        """Return what it took of each in the end."""
        return [1 if limit.actual is None else limit.actual(x) for limit in self.limits]

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

    __slots__ = ("_lines", "_period_s", "_whole", "index")

    def __init__(self, index: int, unit: str, bucket: Bucket) -> None:
        self.index = index
        self._period_s = bucket.period_s
        self._lines = (
            f"x-ratelimit-limit-{unit}: {bucket.limit}\r\nx-ratelimit-remaining-{unit}: %d\r\nx-ratelimit-reset-{unit}: %b\r\n"
        ).encode()
        self._whole = self._lines.replace(b"%b", duration(bucket.period_s).encode())

    def lines(self, room: Room) -> bytes:
        """Say how it stands."""
        if room.reset_s == self._period_s:
            return self._whole % room.remaining
        return self._lines % (room.remaining, duration(room.reset_s).encode())


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
