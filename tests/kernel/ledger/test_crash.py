import sqlite3
from pathlib import Path

import pytest

from support.soak import usually
from switchgear.ambient import Ambient
from switchgear.ledger.drain import Drain
from switchgear.ledger.journal import Journal
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore
from zygote import Zygote

KILLS = usually(50, soak=500)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_no_acknowledged_record_is_lost_or_doubled_however_often_the_process_is_killed(tmp_path, record_property):
    acknowledged = []
    with Zygote(Path(__file__).parent / "crash_life.py", seed=KILLS) as zygote:
        for number in range(KILLS):
            # Every other life takes up the directory of the one before it; the rest are found by whoever comes later.
            instance = "again" if number % 2 else f"once-{number}"
            acknowledged += zygote.live_and_die(f"{tmp_path} {instance} life{number:03}", 0.05)
    journal = Journal(tmp_path / "journal", "last")
    store = SqliteStore(SqliteSettings(), tmp_path, Ambient())
    await journal.open()
    await store.open()
    drain = Drain(journal, store, Ambient())
    await drain.recover()
    await journal.close()
    await store.close()
    assert list((tmp_path / "journal").iterdir()) == []
    database = sqlite3.connect(tmp_path / "switchgear.db")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    stored = [id for (id,) in database.execute("SELECT id FROM records WHERE kind = 'usage'")]
    database.close()
    record_property("acknowledged", len(acknowledged))
    assert len(acknowledged) > KILLS
    assert len(stored) == len(set(stored))
    assert set(acknowledged) - set(stored) == set()
    # An append that was cut off before it was acknowledged may be there or not: at most one for each life.
    assert len(set(stored) - set(acknowledged)) <= KILLS
