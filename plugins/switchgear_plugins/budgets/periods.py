"""When periods begin and end, by the calendar of a place."""

from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

DAY_S = 86_400
ROLLING_S = {"day": DAY_S, "week": 7 * DAY_S, "month": 30 * DAY_S}
_FOREVER_US = 100 * 365 * DAY_S * 1_000_000


class Calendar:
    """Periods of one sort. `since_us` is when a total begins."""

    __slots__ = ("_end_us", "_kind", "_since_us", "_start_us", "_zone")

    def __init__(self, kind: Literal["day", "week", "month", "total"], zone: str, since_us: int) -> None:
        self._kind = kind
        self._zone = ZoneInfo(zone)
        self._since_us = since_us
        self._start_us = self._end_us = 0

    def at(self, now_us: int) -> tuple[int, int]:
        """Return when the period of a moment began and when the next one does, microseconds since 1970."""
        if not self._start_us <= now_us < self._end_us:
            self._start_us, self._end_us = self._bounds(now_us)
        return self._start_us, self._end_us

    def _bounds(self, now_us: int) -> tuple[int, int]:
        if self._kind == "total":
            return self._since_us, self._since_us + _FOREVER_US
        today = datetime.fromtimestamp(now_us // 1_000_000, UTC).astimezone(self._zone).date()
        if self._kind == "day":
            first, after = today, today + timedelta(days=1)
        elif self._kind == "week":
            first = today - timedelta(days=today.weekday())
            after = first + timedelta(days=7)
        else:
            first = today.replace(day=1)
            after = (first + timedelta(days=31)).replace(day=1)
        return self._midnight(first.year, first.month, first.day), self._midnight(after.year, after.month, after.day)

    def _midnight(self, year: int, month: int, day: int) -> int:
        # Where clocks are put forward at midnight there is none: the offset before it gives the first moment of the day.
        return int(datetime(year, month, day, tzinfo=self._zone).timestamp()) * 1_000_000
