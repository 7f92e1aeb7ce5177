import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from switchgear.migrate import Applied, Migration
from switchgear_plugins.sqlite.database import row, rows, transaction


class SqliteMigrations:
    """A SQLite database as the migration runner sees it."""

    def __init__(self, connection: sqlite3.Connection, queries: Mapping[str, str]) -> None:
        self._connection = connection
        self._queries = queries

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold an immediate transaction."""
        with transaction(self._connection):
            yield

    def applied(self) -> list[Applied]:
        """Return what was applied."""
        if row(self._connection, self._queries["migrations_exist"]) is None:
            return []
        return [Applied(*line) for line in rows(self._connection, self._queries["applied_migrations"])]

    def apply(self, migration: Migration, at_us: int) -> None:
        """Run the statements one by one: `executescript` would commit the transaction first."""
        self._connection.execute(self._queries["create_migrations"])
        for statement in _statements(migration.sql):
            self._connection.execute(statement)
        self._connection.execute(
            self._queries["remember_migration"],
            {
                "namespace": migration.namespace,
                "number": migration.number,
                "name": migration.name,
                "checksum": migration.checksum,
                "at_us": at_us,
            },
        )


def _statements(sql: str) -> Iterator[str]:
    """Cut a script where SQLite itself says a statement is complete, so that triggers stay whole."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement
