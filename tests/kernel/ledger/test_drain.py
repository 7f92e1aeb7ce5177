import asyncio
import itertools
import json

import pytest

from polling import eventually
from switchgear.ambient import Ambient
from switchgear.contracts.store import RecordQuery, RecordRow
from switchgear.errors import JournalFull, StoreUnavailable
from switchgear.ledger.drain import BAD, Cursor, Drain
from switchgear.ledger.frames import pack, read
from switchgear.ledger.journal import Journal
from switchgear.ledger.segments import InstanceLock, segment_path
from switchgear_plugins.memory.store import MemoryStore
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore

SEGMENT = 64 * 1024
BODY = json.dumps({"pad": "x" * 1000}).encode()


async def opened(root, instance="one", **options):
    journal = Journal(root / "journal", instance, segment_bytes=SEGMENT, **options)
    await journal.open()
    return journal


async def stored(store, kind="usage"):
    return sorted(row.id for row in await store.scan(RecordQuery(kind, limit=100_000)))


@pytest.fixture(params=["memory", "sqlite"])
async def store(request, tmp_path):
    store = MemoryStore() if request.param == "memory" else SqliteStore(SqliteSettings(), tmp_path, Ambient())
    await store.open()
    yield store
    await store.close()


async def test_records_of_every_kind_reach_the_store_as_they_were(store, tmp_path):
    journal = await opened(tmp_path)
    drain = Drain(journal, store, Ambient(), batch=7)
    for n in range(100):
        journal.append("usage", f"u{n:03}", n, b'{"n":%d}' % n)
        journal.append("audit", f"a{n:03}", n, b'{"m":%d}' % n)
    await drain.drain_now()
    assert journal.depth == 0
    expected = [RecordRow(f"u{n:03}", n, b'{"n":%d}' % n) for n in reversed(range(100))]
    assert expected == await store.scan(RecordQuery("usage"))
    assert [f"a{n:03}" for n in range(100)] == await stored(store, "audit")
    await journal.close()
    assert list((tmp_path / "journal").iterdir()) == []


async def test_a_reader_sees_its_own_writes_after_drain_now(store, tmp_path):
    journal = await opened(tmp_path)
    drain = Drain(journal, store, Ambient())
    for n in range(20):
        journal.append("usage", str(n), n, b"{}")
        await drain.drain_now()
        assert len(await stored(store)) == n + 1
    await journal.close()


async def test_drained_segments_are_deleted(store, tmp_path):
    journal = await opened(tmp_path, cap_bytes=3 * SEGMENT)
    drain = Drain(journal, store, Ambient())
    for round_ in range(20):
        for n in range(60):
            journal.append("usage", f"{round_}-{n}", 1, BODY)
        await drain.drain_now()
        assert len(journal.segments) == 1
        journal.make_room()
    assert len(await stored(store)) == 1200
    await journal.close()


async def test_concurrent_drains_count_each_record_once(store, tmp_path):
    journal = await opened(tmp_path)
    drain = Drain(journal, store, Ambient(), batch=10)
    for n in range(200):
        journal.append("usage", f"{n:03}", n, BODY)
    await asyncio.gather(*(drain.drain_now() for _ in range(5)))
    assert journal.depth == 0
    assert journal.drained == 200
    assert [f"{n:03}" for n in range(200)] == await stored(store)
    await journal.close()


async def test_while_the_store_is_away_the_journal_grows_and_afterwards_nothing_is_lost_or_doubled(store, tmp_path):
    journal = await opened(tmp_path, cap_bytes=4 * SEGMENT)
    drain = Drain(journal, store, Ambient(), interval_s=0.005)
    running = asyncio.create_task(drain.run())
    journal.append("usage", "before", 1, BODY)
    await eventually(lambda: journal.depth == 0)
    await store.close()
    appended = ["before"]
    with pytest.raises(JournalFull):  # noqa: PT012 - until there is no room
        for number in itertools.count():
            journal.append("usage", f"{number:04}", 1, BODY)
            appended.append(f"{number:04}")
    await eventually(lambda: drain.failures > 1)
    assert not journal.has_room
    assert len(appended) - 1 == journal.depth
    with pytest.raises(StoreUnavailable):
        await drain.drain_now()
    await store.open()
    await eventually(lambda: journal.depth == 0 and journal.has_room)
    journal.append("usage", "zz-after", 1, BODY)
    await drain.drain_now()
    running.cancel()
    assert sorted([*appended, "zz-after"]) == await stored(store)
    await journal.close()


async def test_what_a_dead_process_left_is_drained_and_its_directory_removed(store, tmp_path):
    dead = await opened(tmp_path, "dead")
    for n in range(150):
        dead.append("usage", f"{n:03}", 1, BODY)
    await dead.close()
    (tmp_path / "journal" / "empty").mkdir()
    (dead.directory / "00000099.log").touch()
    living = await opened(tmp_path, "living")
    living.append("usage", "living", 1, BODY)
    journal = await opened(tmp_path)
    drain = Drain(journal, store, Ambient(), interval_s=0.005)
    running = asyncio.create_task(drain.run())
    await eventually(lambda: drain.recovered == 150)
    await eventually(lambda: {"one", "living"} == {path.name for path in (tmp_path / "journal").iterdir()})
    running.cancel()
    assert [f"{n:03}" for n in range(150)] == await stored(store)
    await living.close()
    await journal.close()


async def test_a_dead_process_with_a_torn_record_loses_that_one_only(store, tmp_path):
    dead = await opened(tmp_path, "dead")
    for id in ("a", "b", "torn"):
        dead.append("usage", id, 1, BODY)
    end = dead.position[1]
    await dead.close()
    path = segment_path(dead.directory, 1)
    with path.open("r+b") as file:
        file.seek(end - 10)
        file.write(bytes(10))
    journal = await opened(tmp_path)
    await Drain(journal, store, Ambient()).recover()
    assert await stored(store) == ["a", "b"]
    assert not dead.directory.exists()
    assert not (journal.root / BAD).exists()
    await journal.close()


async def test_a_segment_damaged_in_the_middle_is_kept_for_people_to_look_at(store, tmp_path):
    dead = await opened(tmp_path, "dead")
    for id in ("a", "b", "c"):
        dead.append("usage", id, 1, BODY)
    await dead.close()
    path = segment_path(dead.directory, 1)
    content = bytearray(path.read_bytes())
    content[len(pack("usage", "a", 1, BODY)) + 100] ^= 1
    path.write_bytes(content)
    journal = await opened(tmp_path)
    await Drain(journal, store, Ambient()).recover()
    assert await stored(store) == ["a"]
    assert not dead.directory.exists()
    assert bytes(content) == (journal.root / BAD / "dead-1.damaged").read_bytes()
    await journal.close()


async def test_this_instances_earlier_life_is_drained_first(store, tmp_path):
    before = await opened(tmp_path)
    for n in range(100):
        before.append("usage", f"{n:03}", 1, BODY)
    await Drain(before, store, Ambient(), batch=10)._step(before, Cursor())
    await before.close()
    journal = await opened(tmp_path)
    drain = Drain(journal, store, Ambient(), batch=10)
    journal.append("usage", "new", 1, BODY)
    await drain.drain_now()
    assert [*(f"{n:03}" for n in range(100)), "new"] == await stored(store)
    assert drain.recovered == 100
    assert journal.drained == 1
    await journal.close()
    assert list(journal.root.iterdir()) == []


async def test_records_the_store_will_never_take_are_set_aside_and_block_nobody(store, tmp_path):
    journal = await opened(tmp_path)
    drain = Drain(journal, store, Ambient(), batch=4)
    bad = {"text": b"no json", "list": b"[]", "bytes": b'{"a":"\xff"}'}
    for n in range(10):
        journal.append("usage", f"{n}", n, BODY)
    for id, body in bad.items():
        journal.append("usage", id, 5, body)
    journal.append("usage", "last", 11, BODY)
    await drain.drain_now()
    assert [*map(str, range(10)), "last"] == await stored(store)
    assert drain.refused == 3
    assert journal.depth == 0
    kept = read((journal.root / BAD / "one-1.bad").read_bytes(), 0, 10).records
    assert bad == {row.id: row.body for _, row in kept}
    await journal.close()
    assert [path.name for path in journal.root.iterdir()] == [BAD]


async def test_the_lock_of_an_instance_ends_with_its_holder_and_not_before(tmp_path):
    first, second = InstanceLock(tmp_path / "one"), InstanceLock(tmp_path / "one")
    assert first.take()
    assert not second.take()
    first.release(remove=True)
    assert second.take()
    second.release(remove=True)
    assert list(tmp_path.iterdir()) == []
