import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.contracts.provider import ProviderFault, StreamDecoder, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.errors import ConnectionBroken, ResponseTooLarge
from switchgear.testing.provider_suite import RecordedHead, chat_call, text_of
from switchgear.wire.messages.native import NativeDecoder
from switchgear.wire.messages.stream import ChunkDecoder
from switchgear.wire.sse import MOST, encode_event

BOTH = ("native", "chunks")


def decoder(form: str, head: RecordedHead | None = None, *, usage_wanted: bool = True) -> StreamDecoder:
    head = head or RecordedHead()
    if form == "native":
        return NativeDecoder(head)
    return ChunkDecoder(chat_call(stream=True, usage_wanted=usage_wanted), head, 1, "own")


def event(type: str, **members: Any) -> bytes:
    return encode_event(json.dumps({"type": type, **members}).encode(), type.encode())


def start(**usage: int) -> bytes:
    message = {"id": "m", "type": "message", "model": "x", "content": [], "usage": usage or {"input_tokens": 3}}
    return event("message_start", message=message)


def opened(index: int = 0, **block: Any) -> bytes:
    return event("content_block_start", index=index, content_block=block or {"type": "text", "text": ""})


def said(text: str) -> bytes:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def delta(reason: str | None = "end_turn", **usage: Any) -> bytes:
    return event("message_delta", delta={"stop_reason": reason}, usage=usage or {"output_tokens": 2})


STOP = event("message_stop")
OVERLOADED = event("error", error={"type": "overloaded_error", "message": "Overloaded"}, request_id="req_1")


@pytest.mark.parametrize("form", BOTH)
def test_an_error_ends_the_stream_behind_what_came_before_it(form: str) -> None:
    reader = decoder(form)
    events = reader.feed(start() + opened() + said("Hel") + OVERLOADED + said("lo") + STOP)
    last = events[-1]
    assert last.fault is not None
    assert ("overloaded", 200, "Overloaded", "req_1") == (
        last.fault.cause,
        last.fault.status,
        last.fault.message,
        last.fault.request_id,
    )
    assert (b"", True, False) == (last.data, last.last, last.terminal)
    assert any(b"Hel" in event.data for event in events)
    assert not any(b"lo" == event.data for event in events)
    assert [] == reader.feed(STOP)
    with pytest.raises(ConnectionBroken):
        reader.close()


@pytest.mark.parametrize("form", BOTH)
@pytest.mark.parametrize(
    "garbage",
    [
        b"data: {\n\n",
        b"data: [DONE]\n\n",
        b"data: []\n\n",
        b'data: {"a":1}\n\n',
        b'data: {"type":"\xff"}\n\n',
        b"data: {}\n\n",
    ],
)
def test_garbage_is_a_fault_of_the_protocol(form: str, garbage: bytes) -> None:
    events = decoder(form).feed(start() + garbage)
    assert events[-1].fault is not None
    assert ("protocol", True) == (events[-1].fault.cause, events[-1].last)


@pytest.mark.parametrize(
    "early", [opened(), said("x"), STOP, event("message_start"), event("content_block_delta", index=0)]
)
def test_an_event_out_of_place_is_a_fault_of_the_protocol(early: bytes) -> None:
    events = decoder("chunks").feed(early)
    assert ["protocol"] == [event.fault and event.fault.cause for event in events]


def test_a_message_that_begins_twice_is_a_fault_of_the_protocol() -> None:
    assert decoder("chunks").feed(start() + start())[-1].fault is not None


def test_events_nobody_knows_yet_are_passed_over_or_passed_on() -> None:
    stream = start() + event("thought_bubble", x=[1]) + opened(type="hologram", data="d") + said("Hi") + delta() + STOP
    events = decoder("chunks").feed(stream)
    assert "Hi" == text_of(events)
    names = [event.name for event in decoder("native").feed(stream)]
    assert b"thought_bubble" in names


@pytest.mark.parametrize("type", ["a\nb", "a\rdata: x", "a b", "\u2028", "", "é"])
def test_a_type_that_is_no_word_cannot_become_a_name(type: str) -> None:
    events = decoder("native").feed(b"data: %b\n\n" % json.dumps({"type": type}).encode())
    assert ["protocol"] == [event.fault and event.fault.cause for event in events]


@pytest.mark.parametrize("form", BOTH)
def test_nothing_behind_the_end_is_read(form: str) -> None:
    reader = decoder(form)
    events = reader.feed(start() + delta() + STOP + said("more") + b"garbage\n\n")
    assert (True, True) == (events[-1].last, events[-1].terminal)
    assert [] == reader.feed(said("more"))
    reader.close()


@pytest.mark.parametrize("form", BOTH)
def test_a_body_that_is_no_stream_is_a_fault(form: str) -> None:
    reader = decoder(form, RecordedHead(200, {"content-type": "application/json", "request-id": "r"}))
    assert [] == reader.feed(b'{"type":"error"}')
    with pytest.raises(ProviderFault) as caught:
        reader.close()
    assert ("protocol", "r") == (caught.value.cause, caught.value.request_id)


@pytest.mark.parametrize("form", BOTH)
def test_an_event_over_the_cap_is_too_large(form: str) -> None:
    with pytest.raises(ResponseTooLarge):
        decoder(form).feed(b"data: " + b"x" * (MOST + 1))


@pytest.mark.parametrize("form", BOTH)
@pytest.mark.parametrize(
    ("begun", "ended", "expected"),
    [
        ({"input_tokens": 3, "output_tokens": 1}, {"output_tokens": 9}, Usage.of(3, 9)),
        (
            {"input_tokens": 3, "cache_read_input_tokens": 5},
            {"output_tokens": 9, "cache_read_input_tokens": None},
            Usage.of(8, 9, cached_input=5),
        ),
        (
            {"input_tokens": 3},
            {"input_tokens": 40, "output_tokens": 9, "cache_creation_input_tokens": 2},
            Usage.of(42, 9, cache_write=2),
        ),
        (
            {"input_tokens": 3},
            {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}},
            Usage.of(3, 9, reasoning=4),
        ),
        (
            {"input_tokens": 1000, "cache_read_input_tokens": 900, "output_tokens": 1},
            {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 7},
            Usage.of(1900, 7, cached_input=900),
        ),
        ({"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 5, "output_tokens": 7}, Usage.of(5, 7)),
        ({"input_tokens": 3, "output_tokens": 1}, {"output_tokens": 0}, Usage.of(3)),
        (
            {
                "input_tokens": 3,
                "cache_creation_input_tokens": 9,
                "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 6},
            },
            {"output_tokens": 7, "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}},
            Usage({"input": 3, "cache_write_5m": 2, "cache_write_1h": 6, "cache_write": 1, "output": 7}),
        ),
        (
            {"input_tokens": 220},
            {
                "input_tokens": 220,
                "output_tokens": 8,
                "iterations": [
                    {
                        "type": "compaction",
                        "input_tokens": 55_000,
                        "output_tokens": 120,
                        "cache_read_input_tokens": 196,
                    },
                    {"type": "message", "input_tokens": 220, "output_tokens": 13},
                ],
            },
            Usage({"input": 55_220, "cached_input": 196, "output": 133}),
        ),
        ({"input_tokens": 30}, {"output_tokens": 9, "iterations": [{"input_tokens": 2}]}, Usage.of(30, 9)),
        ({"input_tokens": 3.0}, {"output_tokens": "9", "iterations": 5, "cache_creation": []}, Usage.of(3, 9)),
        ({"input_tokens": -3}, {"output_tokens": 9}, None),
        ({"input_tokens": 3}, {"output_tokens": 2**60}, None),
    ],
)
def test_counts_add_up_to_what_the_last_event_says(
    form: str, begun: dict[str, int], ended: dict[str, Any], expected: Usage | None
) -> None:
    events = decoder(form).feed(start(**begun) + delta(**ended) + STOP)
    assert [expected] * (expected is not None) == [event.usage for event in events if event.usage is not None]


def test_a_stream_that_counts_nothing_has_no_usage() -> None:
    message = {"id": "m", "type": "message", "model": "x", "content": []}
    stream = event("message_start", message=message) + event("message_delta", delta={"stop_reason": "end_turn"}) + STOP
    for form in BOTH:
        assert [] == [event.usage for event in decoder(form).feed(stream) if event.usage]


def test_the_finish_reason_waits_for_the_end() -> None:
    reader = decoder("chunks")
    assert [None] == [finish_of(event) for event in reader.feed(start() + delta("max_tokens"))]
    assert ["length", None] == [finish_of(event) for event in reader.feed(STOP)]


def finish_of(event: StreamEvent) -> str | None:
    choices = json.loads(event.data)["choices"]
    return choices[0]["finish_reason"] if choices else None


def test_usage_is_shown_to_those_who_asked() -> None:
    events = decoder("chunks", usage_wanted=False).feed(start() + delta() + STOP)
    assert (b"", Usage.of(3, 2)) == (events[-1].data, events[-1].usage)


def test_a_block_may_begin_with_something_in_it() -> None:
    stream = (
        start()
        + opened(0, type="text", text="Hi")
        + opened(1, type="tool_use", id="t", name="f", input={"a": 1})
        + event("content_block_stop", index=1)
        + opened(2, type="thinking", thinking="Hm", signature="s")
        + event("content_block_stop", index=2)
    )
    said = [json.loads(event.data)["choices"][0]["delta"] for event in decoder("chunks").feed(stream)[1:]]
    call = {"index": 0, "id": "t", "type": "function", "function": {"name": "f", "arguments": ""}}
    detail = {"type": "reasoning.text", "text": "Hm", "signature": "s", "id": "t", "format": "own", "index": 0}
    assert [
        {"content": "Hi"},
        {"tool_calls": [call]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a": 1}'}}]},
        {"reasoning_content": "Hm"},
        {"reasoning_details": [detail]},
    ] == said


def test_thinking_that_is_not_signed_is_shown_and_need_not_come_back() -> None:
    thinking = {"type": "thinking_delta", "thinking": "Hm"}
    stream = start() + opened(type="thinking", thinking="") + event("content_block_delta", index=0, delta=thinking)
    stream += event("content_block_stop", index=0)
    said = [json.loads(event.data)["choices"][0]["delta"] for event in decoder("chunks").feed(stream)[1:]]
    assert [{"reasoning_content": "Hm"}] == said


@given(pieces=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=5))
def test_any_text_comes_through(pieces: list[str]) -> None:
    stream = start() + opened() + b"".join(said(piece) for piece in pieces)
    stream += event("content_block_stop", index=0) + delta() + STOP
    assert "".join(pieces) == text_of(decoder("chunks").feed(stream))
    assert stream == b"".join(encode_event(event.data, event.name) for event in decoder("native").feed(stream))


@given(
    events=st.lists(
        st.sampled_from(
            [start(), opened(), said("x"), delta(), STOP, OVERLOADED, b": c\n\n", b"data: {\n\n", b"data: 1"]
        ),
        max_size=8,
    ),
    form=st.sampled_from(BOTH),
)
def test_events_in_any_order_end_once_or_break(events: list[bytes], form: str) -> None:
    reader = decoder(form)
    found = [event for piece in events for event in reader.feed(piece)]
    assert sum(event.last for event in found) <= 1
    if any(event.terminal for event in found):
        reader.close()
        assert found[-1].terminal
    else:
        with pytest.raises(ConnectionBroken):
            reader.close()


def stops(form: str, events: list[StreamEvent]) -> list[str]:
    found = [json.loads(event.data) for event in events if event.data]
    if form == "native":
        return [it["delta"]["stop_reason"] for it in found if it["type"] == "message_delta"]
    return [choice["finish_reason"] for it in found for choice in it["choices"] if choice["finish_reason"]]


@pytest.mark.parametrize(("form", "reason"), [("native", "tool_use"), ("chunks", "tool_calls")])
@pytest.mark.parametrize("said", ["end_turn", "stop", "tool_calls"])
def test_a_message_that_called_a_tool_stops_for_it(form: str, reason: str, said: str) -> None:
    tool = opened(type="tool_use", id="t", name="f", input={})
    assert [reason] == stops(
        form, decoder(form).feed(start() + tool + event("content_block_stop", index=0) + delta(said) + STOP)
    )


@pytest.mark.parametrize("form", BOTH)
def test_another_forms_end_is_one_behind_the_reason_and_not_before(form: str) -> None:
    reader = decoder(form)
    events = reader.feed(start() + opened() + said("hi") + delta() + b"data: [DONE]\n\n")
    reader.close()
    assert events[-1].last
    assert decoder(form).feed(start() + b"data: [DONE]\n\n")[-1].fault is not None


@pytest.mark.parametrize("form", BOTH)
def test_a_message_that_comes_whole_is_told_as_the_stream_that_was_asked_for(form: str) -> None:
    content = [
        {"type": "thinking", "thinking": "so", "signature": "s"},
        {"type": "text", "text": "hi"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
    ]
    usage = {"input_tokens": 3, "output_tokens": 2}
    whole = {"type": "message", "id": "m", "model": "x", "content": content, "stop_reason": "tool_use", "usage": usage}
    reader = decoder(form, RecordedHead(headers={"content-type": "application/json"}))
    events = reader.feed(json.dumps(whole).encode())
    reader.close()
    body = b"".join(event.data for event in events)
    assert all(part in body for part in (b'"so"', b'"hi"', b'{\\"a\\":1}'))
    assert [event.usage for event in events if event.usage][-1] == Usage.plain(3, 2)


def test_two_calls_under_one_id_are_told_apart() -> None:
    tools = [opened(n, type="tool_use", id="t", name="f", input={}) for n in (0, 1)]
    found = [json.loads(it.data) for it in decoder("chunks").feed(start() + b"".join(tools)) if it.data]
    ids = [call["id"] for it in found for call in it["choices"][0]["delta"].get("tool_calls", ())]
    assert len({*ids, "", None}) == len(tools) + 2
