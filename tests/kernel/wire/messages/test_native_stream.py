"""Streams of servers that speak the Messages form nearly right, as clients of the form see them."""

import json
from typing import Any

import pytest

from switchgear.errors import ConnectionBroken
from switchgear.testing.provider_suite import RecordedHead
from switchgear.wire.messages.native import NativeDecoder, message_of
from switchgear.wire.sse import encode_event

BEGUN = {"type": "message_start", "message": {"id": "m", "model": "x", "content": [], "usage": {"input_tokens": 3}}}
ENDED = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}
STOP = {"type": "message_stop"}
Json = dict[str, Any]


def opened(index: int | None, **block: Any) -> Json:
    found = {"type": "content_block_start", "index": index, "content_block": block or {"type": "text", "text": ""}}
    return {name: value for name, value in found.items() if value is not None}


def call(index: int | None, id: str | None, given: Any = None) -> Json:
    return opened(index, type="tool_use", id=id, name="f", input={} if given is None else given)


def piece(index: int | None, kind: str, said: Any) -> Json:
    name = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}[kind]
    found = {"type": "content_block_delta", "index": index, "delta": {"type": kind, name: said}}
    return {name: value for name, value in found.items() if value is not None}


def closed(index: int | None) -> Json:
    return {"type": "content_block_stop", **({} if index is None else {"index": index})}


def stream(*events: Json) -> bytes:
    return b"".join(encode_event(json.dumps(event).encode()) for event in events)


def told(*events: Json) -> list[Json]:
    decoder = NativeDecoder(RecordedHead())
    found = decoder.feed(stream(*events))
    decoder.close()
    assert [event.name for event in found] == [json.loads(event.data)["type"].encode() for event in found]
    return [json.loads(event.data) for event in found]


def blocks(*events: Json) -> list[tuple[str, Any]]:
    """Read what clients do: blocks numbered from 0, each begun and ended once, with deltas of its own between."""
    found: list[tuple[str, Any]] = []
    said: list[str] = []
    started, is_open, ids = 0, False, set()
    for event in told(BEGUN, *events, ENDED, STOP):
        kind = event["type"]
        if kind == "content_block_start":
            assert (started, False) == (event["index"], is_open)
            started, is_open, said, block = started + 1, True, [], event["content_block"]
            assert ("", "", {}) == (block.get("text", ""), block.get("thinking", ""), block.get("input", {}))
            assert not block.get("id") or block["id"] not in ids
            ids.add(block.get("id"))
        elif kind == "content_block_delta":
            assert (started - 1, True) == (event["index"], is_open)
            said.append(next(value for name, value in event["delta"].items() if name != "type"))
        elif kind == "content_block_stop":
            assert (started - 1, True) == (event["index"], is_open)
            is_open = False
            found.append((block["type"], json.loads("".join(said)) if block["type"] == "tool_use" else "".join(said)))
    assert not is_open
    return found


A, B = {"a": 1}, {"a": 2}
CALLS = [("tool_use", A), ("tool_use", B)]
JSON_A, JSON_B = json.dumps(A), json.dumps(B)


@pytest.mark.parametrize(
    "events",
    [
        [call(0, "a", A), closed(0), call(1, "b", B), closed(1)],
        [call(0, "a", JSON_A), closed(0), call(1, "b", JSON_B), closed(1)],
        [call(0, "a", A), piece(0, "input_json_delta", JSON_A), closed(0), call(1, "b", B), closed(1)],
        [call(0, "a"), piece(0, "input_json_delta", A), closed(0), call(1, "b", B), closed(1)],
        [call(0, "a"), piece(0, "input_json_delta", None), piece(0, "input_json_delta", JSON_A), call(1, "b", B)],
        [call(1, "a", A), closed(1), call(2, "b", B), closed(2)],
        [call(0, "a", A), closed(0), call(0, "b", B), closed(0)],
        [call(None, "a"), piece(None, "input_json_delta", JSON_A), call(None, "b", B), closed(None)],
        [call(0, "a", A), closed(0), closed(0), call(1, "a", B), closed(1)],
        [call(0, None, A), closed(0), call(1, "", B), closed(1)],
    ],
)
def test_calls_come_as_they_were_meant(events: list[Json]) -> None:
    assert CALLS == blocks(*events)


@pytest.mark.parametrize(
    "events",
    [
        [piece(0, "thinking_delta", "hm"), piece(0, "text_delta", "ok"), closed(0)],
        [opened(0, type="thinking", thinking="hm"), closed(0), opened(1, type="text", text="ok"), closed(1)],
        [opened(0, type="thinking"), piece(0, "thinking_delta", "hm"), opened(1), piece(1, "text_delta", "ok")],
        [
            opened(0, type="thinking", thinking="hm"),
            piece(0, "thinking_delta", "hm"),
            opened(1, type="text"),
            piece(1, "text_delta", None),
            piece(1, "text_delta", [{"type": "text", "text": "ok"}]),
        ],
    ],
)
def test_what_is_thought_and_said_has_blocks_of_its_own(events: list[Json]) -> None:
    assert [("thinking", "hm"), ("text", "ok")] == blocks(*events)


def test_calls_whose_pieces_alternate_stay_open() -> None:
    events = [call(0, "a"), call(1, "b")]
    events += [piece(0, "input_json_delta", JSON_A), piece(1, "input_json_delta", JSON_B), closed(0), closed(1)]
    assert [BEGUN, *events, {**ENDED, "delta": {"stop_reason": "tool_use"}}, STOP] == told(BEGUN, *events, ENDED, STOP)


def test_halves_of_a_character_find_each_other() -> None:
    said = [piece(0, "text_delta", "\ud83d"), piece(0, "text_delta", "\ude00!")]
    assert [("text", "\U0001f600!")] == blocks(opened(0), *said)


def test_what_clients_count_and_wait_for_is_there() -> None:
    bare = {"type": "message_start", "message": {"role": "assistant", "content": None, "usage": None}}
    events = told(bare, opened(0), piece(0, "text_delta", "ok"), {"type": "message_delta", "delta": {}}, STOP)
    begun = events[0]["message"]
    assert begun["id"]
    assert ([], {"input_tokens": 0, "output_tokens": 0}) == (begun["content"], begun["usage"])
    assert ["content_block_stop", "message_delta", "message_delta", "message_stop"] == [e["type"] for e in events[3:]]
    assert ({"output_tokens": 0}, "end_turn") == (events[4]["usage"], events[5]["delta"]["stop_reason"])


def test_later_zeros_do_not_beat_what_was_counted() -> None:
    zeros = {**ENDED, "usage": {"input_tokens": 0, "output_tokens": 2}}
    assert {"input_tokens": 3, "output_tokens": 2} == told(BEGUN, zeros, STOP)[1]["usage"]


def test_a_stream_where_a_message_was_asked_for_is_put_together() -> None:
    body = stream(
        BEGUN, opened(0), piece(0, "text_delta", "o"), piece(0, "text_delta", "k"), call(1, "t", A), ENDED, STOP
    )
    found = json.loads(message_of(RecordedHead(), body, {}))
    assert ["ok", A] == [found["content"][0]["text"], found["content"][1]["input"]]
    assert ("tool_use", {"input_tokens": 3, "output_tokens": 2}) == (found["stop_reason"], found["usage"])
    with pytest.raises(ConnectionBroken):
        message_of(RecordedHead(), stream(BEGUN, opened(0)), {})
