"""Bounds what each principal, or each team, spends in a calendar month (UTC)."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from switchgear import Context, Offer, Plugin
from switchgear.contracts.counters import Bucket, Room
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.policy import Policy
from switchgear.contracts.record import shorten
from switchgear.contracts.store import RecordQuery
from switchgear.errors import ApiError, InvalidRequest, PermissionDenied, RateLimited, Unavailable

LABEL = "monthly_cap"
"""The label in usage records that says whose money it was; the sum of these records is what a bucket is seeded with."""

_MOST_TEXT = 256
_Amount = Annotated[int, msgspec.Meta(ge=0)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table [plugins.monthly_cap]. Amounts are microusd in a month.

    `by` is the label of principals that says who has a cap (`key`, `team`, `user`), or `id`; `caps` are those of some, `cap` is
    everybody else's, None for none.
    """

    by: str = "key"
    cap: _Amount | None = None
    caps: dict[str, _Amount] = {}


class MonthlyCap(Policy):
    """Reserves the worst that a call may cost, and settles for what it did cost."""

    on_error = "deny"
    budget_s = 5.0
    sorts = frozenset({"period"})

    def __init__(self, settings: Settings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._seeded: set[tuple[str, int]] = set()
        self._seeding = asyncio.Lock()
        self._month = (0, 0)

    def reserve(self, x: Exchange) -> Sequence[Bucket] | Awaitable[Sequence[Bucket]]:
        """Name the bucket of this month; the first time, count what the records know of it."""
        bucket = self._bucket(x)
        if bucket is None:
            return ()
        worst = x.estimate.worst_microusd
        if worst is None:
            raise _unknown(x)
        bucket = msgspec.structs.replace(bucket, amount=worst)
        whose = x.labels[LABEL] = bucket.key.partition(":")[2]
        x.notes[LABEL] = bucket
        return (bucket,) if (whose, bucket.start_us) in self._seeded else self._seed(whose, bucket)

    def reserved(self, x: Exchange, rooms: Sequence[Room]) -> None:
        """Tell the cap and what is left of it."""
        x.headers.append((b"x-monthly-cap-limit-microusd", b"%d" % x.notes[LABEL].limit))
        x.headers.append((b"x-monthly-cap-remaining-microusd", b"%d" % rooms[0].remaining))

    def refused(self, x: Exchange, index: int, room: Room, retry_after_s: float) -> ApiError:
        """Say that the month's money is spent; or, if the counters lost it, that it is counted anew."""
        bucket: Bucket = x.notes[LABEL]
        if not room.seeded:
            self._seeded.discard((x.labels[LABEL], bucket.start_us or 0))
            return Unavailable("The month's spending is being counted.", code="budget_unknown", retry_after=1)
        message = (
            f"The budget of this month is {bucket.limit / 1e6:.2f} USD; {room.remaining / 1e6:.6f} USD are left,"
            f" and this call may cost {bucket.amount / 1e6:.6f} USD."
        )
        return RateLimited(message, code="budget_exceeded", retry_after=retry_after_s)

    def used(self, x: Exchange) -> Sequence[int] | None:
        """Return what it cost; where nobody knows, the worst case stands."""
        return None if x.cost_microusd is None else (x.cost_microusd,)

    async def explain(self, x: Exchange) -> Mapping[str, Any] | None:
        """Say what is left this month."""
        bucket = self._bucket(x)
        if bucket is None:
            return None
        await self._seed(bucket.key.partition(":")[2], bucket)
        rooms = self._context.counters.peek((bucket,))
        [room] = rooms if isinstance(rooms, tuple) else await rooms
        return {"limit_microusd": bucket.limit, "remaining_microusd": room.remaining, "reset_s": room.reset_s}

    def _bucket(self, x: Exchange) -> Bucket | None:
        who, by = x.principal, self._settings.by
        whose = None if who is None else who.id if by == "id" else who.labels.get(by)
        limit = None if whose is None else self._settings.caps.get(whose, self._settings.cap)
        if whose is None or limit is None:
            return None
        now_us = self._context.ambient.now_us()
        if not self._month[0] <= now_us < self._month[1]:
            self._month = month_of(now_us)
        start_us, end_us = self._month
        key = f"{LABEL}:{shorten(whose, _MOST_TEXT)}"
        return Bucket(key, "period", limit, 0, (end_us - start_us) / 1e6, start_us=start_us, epoch=str(start_us))

    async def _seed(self, whose: str, bucket: Bucket) -> Sequence[Bucket]:
        """Count what was spent before this process, or these counters, began. Of many who seed one month, the first does."""
        start_us = bucket.start_us or 0
        async with self._seeding:
            if (whose, start_us) not in self._seeded:
                query = RecordQuery("usage", since_us=start_us, equals={f"labels.{LABEL}": whose})
                groups = await self._context.records.summarise(query, ["labels." + LABEL], ["cost_microusd"])
                seeding = self._context.counters.seed(bucket, str(start_us), sum(it.sums[0] or 0 for it in groups))
                if seeding is not None:
                    await seeding
                self._seeded = {it for it in self._seeded if it[1] >= start_us} | {(whose, start_us)}
        return (bucket,)


class MonthlyCapPlugin(Plugin[Settings]):
    """Offers the policy."""

    api = 1
    settings_type = Settings
    requires = ("counters", "store")

    def switchgear_policies(self) -> list[Offer[Policy]]:
        """Offer the policy `monthly_cap`."""
        return [Offer("monthly_cap", lambda: MonthlyCap(self.settings, self.context))]


def month_of(now_us: int) -> tuple[int, int]:
    """Return when the month of a moment begins and when the next one does, microseconds since 1970."""
    begin = datetime.fromtimestamp(now_us // 1_000_000, UTC).replace(day=1, hour=0, minute=0, second=0)
    year, month = divmod(begin.year * 12 + begin.month, 12)
    return int(begin.timestamp()) * 1_000_000, int(datetime(year, month + 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


def _unknown(x: Exchange) -> ApiError:
    if x.estimate.max_output_tokens is None:
        return InvalidRequest("Bound the answer: its cost must be known before.", code="unbounded", param="max_tokens")
    return PermissionDenied("This model has no price, and there is a budget to keep.", code="price_unknown")
