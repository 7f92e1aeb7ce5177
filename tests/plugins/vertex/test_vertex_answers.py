"""What comes back: whole answers, streams, and the way of signatures there and back."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.vertex import GOLDEN, KEY, call, chunks, golden, provider, target
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import Answer, ProviderFault, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.errors import ConnectionBroken
from switchgear.testing.provider_suite import RecordedHead, text_of

USAGE = Usage.of(input=11, output=8, cached_input=4, reasoning=5)
STREAMS = sorted(path.name for path in (GOLDEN / "streams").glob("*.sse"))
FORMAT = "google-gemini-v1"


def answer(name: str) -> Answer:
    return provider().decode(call(), RecordedHead(), golden(f"answers/{name}.json"))


def choices(name: str) -> list[dict]:
    return json.loads(answer(name).body)["choices"]


def read(body: bytes, *, at: int | None = None, n: int = 1, wanted: bool = True) -> list[StreamEvent]:
    decoder = provider().decoder(call(stream=True, n=n, wanted=wanted), RecordedHead())
    pieces = [body] if at is None else [body[:at], body[at:]]
    events = [event for piece in pieces for event in decoder.feed(piece)]
    if not any(event.fault for event in events):
        decoder.close()
    return events


def asked(name: str) -> int:
    return 2 if name == "two.sse" else 1


def deltas(events: list[StreamEvent], index: int = 0) -> list[dict]:
    found = [choice for chunk in chunks(events) for choice in chunk["choices"]]
    return [choice["delta"] for choice in found if choice["index"] == index and choice["delta"]]


def reasons(events: list[StreamEvent]) -> list[tuple[int, str]]:
    found = [choice for chunk in chunks(events) for choice in chunk["choices"]]
    return [(choice["index"], choice["finish_reason"]) for choice in found if choice["finish_reason"]]


def test_a_whole_answer_is_a_completion():
    found = answer("text")
    assert {
        "id": "chatcmpl-r1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "gemini-2.5-flash",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Héllo, wörld", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 11,
            "completion_tokens": 8,
            "total_tokens": 19,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 5},
        },
    } == json.loads(found.body)
    assert ("gemini-2.5-flash", "stop", USAGE) == (found.model, found.finish_reason, found.usage)


def test_tool_calls_get_ids_that_are_unique_and_keep_the_models_own():
    (choice,) = choices("tools")
    made = "gem_00000000000000000001"
    assert "tool_calls" == choice["finish_reason"]
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "reasoning_content": "Let me see.",
        "reasoning_details": [{"type": "reasoning.encrypted", "data": "U0lH", "id": f"{made}_0", "format": FORMAT}],
        "tool_calls": [
            {"id": f"{made}_0", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}},
            {"id": "fc-2", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
            {"id": f"{made}_1", "type": "function", "function": {"name": "now", "arguments": "{}"}},
        ],
    }


def test_several_candidates_are_choices_in_order():
    found = choices("two")
    assert [("A", "stop"), ("B", "length")] == [(one["message"]["content"], one["finish_reason"]) for one in found]
    assert {
        "content": [{"token": "A", "logprob": -0.25, "bytes": [65], "top_logprobs": []}],
        "refusal": None,
    } == found[0]["logprobs"]


def test_a_filtered_answer_says_so():
    (choice,) = choices("filtered")
    assert ("content_filter", "") == (choice["finish_reason"], choice["message"]["content"])


@pytest.mark.parametrize(
    ("name", "cause", "code", "message"),
    [
        ("blocked", "content_filter", "PROHIBITED_CONTENT", "The prompt was blocked."),
        ("malformed_call", "server", "MALFORMED_FUNCTION_CALL", "Malformed function call: print(weather"),
    ],
)
def test_no_answer_is_a_fault_whole_and_streamed(name, cause, code, message):
    with pytest.raises(ProviderFault) as caught:
        answer(name)
    body = json.dumps(json.loads(golden(f"answers/{name}.json"))).encode()
    (*_, last) = read(b"data: %b\n\n" % body)
    assert last.fault is not None
    for fault in (caught.value, last.fault):
        assert (cause, code, message, 200) == (fault.cause, fault.code, fault.message, fault.status)


FINISH = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(["SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"], "content_filter"),
    **dict.fromkeys(["IMAGE_SAFETY", "MODEL_ARMOR"], "content_filter"),
    "OTHER": "stop",
    "NEVER_HEARD_OF": "stop",
}


@pytest.mark.parametrize("reason", FINISH)
def test_every_finish_reason_has_a_canonical_one(reason):
    body = json.dumps({"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": reason}]}).encode()
    assert FINISH[reason] == provider().decode(call(), RecordedHead(), body).finish_reason
    assert [(0, FINISH[reason])] == reasons(read(b"data: %b\n\n" % body))


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("UNEXPECTED_TOOL_CALL", "server"),
        ("TOO_MANY_TOOL_CALLS", "server"),
        ("MALFORMED_RESPONSE", "server"),
        ("MISSING_THOUGHT_SIGNATURE", "invalid_request"),
        ("OTHER", "server"),
    ],
)
def test_an_end_without_an_answer_is_a_fault(reason, cause):
    body = json.dumps({"candidates": [{"finishReason": reason}]}).encode()
    with pytest.raises(ProviderFault) as caught:
        provider().decode(call(), RecordedHead(), body)
    assert cause == caught.value.cause


def test_a_call_that_was_not_expected_is_a_call() -> None:
    parts = [{"functionCall": {"name": "f", "args": {"a": 1}}}]
    body = json.dumps({"candidates": [{"content": {"parts": parts}, "finishReason": "UNEXPECTED_TOOL_CALL"}]}).encode()
    assert "tool_calls" == provider().decode(call(), RecordedHead(), body).finish_reason
    assert [(0, "tool_calls")] == reasons(read(b"data: %b\n\n" % body))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 40}, {"input": 9, "output": 3, "reasoning": 28}),
        (
            {
                "promptTokenCount": 100, "cachedContentTokenCount": 20, "candidatesTokenCount": 1300, "totalTokenCount": 1400,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 40}, {"modality": "AUDIO", "tokenCount": 60}],
                "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
            },
            {"input": 20, "cached_input": 20, "audio_input": 60, "output": 10, "image_output": 1290},
        ),
    ],
)  # fmt: skip
def test_usage_names_what_may_have_a_price_of_its_own(said, expected):
    body = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}], "usageMetadata": said}
    assert Usage(expected) == provider().decode(call(), RecordedHead(), json.dumps(body).encode()).usage


def test_a_later_count_of_nothing_is_no_news():
    pieces = ({"promptTokenCount": 9, "candidatesTokenCount": 1}, {"promptTokenCount": 0, "candidatesTokenCount": 3})
    stream = b"".join(
        b"data: %b\n\n" % json.dumps({"candidates": [candidate], "usageMetadata": usage}).encode()
        for usage, candidate in zip(
            pieces, ({"content": {"parts": [{"text": "a"}]}}, {"finishReason": "STOP"}), strict=True
        )
    )
    assert [Usage.of(9, 3)] == [event.usage for event in read(stream) if event.usage]


def test_a_stream_of_text():
    events = read(golden("streams/text.sse"))
    role, first, second, finish, usage = chunks(events)
    assert {"role": "assistant", "content": ""} == role["choices"][0]["delta"]
    assert ["Héllo", ", wörld"] == [chunk["choices"][0]["delta"]["content"] for chunk in (first, second)]
    assert "stop" == finish["choices"][0]["finish_reason"]
    assert ([], 19) == (usage["choices"], usage["usage"]["total_tokens"])
    assert [False, False, False, True, True] == [event.terminal for event in events]
    assert [USAGE] == [event.usage for event in events if event.usage]
    assert events[-1].last


def test_a_client_that_did_not_ask_for_usage_does_not_see_it():
    events = read(golden("streams/text.sse"), wanted=False)
    assert (b"", USAGE) == (events[-1].data, events[-1].usage)


def test_a_stream_of_thoughts_keeps_their_signatures():
    thought = {"type": "reasoning.text", "text": ".", "signature": "VEhJTks=", "format": FORMAT, "index": 0}
    assert [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Greet"},
        {"reasoning_content": "."},
        {"reasoning_details": [thought]},
        {"content": "Hello"},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "VEVYVA==", "format": FORMAT, "index": 1}]},
    ] == deltas(read(golden("streams/reasoning.sse")))


def test_a_stream_of_tool_calls():
    events = read(golden("streams/tools.sse"))
    calls = [delta["tool_calls"][0] for delta in deltas(events) if "tool_calls" in delta]
    made = "gem_00000000000000000001"
    assert [
        (0, f"{made}_0", "weather", '{"city":"Rome"}'),
        (1, "fc-2", "weather", '{"city":"Oslo"}'),
        (2, f"{made}_1", "now", "{}"),
    ] == [(one["index"], one["id"], one["function"]["name"], one["function"]["arguments"]) for one in calls]
    assert [(0, "tool_calls")] == reasons(events)


def test_a_stream_of_two_candidates_is_complete_with_the_second():
    events = read(golden("streams/two.sse"), n=2)
    assert [(0, "stop"), (1, "length")] == reasons(events)
    assert ["", "A", "a"] == [delta["content"] for delta in deltas(events, 0)]
    assert ["", "B", "b"] == [delta["content"] for delta in deltas(events, 1)]
    assert [False, True, True] == [event.terminal for event in events if event.terminal or b"stop" in event.data]


def test_one_of_two_candidates_is_not_a_complete_stream():
    with pytest.raises(ConnectionBroken):
        read(golden("streams/text.sse"), n=2)


def test_a_filtered_stream_ends_with_the_filter():
    assert [(0, "content_filter")] == reasons(read(golden("streams/filtered.sse")))


def test_usage_that_comes_after_the_end_is_read():
    assert [USAGE] == [event.usage for event in read(golden("streams/usage_after_the_end.sse")) if event.usage]


def test_log_probabilities_in_a_stream():
    found = [choice["logprobs"] for chunk in chunks(read(golden("streams/logprobs.sse"))) for choice in chunk["choices"]
             if choice.get("logprobs")]  # fmt: skip
    (token,) = found[0]["content"]
    assert ("Hé", -0.5, [72, 195, 169]) == (token["token"], token["logprob"], token["bytes"])
    assert ["Hé", "Ho"] == [other["token"] for other in token["top_logprobs"]]


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_reads_the_same_wherever_it_is_cut(name):
    body = golden(f"streams/{name}")
    whole = read(body, n=asked(name))
    for at in range(len(body)):
        assert whole == read(body, at=at, n=asked(name))


@pytest.mark.parametrize("name", STREAMS)
def test_a_truncated_stream_is_never_complete(name):
    body = golden(f"streams/{name}")
    for at in range(len(body)):
        decoder = provider().decoder(call(stream=True, n=asked(name)), RecordedHead())
        if not any(event.terminal for event in decoder.feed(body[:at])):
            with pytest.raises(ConnectionBroken):
                decoder.close()


def test_an_error_in_a_stream_comes_after_what_was_said():
    text = golden("streams/text.sse").partition(b"\r\n\r\n")[0] + b"\n\n"
    error = (
        b'data: {"error":{"code":429,"message":"Slow.","status":"RESOURCE_EXHAUSTED","details":[{"@type":'
        b'"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.5s"}]}}\n\n'
    )
    events = read(text + error + golden("streams/text.sse"))
    assert "Héllo" == text_of(events)
    fault = events[-1].fault
    assert fault is not None
    assert events[-1].last
    assert ("rate_limit", 200, "Slow.", 34.5) == (fault.cause, fault.status, fault.message, fault.retry_after)


@pytest.mark.parametrize(
    "bad", [b"nonsense", b"[1]", b'{"candidates":[{"index":-1}]}', b'{"candidates":[{"index":999}]}']
)
def test_garbage_in_a_stream_is_a_fault(bad):
    (*before, last) = read(b"data: %b\n\n" % bad)
    assert [] == before
    assert last.fault is not None
    assert "protocol" == last.fault.cause


def test_a_body_that_is_no_stream_is_a_fault():
    decoder = provider().decoder(call(stream=True), RecordedHead(200, {"content-type": "application/json"}))
    assert [] == decoder.feed(b'{"candidates": []}')
    with pytest.raises(ProviderFault):
        decoder.close()


def test_an_error_inside_a_good_answer_is_classified():
    body = b'{"error":{"code":503,"message":"Busy.","status":"UNAVAILABLE"}}'
    with pytest.raises(ProviderFault) as caught:
        provider().decode(call(), RecordedHead(), body)
    assert ("overloaded", "Busy.") == (caught.value.cause, caught.value.message)


def test_what_an_error_details_say_is_read():
    details = [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "contents", "description": "x"}],
        },
        {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "req-1"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "nans"},
    ]
    body = json.dumps({"error": {"code": 400, "message": "No.", "status": "INVALID_ARGUMENT", "details": details}})
    fault = provider().fault(call(), RecordedHead(400), body.encode())
    assert ("contents", "req-1", None, "INVALID_ARGUMENT") == (
        fault.param,
        fault.request_id,
        fault.retry_after,
        fault.code,
    )


def test_retry_after_is_read_from_the_header_without_details():
    assert 7.0 == provider().fault(call(), RecordedHead(429, {"retry-after": "7"}), b"").retry_after


@pytest.mark.parametrize("name", ["tools", "signed_text"])
def test_what_the_model_signed_comes_back_to_it(name):
    """The message goes back as the client got it; every signature is where it was, and ids made here are not shown."""
    original = json.loads(golden(f"answers/{name}.json"))["candidates"][0]["content"]["parts"]
    message = choices(name)[0]["message"]
    asked_again = call(messages=[{"role": "user", "content": "Hi"}, message])
    request = provider().prepare(asked_again, target("gemini-3-pro-preview"), Secret(KEY))
    returned = json.loads(request.body)["contents"][1]["parts"]
    for part in (part for part in original if "functionCall" in part):
        part["functionCall"].setdefault("args", {})
    if name == "tools":
        del original[3]["functionCall"]["id"]  # the model gave it twice
    assert original == returned
    assert () == asked_again.dropped


@given(
    texts=st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=5),
    cuts=st.lists(st.integers(0, 2000), max_size=6),
)
def test_any_text_survives_any_cut(texts, cuts):
    events = [{"candidates": [{"content": {"parts": [{"text": text}]}}]} for text in texts]
    events.append({"candidates": [{"finishReason": "STOP"}]})
    body = b"".join(b"data: %b\n\n" % json.dumps(event, ensure_ascii=False).encode() for event in events)
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    decoder = provider().decoder(call(stream=True), RecordedHead())
    found = [event for a, b in itertools.pairwise(places) for event in decoder.feed(body[a:b])]
    decoder.close()
    assert "".join(texts) == text_of(found)


@pytest.mark.parametrize("content", [None, {"role": "model"}, {"parts": None}, {"parts": [None]}])
def test_parts_that_are_none_and_odd_counts_lose_nothing_else(content: dict | None):
    usage = {"promptTokenCount": "11", "candidatesTokenCount": 3.0, "totalTokenCount": None, "thoughtsTokenCount": None}
    call = {"functionCall": {"name": "default_api:f", "args": '{"a":1}'}}
    said = [
        {"candidates": [{"content": content}], "usageMetadata": usage},
        {"candidates": [{"content": {"parts": [call]}, "finishReason": "STOP"}], "usageMetadata": usage},
    ]
    events = read(b"".join(b"data: %b\n\n" % json.dumps(it).encode() for it in said))
    (told,) = [call for delta in deltas(events) for call in delta.get("tool_calls", ())]
    assert ("f", '{"a":1}') == (told["function"]["name"], told["function"]["arguments"])
    assert Usage.plain(11, 3) == events[-1].usage
