"""The store in PostgreSQL: the suites of all stores, and what is its own: several processes, and a server that is away."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from support.postgres_server import new_database, postgres_url
from switchgear.ambient import Ambient
from switchgear.contracts.jobs import Job, JobQueue
from switchgear.contracts.store import RecordQuery, RecordRow, Store, Write
from switchgear.errors import ConfigError, StoreError, StoreUnavailable
from switchgear.testing.jobs_suite import JobQueueSuite
from switchgear.testing.store_suite import StoreSuite
from switchgear.testing.tables_suite import MIGRATIONS, TablesSuite
from switchgear_plugins.postgres import jobs
from switchgear_plugins.postgres.settings import PostgresSettings
from switchgear_plugins.postgres.store import PostgresStore

PATIENT_S = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_url() as url:
        yield url


@pytest.fixture
def url(server: str) -> Iterator[str]:
    with new_database(server) as found:
        yield found


def new_store(url: str) -> PostgresStore:
    return PostgresStore(PostgresSettings(url, connect=PATIENT_S), Ambient())


class TestPostgresStore(StoreSuite):
    @pytest.fixture
    async def store(self, url: str) -> AsyncIterator[Store]:
        store = new_store(url)
        await store.open()
        yield store
        await store.close()


class TestPostgresTables(TablesSuite):
    @pytest.fixture
    async def store(self, url: str) -> AsyncIterator[Store]:
        store = new_store(url)
        await store.open(MIGRATIONS)
        yield store
        await store.close()


class TestPostgresJobs(JobQueueSuite):
    @pytest.fixture
    async def queue(self, url: str) -> AsyncIterator[JobQueue]:
        store = new_store(url)
        await store.open()
        yield store.jobs
        await store.close()


@pytest.fixture
async def two(url: str) -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    one, other = new_store(url), new_store(url)
    await asyncio.gather(one.open(), other.open())
    yield one, other
    await one.close()
    await other.close()


def put(id: str) -> list[Write]:
    return [Write("red", id, b"{}")]


async def test_a_change_is_announced_to_the_others(two: tuple[PostgresStore, PostgresStore]) -> None:
    one, other = two
    waiting = asyncio.create_task(other.wait_for_change(0, PATIENT_S))
    await one.write(put("a"), at_us=1)
    async with asyncio.timeout(4.0):  # less than what is looked for unasked
        assert 1 == await waiting


async def test_a_job_that_another_process_adds_is_announced(
    two: tuple[PostgresStore, PostgresStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_LOOK_S", 3600.0)

    async def taken() -> Job:
        while not (found := await two[1].jobs.take("k", "w", lease_s=60.0, limit=1)):
            await two[1].jobs.wait("k", 3600.0)
        return found[0]

    taking = asyncio.create_task(taken())
    await asyncio.sleep(0.1)
    added = await two[0].jobs.enqueue("k", b"x")
    async with asyncio.timeout(60):
        assert added.id == (await taking).id


async def test_writers_of_several_processes_make_one_row_of_revisions(two: tuple[PostgresStore, PostgresStore]) -> None:
    found = await asyncio.gather(*(two[n % 2].write(put(f"{n}"), at_us=1) for n in range(40)))
    assert [*range(1, 41)] == sorted(document.revision for [document] in found)
    assert 40 == len(await two[0].changes(0))


async def test_who_waits_for_a_turn_to_write_keeps_no_reader_waiting(two: tuple[PostgresStore, PostgresStore]) -> None:
    one, other = two
    async with one._database.writer():
        writes = [asyncio.create_task(other.write(put(f"{n}"), at_us=1)) for n in range(30)]
        await asyncio.sleep(0)
        assert 0 == await other.revision()
        assert 1 == await other.append("usage", [RecordRow("a", 1, b"{}")])
    assert 30 == len(await asyncio.gather(*writes))


@pytest.mark.parametrize("body", [rb'{"a":"x\u0000y","n":1}', rb'{"a":"\uD83D\uDE00","n":1}'])
async def test_texts_that_postgres_has_none_of_are_kept_and_found(
    two: tuple[PostgresStore, PostgresStore], body: bytes
) -> None:
    store, _ = two
    await store.append("usage", [RecordRow("a", 1, body), RecordRow("b", 2, b'{"a":"z","n":2}')])
    assert body == (await store.scan(RecordQuery("usage", equals={"n": 1})))[0].body
    assert 2 == len(await store.summarise(RecordQuery("usage"), ["a"], ["n"]))
    assert [] == await store.scan(RecordQuery("usage", equals={"a": "x\0"}))


async def test_connections_that_are_cut_are_made_again(
    two: tuple[PostgresStore, PostgresStore], server: str, url: str
) -> None:
    store, _ = two
    await store.write(put("a"), at_us=1)
    name = psycopg.conninfo.conninfo_to_dict(url)["application_name"]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", [name])
    assert 1 == await store.revision()
    await store.write(put("b"), at_us=2)


async def test_a_server_that_is_not_there_is_told_in_its_own_words(tmp_path: Path) -> None:
    store = PostgresStore(PostgresSettings(f"postgresql://nobody@/none?host={tmp_path}", connect=2.0), Ambient())
    with pytest.raises(StoreUnavailable, match="No such file"):
        await store.open()
    with pytest.raises(StoreUnavailable):
        await store.ping()


async def test_a_plugin_without_tables_for_it_is_named(url: str, tmp_path: Path) -> None:
    (tmp_path / "sqlite").mkdir()
    with pytest.raises(StoreError, match="`lacking`"):
        await new_store(url).open([("lacking", tmp_path)])


async def test_what_is_applied_is_told(url: str) -> None:
    store = new_store(url)
    assert {"pending"} == {line.state for line in await store.migration_status()}
    await store.open()
    await store.close()
    assert {"applied"} == {line.state for line in await store.migration_status()}


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="url"):
        new_store("postgresql://x y:?z")
