"""A service account's key becomes an access token."""

import base64
import json
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from support.vertex import KEY, TOKEN, provider
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import ModelLister, ProviderFault, TokenExchange
from switchgear.errors import SecretUnavailable
from switchgear.testing.ambient import START_US
from switchgear.testing.provider_suite import RecordedHead

GOOGLE = "https://oauth2.googleapis.com/token"


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def account(key: rsa.RSAPrivateKey, **members: str) -> dict[str, str]:
    return {
        "type": "service_account",
        "project_id": "acme",
        "private_key_id": "kid-1",
        "private_key": pem(key),
        "client_email": "gateway@acme.iam.gserviceaccount.com",
        "token_uri": GOOGLE,
        **members,
    }


def part(text: str) -> dict:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def test_signs_an_assertion_that_the_public_key_verifies(key):
    request = provider().token_request(Secret({"service_account": json.dumps(account(key))}))
    assert request is not None
    assert ("POST", GOOGLE) == (request.method, request.url)
    assert {"content-type": "application/x-www-form-urlencoded"} == request.headers
    form = parse_qs(request.body.decode(), strict_parsing=True)
    assert ["urn:ietf:params:oauth:grant-type:jwt-bearer"] == form["grant_type"]
    head, claims, signature = form["assertion"][0].split(".")
    assert {"alg": "RS256", "typ": "JWT", "kid": "kid-1"} == part(head)
    now = START_US // 1_000_000
    assert {
        "iss": "gateway@acme.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": GOOGLE,
        "iat": now,
        "exp": now + 3600,
    } == part(claims)
    signed = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    key.public_key().verify(signed, f"{head}.{claims}".encode(), PKCS1v15(), SHA256())


def test_takes_the_fields_of_a_key_one_by_one(key):
    fields = {name: account(key)[name] for name in ("client_email", "private_key")}
    whole = provider().token_request(Secret({**fields, "token_uri": GOOGLE}))
    assert whole == provider().token_request(Secret(fields))
    assert whole is not None
    assert GOOGLE == whole.url


def test_another_accounts_assertion_is_signed_with_its_own_key(key):
    found = provider()
    other = rsa.generate_private_key(65537, 2048)
    for one in (key, other, key):
        request = found.token_request(Secret({"service_account": json.dumps(account(one))}))
        assert request is not None
        signed, _, signature = parse_qs(request.body.decode())["assertion"][0].rpartition(".")
        given = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
        one.public_key().verify(given, signed.encode(), PKCS1v15(), SHA256())


@pytest.mark.parametrize("values", [KEY, TOKEN, {**TOKEN, "project_id": "acme"}, {"other": "x"}])
def test_what_is_not_a_service_account_is_used_as_it_is(values):
    assert provider().token_request(Secret(values)) is None


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/token",
        "http://oauth2.googleapis.com/token",
        "https://oauth2.googleapis.com.evil.example/token",
        "https://oauth2.googleapis.com@evil.example/token",
        "https://evil.example#oauth2.googleapis.com",
        "https://oauth2.googleapis.com:8443/token",
        "https://storage.googleapis.com/bucket",
        "https://oauth2.googleapis.com\\.evil.example/token",
        "https://oauth2.googleapis.com/to ken",
        "https://[",
        "",
    ],
)
def test_sends_nothing_where_a_key_says_that_is_not_googles(key, uri):
    with pytest.raises(SecretUnavailable, match="token_uri"):
        provider().token_request(Secret({"service_account": json.dumps(account(key, token_uri=uri))}))


def test_the_settings_may_say_where_to_send_it(key):
    found = provider(token_uri="http://127.0.0.1:9/token")
    request = found.token_request(Secret({"service_account": json.dumps(account(key))}))
    assert request is not None
    assert "http://127.0.0.1:9/token" == request.url
    assert GOOGLE == part(parse_qs(request.body.decode())["assertion"][0].split(".")[1])["aud"]


@pytest.mark.parametrize("broken", ["nonsense", "{}", '{"client_email": 7}', "[]", "\ud800"])
def test_a_key_that_cannot_be_read_is_named_and_not_shown(broken):
    with pytest.raises(SecretUnavailable, match="service_account") as caught:
        provider().token_request(Secret({"service_account": broken}))
    assert caught.value.__suppress_context__
    assert broken not in str(caught.value)


@pytest.mark.parametrize("private_key", ["nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_private_key_that_is_none_is_named_and_not_shown(private_key):
    with pytest.raises(SecretUnavailable, match="private_key") as caught:
        provider().token_request(Secret({"client_email": "a@b", "private_key": private_key}))
    assert "AAAA" not in str(caught.value)


def test_a_private_key_of_another_kind_is_refused():
    other = pem(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(SecretUnavailable, match="RSA"):
        provider().token_request(Secret({"client_email": "a@b", "private_key": other}))


def test_reads_the_token_with_its_end_and_its_project(key):
    secret = Secret({"service_account": json.dumps(account(key))})
    body = b'{"access_token":"ya29.new","expires_in":3599,"token_type":"Bearer"}'
    found = provider().token(secret, RecordedHead(), body)
    assert {"access_token": "ya29.new", "project_id": "acme"} == dict(found)
    assert START_US + 3_599_000_000 == found.expires_us


@pytest.mark.parametrize(
    ("status", "body", "cause", "code", "message"),
    [
        (400, b'{"error":"invalid_grant","error_description":"Invalid JWT Signature."}', "auth", "invalid_grant",
         "Invalid JWT Signature."),
        (401, b'{"error":"invalid_client"}', "auth", "invalid_client", ""),
        (403, b"", "permission", None, ""),
        (429, b"{}", "rate_limit", None, ""),
        (500, b"<html>", "server", None, ""),
        (503, b"", "overloaded", None, ""),
        (302, b"", "protocol", None, ""),
        (200, b"{}", "protocol", None, ""),
        (200, b'{"access_token":""}', "protocol", None, ""),
        (200, b'{"access_token":"a\\nb"}', "protocol", None, ""),
    ],
)  # fmt: skip
def test_a_refusal_is_classified(status, body, cause, code, message):
    with pytest.raises(ProviderFault) as caught:
        provider().token(Secret(TOKEN), RecordedHead(status), body)
    fault = caught.value
    assert (cause, status, code, message) == (fault.cause, fault.status, fault.code, fault.message)


@given(status=st.integers(200, 599), body=st.binary(max_size=100))
def test_any_other_answer_is_a_fault(status, body):
    with pytest.raises(ProviderFault) as caught:  # no bytes of this kind spell out a token
        provider().token(Secret(TOKEN), RecordedHead(status), body)
    assert status == caught.value.status


def test_it_is_what_the_kernel_looks_for():
    assert isinstance(provider(), TokenExchange)
    assert isinstance(provider(), ModelLister)
