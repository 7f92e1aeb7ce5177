"""The store over SQLite: one file, nothing to install."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from switchgear.ambient import Ambient
from switchgear.contracts.rollups import Rollup, from_hours, hours_of, merged, named, paths_of
from switchgear.contracts.store import (
    Aggregate,
    Change,
    Document,
    MigrationState,
    RecordQuery,
    RecordRow,
    Replay,
    TableRows,
    Write,
)
from switchgear.contracts.store_rules import LAST_CHARACTER
from switchgear.contracts.tables import Tables
from switchgear.errors import StoreError
from switchgear.migrate import Migration, core_migrations, migrate, of_plugins, status
from switchgear_plugins.sqlite.backup import back_up, restore
from switchgear_plugins.sqlite.database import Database, load_queries, row, rows, transaction
from switchgear_plugins.sqlite.documents import write_batch
from switchgear_plugins.sqlite.hours import Hours
from switchgear_plugins.sqlite.jobs import SqliteJobs
from switchgear_plugins.sqlite.migrations import SqliteMigrations
from switchgear_plugins.sqlite.moving import load, unload
from switchgear_plugins.sqlite.records import Appends, append_statements, bounds, groups, json_path
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.tables import SqliteTables

_COUNT = 3
"""Where a summary's line has its count, behind three members to group by."""
_POLL_S = 0.5
_LAST_VERSION = 2**62


class SqliteStore:
    """The `Store` contract over the standard library's sqlite3.

    Reads run in reader threads, writes in one writer thread, a transaction each.
    """

    def __init__(self, settings: SqliteSettings, data_dir: Path, ambient: Ambient) -> None:
        path = Path(settings.path) if settings.path is not None else data_dir / "switchgear.db"
        self._database = Database(path, durability=settings.durability, readers=settings.readers)
        self._ambient = ambient
        self._queries = load_queries()
        self.jobs = SqliteJobs(self._database, self._queries, ambient)
        """The jobs in the same file; usable while the store is open."""
        self._plugin_migrations: list[Migration] = []
        self._statements: Mapping[str, Mapping[str, str]] = {}
        self._changed = asyncio.Event()
        self._rollups: list[Rollup] = []
        self._hours = Hours(self._queries, ambient.monotonic)
        self._appends = append_statements(self._queries["append"])

    async def open(self, migrations: Sequence[tuple[str, Path]] = ()) -> None:
        """Connect and migrate."""
        self._plugin_migrations, self._statements = of_plugins(migrations, "sqlite")
        await self._database.open()
        try:
            await self._database.write(self._migrate)
            self._rollups = await self._database.read(self._read_rollups)
            self._hours.keep(self._rollups)
        except BaseException:
            await self._database.close()
            raise

    async def migration_status(self, migrations: Sequence[tuple[str, Path]] = ()) -> list[MigrationState]:
        """Return every migration and whether it is applied, without applying any or keeping the store open."""
        self._plugin_migrations, _ = of_plugins(migrations, "sqlite")
        await self._database.open()
        try:
            return await self._database.read(
                lambda connection: status(SqliteMigrations(connection, self._queries).applied(), self._migrations())
            )
        finally:
            await self._database.close()

    async def backup(self, to: Path) -> int:
        """Copy it into a new file."""
        return await asyncio.to_thread(back_up, self._database.path, to)

    async def restore(
        self, source: Path, migrations: Sequence[tuple[str, Path]] = (), *, over_newer: bool = False
    ) -> Path | None:
        """Check a backup and put it in the file's place."""
        self._plugin_migrations, _ = of_plugins(migrations, "sqlite")
        now, path = self._ambient.now_us(), self._database.path
        return await asyncio.to_thread(restore, path, source, self._judge, over_newer=over_newer, at_us=now)

    def unload(self) -> Iterator[TableRows]:
        """Yield every table."""
        return unload(self._database.path, self._queries)

    def load(self, tables: Iterable[TableRows]) -> Mapping[str, int]:
        """Fill the tables of an empty file."""
        return load(self._database.path, self._queries, tables)

    def _judge(self, connection: sqlite3.Connection) -> int:
        found = status(SqliteMigrations(connection, self._queries).applied(), self._migrations())
        if all(line.state == "pending" for line in found):
            raise StoreError("this is a database, and not one of Switchgear's: name a backup of its store")
        if unknown := [line for line in found if line.state == "unknown"]:
            newest = f"{unknown[-1].namespace}/{unknown[-1].number:04d}_{unknown[-1].name}"
            raise StoreError(f"it is newer than this code (migration {newest}): install the version that wrote it")
        revision: int = rows(connection, self._queries["revision"])[0][0]
        return revision

    async def close(self) -> None:
        """Finish what was begun and let go."""
        await self._database.close()

    async def ping(self) -> None:
        """Prove that the file can be read."""
        await self._database.read(lambda connection: row(connection, self._queries["ping"]))

    async def try_write(self) -> None:
        """Prove that the file can be written: a page of it is, with what it holds."""

        def work(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                connection.execute(f"PRAGMA user_version = {int(version)}")

        await self._database.write(work)

    async def read(self, kind: str, id: str) -> Document | None:
        """Return the current version."""
        return _first(await self._documents("read", kind=kind, id=id))

    async def lookup(self, index: str, value: str) -> Document | None:
        """Return the document that holds a unique key."""
        return _first(await self._documents("lookup", key_index=index, value=value))

    async def search(
        self, index: str, prefix: str, *, limit: int = 100, naming: tuple[str, str] | None = None
    ) -> list[Document]:
        """Return the documents that hold a unique key which begins so."""
        span = {"key_index": index, "prefix": prefix, "beyond": prefix + LAST_CHARACTER, "limit": limit}
        if naming is None:
            return await self._documents("search", **span)
        return await self._documents("search_naming", **span, to_kind=naming[0], to_id=naming[1])

    async def page(
        self, kind: str, *, after: str = "", limit: int = 100, naming: tuple[str, str] | None = None
    ) -> list[Document]:
        """Return current documents of a kind in id order."""
        if naming is None:
            return await self._documents("page", kind=kind, after=after, limit=limit)
        return await self._documents(
            "page_naming", kind=kind, after=after, limit=limit, to_kind=naming[0], to_id=naming[1]
        )

    async def versions(self, kind: str, id: str, *, before: int | None = None, limit: int = 100) -> list[Document]:
        """Return versions newest first."""
        return await self._documents("versions", kind=kind, id=id, before=_or(before, _LAST_VERSION), limit=limit)

    async def write(
        self,
        batch: Sequence[Write],
        *,
        at_us: int,
        replay: Replay | None = None,
        records: Sequence[tuple[str, RecordRow]] = (),
    ) -> list[Document]:
        """Write all or nothing."""

        def work(connection: sqlite3.Connection) -> list[Document]:
            kinds = dict.fromkeys(kind for kind, _ in records)
            appends = [self._bound(kind, [row for its, row in records if its == kind]) for kind in kinds]
            with transaction(connection):
                written = write_batch(connection, self._queries, batch, at_us, replay)
                new = [append.run(connection) for append in appends]
            for append, count in zip(appends, new, strict=True):
                self._hours.add(connection, append, count)
            return written

        documents = await self._database.write(work)
        if documents:
            self._changed.set()
            self._changed = asyncio.Event()
        return documents

    async def recall(self, scope: str, key: str) -> Replay | None:
        """Return the remembered answer of an Idempotency-Key."""
        found = await self._rows("recall", scope=scope, key=key)
        return Replay(*found[0]) if found else None

    async def forget(self, before_us: int) -> int:
        """Drop remembered answers older than `before_us`."""

        def work(connection: sqlite3.Connection) -> int:
            with transaction(connection):
                return connection.execute(self._queries["forget"], {"before_us": before_us}).rowcount

        return await self._database.write(work)

    async def references_to(self, kind: str, id: str, *, limit: int = 20) -> list[tuple[str, str]]:
        """Return the (kind, id) of documents that name this one."""
        return await self._rows("references_to", kind=kind, id=id, limit=limit)

    async def revision(self) -> int:
        """Return the global revision."""
        found: int = (await self._rows("revision"))[0][0]
        return found

    async def changes(self, after: int, *, limit: int = 1000) -> list[Change]:
        """Return the change feed; it may pass `limit` to end with a whole revision."""
        found = await self._rows("changes", after=after, limit=limit)
        return [Change(revision, kind, id, bool(deleted), *rest) for revision, kind, id, deleted, *rest in found]

    async def wait_for_change(self, revision: int, timeout_s: float) -> int:
        """Return once there is more: at once for writes of this process, within half a second for those of others."""
        until = asyncio.get_running_loop().time() + timeout_s
        while True:
            changed = self._changed
            now = await self.revision()
            left = until - asyncio.get_running_loop().time()
            if now > revision or left <= 0:
                return now
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, _POLL_S)):
                    await changed.wait()

    async def lease(self, name: str, holder: str, ttl_s: float) -> bool:
        """Take or renew a lease."""
        now_us = self._ambient.now_us()
        values = {"name": name, "holder": holder, "now_us": now_us, "expires_us": now_us + int(ttl_s * 1e6)}

        def work(connection: sqlite3.Connection) -> bool:
            return connection.execute(self._queries["lease"], values).rowcount > 0

        return await self._database.write(work)

    async def release(self, name: str, holder: str) -> None:
        """Give a lease back."""
        values = {"name": name, "holder": holder}
        await self._database.write(lambda connection: connection.execute(self._queries["release"], values))

    def tables(self, namespace: str) -> Tables:
        """Return the tables of a plugin."""
        statements = self._statements.get(namespace)
        if statements is None:
            raise StoreError(f"plugin `{namespace}` has no tables: it brings none with `switchgear_migrations`")
        return SqliteTables(namespace, statements, self._database)

    async def append(self, kind: str, rows: Sequence[RecordRow]) -> int:
        """Append records, ignoring those that are there already."""

        def work(connection: sqlite3.Connection) -> int:
            appends = self._bound(kind, rows)
            if appends.is_one:
                new = appends.run(connection)
            else:
                with transaction(connection):
                    new = appends.run(connection)
            self._hours.add(connection, appends, new)
            return new

        return await self._database.write(work)

    def _bound(self, kind: str, rows: Sequence[RecordRow]) -> Appends:
        return Appends(self._appends, kind, rows, self._hours.decoder(kind))

    async def expire(self, kind: str, before_us: int, *, limit: int = 1000) -> int:
        """Delete the oldest records of a kind that are older than `before_us`."""

        def work(connection: sqlite3.Connection) -> int:
            values = {"kind": kind, "before_us": before_us, "limit": limit}
            with transaction(connection):
                connection.execute(self._queries["expire_hours"], {"kind": kind, "before_us": before_us})
                return connection.execute(self._queries["expire"], values).rowcount

        return await self._database.write(work)

    async def scan(self, query: RecordQuery) -> list[RecordRow]:
        """Return records that match, newest first."""
        found = await self._rows("scan", **bounds(query))
        decoded = msgspec.json.decode(found[0][0], type=list[tuple[str, int, str]])
        return [RecordRow(id, at_us, body.encode()) for id, at_us, body in decoded]

    async def summarise(self, query: RecordQuery, by: Sequence[str], sums: Sequence[str]) -> list[Aggregate]:
        """Group matching records and add up integer members."""
        return await self._summarise(query, by, sums, self._rollups)

    async def _summarise(
        self, query: RecordQuery, by: Sequence[str], sums: Sequence[str], rollups: Sequence[Rollup]
    ) -> list[Aggregate]:
        plan = from_hours(rollups, query, by, sums)
        if plan is None:
            found = await self._rows("summarise", **bounds(query), **groups(by, sums))
            return _aggregates(found, by, range(len(sums)))
        await self._database.write(self._hours.write)
        hours = await self._rows("summarise_hours", **hours_of(plan, query, by))
        parts = [_aggregates(hours, by, [plan.rollup.sums.index(name) for name in sums])]
        for since_us, until_us in plan.edges:
            edge = msgspec.structs.replace(query, since_us=since_us, until_us=until_us)
            parts.append(await self._summarise(edge, by, sums, plan.finer(rollups)))
        return merged(parts, query.limit)

    async def roll_up(self, kind: str, rollups: Sequence[Rollup]) -> None:
        """Keep these sums of a kind, and no others."""
        wanted = {rollup.name: rollup for rollup in rollups}
        kept = {rollup.name for rollup in self._rollups if rollup.kind == kind}
        if kept == wanted.keys():
            return

        def work(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                up_to = self._hours.catch_up(connection)
                there = {name for of, name, *_ in rows(connection, self._queries["rollups"]) if of == kind}
                for name in there - wanted.keys():
                    connection.execute(self._queries["drop_rollup"], {"kind": kind, "name": name})
                    connection.execute(self._queries["drop_hours"], {"kind": kind, "name": name})
                for name in wanted.keys() - there:
                    connection.execute(self._queries["add_rollup"], paths_of(wanted[name], json_path))
                    self._hours.begin(connection, wanted[name], up_to)
                self._rollups = self._read_rollups(connection)
            self._hours.caught_up()
            self._hours.keep(self._rollups)

        await self._database.write(work)

    def _read_rollups(self, connection: sqlite3.Connection) -> list[Rollup]:
        return [named(kind, name) for kind, name, *_ in rows(connection, self._queries["rollups"])]

    async def _rows(self, name: str, **values: Any) -> list[Any]:
        return await self._database.read(lambda connection: rows(connection, self._queries[name], **values))

    async def _documents(self, name: str, **values: Any) -> list[Document]:
        return [Document(*(*line[:9], bool(line[9]))) for line in await self._rows(name, **values)]

    def _migrations(self) -> list[Migration]:
        return [*core_migrations("sqlite"), *self._plugin_migrations]

    def _migrate(self, connection: sqlite3.Connection) -> None:
        migrate(SqliteMigrations(connection, self._queries), self._migrations(), at_us=self._ambient.now_us())


def _first(documents: list[Document]) -> Document | None:
    return documents[0] if documents else None


def _aggregates(lines: Sequence[Any], by: Sequence[str], places: Sequence[int]) -> list[Aggregate]:
    return [
        Aggregate(line[: len(by)], line[_COUNT], tuple(line[_COUNT + 1 + place] for place in places)) for line in lines
    ]


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
