import asyncio
import os
import re
import sqlite3
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from small_disk import small_disk
from support.stopwatch import Stopwatch
from switchgear.ambient import Ambient
from switchgear.contracts.rollups import Rollup
from switchgear.contracts.store import RecordQuery, RecordRow, Store, Write
from switchgear.errors import RecordRefused, StoreError, StoreUnavailable
from switchgear.testing.store_suite import StoreSuite
from switchgear.testing.tables_suite import MIGRATIONS, TablesSuite
from switchgear_plugins.sqlite import database
from switchgear_plugins.sqlite.database import load_queries
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore


class TestSqliteStore(StoreSuite):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        store = SqliteStore(SqliteSettings(), tmp_path, Ambient())
        await store.open()
        yield store
        await store.close()


class TestSqliteTables(TablesSuite):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        store = SqliteStore(SqliteSettings(), tmp_path, Ambient())
        await store.open(MIGRATIONS)
        yield store
        await store.close()


def new_store(directory, **settings):
    return SqliteStore(SqliteSettings(**settings), directory, Ambient())


def put(id, spec=b"{}"):
    return [Write("red", id, spec)]


FILES = ("switchgear.db", "switchgear.db-wal", "switchgear.db-shm", "switchgear.db-generation")


async def test_the_files_are_for_their_owner_only(tmp_path):
    before = os.umask(0)
    try:
        store = new_store(tmp_path)
        await store.open()
        await store.write(put("a"), at_us=1)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(FILES, 0o600)
    await store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["switchgear.db"]


@pytest.mark.parametrize(("durability", "synchronous"), [("process", 1), ("full", 2)])
async def test_connections_are_set_up_as_promised(tmp_path, durability, synchronous):
    store = new_store(tmp_path, durability=durability)
    await store.open()

    def settings(connection):
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await store._database.write(settings) == ["wal", synchronous, 1, 5000]
    assert await store._database.read(settings) == ["wal", synchronous, 1, 5000]
    with pytest.raises(StoreError):
        await store._database.read(lambda connection: connection.execute("DELETE FROM versions"))
    await store.close()


async def test_what_was_written_is_there_after_opening_again(tmp_path):
    store = new_store(tmp_path, path=str(tmp_path / "other.db"))
    await store.open()
    written = await store.write(put("a"), at_us=1)
    await store.close()
    assert (tmp_path / "other.db").exists()
    await store.open()
    assert written == await store.page("red")
    await store.close()


async def test_two_stores_on_one_file_see_each_other(tmp_path):
    first, second = new_store(tmp_path), new_store(tmp_path)
    await first.open()
    await second.open()
    outcomes = await asyncio.gather(
        *(store.write([Write("red", "a", b"{}", 0)], at_us=1) for store in (first, second) for _ in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, list) for outcome in outcomes) == 1
    assert await first.read("red", "a") == await second.read("red", "a")
    await first.close()
    await second.close()


async def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"directory .*nowhere does not exist: create it"):
        await new_store(tmp_path / "nowhere").open()


async def test_a_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "switchgear.db").mkdir()
    with pytest.raises(StoreError, match="cannot be opened for writing"):
        await new_store(tmp_path).open()


async def test_a_file_that_is_no_database_says_what_to_do(tmp_path):
    (tmp_path / "switchgear.db").write_bytes(b"not a database, only some text that is long enough to be read" * 20)
    with pytest.raises(StoreError, match="restore a backup"):
        await new_store(tmp_path).open()


async def test_a_damaged_file_says_what_to_do(tmp_path):
    store = new_store(tmp_path)
    await store.open()
    for n in range(200):
        await store.write(put(str(n), b'"' + b"x" * 3000 + b'"'), at_us=1)
    await store.close()
    path = tmp_path / "switchgear.db"
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    with pytest.raises(StoreError, match="restore a backup"):
        await store.open()
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.ping()


async def test_a_file_somebody_else_keeps_locked_is_unavailable_and_then_available(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_MS", 50)
    store = new_store(tmp_path)
    await store.open()
    other = sqlite3.connect(tmp_path / "switchgear.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="another process keeps"):
        await store.write(put("a"), at_us=1)
    await store.ping()
    other.execute("COMMIT")
    other.close()
    await store.write(put("a"), at_us=1)
    await store.close()


async def test_on_a_full_disk_writes_fail_whole_reads_work_and_writing_resumes(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        store = new_store(disk.path)
        await store.open()
        await store.write(put("a"), at_us=1)
        disk.fill(leave=4096)
        large = [Write("red", f"large-{n}", b'"' + b"x" * 20_000 + b'"') for n in range(10)]
        with pytest.raises(StoreUnavailable, match=r"free some|check the disk"):
            await store.write(large, at_us=2)
        with pytest.raises(StoreUnavailable):
            await store.append("usage", [RecordRow(str(n), n, b'{"pad":"%s"}' % (b"x" * 2000)) for n in range(100)])
        await store.ping()
        assert [document.id for document in await store.page("red")] == ["a"]
        assert await store.scan(RecordQuery("usage")) == []
        disk.empty()
        await store.write(large[:2], at_us=3)
        assert await store.revision() == 2
        await store.close()
        connection = sqlite3.connect(disk.path / "switchgear.db")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()


def migrations(directory, name, sql):
    """Write one migration of a plugin; return its directory."""
    folder = directory / "migrations" / "sqlite"
    folder.mkdir(parents=True)
    (folder / f"{name}.sql").write_text(sql)
    return folder.parent


async def test_a_newer_schema_refuses_to_open_and_leaves_the_file_closed(tmp_path):
    store = new_store(tmp_path)
    await store.open([("switchgear", migrations(tmp_path, "9999_newer", "CREATE TABLE newer (n INTEGER);\n"))])
    await store.close()
    old = new_store(tmp_path)
    with pytest.raises(StoreError, match="newer than this code"):
        await old.open()
    with pytest.raises(StoreUnavailable):
        await old.ping()


async def test_plugins_bring_migrations_and_status_shows_them(tmp_path):
    plugin = [("example", migrations(tmp_path, "0001_own", "CREATE TABLE example_own (n INTEGER);\n"))]
    store = new_store(tmp_path)
    assert {line.state for line in await store.migration_status()} == {"pending"}
    await store.open()
    await store.close()
    store = new_store(tmp_path)
    states = {line.namespace: line.state for line in await store.migration_status(plugin)}
    assert states == {"switchgear": "applied", "example": "pending"}
    await store.open(plugin)
    await store.close()
    assert {line.state for line in await store.migration_status(plugin)} == {"applied"}


async def test_sums_past_64_bits_are_an_error_not_a_wrong_number(tmp_path):
    store = new_store(tmp_path)
    await store.open()
    await store.append("usage", [RecordRow(str(n), n, b'{"n":9223372036854775807}') for n in range(2)])
    with pytest.raises(StoreError, match="overflow"):
        await store.summarise(RecordQuery("usage"), [], ["n"])
    await store.close()


async def test_a_record_whose_sums_cannot_be_read_is_refused_and_the_others_are_kept(tmp_path):
    store = new_store(tmp_path)
    await store.open()
    await store.roll_up("usage", [Rollup("usage", ("model",), ("tokens",))])
    good, bad = (
        RecordRow(id, 5, b'{"model":"m","tokens":%b}' % number) for id, number in (("1", b"7"), ("2", b"1e999"))
    )
    with pytest.raises(RecordRefused) as refused:
        await store.append("usage", [good, bad])
    assert refused.value.ids == ("2",)
    assert 1 == await store.append("usage", [good])
    [group] = await store.summarise(RecordQuery("usage"), ["model"], ["tokens"])
    assert (1, (7,)) == (group.count, tuple(group.sums))
    await store.close()


async def test_readers_go_on_while_a_write_waits(tmp_path):
    store = new_store(tmp_path)
    await store.open()
    await store.write(put("a"), at_us=1)
    other = sqlite3.connect(tmp_path / "switchgear.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(store.write(put("b"), at_us=2))
    for _ in range(20):
        assert await store.read("red", "a") is not None
    assert not waiting.done()
    other.execute("COMMIT")
    other.close()
    await waiting
    await store.close()


async def test_a_busy_event_loop_does_not_starve_appends(tmp_path):
    store = new_store(tmp_path)
    await store.open()
    rows = [RecordRow(str(n), n, b'{"n":1}') for n in range(2000)]
    append = asyncio.create_task(store.append("usage", rows))
    await asyncio.sleep(0)
    took = Stopwatch()
    while not append.done():
        # Compute for 5 ms at a time, as an event loop under load does.
        until = time.monotonic() + 0.005
        while time.monotonic() < until:
            pass
        await asyncio.sleep(0)
    # With a statement for each row every one of them waited for the interpreter's lock: 2 to 10 seconds.
    assert took.s < 1.5
    await store.close()


def test_every_query_is_used_and_none_is_formatted():
    folder = Path(database.__file__).parent
    code = "".join(path.read_text() for path in folder.glob("*.py"))
    for name, sql in load_queries().items():
        assert f'"{name}"' in code
        if not name.startswith("moving_"):  # they have names of tables in them, from the schema
            assert "{" not in sql.replace("'{}'", "an empty object")
        assert "%" not in re.sub(r"strftime\('[^']*'", "", sql)
