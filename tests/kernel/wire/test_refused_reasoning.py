import json
from typing import Any

import pytest

from switchgear.contracts.provider import Call, ProviderFault
from switchgear.errors import InvalidRequest
from switchgear.wire.faces.chat import ChatFace
from switchgear.wire.faces.messages import MessagesFace
from switchgear.wire.faces.responses import ResponsesFace
from switchgear.wire.members import raw
from switchgear.wire.refused_reasoning import refuses_reasoning, without_reasoning

FACES = {"chat": ChatFace(), "messages": MessagesFace(), "responses": ResponsesFace()}


def call_of(wire: str, **members: Any) -> Call:
    return Call("chat", wire, {name: raw(value) for name, value in members.items()}, model="m")


def less(wire: str, **members: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    found = without_reasoning(call_of(wire, **members), FACES[wire])
    assert found is not None
    return {name: json.loads(bytes(value)) for name, value in found.members.items()}, found.dropped


@pytest.mark.parametrize(
    "words",
    [
        "messages.1.content.0: Invalid `signature` in `thinking` block",
        "messages.3.content.0: Invalid `data` in `redacted_thinking` block",
        "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different conversation.",
        "messages.5.content.1: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified.",
        "The encrypted content gAAA...DQ== could not be verified.",
        "The encrypted content for item rs_0a18 could not be verified. Reason: it could not be decrypted or parsed.",
        "Item with id 'rs_68af' not found. Items are not persisted when `store` is set to false.",
        "Thought signature is not valid.",
        "Corrupted thought signature.",
    ],
)
def test_refusals_of_reasoning_are_known_by_their_words(words: str) -> None:
    assert refuses_reasoning(ProviderFault("invalid_request", 400, message=words))
    assert not refuses_reasoning(ProviderFault("server", 500, message=words))


@pytest.mark.parametrize(
    "words",
    [
        "Expected `thinking` or `redacted_thinking`, but found `text`.",
        "Function call 1 is missing a thought_signature.",
        "`thinking.budget_tokens` must be less than `max_tokens`",
        "Item with id 'msg_1' not found.",
        "Invalid signature",
    ],
)
def test_other_refusals_are_not_taken_for_it(words: str) -> None:
    assert not refuses_reasoning(ProviderFault("invalid_request", 400, message=words))


def test_one_vendor_has_a_code_for_it() -> None:
    assert refuses_reasoning(ProviderFault("invalid_request", 400, code="invalid_encrypted_content"))


def test_thinking_is_left_out_of_messages_and_all_else_stays() -> None:
    said = [
        {"role": "user", "content": "q"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "t", "signature": "s"},
                {"type": "text", "text": "a"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}, "cache_control": {"type": "ephemeral"}},
            ],
        },
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "s"}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "r"}]},
    ]
    members, dropped = less("messages", messages=said, max_tokens=5)
    kept = [{**said[1], "content": [said[1]["content"][1], said[1]["content"][3]]}]  # type: ignore[dict-item, index]
    assert [said[0], *kept, said[3]] == members["messages"]
    assert ("messages.content.thinking",) == dropped


def test_reasoning_items_are_left_out_of_responses_and_ids_with_them() -> None:
    items = [
        {"role": "user", "content": "q"},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "s"}],
            "encrypted_content": "e",
        },
        {"type": "reasoning", "id": "rs_2", "summary": []},
        {"type": "reasoning", "id": "rs_3", "summary": [{"type": "summary_text", "text": "s"}]},
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"},
        {"type": "function_call_output", "call_id": "c", "output": "r"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    ]
    members, dropped = less("responses", input=items)
    called = {name: value for name, value in items[4].items() if name != "id"}
    assert [items[0], called, items[5], items[6]] == members["input"]
    assert ("input[].encrypted_content",) == dropped


def test_what_must_come_back_is_left_out_of_a_chat_and_its_words_stay() -> None:
    said: list[dict[str, Any]] = [
        {"role": "user", "content": "q"},
        {
            "role": "assistant",
            "content": "a",
            "reasoning_content": "t",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "t", "signature": "s", "format": "x"},
                {"type": "reasoning.encrypted", "data": "d", "format": "x"},
            ],
        },
    ]
    members, dropped = less("chat", messages=said)
    assert [said[0], {"role": "assistant", "content": "a", "reasoning_content": "t"}] == members["messages"]
    assert ("messages.reasoning_details",) == dropped


def test_a_call_without_such_reasoning_is_not_asked_again() -> None:
    said = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "reasoning_content": "t"}]
    assert without_reasoning(call_of("chat", messages=said), FACES["chat"]) is None
    assert without_reasoning(call_of("responses", input="q"), FACES["responses"]) is None


def test_a_strict_client_loses_nothing() -> None:
    call = call_of(
        "messages", messages=[{"role": "assistant", "content": [{"type": "redacted_thinking", "data": "d"}]}]
    )
    call.strict = True
    with pytest.raises(InvalidRequest):
        without_reasoning(call, FACES["messages"])
