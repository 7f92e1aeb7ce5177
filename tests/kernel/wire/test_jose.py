"""Tokens of other issuers and what they claim: whatever comes is read or refused, and no key does what it is not for."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as rsa_of
from hypothesis import given
from hypothesis import strategies as st
from jwt import encode
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from support.openid import published, rsa
from switchgear.testing.ambient import Ahead
from switchgear.wire.claims import claimed, first_claimed, holds
from switchgear.wire.jose import PUBLISHED, KeySet, read_token, refusal

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
NAMES = st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub"])


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{1,60}\.[A-Za-z0-9_-]{1,60}\.[A-Za-z0-9_-]{0,20}"))
def test_whatever_is_sent_is_a_token_or_none(text: str) -> None:
    assert read_token(text) is None or isinstance(json.loads(_body(text)), dict)


def _body(text: str) -> bytes:
    part = text.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@given(st.dictionaries(NAMES | st.text(), JSON))
def test_whatever_is_claimed_is_looked_at(claims: dict[str, Any]) -> None:
    why = refusal(claims, issuer="i", audience=("a",), now_s=5.0, leeway_s=1.0)
    assert why is not None or (claims["iss"] == "i" and 4 < claims["exp"])
    name = first_claimed(claims, "sub")
    assert name is None or (name.isprintable() and name in claimed(claims, "sub"))
    assert not holds(claims, {"sub": "x"}) or "x" in claimed(claims, "sub")


def test_claims_are_found_by_name_before_path() -> None:
    claims = {
        "a.b": "name",
        "a": {"b": "path", "c": [1, True, None, {"d": 1}, "x"]},
        "https://x.org/groups": ["g1", "g2"],
    }
    assert (("name",), ("1", "true", "x"), ()) == (
        claimed(claims, "a.b"),
        claimed(claims, "a.c"),
        claimed(claims, "a.c.d"),
    )
    assert holds(claims, {"https://x.org/groups": "g2", "a.c": "*"})
    assert not holds(claims, {"https://x.org/groups": "g", "a.c": "*"})


EC = generate_private_key(SECP256R1())


@pytest.mark.parametrize(
    ("key", "algorithm", "changes", "good"),
    [
        (rsa(), "RS256", {}, True),
        (rsa(), "PS256", {}, True),
        (rsa(), "PS256", {"alg": "RS256"}, False),
        (rsa(), "RS256", {"use": "enc"}, False),
        (rsa(), "RS256", {"key_ops": ["encrypt"]}, False),
        (rsa(), "RS256", {"kid": "other"}, False),
        (rsa(), "RS256", {"kty": "oct", "k": "c2VjcmV0"}, False),
        (rsa_of(65537, 1024), "RS256", {}, False),
        (EC, "ES256", {}, True),
        (EC, "ES256", {"crv": "P-384"}, False),
        (generate_private_key(SECP256K1()), "ES256K", {}, False),
    ],
)
async def test_a_published_key_verifies_what_it_is_for(
    key: Any, algorithm: str, changes: dict[str, Any], good: bool
) -> None:
    shape = RSAAlgorithm if algorithm[0] in "RP" else ECAlgorithm
    jwk = {
        **shape.to_jwk(key.public_key(), as_dict=True),
        "kid": "k",
        **({} if "key_ops" in changes else {"key_ops": ["verify"]}),
    }

    async def fetch() -> bytes:
        return json.dumps({"keys": [{"kty": "strange"}, {**jwk, **changes}]}).encode()

    token = read_token(encode({"sub": "x"}, key, algorithm, headers={"kid": "k"}))
    assert token is not None
    assert good is await KeySet(fetch, Ahead()).verify(token, PUBLISHED)
    assert not await KeySet(fetch, Ahead()).verify(token, {"EdDSA"})


async def test_keys_that_are_broken_leave_those_that_were_good() -> None:
    clock, answers = Ahead(), [json.dumps(published({"k": rsa()}.items())).encode(), b"no JWKS", b'{"keys": 1}']

    async def fetch() -> bytes:
        return answers.pop(0)

    keys = KeySet(fetch, clock)
    token = read_token(encode({"sub": "x"}, rsa(), "RS256", headers={"kid": "k"}))
    assert token is not None
    for _ in range(3):
        assert await keys.verify(token, PUBLISHED)
        clock.skip(4000)
    assert (1, [], ValueError) == (keys.generation, answers, type(keys.failure))
