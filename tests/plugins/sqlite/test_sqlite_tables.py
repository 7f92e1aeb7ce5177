"""Tables of plugins in SQLite: what other backends are not asked, and what refuses to open."""

import asyncio
from pathlib import Path

import pytest

from switchgear.ambient import Ambient
from switchgear.contracts.store import Write
from switchgear.errors import StoreError
from switchgear.testing.tables_suite import MIGRATIONS, PLUGIN
from switchgear_plugins.memory.store import MemoryStore
from switchgear_plugins.sqlite import tables as tables_module
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore


def made(directory: Path) -> SqliteStore:
    return SqliteStore(SqliteSettings(), directory, Ambient())


async def test_a_plugin_without_a_folder_for_the_backend_is_refused_by_name(tmp_path: Path) -> None:
    brought = [("acme", tmp_path / "acme"), ("beta", tmp_path / "beta"), *MIGRATIONS]
    (tmp_path / "beta" / "postgres").mkdir(parents=True)
    with pytest.raises(
        StoreError, match=r"plugin `acme` has no tables for this store: there is no .*acme/sqlite.*`beta`"
    ):
        await made(tmp_path).open(brought)
    with pytest.raises(StoreError, match=r"`memory` has no tables.*plugin `acme`"):
        await MemoryStore().open(brought)


async def test_a_block_that_takes_too_long_is_rolled_back_and_says_whose_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables_module, "LONGEST_S", 0.05)
    store = made(tmp_path)
    await store.open(MIGRATIONS)
    tables = store.tables(PLUGIN)
    with pytest.raises(StoreError, match=r"plugin `suite` took longer than 0\.05 s"):  # noqa: PT012 - the whole block is
        async with tables.transaction() as t:
            await t.execute("open", id="a", balance=1, note=None)
            await store.write([Write("red", "a", b"{}")], at_us=1)  # would wait for itself
    assert await tables.query("accounts") == []
    with pytest.raises(TimeoutError):
        async with tables.transaction():
            raise TimeoutError  # the block's own
    await store.close()


async def test_a_store_that_closes_meanwhile_rolls_back(tmp_path: Path) -> None:
    store = made(tmp_path)
    await store.open(MIGRATIONS)
    begun = asyncio.Event()

    async def work() -> None:
        async with store.tables(PLUGIN).transaction() as t:
            await t.execute("open", id="a", balance=1, note=None)
            begun.set()
            await asyncio.sleep(0.05)
            await t.query("accounts")

    working = asyncio.ensure_future(work())
    await begun.wait()
    await store.close()
    with pytest.raises(StoreError):
        await working
    await store.open(MIGRATIONS)
    assert await store.tables(PLUGIN).query("accounts") == []
    await store.close()
