"""Server-sent events: any cut of any stream reads the same, and no payload becomes two events."""

import re
import time
from collections import deque
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from switchgear.errors import ResponseTooLarge
from switchgear.wire.sse import ServerSentEvent, SSEParser, encode_event

BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


def by_the_standard(stream: bytes) -> list[ServerSentEvent]:
    """Read a whole stream the slow way, rule by rule."""
    events, data, name = [], [], b""
    lines = re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf"))
    for line in lines[:-1]:
        if line == b"":
            if data:
                events.append(ServerSentEvent(b"\n".join(data), name))
            data, name = [], b""
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return events


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[start:end] for start, end in pairwise(edges)]


line = st.one_of(
    st.sampled_from([b"", b"", b"data", b"data:", b"data: ", b"data:  two", b"Data: no", b"data : no"]),
    st.sampled_from([b"event: x", b"event", b"id: 7", b"retry: 1", b": hi", b":", b"unknown: field"]),
    st.sampled_from([b"\xef\xbb\xbfdata: bom", b"data: \xe2\x80\xa8"]),
    st.binary(max_size=12).map(lambda tail: b"data: " + re.sub(rb"[\r\n]", b"", tail)),
)
stream = st.lists(st.tuples(line, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=20).map(
    lambda lines: b"".join(text + end for text, end in lines)
)
json_events = st.lists(st.text(max_size=20).map(lambda text: b'{"a":"' + text.encode() + b'"}'), max_size=6)


@given(stream, st.lists(st.integers(0, 500), max_size=12), st.booleans())
@example(b"data: a\r\n\r\ndata: b\n\n", [8, 9, 10], True)
@example(b"data: a\r\rdata: b\n\n", [8, 9], False)
@example(b"data: a\r\n\r\ndata: b\r\n\r\ndata: c\rdata: d\r\n\r\ndata: e\ndata: f\r\n\r\n", [11, 22, 41], False)
@example(b"\xef\xbb\xbfdata: a\n\n", [1, 2], False)
@example(b"data: a\n\ndata: b\nevent: x\n\n", [], False)
def test_any_cut_of_any_stream_reads_like_the_standard_says(stream, places, bom):
    stream = (b"\xef\xbb\xbf" if bom else b"") + stream
    parser, names = SSEParser(), SSEParser()
    pieces = cut(stream, places)
    expected = by_the_standard(stream)
    assert expected == [event for piece in pieces for event in names.feed_events(piece)]
    assert [event.data for event in expected] == [data for piece in pieces for data in parser.feed(piece)]
    assert parser.pending == names.pending


@given(json_events, st.lists(st.integers(0, 500), max_size=8))
def test_what_is_written_is_read_back(payloads, places):
    safe = [re.sub(f"[{BREAKS}]", " ", payload.decode()).encode() for payload in payloads]
    parser = SSEParser()
    stream = b"".join(map(encode_event, safe))
    assert safe == [data for piece in cut(stream, places) for data in parser.feed(piece)]
    assert parser.pending is False


def test_a_payload_of_several_lines_is_read_back_with_newlines():
    assert b"data: a\ndata: b\ndata: \ndata: c\n\n" == encode_event(b"a\r\nb\n\rc")
    assert [b"a\nb\n\nc"] == SSEParser().feed(encode_event(b"a\r\nb\n\rc"))


def test_a_name_is_written_and_read():
    wire = encode_event(b"{}", b"message_stop")
    assert b"event: message_stop\ndata: {}\n\n" == wire
    assert [ServerSentEvent(b"{}", b"message_stop")] == SSEParser().feed_events(wire)


@pytest.mark.parametrize("end", BREAKS)
def test_a_name_with_a_line_end_is_refused(end):
    with pytest.raises(ValueError, match="end of a line"):
        encode_event(b"{}", f"a{end}data: x".encode())


def test_line_ends_that_only_some_clients_know_are_escaped_inside_json():
    assert b'data: {"a":"\\u0085\\u2028\\u2029\\u000b"}\n\n' == encode_event('{"a":"\x85\u2028\u2029\x0b"}'.encode())


@pytest.mark.parametrize("text", ["é", "→", "“quoted” — and…", "世界", "🙂", "\u00a0", "\u2027\u202a"])
def test_other_characters_pass_untouched(text):
    assert f"data: {text}\n\n".encode() == encode_event(text.encode())


hostile = st.lists(
    st.one_of(
        st.sampled_from(list(BREAKS)),
        st.sampled_from(["data: [DONE]", "event: error", "id: 1", "retry: 0", ": x", "data", "\ufeff", " ", '"']),
        st.text(max_size=4),
    ),
    max_size=12,
).map("".join)


@given(hostile)
@example("x\n\ndata: [DONE]\n\n")
@example("x\r\rdata: [DONE]")
@example("\u2028\u2028data: [DONE]\u2028\u2028")
@example("\x0b\x0bevent: error\x0bdata: x\x0b\x0b")
@example("\x85\x85id: 1\x85retry: 0")
def test_a_hostile_payload_is_never_more_than_one_event(text):
    wire = encode_event(text.encode())
    ours = SSEParser().feed(wire)
    assert 1 == len(ours)

    def told(events):
        return [(event.event, event.id, event.retry) for event in events]

    assert [(None, None, None)] == told(SSEDecoder().iter_bytes(iter([wire])))
    # Older clients cut lines with str.splitlines(), which knows ten line ends.
    decoder = SSEDecoder()
    assert [(None, None, None)] == told(event for line in wire.decode().splitlines() if (event := decoder.decode(line)))


def test_an_event_the_stream_ends_in_is_not_given_out_but_known():
    for rest in (b"d", b"data: a", b"data: a\n", b"event: x\n", b"data: a\r"):
        parser = SSEParser()
        assert [b"whole"] == parser.feed(b"data: whole\n\n" + rest)
        assert parser.pending is True


def test_nothing_is_pending_between_events():
    parser = SSEParser()
    assert parser.pending is False
    parser.feed(b"data: a\n\n: keep-alive\n\n")
    assert parser.pending is False


def test_a_stray_newline_after_cr_is_not_a_blank_line():
    parser = SSEParser()
    assert [] == parser.feed(b"data: a\r")
    assert [] == parser.feed(b"\ndata: b\r")
    assert [b"a\nb"] == parser.feed(b"\n\r")
    assert [b"c"] == parser.feed(b"data: c\n\n")


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"x" * 200],
        [b"data: ", *[b"x"] * 200],
        [b": comment " + b"x" * 200],
        [b"data: " + b"x" * 200 + b"\n\n"],
        [b"data: a\n\ndata: " + b"x" * 200 + b"\n\n"],
        [b"data: x\n"] * 100,
        [b"data\n" * 100],
    ],
)
def test_an_endless_line_or_event_is_refused(pieces):
    parser = SSEParser(max_event=100, max_line=100)
    with pytest.raises(ResponseTooLarge, match="100 bytes"):
        deque(map(parser.feed, pieces))


def test_caps_are_per_event_and_not_per_stream():
    parser = SSEParser(max_event=100, max_line=100)
    for _ in range(50):
        assert [b"x" * 40] == parser.feed(b"data: " + b"x" * 40 + b"\n\n")
        assert [b"x" * 40, b"x" * 40] == parser.feed((b"data: " + b"x" * 40 + b"\n\n") * 2)


def test_bytes_fed_one_by_one_cost_the_same_however_long_the_line():
    def seconds(length):
        parser = SSEParser()
        pieces = [b"x"] * length
        begin = time.process_time()
        for piece in pieces:
            parser.feed(piece)
        return time.process_time() - begin

    seconds(20_000)
    assert seconds(400_000) < 40 * max(seconds(20_000), 0.005)
