"""Streams of servers that speak the Responses form nearly right, as clients of the form see them."""

import json
from typing import Any

import pytest

from switchgear.contracts.provider import Call
from switchgear.testing.provider_suite import RecordedHead
from switchgear.wire.responses_stream import ResponsesDecoder, response_of
from switchgear.wire.sse import encode_event

Json = dict[str, Any]
CALL = Call("chat", "responses", {}, model="m")
SAID = {"type": "message", "id": "m1", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]}
CALLED = {"type": "function_call", "id": "f1", "call_id": "c1", "name": "f", "arguments": '{"a":1}'}
CREATED = {"type": "response.created", "response": {"id": "r", "output": []}}


def item(kind: str, index: int, said: Json) -> Json:
    return {"type": f"response.output_item.{kind}", "output_index": index, "item": said}


def completed(*output: Json, type: str = "response.completed") -> Json:
    return {"type": type, "response": {"id": "r", "status": "completed", "output": output}}


def stream(*events: Json) -> bytes:
    return b"".join(encode_event(json.dumps({**e, "sequence_number": n}).encode()) for n, e in enumerate(events))


def told(*events: Json) -> list[Json]:
    decoder = ResponsesDecoder(CALL, RecordedHead())
    found = decoder.feed(stream(*events))
    decoder.close()
    return [json.loads(event.data) for event in found]


FULL = [item("added", 0, SAID), item("done", 0, SAID), item("added", 1, CALLED), item("done", 1, CALLED)]


@pytest.mark.parametrize(
    "events",
    [
        [*FULL, completed()],
        [completed(SAID, CALLED)],
        [item("done", 0, SAID), item("done", 1, CALLED), completed(SAID, CALLED)],
        [item("added", 0, SAID), item("done", 1, CALLED), completed(SAID, CALLED)],
        [*FULL, completed(SAID, CALLED, type="response.done")],
        [item("done", 0, {**SAID, "content": "ok"}), item("done", 1, {**CALLED, "arguments": {"a": 1}}), completed()],
    ],
)
def test_every_item_begins_and_ends_and_is_in_the_closing_event(events: list[Json]) -> None:
    found = told(CREATED, *events)
    assert list(range(len(found))) == [event["sequence_number"] for event in found]
    assert {(0, "added"), (0, "done"), (1, "added"), (1, "done")} == {
        (event["output_index"], event["type"].rpartition(".")[2]) for event in found if "output_index" in event
    }
    kept = found[-1]["response"]["output"]
    assert ("response.completed", ["m1", "f1"]) == (found[-1]["type"], [each["id"] for each in kept])
    assert ["ok", '{"a":1}'] == [kept[0]["content"][0]["text"], kept[1]["arguments"]]


def test_a_stream_that_is_taken_up_in_the_middle_is_told_no_item_twice() -> None:
    found = told(FULL[3], completed(SAID, CALLED))
    assert ["response.output_item.done", "response.completed"] == [event["type"] for event in found]


def test_a_delta_of_nothing_is_passed_over_and_halves_find_each_other() -> None:
    deltas = [
        {"type": "response.output_text.delta", "output_index": 0, "delta": it} for it in (None, "\ud83d", "\ude00")
    ]
    found = told(CREATED, item("added", 0, SAID), *deltas, item("done", 0, SAID), completed(SAID))
    assert "\U0001f600" == "".join(event.get("delta", "") for event in found)


def test_a_stream_where_a_response_was_asked_for_is_what_it_ends_with() -> None:
    found = json.loads(response_of(CALL, RecordedHead(), stream(CREATED, *FULL, completed())))
    assert [SAID, CALLED] == found["output"]
