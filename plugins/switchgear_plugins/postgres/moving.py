"""A PostgreSQL database on its way to a store of another engine, and back: table by table, column by column."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from switchgear.contracts.store import TableRows
from switchgear.contracts.store_rules import parents_first
from switchgear.errors import StoreError
from switchgear_plugins.postgres.database import translated

_BATCH = 1000
_RECORDS, _BODY, _PLAIN = "records", "body", "plain"
"""The table with a column that says something of another one, which no other engine has."""


def unload(url: str, options: Mapping[str, Any], queries: Mapping[str, str]) -> Iterator[TableRows]:
    """Yield every table, as all of them were at one moment. Raises `StoreError`."""
    with translated(), _connected(url, options) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            for table in _tables(connection, queries):
                columns = _columns(connection, queries, table)
                with connection.cursor(name="moving") as cursor:
                    order = connection.execute(queries["moving_order"].encode(), {"name": table}).fetchone()
                    named = "moving_rows" if order is None else "moving_rows_in_order"
                    cursor.execute(_filled(queries[named], table, columns, None if order is None else order[0]))
                    yield TableRows(table, columns, _batches(cursor))


def load(
    url: str, options: Mapping[str, Any], queries: Mapping[str, str], tables: Iterable[TableRows]
) -> dict[str, int]:
    """Fill tables that are there and empty, all or nothing; return how many rows each got. Raises `StoreError`."""
    counts: dict[str, int] = {}
    with translated(), _connected(url, options) as connection, connection.transaction():
        connection.execute(queries["one_writer"].encode())
        connection.execute(queries["moving_defer"].encode())
        known = set(_tables(connection, queries))
        for name in known:
            if connection.execute(_filled(queries["moving_some"], name, ())).fetchone() is not None:
                raise StoreError(f"the database holds something already, in {name}: a copy is made into an empty store")
        for table in tables:
            if table.name not in known:
                raise StoreError(f"the database has no table {table.name}: enable the plugin that has it there too")
            counts[table.name] = _take(connection, queries, table)
    return counts


def _connected(url: str, options: Mapping[str, Any]) -> "psycopg.Connection[tuple[Any, ...]]":
    """Connect without a bound on how long a statement may take: it is as long as the table."""
    return psycopg.connect(url, **{**options, "options": f"{options['options']} -c statement_timeout=0"})


def _take(connection: "psycopg.Connection[Any]", queries: Mapping[str, str], table: TableRows) -> int:
    mine = _columns(connection, queries, table.name)
    places = [index for index, column in enumerate(table.columns) if column in mine]
    columns = [table.columns[index] for index in places]
    plain = table.name == _RECORDS and _PLAIN not in columns
    body = table.columns.index(_BODY) if plain else 0
    statement = _filled(queries["moving_take"], table.name, [*columns, _PLAIN] if plain else columns)
    count = 0
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for batch in table.rows:
            for row in batch:
                values = [row[index] for index in places]
                copy.write_row([*values, r"\u0000" not in row[body]] if plain else values)
            count += len(batch)
    return count


def _tables(connection: "psycopg.Connection[Any]", queries: Mapping[str, str]) -> list[str]:
    names = [name for (name,) in connection.execute(queries["moving_tables"].encode()).fetchall()]
    parents: dict[str, set[str]] = {name: set() for name in names}
    for name, parent in connection.execute(queries["moving_parents"].encode()).fetchall():
        parents[name].add(parent)
    return parents_first(parents)


def _columns(connection: "psycopg.Connection[Any]", queries: Mapping[str, str], table: str) -> tuple[str, ...]:
    found = connection.execute(queries["moving_columns"].encode(), {"name": table}).fetchall()
    return tuple(name for (name,) in found)


def _filled(statement: str, table: str, columns: Sequence[str], order: str | None = None) -> sql.Composed:
    """Return a statement with names in it, which come from the schema."""
    return sql.SQL(statement).format(
        table=sql.Identifier(table),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        order=sql.Identifier(order or ""),
    )


def _batches(cursor: "psycopg.ServerCursor[tuple[Any, ...]]") -> Iterator[list[tuple[Any, ...]]]:
    while batch := cursor.fetchmany(_BATCH):
        yield batch
