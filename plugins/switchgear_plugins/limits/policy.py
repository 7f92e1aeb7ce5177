"""Holds every caller to the limits of their key: requests per minute, and requests at once."""

from collections.abc import Awaitable
from math import ceil

from switchgear.contracts.caller import Caller, Limits
from switchgear.contracts.counters import Bucket, Counters, Decision
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.policy import Policy
from switchgear.contracts.upstream import Timeouts
from switchgear.errors import RateLimited

LEASE_MARGIN_S = 30.0
"""How long after an exchange's last moment its slot comes back by itself, if the gateway died with it."""

MOST_CACHED = 16_384

_REQUESTS = "requests per minute"
_CONCURRENT = "concurrent requests"


class LimitsPolicy(Policy):
    """One reservation for all limits of the caller, all or nothing; the slot is given back when the exchange settles.

    Answers and refusals alike say how the requests per minute stand, in the headers OpenAI uses:
    https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
    """

    on_error = "deny"
    budget_s = 1.0

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._compiled: dict[str, tuple[Limits, tuple[Bucket, ...]]] = {}

    def admit(self, x: Exchange) -> Awaitable[None] | None:
        """Reserve. Raises `RateLimited` with `retry_after`."""
        caller = x.caller
        if caller is None or caller.limits is None:
            return None
        buckets = self._buckets(caller, caller.limits)
        if not buckets:
            return None
        answer = self._counters.reserve(x.id, buckets, _lease_s(x))
        if not isinstance(answer, Decision):
            return _apply_later(x, buckets, answer)
        _apply(x, buckets, answer)
        return None

    def settle(self, x: Exchange) -> Awaitable[None] | None:
        """Give the slot back."""
        if x.caller is None or x.caller.limits is None:
            return None
        return self._counters.settle(x.id)

    def _buckets(self, caller: Caller, limits: Limits) -> tuple[Bucket, ...]:
        known = self._compiled.get(caller.key_id)
        if known is not None and known[0] is limits:
            return known[1]
        buckets = _compile(caller.key_id, limits)
        if len(self._compiled) >= MOST_CACHED:
            self._compiled.clear()
        self._compiled[caller.key_id] = (limits, buckets)
        return buckets


def _compile(key_id: str, limits: Limits) -> tuple[Bucket, ...]:
    buckets = []
    if limits.requests_per_minute is not None:
        buckets.append(Bucket(f"rpm:{key_id}", "window", limits.requests_per_minute))
    if limits.concurrent_requests is not None:
        buckets.append(Bucket(f"concurrent:{key_id}", "slots", limits.concurrent_requests))
    return tuple(buckets)


def _lease_s(x: Exchange) -> float:
    targets = x.plan.targets if x.plan else ()
    return max((target.timeouts.total for target in targets), default=Timeouts().total) + LEASE_MARGIN_S


async def _apply_later(x: Exchange, buckets: tuple[Bucket, ...], answer: Awaitable[Decision]) -> None:
    _apply(x, buckets, await answer)


def _apply(x: Exchange, buckets: tuple[Bucket, ...], decision: Decision) -> None:
    if buckets[0].sort == "window":
        room = decision.rooms[0]
        x.headers += (
            (b"x-ratelimit-limit-requests", b"%d" % buckets[0].limit),
            (b"x-ratelimit-remaining-requests", b"%d" % room.remaining),
            (b"x-ratelimit-reset-requests", duration(room.reset_s).encode()),
        )
    if decision.refused is not None:
        bucket = buckets[decision.refused]
        what = _REQUESTS if bucket.sort == "window" else _CONCURRENT
        wait = decision.retry_after_s
        raise RateLimited(
            f"Rate limit reached for {what}: limit {bucket.limit}. Try again in {duration(wait)}.",
            code="rate_limit_exceeded",
            retry_after=wait,
        )


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
