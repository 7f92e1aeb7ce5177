"""Tables of plugins: their named statements, read beside the writer or run in a transaction of its connection."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from switchgear.contracts.tables import Transaction, Value
from switchgear.errors import StoreConflict, StoreError
from switchgear_plugins.sqlite.database import Database, Session

LONGEST_S = 5.0
"""How long a transaction may keep others waiting."""


class SqliteTables:
    """The `Tables` of one plugin."""

    def __init__(self, plugin: str, statements: Mapping[str, str], database: Database) -> None:
        self._statements = _Statements(plugin, statements)
        self._database = database

    async def query(self, statement: str, /, **values: Value) -> list[dict[str, Any]]:
        """Read with one named statement."""
        return await self._database.read(lambda connection: self._statements.query(connection, statement, values))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Begin a transaction of the writer's connection, which holds up every other write of this process."""
        limit = asyncio.timeout(LONGEST_S)
        try:
            async with self._database.session() as session, limit:
                yield _Transaction(self._statements, session)
        except TimeoutError as late:
            if not limit.expired():
                raise
            raise StoreError(
                f"a transaction of plugin `{self._statements.plugin}` took longer than {LONGEST_S:g} s and was rolled back: "
                "await nothing in it but its own statements"
            ) from late


class _Transaction:
    def __init__(self, statements: "_Statements", session: Session) -> None:
        self._statements = statements
        self._session = session

    async def query(self, statement: str, /, **values: Value) -> list[dict[str, Any]]:
        return await self._session.run(lambda connection: self._statements.query(connection, statement, values))

    async def execute(self, statement: str, /, **values: Value) -> int:
        return await self._session.run(lambda connection: self._statements.run(connection, statement, values).rowcount)


class _Statements:
    def __init__(self, plugin: str, statements: Mapping[str, str]) -> None:
        self.plugin = plugin
        self._statements = statements

    def query(self, connection: sqlite3.Connection, name: str, values: Mapping[str, Value]) -> list[dict[str, Any]]:
        cursor = self.run(connection, name, values)
        columns = [column[0] for column in cursor.description or ()]
        return [dict(zip(columns, line, strict=True)) for line in cursor]

    def run(self, connection: sqlite3.Connection, name: str, values: Mapping[str, Value]) -> sqlite3.Cursor:
        statement = self._statements.get(name)
        if statement is None:
            known = ", ".join(sorted(self._statements)) or "none"
            raise StoreError(
                f"plugin `{self.plugin}` has no statement `{name}` in its sqlite/queries.sql; there is {known}"
            )
        try:
            return connection.execute(statement, values)
        except sqlite3.IntegrityError as fault:
            raise StoreConflict("constraint", self.plugin, name, (str(fault),)) from fault
        except (sqlite3.ProgrammingError, sqlite3.InterfaceError) as fault:
            raise StoreError(f"statement `{name}` of plugin `{self.plugin}`: {fault}") from fault
