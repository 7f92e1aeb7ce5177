"""Who asks and whether they may: authenticators and authorizers of all plugins, put together for both planes.

Nothing is allowed by default. Everything here is plain and at once where the plugins answer so.
"""

import hmac
from collections.abc import Awaitable, Sequence

from switchgear.contracts.principal import (
    ALLOWED,
    DENIED,
    Authenticator,
    Authorizer,
    Credentials,
    Directory,
    Found,
    Known,
    Principal,
    Scope,
    operator,
)
from switchgear.errors import AuthenticationFailed, PermissionDenied

OPERATOR = operator("admin-key")
"""Whoever has the operator's key of the environment, which opens the admin side alone."""


class Authority:
    """Identifies and decides. `admin_key` None or empty: nobody is let in with it."""

    def __init__(
        self,
        authenticators: Sequence[Authenticator] = (),
        authorizers: Sequence[Authorizer] = (),
        admin_key: str | None = None,
    ) -> None:
        self.authenticators = tuple(authenticators)
        self._authorizers = tuple(authorizers)
        self._admin_key = (admin_key or "").encode()

    def identify(self, credentials: Credentials) -> Found:
        """Ask the authenticators in order. No I/O for a token seen before."""
        for authenticator in self.authenticators:
            found = authenticator.authenticate(credentials)
            if found is None:
                continue
            if isinstance(found, Principal):
                return found
            return self._identify_later(found, credentials, self.authenticators.index(authenticator) + 1)
        return None

    async def _identify_later(
        self, asked: Awaitable[Principal | None], credentials: Credentials, after: int
    ) -> Principal | None:
        found = await asked
        for authenticator in self.authenticators[after:]:
            if found is not None:
                break
            answer = authenticator.authenticate(credentials)
            found = answer if answer is None or isinstance(answer, Principal) else await answer
        return found

    def decide(self, principal: Principal, action: str, kind: str, id: str | None) -> Scope | Awaitable[Scope]:
        """Say whether a principal may do this; what is bounded by a filter is allowed within it."""
        for authorizer in self._authorizers:
            opinion = authorizer.authorize(principal, action, kind, id)
            if opinion is None:
                continue
            if isinstance(opinion, Scope):
                return opinion
            after = self._authorizers.index(authorizer) + 1
            return self._decide_later(opinion, after, principal, action, kind, id)
        return ALLOWED if principal.may(action, kind, id) else DENIED

    async def _decide_later(
        self,
        asked: Awaitable[Scope | None],
        after: int,
        principal: Principal,
        action: str,
        kind: str,
        id: str | None,
    ) -> Scope:
        opinion = await asked
        for authorizer in self._authorizers[after:]:
            if opinion is not None:
                break
            answer = authorizer.authorize(principal, action, kind, id)
            opinion = answer if answer is None or isinstance(answer, Scope) else await answer
        return opinion or (ALLOWED if principal.may(action, kind, id) else DENIED)

    async def may(self, principal: Principal, action: str, kind: str, id: str | None) -> bool:
        """Say whether a principal may do this without bounds, for those who can wait."""
        scope = self.decide(principal, action, kind, id)
        scope = scope if isinstance(scope, Scope) else await scope
        return scope.allowed and scope.filter is None

    async def enter(
        self, credentials: Credentials, action: str, kind: str, id: str | None, *, scoped: bool
    ) -> tuple[Principal, Scope]:
        """Let somebody into a route of the admin side. Raises `AuthenticationFailed` or `PermissionDenied`.

        `scoped` says that the route keeps to the scope's filter; one that does not is closed to those who have one.
        """
        principal = self._operator(credentials)
        if principal is None:
            found = self.identify(credentials)
            principal = found if found is None or isinstance(found, Principal) else await found
        if principal is None:
            raise _unknown(credentials)
        scope = self.decide(principal, action, kind, id)
        scope = scope if isinstance(scope, Scope) else await scope
        if not scope.allowed or (scope.filter is not None and not scoped):
            raise PermissionDenied(f"You may not {action} {kind} here.", code="not_permitted")
        return principal, scope

    def _operator(self, credentials: Credentials) -> Principal | None:
        token = credentials.token
        if token is None or not self._admin_key or not hmac.compare_digest(token.encode(), self._admin_key):
            return None
        return OPERATOR

    async def known(self, id: str) -> Known | None:
        """Ask those who know principals by id how one stands."""
        for authenticator in self.authenticators:
            if isinstance(authenticator, Directory) and (found := await authenticator.principal(id)) is not None:
                return found
        return None


def _unknown(credentials: Credentials) -> AuthenticationFailed:
    if credentials.token is None:
        return AuthenticationFailed("Send the admin key as `Authorization: Bearer`.", code="no_credentials")
    return AuthenticationFailed("These credentials are not valid here.", code="invalid_credentials")
