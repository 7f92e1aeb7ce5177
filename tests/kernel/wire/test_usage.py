"""Usage as servers tell it: in the words of the form, or in their own."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.contracts.usage import Usage
from switchgear.testing.provider_suite import RecordedHead, chat_call
from switchgear.wire import responses
from switchgear.wire.chat import decode_answer
from switchgear.wire.chat_stream import ChatDecoder
from switchgear.wire.messages.form import read_tokens
from switchgear.wire.usage import read_usage

PLAIN = {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105}
CACHED = Usage({"input": 20, "cached_input": 80, "output": 5})


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (PLAIN, Usage({"input": 100, "output": 5})),
        ({**PLAIN, "prompt_tokens_details": {"cached_tokens": 80}}, CACHED),
        ({**PLAIN, "cached_tokens": 80}, CACHED),
        ({**PLAIN, "prompt_cache_hit_tokens": 80, "prompt_cache_miss_tokens": 20}, CACHED),
        ({**PLAIN, "cache_read_input_tokens": 80, "cache_creation_input_tokens": 0}, CACHED),
        ({**PLAIN, "prompt_tokens_details": {"cached_tokens": "80"}}, CACHED),
        ({**PLAIN, "prompt_tokens": 100.0, "prompt_tokens_details": {"cached_tokens": 80.0, "text_tokens": None}}, CACHED),
        ({"input_tokens": 100, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 80}}, CACHED),
        ({**PLAIN, "input_tokens_details": {"cached_tokens": 80}}, CACHED),
        ({**PLAIN, "prompt_tokens_details": [1]}, Usage({"input": 100, "output": 5})),
        ({**PLAIN, "completion_tokens_details": {"reasoning_tokens": {}}}, Usage({"input": 100, "output": 5})),
        (
            {"prompt_tokens": 10, "completion_tokens": 35, "total_tokens": 420,
             "completion_tokens_details": {"reasoning_tokens": 375}},
            Usage({"input": 10, "output": 35, "reasoning": 375}),
        ),
        (
            {"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109},
            Usage({"input": 35, "output": 12, "reasoning": 62}),
        ),
        (
            {**PLAIN, "prompt_tokens_details": {"cached_tokens": 80, "cache_write_tokens": 80}},
            Usage({"cached_input": 80, "cache_write": 20, "output": 5}),
        ),
        (
            {**PLAIN, "prompt_tokens_details": {"audio_tokens": 60}, "completion_tokens_details": {"audio_tokens": 4}},
            Usage({"input": 40, "audio_input": 60, "output": 1, "audio_output": 4}),
        ),
        ({"prompt_tokens": 3}, Usage({"input": 3})),
        ({"total_tokens": 3}, None),
        ({"prompt_tokens": True}, None),
        ({"prompt_tokens": "many"}, None),
        ([], None),
        (None, None),
    ],
)  # fmt: skip
def test_reads_what_is_said(said: Any, expected: Usage | None) -> None:
    assert expected == read_usage(json.dumps(said).encode())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        st.lists,
    ),
    st.data(),
)
def test_one_odd_member_does_not_lose_the_others(odd: Any, data: st.DataObject) -> None:
    names = (
        "total_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
        "cached_tokens",
        "cache_read_input_tokens",
    )
    found = read_usage(json.dumps({**PLAIN, data.draw(st.sampled_from(names)): odd}).encode())
    assert found is not None
    assert 100 <= found.input_tokens
    assert 5 <= found.output_tokens


def test_other_forms_are_read_in_the_words_of_chats_too() -> None:
    said = msgspec.Raw(json.dumps({**PLAIN, "prompt_tokens_details": {"cached_tokens": 80}}).encode())
    assert CACHED == responses.read_usage(said)
    tokens = read_tokens(said)
    assert tokens is not None
    assert CACHED == tokens.usage()


def test_later_zeros_are_not_told() -> None:
    counted = [{"choices": [], "usage": usage} for usage in (PLAIN, dict.fromkeys(PLAIN, 0))]
    said = [{"choices": [{"delta": {"content": "ok"}, "finish_reason": "stop"}]}, *counted]
    body = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in said)
    events = ChatDecoder(chat_call(stream=True, usage_wanted=True), RecordedHead()).feed(body)
    assert [PLAIN] == [told["usage"] for event in events if "usage" in (told := json.loads(event.data))]


def test_usage_inside_the_last_choice_is_read() -> None:
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": PLAIN}
    decoder = ChatDecoder(chat_call(stream=True), RecordedHead())
    events = decoder.feed(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\ndata: [DONE]\n\n")
    assert [Usage({"input": 100, "output": 5})] == [event.usage for event in events if event.usage]
    whole = {"choices": [{**choice, "message": {"role": "assistant", "content": "a"}}]}
    assert Usage({"input": 100, "output": 5}) == decode_answer(json.dumps(whole).encode(), RecordedHead()).usage
