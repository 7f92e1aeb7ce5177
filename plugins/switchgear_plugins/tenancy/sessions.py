"""Sessions: tokens that say whose they are, and the authenticator that knows users by them.

Nothing is kept of a session but in its tokens. It ends with them, with an entry in the user (`ended`), or with the next age of
the user's sessions (`epoch`); both reach every replica with the user.
"""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.contracts.principal import Credentials, Known, Principal
from switchgear.errors import PermissionDenied
from switchgear_plugins.tenancy.people import Claims, LiveUser
from switchgear_plugins.tenancy.settings import TenancySettings
from switchgear_plugins.tenancy.signing import ISSUER, LONGEST, Ring

COOKIE = "switchgear_session"
CSRF_HEADER = b"x-csrf-token"
ACCESS, REFRESH, IN_COOKIE = "switchgear/access", "switchgear/refresh", "switchgear/cookie"
"""Audiences: a token of one is none of another."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST_KNOWN = 4096
_JWT = "eyJ"
_MICROS = 1_000_000


class Token(Struct, frozen=True):
    """A token, and for how many seconds it is good."""

    value: str
    expires_in: int


class _Seen(Struct):
    claims: Claims
    user: LiveUser | None = None
    principal: Principal | None = None


class Sessions:
    """Begins and knows sessions. `find` returns a user by id."""

    def __init__(
        self, ring: Ring, settings: TenancySettings, ambient: Ambient, find: Callable[[str], LiveUser | None]
    ) -> None:
        self._ring = ring
        self._ambient = ambient
        self._find = find
        self._seconds = {
            ACCESS: round(settings.access_minutes * 60),
            REFRESH: round(settings.refresh_minutes * 60),
            IN_COOKIE: round(settings.cookie_minutes * 60),
        }
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()

    def new_id(self) -> str:
        """Make the id of a new session. None is ever taken from a client."""
        return self._ambient.token(16).hex()

    def token(self, audience: str, user: LiveUser, session: str) -> Token:
        """Make a token of a session."""
        now_s, good_s = self._ambient.now_us() // _MICROS, self._seconds[audience]
        claims = Claims(ISSUER, audience, user.id, session, user.epoch, now_s, now_s + good_s)
        return Token(self._ring.sign(claims), good_s)

    def csrf_token(self, session: str) -> str:
        """Return what a page sends along to prove that it could read an answer of ours."""
        return self._ring.proof(f"csrf/{session}")

    def authenticate(self, credentials: Credentials) -> Principal | Awaitable[Principal | None] | None:
        """Know a user by an access token, or by the cookie of a session. No I/O.

        Raises `PermissionDenied` where a cookie comes without the token that other sites cannot send along.
        """
        if credentials.token is not None:
            return self.known(credentials.token, ACCESS) if credentials.token.startswith(_JWT) else None
        cookie = credentials.cookies.get(COOKIE)
        if cookie is None or (who := self.known(cookie, IN_COOKIE)) is None:
            return None
        if credentials.method not in _SAFE:
            sent = credentials.headers.get(CSRF_HEADER, b"")
            if not hmac.compare_digest(sent, self.csrf_token(str(who.session)).encode()):
                raise PermissionDenied(
                    "With a session in a cookie send its `csrf_token` in the header x-csrf-token.", code="csrf_token"
                )
        return who

    async def principal(self, id: str) -> Known | None:
        """Say how a user stands."""
        user = self._find(id)
        if user is None:
            return None
        return Known(user.principal(), None if user.active else "user_disabled")

    def known(self, token: str, audience: str) -> Principal | None:
        """Return whose token of an audience this is, None if it is not good now."""
        if len(token) > LONGEST:
            return None
        digest = hashlib.sha256(f"{audience} {token}".encode("utf-8", "surrogatepass")).digest()
        now_s = self._ambient.now_us() / _MICROS
        seen = self._seen.get(digest)
        if seen is None:
            claims = self._ring.verify(token, audience, now_s)
            if claims is None:
                return None
            seen = self._seen[digest] = _Seen(claims)
            if len(self._seen) > _MOST_KNOWN:
                self._seen.popitem(last=False)
        claims = seen.claims
        user = self._find(claims.sub)
        if user is None or claims.exp <= now_s or not user.is_good(claims.sid, claims.epoch):
            return None
        if seen.user is not user or seen.principal is None:
            seen.user, seen.principal = user, user.principal(claims.sid, claims.exp * _MICROS)
        return seen.principal

    def user(self, id: str) -> LiveUser | None:
        """Return a user."""
        return self._find(id)
