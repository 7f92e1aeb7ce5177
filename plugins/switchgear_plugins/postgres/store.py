"""The store over PostgreSQL: for any number of gateways."""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from msgspec.structs import replace

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
from switchgear_plugins.postgres.database import (
    CHANGES,
    JOBS,
    Database,
    Pool,
    Rows,
    execute,
    load_queries,
    rows,
    translated,
)
from switchgear_plugins.postgres.documents import Batch
from switchgear_plugins.postgres.jobs import PostgresJobs
from switchgear_plugins.postgres.migrations import PostgresMigrations
from switchgear_plugins.postgres.moving import load, unload
from switchgear_plugins.postgres.records import bounds, groups, path_of, rows_of
from switchgear_plugins.postgres.settings import PostgresSettings
from switchgear_plugins.postgres.tables import PostgresTables

_LOOK_S = 5.0
"""How long a change may go unseen if its announcement was lost."""
_LAST_VERSION = 2**62
_COUNT = 3
"""Where a summary's line has its count, behind three members to group by."""


class PostgresStore:
    """The `Store` contract over psycopg.

    Writers hold one lock of the database, so that revisions follow one another as they are committed. Changes are announced,
    and a connection of its own listens.
    """

    def __init__(self, settings: PostgresSettings, ambient: Ambient) -> None:
        self._queries = load_queries()
        self._database = Database(settings, self._queries)
        self._ambient = ambient
        self.jobs = PostgresJobs(self._database, self._queries, ambient)
        """The jobs in the same database; usable while the store is open."""
        self._plugin_migrations: list[Migration] = []
        self._statements: Mapping[str, Mapping[str, str]] = {}
        self._changed = asyncio.Event()
        self._rollups: list[Rollup] = []
        self._listening: asyncio.Task[None] | None = None

    async def open(self, migrations: Sequence[tuple[str, Path]] = ()) -> None:
        """Connect and migrate."""
        self._plugin_migrations, self._statements = of_plugins(migrations, "postgres")
        await self._database.open()
        try:
            await asyncio.to_thread(self._migrate)
            await self._read_rollups()
        except BaseException:
            await self._database.close()
            raise
        self._listening = asyncio.create_task(self._database.listen({CHANGES: self._tell, JOBS: self.jobs.heard}))

    async def migration_status(self, migrations: Sequence[tuple[str, Path]] = ()) -> list[MigrationState]:
        """Return every migration and whether it is applied, without applying any or keeping the store open."""
        self._plugin_migrations, _ = of_plugins(migrations, "postgres")
        return await asyncio.to_thread(self._migration_status)

    def unload(self) -> Iterator[TableRows]:
        """Yield every table."""
        return unload(self._database.url, self._database.options, self._queries)

    def load(self, tables: Iterable[TableRows]) -> Mapping[str, int]:
        """Fill the tables of an empty database."""
        return load(self._database.url, self._database.options, self._queries, tables)

    async def close(self) -> None:
        """Finish what was begun and let go."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})
            self._listening = None
        await self._database.close()

    async def ping(self) -> None:
        """Prove that the database answers."""
        await self._rows("ping")

    async def try_write(self) -> None:
        """Prove that the database can be written."""
        await self._database.execute(self._queries["probe"])

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
            return await self._documents("page", "admin", kind=kind, after=after, limit=limit)
        return await self._documents(
            "page_naming", "admin", kind=kind, after=after, limit=limit, to_kind=naming[0], to_id=naming[1]
        )

    async def versions(self, kind: str, id: str, *, before: int | None = None, limit: int = 100) -> list[Document]:
        """Return versions newest first."""
        most = _LAST_VERSION if before is None else before
        return await self._documents("versions", "admin", kind=kind, id=id, before=most, limit=limit)

    async def write(
        self,
        batch: Sequence[Write],
        *,
        at_us: int,
        replay: Replay | None = None,
        records: Sequence[tuple[str, RecordRow]] = (),
    ) -> list[Document]:
        """Write all or nothing."""
        kinds = dict.fromkeys(kind for kind, _ in records)
        appends = [rows_of(kind, [row for its, row in records if its == kind]) for kind in kinds]
        async with self._database.writer() as connection:
            documents = await Batch(connection, self._queries).write(batch, at_us, replay)
            for append in appends:
                await execute(connection, self._queries["append"], append)
            if documents:
                await execute(connection, self._queries["announce"], {"revision": documents[0].revision})
        if documents:
            self._tell()
        return documents

    async def recall(self, scope: str, key: str) -> Replay | None:
        """Return the remembered answer of an Idempotency-Key."""
        found = await self._rows("recall", scope=scope, key=key)
        return Replay(*found[0]) if found else None

    async def forget(self, before_us: int) -> int:
        """Drop remembered answers older than `before_us`."""
        return await self._database.execute(self._queries["forget"], {"before_us": before_us})

    async def references_to(self, kind: str, id: str, *, limit: int = 20) -> list[tuple[str, str]]:
        """Return the (kind, id) of documents that name this one."""
        found = await self._rows("references_to", "admin", kind=kind, id=id, limit=limit)
        return [(its_kind, its_id) for its_kind, its_id in found]

    async def revision(self) -> int:
        """Return the global revision."""
        [[found]] = await self._rows("revision")
        return int(found)

    async def changes(self, after: int, *, limit: int = 1000) -> list[Change]:
        """Return the change feed; it may pass `limit` to end with a whole revision."""
        return [Change(*line) for line in await self._rows("changes", after=after, limit=limit)]

    async def wait_for_change(self, revision: int, timeout_s: float) -> int:
        """Return once there is more: at once for writes of this process, as soon as they are announced for those of others."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        while True:
            changed = self._changed
            now = await self.revision()
            left = until - loop.time()
            if now > revision or left <= 0:
                return now
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, _LOOK_S)):
                    await changed.wait()

    async def lease(self, name: str, holder: str, ttl_s: float) -> bool:
        """Take or renew a lease."""
        now_us = self._ambient.now_us()
        values = {"name": name, "holder": holder, "now_us": now_us, "expires_us": now_us + int(ttl_s * 1e6)}
        return await self._database.execute(self._queries["lease"], values) > 0

    async def release(self, name: str, holder: str) -> None:
        """Give a lease back."""
        await self._database.execute(self._queries["release"], {"name": name, "holder": holder})

    def tables(self, namespace: str) -> Tables:
        """Return the tables of a plugin."""
        statements = self._statements.get(namespace)
        if statements is None:
            raise StoreError(f"plugin `{namespace}` has no tables: it brings none with `switchgear_migrations`")
        return PostgresTables(namespace, statements, self._database)

    async def append(self, kind: str, rows: Sequence[RecordRow]) -> int:
        """Append records, ignoring those that are there already."""
        return await self._database.execute(self._queries["append"], rows_of(kind, rows), pool="ledger") if rows else 0

    async def expire(self, kind: str, before_us: int, *, limit: int = 1000) -> int:
        """Delete the oldest records of a kind that are older than `before_us`."""
        values = {"kind": kind, "before_us": before_us, "limit": limit}
        hours = {"kind": kind, "before_us": before_us}
        await self._database.execute(self._queries["expire_hours"], hours, pool="ledger")
        return await self._database.execute(self._queries["expire"], values, pool="ledger")

    async def scan(self, query: RecordQuery) -> list[RecordRow]:
        """Return records that match, newest first."""
        found = await self._rows("scan", "admin", **bounds(query))
        return [RecordRow(id, at_us, body.encode()) for id, at_us, body in found]

    async def summarise(self, query: RecordQuery, by: Sequence[str], sums: Sequence[str]) -> list[Aggregate]:
        """Group matching records and add up integer members."""
        return await self._summarise(query, by, sums, self._rollups)

    async def _summarise(
        self, query: RecordQuery, by: Sequence[str], sums: Sequence[str], rollups: Sequence[Rollup]
    ) -> list[Aggregate]:
        plan = from_hours(rollups, query, by, sums)
        if plan is None:
            found = await self._rows("summarise", "admin", **bounds(query), **groups(by, sums))
            return _aggregates(found, by, range(len(sums)))
        hours = await self._rows("summarise_hours", "admin", **hours_of(plan, query, by))
        parts = [_aggregates(hours, by, [plan.rollup.sums.index(name) for name in sums])]
        for since_us, until_us in plan.edges:
            edge = replace(query, since_us=since_us, until_us=until_us)
            parts.append(await self._summarise(edge, by, sums, plan.finer(rollups)))
        return merged(parts, query.limit)

    async def roll_up(self, kind: str, rollups: Sequence[Rollup]) -> None:
        """Keep these sums of a kind, and no others."""
        wanted = {rollup.name: rollup for rollup in rollups}
        if {rollup.name for rollup in self._rollups if rollup.kind == kind} == wanted.keys():
            return
        async with self._database.writer() as connection:
            await execute(connection, self._queries["lock_records"])
            there = {name for of, name, *_ in await rows(connection, self._queries["rollups"]) if of == kind}
            for name in there - wanted.keys():
                await execute(connection, self._queries["drop_rollup"], {"kind": kind, "name": name})
                await execute(connection, self._queries["drop_hours"], {"kind": kind, "name": name})
            for name in wanted.keys() - there:
                await execute(connection, self._queries["unhurried"])
                await execute(connection, self._queries["add_rollup"], paths_of(wanted[name], path_of))
                await execute(connection, self._queries["roll_up_all"], {"kind": kind, "name": name})
        await self._read_rollups()

    async def _read_rollups(self) -> None:
        self._rollups = [named(kind, name) for kind, name, *_ in await self._rows("rollups")]

    async def _rows(self, statement: str, pool: Pool = "main", /, **values: Any) -> Rows:
        return await self._database.rows(self._queries[statement], values or None, pool=pool)

    async def _documents(self, statement: str, pool: Pool = "main", /, **values: Any) -> list[Document]:
        return [Document(*line) for line in await self._rows(statement, pool, **values)]

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _migrations(self) -> list[Migration]:
        return [*core_migrations("postgres"), *self._plugin_migrations]

    def _migrate(self) -> None:
        with translated(), psycopg.connect(self._database.url, **self._database.options) as connection:
            migrate(PostgresMigrations(connection, self._queries), self._migrations(), at_us=self._ambient.now_us())

    def _migration_status(self) -> list[MigrationState]:
        with translated(), psycopg.connect(self._database.url, **self._database.options) as connection:
            return status(PostgresMigrations(connection, self._queries).applied(), self._migrations())


def _aggregates(lines: Rows, by: Sequence[str], places: Sequence[int]) -> list[Aggregate]:
    return [
        Aggregate(
            line[: len(by)],
            line[_COUNT],
            tuple(None if (it := line[_COUNT + 1 + n]) is None else int(it) for n in places),
        )
        for line in lines
    ]


def _first(documents: list[Document]) -> Document | None:
    return documents[0] if documents else None
