"""Spending that leaves its usual band: told before the bill tells it.

An hour is held against the same hour of past weeks, by a robust score (how many deviations it is from their median, the deviation
being the median one), and against the mean hour of the past week, by a multiple. The hour that is not over counts as far as it
is: what it has spent will not become less.
"""

from collections.abc import Mapping, Sequence
from statistics import median

from msgspec import Struct

from switchgear import Context
from switchgear.contracts.event import Event
from switchgear.contracts.record import RecordKind
from switchgear.contracts.store import RecordQuery
from switchgear_plugins.usage.record import USAGE
from switchgear_plugins.usage.settings import AnomalySettings

ANOMALIES = "usage_anomalies"
EVENT = "usage.anomaly"
LOOK_S = 300.0
_HOUR_US = 3_600_000_000
_WEEK_US = 168 * _HOUR_US
_WEEKS = 8
_FEWEST_WEEKS = 3
_MOST_SERIES = 10_000
_NORMAL = 0.6745
"""A deviation of this many median ones is one standard deviation, where things are distributed normally."""
_LEAST_BAND = 0.05
"""Of the median: what is nearly the same each week is allowed to wobble."""


class Anomaly(Struct, frozen=True):
    """An hour in which somebody (`by`: `all`, `team_id` or `key_id`, with its `value`) spent other than usual.

    `usual_microusd` is the median of the same hour in past weeks, `score` how many deviations from it; null where there are too
    few. `mean_microusd` is the mean hour of the past week.
    """

    id: str
    at_us: int
    by: str
    value: str
    spent_microusd: int
    usual_microusd: int | None
    score: float | None
    mean_microusd: int


def anomaly_kind(keep_s: int | None = None) -> RecordKind:
    """Declare the kind."""
    return RecordKind(ANOMALIES, Anomaly, ("by", "value"), ("spent_microusd",), keep_s)


class Watch:
    """Looks at the hour that is now and the one before."""

    def __init__(self, context: Context, settings: AnomalySettings) -> None:
        self._context = context
        self._settings = settings
        self._told: set[str] = set()
        self._count = context.metrics.counter(
            "usage_anomalies", "Hours in which somebody spent other than usual."
        ).child()

    async def look(self) -> None:
        """Announce what is unusual, once for each hour."""
        hour = self._context.ambient.now_us() // _HOUR_US
        self._told = {id for id in self._told if int(id.partition(":")[0]) >= hour - 1}
        for at_us in ((hour - 1) * _HOUR_US, hour * _HOUR_US):
            for by in ("all", "team_id", "key_id"):
                await self._judge(by, at_us)

    async def _judge(self, by: str, at_us: int) -> None:
        now = await self._spent(by, at_us, at_us + _HOUR_US)
        dear = {value: spent for value, spent in now.items() if spent >= self._settings.least_microusd}
        if not dear:
            return
        past = [
            await self._spent(by, at_us - n * _WEEK_US, at_us - n * _WEEK_US + _HOUR_US) for n in range(1, _WEEKS + 1)
        ]
        while past and not past[-1]:
            past.pop()  # nobody called so long ago
        week = await self._spent(by, at_us - _WEEK_US, at_us)
        for value, spent in dear.items():
            hours = [then.get(value, 0) for then in past]
            usual, score = rate(spent, hours)
            mean = week.get(value, 0) // 168
            is_far = score is not None and score > self._settings.score
            is_much = mean > 0 and spent > self._settings.multiple * mean
            if is_far or (is_much and usual is None):
                await self._tell(
                    Anomaly(f"{at_us // _HOUR_US}:{by}:{value}", at_us, by, value, spent, usual, score, mean)
                )

    async def _tell(self, found: Anomaly) -> None:
        if found.id in self._told:
            return
        self._told.add(found.id)
        query = RecordQuery(ANOMALIES, found.at_us, found.at_us + 1, {"by": found.by, "value": found.value}, limit=1)
        if await self._context.records.scan(query):
            return  # another gateway has told it, or this one before it was started again
        flushing = self._context.record(ANOMALIES, found.id, found.at_us, found)
        if flushing is not None:
            await flushing
        self._count.value += 1
        data = {name: getattr(found, name) for name in found.__struct_fields__}
        self._context.log.warning("spending is other than usual", **data)
        self._context.emit(Event(EVENT, self._context.ambient.now_us(), data))

    async def _spent(self, by: str, since_us: int, until_us: int) -> Mapping[str, int]:
        query = RecordQuery(USAGE, max(0, since_us), max(0, until_us), limit=_MOST_SERIES)
        groups = await self._context.records.summarise(query, [] if by == "all" else [by], ["cost_microusd"])
        return {
            (group.by[0] or "") if group.by else "": group.sums[0] or 0
            for group in groups
            if not group.by or group.by[0]
        }


def rate(spent: int, past: Sequence[int]) -> tuple[int | None, float | None]:
    """Return the median of past hours and how many deviations above it an hour is; None where there are too few."""
    if len(past) < _FEWEST_WEEKS:
        return None, None
    usual = median(past)
    deviation = max(median(abs(it - usual) for it in past), _LEAST_BAND * usual, 1.0)
    return int(usual), _NORMAL * (spent - usual) / deviation
