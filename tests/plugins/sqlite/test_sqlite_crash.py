import sqlite3
from pathlib import Path

import pytest

from switchgear.ambient import Ambient
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore
from zygote import Zygote

KILLS = 20


@pytest.mark.parametrize("durability", ["process", "full"])
async def test_over_20_kills_every_acknowledged_batch_is_there_and_none_in_part(tmp_path, durability):
    acknowledged = []
    with Zygote(Path(__file__).parent / "crash_life.py", seed=7) as zygote:
        for number in range(KILLS):
            acknowledged += zygote.live_and_die(f"{tmp_path} {durability} life{number}", 0.1)
    store = SqliteStore(SqliteSettings(), tmp_path, Ambient())
    await store.open()
    whole = {
        kind: [document.id for document in await store.page(kind, limit=1_000_000)] for kind in ("red", "green", "blue")
    }
    assert whole["red"] == whole["green"] == whole["blue"]
    assert set(acknowledged) - set(whole["red"]) == set()
    assert len(whole["red"]) - len(acknowledged) <= KILLS
    assert len(whole["red"]) == await store.revision()
    for id in whole["red"]:
        assert await store.recall("scope", id) is not None
    counter = await store.read("counter", "one")
    assert counter is not None
    assert len(whole["red"]) == counter.version
    await store.close()
    database = sqlite3.connect(tmp_path / "switchgear.db")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    database.close()
