import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from support.anthropic_golden import ANSWERS, REQUESTS, STREAMS, added_up, recorded
from support.usage import usage_of
from switchgear.contracts.provider import Call, ProviderConfig, StreamDecoder, TargetModel
from switchgear.errors import ConnectionBroken, InvalidRequest
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.provider_suite import RecordedHead, chat_call
from switchgear_plugins.anthropic.provider import AnthropicProvider
from switchgear_plugins.anthropic.settings import AnthropicProviderSettings

AMBIENT = FixedAmbient(wall_us=1_700_000_000_000_000)
PROVIDER = AnthropicProvider(ProviderConfig("p", None, {}, AnthropicProviderSettings(), AMBIENT))
NATIVE = Call("chat", "messages", {}, model="public-name", stream=True)
CHUNKS = chat_call(stream=True, usage_wanted=True)


def call_of(case: dict[str, Any], *, strict: bool = False) -> Call:
    chat = {"model": "public-name", **case["chat"]}
    members = {name: Raw(json.dumps(value, ensure_ascii=False).encode()) for name, value in chat.items()}
    return Call("chat", "chat", members, model="public-name", stream=chat.get("stream", False), strict=strict)


def model_of(case: dict[str, Any]) -> TargetModel:
    return TargetModel("public-name", case["model"], Raw(json.dumps(case["model"]).encode()))


@pytest.mark.parametrize("name", REQUESTS)
def test_writes_the_request(name: str) -> None:
    case = REQUESTS[name]
    call = call_of(case)
    assert case["body"] == json.loads(PROVIDER.prepare(call, model_of(case), None).body)
    assert case["dropped"] == list(call.dropped)


@pytest.mark.parametrize("name", [name for name, case in REQUESTS.items() if case["dropped"]])
def test_a_strict_call_is_refused_for_what_would_be_dropped(name: str) -> None:
    case = REQUESTS[name]
    with pytest.raises(InvalidRequest) as caught:
        PROVIDER.prepare(call_of(case, strict=True), model_of(case), None)
    assert case["dropped"][0] == caught.value.param


@pytest.mark.parametrize("name", ANSWERS)
def test_translates_the_answer(name: str) -> None:
    case = ANSWERS[name]
    answer = PROVIDER.decode(chat_call(), RecordedHead(), recorded(name))
    body = json.loads(answer.body)
    assert {"index": 0, "message": case["message"], "logprobs": None, "finish_reason": case["finish_reason"]} == body[
        "choices"
    ][0]
    assert ("msg_01", 1_700_000_000, "claude-opus-5-5") == (body["id"], body["created"], body["model"])
    assert (usage_of(case["usage"]), case["finish_reason"]) == (answer.usage, answer.finish_reason)


@pytest.mark.parametrize("name", ANSWERS)
def test_passes_the_answer_on_to_a_client_of_the_form(name: str) -> None:
    case = ANSWERS[name]
    answer = PROVIDER.decode(NATIVE, RecordedHead(), recorded(name))
    assert recorded(name) == answer.body
    assert (usage_of(case["usage"]), "claude-opus-5-5", case["finish_reason"]) == (
        answer.usage,
        answer.model,
        answer.finish_reason,
    )


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_adds_up_to_the_answer(name: str) -> None:
    case = ANSWERS[name]
    decoder = PROVIDER.decoder(CHUNKS, RecordedHead())
    events = decoder.feed(STREAMS[name])
    decoder.close()
    assert (case["message"], case["finish_reason"]) == added_up(events)
    assert [usage_of(case["usage"])] == [event.usage for event in events if event.usage]
    assert [len(events) - 1] == [place for place, event in enumerate(events) if event.last]


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_of_the_form_is_passed_on(name: str) -> None:
    decoder = PROVIDER.decoder(NATIVE, RecordedHead())
    events = decoder.feed(STREAMS[name])
    decoder.close()
    assert STREAMS[name] == b"".join(b"event: %b\ndata: %b\n\n" % (event.name, event.data) for event in events)
    assert [usage_of(ANSWERS[name]["usage"])] == [event.usage for event in events if event.usage]
    assert [len(events) - 1] == [place for place, event in enumerate(events) if event.terminal and event.last]


def test_pings_and_frames_show_nothing() -> None:
    events = PROVIDER.decoder(NATIVE, RecordedHead()).feed(STREAMS["text"])
    shown = {event.name for event in events if event.content}
    assert {b"content_block_delta"} == shown


def decoders() -> list[StreamDecoder]:
    return [PROVIDER.decoder(call, RecordedHead()) for call in (NATIVE, CHUNKS)]


@pytest.mark.parametrize("name", STREAMS)
def test_streams_are_read_alike_however_they_are_cut(name: str) -> None:
    stream = STREAMS[name]
    whole = [decoder.feed(stream) for decoder in decoders()]
    for at in range(1, len(stream)):
        for expected, decoder in zip(whole, decoders(), strict=True):
            assert expected == decoder.feed(stream[:at]) + decoder.feed(stream[at:])


@settings(max_examples=50, deadline=None)
@given(cuts=st.lists(st.integers(0, 4000), max_size=30), name=st.sampled_from(sorted(STREAMS)))
def test_streams_are_read_alike_in_any_pieces(cuts: list[int], name: str) -> None:
    stream = STREAMS[name]
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    for decoder, other in zip(decoders(), decoders(), strict=True):
        pieces = [event for start, end in pairwise(edges) for event in decoder.feed(stream[start:end])]
        assert other.feed(stream) == pieces


@pytest.mark.parametrize("name", STREAMS)
def test_a_truncated_stream_is_never_complete(name: str) -> None:
    stream = STREAMS[name]
    for at in range(len(stream)):
        for decoder in decoders():
            events = decoder.feed(stream[:at])
            assert not any(event.terminal or event.fault or event.last for event in events)
            with pytest.raises(ConnectionBroken):
                decoder.close()


@pytest.mark.parametrize("name", ["thinking", "parallel_tools", "text", "cut_by_the_bound"])
def test_what_the_model_said_goes_back_to_it_unchanged(name: str) -> None:
    case = ANSWERS[name]
    messages = [{"role": "user", "content": "Go"}, case["message"], {"role": "user", "content": "On"}]
    model = TargetModel("m", "claude-opus-5-5", Raw(b'"claude-opus-5-5"'))
    call = chat_call(messages=messages)
    body = json.loads(PROVIDER.prepare(call, model, None).body)
    assert case["answer"]["content"] == body["messages"][1]["content"]
    assert () == call.dropped
