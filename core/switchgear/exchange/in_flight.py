"""The exchanges being answered, and what ends them before their time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.contracts.dialect import ANYBODY
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.principal import USE, Principal, Scope
from switchgear.errors import ApiError, AuthenticationFailed, PermissionDenied, model_not_found
from switchgear.exchange.faults import Draining, PolicyStop
from switchgear.upstream.watch import Watch

IsGood: TypeAlias = Callable[[Principal], Principal | None]
"""From a principal in flight to what it is now, None if it is no longer good."""

Decide: TypeAlias = Callable[[Principal, str, str, str | None], Scope | Awaitable[Scope]]
"""`switchgear.authority.Authority.decide`."""


class _Flight(Struct, eq=False):
    """One exchange, what ends it, and the timer of its principal's expiry, if that has one."""

    x: Exchange
    watch: Watch
    expiry: asyncio.TimerHandle | None = None


class InFlight:
    """Every exchange from `enter` to `leave`. One a process; everything here is called on the event loop's thread.

    `revision` moves whenever what principals may do has changed: whoever was identified before it moved, and has not entered
    yet, must be identified anew.
    """

    __slots__ = ("_ambient", "_decide", "_deciding", "_flights", "revision")

    def __init__(self, decide: Decide, ambient: Ambient) -> None:
        self.revision = 0
        self._decide = decide
        self._ambient = ambient
        self._flights: dict[str, _Flight] = {}
        self._deciding: set[asyncio.Task[None]] = set()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._flights)

    def enter(self, x: Exchange, watch: Watch, expires_us: int | None) -> None:
        """Count an exchange whose principal is known. It ends when the principal expires."""
        flight = self._flights[x.id] = _Flight(x, watch)
        if expires_us is not None:
            self._expire(flight, expires_us)

    def leave(self, x: Exchange) -> None:
        """Count it no more."""
        flight = self._flights.pop(x.id)
        if flight.expiry is not None:
            flight.expiry.cancel()

    def drain(self) -> None:
        """End all of them with the outcome `draining`."""
        for flight in list(self._flights.values()):
            flight.watch.abort(Draining("The gateway is shutting down.", code="server_draining", retry_after=1))

    def principals_changed(self, is_good: IsGood, id: str | None = None) -> None:
        """End, with the outcome `policy_stop`, the exchanges that could not begin any more.

        `id`: look only at those of principals with this id.
        """
        self.revision += 1
        for flight in list(self._flights.values()):
            principal = flight.x.principal
            if principal is not None and principal is not ANYBODY and (id is None or principal.id == id):
                self._follow(flight, is_good(principal))

    def _follow(self, flight: _Flight, now: Principal | None) -> None:
        """Go by what a principal has become."""
        x = flight.x
        if now is None:
            flight.watch.abort(PolicyStop(_no_longer_valid()))
            return
        assert x.principal is not None
        if now.expires_us != x.principal.expires_us:
            self._expire(flight, now.expires_us)
        right = x.right
        if right is None:
            if x.plan is None or not x.plan.steps:  # it is yet to be decided what it may do, or its route decides
                x.principal = now
                return
            assert x.call is not None
            right = (USE, "models", x.call.model)
        scope = self._decide(now, *right)
        if not isinstance(scope, Scope):
            task = asyncio.ensure_future(_stop_later(flight, scope))
            self._deciding.add(task)
            task.add_done_callback(self._deciding.discard)
        elif not _still(x, scope):
            flight.watch.abort(PolicyStop(_not_permitted(x)))

    def _expire(self, flight: _Flight, at_us: int | None) -> None:
        """End an exchange at a time of the wall clock, which may be set meanwhile."""
        if flight.expiry is not None:
            flight.expiry.cancel()
            flight.expiry = None
        if at_us is None:
            return
        left_s = max(at_us - self._ambient.now_us(), 0) / 1e6
        flight.expiry = asyncio.get_running_loop().call_later(left_s, self._expired, flight, at_us)

    def _expired(self, flight: _Flight, at_us: int) -> None:
        if self._ambient.now_us() < at_us:
            self._expire(flight, at_us)
        else:
            flight.watch.abort(PolicyStop(_no_longer_valid()))


async def _stop_later(flight: _Flight, decision: Awaitable[Scope]) -> None:
    """End an exchange unless it turns out to be allowed; what cannot be decided is not."""
    scope: Scope | None = None
    try:
        scope = await decision
    finally:
        if scope is None or not _still(flight.x, scope):
            flight.watch.abort(PolicyStop(_not_permitted(flight.x)))


def _still(x: Exchange, scope: Scope) -> bool:
    """Say whether this allows what was allowed. A route that keeps to bounds has read the old ones."""
    return scope.allowed and scope.filter == x.bounds


def _not_permitted(x: Exchange) -> ApiError:
    if x.right is None:
        assert x.call is not None
        return model_not_found(x.call.model)
    return PermissionDenied("You may not do this any more.", code="not_permitted")


def _no_longer_valid() -> ApiError:
    return AuthenticationFailed("These credentials are no longer valid.", code="invalid_api_key")
