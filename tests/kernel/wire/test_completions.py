"""Legacy completions that are nearly right."""

import json
from typing import Any

import pytest

from switchgear.contracts.provider import Call
from switchgear.testing.provider_suite import RecordedHead
from switchgear.wire.completions import CompletionsDecoder, decode_completion

Json = dict[str, Any]
OK, END = {"choices": [{"text": "ok"}]}, {"choices": [{"text": "", "finish_reason": "stop"}]}


def told(*events: Json) -> list[Any]:
    decoder = CompletionsDecoder(Call("completion", "completions", {}, model="m"), RecordedHead())
    body = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events) + b"data: [DONE]\n\n"
    found = decoder.feed(body)
    assert found[-1].last
    return [event.fault or json.loads(event.data) for event in found if event.fault or event.data]


@pytest.mark.parametrize(
    "events",
    [
        [OK],
        [{"choices": None}, OK, END],
        [OK, {"choices": [{"text": None}]}, {"choices": [{"finish_reason": "stop"}]}],
        [{"choices": [{"delta": {"content": "ok"}}]}, {"choices": [{"delta": {}, "finish_reason": "stop"}]}],
        [{**OK, "id": None, "created": 1.5, "model": None}, END],
    ],
)
def test_a_stream_has_texts_and_an_end(events: list[Json]) -> None:
    choices = [choice for event in told(*events) for choice in event["choices"]]
    assert "ok" == "".join(choice["text"] for choice in choices)
    assert "stop" == choices[-1]["finish_reason"]


@pytest.mark.parametrize("events", [[], [{"object": "error", "message": "too long", "code": 400}], [{"detail": "x"}]])
def test_what_says_nothing_is_a_failure(events: list[Json]) -> None:
    assert not isinstance(told(*events)[-1], dict)


def test_a_whole_answer_in_a_chats_shape_has_a_text() -> None:
    body = json.dumps({"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}).encode()
    assert "ok" == json.loads(decode_completion(body, RecordedHead()).body)["choices"][0]["text"]
