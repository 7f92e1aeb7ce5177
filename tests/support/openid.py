"""A strict OpenID provider on loopback: discovery, keys, authorization codes bound to PKCE and redirect URI, tokens, userinfo.

Whoever comes to its authorization endpoint is `user`, at once. `forge` may spoil ID tokens before they are signed.
"""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt import PyJWS
from jwt.algorithms import RSAAlgorithm

from support.web import Asked, Told, Web

CLIENT, SECRET = "gateway", "canary-client-secret"


@cache
def rsa(number: int = 0) -> RSAPrivateKey:
    """Return a key, made once."""
    return generate_private_key(65537, 2048)


def signed(claims: dict[str, Any], key: RSAPrivateKey, **header: Any) -> str:
    """Make a token of whatever claims."""
    return PyJWS().encode(json.dumps(claims).encode(), key, "RS256", headers=header)


def published(keys: Iterable[tuple[str, RSAPrivateKey]]) -> dict[str, Any]:
    """Return the JWKS of keys by `kid`."""
    members = [{**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"} for kid, key in keys]
    return {"keys": [{name: value for name, value in it.items() if name != "key_ops"} for it in members]}


class OpenIdProvider(Web):
    """`redirects` are the redirect URIs of the client; `codes` those that were given out and not used."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.user: dict[str, Any] = {"sub": "u-1", "preferred_username": "otto", "email": "otto@example.com"}
        self.userinfo: dict[str, Any] = {}
        self.redirects: set[str] = set()
        self.keys: dict[str, RSAPrivateKey] = {"k1": rsa()}
        self.signs = "k1"
        self.codes: dict[str, dict[str, str]] = {}
        self.authorized: list[dict[str, str]] = []
        self.forge: Callable[[dict[str, Any]], str | None] = lambda _: None
        self.metadata: dict[str, Any] = {}
        self.says_iss = True

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """Make a token as the issuer does."""
        return signed(claims, self.keys[self.signs], kid=self.signs, **header)

    def logout_token(self, **members: Any) -> str:
        """Make a logout token."""
        events = {"http://schemas.openid.net/event/backchannel-logout": {}}
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 120, "jti": secrets.token_hex(8)}
        claims |= {"events": events, "sub": self.user["sub"], **members}
        return self.sign({name: it for name, it in claims.items() if it is not None}, typ="logout+jwt")

    def authorize(self, asked: dict[str, str]) -> str:
        """Return where the browser goes next. Whatever a client must say is insisted on."""
        self.authorized.append(asked)
        assert (CLIENT, "code", "S256") == (asked["client_id"], asked["response_type"], asked["code_challenge_method"])
        assert asked["redirect_uri"] in self.redirects, "not exactly a redirect URI that was registered"
        assert "openid" in asked["scope"].split()
        assert min(len(asked[it]) for it in ("state", "nonce", "code_challenge")) >= 43
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        said = {"code": code, "state": asked["state"], **({"iss": self.url} if self.says_iss else {})}
        return f"{asked['redirect_uri']}?{urlencode(said)}"

    def _answer(self, asked: Asked) -> Told:
        match asked.path:
            case "/.well-known/openid-configuration":
                return Told(body=self._metadata())
            case "/jwks":
                return Told(body=published(self.keys.items()))
            case "/authorize":
                return Told(302, b"", {"location": self.authorize(asked.query)})
            case "/token":
                return self._token(asked)
            case "/userinfo":
                return Told(body={"sub": self.user["sub"], **self.userinfo})
        return Told(404)

    def _metadata(self) -> dict[str, Any]:
        endpoints = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            **{f"{name}_endpoint": f"{self.url}/{path}" for name, path in endpoints.items()},
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": self.says_iss,
            **self.metadata,
        }

    def _token(self, asked: Asked) -> Told:
        form = asked.form
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if asked.headers.get("authorization") != f"Basic {basic}" or form.get("grant_type") != "authorization_code":
            return Told(401, {"error": "invalid_client"})
        began = self.codes.pop(form.get("code", ""), None)
        proof = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (
            began is None
            or began["redirect_uri"] != form.get("redirect_uri")
            or proof.decode().rstrip("=") != began["code_challenge"]
        ):
            return Told(400, {"error": "invalid_grant"})
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": began["nonce"], **self.user}
        return Told(
            body={
                "access_token": "at",
                "token_type": "Bearer",
                "id_token": self.forge(claims) or self.sign(claims),
                "expires_in": 300,
            }
        )


def unsigned(claims: dict[str, Any]) -> str:
    """Make a token with `alg: none`."""
    parts = (json.dumps(it).encode() for it in ({"alg": "none", "typ": "JWT"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."
