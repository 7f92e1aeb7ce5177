"""AWS's published SigV4 test suite, as facts: request, signed headers and signature of each case.

Every case: access key AKIDEXAMPLE, region us-east-1, service "service", 2015-08-30 12:36:00 UTC, host example.amazonaws.com.
"""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear_plugins.bedrock.sigv4 import Signer, canonical_query

NOW_US = int(datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()) * 1_000_000
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
LETTERS = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
FORM = "application/x-www-form-urlencoded"
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/"
    "qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38"
    "xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)

# name, method, path, query, headers, body, session token, signature
VECTORS = [
    ("get-vanilla", "GET", "/", [], {}, b"", None, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    (
        "get-vanilla-query-order-key-case", "GET", "/", [("Param2", "value2"), ("Param1", "value1")], {}, b"", None,
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    (
        "get-vanilla-query-order-key", "GET", "/", [("Param1", "value2"), ("Param1", "Value1")], {}, b"", None,
        "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1",
    ),
    (
        "get-vanilla-query-order-value", "GET", "/", [("Param1", "value2"), ("Param1", "value1")], {}, b"", None,
        "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694",
    ),
    (
        "get-vanilla-query-order-encoded", "GET", "/",
        [("Param-3", "Value3"), ("Param", "Value2"), ("\u1234", "Value1")], {}, b"", None,
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    ),
    (
        "get-vanilla-empty-query-key", "GET", "/", [("Param1", "value1")], {}, b"", None,
        "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
    ),
    (
        "get-vanilla-query-unreserved", "GET", "/", [(LETTERS, LETTERS)], {}, b"", None,
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    (
        "get-vanilla-utf8-query", "GET", "/", [("\u1234", "bar")], {}, b"", None,
        "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
    ),
    ("get-utf8", "GET", "/\u1234", [], {}, b"", None, "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    (
        "get-space", "GET", "/example space/", [], {}, b"", None,
        "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
    ),
    (
        "get-unreserved", "GET", "/" + LETTERS, [], {}, b"", None,
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    (
        "get-special-character", "GET", "/example/$delete", [], {}, b"", None,
        "a853c9b21b528b19643d00910d35b83a10c366a10833ceefb45edd6c80e40f27",
    ),
    (
        "get-header-value-trim", "GET", "/", [], {"my-header1": " value1", "my-header2": ' "a   b   c"'}, b"", None,
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    (
        "get-vanilla-with-session-token", "GET", "/", [], {}, b"",
        "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267",
        "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
    ),
    ("post-vanilla", "POST", "/", [], {}, b"", None, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    (
        "post-header-key-sort", "POST", "/", [], {"my-header1": "value1"}, b"", None,
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    (
        "post-header-value-case", "POST", "/", [], {"my-header1": "VALUE1"}, b"", None,
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    ),
    (
        "post-vanilla-query", "POST", "/", [("Param1", "value1")], {}, b"", None,
        "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
    ),
    (
        "post-sts-header-before", "POST", "/", [], {}, b"", TOKEN,
        "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
    ),
    (
        "post-x-www-form-urlencoded", "POST", "/", [], {"content-type": FORM}, b"Param1=value1", None,
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
    (
        "post-x-www-form-urlencoded-parameters", "POST", "/", [], {"content-type": FORM + "; charset=utf8"}, b"Param1=value1",
        None, "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
    ),
]  # fmt: skip


def sign(signer: Signer, **changes) -> dict[str, str]:
    arguments = {
        "method": "GET", "path": "/", "query": "", "headers": {"host": "example.amazonaws.com"}, "body": b"",
        "access_key_id": "AKIDEXAMPLE", "secret_access_key": SECRET, "now_us": NOW_US, **changes,
    }  # fmt: skip
    return signer.sign(**arguments)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector[0])
def test_signs_as_the_published_suite_says(vector) -> None:
    _, method, path, query, headers, body, token, signature = vector
    added = sign(
        Signer("us-east-1", "service"),
        method=method,
        path=path,
        query=canonical_query(query),
        headers={"host": "example.amazonaws.com", **headers},
        body=body,
        session_token=token,
    )
    names = sorted({"host", "x-amz-date", *headers, *(["x-amz-security-token"] if token else [])})
    expected = (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    assert expected == added["authorization"]
    assert "20150830T123600Z" == added["x-amz-date"]
    assert token == added.get("x-amz-security-token")


def test_a_path_that_is_encoded_already_is_encoded_once_more() -> None:
    once = sign(Signer("us-east-1", "bedrock"), path="/model/a%3A0/converse")["authorization"]
    raw = sign(Signer("us-east-1", "bedrock"), path="/model/a:0/converse")["authorization"]
    assert once != raw


def test_a_secret_entered_anew_under_the_same_access_key_signs_otherwise() -> None:
    signer = Signer("us-east-1", "service")
    first, other = sign(signer), sign(signer, secret_access_key="other")
    assert first["authorization"] != other["authorization"]
    assert other == sign(Signer("us-east-1", "service"), secret_access_key="other")
    assert first == sign(signer)


def test_tomorrow_it_signs_with_tomorrows_key() -> None:
    signer = Signer("us-east-1", "service")
    sign(signer)
    tomorrow = NOW_US + 86_400_000_000
    assert sign(Signer("us-east-1", "service"), now_us=tomorrow) == sign(signer, now_us=tomorrow)


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=200))
def test_what_it_remembers_changes_no_signature(keys: list[str]) -> None:
    signer = Signer("us-east-1", "service")
    for place, key in enumerate(keys):
        changes = {"access_key_id": f"AK{key}", "secret_access_key": key * 3, "now_us": NOW_US + place * 86_400_000_000}
        assert sign(Signer("us-east-1", "service"), **changes) == sign(signer, **changes)
    assert len(signer._keys) <= 64
