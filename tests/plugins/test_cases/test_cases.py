from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar
from xml.etree import ElementTree as ET

import pytest

from switchgear.testing.kind_suite import ResourceKindSuite
from switchgear_plugins.test_cases import cases, court
from switchgear_plugins.test_cases.assertions import Verdict
from switchgear_plugins.test_cases.junit import junit
from switchgear_plugins.test_cases.results import ResultRecord, change_of, diff_of

HI: dict[str, Any] = {"model": "m", "content": "hi", "assertions": [{"type": "contains", "value": "hi"}]}
EVERY: list[dict[str, Any]] = [
    {"type": "contains", "value": "a", "ignore_case": True}, {"type": "not_contains", "value": "b"},
    {"type": "equals", "value": "c"},
    {"type": "regex", "pattern": "a+"}, {"type": "json_path", "path": "$.a", "equals": [1, None]},
    {"type": "length", "min": 1, "max": 2, "unit": "words"}, {"type": "json_schema", "schema": {"type": "object"}},
    {"type": "latency", "max_ms": 5}, {"type": "cost", "max_microusd": 5},
]  # fmt: skip


class TestTestCases(ResourceKindSuite):
    kind = cases.cases()
    live: ClassVar[Mapping[tuple[str, str], Any]] = {("prompts", "p"): object(), ("workflows", "w"): object()}
    examples: ClassVar[Sequence[Mapping[str, Any]]] = (
        {**HI, "assertions": EVERY, "system": "s", "parameters": {"temperature": 0}, "description": "d", "tags": ["t"]},
        {"model": "m", "prompt_id": "p", "variables": {"a": 1}, "prompt_version": 2, "assertions": EVERY[:1]},
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "assertions": EVERY[:1], "metadata": {"a": "b"}},
        {"workflow": "w", "input": {"a": 1}, "assertions": EVERY[:1], "enabled": False},
    )
    refused: ClassVar[Sequence[tuple[Mapping[str, Any], str]]] = (
        ({"content": "hi", "assertions": EVERY[:1]}, "/model"),
        ({**HI, "workflow": "w"}, "/model"),
        ({"workflow": "nobody", "assertions": EVERY[:1]}, "/workflow"),
        ({**HI, "input": {"a": 1}}, "/input"),
        ({"model": "m", "assertions": EVERY[:1]}, "/content"),
        ({**HI, "messages": [{"role": "user", "content": "x"}]}, "/messages"),
        ({**HI, "variables": {"a": 1}}, "/prompt_id"),
        ({"model": "m", "prompt_id": "q", "assertions": EVERY[:1]}, "/prompt_id"),
        ({**HI, "parameters": {"stream": True}}, "/parameters/stream"),
        ({"workflow": "w", "content": "hi", "assertions": EVERY[:1]}, "/content"),
        ({**HI, "assertions": [{"type": "regex", "pattern": "("}]}, "/assertions/0"),
        ({**HI, "assertions": [{"type": "json_schema", "schema": {"$ref": "http://x/y"}}]}, "/assertions/0"),
    )


async def test_without_the_extra_its_assertions_are_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(court, "find_spec", lambda name: None)
    suite = TestTestCases()
    spec = suite.stored({**HI, "assertions": EVERY})
    problems = suite.kind.validate(spec, SimpleNamespace(), None)  # type: ignore[arg-type]
    assert ["/assertions/3/type", "/assertions/4/type", "/assertions/6/type"] == [it.pointer for it in problems]
    assert all("pip install 'switchgear[test_cases]'" in it.detail for it in problems)
    found = await court.verdicts(spec.assertions[3:4], court.Measured("aaa", 1, 1))
    assert not found[0].passed
    assert "switchgear[test_cases]" in found[0].detail


def test_a_version_of_a_prompt_goes_to_every_reference() -> None:
    suite = TestTestCases()
    reference = {"role": "system", "prompt_id": "q"}
    spec = suite.stored(
        {"model": "m", "messages": [reference, {"role": "user", "content": "x"}], "assertions": EVERY[:1]}
    )
    assert [{**reference, "version": 3}, {"role": "user", "content": "x"}] == cases.messages_of(spec, 3)
    assert [reference, {"role": "user", "content": "x"}] == cases.messages_of(spec, None)
    spec = suite.stored({"model": "m", "prompt_id": "p", "prompt_version": 2, "content": "go", "assertions": EVERY[:1]})
    assert [2, 7] == [cases.messages_of(spec, version)[0]["version"] for version in (None, 7)]


def result(**members: Any) -> ResultRecord:
    made: dict[str, Any] = {
        "id": "r", "at_us": 1, "run": "run", "case": "c", "case_version": 1, "variant": "v", "subject": "m", "status": "passed",
        "change": "new", "previous_run": None, "verdicts": [], "text": "hi", "diff": "", "error": None, "latency_ms": 1500,
        "input_tokens": 1, "output_tokens": 1, "cost_microusd": None, "request_id": None,
    }  # fmt: skip
    return ResultRecord(**{**made, **members})


def test_junit_is_xml_whatever_was_answered() -> None:
    odd = "\x00\x1b ]]> <b> & \ud800 \ufffe \U0001f600"
    failed = result(case=odd, status="failed", verdicts=[Verdict("regex", passed=False, detail=odd)], text=odd)
    written = junit([result(), failed, result(variant="w", status="error", error=odd)])
    root = ET.fromstring(written)
    assert [("v", "2", "1", "0"), ("w", "1", "0", "1")] == [
        tuple(it.attrib[name] for name in ("name", "tests", "failures", "errors")) for it in root
    ]
    assert "1.500" == root[0][0].attrib["time"]
    assert root[0][1].find("failure") is not None
    assert root[1][0].find("error") is not None


def test_a_change_and_a_difference_are_against_the_last_result() -> None:
    assert "new" == change_of("failed", None)
    assert ["same", "broken", "broken"] == [change_of(it, result()) for it in ("passed", "failed", "error")]
    assert ["fixed", "same", "same"] == [change_of(it, result(status="failed")) for it in ("passed", "failed", "error")]
    assert "" == diff_of("a", "a")
    assert "--- before\n+++ now\n@@ -1 +1 @@\n-a\n+b" == diff_of("a", "b")
