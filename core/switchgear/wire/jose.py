"""Tokens that another issuer signs (RFC 7515, 7517, 7519), and the keys that it publishes.

    token = read_token(text)                                   # what it claims, which nobody has looked at yet
    keys = KeySet(fetch, ambient)                              # fetch() returns the JWKS as bytes
    if token is None or not await keys.verify(token, ("RS256",)):
        ...
    why = refusal(token.claims, issuer="https://idp.example", audience=("switchgear",), now_s=now, leeway_s=30)

What a token says of its own keys (`jwk`, `jku`, `x5u`, `x5c`) is never looked at, and with which algorithm a key is used is never
the token's choice.
"""

import asyncio
import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from switchgear.ambient import Ambient

LONGEST_TOKEN = 16 * 1024
"""Characters of a token that is looked at."""
SHORTEST_SECRET = 32
"""Bytes of a shared secret (RFC 7518, 3.2)."""
SHARED = frozenset({"HS256", "HS384", "HS512"})
"""Algorithms of a secret that both ends have."""
PUBLISHED = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""Algorithms of keys that an issuer publishes."""
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_LONGEST_KID = 256
_MOST_KEYS = 64
_MOST_TRIED = 4
_LEAST_RSA_BITS = 2048
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_MOST_SECONDS = 2**53
_MICROS = 1_000_000


class Token(Struct, frozen=True):
    """A token as it was sent: nothing of it is proven. `kid` is empty where it names no key, `typ` is lower case."""

    text: str
    algorithm: str
    kid: str
    typ: str
    claims: Mapping[str, Any]


class _Header(Struct):
    alg: str
    kid: str = ""
    typ: str = ""
    crit: Any = None
    b64: Any = None


def read_token(text: str) -> Token | None:
    """Read a token, None if it is none. Extensions that it says must be understood (`crit`) are not."""
    if len(text) > LONGEST_TOKEN or not _COMPACT.fullmatch(text):
        return None
    head, body, _ = text.split(".")
    try:
        header = msgspec.json.decode(_decoded(head), type=_Header)
        claims = msgspec.json.decode(_decoded(body), type=dict[str, Any])
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    if header.crit is not None or header.b64 is not None or len(header.kid) > _LONGEST_KID:
        return None
    return Token(text, header.alg, header.kid, header.typ.lower().removeprefix("application/"), claims)


def signed_with(token: Token, secret: bytes, algorithms: Collection[str]) -> bool:
    """Say whether a token was signed with a secret, by one of the algorithms."""
    return token.algorithm in SHARED and token.algorithm in algorithms and _is_signed(token, secret)


def refusal(
    claims: Mapping[str, Any], *, issuer: str, audience: Collection[str], now_s: float, leeway_s: float
) -> str | None:
    """Return why a token whose signature is good is not, None if it is: it has an issuer, an audience, and an end.

    `too_early` may be good later; every other refusal is for good.
    """
    if claims.get("iss") != issuer:
        return "issuer"
    said = claims.get("aud")
    audiences = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    if not any(isinstance(it, str) and it in audience for it in audiences):
        return "audience"
    ends, begins, made = (_seconds(claims, name) for name in ("exp", "nbf", "iat"))
    if ends is None or "bad" in (ends, begins, made):
        return "times"
    if ends <= now_s - leeway_s:
        return "expired"
    if any(it is not None and it > now_s + leeway_s for it in (begins, made)):
        return "too_early"
    return None


def _seconds(claims: Mapping[str, Any], name: str) -> Any:
    """Return a time in seconds, None if there is none, `bad` if that is no time."""
    value = claims.get(name)
    if value is None:
        return None if name not in claims else "bad"
    is_time = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST_SECONDS
    return value if is_time else "bad"


class _Jwks(Struct):
    keys: list[dict[str, Any]]


class _Key(Struct, frozen=True, eq=False):
    id: str
    algorithms: frozenset[str]
    value: Any


class KeySet:
    """The keys that an issuer publishes, fetched when they are first needed.

    `fetch` returns the JWKS and raises what it likes. It is called again for a key that is not known, no more often than every
    `pause_s`, and once they are older than `good_s`; if that fails, those that are there go on being good.
    """

    def __init__(
        self, fetch: Callable[[], Awaitable[bytes]], ambient: Ambient, *, pause_s: float = 30.0, good_s: float = 3600.0
    ) -> None:
        self._fetch = fetch
        self._now_us = ambient.now_us
        self._pause_s, self._good_s = pause_s, good_s
        self._keys: tuple[_Key, ...] = ()
        self._digest = b""
        self._asked_s: float | None = None
        self._had_s: float | None = None
        self._asking: asyncio.Task[None] | None = None
        self.generation = 0
        """Goes up when other keys are published: what an older one refused, or let pass, is looked at again."""
        self.failure: BaseException | None = None
        """Why the keys could not be fetched the last time, None if they could."""

    @property
    def is_fresh(self) -> bool:
        """Say whether the keys are there and young enough."""
        return self._had_s is not None and self._since(self._had_s) < self._good_s

    @property
    def is_empty(self) -> bool:
        """Say whether no keys were ever fetched."""
        return self._had_s is None

    def may_know(self, token: Token, algorithms: Collection[str]) -> bool | None:
        """Say at once whether a key signed this; None if the keys have to be fetched to tell."""
        if token.algorithm not in PUBLISHED or token.algorithm not in algorithms:
            return False
        found = self._candidates(token)
        if not (found and self.is_fresh) and (self._asking is not None or self._may_ask()):
            return None
        return any(_is_signed(token, key.value) for key in found)

    async def verify(self, token: Token, algorithms: Collection[str]) -> bool:
        """Say whether a key signed this, by one of the algorithms."""
        known = self.may_know(token, algorithms)
        if known is not None:
            return known
        await self.refresh()
        return any(_is_signed(token, key.value) for key in self._candidates(token))

    async def refresh(self) -> None:
        """Fetch the keys, once however many ask, unless that was tried a moment ago."""
        if self._asking is None:
            if not self._may_ask():
                return
            self._asked_s = self._now_us() / _MICROS
            self._asking = asyncio.ensure_future(self._ask())
        await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        try:
            text = await self._fetch()
            keys = _read_keys(text)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told by whoever asked
            self.failure = error
        else:
            self.failure, self._had_s = None, self._now_us() / _MICROS
            digest = hashlib.sha256(text).digest()
            if digest != self._digest:
                self._keys, self._digest, self.generation = keys, digest, self.generation + 1
        finally:
            self._asking = None

    def _may_ask(self) -> bool:
        return self._asked_s is None or self._since(self._asked_s) >= self._pause_s

    def _since(self, then_s: float) -> float:
        return abs(self._now_us() / _MICROS - then_s)

    def _candidates(self, token: Token) -> tuple[_Key, ...]:
        """Return the keys that may have signed a token: the one it names, or a few where it names none."""
        of_use = (it for it in self._keys if token.algorithm in it.algorithms and token.kid in ("", it.id))
        return tuple(of_use)[:_MOST_TRIED]


def _read_keys(text: bytes) -> tuple[_Key, ...]:
    """Return the keys of a JWKS that verify signatures. Others are passed over; raises ValueError if it is none."""
    try:
        members = msgspec.json.decode(text, type=_Jwks).keys
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("this is no JWKS: it is a JSON object with a list of `keys` (RFC 7517)") from None
    found = (_read_key(it) for it in members[:_MOST_KEYS])
    return tuple(key for key in found if key is not None)


def _read_key(member: dict[str, Any]) -> _Key | None:
    from jwt import PyJWK  # noqa: PLC0415 - takes long to import
    from jwt.exceptions import PyJWTError  # noqa: PLC0415 - likewise

    kid, stated = member.get("kid", ""), member.get("alg")
    usable = member.get("use", "sig") == "sig" and "verify" in member.get("key_ops", ["verify"])
    algorithms = {"RSA": PUBLISHED & {it for it in PUBLISHED if it[0] in "RP"}, "OKP": frozenset({"EdDSA"})}.get(
        str(member.get("kty")), frozenset(name for name, curve in _CURVES.items() if curve == member.get("crv"))
    )
    if stated is not None:
        algorithms &= {"EdDSA" if stated == "Ed25519" else stated}
    if not usable or not algorithms or not isinstance(kid, str) or len(kid) > _LONGEST_KID:
        return None
    try:
        value = PyJWK({**member, "alg": min(algorithms)}).key
    except (PyJWTError, ValueError, KeyError, TypeError):
        return None
    if hasattr(value, "private_numbers") or hasattr(value, "private_bytes"):
        value = value.public_key()
    if member.get("kty") == "RSA" and value.key_size < _LEAST_RSA_BITS:
        return None
    return _Key(kid, frozenset(algorithms), value)


def _is_signed(token: Token, key: Any) -> bool:
    from jwt import PyJWS  # noqa: PLC0415 - takes long to import
    from jwt.exceptions import PyJWTError  # noqa: PLC0415 - likewise

    try:
        PyJWS().decode_complete(token.text, key, algorithms=[token.algorithm])
    except (PyJWTError, ValueError, TypeError, RecursionError):
        return False
    return True


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
