"""Holds every caller to the limits of their key: requests per minute, and requests at once."""

from collections.abc import Awaitable, Mapping, Sequence
from math import ceil
from typing import Any

from switchgear.contracts.caller import Caller, Limits
from switchgear.contracts.counters import Bucket, Counters, Decision
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.policy import Policy
from switchgear.contracts.upstream import Timeouts
from switchgear.errors import RateLimited

LEASE_MARGIN_S = 30.0
"""How long after an exchange's last moment its slot comes back by itself, if the gateway died with it."""

DEFAULT_TOTAL_S = Timeouts().total

MOST_CACHED = 16_384
"""Callers whose limits are kept compiled."""

_REQUESTS = "requests per minute"
_CONCURRENT = "concurrent requests"
_NEVER = Bucket("explain", "slots", 0)
"""Has no room, whatever happens."""


class LimitsPolicy(Policy):
    """One reservation for all limits of the caller, all or nothing; the slot is given back when the exchange settles.

    Answers and refusals alike say how the requests per minute stand, in the headers OpenAI uses:
    https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
    """

    on_error = "deny"
    budget_s = 1.0

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._compiled: dict[str, _Held] = {}

    def admit(self, x: Exchange) -> Awaitable[None] | None:
        """Reserve. Raises `RateLimited` with `retry_after`."""
        caller = x.caller
        if caller is None or caller.limits is None:
            return None
        held = self._compiled.get(caller.key_id)
        if held is None or held.limits is not caller.limits:
            held = self._compile(caller, caller.limits)
        if not held.buckets:
            return None
        answer = self._counters.reserve(x.id, held.buckets, _lease_s(x))
        if not isinstance(answer, Decision):
            return _apply_later(x, held, answer)
        _apply(x, held, answer)
        return None

    def settle(self, x: Exchange) -> Awaitable[None] | None:
        """Give the slot back."""
        if x.caller is None or x.caller.limits is None:
            return None
        return self._counters.settle(x.id)

    def explain(self, x: Exchange) -> Mapping[str, Any] | Awaitable[Mapping[str, Any]] | None:
        """Say what is left of each limit; None for a caller without any."""
        if x.caller is None or x.caller.limits is None:
            return None
        buckets = _Held(x.caller.key_id, x.caller.limits).buckets
        if not buckets:
            return None
        # What can never be granted takes nothing, and the refusal says how all stand.
        decision = self._counters.reserve(x.id, (_NEVER, *buckets), LEASE_MARGIN_S)
        return _left(buckets, decision) if isinstance(decision, Decision) else _left_later(buckets, decision)

    def _compile(self, caller: Caller, limits: Limits) -> "_Held":
        if len(self._compiled) >= MOST_CACHED:
            self._compiled.clear()
        held = self._compiled[caller.key_id] = _Held(caller.key_id, limits)
        return held


class _Held:
    """The limits of one caller, as buckets and as the headers that are the same for each of its requests."""

    __slots__ = ("buckets", "limit", "limits", "reset")

    def __init__(self, key_id: str, limits: Limits) -> None:
        self.limits = limits
        self.limit: tuple[bytes, bytes] | None = None
        buckets = []
        if limits.requests_per_minute is not None:
            window = Bucket(f"rpm:{key_id}", "window", limits.requests_per_minute)
            buckets.append(window)
            self.limit = (b"x-ratelimit-limit-requests", b"%d" % window.limit)
            self.reset = _reset(window.period_s)
        if limits.concurrent_requests is not None:
            buckets.append(Bucket(f"concurrent:{key_id}", "slots", limits.concurrent_requests))
        self.buckets = tuple(buckets)


async def _left_later(buckets: Sequence[Bucket], decision: Awaitable[Decision]) -> Mapping[str, Any]:
    return _left(buckets, await decision)


def _left(buckets: Sequence[Bucket], decision: Decision) -> Mapping[str, Any]:
    """Say how each limit stands, under the name that it has in a key; `reset_s` is when all of it is there again."""
    return {
        "requests_per_minute" if bucket.sort == "window" else "concurrent_requests": {
            "limit": bucket.limit,
            "remaining": room.remaining,
            **({"reset_s": room.reset_s} if bucket.sort == "window" else {}),
        }
        for bucket, room in zip(buckets, decision.rooms[1:], strict=True)
    }


def _lease_s(x: Exchange) -> float:
    longest = 0.0
    for target in x.plan.targets if x.plan else ():
        longest = max(longest, target.timeouts.total)
    return (longest or DEFAULT_TOTAL_S) + LEASE_MARGIN_S


async def _apply_later(x: Exchange, held: _Held, answer: Awaitable[Decision]) -> None:
    _apply(x, held, await answer)


def _apply(x: Exchange, held: _Held, decision: Decision) -> None:
    if held.limit is not None:
        room = decision.rooms[0]
        whole = room.reset_s == held.buckets[0].period_s
        x.headers += (
            held.limit,
            (b"x-ratelimit-remaining-requests", b"%d" % room.remaining),
            held.reset if whole else _reset(room.reset_s),
        )
    if decision.refused is not None:
        bucket = held.buckets[decision.refused]
        what = _REQUESTS if bucket.sort == "window" else _CONCURRENT
        wait = decision.retry_after_s
        raise RateLimited(
            f"Rate limit reached for {what}: limit {bucket.limit}. Try again in {duration(wait)}.",
            code="rate_limit_exceeded",
            retry_after=wait,
        )


def _reset(seconds: float) -> tuple[bytes, bytes]:
    return (b"x-ratelimit-reset-requests", duration(seconds).encode())


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
