import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from switchgear.contracts.provider import Call, TargetModel
from switchgear.errors import InvalidRequest
from switchgear.testing.provider_suite import MODEL, chat_call
from switchgear.wire.messages.models import rules_of
from switchgear.wire.messages.request import write_request


def written(call: Call, model: TargetModel = MODEL) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(msgspec.json.encode(write_request(call, model, rules_of(model.name), "own")))
    return found


def user(*parts: object) -> dict[str, object]:
    return {"role": "user", "content": list(parts)}


def calling(**function: object) -> dict[str, object]:
    return {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": function}]}


TEXT = {"type": "text", "text": "x"}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}


def image(url: str) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": url}}


PICTURE = {"type": "image", "source": {"type": "url", "url": "https://a.test/x.png"}}


def file(**members: object) -> dict[str, object]:
    return {"type": "file", "file": members}


@pytest.mark.parametrize(
    ("param", "message"),
    [
        ("messages[0].content[1]", user(TEXT, AUDIO)),
        ("messages[0].content[0]", user(image("ftp://x.test/a.png"))),
        ("messages[0].content[0]", user(image("data:text/plain;base64,AAAA"))),
        ("messages[0].content[0]", user(file(filename="a.pdf"))),
        ("messages[0].content[0]", user(file(file_data="data:application/msword;base64,AAAA"))),
        ("messages[0].content[0]", user(file(file_data="data:text/plain;base64,/w=="))),
        ("messages[0].content[0]", {"role": "system", "content": [image("https://x.test/a.png")]}),
        ("messages[0].content[0]", {"role": "assistant", "content": [image("https://x.test/a.png")]}),
        ("messages[0].content[0]", {"role": "tool", "tool_call_id": "a", "content": [AUDIO]}),
        ("messages[0]", {"role": "function", "name": "f", "content": "1"}),
        ("messages[0].tool_call_id", {"role": "tool", "content": "1"}),
        (
            "messages[0].tool_calls[0]",
            {"role": "assistant", "tool_calls": [{"id": "a", "type": "custom", "function": {"name": "f"}}]},
        ),
    ],
)
def test_a_part_that_cannot_be_carried_is_refused_by_name(param: str, message: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        written(chat_call(messages=[message]))
    assert param == caught.value.param
    assert f"`{param}`" in caught.value.message


@pytest.mark.parametrize(
    ("param", "members"),
    [
        ("n", {"n": 2}),
        ("tools[0]", {"tools": [{"type": "web_search"}]}),
        ("tool_choice", {"tool_choice": {"type": "allowed_tools"}}),
        ("thinking", {"thinking": 5}),
        ("messages[0].content", {"messages": [{"role": "user", "content": 5}]}),
    ],
)
def test_a_member_that_cannot_be_carried_is_refused_by_name(param: str, members: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        written(chat_call(**members))  # type: ignore[arg-type]
    assert param == caught.value.param


def test_without_a_bound_the_model_says_what_it_can() -> None:
    assert (
        777 == written(chat_call(), TargetModel("m", "opus-5", Raw(b'"opus-5"'), max_output_tokens=777))["max_tokens"]
    )


def test_a_default_of_the_model_that_cannot_be_carried_is_no_fault_of_the_client() -> None:
    model = TargetModel("m", "opus-5", Raw(b'"opus-5"'), {"temperature": Raw(b"0.5"), "seed": Raw(b"1")})
    call = chat_call()
    call.strict = True
    assert "temperature" not in written(call, model)
    assert () == call.dropped


def test_a_marker_on_a_message_stands_on_its_last_block() -> None:
    message = {
        **calling(name="f", arguments="{}"),
        "content": "Hm",
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
    }
    blocks = written(chat_call(messages=[user(TEXT), message]))["messages"][1]["content"]
    assert [None, {"type": "ephemeral", "ttl": "1h"}] == [block.get("cache_control") for block in blocks]


def test_an_empty_answer_of_a_tool_is_an_answer() -> None:
    messages = [user(TEXT), calling(name="f", arguments="{}"), {"role": "tool", "tool_call_id": "a", "content": ""}]
    assert [{"type": "tool_result", "tool_use_id": "a"}] == written(chat_call(messages=messages))["messages"][2][
        "content"
    ]


@pytest.mark.parametrize(
    ("content", "told", "dropped"),
    [
        ([TEXT], {"is_error": True, "content": [TEXT]}, ()),
        ("", {"is_error": True, "content": "(no result)"}, ()),
        ([image("https://a.test/x.png")], {"content": [PICTURE]}, ("messages.content.is_error",)),
    ],
)
def test_what_a_tool_failed_with_is_text_alone(content: Any, told: dict[str, Any], dropped: tuple[str, ...]) -> None:
    result = {"role": "tool", "tool_call_id": "a", "content": content, "is_error": True}
    call = chat_call(messages=[user(TEXT), calling(name="f", arguments="{}"), result])
    assert written(call)["messages"][-1]["content"] == [{"type": "tool_result", "tool_use_id": "a", **told}]
    assert call.dropped == dropped


def test_thoughts_do_not_go_to_a_model_that_has_none() -> None:
    detail = {"type": "reasoning.text", "text": "Hm", "signature": "s", "format": "own"}
    message = {"role": "assistant", "content": "Well", "reasoning_details": [detail]}
    call = chat_call(messages=[user(TEXT), message, user(TEXT)])
    body = written(call, TargetModel("m", "3-5-haiku", Raw(b'"3-5-haiku"')))
    assert [{"type": "text", "text": "Well"}] == body["messages"][1]["content"]
    assert ("messages.reasoning_details",) == call.dropped


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(arguments=st.dictionaries(st.text(st.characters(codec="utf-8")), JSON, max_size=4))
def test_arguments_become_the_object_that_they_write(arguments: dict[str, Any]) -> None:
    message = calling(name="f", arguments=json.dumps(arguments))
    block = written(chat_call(messages=[user(TEXT), message]))["messages"][1]["content"][0]
    assert arguments == block["input"]


@given(text=st.text(max_size=40) | JSON.map(json.dumps))
def test_any_text_of_arguments_is_written(text: str) -> None:
    try:
        call = chat_call(messages=[user(TEXT), calling(name="f", arguments=text)])
    except UnicodeEncodeError:
        return  # half a surrogate pair, which no request can have in it
    block = written(call)["messages"][1]["content"][0]["input"]
    text = (text.strip() and text) or "{}"
    assert (json.loads(text) if is_object(text) else {"_invalid": text}) == block


def is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except msgspec.DecodeError:
        return False


@given(roles=st.lists(st.sampled_from(["system", "user", "assistant", "tool"]), min_size=1, max_size=8))
def test_turns_alternate_and_lose_nothing(roles: list[str]) -> None:
    messages = [{"role": role, "content": f"text {place}", "tool_call_id": "a"} for place, role in enumerate(roles)]
    body = written(chat_call(messages=messages))
    turns = [turn["role"] for turn in body["messages"]]
    assert not any(before == after for before, after in pairwise(turns))
    said = json.dumps(body)
    assert all(f"text {place}" in said for place in range(len(roles)))
