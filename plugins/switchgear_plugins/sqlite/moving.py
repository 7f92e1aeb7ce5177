"""A SQLite database on its way to a store of another engine, and back: table by table, column by column."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from switchgear.contracts.store import TableRows
from switchgear.contracts.store_rules import parents_first
from switchgear.errors import StoreError
from switchgear_plugins.sqlite.database import transaction
from switchgear_plugins.sqlite.faults import translate

_BATCH = 1000
_BUSY_S = 30.0


def unload(path: Path, queries: Mapping[str, str]) -> Iterator[TableRows]:
    """Yield every table, as all of them were at one moment. Raises `StoreError`."""
    if not path.exists():
        raise StoreError(f"there is no database {path} to copy")
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=_BUSY_S)) as connection:
            connection.execute("BEGIN")
            for table in _tables(connection, queries):
                columns = _columns(connection, queries, table)
                ordered = connection.execute(queries["moving_has_order"], {"name": table}).fetchone() is not None
                statement = _filled(queries["moving_rows_in_order" if ordered else "moving_rows"], table, columns)
                yield TableRows(table, columns, _batches(connection.execute(statement)))
    except sqlite3.Error as fault:
        raise translate(fault, path) from fault


def load(path: Path, queries: Mapping[str, str], tables: Iterable[TableRows]) -> dict[str, int]:
    """Fill tables that are there and empty, all or nothing; return how many rows each got. Raises `StoreError`."""
    counts: dict[str, int] = {}
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=_BUSY_S)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            with transaction(connection):
                known = set(_tables(connection, queries))
                for name in known:
                    if connection.execute(_filled(queries["moving_some"], name, ())).fetchone() is not None:
                        raise StoreError(
                            f"{path} holds something already, in {name}: a copy is made into an empty store"
                        )
                for table in tables:
                    if table.name not in known:
                        raise StoreError(f"{path} has no table {table.name}: enable the plugin that has it there too")
                    counts[table.name] = _take(connection, queries, table)
    except sqlite3.Error as fault:
        raise translate(fault, path) from fault
    return counts


def _take(connection: sqlite3.Connection, queries: Mapping[str, str], table: TableRows) -> int:
    mine = _columns(connection, queries, table.name)
    places = [index for index, column in enumerate(table.columns) if column in mine]
    statement = _filled(queries["moving_take"], table.name, tuple(table.columns[index] for index in places))
    count = 0
    for batch in table.rows:
        connection.executemany(statement, [[_value(row[index]) for index in places] for row in batch])
        count += len(batch)
    return count


def _tables(connection: sqlite3.Connection, queries: Mapping[str, str]) -> list[str]:
    names = [name for (name,) in connection.execute(queries["moving_tables"]).fetchall()]
    parents = {
        name: {parent for (parent,) in connection.execute(queries["moving_parents"], {"name": name}).fetchall()}
        for name in names
    }
    return parents_first(parents)


def _columns(connection: sqlite3.Connection, queries: Mapping[str, str], table: str) -> tuple[str, ...]:
    return tuple(name for (name,) in connection.execute(queries["moving_columns"], {"name": table}).fetchall())


def _filled(statement: str, table: str, columns: Sequence[str]) -> str:
    """Return a statement with names in it, which come from the schema."""
    names = ", ".join(map(_quoted, columns))
    values = ", ".join("?" for _ in columns)
    return statement.replace("{table}", _quoted(table)).replace("{columns}", names).replace("{values}", values)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _batches(cursor: sqlite3.Cursor) -> Iterator[list[tuple[Any, ...]]]:
    while batch := cursor.fetchmany(_BATCH):
        yield batch


def _value(value: Any) -> Any:
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list) else value
