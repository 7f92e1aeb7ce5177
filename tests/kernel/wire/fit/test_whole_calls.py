"""Calls of tools in histories that others wrote: read as what they are, and told apart."""

import json
from typing import Any

import pytest
from msgspec import Raw
from msgspec import json as codec

from switchgear.contracts.provider import TargetModel
from switchgear.errors import InvalidRequest
from switchgear.testing.provider_suite import chat_call
from switchgear.wire.calls import Ids, whole_calls
from switchgear.wire.fit.request import read_fitted

MODEL = TargetModel("m", "p", Raw(b'"p"'))
Q = {"role": "user", "content": "q"}


def raws(*messages: dict[str, Any]) -> list[dict[str, Raw]]:
    return [{name: Raw(json.dumps(value).encode()) for name, value in message.items()} for message in messages]


def called(*calls: Any, **members: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **members}


def f(id: Any = "c1", arguments: Any = "{}", **others: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}, **others}


def result(id: Any = "c1", content: Any = "r") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": content}


@pytest.mark.parametrize(
    ("messages", "ids", "arguments"),
    [
        ([called(f(arguments={"a": 1})), result()], ["c1"], ['{"a":1}']),
        ([called(f(arguments=None)), result()], ["c1"], [""]),
        ([called(f(None), f("")), result(""), result(None)], ["call_0_0", "call_0_1"], ["{}", "{}"]),
        ([called(f("c1"), f(None)), result("c1"), {"role": "tool", "content": "r"}], ["c1", "call_0_1"], ["{}", "{}"]),
    ],
)
def test_calls_are_given_what_they_lack(messages: list[Any], ids: list[str], arguments: list[str]) -> None:
    turn, *results = whole_calls(raws(*messages))
    made = codec.decode(turn["tool_calls"])
    assert ids == [call["id"] for call in made] == [codec.decode(it["tool_call_id"]) for it in results]
    assert arguments == [call["function"]["arguments"] for call in made]


def test_what_is_whole_stays_as_it_is() -> None:
    messages = raws(Q, called(f(), f("c2", index=1)), result(), result("c2"), {"role": "assistant", "content": "x"})
    assert messages == whole_calls(messages)


def test_lists_of_no_calls_are_none_and_results_of_nothing_are_empty() -> None:
    turn, told = whole_calls(raws(called(), result(content=None)))
    assert "tool_calls" not in turn
    assert '""' == bytes(told["content"]).decode()


def test_ids_that_were_given_before_are_told_apart() -> None:
    ids = Ids()
    assert ["a", "b", "a_2"] == ids.called(["a", "b", "a"])
    assert ["a", "b", "a_2"] == [ids.answered("a"), ids.answered("b"), ids.answered("a")]
    assert ["a_3"] == ids.called(["a"])
    assert ["a_3", "z"] == [ids.answered("a"), ids.answered("z")]


@pytest.mark.parametrize(
    "history",
    [
        [called(f(arguments={"a": 1})), result()],
        [called(f(None)), result("")],
        [called(f("a"), f("b")), {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"}],
        [called(f("0")), result("0"), called(f("0")), result("0"), called(f("0"), f("0")), result("0"), result("0")],
        [called(f(), reasoning_details=[{"type": "reasoning.text", "text": "hm", "index": "0"}]), result()],
        [{"role": "user", "content": ["q", {"type": "image_url", "image_url": "https://e.com/a.png"}]}],
    ],
)
def test_a_history_that_is_nearly_right_is_read(history: list[Any]) -> None:
    chat = read_fitted(chat_call(messages=[Q, *history, Q]), MODEL)
    made = [tool.id for message in chat.messages for tool in message.tool_calls or ()]
    answered = [message.tool_call_id for message in chat.messages if message.role == "tool"]
    assert len(made) == len(set(made))
    assert made == answered


def test_what_is_of_another_kind_is_refused_by_its_name() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_fitted(chat_call(messages=[{"role": "user", "content": 7}]), MODEL)
    assert "messages[0].content" == caught.value.param


def test_tools_that_must_not_be_called_are_left_out() -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
    wanted = {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}
    call = chat_call(messages=[Q], tools=tools, tool_choice={"type": "allowed_tools", "allowed_tools": wanted})
    chat = read_fitted(call, MODEL)
    assert ["g"] == [function.name for function, _ in chat.functions()]
    assert ("required", ("tool_choice",)) == (chat.tool_choice, call.changed)
