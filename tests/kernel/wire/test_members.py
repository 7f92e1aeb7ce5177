import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from switchgear.errors import InvalidRequest
from switchgear.rawjson import PIECE, crowd
from switchgear.wire.members import VERY_LONG, LongMembers, holds_items, parse_object, prune, splice, splice_pieces


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


TEXTS = st.text(alphabet='a"\\{[,é\n😀', max_size=8)


@given(value=st.recursive(TEXTS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3)),
       gap=st.integers(0, 40), ascii=st.booleans())  # fmt: skip
def test_a_long_body_is_counted_as_if_it_were_looked_at_at_once(value: object, gap: int, ascii: bool) -> None:
    """Wherever a piece ends: within a text, an escape, a character."""

    def containers(it: object) -> int:
        if isinstance(it, (list, dict)):
            return 1 + sum(map(containers, it.values() if isinstance(it, dict) else it))
        return 0

    text = json.dumps(["x" * (PIECE - 25 - gap), value], ensure_ascii=ascii).encode()
    count = containers(value) + 1
    assert (count > 3) == (crowd(text, 3, 1000) == "3 arrays and objects") or count <= 3


@given(tail=TEXTS, gap=st.integers(0, 30), ascii=st.booleans())
def test_a_long_body_is_parsed_as_a_short_one(tail: str, gap: int, ascii: bool) -> None:
    long = {"pad": "x" * (2 * PIECE - 30 - gap) + tail * 4, "model": "m", "rest": "y" * PIECE}
    found = parse_object(json.dumps(long, ensure_ascii=ascii).encode())
    assert long == {name: json.loads(bytes(value)) for name, value in found.items()}


@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00", "\\ud83d\\\\ude00"])
def test_halves_of_characters_are_mended_in_a_long_body_too(half: str) -> None:
    text = "\\ud83d\\ude00" + half + "x"
    short = parse_object(f'{{"a":"{text}"}}'.encode())["a"]
    long = parse_object(f'{{"a":"{text}","pad":"{"x" * VERY_LONG}"}}'.encode())["a"]
    assert (bytes(short), True) == (bytes(long), b"\\ufffd" in bytes(long))


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", "é".encode()[:1] + b"x"])
def test_a_long_body_that_is_no_text_is_refused(bad: bytes) -> None:
    for end in (b'"}', b""):
        with pytest.raises(InvalidRequest, match="UTF-8"):
            parse_object(b'{"a":"' + b"x" * (2 * VERY_LONG) + bad + end)


@pytest.mark.parametrize("defaults", [{}, {"n": Raw(b"1"), "a": Raw(b"0")}])
@pytest.mark.parametrize("order", [("a", "b", "c"), ("b", "a", "c"), ("b",), ("c", "b"), ("b", "d")])
def test_pieces_say_what_one_body_would(order: tuple[str, ...], defaults: dict[str, Raw]) -> None:
    values = {
        "a": Raw(b"1"),
        "b": Raw(b'"' + b"x" * VERY_LONG + b'"'),
        "c": Raw(b"[]"),
        "d": Raw(b'"' + b"y" * VERY_LONG + b'"'),
    }
    members = {name: values[name] for name in order}
    replace = {"c": Raw(b'"new"'), "e\n": Raw(b"null")}
    pieces = splice_pieces(members, replace, defaults)
    assert splice(members, replace, defaults) == b"".join(pieces)
    assert [piece for piece in pieces if len(piece) > VERY_LONG] == [
        value for value in members.values() if len(value) > VERY_LONG
    ]
    assert dict is type(parse_object(b'{"a":1}'))
    assert LongMembers is type(parse_object(b"".join(pieces)))
