"""Schemas of tools and answers, as the vendors take them at their root and strictly."""

from typing import Any

import pytest
from msgspec import json as codec

from switchgear.testing.provider_suite import chat_call
from switchgear.wire.fit.schema import fit_root, fit_schemas, is_closed

A = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
B = {"type": "object", "properties": {"b": {"type": "string"}}}
BOTH = {"a": {"type": "string"}, "b": {"type": "string"}}
CLOSED = {**A, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "root", "lost"),
    [
        (A, A, False),
        ({}, {"type": "object"}, False),
        ({"properties": {}}, {"properties": {}, "type": "object"}, False),
        ({"oneOf": [A, B]}, {"type": "object", "properties": BOTH}, True),
        ({"type": "object", "anyOf": [{"required": ["a"]}], "properties": BOTH}, {"type": "object", "properties": BOTH}, True),
        ({**A, "allOf": [B]}, {**A, "properties": BOTH}, True),
        ({"type": ["object", "null"], "enum": [None]}, {"type": "object"}, True),
    ],
)  # fmt: skip
def test_the_root_is_an_object_without_alternatives(schema: Any, root: Any, lost: bool) -> None:
    assert (root, lost) == fit_root(schema)


@pytest.mark.parametrize(
    ("schema", "closed"),
    [
        (CLOSED, True),
        (A, False),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "properties": {"a": B}}, False),
        ({**CLOSED, "properties": {"a": {"type": "array", "items": CLOSED}}}, True),
        ({**CLOSED, "$defs": {"d": A}}, False),
        ({**CLOSED, "properties": {"a": {"anyOf": [{"type": "null"}, A]}}}, False),
        ({"type": "string"}, True),
    ],
)
def test_a_strict_schema_names_all_it_allows_and_wants_it(schema: Any, closed: bool) -> None:
    assert closed == is_closed(schema)


def test_what_is_not_closed_is_not_held_to_strictly() -> None:
    tools = [
        {"type": "function", "function": {"name": n, "strict": True, "parameters": p}}
        for n, p in (("f", A), ("g", CLOSED))
    ]
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": A}}
    call = chat_call(tools=tools, response_format=wanted)
    fitted = fit_schemas(call, call.members)
    assert [None, True] == [tool["function"].get("strict") for tool in codec.decode(fitted["tools"])]
    assert "strict" not in codec.decode(fitted["response_format"])["json_schema"]
    assert ("tools.function.strict", "response_format.json_schema.strict") == call.dropped


def test_what_fits_goes_out_byte_for_byte() -> None:
    call = chat_call(
        tools=[{"type": "function", "function": {"name": "f", "parameters": A}}, {"type": "custom", "custom": {}}]
    )
    assert call.members == fit_schemas(call, call.members)
    assert ((), ()) == (call.dropped, call.changed)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"type": "object"}, {"type": "object", "properties": {}}),
        (
            {"type": "object", "properties": {"a": {"type": ["array", "null"]}, "b": {"items": {"type": "array"}}}},
            {
                "type": "object",
                "properties": {"a": {"type": ["array", "null"], "items": {}}, "b": {"items": {"type": "array", "items": {}}}},
            },
        ),
        (A, A),
    ],
)  # fmt: skip
def test_objects_and_arrays_say_what_is_in_them(given: Any, sent: Any) -> None:
    call = chat_call(tools=[{"type": "function", "function": {"name": "f", "parameters": given}}])
    fitted = fit_schemas(call, call.members)
    assert sent == codec.decode(fitted["tools"])[0]["function"]["parameters"]


def test_of_two_tools_of_one_name_the_first_is_kept() -> None:
    tools = [
        {"type": "function", "function": {"name": name, "parameters": given}}
        for name, given in (("f", A), ("g", A), ("f", B))
    ]
    call = chat_call(tools=tools)
    assert tools[:2] == codec.decode(fit_schemas(call, call.members)["tools"])
    assert ("tools",) == call.dropped
