import asyncio
import errno
import itertools
import os
import stat

import pytest

from polling import eventually
from small_disk import small_disk
from switchgear.errors import JournalFull, RecordRefused, StoreError, StoreUnavailable
from switchgear.ledger import journal as journal_module
from switchgear.ledger import segments as segments_module
from switchgear.ledger.journal import Journal
from switchgear.ledger.segments import SegmentReader, segment_numbers, segment_path

SEGMENT = 64 * 1024
BODY = b'{"pad":"' + b"x" * 1000 + b'"}'


def ids_in(directory):
    found = []
    for number in segment_numbers(directory):
        reader = SegmentReader(segment_path(directory, number))
        found += [row.id for _, row in reader.read(0, None, 100_000).records]
        reader.close()
    return found


def fill(journal, first=0):
    """Append records numbered from `first` until there is no room; return the number after the last."""
    with pytest.raises(JournalFull, match="no room"):  # noqa: PT012 - how many fit is what is asked
        for number in itertools.count(first):
            journal.append("usage", str(number), 1, BODY)
    return number


@pytest.fixture
async def journal(tmp_path):
    journal = Journal(tmp_path, "one", segment_bytes=SEGMENT, cap_bytes=4 * SEGMENT)
    await journal.open()
    yield journal
    await journal.close()


async def test_appended_records_lie_in_files_in_their_order(journal):
    ids = [str(n) for n in range(150)]
    for at_us, id in enumerate(ids):
        journal.append("usage", id, at_us, BODY)
    assert ids == ids_in(journal.directory)
    assert journal.depth == 150
    assert len(journal.segments) == 3


async def test_files_are_for_the_owner_only(journal):
    (path,) = [segment_path(journal.directory, number) for number in journal.segments]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.directory.stat().st_mode) == 0o700
    assert path.stat().st_blocks * 512 >= SEGMENT


async def test_at_the_cap_new_calls_are_refused_before_those_in_flight(journal):
    appended = 0
    while journal.has_room:
        journal.append("usage", str(appended), 1, BODY)
        appended += 1
    taken = fill(journal, appended)
    assert taken - appended > SEGMENT // 2 // len(BODY) - 3
    assert [str(n) for n in range(taken)] == ids_in(journal.directory)
    assert sum(path.stat().st_size for path in journal.directory.glob("*.log")) == 4 * SEGMENT
    journal.append("usage", "small", 1, b"{}")
    assert ids_in(journal.directory)[-1] == "small"


async def test_room_comes_back_when_a_segment_was_drained(journal):
    fill(journal)
    journal.make_room()
    assert not journal.has_room
    segment_path(journal.directory, 1).unlink()
    journal.forget(1)
    journal.make_room()
    await eventually(lambda: journal.has_room)
    journal.append("usage", "after", 1, BODY)
    assert ids_in(journal.directory)[-1] == "after"


async def test_a_full_disk_is_found_before_it_is_needed_and_mends_by_itself(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        journal = Journal(disk.path, "one", segment_bytes=SEGMENT)
        await journal.open()
        disk.fill(leave=SEGMENT // 2)
        appended = 0
        async with asyncio.timeout(5):
            while journal.has_room:
                journal.append("usage", str(appended), 1, BODY)
                appended += 1
                await asyncio.sleep(0.001)
        assert appended < SEGMENT // len(BODY)
        taken = fill(journal, appended)
        assert [str(n) for n in range(taken)] == ids_in(journal.directory)
        disk.empty()
        journal.make_room()
        await eventually(lambda: journal.has_room)
        journal.append("usage", "after", 1, BODY)
        assert ids_in(journal.directory)[-1] == "after"
        await journal.close()


async def test_a_disk_full_at_the_start_leaves_the_journal_open_without_room(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        (disk.path / "one").mkdir(mode=0o700)
        (disk.path / "one" / "lock").touch()
        disk.fill()
        journal = Journal(disk.path, "one", segment_bytes=SEGMENT)
        await journal.open()
        assert not journal.has_room
        with pytest.raises(JournalFull):
            journal.append("usage", "id", 1, BODY)
        disk.empty()
        journal.make_room()
        await eventually(lambda: journal.has_room)
        journal.append("usage", "after", 1, BODY)
        assert ids_in(journal.directory) == ["after"]
        await journal.close()


async def test_zeros_are_written_where_the_file_system_cannot_reserve(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(segments_module.os, "posix_fallocate", unsupported)
    journal = Journal(tmp_path, "one", segment_bytes=SEGMENT + 100)
    await journal.open()
    journal.append("usage", "id", 1, BODY)
    assert segment_path(journal.directory, 1).stat().st_size == SEGMENT + 100
    assert ids_in(journal.directory) == ["id"]
    await journal.close()


async def test_a_record_larger_than_a_segment_is_refused_and_the_next_one_is_taken(journal):
    with pytest.raises(RecordRefused, match="larger than a segment"):
        journal.append("usage", "large", 1, bytes(SEGMENT))
    journal.append("usage", "fits", 1, bytes(SEGMENT - 100))
    journal.append("usage", "next", 1, bytes(SEGMENT - 100))
    assert ids_in(journal.directory) == ["fits", "next"]


async def test_two_processes_cannot_have_one_instance(journal, monkeypatch):
    monkeypatch.setattr(journal_module, "_LOCK_TRIES", 3)
    second = Journal(journal.root, "one", segment_bytes=SEGMENT)
    with pytest.raises(StoreError, match="another process"):
        await second.open()
    with pytest.raises(StoreUnavailable):
        second.append("usage", "id", 1, BODY)
    other = Journal(journal.root, "two", segment_bytes=SEGMENT)
    await other.open()
    await other.close()


async def test_closing_leaves_what_is_not_drained_and_nothing_else(tmp_path):
    journal = Journal(tmp_path, "one", segment_bytes=SEGMENT)
    await journal.open()
    await journal.close()
    assert list(tmp_path.iterdir()) == []
    await journal.open()
    for n in range(40):
        journal.append("usage", str(n), 1, BODY)
    await journal.close()
    assert [str(n) for n in range(40)] == ids_in(journal.directory)
    assert segment_numbers(journal.directory) == [1]
    with pytest.raises(StoreUnavailable):
        journal.append("usage", "late", 1, BODY)


async def test_an_instance_started_again_keeps_what_it_had(tmp_path):
    first = Journal(tmp_path, "one", segment_bytes=SEGMENT)
    await first.open()
    first.append("usage", "before", 1, BODY)
    await first.close()
    second = Journal(tmp_path, "one", segment_bytes=SEGMENT)
    await second.open()
    second.append("usage", "after", 1, BODY)
    assert second.older == {1}
    assert ids_in(second.directory) == ["before", "after"]
    await second.close()


async def test_everybody_who_waits_shares_one_flush(tmp_path, monkeypatch):
    flushed = []
    flush = segments_module.flush_data
    monkeypatch.setattr(journal_module, "flush_data", lambda fd: (flushed.append(fd), flush(fd)))
    journal = Journal(tmp_path, "one", segment_bytes=SEGMENT, durability="full")
    await journal.open()

    async def call(n):
        journal.append("usage", str(n), 1, BODY)
        await journal.sync()

    await asyncio.gather(*(call(n) for n in range(50)))
    assert 1 <= len(flushed) <= 2
    before = len(flushed)
    await journal.sync()
    assert before == len(flushed)
    for n in range(100):
        journal.append("usage", str(n), 1, BODY)
    await journal.sync()
    assert before + 3 >= len(flushed) > before + 1
    await journal.close()


async def test_with_process_durability_nothing_is_flushed(journal, monkeypatch):
    monkeypatch.setattr(journal_module, "flush_data", os._exit)
    journal.append("usage", "id", 1, BODY)
    await journal.sync()


async def test_a_failed_flush_is_never_forgotten(tmp_path, monkeypatch):
    def broken(_):
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(journal_module, "flush_data", broken)
    journal = Journal(tmp_path, "one", segment_bytes=SEGMENT, durability="full")
    await journal.open()
    journal.append("usage", "id", 1, BODY)
    with pytest.raises(StoreUnavailable, match="check the disk"):
        await journal.sync()
    monkeypatch.undo()
    assert not journal.has_room
    with pytest.raises(StoreUnavailable):
        await journal.sync()
    with pytest.raises(StoreUnavailable):
        await journal.close()
    assert ids_in(journal.directory) == ["id"]


async def test_a_waiter_that_gives_up_does_not_stop_the_flush_of_others(tmp_path):
    journal = Journal(tmp_path, "one", segment_bytes=SEGMENT, durability="full")
    await journal.open()
    journal.append("usage", "id", 1, BODY)
    waiters = [asyncio.create_task(journal.sync()) for _ in range(3)]
    await asyncio.sleep(0)
    waiters[0].cancel()
    outcomes = await asyncio.gather(*waiters, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert outcomes[1:] == [None, None]
    await journal.close()
