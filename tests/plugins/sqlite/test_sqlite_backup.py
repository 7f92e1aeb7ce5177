"""A store is copied while it is used, brought back with checks, and a file that was put in its place by hand is told."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from switchgear.ambient import Ambient
from switchgear.contracts.store import BackedUp, Write
from switchgear.errors import StoreError
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore


def store_in(directory: Path) -> SqliteStore:
    directory.mkdir(exist_ok=True)
    return SqliteStore(SqliteSettings(), directory, Ambient())


async def write(store: SqliteStore, id: str) -> None:
    await store.write([Write("things", id, b"{}", 0, (), (), "api", "test")], at_us=1)


async def ids(directory: Path) -> list[str]:
    store = store_in(directory)
    await store.open()
    try:
        return [document.id for document in await store.page("things")]
    finally:
        await store.close()


async def killed(directory: Path, *after: str) -> Any:
    """Leave the files as a process that is killed does: copied while it is open."""
    store = store_in(directory / "living")
    await store.open()
    for id in after:
        await write(store, id)
    shutil.copytree(directory / "living", directory / "dead")
    await store.close()
    return directory / "dead"


async def test_what_was_copied_while_it_was_used_comes_back(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a")
    await store.open()
    await write(store, "one")
    copying = store_in(tmp_path / "a")
    assert isinstance(copying, BackedUp)
    assert await copying.backup(tmp_path / "backup.db") > 0
    await write(store, "two")
    with pytest.raises(StoreError, match="exists already"):
        await copying.backup(tmp_path / "backup.db")
    with pytest.raises(StoreError, match="stop the gateway"):
        await copying.restore(tmp_path / "backup.db", over_newer=True)
    await store.close()
    with pytest.raises(StoreError, match="newer"):
        await copying.restore(tmp_path / "backup.db")
    assert ["one", "two"] == await ids(tmp_path / "a")
    kept = await copying.restore(tmp_path / "backup.db", over_newer=True)
    assert kept is not None
    assert kept.exists()
    assert ["one"] == await ids(tmp_path / "a")
    assert await store_in(tmp_path / "b").restore(tmp_path / "backup.db") is None
    assert ["one"] == await ids(tmp_path / "b")


async def test_what_is_no_backup_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a")
    await store.open()
    await write(store, "one")
    await store.close()
    await store.backup(tmp_path / "good.db")
    damaged = bytearray((tmp_path / "good.db").read_bytes())
    for at in range(4096, len(damaged), 4096):
        damaged[at : at + 200] = b"\xff" * 200
    (tmp_path / "damaged.db").write_bytes(bytes(damaged))
    (tmp_path / "text.db").write_text("no database at all, but long enough")
    (tmp_path / "empty.db").write_bytes(b"")
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE x (y)")
    newer = sqlite3.connect(tmp_path / "newer.db")
    sqlite3.connect(tmp_path / "good.db").backup(newer)
    newer.execute(
        "UPDATE schema_migrations SET number = 999 WHERE number = (SELECT max(number) FROM schema_migrations)"
    )
    newer.commit()
    newer.close()
    for name, why in (
        ("damaged.db", "damaged"),
        ("text.db", "no SQLite database"),
        ("empty.db", "no SQLite database"),
        ("other.db", "not one of Switchgear's"),
        ("newer.db", "newer than this code"),
        ("absent.db", "no file"),
    ):
        with pytest.raises(StoreError, match=why):
            await store.restore(tmp_path / name, over_newer=True)
    assert ["one"] == await ids(tmp_path / "a")


async def test_a_file_put_beside_another_ones_log_is_refused(tmp_path: Path) -> None:
    old = store_in(tmp_path / "living")
    await old.open()
    await write(old, "old")
    await old.close()
    await old.backup(tmp_path / "backup.db")
    dead = await killed(tmp_path, "new")
    shutil.copy(tmp_path / "backup.db", dead / "switchgear.db")
    with pytest.raises(StoreError, match="replaced after its process was killed"):
        await ids(dead)
    await store_in(dead).restore(tmp_path / "backup.db", over_newer=True)
    assert ["old"] == await ids(dead)


async def test_a_process_that_was_killed_goes_on(tmp_path: Path) -> None:
    assert ["one", "two"] == await ids(await killed(tmp_path, "one", "two"))
    assert ["one", "two"] == await ids(tmp_path / "dead")


async def test_an_empty_file_is_no_first_run(tmp_path: Path) -> None:
    (tmp_path / "switchgear.db").write_bytes(b"")
    with pytest.raises(StoreError, match="0 bytes"):
        await ids(tmp_path)
