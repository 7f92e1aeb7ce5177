"""Who asks and whether they may: authenticators and authorizers of all plugins, put together for both planes.

Nothing is allowed by default. Everything here is plain and at once where the plugins answer so.
"""

import hmac
import inspect
from collections import OrderedDict
from collections.abc import Awaitable, Sequence

from switchgear.ambient import Ambient
from switchgear.contracts.principal import (
    ALLOWED,
    DENIED,
    USE,
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
from switchgear.errors import ApiError, AuthenticationFailed, PermissionDenied, RateLimited, StoreError, Unavailable
from switchgear.plugin_faults import PluginFaults, bounded, is_own_doing
from switchgear.telemetry.metrics import Metrics

OPERATOR = operator("admin-key")
"""Whoever has the operator's key of the environment, which opens the admin side alone."""
_MINUTE_S = 60.0
_MOST_ADDRESSES = 10_000
_LONGEST_S = 15.0
"""How long an authenticator or authorizer may take over one answer."""


class Failures:
    """Rate limit on failed authentication by client address, a token bucket of `per_minute` failures.

    One process counts for itself, so `per_minute` is its share, and remembers 10,000 addresses. Clients without an address are
    not limited; 0 switches the limit off.
    """

    def __init__(self, per_minute: float, ambient: Ambient) -> None:
        self._refill_s = _MINUTE_S / per_minute if per_minute else None
        self._monotonic = ambient.monotonic
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def check(self, address: str | None) -> None:
        """Raise `RateLimited` while there have been too many."""
        full_at = None if address is None else self._full_at.get(address)
        if full_at is not None and (wait_s := full_at - self._monotonic() - _MINUTE_S) > 0:
            message = "Too many credentials that are not good came from this address; wait a little and try again."
            raise RateLimited(message, code="too_many_failures", retry_after=wait_s)

    def count(self, address: str | None) -> None:
        """Count one. Raises as `check` does."""
        self.check(address)
        if address is None or self._refill_s is None:
            return
        now = self._monotonic()
        self._full_at[address] = max(self._full_at.get(address, now), now) + self._refill_s
        self._full_at.move_to_end(address)
        if len(self._full_at) > _MOST_ADDRESSES:
            self._full_at.popitem(last=False)


class Authority:
    """Authentication and authorization of both planes. With `admin_key` None or empty, no admin key is accepted.

    Credentials that would need I/O are refused while `failures` limits their address; those seen before are not.
    """

    def __init__(
        self,
        authenticators: Sequence[Authenticator] = (),
        authorizers: Sequence[Authorizer] = (),
        admin_key: str | None = None,
        faults: PluginFaults | None = None,
        failures: Failures | None = None,
    ) -> None:
        self._failures = failures or Failures(0, Ambient())
        self._faults = faults or PluginFaults(Metrics())
        self.authenticators = tuple(authenticators)
        self._authorizers = tuple(authorizers)
        self._by_kind: dict[str, tuple[Authorizer, ...]] = {}
        self._admin_key = (admin_key or "").encode()

    def identify(self, credentials: Credentials) -> Found:
        """Ask the authenticators in order. No I/O for a token seen before.

        An authenticator that raises is passed over. If none of the others knows the credentials, that is an `Unavailable`.
        """
        for index, authenticator in enumerate(self.authenticators):
            try:
                found = authenticator.authenticate(credentials)
            except BaseException as error:  # noqa: BLE001 - told of there; nothing is waited for here
                return self._identify_later(_raised(error), credentials, index)
            if found is None:
                continue
            return found if isinstance(found, Principal) else self._identify_later(found, credentials, index)
        if credentials.token is not None:
            self._failures.count(credentials.peer)
        return None

    async def _identify_later(
        self, asked: Awaitable[Principal | None], credentials: Credentials, first: int
    ) -> Principal | None:
        try:
            self._failures.check(credentials.peer)
        except RateLimited:
            if inspect.iscoroutine(asked):
                asked.close()
            raise
        found = await self._in_turn(asked, credentials, first)
        if found is None and credentials.token is not None:
            self._failures.count(credentials.peer)
        return found

    async def _in_turn(
        self, asked: Awaitable[Principal | None], credentials: Credentials, first: int
    ) -> Principal | None:
        failed = False
        for authenticator in self.authenticators[first:]:
            try:
                answer = (
                    asked if authenticator is self.authenticators[first] else authenticator.authenticate(credentials)
                )
                found = answer if answer is None or isinstance(answer, Principal) else await bounded(_LONGEST_S, answer)
                if found is not None and not isinstance(found, Principal):
                    raise TypeError(f"it returned {type(found).__name__}, no Principal")  # noqa: TRY301
            except ApiError:
                raise
            except StoreError:
                failed = True
            except BaseException as error:
                if not is_own_doing(error):
                    raise
                failed = True
                self._faults.note(self._faults.owner(authenticator), "who asks", error)
            else:
                if found is not None:
                    return found
        if failed:
            raise Unavailable(
                "Who asks cannot be told now; try again shortly.", code="authenticator_failed", retry_after=1
            )
        return None

    def decide(self, principal: Principal, action: str, kind: str, id: str | None) -> Scope | Awaitable[Scope]:
        """Say whether a principal may do this; what is bounded by a filter is allowed within it."""
        asked = self._by_kind.get(principal.kind)
        for index, authorizer in enumerate(self._asked(principal.kind) if asked is None else asked):
            try:
                opinion = authorizer.authorize(principal, action, kind, id)
            except ApiError:
                raise
            except BaseException as error:  # nothing is waited for here
                raise self._undecided(authorizer, error) from error
            if opinion is None:
                continue
            if isinstance(opinion, Scope):
                return opinion
            return self._decide_later(opinion, index, principal, action, kind, id)
        return ALLOWED if principal.may(action, kind, id) else DENIED

    async def _decide_later(
        self,
        asked: Awaitable[Scope | None],
        first: int,
        principal: Principal,
        action: str,
        kind: str,
        id: str | None,
    ) -> Scope:
        authorizers = self._asked(principal.kind)
        for authorizer in authorizers[first:]:
            try:
                is_asked = authorizer is authorizers[first]
                answer = asked if is_asked else authorizer.authorize(principal, action, kind, id)
                opinion = answer if answer is None or isinstance(answer, Scope) else await bounded(_LONGEST_S, answer)
                if opinion is not None and not isinstance(opinion, Scope):
                    raise TypeError(f"it returned {type(opinion).__name__}, no Scope")  # noqa: TRY301
            except ApiError:
                raise
            except BaseException as error:
                if not is_own_doing(error):
                    raise
                raise self._undecided(authorizer, error) from error
            if opinion is not None:
                return opinion
        return ALLOWED if principal.may(action, kind, id) else DENIED

    def _asked(self, kind: str) -> tuple[Authorizer, ...]:
        """Return the authorizers that have an opinion on a kind of principal, worked out once for each."""
        found = self._by_kind.get(kind)
        if found is None:
            found = tuple(it for it in self._authorizers if kind in (getattr(it, "principals", None) or (kind,)))
            self._by_kind[kind] = found
        return found

    def _undecided(self, authorizer: Authorizer, error: BaseException) -> Unavailable:
        """Tell of an authorizer that failed. What it would have said may be a no, so nothing is allowed."""
        self._faults.note(self._faults.owner(authorizer), "what somebody may do", error)
        return Unavailable(
            "What you may do cannot be told now; try again shortly.", code="authorizer_failed", retry_after=1
        )

    def may_use_any(self, principal: Principal) -> bool:
        """Return False if a principal can use no model at all, which is only known where there are no authorizers."""
        return bool(self._asked(principal.kind)) or principal.may_some(USE, "models")

    async def scope(self, principal: Principal, action: str, kind: str, id: str | None) -> Scope:
        """Decide, for those who can wait."""
        found = self.decide(principal, action, kind, id)
        return found if isinstance(found, Scope) else await found

    async def may(self, principal: Principal, action: str, kind: str, id: str | None) -> bool:
        """Say whether a principal may do this without bounds, for those who can wait."""
        scope = await self.scope(principal, action, kind, id)
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
        scope = await self.scope(principal, action, kind, id)
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


async def _raised(error: BaseException) -> None:
    raise error


def _unknown(credentials: Credentials) -> AuthenticationFailed:
    if credentials.token is None:
        return AuthenticationFailed("Send the admin key as `Authorization: Bearer`.", code="no_credentials")
    return AuthenticationFailed("These credentials are not valid here.", code="invalid_credentials")
