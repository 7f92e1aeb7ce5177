"""The small parts, with properties."""

import json
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct, field

from switchgear import json_paths as paths
from switchgear.contracts.credential import MASK
from switchgear.errors import InvalidRequest, ValidationFailed
from switchgear.names import decode_cursor, encode_cursor, is_id
from switchgear.resources import sealing
from switchgear.resources.body import parse_json, plain
from switchgear.resources.merge import difference, merge_patch
from switchgear.resources.shape import decode

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
VALUES = st.recursive(
    SCALARS | TEXT, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=15
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=5)
Door: TypeAlias = Literal["open", "closed"]
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}", fullmatch=True).filter(is_id)


def without_nulls(value: Any) -> Any:
    return (
        {name: without_nulls(item) for name, item in value.items() if item is not None}
        if isinstance(value, dict)
        else value
    )


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_applied_twice_is_applied_once_and_changes_neither_side(target: Any, patch: Any) -> None:
    before = json.dumps([target, patch])
    once = merge_patch(target, patch)
    assert once == merge_patch(once, patch)
    assert before == json.dumps([target, patch])


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_sets_what_it_names_and_leaves_the_rest(target: dict[str, Any], patch: dict[str, Any]) -> None:
    merged = merge_patch(target, patch)
    for name, value in patch.items():
        if value is None:
            assert name not in merged
        elif not isinstance(value, dict):
            assert value == merged[name]
    assert {name: value for name, value in target.items() if name not in patch} == {
        name: value for name, value in merged.items() if name not in patch
    }


@pytest.mark.parametrize(
    ("target", "patch", "expected"),  # the table of RFC 7396, appendix A
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_follows_the_rfc(target: Any, patch: Any, expected: Any) -> None:
    assert expected == merge_patch(target, patch)


@given(OBJECTS, OBJECTS)
def test_a_difference_is_empty_exactly_between_equals(one: Any, other: Any) -> None:
    assert difference(one, one) == []
    if not difference(one, other):
        assert one == other


@given(IDS)
def test_a_cursor_comes_back_only_for_its_own_list(id_: str) -> None:
    assert id_ == decode_cursor("models", encode_cursor("models", id_))
    with pytest.raises(InvalidRequest):
        decode_cursor("aliases", encode_cursor("models", id_))


@given(st.text(max_size=40))
def test_any_other_text_is_no_cursor(text: str) -> None:
    try:
        assert is_id(decode_cursor("m", text))
    except InvalidRequest:
        return


@given(OBJECTS)
def test_json_that_may_be_stored_comes_through_unchanged(value: Any) -> None:
    assert value == plain(parse_json(json.dumps(value).encode()))


@given(st.binary(max_size=60))
def test_any_bytes_are_parsed_or_refused(raw: bytes) -> None:
    try:
        plain(parse_json(raw))
    except (InvalidRequest, ValidationFailed):
        return


class Inner(Struct, forbid_unknown_fields=True):
    count: Annotated[int, Meta(ge=0, le=9)]
    name: str = ""


class Outer(Struct, forbid_unknown_fields=True):
    inner: Inner
    many: Annotated[list[Inner], Meta(max_length=2)] = []
    named: dict[str, Inner] = {}
    maybe: Inner | None = None
    pair: tuple[int, str] | None = None
    word: str | int = ""
    renamed: int = field(default=0, name="re-named")


class Lenient(Struct):
    left: int = 0
    right: int = 0

    def __post_init__(self) -> None:
        if self.left > self.right:
            raise ValueError("left must not be more than right")


def wrong(type_: Any, value: Any) -> dict[str, str]:
    decoded, problems = decode(type_, value)
    assert (decoded is None) == bool(problems)
    return {problem.pointer: problem.detail for problem in problems}


def test_every_problem_has_its_own_pointer() -> None:
    value = {
        "inner": {"count": 10, "nmae": 1},
        "many": [{"count": 1}, {}, {"count": "x"}],
        "named": {"a/b": {"count": -1}, "ok": {"count": 1}},
        "maybe": {"count": None},
        "pair": [1, 2],
        "word": [],
        "re-named": "x",
        "renamed": 1,
    }
    assert set(wrong(Outer, value)) == {
        "/inner/count",
        "/inner/nmae",
        "/many/1/count",
        "/many/2/count",
        "/named/a~1b/count",
        "/maybe/count",
        "/pair/1",
        "/word",
        "/re-named",
        "/renamed",
    }
    assert wrong(Outer, {"inner": {"count": 1}, "many": [{"count": 1}] * 3}) == {
        "/many": "Expected `array` of length <= 2"
    }
    assert wrong(Outer, {"inner": {"count": 1}, "maybe": None, "pair": [1, "x"], "word": 3}) == {}


def test_what_json_writes_as_text_is_decoded() -> None:
    decoded, problems = decode(dict[int, datetime], {"1": "2026-01-31T00:00:00Z"})
    assert ({1: datetime(2026, 1, 31, tzinfo=UTC)}, []) == (decoded, problems)
    assert wrong(dict[int, datetime], {"1": "never", "x": "2026-01-31T00:00:00Z"})


def test_what_only_the_whole_shows_is_a_problem_of_the_whole() -> None:
    assert wrong(Lenient, {"left": 2, "right": 1}) == {"": "left must not be more than right"}


def test_a_word_that_is_none_of_a_few_is_told_them() -> None:
    known = "Invalid enum value 'x'; known are `closed`, `open`"
    assert {"/1": known} == wrong(list[Door], ["open", "x"])
    assert {"": known} == wrong(Door | None, "x")
    assert {"": "Invalid enum value 'opne'; did you mean `open`?"} == wrong(Door, "opne")


def test_unknown_fields_are_refused_even_where_a_struct_would_let_them_pass() -> None:
    assert wrong(Lenient, {"lfet": 2}) == {"/lfet": "there is no such field; did you mean `left`?"}


@given(VALUES)
def test_decoding_agrees_with_msgspec_on_any_value(value: Any) -> None:
    wrong(Outer, value)


@given(OBJECTS)
def test_secrets_are_sealed_shown_and_opened_at_any_depth(spec: dict[str, Any]) -> None:
    marker = {"$sealed": "opaque", "hint": "last"}
    spec = {**spec, "secret": marker, "list": [{"deep": marker}]}
    assert {spot for spot, _ in sealing.sealed_spots(spec)} == {("secret",), ("list", 0, "deep")}
    shown = sealing.masked(spec)
    assert (f"{MASK}last", f"{MASK}last") == (shown["secret"], shown["list"][0]["deep"])
    assert "opaque" not in json.dumps(shown)


def test_secrets_in_lists_are_kept_by_position() -> None:
    marker = {"$sealed": "one", "hint": ""}
    body = {"hooks": [{"url": "a"}, {"url": "b", "secret": MASK}, {"secret": "new"}]}
    stored = {"hooks": [{"secret": marker}, {"secret": {**marker, "$sealed": "two"}}, {"secret": marker}]}
    sealing.keep(("hooks.*.secret",), body, stored, absent=True)
    assert body == {
        "hooks": [
            {"url": "a", "secret": marker},
            {"url": "b", "secret": {**marker, "$sealed": "two"}},
            {"secret": "new"},
        ]
    }


def test_paths_find_what_they_describe() -> None:
    value = {"a": {"x": 1, "y": 2}, "b": [{"c": 3}, {"c": 4}, {}], "d": 5}
    assert list(paths.spots(value, "a.*")) == [(("a", "x"), 1), (("a", "y"), 2)]
    assert list(paths.spots(value, "b.*.c")) == [(("b", 0, "c"), 3), (("b", 1, "c"), 4)]
    assert list(paths.spots(value, "d.e")) == []
    assert paths.pointer(("b", 0, "a/b~c")) == "/b/0/a~1b~0c"


def test_finding_a_doubled_member_takes_time_in_proportion_to_the_body() -> None:
    members = ",".join(f'"k{n}":1' for n in range(19_000))
    began = time.process_time()
    with pytest.raises(InvalidRequest, match="k18999"):
        parse_json(f'{{{members},"k18999":2}}'.encode())
    assert (
        time.process_time() - began < 2.0
    )  # comparing each with each takes seven seconds, and minutes for the largest body
