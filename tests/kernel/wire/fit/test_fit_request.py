"""Canonical calls fitted before they are translated, and calls of the Messages form fitted to their model."""

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from switchgear.contracts.provider import Call, TargetModel
from switchgear.testing.provider_suite import chat_call
from switchgear.wire.canonical import TextPart
from switchgear.wire.fit.request import fit_arguments, read_fitted
from switchgear.wire.fit.schema import fit_schema, is_fit
from switchgear.wire.members import parse_object
from switchgear.wire.messages.fit import Host, fit_host, fit_native
from switchgear.wire.messages.models import rules_of
from switchgear.wire.messages.thinking import PACKED

Json = dict[str, Any]
CLAUDE = "anthropic-claude-v1"
Q = {"role": "user", "content": "q"}
MODEL = TargetModel("m", "m", Raw(b'"m"'), max_output_tokens=20_000)


def native(model: str, **members: Any) -> tuple[Json, Call]:
    body = {"max_tokens": 16_000, "messages": [Q], **members}
    raws = {name: Raw(msgspec.json.encode(value)) for name, value in body.items()}
    call = Call("chat", "messages", raws, model="m")
    found = fit_native(call, call.members, rules_of(model), MODEL, CLAUDE)
    return {name: msgspec.json.decode(value) for name, value in found.items()}, call


@pytest.mark.parametrize("arguments", ['{"a": ', "null", "[1]", '"x"', "{'a': 1}", '{"a": "\n"}'])
def test_broken_arguments_go_on_in_an_object(arguments: str) -> None:
    assert {"_invalid": arguments} == msgspec.json.decode(fit_arguments(arguments))


@pytest.mark.parametrize("arguments", ["", "   ", "{}"])
def test_empty_arguments_are_an_empty_object(arguments: str) -> None:
    assert "{}" == fit_arguments(arguments)


def test_what_the_system_says_later_is_told_where_it_is_said() -> None:
    system = {"role": "developer", "content": "later"}
    call = chat_call(messages=[{"role": "system", "content": "first"}, Q, system])
    told = read_fitted(call, MODEL).messages
    assert [message.role for message in told] == ["system", "user", "user"]
    assert [part.text for part in told[2].parts() if isinstance(part, TextPart)] == [
        "<system-reminder>\nlater\n</system-reminder>"
    ]
    assert call.changed == ("messages.role",)


def test_blank_turns_are_left_out_and_results_come_first() -> None:
    calls = [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{"}} for id in ("a", "b")]
    messages = [
        {"role": "system", "content": "  \n"},
        {"role": "user", "content": [{"type": "text", "text": "\n"}, {"type": "text", "text": "q"}]},
        {"role": "assistant", "content": "\n", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": " "},
        {"role": "user", "content": "note"},
        {"role": "tool", "tool_call_id": "b", "content": "r"},
        {"role": "user", "content": " "},
    ]
    call = chat_call(messages=messages, max_tokens=30_000, tool_choice="auto")
    chat = read_fitted(call, MODEL)
    assert ["user", "assistant", "tool", "tool", "user"] == [it.role for it in chat.messages]
    assert ("max_tokens", "messages.tool_calls.function.arguments") == call.changed
    assert (20_000, None) == (chat.max_tokens, chat.tool_choice)


def test_schemas_are_closed_and_what_is_not_taken_is_told_in_words() -> None:
    given = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 1}, "t": {"type": "array", "minItems": 2}},
    }
    found, lost, closed = fit_schema(given)
    assert (["minimum", "minItems"], True) == (lost, closed)
    assert False is found["additionalProperties"]
    assert {"type": "integer", "description": "(minimum: 1)"} == found["properties"]["n"]
    assert is_fit(found)
    assert not is_fit({"type": "object", "additionalProperties": False, "properties": {"o": {"type": "object"}}})


@pytest.mark.parametrize(
    ("model", "members", "thinking", "effort"),
    [
        (
            "claude-haiku-4-5",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
            {"type": "enabled", "budget_tokens": 8000},
            None,
        ),
        ("claude-opus-4-8", {"thinking": {"type": "enabled", "budget_tokens": 4000}}, {"type": "adaptive"}, "low"),
        ("claude-opus-4-8", {"thinking": {"type": "adaptive"}}, {"type": "adaptive"}, None),
        (
            "claude-sonnet-4-5",
            {"thinking": {"type": "enabled", "budget_tokens": 4000}},
            {"type": "enabled", "budget_tokens": 4000},
            None,
        ),
        ("claude-3-5-haiku-20241022", {"thinking": {"type": "enabled", "budget_tokens": 4000}}, None, None),
    ],
)
def test_thinking_is_asked_for_as_the_generation_knows_it(
    model: str, members: Json, thinking: Json | None, effort: str | None
) -> None:
    found, _ = native(model, **members)
    assert thinking == found.get("thinking")
    assert effort == (found.get("output_config") or {}).get("effort")


def packed(**detail: Any) -> str:
    return PACKED + base64.urlsafe_b64encode(msgspec.json.encode(detail)).decode()


@pytest.mark.parametrize(
    ("block", "kept"),
    [
        (
            {"type": "thinking", "thinking": "x", "signature": "REAL"},
            {"type": "thinking", "thinking": "x", "signature": "REAL"},
        ),
        ({"type": "thinking", "thinking": "x", "signature": ""}, None),
        ({"type": "thinking", "thinking": "x", "signature": "sg1.e30="}, None),
        (
            {
                "type": "redacted_thinking",
                "data": packed(type="reasoning.encrypted", data="g", format="google-gemini-v1"),
            },
            None,
        ),
        (
            {"type": "redacted_thinking", "data": packed(type="reasoning.encrypted", data="d", format=CLAUDE)},
            {"type": "redacted_thinking", "data": "d"},
        ),
        (
            {
                "type": "thinking",
                "thinking": "x",
                "signature": packed(type="reasoning.text", signature="S", format=CLAUDE),
            },
            {"type": "thinking", "thinking": "x", "signature": "S"},
        ),
    ],
)
def test_only_thoughts_that_the_model_can_have_had_go_back(block: Json, kept: Json | None) -> None:
    text = {"type": "text", "text": "a"}
    found, call = native("claude-opus-4-8", messages=[Q, {"role": "assistant", "content": [block, text]}, Q])
    assert [*([kept] if kept else []), text] == found["messages"][1]["content"]
    assert (("messages.content.thinking",) if kept is None else ()) == call.dropped


CLEARS, FORGETS = {"type": "clear_thinking_20251015", "keep": "all"}, {"type": "clear_tool_uses_20250919"}


@pytest.mark.parametrize(
    ("model", "members", "edits", "kept"),
    [
        ("claude-haiku-4-5", {}, [CLEARS], None),
        ("claude-haiku-4-5", {}, [CLEARS, FORGETS], [FORGETS]),
        ("claude-opus-4-8", {"thinking": {"type": "disabled"}}, [CLEARS], None),
        ("claude-opus-4-8", {"thinking": {"type": "adaptive"}}, [CLEARS], [CLEARS]),
        ("claude-opus-5-5", {}, [CLEARS], [CLEARS]),
        ("claude-haiku-4-5", {}, [FORGETS], [FORGETS]),
    ],
)
def test_thoughts_are_cleared_of_models_that_think(model: str, members: Json, edits: Any, kept: Any) -> None:
    found, call = native(model, context_management={"edits": edits}, **members)
    assert found.get("context_management") == (None if kept is None else {"edits": kept})
    assert call.dropped == (() if kept == edits else ("context_management.edits",))


@pytest.mark.parametrize("later", [[], [{"role": "system", "content": "later"}]])
def test_a_turn_that_began_without_thoughts_goes_on_without(later: list[Json]) -> None:
    use = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "a", "content": "r"}
    turns = [Q, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}, *later]
    found, call = native("claude-opus-4-5", thinking={"type": "enabled", "budget_tokens": 4000}, messages=turns)
    assert "thinking" not in found
    assert call.dropped == ("thinking",)


@pytest.mark.parametrize(
    ("model", "taken"),
    [
        ("claude-opus-4-8", True),
        ("claude-fable-5", True),
        ("some-other", True),
        ("claude-opus-4-7", False),
        ("claude-sonnet-5", False),
        ("claude-haiku-4-5", False),
        ("claude-sonnet-4-6", False),
    ],
)
def test_turns_of_the_system_go_to_models_that_know_them(model: str, taken: bool) -> None:
    system = {"role": "system", "content": "later"}
    found, _ = native(model, system="first", messages=[system, Q, system])
    assert found["system"] == [{"type": "text", "text": "first"}, {"type": "text", "text": "later"}]
    assert (found["messages"] == [Q, system]) == taken
    assert [turn["role"] for turn in found["messages"]] == ["user", "system"][: 1 + taken]


def test_a_model_that_cannot_be_made_to_call_a_tool_is_left_to_choose() -> None:
    asked: Json = {
        "tools": [{"name": "f", "input_schema": {}}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    }
    found, call = native("claude-opus-5-5", **asked)
    assert found["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert call.dropped == ("tool_choice",)
    assert native("claude-opus-4-8", **asked)[0]["tool_choice"] == asked["tool_choice"]


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": [None]}],
        [Q, {"role": "assistant", "content": ["x"]}, Q],
        [Q, "x"],
        {"role": "user"},
        None,
    ],
)
def test_what_is_no_turn_is_for_the_provider_to_refuse(messages: Any) -> None:
    assert native("claude-opus-4-5", messages=messages)[0]["messages"] == messages


def test_a_call_that_needs_nothing_goes_byte_for_byte() -> None:
    raws = parse_object(b'{"max_tokens": 9,  "messages": [ {"role": "user", "content": "q"} ]}')
    call = Call("chat", "messages", raws, model="m")
    assert raws == fit_native(call, raws, rules_of("claude-opus-4-8"), MODEL, CLAUDE)


def test_sampling_and_ids_are_as_the_model_takes_them() -> None:
    use = {"type": "tool_use", "id": "functions.f:0", "name": "f", "input": {}}
    answered = {"type": "tool_result", "tool_use_id": "functions.f:0", "content": "r"}
    messages = [Q, {"role": "assistant", "content": [use]}, {"role": "user", "content": [answered]}]
    found, call = native("claude-opus-4-8", temperature=0.2, messages=messages)
    assert "temperature" not in found
    assert ("temperature",) == call.dropped
    assert (
        "functions_f_0" == found["messages"][1]["content"][0]["id"] == found["messages"][2]["content"][0]["tool_use_id"]
    )


def test_opt_ins_that_a_host_does_not_know_are_dropped_with_their_members() -> None:
    raws = {"context_management": Raw(b"{}"), "messages": Raw(b"[]")}
    headers = {"anthropic-beta": "known-1,context-management-2025-06-27"}
    call = Call("chat", "messages", raws, model="m", headers=headers)
    assert ({"messages": Raw(b"[]")}, "known-1") == fit_host(call, raws, Host(frozenset({"known-1"}), "anthropic-beta"))
    assert ("anthropic-beta", "context_management") == call.dropped
    assert (raws, headers["anthropic-beta"]) == fit_host(call, raws, Host(None, "anthropic-beta"))


def test_opt_ins_go_by_the_names_that_a_host_has_for_them() -> None:
    call = Call("chat", "messages", {}, model="m", headers={"anthropic-beta": "theirs-1,ours-1"})
    host = Host(frozenset({"ours-1"}), "anthropic-beta", {"theirs-1": "ours-1"})
    assert fit_host(call, {}, host) == ({}, "ours-1")
    assert call.dropped == ()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb'{"a": "x\ud83dy"}', "x\ufffdy"),
        (rb'{"a": "\ude00"}', "\ufffd"),
        (rb'{"a": "\ud83d\ude00"}', "\U0001f600"),
        (rb'{"a": "\\ud83d"}', "\\ud83d"),
        (rb'{"a": "\ud83d\ud83d\ude00"}', "\ufffd\U0001f600"),
    ],
)
def test_half_a_character_does_not_end_a_conversation(body: bytes, text: str) -> None:
    assert text == msgspec.json.decode(parse_object(body)["a"])


def test_what_stands_alone_is_asked_though_it_is_the_systems() -> None:
    call = chat_call(messages=[{"role": "system", "content": "a"}, {"role": "developer", "content": "b"}])
    chat = read_fitted(call, MODEL)
    assert [("system", "a"), ("user", "b")] == [(it.role, it.content) for it in chat.messages]
    assert ("messages.role",) == call.changed


@pytest.mark.parametrize("thinking", ["hm", [{"type": "text", "text": "hm"}]])
def test_thinking_among_the_parts_of_an_answer_is_its_reasoning(thinking: Any) -> None:
    parts = [{"type": "thinking", "thinking": thinking}, {"type": "text", "text": "42"}]
    question = {"role": "user", "content": "q"}
    call = chat_call(messages=[question, {"role": "assistant", "content": parts}, question])
    answer = read_fitted(call, MODEL).messages[1]
    assert ("hm", ["42"]) == (answer.reasoning_content, [part.text for part in answer.content])


def test_a_tool_whose_name_another_has_is_left_out_by_name() -> None:
    tools = [{"type": "function", "function": {"name": name, "description": str(n)}} for n, name in enumerate("fgf")]
    call = chat_call(tools=tools)
    chat = read_fitted(call, MODEL)
    assert ["f", "g"] == [tool.function.name for tool in chat.tools or () if tool.function is not None]
    assert ("tools",) == call.dropped


def test_citations_that_another_vendor_was_told_with_are_left_out_by_name() -> None:
    cited = {"type": "web_search_result_location", "url": "u", "title": "t", "cited_text": ""}
    texts = [{"type": "text", "text": "a", "citations": [{**cited, "encrypted_index": index}]} for index in ("", "own")]
    sent, call = native("claude-opus-5", messages=[Q, {"role": "assistant", "content": texts}, Q])
    assert [{"type": "text", "text": "a"}, texts[1]] == sent["messages"][1]["content"]
    assert ("messages.content.citations",) == call.dropped


KINDS = ["text", "tool_use", "tool_result", "thinking", "system", "user", "assistant", "", "a"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2) | st.sampled_from(KINDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "content"]), inner),
    max_leaves=5,
)
BLOCK = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)},
    optional=dict.fromkeys(("text", "id", "tool_use_id", "input", "content", "is_error", "citations"), ANYTHING),
)
TURN = st.fixed_dictionaries(
    {"role": st.sampled_from(KINDS)}, optional={"content": ANYTHING | st.lists(BLOCK, max_size=3)}
)


@given(st.lists(TURN, max_size=4), ANYTHING, ANYTHING, st.sampled_from(["claude-opus-4-8", "claude-haiku-4-5"]))
def test_whatever_a_client_says_is_fitted(turns: list[Json], system: Any, other: Any, model: str) -> None:
    edits = {"edits": [CLEARS, other]}
    native(model, messages=turns, system=system, tool_choice=other, thinking=other, context_management=edits)
