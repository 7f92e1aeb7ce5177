"""When a key was last used is noted in memory, written down later, and shown beside what is stored."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plugins.api_keys.conftest import Gateway
from switchgear.errors import StoreUnavailable
from switchgear.testing.ambient import START_US, FixedAmbient
from switchgear.testing.context import PluginContext
from switchgear_plugins.api_keys import uses as uses_module
from switchgear_plugins.api_keys.uses import Uses
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore

MIGRATIONS = [("api_keys", Path(uses_module.__file__).parent / "migrations")]


@pytest.fixture
async def store(tmp_path: Path, ambient: FixedAmbient) -> AsyncIterator[SqliteStore]:
    found = SqliteStore(SqliteSettings(), tmp_path, ambient)
    await found.open(MIGRATIONS)
    yield found
    await found.close()


def process(store: SqliteStore, tmp_path: Path) -> Uses:
    return Uses(PluginContext("api_keys", tmp_path, store=store))


async def at(uses: Uses, *ids: str) -> list[int | None]:
    found = await uses.read(ids)
    moments = (found[id].last_used_at if id in found else None for id in ids)
    return [None if it is None else round(it.timestamp() * 1e6) for it in moments]


async def test_the_latest_use_that_any_process_saw_is_told(store: SqliteStore, tmp_path: Path) -> None:
    one, other = process(store, tmp_path), process(store, tmp_path)
    one.note("key_1", START_US + 2)
    one.note("key_2", START_US)
    other.note("key_1", START_US + 1)
    assert [START_US + 2, START_US, None] == await at(one, "key_1", "key_2", "key_3")
    assert [START_US + 1, None] == await at(other, "key_1", "key_2"), "not written down yet"
    await one.write()
    await other.write()
    assert [START_US + 2, START_US] == await at(other, "key_1", "key_2"), "an older use takes nothing back"
    for n in range(2_500):
        one.note(f"many_{n}", START_US + n)
    await one.write()
    assert [START_US + 2_499] == await at(other, "many_2499")


async def test_a_use_that_could_not_be_written_is_written_later(
    store: SqliteStore, tmp_path: Path, monkeypatch
) -> None:
    uses = process(store, tmp_path)
    uses.note("key_1", START_US)
    with monkeypatch.context() as away:
        away.setattr(uses._context, "_store", Away(store))
        with pytest.raises(StoreUnavailable):
            await uses.write()
    await uses.write()
    assert [START_US] == await at(process(store, tmp_path), "key_1")


async def test_a_deleted_key_leaves_no_use_to_the_next_of_its_id(store: SqliteStore, tmp_path: Path) -> None:
    uses = process(store, tmp_path)
    uses.note("key_1", START_US)
    await uses.write()
    uses.forget("key_1")
    assert [None] == await at(uses, "key_1")
    await uses.write()
    assert [None] == await at(process(store, tmp_path), "key_1")


async def test_reads_and_lists_show_it_and_no_version_has_it(gateway: Gateway) -> None:
    key = await gateway.create(name="ci", permissions={"models": ["*"]})
    id = key["id"]
    assert (await gateway.engine.get("api-keys", id))["last_used_at"] is None
    await gateway.who("not-" + key["key"])
    assert (await gateway.engine.get("api-keys", id))["last_used_at"] is None
    await gateway.who(key["key"])
    shown = await gateway.engine.get("api-keys", id)
    assert shown["created_at"] <= shown["last_used_at"]
    [listed] = (await gateway.engine.page("api-keys", prefix="ci")).data
    assert shown == listed
    assert "last_used_at" not in await gateway.engine.version("api-keys", id, 1)
    gateway.ambient.advance(60)
    await gateway.who(key["key"])
    shown.pop("id")
    await gateway.patch(id, **{**shown, "name": "built"})
    assert "built" == (await gateway.engine.get("api-keys", id))["name"], "what was read can be sent back"


class Away:
    """A store that does not answer."""

    def __init__(self, store: SqliteStore) -> None:
        self.migration_status = store.migration_status

    def tables(self, namespace: str) -> None:
        raise StoreUnavailable(namespace)
