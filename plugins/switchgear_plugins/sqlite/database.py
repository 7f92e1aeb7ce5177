"""One file, one writer thread, a few reader threads; nothing here knows what is stored."""

import asyncio
import os
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from importlib.resources import files
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal, TypeVar

from switchgear.errors import StoreError, StoreUnavailable
from switchgear.migrate import named_statements
from switchgear_plugins.sqlite.backup import begin_generation, end_generation, refuse_doubtful
from switchgear_plugins.sqlite.faults import primary_code, translate

T = TypeVar("T")

BUSY_MS = 5_000
"""How long a statement waits for another process's lock."""
_PAUSE_MS = 10


def load_queries() -> Mapping[str, str]:
    """Return the statements of queries.sql by name."""
    return named_statements(files(__package__).joinpath("queries.sql").read_text("utf-8"))


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the write lock from the start; commit at the end, roll back when anything raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise


class Database:
    """Runs functions on the writer's connection, one at a time, and on readers' connections, `readers` at a time."""

    def __init__(self, path: Path, *, durability: Literal["process", "full"], readers: int) -> None:
        self.path = path
        self._synchronous = "FULL" if durability == "full" else "NORMAL"
        self._readers = readers
        self._write_thread: ThreadPoolExecutor | None = None
        self._read_threads: ThreadPoolExecutor | None = None
        self._writer: sqlite3.Connection | None = None
        self._idle: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._session = asyncio.Lock()

    async def open(self) -> None:
        """Make the file if need be, readable by its owner only, and connect. Raises `StoreError`."""
        self._write_thread = ThreadPoolExecutor(1, "sqlite-writer")
        self._read_threads = ThreadPoolExecutor(self._readers, "sqlite-reader")
        try:
            await self._run(self._write_thread, self._connect)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish what was begun, fold the write-ahead log into the file and let go."""
        threads = (self._read_threads, self._write_thread)
        self._read_threads = self._write_thread = None
        for pool in threads:
            if pool is not None:
                await asyncio.to_thread(pool.shutdown)
        while not self._idle.empty():
            self._idle.get().close()
        if self._writer is not None:
            await asyncio.to_thread(self._writer.close)
            self._writer = None
            await asyncio.to_thread(end_generation, self.path)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on the writer's connection. Once begun it is finished, even if the caller is cancelled."""
        if not self._session.locked():
            return await self._on_writer(work)
        async with self._session:
            running = self._on_writer(work)
        return await running

    @asynccontextmanager
    async def session(self) -> AsyncIterator["Session"]:
        """Hold a transaction over several turns of the event loop: committed at the end, rolled back when anything raises.

        Every other write of this process waits for it.
        """
        async with self._session:
            session = Session(self._on_writer)
            try:
                await session.run(lambda connection: connection.execute("BEGIN IMMEDIATE"))
                yield session
            except BaseException:
                await _finished(session.close(_roll_back))
                raise
            await _finished(session.close(_commit))

    def _on_writer(self, work: Callable[[sqlite3.Connection], T]) -> Awaitable[T]:
        def run() -> T:
            assert self._writer is not None
            return work(self._writer)

        return self._run(self._write_thread, run)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on a reader's connection."""

        def run() -> T:
            connection = self._idle.get()
            try:
                return work(connection)
            finally:
                self._idle.put(connection)

        return await self._run(self._read_threads, run)

    def _run(self, pool: ThreadPoolExecutor | None, work: Callable[[], T]) -> Awaitable[T]:
        """Begin `work` after what the threads were given before; await what is returned."""
        if pool is None:
            raise StoreUnavailable(f"the store {self.path} is not open")
        return self._result(asyncio.get_running_loop().run_in_executor(pool, work))

    async def _result(self, running: Awaitable[T]) -> T:
        try:
            return await running
        except sqlite3.Error as fault:
            raise translate(fault, self.path) from fault

    def _connect(self) -> None:
        refuse_doubtful(self.path)
        try:
            if not self.path.exists():
                _create(self.path)
            os.close(os.open(self.path, os.O_RDWR | os.O_CLOEXEC))
        except FileNotFoundError as fault:
            raise StoreError(
                f"the directory {self.path.parent} does not exist: create it or set another `path`"
            ) from fault
        except OSError as fault:
            raise StoreError(
                f"{self.path} cannot be opened for writing ({fault.strerror}): the gateway's user must own the file and its "
                "directory"
            ) from fault
        self._writer = self._new_connection()
        self._pragma(self._writer, "PRAGMA journal_mode = WAL")
        begin_generation(self._writer, self.path)
        for _ in range(self._readers):
            connection = self._new_connection()
            connection.execute("PRAGMA query_only = ON")
            self._idle.put(connection)

    def _new_connection(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        self._pragma(connection, "PRAGMA synchronous = " + self._synchronous)
        self._pragma(connection, "PRAGMA foreign_keys = ON")
        return connection

    @staticmethod
    def _pragma(connection: sqlite3.Connection, statement: str) -> None:
        # Switching to WAL does not wait for other processes by itself.
        for left in reversed(range(BUSY_MS // _PAUSE_MS)):
            try:
                connection.execute(statement)
            except sqlite3.OperationalError as fault:
                if primary_code(fault) != sqlite3.SQLITE_BUSY or not left:
                    raise
                time.sleep(_PAUSE_MS / 1000)
            else:
                return


class Session:
    """A transaction that is open on the writer's connection."""

    def __init__(self, on_writer: Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]]) -> None:
        self._on_writer = on_writer
        self._ended = False

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the transaction. Raises `StoreError` once it has ended."""
        if self._ended:
            raise StoreError("the transaction has ended: use it in its block only")
        result: T = await self._on_writer(work)
        return result

    async def close(self, last: Callable[[sqlite3.Connection], Any]) -> None:
        """End it with `last`."""
        self._ended = True
        await self._on_writer(last)


def _create(path: Path) -> None:
    """Create the file with a header in it: one that is empty is doubted, by a process that starts at the same time too."""
    opened, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(opened)
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first
    except OSError:
        Path(draft).replace(path)  # a file system without hard links
    finally:
        Path(draft).unlink(missing_ok=True)


def _commit(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise


def _roll_back(connection: sqlite3.Connection) -> None:
    # SQLite has rolled back by itself after some errors (disk full).
    if connection.in_transaction:
        connection.execute("ROLLBACK")


async def _finished(work: Awaitable[None]) -> None:
    """Finish `work` even if the caller is cancelled meanwhile; the cancellation follows after."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def rows(connection: sqlite3.Connection, sql: str, **values: Any) -> list[Any]:
    """Return every row of a statement with named parameters."""
    return connection.execute(sql, values).fetchall()


def row(connection: sqlite3.Connection, sql: str, **values: Any) -> Any | None:
    """Return the first row, None if there is none."""
    return connection.execute(sql, values).fetchone()
