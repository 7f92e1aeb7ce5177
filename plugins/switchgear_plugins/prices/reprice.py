"""What recorded calls would have cost at other prices: a dry run, which changes nothing."""

from typing import Any

import msgspec
from msgspec import Struct

from switchgear import Context
from switchgear.contracts.store import RecordQuery
from switchgear.contracts.usage import CACHE_WRITE, CACHED_INPUT, INPUT, OUTPUT, REASONING, Pricing, Usage, side
from switchgear_plugins.prices.prices import pricing_of

_PAGE = 1000


class Recorded(Struct, frozen=True):
    """What of a usage record a price is worked out from."""

    id: str
    at_us: int
    target: str | None = None
    provider: str | None = None
    provider_model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    units: dict[str, int] = {}
    cost_microusd: int | None = None

    def usage(self) -> Usage | None:
        """Return what was consumed; None where nobody was asked."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        other = self.units
        read = sum(
            count
            for unit, count in other.items()
            if side(unit) == INPUT and not unit.startswith((CACHE_WRITE, "cached_"))
        )
        written = sum(count for unit, count in other.items() if side(unit) == OUTPUT)
        cached = self.cached_input_tokens - sum(count for unit, count in other.items() if unit.startswith("cached_"))
        kept = self.cache_write_tokens - sum(count for unit, count in other.items() if unit.startswith(CACHE_WRITE))
        units = {
            INPUT: self.input_tokens - self.cached_input_tokens - self.cache_write_tokens - read,
            OUTPUT: self.output_tokens - self.reasoning_tokens - written,
            CACHED_INPUT: cached,
            CACHE_WRITE: kept,
            REASONING: self.reasoning_tokens,
            **other,
        }
        return Usage({unit: count for unit, count in units.items() if count > 0})


class Repriced(Struct):
    """What the calls of one model cost, and would have cost. `unpriced` have no price now, `unknown` had none then."""

    model: str
    requests: int = 0
    recorded_microusd: int = 0
    repriced_microusd: int = 0
    unknown: int = 0
    unpriced: int = 0


class Repricing(Struct, frozen=True):
    """The sums of a period, and by model. `complete` says whether all of it was looked at."""

    requests: int
    recorded_microusd: int
    repriced_microusd: int
    unknown: int
    unpriced: int
    complete: bool
    data: list[Repriced]


async def reprice(context: Context, since_us: int, until_us: int | None, most: int) -> Repricing:
    """Go through the records of a period, newest first, a page at a time."""
    models: dict[str, Repriced] = {}
    prices: dict[tuple[str, str, str], Pricing | None] = {}
    before: tuple[int, str] | None = None
    seen, complete = 0, True
    while True:
        query = RecordQuery("usage", since_us, until_us, before=before, limit=min(_PAGE, most - seen))
        rows = await context.records.scan(query)
        for row in rows:
            record = msgspec.json.decode(row.body, type=Recorded)
            _count(context, models, prices, record)
        seen += len(rows)
        if len(rows) < query.limit:
            break
        before = rows[-1].at_us, rows[-1].id
        if seen >= most:
            complete = False
            break
    lines = sorted(models.values(), key=lambda it: it.model)
    return Repricing(
        requests=sum(it.requests for it in lines),
        recorded_microusd=sum(it.recorded_microusd for it in lines),
        repriced_microusd=sum(it.repriced_microusd for it in lines),
        unknown=sum(it.unknown for it in lines),
        unpriced=sum(it.unpriced for it in lines),
        complete=complete,
        data=lines,
    )


def _count(context: Context, models: dict[str, Repriced], prices: dict[Any, Pricing | None], record: Recorded) -> None:
    usage = record.usage()
    if usage is None or record.target is None or not usage.units:
        return
    key = record.target, record.provider or "", record.provider_model or ""
    if key not in prices:
        prices[key] = pricing_of(context.resources.snapshot, record.target)
    pricing = prices[key]
    line = models.get(record.target)
    if line is None:
        line = models[record.target] = Repriced(record.target)
    line.requests += 1
    line.recorded_microusd += record.cost_microusd or 0
    line.unknown += record.cost_microusd is None
    cost = None if pricing is None else pricing.cost(usage)
    line.repriced_microusd += cost or 0
    line.unpriced += cost is None
