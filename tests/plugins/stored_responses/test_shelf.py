"""What keeps responses, on every backend that it has tables for."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.postgres_server import new_database, postgres_url
from switchgear.ambient import Ambient
from switchgear.contracts.store import Store
from switchgear.contracts.tables import Tables
from switchgear_plugins.postgres.settings import PostgresSettings
from switchgear_plugins.postgres.store import PostgresStore
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore
from switchgear_plugins.stored_responses import plugin as plugin_module
from switchgear_plugins.stored_responses.settings import StoredResponsesSettings
from switchgear_plugins.stored_responses.shelf import Given, Shelf

NAME = "stored_responses"
MIGRATIONS = Path(str(plugin_module.__file__)).parent / "migrations"
DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_url() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
async def tables(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tables]:
    with ExitStack() as stack:
        store: Store = SqliteStore(SqliteSettings(), tmp_path, Ambient())
        if request.param == "postgres":
            url = stack.enter_context(new_database(request.getfixturevalue("server")))
            store = PostgresStore(PostgresSettings(url, connect=30.0), Ambient())
        await store.open([(NAME, MIGRATIONS)])
        yield store.tables(NAME)
        await store.close()


class Clock:
    def __init__(self) -> None:
        self.days = 0.0

    def now_us(self) -> int:
        return 1_700_000_000_000_000 + int(self.days * DAY_US)


def given(id: str, previous: str | None = None, **members: Any) -> Given:
    made = {"input": b"[1]", "response": b'{"output":[]}', "thread": "t", "kept_by": None, **members}
    return Given(id, previous=previous, status="completed", **made)


def shelf_of(tables: Tables, clock: Clock, **settings: int) -> Shelf:
    ambient: Any = SimpleNamespace(now_us=clock.now_us)
    return Shelf(tables, StoredResponsesSettings(**settings), ambient)


async def test_a_conversation_comes_back_in_order_to_its_owner_alone(tables: Tables) -> None:
    clock = Clock()
    shelf = shelf_of(tables, clock)
    made = [given("a"), given("b", "a", kept_by="p"), given("c", "b"), given("other", "a")]
    for clock.days, one in enumerate(made):
        await shelf.put("o", one, [f"item-{one.id}"])
    assert made[:3] == await shelf.thread("o", "c")
    assert made[1] == await shelf.get("o", "b")
    assert {"item-a": made[0], "no": None} == await shelf.of_items("o", ["item-a", "no"])
    for owner, id in (("p", "c"), ("o", "d")):
        assert ([], None) == (await shelf.thread(owner, id), await shelf.get(owner, id))
    assert {"item-a": None} == await shelf.of_items("p", ["item-a"])
    await shelf.delete("o", "a")
    assert made[1:3] == await shelf.thread("o", "c")
    assert {"item-a": None} == await shelf.of_items("o", ["item-a"])


async def test_what_is_put_again_is_as_it_is_now(tables: Tables) -> None:
    shelf = shelf_of(tables, Clock())
    await shelf.put("o", given("a", response=b"1"), ["x"])
    await shelf.put("o", given("a", response=b"2"), ["x", "y"])
    found = await shelf.get("o", "a")
    assert found is not None
    assert b"2" == found.response
    assert {"x": found, "y": found} == await shelf.of_items("o", ["x", "y"])


async def test_a_conversation_is_kept_as_a_whole_until_nobody_has_gone_on_with_it_for_long(tables: Tables) -> None:
    clock = Clock()
    shelf = shelf_of(tables, clock, days=10)
    await shelf.put("o", given("a"), ["item"])
    clock.days = 8
    await shelf.put("o", given("b", "a"), [])
    await shelf.put("o", given("z", thread="z"), [])
    clock.days = 17
    await shelf.purge()
    assert ["a", "b"] == [it.id for it in await shelf.thread("o", "b")]
    clock.days = 19
    assert [] == await shelf.thread("o", "b")
    await shelf.purge()
    assert [] == await tables.query("response_of", owner="o", id="item")
    clock.days = 0
    assert await shelf.get("o", "z") is None


async def test_the_oldest_go_where_there_are_too_many_or_too_large_ones(tables: Tables) -> None:
    clock = Clock()
    shelf = shelf_of(tables, clock, bytes_per_owner=1000, most_per_owner=3)
    for clock.days, id in enumerate("abc"):
        await shelf.put("big", given(id, response=b" " * 400), [])
        await shelf.put("many", given(id), [])
    await shelf.put("many", given("d"), [])
    assert [False, True, True] == [await shelf.get("big", id) is not None for id in "abc"]
    assert [False, True, True, True] == [await shelf.get("many", id) is not None for id in "abcd"]
