"""Where short-lived tokens are handed out: Google's and Microsoft's OAuth token endpoints and GigaChat's.

Wires: developers.google.com/identity/protocols/oauth2/service-account (RFC 7523 grants),
learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow, developers.sber.ru GigaChat `POST /oauth`.
"""

import base64
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from switchgear.testing.upstream.reply import Reply, json_reply

ISSUED = "issued-"


class Desk:
    """Hands out tokens and knows them again. Its clock is `now`, the wall's.

    lifetime_s      of the tokens it makes from now on
    public_keys     of the service accounts that may ask, by e-mail address, as PEM
    client_secrets  of the applications that may ask, by client id
    basic_keys      GigaChat's authorisation keys that may ask; empty: any
    bad_keys        API keys that no vendor takes
    page_size       how many models a list tells at once, of those that come in pages
    down            whether tokens are handed out at all
    """

    def __init__(self) -> None:
        self.now: Callable[[], float] = time.time
        self.lifetime_s = 3600
        self.public_keys: dict[str, bytes] = {}
        self.client_secrets: dict[str, str] = {}
        self.basic_keys: set[str] = set()
        self.bad_keys: set[str] = set()
        self.page_size = 2
        self.down = False
        self.issued: dict[str, float] = {}

    def knows(self, token: str) -> bool:
        """Say whether a token is good: one of ours that has not expired or been revoked, or none of our making."""
        return bool(token) and (not token.startswith(ISSUED) or self.issued.get(token, 0) > self.now())

    def revoke(self) -> None:
        """Make every token handed out so far worthless."""
        self.issued = dict.fromkeys(self.issued, 0.0)

    def clear(self) -> None:
        self.__init__()  # type: ignore[misc]  # as new

    def issue(self) -> str:
        """Make a token."""
        token = f"{ISSUED}{len(self.issued):06d}"
        self.issued[token] = self.now() + self.lifetime_s
        return token

    def google(self, body: bytes) -> Reply:
        """Answer `POST /token`."""
        form = _form(body)
        if form.get("grant_type") == "refresh_token" and form.get("refresh_token"):
            return self._bearer()
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return json_reply({"error": "unsupported_grant_type", "error_description": "Invalid grant_type"}, 400)
        wrong = self._wrong_assertion(form.get("assertion", ""))
        if wrong is not None:
            return json_reply({"error": "invalid_grant", "error_description": wrong}, 400)
        return self._bearer()

    def entra(self, body: bytes) -> Reply:
        """Answer `POST /{tenant}/oauth2/v2.0/token`."""
        form = _form(body)
        if not form.get("scope", "").endswith("/.default"):
            text = "AADSTS1002012: The provided value for scope is not valid."
            return json_reply({"error": "invalid_scope", "error_description": text}, 400)
        if form.get("grant_type") != "client_credentials":
            text = "AADSTS70003: The app requested an unsupported grant type."
            return json_reply({"error": "unsupported_grant_type", "error_description": text}, 400)
        known = self.client_secrets.get(form.get("client_id", ""))
        assertion = "client_assertion" in form and "client_assertion_type" in form
        if not assertion and (not form.get("client_secret") or known not in {None, form["client_secret"]}):
            text = "AADSTS7000215: Invalid client secret provided."
            return json_reply({"error": "invalid_client", "error_description": text, "error_codes": [7000215]}, 401)
        return self._bearer(ext_expires_in=self.lifetime_s)

    def gigachat(self, headers: dict[str, str], body: bytes) -> Reply:
        """Answer `POST /api/v2/oauth`. `expires_at` is in milliseconds."""
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme != "Basic" or not key:
            return json_reply({"code": 4, "message": "Can't decode 'Authorization' header"}, 400)
        if self.basic_keys and key not in self.basic_keys:
            return json_reply({"code": 6, "message": "credentials doesn't match db data"}, 401)
        if len(headers.get("rquid", "")) != 36:
            return json_reply({"code": 1, "message": "RqUID is not a UUID"}, 400)
        if _form(body).get("scope") not in {"GIGACHAT_API_PERS", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP"}:
            return json_reply({"code": 1, "message": "scope data format invalid"}, 400)
        token = self.issue()
        return json_reply({"access_token": token, "expires_at": int(self.issued[token] * 1000)})

    def _bearer(self, **more: Any) -> Reply:
        token = self.issue()
        return json_reply({"access_token": token, "expires_in": self.lifetime_s, "token_type": "Bearer", **more})

    def _wrong_assertion(self, assertion: str) -> str | None:
        """Say what is wrong with a signed JWT (RFC 7519, RS256)."""
        head, _, rest = assertion.partition(".")
        claims, _, signed = rest.partition(".")
        try:
            header, body = (msgspec.json.decode(_unpadded(part)) for part in (head, claims))
            signature = _unpadded(signed)
        except (ValueError, msgspec.DecodeError):
            return "Invalid JWT: not three base64url parts of JSON"
        key = self.public_keys.get(body.get("iss", ""))
        if header.get("alg") != "RS256" or key is None:
            return "Invalid JWT: unknown issuer or algorithm"
        public = load_pem_public_key(key)
        assert isinstance(public, rsa.RSAPublicKey)
        try:
            public.verify(signature, f"{head}.{claims}".encode(), padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            return "Invalid JWT Signature."
        now = self.now()
        if not body.get("scope") or not str(body.get("aud", "")).endswith("/token"):
            return "Invalid JWT: scope and aud are required"
        if not body.get("iat", 0) - 60 <= now < body.get("exp", 0) or body["exp"] - body["iat"] > 3600:
            return "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
        return None


def _form(body: bytes) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(body.decode()).items()}


def _unpadded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
