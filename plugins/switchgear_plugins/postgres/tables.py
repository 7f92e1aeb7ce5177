"""Tables of plugins: their named statements, read on any connection or run in a transaction that holds the writers' lock."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import dict_row

from switchgear.contracts.tables import Transaction, Value
from switchgear.errors import StoreConflict, StoreError
from switchgear_plugins.postgres.database import Database

LONGEST_S = 5.0
"""How long a transaction may keep others waiting."""


class PostgresTables:
    """The `Tables` of one plugin."""

    def __init__(self, plugin: str, statements: Mapping[str, str], database: Database) -> None:
        self._plugin = plugin
        self._statements = statements
        self._database = database

    async def query(self, statement: str, /, **values: Value) -> list[dict[str, Any]]:
        """Read with one named statement."""
        async with self._database.connection() as connection:
            return await _fetched(await self.run(connection, statement, values))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Begin a transaction, one at a time over all processes."""
        limit = asyncio.timeout(LONGEST_S)
        try:
            async with self._database.writer() as connection, limit:
                transaction = _Transaction(self, connection)
                try:
                    yield transaction
                finally:
                    transaction.has_ended = True
        except TimeoutError as late:
            if not limit.expired():
                raise
            raise StoreError(
                f"a transaction of plugin `{self._plugin}` took longer than {LONGEST_S:g} s and was rolled back: "
                "await nothing in it but its own statements"
            ) from late

    async def run(self, connection: AsyncConnection, name: str, values: Mapping[str, Value]) -> AsyncCursor[Any]:
        """Run a named statement."""
        statement = self._statements.get(name)
        if statement is None:
            known = ", ".join(sorted(self._statements)) or "none"
            raise StoreError(
                f"plugin `{self._plugin}` has no statement `{name}` in its postgres/queries.sql; there is {known}"
            )
        cursor = connection.cursor(row_factory=dict_row)
        try:
            return await cursor.execute(statement.encode(), values)
        except psycopg.IntegrityError as fault:
            raise StoreConflict("constraint", self._plugin, name, (str(fault).splitlines()[0],)) from fault
        except (psycopg.ProgrammingError, psycopg.DataError) as fault:
            raise StoreError(f"statement `{name}` of plugin `{self._plugin}`: {fault}") from fault


class _Transaction:
    def __init__(self, tables: PostgresTables, connection: AsyncConnection) -> None:
        self._tables = tables
        self._connection = connection
        self.has_ended = False

    async def query(self, statement: str, /, **values: Value) -> list[dict[str, Any]]:
        return await _fetched(await self._run(statement, values))

    async def execute(self, statement: str, /, **values: Value) -> int:
        return (await self._run(statement, values)).rowcount

    async def _run(self, statement: str, values: Mapping[str, Value]) -> AsyncCursor[Any]:
        if self.has_ended:
            raise StoreError("the transaction has ended: begin another one")
        return await self._tables.run(self._connection, statement, values)


async def _fetched(cursor: AsyncCursor[Any]) -> list[dict[str, Any]]:
    return await cursor.fetchall() if cursor.description is not None else []
