"""Paths with parameters: what they match, which overlap, whose a path is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.paths import Owners, PathPattern, Table

SEGMENTS = st.sampled_from(["a", "b", "a:run", "{x}", "{x}:run", "v{x}", "{x:path}"])
PLAIN = st.lists(st.sampled_from(["a", "b", "a:run", "b:run", "va", "v1"]), min_size=1, max_size=4)


def pattern(segments: list[str]) -> PathPattern:
    return PathPattern("/" + "/".join(it.replace("{x", f"{{x{index}") for index, it in enumerate(segments)))


PATTERNS = st.lists(SEGMENTS, min_size=1, max_size=4).map(pattern)


@pytest.mark.parametrize(
    "path", ["", "/", "a", "/a/", "//a", "/a//b", "/{a}{b}", "/{a}/{a}", "/{A}", "/a?b", "/a%20", "/{a"]
)
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|parameter"):
        PathPattern(path)


@given(PATTERNS, PATTERNS, PLAIN)
def test_what_two_match_they_overlap_on(one: PathPattern, other: PathPattern, segments: list[str]) -> None:
    path = "/" + "/".join(segments)
    if one.regex.fullmatch(path) and other.regex.fullmatch(path):
        assert one.overlaps(other)
    assert one.overlaps(other) == other.overlaps(one)


def test_what_is_more_specific_comes_first() -> None:
    table = Table([("/m/{x:path}", 1), ("/m/{x}/card", 2), ("/m/all", 3), ("/m/{x}:run", 4), ("/m/{x}", 5)])
    found = {path: table.find(path)[0] for path in ("/m/all", "/m/a", "/m/a/card", "/m/a:run", "/m/a/b", "/m", "/x")}
    assert {"/m/all": [3], "/m/a": [5], "/m/a/card": [2], "/m/a:run": [4], "/m/a/b": [1], "/m": [], "/x": []} == found
    assert {"x": "a/b\nc"} == table.find("/m/a/b\nc")[1]


def test_a_path_is_whose_root_is_longest_then_whose_are_most() -> None:
    owners = Owners([("/v1/chat/x", "a"), ("/v1/models", "a"), ("/v1/messages", "b"), ("/doors/{id}", "c")])
    paths = ("/v1/none", "/v1/messages/none", "/doors", "/doors/1/none")
    assert ["a", "b", "c", "c"] == [owners.of(path) for path in paths]
    assert [True, True, False] == [owners.covers(path) for path in ("/v1", "/v1/none", "/v1none")]
