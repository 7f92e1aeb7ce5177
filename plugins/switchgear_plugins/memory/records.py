"""Records of one kind in memory, in order of time."""

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from switchgear.contracts.store import END_OF_TIME, Aggregate, RecordQuery, RecordRow, check_records, member_path
from switchgear.contracts.store_rules import TIMES, check_summary


class Records:
    """Rows by (time, id), and those sorted."""

    def __init__(self) -> None:
        self._rows: dict[tuple[int, str], RecordRow] = {}
        self._order: list[tuple[int, str]] = []

    def append(self, kind: str, rows: Sequence[RecordRow]) -> int:
        """Take rows that are new, all or nothing. Raises `RecordRefused`."""
        check_records(kind, rows)
        new = 0
        for row in rows:
            name = (row.at_us, row.id)
            if name not in self._rows:
                self._rows[name] = row
                insort(self._order, name)
                new += 1
        return new

    def expire(self, before_us: int, limit: int) -> int:
        """Drop up to `limit` of the oldest rows before a time."""
        end = min(bisect_left(self._order, (before_us, "")), limit)
        for name in self._order[:end]:
            del self._rows[name]
        del self._order[:end]
        return end

    def scan(self, query: RecordQuery) -> list[RecordRow]:
        """Return matching rows, newest first."""
        found: list[RecordRow] = []
        for row, _ in self._matching(query):
            if len(found) >= query.limit:
                break
            found.append(row)
        return found

    def summarise(self, query: RecordQuery, by: Sequence[str], sums: Sequence[str]) -> list[Aggregate]:
        """Group matching rows and add up integer members."""
        check_summary(by, sums)
        grouped, added = [member_path(member) for member in by], [member_path(member) for member in sums]
        groups: dict[tuple[str | None, ...], list[Mapping[str, Any]]] = {}
        for row, body in self._matching(query):
            key = tuple(_time(row, path[0]) if path[0] in TIMES else _as_key(_at(body, path)) for path in grouped)
            groups.setdefault(key, []).append(body)
        ordered = sorted(groups, key=lambda key: [(part is not None, part) for part in key])
        return [
            Aggregate(key, len(groups[key]), tuple(_sum(groups[key], path) for path in added))
            for key in ordered[: query.limit]
        ]

    def _matching(self, query: RecordQuery) -> Iterator[tuple[RecordRow, Mapping[str, Any]]]:
        equals = [(member_path(member), wanted) for member, wanted in query.equals.items()]
        until = (END_OF_TIME if query.until_us is None else query.until_us, "")
        end = min(until, query.before) if query.before is not None else until
        start = bisect_left(self._order, (query.since_us, ""))
        for name in reversed(self._order[start : bisect_left(self._order, end)]):
            row = self._rows[name]
            body = msgspec.json.decode(row.body)
            if all(_same(_at(body, path), wanted) for path, wanted in equals):
                yield row, body


def _at(body: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = body
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _same(value: Any, wanted: Any) -> bool:
    return type(value) is type(wanted) and bool(value == wanted)


def _time(row: RecordRow, name: str) -> str:
    return datetime.fromtimestamp(row.at_us // 1_000_000, UTC).strftime(TIMES[name])


def _as_key(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _sum(bodies: Sequence[Mapping[str, Any]], path: tuple[str, ...]) -> int | None:
    numbers = [value for body in bodies if type(value := _at(body, path)) is int]
    return sum(numbers) if numbers else None
