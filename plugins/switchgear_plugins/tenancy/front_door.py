"""Signing in: who somebody is by name and password, what they get for it, and how it ends."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct

from switchgear.contracts.principal import Credentials, Principal, operator
from switchgear.contracts.resource import Resources
from switchgear.errors import AuthenticationFailed, Conflict, PermissionDenied, PreconditionFailed
from switchgear_plugins.tenancy import passwords
from switchgear_plugins.tenancy.passwords import Passwords
from switchgear_plugins.tenancy.people import LiveUser
from switchgear_plugins.tenancy.sessions import ACCESS, IN_COOKIE, REFRESH, Sessions, Token
from switchgear_plugins.tenancy.settings import LONGEST
from switchgear_plugins.tenancy.throttle import Throttle
from switchgear_plugins.tenancy.users import KIND as USERS
from switchgear_plugins.tenancy.users import folded

BY = operator("tenancy")


class SignedIn(Struct, frozen=True):
    """A session that has begun: its user, its id, and its tokens. Without `refresh` the token is for a cookie."""

    user: LiveUser
    session: str
    token: Token
    refresh: Token | None = None


class FrontDoor:
    """What the routes of one's own session do."""

    def __init__(self, sessions: Sessions, hashes: Passwords, throttle: Throttle, resources: Resources) -> None:
        self._sessions = sessions
        self._passwords = hashes
        self._resources = resources
        self._throttle = throttle
        self.outside: Callable[[str, str], Awaitable[str | None]] | None = None
        """Asked about names that are no user's with a password here; returns the id of whoever it is."""

    async def login(self, username: str, password: str, peer: str | None, *, in_cookie: bool) -> SignedIn:
        """Begin a session. Raises `AuthenticationFailed`, the same whatever is wrong, and `RateLimited`."""
        name = folded(username)[:200]
        async with self._throttle.attempt(peer, name):
            user = self._named(name)
            hash = None if user is None or not user.active else user.password_hash
            good = await self._passwords.verify(hash, password[:LONGEST])
            user = self._named(name)  # as it is now
            if not good and self.outside is not None and (user is None or user.issuer is not None):
                id = await self.outside(username, password)
                user = None if id is None else self._sessions.user(id)
            elif not good or user is None or user.password_hash != hash:
                user = None
            if user is None or not user.active:
                raise AuthenticationFailed("The username or the password is wrong.", code="invalid_login")
        return self.begin(user, in_cookie=in_cookie)

    def begin(self, user: LiveUser, *, in_cookie: bool, session: str | None = None) -> SignedIn:
        """Begin a session, or go on with one, of somebody who has proven who they are."""
        id = session or self._sessions.new_id()
        if in_cookie:
            return SignedIn(user, id, self._sessions.token(IN_COOKIE, user, id))
        return SignedIn(user, id, self._sessions.token(ACCESS, user, id), self._sessions.token(REFRESH, user, id))

    def refresh(self, token: str | None, credentials: Credentials) -> SignedIn:
        """Go on with the session of a refresh token, or with that in a cookie. Raises `AuthenticationFailed`."""
        found: object
        if token is not None:
            found = self._sessions.known(token, REFRESH)
        else:  # an access token is not made to last by asking for a cookie
            found = self._sessions.authenticate(credentials) if credentials.token is None else None
        user = self._sessions.user(found.id) if isinstance(found, Principal) else None
        if user is None or not isinstance(found, Principal):
            raise AuthenticationFailed("This session has ended; sign in again.", code="session_ended")
        return self.begin(user, in_cookie=token is None, session=found.session)

    async def logout(self, principal: Principal, *, everywhere: bool) -> None:
        """End a session, or all of its user's."""
        wanted = {} if everywhere else {"session": principal.session}
        await self._resources.act(USERS, principal.id, "sign-out", wanted, by=BY)

    async def change_password(
        self, principal: Principal, current: str, new: str, peer: str | None, *, in_cookie: bool
    ) -> SignedIn:
        """Set a new password, which ends all sessions, and begin a new one. Of several at once all but one raise `Conflict`."""
        stored = await self._resources.get(USERS, principal.id)
        if stored is None or stored.spec.password_hash is None:
            raise PermissionDenied("You have no password here: you sign in elsewhere.", code="no_password")
        passwords.check(new, "/new_password")
        async with self._throttle.attempt(peer, folded(stored.spec.username)):
            if not await self._passwords.verify(stored.spec.password_hash, current[:LONGEST]):
                raise AuthenticationFailed("The current password is wrong.", code="invalid_login")
        try:
            await self._resources.update(USERS, stored.id, {"password": new}, by=BY, version=stored.version)
        except PreconditionFailed:
            raise Conflict("You were changed at the same time; sign in and look.", code="stale") from None
        changed = self._sessions.user(stored.id)
        assert changed is not None
        return self.begin(changed, in_cookie=in_cookie)

    def _named(self, name: str) -> LiveUser | None:
        return self._everybody_by_name().get(name)

    def _everybody_by_name(self) -> Mapping[str, LiveUser]:
        snapshot = self._resources.snapshot
        if self._named_at != snapshot.revision:
            everybody: Mapping[str, Any] = snapshot.all(USERS)
            self._by_name = {folded(user.username): user for user in everybody.values()}
            self._named_at = snapshot.revision
        return self._by_name

    _named_at = -1
    _by_name: Mapping[str, LiveUser] = {}
