"""How budgets stand."""

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from switchgear import Context
from switchgear.contracts.store import RecordQuery
from switchgear.errors import InvalidRequest
from switchgear_plugins.budgets.live import Budget, member_of
from switchgear_plugins.budgets.seeds import Seeds


class Standing(Struct, frozen=True):
    """How a budget stands in the period that is now. `spent` is what the records say, `reserved` what calls in flight hold.

    `left` is what a new call may cost at most; `forecast` what will have been spent when the period ends if it goes on so;
    `exhausted_at` when it would be spent. Both are null where too little is known.
    """

    id: str
    whose: str | None
    mode: str
    amount_microusd: int
    spent_microusd: int
    reserved_microusd: int
    left_microusd: int
    begins_at: str | None
    resets_at: str | None
    forecast_microusd: int | None
    exhausted_at: str | None


class Standings(Struct, frozen=True):
    """How a budget stands that each value of a label has: those who spent something, by name."""

    id: str
    each: str
    data: list[Standing]


async def standing(context: Context, seeds: Seeds, budget: Budget, whose: str | None) -> Standing:
    """Say how a budget stands. Raises `InvalidRequest` where `whose` is missing, or is too much."""
    if (budget.each is None) != (whose is None):
        message = (
            "is everybody's: leave `whose` out" if budget.each is None else f"is each {budget.each}'s: say `whose`"
        )
        raise InvalidRequest(f"The budget `{budget.id}` {message}.", param="whose", code="invalid_value")
    now_us = context.ambient.now_us()
    bucket = budget.bucket(whose, now_us, 0)
    await seeds.seed(budget, whose, bucket, now_us)
    spent = await seeds.spent(budget, whose, now_us)
    [room] = await seeds.peek((bucket,))
    begin_us, end_us = budget.bounds(now_us)
    is_endless = budget.spec.period == "total"
    forecast = exhausted_us = None
    if spent and now_us > begin_us and budget.rolling_s is None:
        forecast = None if is_endless else spent * (end_us - begin_us) // (now_us - begin_us)
        exhausted_us = begin_us + (now_us - begin_us) * budget.amount // spent
    return Standing(
        id=budget.id,
        whose=whose,
        mode=budget.spec.mode,
        amount_microusd=budget.amount,
        spent_microusd=spent,
        reserved_microusd=max(0, bucket.limit - room.remaining - spent),
        left_microusd=room.remaining if budget.is_hard else max(0, budget.amount - spent),
        begins_at=_time(begin_us),
        resets_at=None if is_endless or budget.rolling_s is not None else _time(end_us),
        forecast_microusd=forecast,
        exhausted_at=None
        if exhausted_us is None or (not is_endless and exhausted_us > end_us)
        else _time(exhausted_us),
    )


async def standings(context: Context, seeds: Seeds, budget: Budget, limit: int) -> Standings:
    """Say how a budget stands for each value of its label that spent something."""
    assert budget.each is not None
    member = member_of(budget.each)
    since_us = budget.since_us(context.ambient.now_us())
    groups = await context.records.summarise(RecordQuery("usage", since_us, limit=limit), [member], ["cost_microusd"])
    names = [group.by[0] for group in groups if group.by[0] is not None]
    found: list[Standing] = []
    for name in names:
        one = await standing(context, seeds, budget, name)
        if one.spent_microusd or one.reserved_microusd:
            found.append(one)
    return Standings(budget.id, budget.each, found)


def _time(at_us: int) -> str | None:
    try:
        return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError):
        return None


def shown(found: Standing | Standings) -> list[dict[str, Any]]:
    """Return lines of a table."""
    lines = [found] if isinstance(found, Standing) else found.data
    return [{name: getattr(line, name) for name in line.__struct_fields__} for line in lines]
