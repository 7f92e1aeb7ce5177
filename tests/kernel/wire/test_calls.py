"""Calls, and canonical parts written."""

import time

import pytest
from msgspec import json

from switchgear.contracts.provider import Call
from switchgear.errors import InvalidRequest
from switchgear.wire.canonical import CacheControl, FunctionCall, ToolCall


def test_what_is_dropped_is_named_once_in_order() -> None:
    call = Call("chat", "chat", {}, model="m")
    call.drop("b", "a", "b")
    call.drop()
    call.drop("a", "c")
    assert ("b", "a", "c") == call.dropped


def test_a_strict_call_refuses_the_first() -> None:
    call = Call("chat", "chat", {}, model="m", strict=True)
    call.drop()
    with pytest.raises(InvalidRequest) as caught:
        call.drop("b", "a")
    assert "b" == caught.value.param
    assert call.dropped == ()


def test_dropping_many_members_takes_no_time() -> None:
    call = Call("chat", "chat", {}, model="m")
    began = time.process_time()
    call.drop(*(f"member{number}" for number in range(100_000)))
    assert time.process_time() - began < 5, "quadratic, it takes minutes"
    assert [f"member{number}" for number in range(256)] == list(call.dropped), "those named are bounded"


def test_what_the_wire_requires_is_written_even_where_it_is_the_default() -> None:
    assert b'{"type":"ephemeral"}' == json.encode(CacheControl())
    tool = json.decode(json.encode(ToolCall("id", FunctionCall("f"))))
    assert {"id": "id", "type": "function", "function": {"name": "f", "arguments": ""}} == tool
