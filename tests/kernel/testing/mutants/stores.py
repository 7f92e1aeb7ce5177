"""What is wrong with other stores, tables and job queues than the builtin ones, which are right."""

from contextlib import asynccontextmanager
from typing import Any, ClassVar

import msgspec
import pytest_asyncio
from msgspec.structs import replace

from switchgear.ambient import Ambient
from switchgear.errors import StoreConflict
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.jobs_suite import JobQueueSuite
from switchgear.testing.store_suite import StoreSuite
from switchgear.testing.tables_suite import MIGRATIONS, TablesSuite
from switchgear_plugins.memory.jobs import MemoryJobs
from switchgear_plugins.memory.store import MemoryStore
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore


class IgnoresVersions(MemoryStore):
    def _next_version(self, write, revision, at_us):
        return super()._next_version(msgspec.structs.replace(write, expect=None), revision, at_us)


class SharesKeys(MemoryStore):
    def _check_keys(self, batch, names):
        pass


class LeavesDanglingReferences(MemoryStore):
    def _check_references(self, batch, names):
        pass


class LosesRecords(MemoryStore):
    async def write(self, batch, *, at_us, replay=None, records=()):
        return await super().write(batch, at_us=at_us, replay=replay)


class SplitsRevisions(MemoryStore):
    async def changes(self, after, *, limit=1000):
        return (await super().changes(after, limit=10_000))[:limit]


class HalfABatch(MemoryStore):
    async def write(self, batch, *, at_us, replay=None, records=()):
        if len(batch) < 2:
            return await super().write(batch, at_us=at_us, replay=replay, records=records)
        return [document for write in batch for document in await self.write([write], at_us=at_us)]


class LeasesToAll(MemoryStore):
    async def lease(self, name, holder, ttl_s):
        return True


class NumbersChanges(MemoryStore):
    async def changes(self, after, *, limit=1000):
        found = await super().changes(after, limit=limit)
        return [replace(it, deleted=False) for it in found]


class TestRight(StoreSuite):
    made: ClassVar[type[MemoryStore]] = MemoryStore

    @pytest_asyncio.fixture
    async def store(self):
        store = self.made()
        await store.open()
        yield store
        await store.close()


class GivesTwice(MemoryJobs):
    async def take(self, kind, worker, *, lease_s, limit):
        taken = await super().take(kind, worker, lease_s=lease_s, limit=limit)
        for job in taken:
            self._jobs[job.id] = msgspec.structs.replace(job, due_us=0)
        return taken


class TriesForEver(MemoryJobs):
    async def take(self, kind, worker, *, lease_s, limit):
        for job in self._open(kind):
            self._jobs[job.id] = msgspec.structs.replace(job, max_tries=99)
        return await super().take(kind, worker, lease_s=lease_s, limit=limit)


class ForgetsKeys(MemoryJobs):
    async def enqueue(self, kind, payload, *, key=None, **rest):
        return await super().enqueue(kind, payload, **rest)


class TrustsTheDead(MemoryJobs):
    """Lets a worker end a job that is another's now."""

    def _own(self, id, worker):
        return self._jobs.get(id) if id in self._workers else None


class NeverCancels(MemoryJobs):
    async def cancel(self, id):
        job = self._jobs.get(id)
        return job is not None and job.ended_us is None


class TestRightJobs(JobQueueSuite):
    made: ClassVar[type[MemoryJobs]] = MemoryJobs

    async def pass_time(self, seconds):
        type(self).ambient.advance(seconds)

    @pytest_asyncio.fixture
    async def queue(self):
        type(self).ambient = FixedAmbient()
        return self.made(self.ambient)


class AroundTables:
    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def transaction(self):
        return self.inner.transaction()


class CommitsWhatRaises(AroundTables):
    @asynccontextmanager
    async def transaction(self):
        raised = None
        async with self.inner.transaction() as t:
            try:
                yield t
            except ZeroDivisionError as error:
                raised = error
        if raised is not None:
            raise raised


class KeepsConflicts(AroundTables):
    """Lets a constraint that does not hold pass unheard."""

    @asynccontextmanager
    async def transaction(self):
        try:
            async with self.inner.transaction() as t:
                yield t
        except StoreConflict:
            return


class Unserialised(AroundTables):
    """Reads before it has the right to write."""

    @asynccontextmanager
    async def transaction(self):
        before = await self.inner.query("accounts")
        async with self.inner.transaction() as t:
            yield Before(t, {row["id"]: row for row in before})


class Before:
    def __init__(self, inner: Any, rows: dict[str, Any]) -> None:
        self.inner, self.rows = inner, rows

    async def execute(self, name, **values):
        return await self.inner.execute(name, **values)

    async def query(self, name, **values):
        return (
            [{"balance": self.rows[values["id"]]["balance"]}]
            if name == "balance"
            else await self.inner.query(name, **values)
        )


class TestRightTables(TablesSuite):
    around: ClassVar[type[AroundTables]] = AroundTables

    @pytest_asyncio.fixture
    async def store(self, tmp_path):
        store = SqliteStore(SqliteSettings(), tmp_path, Ambient())
        await store.open(MIGRATIONS)
        made = store.tables
        store.tables = lambda namespace: self.around(made(namespace))
        yield store
        await store.close()
        for file in tmp_path.iterdir():
            file.unlink()


MUTANTS = (
    (
        TestRight,
        "made",
        (
            IgnoresVersions, SharesKeys, LeavesDanglingReferences, LosesRecords, SplitsRevisions, HalfABatch, LeasesToAll,
            NumbersChanges,
        ),
    ),
    (TestRightJobs, "made", (GivesTwice, TriesForEver, ForgetsKeys, TrustsTheDead, NeverCancels)),
    (TestRightTables, "around", (CommitsWhatRaises, KeepsConflicts, Unserialised)),
)  # fmt: skip
