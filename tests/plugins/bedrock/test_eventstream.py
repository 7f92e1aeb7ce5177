import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.bedrock.wire import header, message
from switchgear.errors import ResponseTooLarge
from switchgear_plugins.bedrock.eventstream import CorruptStream, EventStreamParser, Message, read_headers

HEADERS = st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=40), max_size=4)
MESSAGES = st.lists(st.tuples(HEADERS, st.binary(max_size=200)), min_size=1, max_size=5)


def encoded(messages) -> bytes:
    def head(headers: dict[str, str]) -> bytes:
        parts = [
            struct.pack(">B", len(name.encode())) + name.encode() + header("", value)[1:]
            for name, value in headers.items()
        ]
        return b"".join(parts)

    return b"".join(message(head(headers), payload) for headers, payload in messages)


def read(pieces) -> list[Message]:
    parser = EventStreamParser()
    return [found for piece in pieces for found in parser.feed(piece)]


@given(MESSAGES, st.data())
def test_any_split_reads_the_same(messages, data) -> None:
    whole = encoded(messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    expected = [Message(headers, payload) for headers, payload in messages]
    assert expected == read(pieces)
    assert expected == read([whole[i : i + 1] for i in range(len(whole))])


@given(MESSAGES, st.data())
def test_a_changed_byte_is_never_read_as_something_else(messages, data) -> None:
    whole = bytearray(encoded(messages))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    expected = [Message(headers, payload) for headers, payload in messages]
    found: list[Message] = []
    parser = EventStreamParser()
    with pytest.raises((CorruptStream, ResponseTooLarge)):  # noqa: PT012 - what came before it is read
        for one in parser.feed(bytes(whole)):
            found.append(one)  # noqa: PERF402 - an exception must not lose what was found
    assert expected[: len(found)] == found
    assert len(found) < len(expected)


@given(MESSAGES, st.data())
def test_a_truncated_stream_ends_inside_a_message_or_between_two(messages, data) -> None:
    whole = encoded(messages)
    at = data.draw(st.integers(0, len(whole) - 1))
    parser = EventStreamParser()
    found = list(parser.feed(whole[:at]))
    assert [Message(headers, payload) for headers, payload in messages][: len(found)] == found
    assert len(found) < len(messages)
    assert parser.pending == (at > len(encoded(messages[: len(found)])))


@given(st.binary(max_size=300))
def test_garbage_is_a_typed_error(body: bytes) -> None:
    parser = EventStreamParser()
    try:
        found = list(parser.feed(body))
    except (CorruptStream, ResponseTooLarge):
        return
    assert found == []


@given(st.binary(max_size=80))
def test_garbage_as_headers_is_a_typed_error(block: bytes) -> None:
    try:
        found = read_headers(block)
    except CorruptStream:
        return
    assert all(isinstance(value, str) for value in found.values())


def test_headers_of_every_type_are_passed_over() -> None:
    others = [
        b"\x01a\x00", b"\x01b\x01", b"\x01c\x02\x07", b"\x01d\x03\x00\x07", b"\x01e\x04\x00\x00\x00\x07",
        b"\x01f\x05" + bytes(8), b"\x01g\x06\x00\x03xyz", b"\x01h\x08" + bytes(8), b"\x01i\x09" + bytes(16),
    ]  # fmt: skip
    assert {":event-type": "x"} == read_headers(b"".join(others) + header(":event-type", "x"))


@pytest.mark.parametrize(
    "block", [b"\x01a\x0a", b"\x05ab", b"\x01a\x07\x00\x09xy", b"\x01a\x07\x00\x01\xff", b"\x01a\x07\x00"]
)
def test_a_malformed_header_is_corruption(block: bytes) -> None:
    with pytest.raises(CorruptStream):
        read_headers(block)


def test_a_message_over_the_cap_is_refused_by_its_prelude_alone() -> None:
    whole = message(b"", b"x" * 1000)
    assert [b"x" * 1000] == [found.payload for found in EventStreamParser(1016).feed(whole)]
    with pytest.raises(ResponseTooLarge):
        list(EventStreamParser(1015).feed(whole[:12]))
    with pytest.raises(ResponseTooLarge):
        list(EventStreamParser().feed(message(b"", b"x" * 1024 * 1024)[:12]))


def test_lengths_that_contradict_each_other_are_corruption() -> None:
    from zlib import crc32  # noqa: PLC0415 - here alone

    for total, head in ((15, 0), (16, 1), (0, 0), (100, 85)):
        prelude = struct.pack(">II", total, head)
        with pytest.raises(CorruptStream):
            list(EventStreamParser().feed(prelude + struct.pack(">I", crc32(prelude)) + bytes(100)))


def test_a_large_message_in_tiny_pieces_is_read_once() -> None:
    whole = message(header(":message-type", "event"), b"y" * 200_000)
    assert [b"y" * 200_000] == [found.payload for found in read(whole[i : i + 7] for i in range(0, len(whole), 7))]
