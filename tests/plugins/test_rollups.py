"""Sums that stores keep by the hour answer as the records themselves do."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.postgres_server import new_database, postgres_url
from switchgear.contracts.rollups import Rollup, from_hours
from switchgear.contracts.store import RecordQuery, RecordRow
from switchgear.testing.ambient import FixedAmbient
from switchgear_plugins.postgres.settings import PostgresSettings
from switchgear_plugins.postgres.store import PostgresStore
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore

HOUR = 3_600_000_000
START = 500_000 * HOUR
SUMS = ("tokens", "cost")
ROLLUPS = [Rollup("usage", ("model", "team"), SUMS, 24), Rollup("usage", ("key", "team", "model"), SUMS)]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_url() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: Any, tmp_path: Path, ambient: FixedAmbient) -> AsyncIterator[Any]:
    with ExitStack() as stack:
        found: Any
        if request.param == "sqlite":
            found = SqliteStore(SqliteSettings(), tmp_path, ambient)
        else:
            url = stack.enter_context(new_database(request.getfixturevalue("server")))
            found = PostgresStore(PostgresSettings(url=url), ambient)
        await found.open()
        yield found
        await found.close()


def rows(count: int, start: int = 0) -> list[RecordRow]:
    found = []
    for n in range(start, start + count):
        body: dict[str, Any] = {"id": f"r{n}", "model": f"m{n % 3}", "key": f"k{n % 7}", "tokens": n}
        if n % 4:
            body["team"] = f"t{n % 2}" if n % 5 else "1"
        if n % 3:
            body["cost"] = n * 10
        if not n % 11:
            body.update(team=None, tokens="12", model="mé\u0000")
        found.append(RecordRow(f"r{n}", START + n * HOUR // 5 + n, msgspec.json.encode(body)))
    return found


QUESTIONS = [
    (RecordQuery("usage", limit=1000), ["model"]),
    (RecordQuery("usage", limit=1000), ["model", "day"]),
    (RecordQuery("usage", limit=1000), ["hour", "model"]),
    (RecordQuery("usage", since_us=START + HOUR // 2, limit=1000), ["team", "hour", "day"]),
    (RecordQuery("usage", limit=1000), []),
    (RecordQuery("usage", limit=2), ["key", "model"]),
    (RecordQuery("usage", since_us=START + HOUR // 2, limit=1000), ["team"]),
    (RecordQuery("usage", since_us=START + HOUR // 2, until_us=START + 9 * HOUR + 7, limit=1000), ["team", "model"]),
    (RecordQuery("usage", since_us=START + HOUR // 2, until_us=START + HOUR - 7, limit=1000), ["team", "model"]),
    (RecordQuery("usage", equals={"team": "t1"}, limit=1000), ["model"]),
    (RecordQuery("usage", equals={"team": "1", "key": "k0"}, limit=1000), ["model", "day"]),
    (RecordQuery("usage", equals={"team": None}, limit=1000), ["key"]),
    (RecordQuery("usage", equals={"team": 1}, limit=1000), ["key"]),
    (RecordQuery("other", limit=1000), ["model"]),
]


async def answers(store: Any) -> list[Any]:
    return [await store.summarise(query, by, sums) for query, by in QUESTIONS for sums in (SUMS, ("cost",), ())]


async def test_sums_answer_as_records_do(store: Any) -> None:
    await store.append("usage", rows(60))
    await store.append("other", rows(5))
    await store.append("usage", rows(60, 60))
    before = await answers(store)
    await store.roll_up("usage", ROLLUPS)
    assert before == await answers(store), "of what was there before"
    for step in (rows(20, 110), rows(40, 110), rows(1, 150)):
        await store.append("usage", step)
    await store.write([], at_us=1, records=[("usage", rows(1, 160)[0])])
    after = await answers(store)
    assert after != before
    kept, store._rollups = store._rollups, []
    assert {it.name for it in ROLLUPS} == {it.name for it in kept}
    assert after == await answers(store), "of what came since, each once"
    store._rollups = kept
    await store.roll_up("usage", ROLLUPS[:1])
    assert after == await answers(store)
    await store.roll_up("usage", ROLLUPS)
    assert after == await answers(store)


async def test_sums_go_with_the_records_that_they_are_of(store: Any) -> None:
    await store.roll_up("usage", ROLLUPS)
    await store.append("usage", rows(60))
    assert 19 == await store.expire("usage", START + 4 * HOUR + 5, limit=19)
    assert 1 == await store.expire("usage", START + 4 * HOUR + 5, limit=19)
    with_sums = await store.summarise(RecordQuery("usage", since_us=START + 5 * HOUR, limit=1000), ["model"], SUMS)
    store._rollups = []
    assert with_sums == await store.summarise(
        RecordQuery("usage", since_us=START + 5 * HOUR, limit=1000), ["model"], SUMS
    )


@pytest.mark.parametrize(
    ("query", "by", "sums"),
    [
        (RecordQuery("usage"), ["status"], ["cost"]),
        (RecordQuery("usage"), ["model"], ["latency"]),
        (RecordQuery("usage", equals={"labels.a": "b"}), ["model"], ["cost"]),
        (RecordQuery("usage", equals={"model": 5}), ["model"], ["cost"]),
        (RecordQuery("usage", before=(1, "x")), ["model"], ["cost"]),
        (RecordQuery("other"), ["model"], ["cost"]),
    ],
)
def test_what_sums_do_not_know_the_records_are_asked(query: RecordQuery, by: list[str], sums: list[str]) -> None:
    assert from_hours(ROLLUPS, query, by, sums) is None
    fits = from_hours(ROLLUPS, RecordQuery("usage"), ["model"], ["cost"])
    assert fits is not None
    assert ROLLUPS[0] == fits.rollup, "the one with the fewest lines"
    daily = from_hours(ROLLUPS, RecordQuery("usage", since_us=HOUR), ["model"], ["cost"])
    assert daily is not None
    assert (ROLLUPS[0], ((HOUR, 24 * HOUR),)) == (daily.rollup, daily.edges)
    edge = RecordQuery("usage", since_us=HOUR, until_us=24 * HOUR)
    hourly = from_hours(daily.finer(ROLLUPS), edge, ["model"], ["cost"])
    assert hourly is not None
    assert (ROLLUPS[1], (), []) == (hourly.rollup, hourly.edges, hourly.finer(ROLLUPS)), "the first hours by the hour"


async def test_sums_are_right_after_a_crash_beside_others_and_with_records_that_were_there(
    tmp_path: Path, ambient: FixedAmbient
) -> None:
    def new() -> SqliteStore:
        return SqliteStore(SqliteSettings(), tmp_path, ambient)

    killed, other = new(), new()
    await killed.open()
    await killed.roll_up("usage", ROLLUPS)
    await killed.append("usage", rows(40))
    await killed.summarise(*QUESTIONS[0], SUMS)
    await killed.append("usage", rows(10, 40))  # which it never writes the sums of
    await other.open()
    await other.roll_up("usage", ROLLUPS)
    await other.append("usage", rows(30, 45))
    await killed.append("usage", rows(5, 80))
    ambient.advance(2.0)
    await other.append("usage", rows(3, 90))
    await killed.append("usage", rows(90))
    for store in (other, killed):
        by_sums = await answers(store)
        store._rollups = []
        assert await answers(store) == by_sums
    assert 93 == (await other.summarise(RecordQuery("usage", limit=1), [], ()))[0].count
    await killed.close()
    await other.close()
