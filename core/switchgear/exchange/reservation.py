"""What the policies of an exchange want counted, taken from the counters in one reservation and settled in one go.

A policy names buckets (`Policy.reserve`); all of them together are reserved under the id of the exchange, all or nothing, so that
no policy stands in another's way and a refusal by one takes nothing from the others. Where no policy names any, nothing is asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from typing import Any

from msgspec import Struct

from switchgear.contracts.counters import Bucket, Counters, Decision, Room
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.policy import Policy
from switchgear.contracts.upstream import Timeouts
from switchgear.errors import ApiError, CountersUnavailable, Unavailable

LEASE_MARGIN_S = 30.0
"""How long after an exchange's last moment its reservation ends by itself, if the gateway died with it."""

_DEFAULT_TOTAL_S = Timeouts().total


class Claimant:
    """A policy that reserves. `reserved` and `used` are None where it leaves them alone."""

    __slots__ = ("name", "policy", "refused", "reserve", "reserved", "used")

    def __init__(self, name: str, policy: Policy) -> None:
        self.name = name
        self.policy = policy
        self.reserve: Callable[[Exchange], Sequence[Bucket] | Awaitable[Sequence[Bucket]]] = policy.reserve
        self.refused = policy.refused
        self.reserved = policy.reserved if _overrides(policy, "reserved") else None
        self.used = policy.used if _overrides(policy, "used") else None


Claim = tuple[Claimant, Sequence[Bucket]]
"""What one policy wants of one exchange: at least one bucket."""


class Reservation(Struct, eq=False, gc=False):
    """What an exchange holds.

    `buckets` are those of all claims in their order, `rooms` how they stood after the decision. `held_above` says where slots
    were left out because an exchange that this one is part of holds them already, and how they stood then.
    """

    claims: Sequence[Claim]
    buckets: Sequence[Bucket]
    rooms: tuple[Room, ...] = ()
    held_above: Mapping[int, Room] | None = None


class Reservations:
    """Makes and settles the reservations of exchanges; compiled once from the policies that override `reserve`.

    `failed` is told of a policy, by name, that raised anything but an `ApiError`; `on_error` says what follows from it.
    """

    __slots__ = ("_claimants", "_counters", "_failed", "_measures")

    def __init__(
        self,
        policies: Sequence[tuple[str, Policy]],
        counters: Counters | None,
        failed: Callable[[str, BaseException], None],
    ) -> None:
        self._claimants = tuple(Claimant(name, policy) for name, policy in policies if reserves(policy))
        if self._claimants and counters is None:
            raise ValueError("policies that reserve need counters")
        self._counters: Any = counters
        self._failed = failed
        self._measures = any(one.used is not None for one in self._claimants)

    def reserve(self, x: Exchange) -> Awaitable[None] | None:
        """Reserve what the policies want, under the id of the exchange.

        Returns None if that is done, else what is to be awaited. Raises `ApiError` (the awaitable, too) where there is no room,
        or a policy refuses, or must decide and cannot. Whoever calls it calls `settle`, whatever became of it.
        """
        claims: list[Claim] = []
        claimants = self._claimants
        for claimant in claimants:
            try:
                buckets = claimant.reserve(x)
                if buckets.__class__ is not tuple and isawaitable(buckets):
                    return self._gather_later(x, claims, claimants.index(claimant), buckets)
            except ApiError:
                raise
            except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name
                self._broken(claimant, error)
                continue
            if buckets:
                claims.append((claimant, buckets))
        return self._take(x, claims) if claims else None

    def settle(self, x: Exchange) -> Awaitable[None] | None:
        """Give back and correct what the exchange holds, once, however often it is called; None if that is done."""
        held = x.reservation
        if held is None:
            return None
        x.reservation = None
        actual = self._used(x, held) if self._measures else None
        try:
            answer = self._counters.settle(x.id, actual)
        except Exception as error:  # noqa: BLE001 - counted and logged under the names of the policies it concerns
            self._blame(held, error)
            return None
        return None if answer is None else self._settle_later(held, answer)

    async def _gather_later(
        self, x: Exchange, claims: list[Claim], index: int, waiting: Awaitable[Sequence[Bucket]] | None
    ) -> None:
        for claimant in self._claimants[index:]:
            try:
                found = claimant.reserve(x) if waiting is None else waiting
                waiting = None
                if isawaitable(found):
                    async with asyncio.timeout(claimant.policy.budget_s):
                        found = await found
            except ApiError:
                raise
            except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name
                self._broken(claimant, error)
                continue
            if found:
                claims.append((claimant, found))
        if claims and (rest := self._take(x, claims)) is not None:
            await rest

    def _take(self, x: Exchange, claims: list[Claim]) -> Awaitable[None] | None:
        buckets = claims[0][1] if len(claims) == 1 else tuple(bucket for _, wanted in claims for bucket in wanted)
        # It stands before the counters are asked: who is interrupted while they answer may hold something.
        held = x.reservation = Reservation(claims, buckets)
        if x.parent is not None:
            buckets = _less_held_above(x.parent, held)
        try:
            answer = self._counters.reserve(x.id, buckets, lease_s(x)) if buckets else Decision(())
        except Exception as error:  # noqa: BLE001 - counted and logged under the names of the policies it concerns
            self._uncountable(held, error)
            return None
        if isinstance(answer, Decision):
            self._decided(x, held, answer)
            return None
        return self._take_later(x, held, answer)

    async def _take_later(self, x: Exchange, held: Reservation, answer: Awaitable[Decision]) -> None:
        try:
            async with asyncio.timeout(max(one.policy.budget_s for one, _ in held.claims)):
                decision = await answer
        except Exception as error:  # noqa: BLE001 - counted and logged under the names of the policies it concerns
            self._uncountable(held, error)
            return
        self._decided(x, held, decision)

    async def _settle_later(self, held: Reservation, answer: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(max(one.policy.budget_s for one, _ in held.claims)):
                await answer
        except Exception as error:  # noqa: BLE001 - counted and logged under the names of the policies it concerns
            self._blame(held, error)

    def _decided(self, x: Exchange, held: Reservation, decision: Decision) -> None:
        """Tell the policies how their buckets stand; raise the error of the one whose bucket has no room."""
        refused = decision.refused
        rooms = decision.rooms
        if refused is not None:
            x.reservation = None
        if held.held_above is not None:
            rooms, refused = _with_held_above(held, decision)
        held.rooms = rooms
        if len(held.claims) == 1:
            claimant = held.claims[0][0]
            if claimant.reserved is not None:
                self._tell(claimant, x, rooms)
            if refused is not None:
                raise self._refusal(claimant, x, refused, rooms[refused], decision.retry_after_s)
            return
        refuser: tuple[Claimant, int] | None = None
        begin = 0
        for claimant, wanted in held.claims:
            end = begin + len(wanted)
            if claimant.reserved is not None:
                self._tell(claimant, x, rooms[begin:end])
            if refused is not None and begin <= refused < end:
                refuser = claimant, refused - begin
            begin = end
        if refuser is not None and refused is not None:
            raise self._refusal(refuser[0], x, refuser[1], rooms[refused], decision.retry_after_s)

    def _tell(self, claimant: Claimant, x: Exchange, rooms: tuple[Room, ...]) -> None:
        try:
            claimant.policy.reserved(x, rooms)
        except ApiError:
            raise
        except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name
            self._broken(claimant, error)

    def _refusal(self, claimant: Claimant, x: Exchange, index: int, room: Room, retry_after_s: float) -> ApiError:
        """Have the policy word its refusal. One that cannot is refused for all the same: the counters have said so."""
        try:
            return claimant.refused(x, index, room, retry_after_s)
        except ApiError as error:
            return error
        except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name
            self._failed(claimant.name, error)
            return Policy.refused(claimant.policy, x, index, room, retry_after_s)

    def _used(self, x: Exchange, held: Reservation) -> list[int] | None:
        """Return the actual amounts of what was reserved; None if all are as reserved."""
        found: dict[Claimant, Sequence[int]] | None = None
        for claimant, wanted in held.claims:
            if claimant.used is not None:
                try:
                    actual = claimant.used(x)
                    if actual is not None:
                        if len(actual) != len(wanted):
                            raise ValueError(f"{len(wanted)} buckets were reserved and {len(actual)} amounts given")  # noqa: TRY301
                        found = {**(found or {}), claimant: actual}
                except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name
                    self._failed(claimant.name, error)
        if found is None:
            return None
        amounts: list[int] = []
        for claimant, wanted in held.claims:
            amounts += found[claimant] if claimant in found else (bucket.amount for bucket in wanted)
        if held.held_above:
            return [amount for index, amount in enumerate(amounts) if index not in held.held_above]
        return amounts

    def _uncountable(self, held: Reservation, error: Exception) -> None:
        """The counters failed. The exchange goes on only where every policy that wanted something counted says so."""
        self._blame(held, error)
        for claimant, _ in held.claims:
            if claimant.policy.on_error == "deny":
                raise _undecided(claimant) from error

    def _blame(self, held: Reservation, error: Exception) -> None:
        if isinstance(error, CountersUnavailable):
            return  # told already, and no fault of theirs
        for claimant, _ in held.claims:
            self._failed(claimant.name, error)

    def _broken(self, claimant: Claimant, error: Exception) -> None:
        """Count and log a bug in a policy; raise what the client is told if the policy must decide."""
        self._failed(claimant.name, error)
        if claimant.policy.on_error == "deny":
            raise _undecided(claimant) from error


def reserves(policy: Policy) -> bool:
    """Say whether the policy wants anything counted."""
    return _overrides(policy, "reserve")


def lease_s(x: Exchange) -> float:
    """Return for how long a reservation holds by itself: until the exchange must be over, and a margin."""
    steps = x.plan.steps if x.plan is not None else ()
    if len(steps) == 1:
        return steps[0].target.timeouts.total + LEASE_MARGIN_S
    return max((step.target.timeouts.total for step in steps), default=_DEFAULT_TOTAL_S) + LEASE_MARGIN_S


def _overrides(policy: Policy, method: str) -> bool:
    return getattr(type(policy), method) is not getattr(Policy, method)


def _undecided(claimant: Claimant) -> Unavailable:
    return Unavailable(f"The policy `{claimant.name}` could not decide.", code="policy_failed", retry_after=1)


def _less_held_above(parent: Exchange | None, held: Reservation) -> Sequence[Bucket]:
    """Return the buckets to reserve: less the slots that exchanges above hold, which is why this one runs at all."""
    above: dict[str, Room] = {}
    while parent is not None:
        if (theirs := parent.reservation) is not None:
            for bucket, room in zip(
                theirs.buckets, theirs.rooms, strict=False
            ):  # there are no rooms before the decision
                if bucket.sort == "slots":
                    above.setdefault(bucket.key, room)
        parent = parent.parent
    held.held_above = {
        index: above[bucket.key]
        for index, bucket in enumerate(held.buckets)
        if bucket.sort == "slots" and bucket.key in above
    }
    return tuple(bucket for index, bucket in enumerate(held.buckets) if index not in held.held_above)


def _with_held_above(held: Reservation, decision: Decision) -> tuple[tuple[Room, ...], int | None]:
    """Return rooms and the refused index as if nothing had been left out."""
    above = held.held_above or {}
    asked = [index for index in range(len(held.buckets)) if index not in above]
    rooms = {**above, **dict(zip(asked, decision.rooms, strict=True))}
    refused = None if decision.refused is None else asked[decision.refused]
    return tuple(rooms[index] for index in range(len(held.buckets))), refused
