from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg

from switchgear.migrate import Applied, Migration


class PostgresMigrations:
    """A PostgreSQL database as the migration runner sees it."""

    def __init__(self, connection: "psycopg.Connection[Any]", queries: Mapping[str, str]) -> None:
        self._connection = connection
        self._queries = queries

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold a transaction and the writers' lock."""
        with self._connection.transaction():
            self._run("one_writer")
            yield

    def applied(self) -> list[Applied]:
        """Return what was applied."""
        if self._run("migrations_exist").fetchone() is None:
            return []
        return [Applied(*line) for line in self._run("applied_migrations").fetchall()]

    def apply(self, migration: Migration, at_us: int) -> None:
        """Run the file as it is, which may hold several statements, and remember it."""
        self._run("create_migrations")
        self._connection.execute(migration.sql.encode())
        self._run(
            "remember_migration",
            namespace=migration.namespace,
            number=migration.number,
            name=migration.name,
            checksum=migration.checksum,
            at_us=at_us,
        )

    def _run(self, statement: str, /, **values: Any) -> "psycopg.Cursor[Any]":
        return self._connection.execute(self._queries[statement].encode(), values or None)
