"""What a stranger may write into an assertion: right, wrong and hostile."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear_plugins.test_cases.assertions import (
    Contains,
    Cost,
    Equals,
    JsonPath,
    JsonSchema,
    Latency,
    Length,
    Measured,
    NotContains,
    Regex,
)
from switchgear_plugins.test_cases.court import verdicts
from switchgear_plugins.test_cases.judge import check, judge

SAID = Measured('```json\n{"name": "Ann", "age": 7, "tags": ["a", "b"], "ok": true}\n```', 120, 50)


@pytest.mark.parametrize(
    ("assertion", "passed"),
    [
        (Contains("Ann"), True), (Contains("ann"), False), (Contains("ANN", ignore_case=True), True),
        (NotContains("Bob"), True), (NotContains("ANN", ignore_case=True), False),
        (Equals(f" {SAID.text}\n"), True), (Equals("Ann"), False), (Equals(SAID.text.upper(), ignore_case=True), True),
        (Length(min=10, max=100), True), (Length(max=10), False), (Length(min=500), False), (Length(max=12, unit="words"), True),
        (Latency(120), True), (Latency(119), False), (Cost(50), True), (Cost(49), False),
        (Regex(r'"age": \d+'), True), (Regex("^Ann"), False), (Regex("(?i)ANN"), True),
        (JsonPath("$.name"), True), (JsonPath("$.name", "Ann"), True), (JsonPath("$.name", "Bob"), False),
        (JsonPath("$.tags[*]", "b"), True), (JsonPath("$.nothing"), False), (JsonPath("$.age", 7.0), True),
        (JsonPath("$.ok", True), True), (JsonPath("$.ok", 1), False), (JsonPath("$[?match(@, 'A.n')]", "Ann"), True),
        (JsonPath("$[?search(@, '^n')]"), False), (JsonPath("$.nothing", None), False),
        (JsonSchema({"type": "object", "required": ["name"], "properties": {"age": {"type": "integer"}}}), True),
        (JsonSchema({"required": ["surname"]}), False),
        (JsonSchema({"properties": {"name": {"pattern": "^A"}}}), True),
    ],
)  # fmt: skip
async def test_an_assertion_holds_or_says_why_not(assertion: Any, passed: bool) -> None:
    [verdict] = await verdicts([assertion], SAID)
    assert passed == verdict.passed, verdict
    assert passed == (verdict.detail == "")
    assert verdict.type


async def test_verdicts_come_in_order() -> None:
    asked = [Regex("Ann"), Contains("nobody"), JsonPath("$.x"), Latency(1000), Regex("nobody")]
    assert [True, False, False, True, False] == [it.passed for it in await verdicts(asked, SAID)]


async def test_what_is_not_json_and_what_has_no_price_fails() -> None:
    found = await verdicts([JsonPath("$"), JsonSchema({}), Cost(10**9)], Measured("no json", 1, None))
    assert [False] * 3 == [it.passed for it in found]
    assert "it is not JSON" == found[0].detail
    assert "not known" in found[2].detail


@pytest.mark.parametrize(
    "task",
    [
        {"type": "regex", "pattern": "("}, {"type": "regex", "pattern": r"(a)\1"}, {"type": "regex", "pattern": "(?=a)"},
        {"type": "regex", "pattern": "((a{1,100}){1,100}){1,100}"}, {"type": "json_path", "path": "name"},
        {"type": "json_path", "path": "$[?@.a =~ /(a+)+$/]"}, {"type": "json_path", "path": "$[" * 400},
        {"type": "json_path", "path": "$." + "a" * 10 + "["}, {"type": "json_schema", "schema": {"type": "objct"}},
        {"type": "json_schema", "schema": {"$ref": "http://127.0.0.1:9/x"}}, {"type": "json_schema", "schema": {"pattern": "("}},
        {"type": "json_schema", "schema": {"$ref": "file:///etc/passwd"}},
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused(task: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="it is no"):
        check(task)


HOSTILE = "a" * 50_000 + "!"


@pytest.mark.parametrize(
    "assertion",
    [
        Regex("(a+)+$"), Regex("(a|a)*$"), Regex("(.*)(.*)(.*)(.*)(.*)[^a]$"),
        JsonPath("$[?match(@, '(a+)+')]"), JsonPath("$[?search(@, '(a|aa)+$')]"),
        JsonSchema({"items": {"pattern": "^(a+)+$"}}),
    ],
)  # fmt: skip
async def test_a_pattern_that_never_ends_elsewhere_ends_here(assertion: Any) -> None:
    text = HOSTILE if isinstance(assertion, Regex) else json.dumps([HOSTILE])
    [verdict] = await verdicts([assertion], Measured(text, 1, 0))
    assert "too long" not in verdict.detail


@pytest.mark.slow
async def test_what_takes_too_long_ends_with_its_process_and_the_others_have_their_verdict() -> None:
    endless = JsonPath("$..[?count($..[?count($..*) > 9]) < 9]")
    text = json.dumps([[number] for number in range(3000)] + ["xxx"])
    first, second, third = await verdicts([Regex("xxx"), endless, Contains("xxx")], Measured(text, 1, 0))
    assert first.passed
    assert third.passed
    assert "too long" in second.detail


@given(st.text(max_size=50), st.sampled_from(["regex", "json_path"]))
def test_whatever_is_written_is_used_or_refused(text: str, kind: str) -> None:
    task = {"type": kind, "pattern": text, "path": text}
    try:
        check(task)
    except ValueError:
        return
    assert isinstance(judge('{"a": 1}', task), str)
