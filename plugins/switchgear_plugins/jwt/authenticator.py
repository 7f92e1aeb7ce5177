"""Principals of tokens that outside issuers sign."""

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.contracts.principal import EVERYTHING, USE, Credentials, Grant, Principal, bounded, within
from switchgear.errors import Unavailable
from switchgear.wire.claims import claimed, first_claimed, holds
from switchgear.wire.jose import LONGEST_TOKEN, KeySet, Token, read_token, refusal, signed_with
from switchgear_plugins.jwt.settings import IssuerSettings, RuleSettings

TEAMS, USERS = "teams", "users"
_BEGINS = "eyJ"
_NONE = RuleSettings({})
_MOST_TAGS, _LONGEST_TAG = 50, 100
_MOST_KNOWN = 4096
_MOST_REFUSED = 1024
_REFUSED_S = 30.0
_MICROS = 1_000_000
_TYPES = frozenset({"", "jwt", "at+jwt"})
"""What a token may call itself: one for logging out or of another purpose is none to come in with."""


class _Seen(Struct, eq=False):
    """A token that was good: who it is, what bounds them, and with which keys that was so."""

    issuer: "Issuer"
    principal: Principal
    generation: int
    bounds: tuple[Any, ...]
    bounded: Principal | None


class Issuer:
    """Whose tokens are taken. `keys` are those it publishes, None where it shares a secret."""

    def __init__(self, name: str, settings: IssuerSettings, keys: KeySet | None) -> None:
        self.name = name
        self.settings = settings
        self.keys = keys
        self._secret = b"" if settings.secret is None else settings.secret.encode()

    def has_signed(self, token: Token) -> bool | None:
        """Say whether the issuer signed this, None if its keys must be fetched to tell."""
        if self.keys is None:
            return signed_with(token, self._secret, self.settings.pinned)
        return self.keys.may_know(token, self.settings.pinned)

    async def ask(self, token: Token) -> bool:
        """Say so once the keys have been fetched. Raises `Unavailable` where none ever were."""
        assert self.keys is not None
        good = await self.keys.verify(token, self.settings.pinned)
        if not good and self.keys.is_empty:
            raise Unavailable(
                f"The keys of the issuer `{self.name}` cannot be fetched; try again shortly.",
                code="issuer_unavailable",
                retry_after=5,
            )
        return good

    def principal(self, token: Token, session: str) -> Principal | None:
        """Return who a token means, None if that is nobody here."""
        says, claims = self.settings, token.claims
        id = first_claimed(claims, says.id_claim)
        rule = next((it for it in says.rules if holds(claims, it.when)), None) if says.rules else _NONE
        if id is None or rule is None or not holds(claims, says.require):
            return None
        labels = {
            "team": rule.team or first_claimed(claims, says.team_claim) or says.team,
            "user": rule.user or first_claimed(claims, says.user_claim),
            "issuer": self.name,
            **{label: first_claimed(claims, path) for label, path in says.labels.items()},
        }
        claimed_tags = () if says.tags_claim is None else claimed(claims, says.tags_claim)
        return Principal(
            f"{self.name}:{id}",
            "token",
            name=f"{self.name}:{id}",
            labels={label: value for label, value in labels.items() if value is not None},
            tags=tuple(
                dict.fromkeys((*rule.tags, *(it for it in claimed_tags[:_MOST_TAGS] if len(it) <= _LONGEST_TAG)))
            ),
            grants=self._grants(rule, claims),
            session=session,
            expires_us=round((claims["exp"] + says.leeway) * _MICROS),
        )

    def _grants(self, rule: RuleSettings, claims: Mapping[str, Any]) -> tuple[Grant, ...]:
        models = self.settings.models if rule.models is None else rule.models
        grants: tuple[Grant, ...] = (Grant(USE, "models", models),) if models else ()
        if self.settings.models_claim is not None:
            words = tuple(word for text in claimed(claims, self.settings.models_claim) for word in text.split())
            grants = within(grants, (Grant(USE, "models", words),)) if words else ()
        return (*grants, EVERYTHING) if rule.admin else grants


class TokenAuthenticator:
    """Knows principals by tokens. What was seen before costs a hash: it is known by the SHA-256 of the whole token.

    `live` returns the live object of a resource: a team or a user that is one here bounds who belongs to it.
    """

    def __init__(self, issuers: list[Issuer], ambient: Ambient, live: Callable[[str, str], Any | None]) -> None:
        self._issuers: dict[str, list[Issuer]] = {}
        for issuer in issuers:
            self._issuers.setdefault(issuer.settings.issuer, []).append(issuer)
        self._now_us = ambient.now_us
        self._live = live
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()
        self._refused: OrderedDict[bytes, float] = OrderedDict()

    def authenticate(self, credentials: Credentials) -> Principal | Awaitable[Principal | None] | None:
        """Return the principal at once where the keys are known."""
        text = credentials.token
        if text is None or not text.startswith(_BEGINS) or len(text) > LONGEST_TOKEN:
            return None
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        seen = self._seen.get(digest)
        if seen is not None and (seen.issuer.keys is None or self._is_current(seen)):
            return self._now(digest, seen)
        now_s = self._now_us() / _MICROS
        if self._refused.get(digest, 0.0) > now_s:
            return None
        token = read_token(text)
        issuer = None if token is None or token.typ not in _TYPES else self._issuer(token, now_s)
        if token is None or issuer is None:
            return None
        good = issuer.has_signed(token)
        return self._ask(issuer, token, digest) if good is None else self._decide(issuer, token, digest, good=good)

    def now(self, principal: Principal) -> Principal | None:
        """Return what a principal in flight is now that those it belongs to have changed, None if it is no longer good."""
        return bounded(principal, self._bounds(principal))

    def _issuer(self, token: Token, now_s: float) -> Issuer | None:
        """Return who would have issued this: of several of one name the first that has an audience of the token's."""
        name = token.claims.get("iss")
        for issuer in self._issuers.get(name, ()) if isinstance(name, str) else ():
            says = issuer.settings
            why = refusal(token.claims, issuer=says.issuer, audience=says.audience, now_s=now_s, leeway_s=says.leeway)
            if why is None:
                return issuer
        return None

    async def _ask(self, issuer: Issuer, token: Token, digest: bytes) -> Principal | None:
        return self._decide(issuer, token, digest, good=await issuer.ask(token))

    def _decide(self, issuer: Issuer, token: Token, digest: bytes, *, good: bool) -> Principal | None:
        principal = issuer.principal(token, digest.hex()[:16]) if good else None
        if principal is None:
            self._refuse(digest)
            return None
        generation = 0 if issuer.keys is None else issuer.keys.generation
        bounds = self._bounds(principal)
        seen = self._seen[digest] = _Seen(issuer, principal, generation, bounds, bounded(principal, bounds))
        self._seen.move_to_end(digest)
        if len(self._seen) > _MOST_KNOWN:
            self._seen.popitem(last=False)
        return self._now(digest, seen)

    def _now(self, digest: bytes, seen: _Seen) -> Principal | None:
        expires_us = seen.principal.expires_us
        if expires_us is not None and expires_us <= self._now_us():
            self._seen.pop(digest, None)
            return None
        bounds = self._bounds(seen.principal)
        if any(one is not other for one, other in zip(bounds, seen.bounds, strict=True)):
            seen.bounds, seen.bounded = bounds, bounded(seen.principal, bounds)
        return seen.bounded

    def _is_current(self, seen: _Seen) -> bool:
        keys = seen.issuer.keys
        return keys is not None and keys.generation == seen.generation and keys.is_fresh

    def _bounds(self, principal: Principal) -> tuple[Any, ...]:
        labels = principal.labels
        team, user = labels.get("team"), labels.get("user")
        return (
            None if team is None else self._live(TEAMS, team),
            None if user is None else self._live(USERS, user),
        )

    def _refuse(self, digest: bytes) -> None:
        self._refused[digest] = self._now_us() / _MICROS + _REFUSED_S
        self._refused.move_to_end(digest)
        if len(self._refused) > _MOST_REFUSED:
            self._refused.popitem(last=False)
