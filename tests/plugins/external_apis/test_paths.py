from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.errors import InvalidRequest
from switchgear_plugins.external_apis.resources import place
from switchgear_plugins.external_apis.step import below

BASE = "https://api.example.com/v1"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", BASE),
        ("/users/7", f"{BASE}/users/7"),
        ("users/7/", f"{BASE}/users/7/"),
        ("//evil.example/x", f"{BASE}/evil.example/x"),
        ("https://evil.example/", f"{BASE}/https:/evil.example/"),
        ("a?b=c#d", f"{BASE}/a%3Fb=c%23d"),
        ("%2e%2e/admin", f"{BASE}/%252e%252e/admin"),
        ("..%2fadmin", f"{BASE}/..%252fadmin"),
        ("a\\..\\b", f"{BASE}/a%5C..%5Cb"),
        ("@evil.example", f"{BASE}/@evil.example"),
        ("ü", f"{BASE}/%C3%BC"),
    ],
)
def test_a_path_stays_below_its_base(path: str, expected: str) -> None:
    assert expected == below(BASE, path, {})


@pytest.mark.parametrize("path", ["..", "../x", "a/../../x", "a/./b", "/..", "a\r\nHost: b", "a\0"])
def test_a_path_that_would_leave_its_base_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequest):
        below(BASE, path, {})


@given(st.text(max_size=40))
def test_whatever_a_path_says_the_host_and_the_base_stay(path: str) -> None:
    try:
        made = urlsplit(below(BASE, path, {"q": path}))
    except InvalidRequest:
        return
    assert ("https", "api.example.com") == (made.scheme, made.netloc)
    assert made.path == "/v1" or made.path.startswith("/v1/")
    assert ".." not in unquote(made.path).split("/")
    assert not made.fragment


def test_a_query_is_escaped_and_none_is_left_out() -> None:
    assert f"{BASE}/x?a=1%262&b=true" == below(BASE, "x", {"a": "1&2", "b": True, "c": None})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://API.example.com/v1", "https://api.example.com:443"),
        ("http://h:8080", "http://h:8080"),
        ("https://h:443/", "https://h:443"),
        ("http://[::1]:9/x", "http://[::1]:9"),
        ("https://user:word@h/", None),
        ("https://h/?a=b", None),
        ("https://h/#x", None),
        ("https://h\\@evil/", None),
        ("ftp://h/", None),
        ("https:///x", None),
        ("https://h:99999/", None),
        ("h", None),
    ],
)
def test_where_a_secret_would_go_is_named(url: str, expected: str | None) -> None:
    assert expected == place(url)
