"""Calls of the Responses wire on their way to its own vendor."""

import json
from typing import Any

import pytest

from switchgear.contracts.provider import Call
from switchgear.wire.fit.responses import fit_responses
from switchgear.wire.members import raw

USER = {"role": "user", "content": "q"}


def fitted(*items: Any, **members: Any) -> tuple[list[Any], Call]:
    call = Call("chat", "responses", {n: raw(v) for n, v in {"input": list(items), **members}.items()}, model="m")
    return json.loads(bytes(fit_responses(call, call.members)["input"])), call


def called(id: str = "a") -> dict[str, Any]:
    return {"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"}


def result(id: str = "a", output: Any = "r") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": id, "output": output}


@pytest.mark.parametrize(
    "items",
    [
        [USER],
        [USER, called(), result()],
        [USER, called(), called("b"), result("b"), result()],
        [USER, called(), result(), called(), result()],
        [USER, called(), {"type": "message", "role": "assistant", "content": "x"}, result()],
        [{"type": "reasoning", "id": "rs_1", "summary": []}, {**called(), "id": "fc_1"}, result()],
    ],
)
def test_what_the_vendor_takes_stays_as_it_is(items: list[Any]) -> None:
    call = Call("chat", "responses", {"input": raw(items)}, model="m")
    assert fit_responses(call, call.members) is call.members


def test_a_result_of_no_call_is_told_as_a_message() -> None:
    items, call = fitted(USER, result("z", "lost"))
    assert items == [USER, {"type": "message", "role": "user", "content": "lost"}]
    assert call.changed == ("input[].call_id",)


def test_a_call_without_a_result_gets_one_of_its_kind() -> None:
    custom = {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "x"}
    items, _ = fitted(USER, called(), custom)
    assert [item.get("type") for item in items[1:]] == [
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
    ]


@pytest.mark.parametrize("member", ["previous_response_id", "conversation"])
def test_results_of_calls_that_the_vendor_keeps_stay(member: str) -> None:
    items, call = fitted(result("z"), **{member: "x_1"})
    assert (items, call.changed) == ([result("z")], ())


def test_ids_of_other_vendors_are_left_out_and_long_ones_are_shortened_alike() -> None:
    long = "x" * 90
    items, call = fitted(USER, {**called(long), "id": "toolu_1"}, result(long))
    assert "id" not in items[1]
    assert items[1]["call_id"] == items[2]["call_id"] != long
    assert (call.dropped, call.changed) == (("input[].id",), ("input[].call_id",))


@pytest.mark.parametrize("output", [{"output": None}, {}])
def test_a_result_that_says_nothing_says_so(output: dict[str, Any]) -> None:
    items, call = fitted(USER, called(), {"type": "function_call_output", "call_id": "a", **output})
    assert items == [USER, called(), result(output="(no result)")]
    assert call.changed == ("input[].output",)


@pytest.mark.parametrize(("asked", "told"), [(1, 16), (15, 16), (16, 16), (4000, 4000)])
def test_an_answer_is_bound_no_lower_than_the_vendor_takes(asked: int, told: int) -> None:
    call = Call("chat", "responses", {"input": raw("q"), "max_output_tokens": raw(asked)}, model="m")
    assert json.loads(bytes(fit_responses(call, call.members)["max_output_tokens"])) == told
    assert call.changed == (("max_output_tokens",) if asked != told else ())
