"""Usage as servers tell it: in the words of the form, or in their own."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.contracts.usage import Usage
from switchgear.testing.provider_suite import RecordedHead, chat_call
from switchgear.wire.chat import decode_answer
from switchgear.wire.chat_stream import ChatDecoder
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


def test_usage_inside_the_last_choice_is_read() -> None:
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": PLAIN}
    decoder = ChatDecoder(chat_call(stream=True), RecordedHead())
    events = decoder.feed(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\ndata: [DONE]\n\n")
    assert [Usage({"input": 100, "output": 5})] == [event.usage for event in events if event.usage]
    whole = {"choices": [{**choice, "message": {"role": "assistant", "content": "a"}}]}
    assert Usage({"input": 100, "output": 5}) == decode_answer(json.dumps(whole).encode(), RecordedHead()).usage
