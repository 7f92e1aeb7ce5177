"""Histories in the Messages form that were cut, or made elsewhere: put in the order that the form wants."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.testing.provider_suite import chat_call
from switchgear.wire.messages.history import fit_turns
from switchgear.wire.messages.system_turns import fit_system_turns

Q = {"role": "user", "content": "q"}


def model(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def use(id: str = "a", input: Any = None) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": "f", "input": {} if input is None else input}


def result(id: str = "a", *content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, **({"content": content[0]} if content else {})}


def failed(*content: Any) -> dict[str, Any]:
    return {**result("a", *content), "is_error": True}


NOTHING = result("a", "(no result)")
PICTURE = {"type": "image", "source": {"type": "url", "url": "https://a.test/x.png"}}
LATER = {"role": "system", "content": "later"}


@pytest.mark.parametrize(
    ("turns", "fitted"),
    [
        ([Q, model(use())], [Q, model(use()), user(NOTHING)]),
        ([Q, model(use()), user(text("go"))], [Q, model(use()), user(NOTHING, text("go"))]),
        ([Q, model(use()), Q], [Q, model(use()), user(NOTHING, text("q"))]),
        ([Q, model(text("x")), user(result("z", "r"))], [Q, model(text("x")), {"role": "user", "content": "r"}]),
        (
            [Q, model(use(), use("b")), user(result(), text("note")), user(result("b"))],
            [Q, model(use(), use("b")), user(result(), result("b"), text("note"))],
        ),
        ([Q, model(use()), user(text("x"), result())], [Q, model(use()), user(result(), text("x"))]),
        ([Q, model(use()), LATER, user(result())], [Q, model(use()), user(result()), LATER]),
        (
            [Q, model(use()), user(result("a", "1")), model(use()), user(result("a", "2"))],
            [Q, model(use()), user(result("a", "1")), model(use("a_2")), user(result("a_2", "2"))],
        ),
        (
            [Q, model(use(), use()), user(result("a", "1"), result("a", "2"))],
            [Q, model(use(), use("a_2")), user(result("a", "1"), result("a_2", "2"))],
        ),
        ([Q, model(text(" \n")), Q], [Q, Q]),
        ([Q, {"role": "assistant", "content": ""}, user(text(""), text("b"))], [Q, user(text("b"))]),
        ([Q, model(), user()], [Q]),
        ([Q, model(use()), user(result("a", " "))], [Q, model(use()), user(result())]),
        ([Q, model(use()), user(result("a", [text(""), text("b")]))], [Q, model(use()), user(result("a", [text("b")]))]),
        ([Q, model(use()), model(result("a", "r")), Q], [Q, model(use()), user(result("a", "r"), text("q"))]),
        ([Q, {"role": "assistant", "content": None}, user({"type": "text", "text": None}, text("b"))], [Q, user(text("b"))]),
        ([Q, model(use("a", '{"a": 1}')), user(result())], [Q, model(use("a", {"a": 1})), user(result())]),
        ([Q, model({**use(), "input": None}), user(result())], [Q, model(use()), user(result())]),
        ([Q, model(use("a", [1])), user(result())], [Q, model(use("a", {"_invalid": "[1]"})), user(result())]),
        (
            [Q, model(use(""), use("")), user(result("", "1"), {"type": "tool_result", "content": "2"})],
            [Q, model(use("toolu_1_0"), use("toolu_1_1")), user(result("toolu_1_0", "1"), result("toolu_1_1", "2"))],
        ),
        ([Q, model(use()), user(failed())], [Q, model(use()), user(failed("(no result)"))]),
        ([Q, model(use()), user(failed([PICTURE]))], [Q, model(use()), user(result("a", [PICTURE]))]),
        ([Q, {"role": "assistant", "content": "It is "}], [Q, {"role": "assistant", "content": "It is"}]),
        ([Q, model(text("x"), text("It is\n"))], [Q, model(text("x"), text("It is"))]),
    ],
)  # fmt: skip
def test_a_history_is_put_in_order(turns: list[Any], fitted: list[Any]) -> None:
    assert fitted == fit_turns(chat_call(), turns)
    assert fitted == fit_turns(chat_call(), fitted)


@pytest.mark.parametrize(
    "turns",
    [
        [Q, model(text("x"), use(), use("b")), user(result("b"), result(), text("go"))],
        [Q, model({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, text("x"))],
        [Q, {"role": "assistant", "content": "x"}, Q],
        [user(text(" "))],
        [],
        [Q, model(use()), user(failed([text("no")]))],
        [{"role": "assistant", "content": "x"}, Q],
    ],
)
def test_what_is_in_order_is_not_touched(turns: list[Any]) -> None:
    assert turns is fit_turns(chat_call(), turns)


def system(text: str = "s", **more: Any) -> dict[str, Any]:
    return {"role": "system", "content": text, **more}


TOLD = text("<system-reminder>\ns\n</system-reminder>")
SEARCHED = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}


@pytest.mark.parametrize(
    ("taken", "turns", "fitted"),
    [
        (False, [Q, system()], [user(text("q"), TOLD)]),
        (False, [Q, system(), model(text("x")), Q, system()], [user(text("q"), TOLD), model(text("x")), user(text("q"), TOLD)]),
        (False, [Q, model(use()), user(result()), system()], [Q, model(use()), user(result(), TOLD)]),
        (False, [Q, model(text("x")), system(), Q], [Q, model(text("x")), user(TOLD), Q]),
        (True, [Q, system(), Q], [user(text("q"), TOLD), Q]),
        (True, [Q, system(), system()], [user(text("q"), TOLD, TOLD)]),
        (True, [Q, model(text("x")), system()], [Q, model(text("x")), user(TOLD)]),
    ],
)  # fmt: skip
def test_the_system_is_heard_where_it_speaks(taken: bool, turns: list[Any], fitted: list[Any]) -> None:
    call = chat_call()
    assert fit_system_turns(call, turns, taken=taken) == ([], fitted)
    assert call.changed == ("messages.role",)


def test_what_the_system_says_first_is_its_prompt() -> None:
    assert fit_system_turns(chat_call(), [system("a"), system("b"), Q], taken=True) == ([text("a"), text("b")], [Q])


@pytest.mark.parametrize(
    "turns",
    [
        [Q, system()],
        [Q, system(), model(text("x")), Q],
        [Q, model(SEARCHED), system()],
        [Q, system("", output_config={"effort": "low"}), Q],
        [Q, {"role": "system", "output_config": {"effort": "low"}}],
        [{"role": "system", "content": [], "output_config": {"effort": "low"}}, Q],
        [Q, {"role": "system", "content": [{"type": "tool_addition"}]}, Q],
        [],
    ],
)
def test_turns_of_the_system_that_are_taken_stay(turns: list[Any]) -> None:
    assert fit_system_turns(chat_call(), turns, taken=True)[1] is turns
    assert fit_turns(chat_call(), turns) is turns


SAID = st.sampled_from(["", " ", "x"]).map(text)
USERS = st.lists(st.one_of(SAID, st.sampled_from("abc").map(result)), max_size=4).map(lambda blocks: user(*blocks))
MODELS = st.lists(st.one_of(SAID, st.sampled_from("ab").map(use)), max_size=4).map(lambda blocks: model(*blocks))


@given(st.lists(st.one_of(USERS, MODELS), max_size=6))
def test_each_call_is_answered_once_right_behind_its_turn(turns: list[Any]) -> None:
    waiting: list[str] = []
    seen: set[str] = set()
    for turn in fit_turns(chat_call(), turns):
        blocks = turn["content"] if isinstance(turn["content"], list) else []
        answered = [it["tool_use_id"] for it in blocks if it["type"] == "tool_result"]
        assert sorted(waiting) == sorted(answered)
        assert all(it["type"] == "tool_result" for it in blocks[: len(answered)])
        waiting = [it["id"] for it in blocks if it["type"] == "tool_use"]
        assert not seen.intersection(waiting)
        seen.update(waiting)
        assert len(waiting) == len(set(waiting))
    assert not waiting
