import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.contracts.store import RecordRow
from switchgear.errors import RecordRefused
from switchgear.ledger.frames import pack, read

NAMES = st.text(st.characters(codec="utf-8"), max_size=63)
RECORDS = st.tuples(NAMES, st.builds(RecordRow, NAMES, st.integers(-(2**63), 2**63 - 1), st.binary(max_size=300)))


def packed(records: list[tuple[str, RecordRow]]) -> list[bytes]:
    return [pack(kind, row.id, row.at_us, row.body) for kind, row in records]


@given(st.lists(RECORDS, max_size=10), st.integers(0, 50), st.integers(1, 4))
def test_what_was_packed_is_read_in_any_batch_size(records, zeros, limit):
    segment = b"".join(packed(records)) + bytes(zeros)
    found = []
    offset = 0
    while True:
        reading = read(segment, offset, limit)
        found += reading.records
        offset = reading.offset
        if reading.finished:
            break
    assert records == found
    assert not reading.torn
    assert len(segment) - zeros == offset


@pytest.mark.parametrize("body", [b"", b'{"cost":1}', bytes(range(1, 256))])
def test_a_last_frame_torn_at_any_byte_is_ignored_and_the_others_are_kept(body):
    records = [("usage", RecordRow(f"id-{n}", n, b'{"n":1}')) for n in range(3)]
    whole = b"".join(packed(records))
    last = pack("usage", "last", 7, body)
    for cut in range(len(last)):
        reading = read(whole + last[:cut] + bytes(len(last) - cut + 40), 0, 100)
        assert records == reading.records
        assert len(whole) == reading.offset
        assert reading.finished
        assert not reading.beyond
        assert (cut > 0) == reading.torn


def test_a_last_frame_whose_tail_arrived_first_is_ignored():
    first = pack("usage", "first", 1, b"{}")
    last = pack("usage", "last", 7, b'{"cost":1}')
    for missing in range(1, len(last)):
        reading = read(first + bytes(missing) + last[missing:] + bytes(40), 0, 100)
        assert [row.id for _, row in reading.records] == ["first"]


@given(st.lists(RECORDS, min_size=1, max_size=4), st.data())
def test_a_changed_byte_never_gives_a_record_that_was_not_written(records, data):
    segment = bytearray(b"".join(packed(records)))
    position = data.draw(st.integers(0, len(segment) - 1))
    segment[position] ^= data.draw(st.integers(1, 255))
    reading = read(bytes(segment), 0, 100)
    assert records[: len(reading.records)] == reading.records
    assert len(reading.records) < len(records)


def test_damage_before_other_frames_is_told_from_a_torn_tail():
    frames = packed([("usage", RecordRow(str(n), n, b'{"n":1}')) for n in range(3)])
    damaged = frames[0] + frames[1][:-1] + b"\xff" + frames[2] + bytes(100)
    reading = read(damaged, 0, 100)
    assert [row.id for _, row in reading.records] == ["0"]
    assert reading.torn
    assert reading.beyond


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(segment):
    assert read(segment, 0, 100).finished


@pytest.mark.parametrize(
    ("kind", "id", "at_us"), [("k" * 256, "id", 1), ("k", "é" * 128, 1), ("k", "\ud800", 1), ("k", "id", 2**63)]
)
def test_what_cannot_be_packed_is_refused(kind, id, at_us):
    with pytest.raises(RecordRefused):
        pack(kind, id, at_us, b"{}")
