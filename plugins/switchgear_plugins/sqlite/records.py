"""Records as SQLite keeps them: rows on their way in, and questions about them as parameters of statements."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from switchgear.contracts.store import RecordQuery, RecordRow, is_too_deep, member_path
from switchgear.contracts.store_rules import summary_members
from switchgear.errors import RecordRefused

_END_OF_TIME = 2**62
_LAST_ID = "\U0010ffff"
_ONE_ROW = "(?, ?, ?, ?)"
_SIZES = (1024, 256, 64, 16, 4, 1)


def append_statements(append: str) -> list[tuple[int, str]]:
    """Return the statement that appends one row, for many rows at once: (rows, statement), from many to one.

    A statement lets go of the interpreter's lock once, however many rows it takes, so a busy event loop does not starve it.
    """
    return [(size, append.replace(_ONE_ROW, ", ".join([_ONE_ROW] * size))) for size in _SIZES]


class Appends:
    """Statements that append rows, bound: each takes as many as it can. `read` is what `decode` makes of their bodies."""

    def __init__(
        self,
        statements: Sequence[tuple[int, str]],
        kind: str,
        rows: Sequence[RecordRow],
        decode: Callable[[bytes], Any],
    ) -> None:
        """Raises `RecordRefused`, also for bodies of which `decode` raises `DecodeError`."""
        self.kind = kind
        self.rows = rows
        self.read: list[Any] = []
        values = self._values(decode)
        self._parts: list[tuple[str, list[Any]]] = []
        at = 0
        for size, statement in statements:
            width = 4 * size
            while len(values) - at >= width:
                self._parts.append((statement, values[at : at + width]))
                at += width

    @property
    def is_one(self) -> bool:
        """Whether it is one statement, which is a transaction of its own."""
        return len(self._parts) == 1

    def run(self, connection: sqlite3.Connection) -> int:
        """Append; return how many rows were new."""
        before = connection.total_changes
        for statement, values in self._parts:
            connection.execute(statement, values)
        return connection.total_changes - before

    def _values(self, decode: Callable[[bytes], Any]) -> list[Any]:
        values: list[Any] = []
        bad: list[str] = []
        kind, read = self.kind, self.read
        for row in self.rows:
            id, body = row.id, row.body
            try:
                read.append(decode(body))
                values += (kind, id, row.at_us, body.decode())
                if not id.isascii():
                    id.encode()
                if (
                    not (body[:1] == b"{" or body.lstrip()[:1] == b"{")
                    or not 0 <= row.at_us < _END_OF_TIME
                    or "\0" in id
                    or is_too_deep(body)
                ):
                    bad.append(id)
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                bad.append(id)
        if bad:
            raise RecordRefused(
                kind, tuple(bad), "the body is not a JSON object, the id not text, or the time out of range"
            )
        return values


def bounds(query: RecordQuery) -> dict[str, Any]:
    """Return the parameters of a query."""
    before_us, before_id = query.before or (_END_OF_TIME, _LAST_ID)
    until_us = _END_OF_TIME if query.until_us is None else query.until_us
    return {
        "kind": query.kind,
        "since_us": query.since_us,
        # Nothing after the last page's end can match, and the index knows times best.
        "until_us": min(until_us, before_us + 1),
        "before_us": before_us,
        "before_id": before_id,
        "equals": _as_tree(query.equals),
        "limit": query.limit,
    }


def groups(by: Sequence[str], sums: Sequence[str]) -> dict[str, str | None]:
    """Return the further parameters of a summary. Raises `StoreError`."""
    return summary_members(by, sums, json_path)


def json_path(member: str) -> str:
    """Write the path of a member."""
    first, *rest = member_path(member)
    return "$." + first + "".join(f'."{name}"' for name in rest)


def _as_tree(equals: Mapping[str, str | int | bool | None]) -> str:
    """Write what must be equal as one object, whose leaves have the paths that they have in a body.

    A member may stand in it twice, which SQLite does not mind: `labels` for itself and for each of its members.
    """
    leaves = []
    for member, wanted in equals.items():
        first, *rest = member_path(member)
        leaf = msgspec.json.encode(wanted).decode()
        leaves.append(f'"{first}":' + "".join(f'{{"{name}":{leaf}}}' for name in rest) if rest else f'"{first}":{leaf}')
    return "{" + ",".join(leaves) + "}"
