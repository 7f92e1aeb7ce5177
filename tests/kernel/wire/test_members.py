import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from switchgear.errors import InvalidRequest
from switchgear.wire.members import holds_items, parse_object, prune, splice


def pruned(body: str, *paths: str) -> tuple[str, list[str]]:
    members, found = prune(parse_object(body.encode()), paths)
    return splice(members, {}, {}).decode(), found


def test_prunes_through_arrays_and_leaves_the_rest_byte_by_byte() -> None:
    body = '{"a":[{"b":1.0,"c":12345678901234567890123},{"b":2},{"c":"b"}],"d":"b"}'
    assert ('{"a":[{"c":12345678901234567890123},{},{"c":"b"}],"d":"b"}', ["a.b"]) == pruned(body, "a.b", "d.b", "x.b")


def test_prunes_whole_members() -> None:
    assert ('{"b":{}}', ["a", "b.c"]) == pruned('{"a":null,"b":{"c":[]}}', "a", "b.c")


def test_does_not_change_what_it_was_given() -> None:
    members = parse_object(b'{"a":{"b":1}}')
    prune(members, ["a.b", "a"])
    assert b'{"a":{"b":1}}' == splice(members, {}, {})


NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    st.none() | st.integers(-5, 5) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


def expected(value: object, path: list[str]) -> object:
    if isinstance(value, list):
        return [expected(item, path) for item in value]
    if not isinstance(value, dict):
        return value
    name, *rest = path
    if not rest:
        return {key: item for key, item in value.items() if key != name}
    return {key: expected(item, rest) if key == name else item for key, item in value.items()}


@given(body=st.dictionaries(NAMES, VALUES, max_size=3), path=st.lists(NAMES, min_size=1, max_size=3))
def test_prunes_as_a_plain_walk_would(body: dict, path: list[str]) -> None:
    members, found = prune(parse_object(msgspec.json.encode(body)), [".".join(path)])
    assert expected(body, path) == json.loads(splice(members, {}, {}))
    assert bool(found) == (expected(body, path) != body)


def test_a_member_is_found_however_its_name_is_written() -> None:
    body = '{"messages":[{"cache\\u005fcontrol":{},"role":"user"}]}'
    kept = '{"messages":[{"role":"user"}]}'
    assert (kept, ["messages.cache_control"]) == pruned(body, "messages.cache_control")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"[1]", True),
        (b"[ \n\t{}]", True),
        (b"[" + b" " * 200 + b"1]", True),
        (b"[]", False),
        (b"[ ]", False),
        (b"[" + b" " * 200 + b"]", False),
        (b"null", False),
        (None, False),
    ],
)
def test_an_array_is_known_by_its_beginning(value: bytes | None, expected: bool) -> None:
    assert expected == holds_items({} if value is None else {"a": Raw(value)}, "a")


def test_what_is_no_array_is_refused_as_ever() -> None:
    with pytest.raises(InvalidRequest, match=r"`a` is invalid: Expected `array \| null`, got `str`"):
        holds_items({"a": Raw(b'"text"')}, "a")
