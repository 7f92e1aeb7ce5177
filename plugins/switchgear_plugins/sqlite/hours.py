"""Sums by the hour of records, added up here as records are appended and written once a second.

To have the database take every record apart would cost more than to keep it. What is added up and not written yet is in the
records themselves: `record_sums` says up to which of them all are in the sums. Where what came after is not what this process
appended (it was killed, another one appends too), it is read and added up in the same way.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from switchgear.contracts.rollups import HOUR_US, MOST_DIMENSIONS, MOST_MEASURES, Rollup
from switchgear.contracts.store import member_path
from switchgear_plugins.sqlite.database import row, transaction
from switchgear_plugins.sqlite.records import Appends

WRITTEN_EVERY_S = 1.0
_MOST = 2**63
_INTEGERS = frozenset({int})
_JSON = msgspec.json.Decoder(msgspec.Raw)

_Members = Callable[[Any], tuple[Any, ...]]


class Sums:
    """What is summed up of one kind of record: the values of each hour and of all members that any of its rollups goes by."""

    def __init__(self, rollups: Sequence[Rollup]) -> None:
        self._by = tuple(dict.fromkeys(name for it in rollups for name in it.by))
        self._sums = tuple(dict.fromkeys(name for it in rollups for name in it.sums))
        self._rollups = rollups
        tops = tuple(dict.fromkeys(member_path(name)[0] for name in (*self._by, *self._sums)))
        fields = {name: f"m{place}" for place, name in enumerate(tops)}
        read = msgspec.defstruct(
            "Read", [(field, Any, None) for field in fields.values()], rename={m: name for name, m in fields.items()}
        )
        self.decode = msgspec.json.Decoder(read).decode
        """Reads of a body what is added up; raises `DecodeError` for what is no JSON object."""
        self._keys = _members(self._by, fields)
        self._values = _members(self._sums, fields)
        self._found: dict[tuple[int, tuple[Any, ...]], list[tuple[Any, ...]]] = {}

    def add(self, records: Iterable[tuple[int, Any]]) -> None:
        """Add records up, of each its time and what was read of its body."""
        keys, values, found = self._keys, self._values, self._found
        for at_us, read in records:
            key = at_us // HOUR_US, keys(read)
            try:
                found[key].append(values(read))
            except KeyError:
                found[key] = [values(read)]
            except TypeError:  # a list or an object, which no dictionary takes
                found.setdefault((key[0], tuple(map(_plain, key[1]))), []).append(values(read))

    def clear(self) -> None:
        """Forget what was added up."""
        self._found.clear()

    def rows(self, kind: str) -> Iterable[tuple[Any, ...]]:
        """Yield a row of the table for each hour and group of each rollup."""
        for (hour, key), values in self._found.items():
            by = dict(zip(self._by, map(_kept, key), strict=True))
            sums = dict(zip(self._sums, map(_sum, zip(*values, strict=True)), strict=True))
            for it in self._rollups:
                members = _padded([by[name] for name in it.by], MOST_DIMENSIONS)
                name = msgspec.json.encode(members).decode()
                added = _padded([sums[name] for name in it.sums], MOST_MEASURES)
                yield (kind, it.name, hour // it.hours * it.hours, name, *members, len(values), *added)


class Hours:
    """The sums of one database, for the thread that writes to it."""

    def __init__(self, queries: Mapping[str, str], now_s: Callable[[], float]) -> None:
        self._queries = queries
        self._now_s = now_s
        self._kinds: dict[str, Sums] = {}
        self._count = 0
        self._is_exact = True
        self._written_s = now_s()

    def keep(self, rollups: Sequence[Rollup]) -> None:
        """Add these sums up from now on."""
        kinds = dict.fromkeys(rollup.kind for rollup in rollups)
        self._kinds = {kind: Sums([it for it in rollups if it.kind == kind]) for kind in kinds}
        self._is_exact = not self._count  # what there was before was added up otherwise, if at all

    def decoder(self, kind: str) -> Callable[[bytes], Any]:
        """Return what reads of a body what is added up of its kind; it raises `DecodeError` for what is no JSON."""
        sums = self._kinds.get(kind)
        return _JSON.decode if sums is None else sums.decode

    def add(self, connection: sqlite3.Connection, appends: Appends, new: int) -> None:
        """Add up rows that were appended, of which so many were `new`; write all sums if it is time."""
        self._count += new
        sums = self._kinds.get(appends.kind)
        if new != len(appends.rows):  # nobody knows which
            self._is_exact = False
        elif sums is not None and self._is_exact:
            sums.add(zip([it.at_us for it in appends.rows], appends.read, strict=True))
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
            return int(done)
        is_mine = self._is_exact and last - done == self._count
        for kind, sums in self._kinds.items():
            if not is_mine:
                sums.clear()
                self._read(connection, kind, sums, done, last)
            connection.executemany(self._queries["add_hour"], sums.rows(kind))
        connection.execute(self._queries["sum_up_to"], (last,))
        return int(last)

    def caught_up(self) -> None:
        """Note that all sums are written."""
        for sums in self._kinds.values():
            sums.clear()
        self._count, self._is_exact, self._written_s = 0, True, self._now_s()

    def begin(self, connection: sqlite3.Connection, rollup: Rollup, up_to: int) -> None:
        """Write sums of what was there before anybody asked for them."""
        sums = Sums([rollup])
        self._read(connection, rollup.kind, sums, 0, up_to)
        connection.executemany(self._queries["add_hour"], sums.rows(rollup.kind))

    def _read(self, connection: sqlite3.Connection, kind: str, sums: Sums, after: int, up_to: int) -> None:
        span = {"kind": kind, "after": after, "up_to": up_to}
        found = connection.execute(self._queries["records_since"], span)
        sums.add((at_us, sums.decode(body)) for at_us, body in found)


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


def _padded(values: list[Any], size: int) -> list[Any]:
    return values + [None] * (size - len(values))


def _plain(value: Any) -> Any:
    return msgspec.json.encode(value).decode() if isinstance(value, (list, dict)) else value


def _kept(value: Any) -> Any:
    """Return a value as SQLite takes it out of JSON: a text up to its first NUL; true and false are texts."""
    if isinstance(value, str):
        return value.partition("\0")[0]
    if isinstance(value, bool):
        return "true" if value else "false"
    return float(value) if isinstance(value, int) and abs(value) >= _MOST else value


def _sum(values: Sequence[Any]) -> int | None:
    """Add up integers; None if there is none."""
    if not _INTEGERS.issuperset(map(type, values)):
        values = [value for value in values if type(value) is int]
    if values and (min(values) <= -_MOST or max(values) >= _MOST):
        values = [value for value in values if abs(value) < _MOST]
    return sum(values) if values else None
