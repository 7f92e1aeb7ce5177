"""Chats fitted to the server that reads them."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from switchgear.contracts.provider import Call, TargetModel
from switchgear.errors import InvalidRequest
from switchgear.testing.provider_suite import chat_call
from switchgear.wire.chat_provider import BEYOND, ChatProvider
from switchgear.wire.fit.chat import ChatGrammar, fit_chat
from switchgear.wire.mend import EXTRA

Json = dict[str, Any]
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
Q = {"role": "user", "content": "q"}
SERVER = ChatGrammar(joined="translated", front="translated", reasoning_empty="translated", extra=True)


def fitted(
    grammar: ChatGrammar = SERVER, *, own: bool = False, most: int | None = None, **members: Any
) -> tuple[Json, Call]:
    call = chat_call(**members)
    if not own:
        call.origin = "messages"
    model = TargetModel("m", "gpt-5", Raw(b'"gpt-5"'), max_output_tokens=most)
    found = fit_chat(call, call.members, grammar, model)
    return {name: msgspec.json.decode(value) for name, value in found.items()}, call


def turn(*calls: Json, **members: Any) -> Json:
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **members}


def result(content: Any, id: str = "c1") -> Json:
    return {"role": "tool", "tool_call_id": id, "content": content}


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("parts", [[PNG], [{"type": "text", "text": "shot"}, PNG]])
def test_what_a_tool_shows_is_shown_behind_the_results(parts: list[Json], own: bool) -> None:
    second = {**CALL, "id": "c2"}
    found, call = fitted(own=own, messages=[Q, turn(CALL, second), result(parts), result("r", "c2"), Q])
    assert ["user", "assistant", "tool", "tool", "user", "user"] == [it["role"] for it in found["messages"]]
    assert isinstance(found["messages"][2]["content"], str)
    assert PNG == found["messages"][4]["content"][-1]
    assert ("messages.content",) == call.changed


def test_results_come_right_behind_their_calls() -> None:
    messages = [
        Q,
        turn(CALL, {**CALL, "id": "c2"}),
        result("1"),
        {"role": "user", "content": "note"},
        result("2", "c2"),
    ]
    found, _ = fitted(messages=messages)
    assert ["user", "assistant", "tool", "tool", "user"] == [it["role"] for it in found["messages"]]


def test_long_users_are_hashed_and_short_ones_are_not() -> None:
    found, call = fitted(user="u" * 65)
    again, _ = fitted(user="u" * 65)
    assert 64 == len(found["user"])
    assert again["user"] == found["user"]
    assert ("user",) == call.changed
    assert "u" * 64 == fitted(user="u" * 64)[0]["user"]


def test_a_bound_is_no_more_than_the_model_can_make() -> None:
    found, call = fitted(most=100, max_completion_tokens=500)
    assert (100, ("max_completion_tokens",)) == (found["max_completion_tokens"], call.changed)
    assert 50 == fitted(most=100, max_completion_tokens=50)[0]["max_completion_tokens"]


def test_a_strict_client_is_refused_what_would_be_rewritten() -> None:
    call = chat_call(user="u" * 65)
    call.strict = True
    with pytest.raises(InvalidRequest, match="`user` must be rewritten"):
        fit_chat(call, call.members, SERVER, TargetModel("m", "m", Raw(b'"m"')))


def test_names_are_short_told_apart_and_the_clients_own_on_the_way_back() -> None:
    names = ["mcp__" + "x" * 80 + end for end in ("_alpha", "_omega")]
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    history = turn({**CALL, "function": {"name": names[0], "arguments": "{}"}})
    choice = {"type": "function", "function": {"name": names[1]}}
    found, call = fitted(tools=tools, tool_choice=choice, messages=[Q, history, result("r")])
    short = [tool["function"]["name"] for tool in found["tools"]]
    assert dict(zip(short, names, strict=True)) == call.aliases
    assert all(len(name) <= 64 for name in short)
    assert short[0] == found["messages"][1]["tool_calls"][0]["function"]["name"]
    assert short[1] == found["tool_choice"]["function"]["name"]


@pytest.mark.parametrize("own", [True, False])
def test_a_choice_without_tools_does_not_go_out(own: bool) -> None:
    found, call = fitted(own=own, tools=[], tool_choice="auto", parallel_tool_calls=False)
    assert not found.keys() & {"tools", "tool_choice", "parallel_tool_calls"}
    assert () == call.dropped


def test_texts_are_joined_and_pictures_keep_their_lists() -> None:
    texts = [{"type": "text", "text": "A", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "B"}]
    messages = [{"role": "system", "content": texts}, {"role": "user", "content": [texts[1], PNG]}]
    found, call = fitted(messages=messages)
    assert ["A\n\nB", [texts[1], PNG]] == [it["content"] for it in found["messages"]]
    assert ("messages.content.cache_control",) == call.dropped
    assert messages == fitted(own=True, messages=messages)[0]["messages"]


A, B = {"role": "system", "content": "A"}, {"role": "developer", "content": "B"}
FRONT, TOLD = {"role": "system", "content": "A\n\nB"}, "<system-reminder>\nB\n</system-reminder>"
SAID = {"role": "assistant", "content": "x"}


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([A, B, Q], [FRONT, Q]),
        ([A, Q, B], [A, {"role": "user", "content": f"q\n{TOLD}"}]),
        ([Q, SAID, B, Q], [Q, SAID, {"role": "user", "content": f"{TOLD}\nq"}]),
        ([A, Q, SAID, B], [A, Q, SAID, {"role": "user", "content": TOLD}]),
    ],
)
def test_a_server_that_takes_one_system_text_hears_the_others_where_they_are_said(
    messages: list[Any], told: list[Any]
) -> None:
    found, call = fitted(messages=messages)
    assert told == found["messages"]
    assert ("messages.role",) == call.changed
    assert messages == fitted(own=True, messages=messages)[0]["messages"]


def test_turns_with_tools_get_the_reasoning_that_servers_want() -> None:
    found, _ = fitted(messages=[Q, turn(CALL), result("r")])
    assert "" == found["messages"][1]["reasoning_content"]
    kept, _ = fitted(messages=[Q, turn(CALL, reasoning_content="hm"), result("r")])
    assert "hm" == kept["messages"][1]["reasoning_content"]


def test_extra_content_goes_back_to_who_made_it() -> None:
    detail = {
        "type": "reasoning.encrypted",
        "id": "c1",
        "data": '{"google":{"thought_signature":"SIG"}}',
        "format": EXTRA,
    }
    found, _ = fitted(messages=[Q, turn(CALL, reasoning_details=[detail]), result("r")])
    assert {"google": {"thought_signature": "SIG"}} == found["messages"][1]["tool_calls"][0]["extra_content"]
    assert "reasoning_details" not in found["messages"][1]


def test_one_vendors_billing_line_is_not_told_to_another() -> None:
    line = "x-anthropic-billing-header: cc_version=2.1; cch=00001;"
    parts = [{"type": "text", "text": line}, {"type": "text", "text": "Be brief."}]
    found, _ = fitted(messages=[{"role": "system", "content": parts}, Q])
    assert [{"role": "system", "content": "Be brief."}, Q] == found["messages"]


@pytest.mark.parametrize(
    ("model", "most"), [("gpt-4o-mini", 16_384), ("acme/gpt-4.1", 32_768), ("gpt-5", 128_000), ("o3", 100_000)]
)
def test_an_answer_is_bounded_by_what_its_model_can_write(model: str, most: int) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        call = chat_call(messages=[Q], **{name: 200_000})
        found = fit_chat(call, call.members, ChatGrammar(), TargetModel("m", model, Raw(b'""')))
        assert [Raw(b"%d" % most)] == [found[it] for it in ("max_tokens", "max_completion_tokens") if it in found]
        assert (name,) == call.changed
    call = chat_call(messages=[Q], max_tokens=200_000)
    found = fit_chat(call, call.members, ChatGrammar(), TargetModel("m", "of-my-own", Raw(b'""')))
    assert Raw(b"200000") == found["max_tokens"]


def test_marks_that_move_on_leave_what_was_said_as_it_was() -> None:
    marked = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
    for content in ("a", [marked]):
        for wires in ({"chat"}, {"responses"}):
            call = chat_call(messages=[{"role": "user", "content": content}, Q])
            call.origin = "messages"
            model = TargetModel("m", "m", Raw(b'"m"'), wires=frozenset(wires))
            provider = ChatProvider("http://a.test", {}, wires=wires, translated_drops=BEYOND)
            sent = msgspec.json.decode(provider.prepare(call, model, None).body)
            assert "a" in [it["content"] for it in sent.get("messages") or sent["input"]]
            assert ("messages.content.cache_control" in call.dropped) == (content != "a")


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "tool_calls": True},
        {"role": "system", "content": [None]},
        {"role": "user", "content": [{"type": []}]},
        {"role": "tool", "tool_call_id": 7},
    ],
)
def test_what_is_no_message_is_for_the_server_to_refuse(message: Json) -> None:
    grammar = ChatGrammar(joined="always", front="always", reasoning_empty="always", extra=True)
    messages = [Q, message, A]
    assert messages == fitted(grammar, own=True, messages=messages)[0]["messages"]
