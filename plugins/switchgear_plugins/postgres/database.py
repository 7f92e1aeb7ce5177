"""Connections to one PostgreSQL database, in pools; nothing here knows what is stored."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import files
from typing import Any, Literal, TypeAlias

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from switchgear.errors import ConfigError, StoreError, StoreUnavailable
from switchgear.migrate import named_statements
from switchgear_plugins.postgres.settings import PostgresSettings

Rows: TypeAlias = list[tuple[Any, ...]]

Pool: TypeAlias = Literal["main", "ledger", "admin"]

CHANGES, JOBS = "switchgear", "switchgear_jobs"
"""Channels on which a process tells the others that there is a change, or a job that is due."""
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # it says each try; whoever finds nothing says it once

_AGAIN_S = 1.0


def load_queries() -> Mapping[str, str]:
    """Return the statements of queries.sql by name."""
    return named_statements(files(__package__).joinpath("queries.sql").read_text("utf-8"))


@contextmanager
def translated() -> Iterator[None]:
    """Raise the store's own errors for PostgreSQL's."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, OSError) as fault:
        raise StoreUnavailable(f"PostgreSQL does not answer: {_first_line(fault)}") from fault
    except psycopg.Error as fault:
        raise StoreError(f"PostgreSQL: {_first_line(fault)}") from fault


def _first_line(fault: BaseException) -> str:
    return (str(fault).splitlines() or [type(fault).__name__])[0]


class Database:
    """Three pools, so that none waits for another: `main`, `ledger` for records on their way in, `admin` for questions."""

    def __init__(self, settings: PostgresSettings, queries: Mapping[str, str]) -> None:
        try:
            given = conninfo_to_dict(settings.url)
        except psycopg.ProgrammingError:  # whose words quote the address, and with it the password
            raise ConfigError(
                "[plugins.postgres] url: it is no address of a database. Write postgresql://user:password@host:5432/database; "
                "what is neither letter nor digit in a password is percent-encoded."
            ) from None
        self._settings = settings
        self._pools: dict[Pool, AsyncConnectionPool] | None = None
        self._writing = asyncio.Lock()
        self._one_writer = queries["one_writer"].encode()
        self.options: dict[str, Any] = {
            "autocommit": True,
            "connect_timeout": max(2, round(settings.connect)),
            "application_name": given.get("application_name", "switchgear"),
            "options": f"{given.get('options', '')} -c statement_timeout={round(settings.statement * 1000)} -c timezone=UTC",
        }

    @property
    def url(self) -> str:
        """Where the database is."""
        return self._settings.url

    async def open(self) -> None:
        """Connect. Raises `StoreUnavailable`."""
        its = self._settings
        sizes: dict[Pool, int] = {
            "main": its.connections, "ledger": its.ledger_connections, "admin": its.admin_connections,
        }  # fmt: skip
        self._pools = pools = {
            name: AsyncConnectionPool(
                self.url,
                min_size=1,
                max_size=most,
                open=False,
                timeout=self._settings.connect,
                reconnect_timeout=self._settings.connect,
                kwargs=self.options,
                check=AsyncConnectionPool.check_connection,
            )
            for name, most in sizes.items()
        }
        try:
            with translated():
                async with await AsyncConnection.connect(self.url, **self.options):
                    pass  # its own words say why it cannot be; a pool only says that it waited
                for pool in pools.values():
                    await pool.open(wait=True, timeout=self._settings.connect)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of the connections, once whoever wants to write has written."""
        async with self._writing:
            pools, self._pools = self._pools, None
        for pool in (pools or {}).values():
            await pool.close()

    @asynccontextmanager
    async def connection(self, pool: Pool = "main") -> AsyncIterator[AsyncConnection]:
        """Lend a connection. Raises `StoreUnavailable` where there is none in time, and `StoreError`."""
        if self._pools is None:
            raise StoreUnavailable("the store is not open")
        with translated():
            async with self._pools[pool].connection() as connection:
                yield connection

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection in a transaction that no other one of these overlaps, in any process.

        Those of this process wait for one another without a connection, so that there are some left for readers.
        """
        async with self._writing, self.connection() as connection, connection.transaction():
            await connection.execute(self._one_writer)
            yield connection

    async def rows(
        self, statement: str, values: Mapping[str, Any] | Sequence[Any] | None = None, *, pool: Pool = "main"
    ) -> Rows:
        """Return what one statement finds."""
        async with self.connection(pool) as connection:
            return await rows(connection, statement, values)

    async def execute(
        self, statement: str, values: Mapping[str, Any] | Sequence[Any] | None = None, *, pool: Pool = "main"
    ) -> int:
        """Run one statement, a transaction of its own; return how many rows it changed."""
        async with self.connection(pool) as connection:
            return (await connection.execute(_text(statement), values)).rowcount

    async def listen(self, heard: Mapping[str, Callable[[], None]]) -> None:
        """Call what a channel has for each announcement, and all whenever one may have been missed, until cancelled."""
        while True:
            with contextlib.suppress(psycopg.Error, OSError):
                async with await AsyncConnection.connect(self.url, **self.options) as connection:
                    for channel in heard:
                        await connection.execute(f"LISTEN {channel}".encode())
                    _call_all(heard)
                    async for told in connection.notifies():
                        heard[told.channel]()
            _call_all(heard)
            await asyncio.sleep(_AGAIN_S)


def _call_all(heard: Mapping[str, Callable[[], None]]) -> None:
    for call in heard.values():
        call()


async def rows(
    connection: AsyncConnection, statement: str, values: Mapping[str, Any] | Sequence[Any] | None = None
) -> Rows:
    """Return what a statement finds."""
    return await (await connection.execute(_text(statement), values)).fetchall()


async def execute(
    connection: AsyncConnection, statement: str, values: Mapping[str, Any] | Sequence[Any] | None = None
) -> int:
    """Run a statement; return how many rows it changed."""
    return (await connection.execute(_text(statement), values)).rowcount


def _text(statement: str) -> bytes:
    """Return a statement as psycopg takes one that is no literal: all are our own, and bind what comes from outside."""
    return statement.encode()
