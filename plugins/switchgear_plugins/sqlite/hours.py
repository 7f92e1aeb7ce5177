"""Sums by the hour of records, added up here as records are appended and written once a second.

To have the database take every record apart would cost more than to keep it. What is added up and not written yet is in the
records themselves: `record_sums` says up to which of them all are in the sums, and where what came after is not what this
process appended (it was killed, another one appends too), the database adds that up.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from operator import attrgetter
from typing import Any

import msgspec

from switchgear.contracts.rollups import HOUR_US, MOST_DIMENSIONS, MOST_MEASURES, Rollup
from switchgear.contracts.store import RecordRow, member_path
from switchgear_plugins.sqlite.database import row, transaction

WRITTEN_EVERY_S = 1.0
_MOST = 2**63

_Members = Callable[[Any], tuple[Any, ...]]


class _Kind:
    """What is summed up of one kind of record: lines of sums by hour and by all members that any of its rollups goes by."""

    def __init__(self, rollups: Sequence[Rollup]) -> None:
        self.by = tuple(dict.fromkeys(name for it in rollups for name in it.by))
        self.sums = tuple(dict.fromkeys(name for it in rollups for name in it.sums))
        self.rollups = [
            (it, [self.by.index(name) for name in it.by], [self.sums.index(name) for name in it.sums]) for it in rollups
        ]
        tops = tuple(dict.fromkeys(member_path(name)[0] for name in (*self.by, *self.sums)))
        fields = {name: f"m{place}" for place, name in enumerate(tops)}
        read = msgspec.defstruct(
            "Read", [(field, Any, None) for field in fields.values()], rename={m: name for name, m in fields.items()}
        )
        self.decode = msgspec.json.Decoder(read).decode
        self.keys = _members(self.by, fields)
        self.values = _members(self.sums, fields)
        self.lines: dict[tuple[int, tuple[Any, ...]], list[tuple[Any, ...]]] = {}


class Hours:
    """The sums of one database, for the thread that writes to it."""

    def __init__(self, queries: Mapping[str, str], now_s: Callable[[], float]) -> None:
        self._queries = queries
        self._now_s = now_s
        self._kinds: dict[str, _Kind] = {}
        self._count = 0
        self._is_exact = True
        self._written_s = now_s()

    def keep(self, rollups: Sequence[Rollup]) -> None:
        """Add these sums up from now on."""
        kinds = dict.fromkeys(rollup.kind for rollup in rollups)
        self._kinds = {kind: _Kind([it for it in rollups if it.kind == kind]) for kind in kinds}
        self._is_exact = not self._count  # what was there before was added up otherwise, if at all

    def add(self, connection: sqlite3.Connection, kind: str, rows: Sequence[RecordRow], new: int) -> None:
        """Add up rows that were appended, of which so many were `new`; write all sums if it is time."""
        self._count += new
        of = self._kinds.get(kind)
        if new != len(rows):  # nobody knows which
            self._is_exact = False
        elif of is not None and self._is_exact:
            decode, keys, values, lines = of.decode, of.keys, of.values, of.lines
            for it in rows:
                read = decode(it.body)
                key = it.at_us // HOUR_US, keys(read)
                try:
                    lines[key].append(values(read))
                except KeyError:
                    lines[key] = [values(read)]
                except TypeError:  # a list or an object, which no dictionary takes
                    self._is_exact = False
                    break
        if self._now_s() - self._written_s >= WRITTEN_EVERY_S:
            self.write(connection)

    def write(self, connection: sqlite3.Connection) -> None:
        """Write what was added up; all sums are then right."""
        with transaction(connection):
            self.catch_up(connection)
        self.caught_up()

    def catch_up(self, connection: sqlite3.Connection) -> int:
        """Do so within a transaction; return up to which record all are in the sums. Whoever commits calls `caught_up`."""
        done, last = row(connection, self._queries["summed_up_to"]) or (0, 0)
        if last == done:
            return done
        if self._is_exact and last - done == self._count:
            for kind, of in self._kinds.items():
                for (hour, key), lines in of.lines.items():
                    connection.executemany(self._queries["add_hour"], _rows(kind, of, hour, key, lines))
        else:
            for kind, of in self._kinds.items():
                for rollup, _, _ in of.rollups:
                    span = {"kind": kind, "name": rollup.name, "after": done, "up_to": last}
                    connection.execute(self._queries["roll_up"], span)
        connection.execute(self._queries["sum_up_to"], (last,))
        return int(last)

    def caught_up(self) -> None:
        """Note that all sums are written."""
        for of in self._kinds.values():
            of.lines.clear()
        self._count, self._is_exact, self._written_s = 0, True, self._now_s()


def _members(names: Sequence[str], fields: Mapping[str, str]) -> _Members:
    """Return what takes members out of what was read, as a tuple."""
    paths = [member_path(name) for name in names]
    found = [fields[path[0]] for path in paths]
    if len(names) > 1 and all(len(path) == 1 for path in paths):
        return attrgetter(*found)

    def take(read: Any) -> tuple[Any, ...]:
        values = []
        for field, path in zip(found, paths, strict=True):
            value = getattr(read, field)
            values.append(value if len(path) == 1 else value.get(path[1]) if isinstance(value, dict) else None)
        return tuple(values)

    return take


def _rows(
    kind: str, of: _Kind, hour: int, key: tuple[Any, ...], lines: Sequence[tuple[Any, ...]]
) -> list[tuple[Any, ...]]:
    """Return a row of the table for each rollup."""
    sums = [_sum(values) for values in zip(*lines, strict=True)] or [None] * len(of.sums)
    found = []
    for rollup, by, added in of.rollups:
        members = [_kept(key[place]) for place in by]
        name = msgspec.json.encode(members + [None] * (MOST_DIMENSIONS - len(members))).decode()
        head = (
            kind,
            rollup.name,
            hour // rollup.hours * rollup.hours,
            name,
            *_padded(members, MOST_DIMENSIONS),
            len(lines),
        )
        found.append((*head, *_padded([sums[place] for place in added], MOST_MEASURES)))
    return found


def _padded(values: Sequence[Any], size: int) -> list[Any]:
    return [value for value, _ in zip_longest(values, range(size))]


def _kept(value: Any) -> Any:
    """Return a value as SQLite takes it out of JSON: a text up to its first NUL; true and false are texts."""
    if isinstance(value, str):
        return value.partition("\0")[0]
    if isinstance(value, bool):
        return "true" if value else "false"
    return float(value) if isinstance(value, int) and abs(value) >= _MOST else value


def _sum(values: Sequence[Any]) -> int | None:
    """Add up integers; None if there is none."""
    whole = [value for value in values if type(value) is int and abs(value) < _MOST]
    return sum(whole) if whole else None
