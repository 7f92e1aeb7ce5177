from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear_plugins.workflows.conditions import holds
from switchgear_plugins.workflows.references import Unresolved, Values, has_references, references, resolve

VALUES = Values({"a": {"b": [1, {"c": "deep"}]}, "n": None, "t": "text", "f": 1.5}, {"one": {"x": 7}, "two": "said"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${request:a.b.1.c}", "deep"),
        ("${request:a.b.0}", 1),
        ("${request:a.b}", [1, {"c": "deep"}]),
        ("${request}", VALUES.request),
        ("${step:one}", {"x": 7}),
        ("${step:one:x}", 7),
        ("is ${step:one:x}!", "is 7!"),
        ("${step:two}", "said"),
        ("${request:nope:else}", "else"),
        ("${request:nope:}", ""),
        ("${request:n:else}", "else"),
        ("${request:n}", None),
        ("a${request:n}b", "ab"),
        ("${step:nope:x:7:8}", "7:8"),
        ("${request:a.b.9:none}", "none"),
        ("${request:a.b.-1:none}", "none"),
        ("${request:t.0:none}", "none"),
        ("${request:f} ${request:a}", '1.5 {"b":[1,{"c":"deep"}]}'),
        ("${other:x} {{7*7}} $request", "${other:x} {{7*7}} $request"),
    ],
)
def test_a_reference_becomes_what_it_stands_for(text: str, expected: Any) -> None:
    assert expected == resolve(text, VALUES)


def test_references_are_resolved_in_whatever_they_stand() -> None:
    assert {"x": ["7", 7, {"y": "deep"}]} == resolve(
        {"x": ["${request:q:7}", "${step:one:x}", {"y": "${request:a.b.1.c}"}]}, VALUES
    )


@pytest.mark.parametrize("text", ["${request:nope}", "${step:nope}", "x ${step:one:y}", "${item}", "${index}"])
def test_what_stands_for_nothing_is_told(text: str) -> None:
    with pytest.raises(Unresolved, match="stands for nothing"):
        resolve(text, VALUES)


def test_within_a_list_the_item_is_known() -> None:
    values = Values({}, {}, {"a": 1}, 3)
    assert [1, 3, {"a": 1}] == resolve(["${item:a}", "${index}", "${item}"], values)


@pytest.mark.parametrize("text", ["${request:a", "${step:}", "${step:a b}", "${step}", "x ${request y}"])
def test_what_begins_like_a_reference_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a reference that is none"):
        list(references({"x": [text]}))
    assert has_references({"x": [text]})


HOSTILE = ["${request:secret}", "${step:one:x}", "${var:x}", "{{7*7}}", "$${request:a}", "${index}", "\\1", "%s"]


@pytest.mark.parametrize("value", HOSTILE)
def test_what_a_value_says_is_never_read_again(value: str) -> None:
    values = Values({"v": value, "secret": "s3cret"}, {"one": {"x": 7}})
    assert [value, f"<{value}>"] == resolve(["${request:v}", "<${request:v}>"], values)
    assert f"{value}{value}" == resolve("${request:v}${request:v}", values)


def test_a_text_that_gets_too_long_is_not_made() -> None:
    with pytest.raises(ValueError, match="more than"):
        resolve("${request:v}" * 30, Values({"v": "x" * 100_000}, {}))


NAME = st.text("ab", min_size=1, max_size=2)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=3),
    max_leaves=8,
)


def model_of(value: Any, path: list[str]) -> Any:
    """Say simply what a path leads to."""
    for name in path:
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return "default"
    return "default" if value is None else value


@given(JSON, st.lists(NAME | st.integers(0, 3).map(str), max_size=4))
def test_a_path_leads_where_a_simple_model_says(value: Any, path: list[str]) -> None:
    assert model_of(value, path) == resolve(f"${{request:{'.'.join(path)}:default}}", Values(value, {}))


@given(JSON)
def test_what_has_no_references_stays_as_it_is(value: Any) -> None:
    assert value == resolve(value, Values({}, {}))


@pytest.mark.parametrize(
    ("field", "operator", "value", "expected"),
    [
        (1, "eq", 1.0, True),
        ("1", "eq", 1, True),
        ("a", "eq", "a", True),
        (True, "eq", 1, False),
        (None, "eq", None, True),
        ([1], "eq", [1], True),
        ("a", "ne", "b", True),
        (2, "gt", "1", True),
        ("10", "gt", "9", True),
        ("b", "gt", "a", True),
        (1, "gt", "x", False),
        (1, "lte", "x", False),
        (None, "lt", 1, False),
        (1, "gte", 1, True),
        (1, "lte", 1, True),
        ("", "is_empty", None, True),
        ([], "is_empty", None, True),
        (0, "is_empty", None, False),
        (None, "is_not_empty", None, False),
        ({"a": 1}, "is_not_empty", None, True),
        ("hay needle", "contains", "needle", True),
        ([1, "2"], "contains", 2, True),
        ({"a": 1}, "contains", "a", True),
        (5, "contains", 5, False),
        ("nan", "gte", "nan", False),
    ],
)
def test_a_condition_holds(field: Any, operator: Any, value: Any, expected: bool) -> None:
    assert expected is holds(field, operator, value)


SCALAR = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.text("ab1", max_size=2)


@given(SCALAR, SCALAR)
def test_the_operators_agree_with_each_other(one: Any, other: Any) -> None:
    assert holds(one, "eq", other) is not holds(one, "ne", other)
    assert holds(one, "eq", other) is holds(other, "eq", one)
    assert holds(one, "gt", other) is holds(other, "lt", one)
    assert holds(one, "gte", other) is holds(other, "lte", one)
    assert holds(one, "is_empty", None) is not holds(one, "is_not_empty", None)
    assert not (holds(one, "gt", other) and holds(one, "lt", other))


def test_a_text_of_nothing_but_beginnings_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="a reference that is none"):
        list(references("${request:a:" * 25_000))
