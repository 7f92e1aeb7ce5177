"""One OpenID provider: what it says of itself, the way to it, and what it says of whoever comes back."""

import base64
import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.contracts.sessions import Person
from switchgear.errors import InvalidRequest, PermissionDenied, Unavailable, UpstreamError
from switchgear.wire.claims import first_claimed, holds
from switchgear.wire.jose import KeySet, Token, read_token, refusal
from switchgear_plugins.oidc.settings import ProviderSettings

if TYPE_CHECKING:
    import httpx

_METADATA_S = 3600.0
_PAUSE_S = 1.0
_LOGOUT = "http://schemas.openid.net/event/backchannel-logout"
_MOST_LOGOUTS = 4096
_MICROS = 1_000_000
_WORD = re.compile(r"[a-z_]{1,64}")


class Metadata(Struct, frozen=True):
    """What a provider says of itself (OpenID Connect Discovery 1.0)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    code_challenge_methods_supported: list[str] | None = None
    authorization_response_iss_parameter_supported: bool = False


class Flow(Struct, frozen=True, array_like=True):
    """One way there and back, as the browser keeps it: of which provider, what has to come back, and where to go then."""

    provider: str
    state: str
    nonce: str
    verifier: str
    next: str
    until_s: float


class _Tokens(Struct, frozen=True):
    id_token: str
    access_token: str = ""


class Provider:
    """`client` makes an HTTP client once it is needed; `redirect_uri` is the one that the provider knows."""

    def __init__(
        self,
        name: str,
        settings: ProviderSettings,
        redirect_uri: str,
        client: "Callable[[], httpx.AsyncClient]",
        ambient: Ambient,
        log: Any,
    ) -> None:
        self.name = name
        self.settings = settings
        self._redirect_uri = redirect_uri
        self._client = client
        self._now_us = ambient.now_us
        self._log = log
        self._metadata: tuple[float, Metadata] | None = None
        self._asked_s: float | None = None
        self._keys = KeySet(self._jwks, ambient)
        self._logouts: OrderedDict[str, None] = OrderedDict()

    async def way_to(self, flow: Flow) -> str:
        """Return where the browser goes to. Raises `Unavailable`."""
        metadata = await self._about()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(flow.verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": " ".join(dict.fromkeys(("openid", *self.settings.scopes))),
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        at = metadata.authorization_endpoint
        return f"{at}{'&' if '?' in at else '?'}{urlencode(asked, quote_via=quote)}"

    async def person(self, flow: Flow, said: Mapping[str, str]) -> Person:
        """Return who came back, whose state was looked at. Raises `PermissionDenied` and `Unavailable`."""
        metadata = await self._about()
        issuer = said.get("iss")
        if issuer != metadata.issuer and (issuer or metadata.authorization_response_iss_parameter_supported):
            raise _refused("the answer is not of this provider")
        if "code" not in said:
            word = said.get("error", "")
            raise _refused(f"the provider says `{word if _WORD.fullmatch(word) else 'error'}`")
        tokens = await self._exchange(metadata, said["code"], flow.verifier)
        claims = await self._claims(tokens, flow)
        if self.settings.userinfo and metadata.userinfo_endpoint is not None:
            more = await self._get(metadata.userinfo_endpoint, {"authorization": f"Bearer {tokens.access_token}"})
            if more.get("sub") != claims["sub"]:
                raise _refused("its userinfo is of somebody else")
            claims = {**more, **claims}
        return self._mapped(claims)

    async def logged_out(self, text: str) -> Person:
        """Return of whom a logout token says that they are logged out. Raises `InvalidRequest`."""
        token = read_token(text)
        if token is None or token.typ not in ("", "jwt", "logout+jwt") or not await self._is_signed(token):
            raise InvalidRequest("This is no logout token of this provider.", code="bad_logout_token")
        claims = token.claims
        events, id = claims.get("events"), claims.get("jti")
        subject = first_claimed(claims, self.settings.subject_claim)
        is_logout = isinstance(events, dict) and isinstance(events.get(_LOGOUT), dict) and "nonce" not in claims
        if not is_logout or not isinstance(id, str) or self._why_not(claims) is not None or id in self._logouts:
            raise InvalidRequest("This is no logout token that is good now.", code="bad_logout_token")
        if subject is None:
            raise InvalidRequest("The logout token does not say whose sessions end (`sub`).", code="bad_logout_token")
        self._logouts[id] = None
        if len(self._logouts) > _MOST_LOGOUTS:
            self._logouts.popitem(last=False)
        return Person(self.settings.issuer, subject, subject)

    def _mapped(self, claims: Mapping[str, Any]) -> Person:
        says = self.settings
        rule = next((it for it in says.rules if holds(claims, it.when)), None)
        if rule is None and says.rules and says.team is None:
            raise PermissionDenied("You are known, and nothing here is for you.", code="not_mapped")
        subject = first_claimed(claims, says.subject_claim)
        if subject is None:
            raise _refused("it does not say who you are")
        email = None if claims.get("email_verified") is False else first_claimed(claims, "email")
        names = (first_claimed(claims, says.username_claim, 200), email, subject)
        return Person(
            says.issuer,
            subject,
            next((it for it in names if it is not None and " " not in it and len(it) <= 200), subject),  # noqa: PLR2004 - as long as names of users are
            email,
            first_claimed(claims, "name"),
            (rule.team if rule else None) or says.team,
            (rule.role if rule else None) or says.role,
        )

    async def _claims(self, tokens: _Tokens, flow: Flow) -> Mapping[str, Any]:
        """Return what the ID token says, if it is one for this gateway and this way there."""
        token = read_token(tokens.id_token)
        if token is None or token.typ not in ("", "jwt") or not await self._is_signed(token):
            raise _refused("its ID token is not signed by it")
        claims = token.claims
        nonce, party, audience = claims.get("nonce"), claims.get("azp"), claims.get("aud")
        why = self._why_not(claims)
        if why is None and (not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), flow.nonce.encode())):
            why = "nonce"
        many = isinstance(audience, list) and len(audience) > 1
        if why is None and party != self.settings.client_id and (many or party is not None):
            why = "azp"
        if why is None and first_claimed(claims, "sub") is None:
            why = "sub"
        if why is not None:
            raise _refused(f"its ID token is not good: {why}")
        return claims

    def _why_not(self, claims: Mapping[str, Any]) -> str | None:
        return refusal(
            claims,
            issuer=self.settings.issuer,
            audience=(self.settings.client_id,),
            now_s=self._now_us() / _MICROS,
            leeway_s=self.settings.leeway,
        )

    async def _is_signed(self, token: Token) -> bool:
        good = await self._keys.verify(token, self.settings.algorithms)
        if not good and self._keys.is_empty and token.algorithm in self.settings.algorithms:
            raise _away("its keys cannot be fetched")
        return good

    async def _exchange(self, metadata: Metadata, code: str, verifier: str) -> _Tokens:
        says, headers = self.settings, {"accept": "application/json"}
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        if says.client_secret is not None and says.client_auth == "basic":
            pair = f"{quote(says.client_id, safe='')}:{quote(says.client_secret, safe='')}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = says.client_id
            if says.client_secret is not None:
                form["client_secret"] = says.client_secret
        status, text = await self._send("POST", metadata.token_endpoint, headers, form)
        if status != 200:  # noqa: PLR2004
            self._log.warning("a provider gave no tokens for a code", provider=self.name, status=status)
            raise _refused("it gave no tokens for the code")
        try:
            return msgspec.json.decode(text, type=_Tokens)
        except (msgspec.DecodeError, RecursionError):
            raise _refused("its tokens cannot be read") from None

    async def _about(self) -> Metadata:
        now_s = self._now_us() / _MICROS
        if self._metadata is not None and abs(now_s - self._metadata[0]) < _METADATA_S:
            return self._metadata[1]
        if self._asked_s is not None and abs(now_s - self._asked_s) < _PAUSE_S:
            raise _away("it did not answer a moment ago")
        self._asked_s = now_s
        metadata = await self._read()
        self._metadata, self._asked_s = (now_s, metadata), None
        return metadata

    async def _read(self) -> Metadata:
        """Read what the provider says of itself."""
        issuer = self.settings.issuer
        said = await self._get(f"{issuer.removesuffix('/')}/.well-known/openid-configuration", {})
        try:
            metadata = msgspec.convert(said, Metadata)
        except msgspec.ValidationError as error:
            raise _away(f"its description is none: {error}") from None
        urls = (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri)
        if metadata.issuer != issuer or not all(it.startswith(("https://", "http://")) for it in urls):
            raise _away("its description is of another issuer")
        methods = metadata.code_challenge_methods_supported
        if methods is not None and "S256" not in methods:
            raise _away("it does not take PKCE with S256")
        return metadata

    async def _jwks(self) -> bytes:
        status, text = await self._send("GET", (await self._about()).jwks_uri, {})
        if status != 200:  # noqa: PLR2004
            raise _away(f"its keys are answered with {status}")
        return text

    async def _get(self, url: str, headers: Mapping[str, str]) -> dict[str, Any]:
        status, text = await self._send("GET", url, headers)
        try:
            if status == 200:  # noqa: PLR2004
                return msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError):
            pass
        raise _away(f"it answers {status} with what cannot be read")

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        try:
            answer = await self._client().request(method, url, headers=dict(headers), data=form)
        except Exception as error:
            if not isinstance(error.__cause__, (UpstreamError, TimeoutError)):
                raise
            self._log.warning("a provider cannot be reached", provider=self.name, error=str(error.__cause__)[:300])
            raise _away("it cannot be reached") from error
        return answer.status_code, answer.content


def _away(why: str) -> Unavailable:
    return Unavailable(
        f"The provider cannot be used now: {why}; try again shortly.", code="provider_unavailable", retry_after=5
    )


def _refused(why: str) -> PermissionDenied:
    return PermissionDenied(f"You were not signed in: {why}. Begin again.", code="sign_in_refused")
