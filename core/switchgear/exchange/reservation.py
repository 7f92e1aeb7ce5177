"""What the policies of an exchange want counted, taken from the counters in one reservation and settled in one go.

A policy names buckets (`Policy.reserve`); all of them together are reserved under the id of the exchange, all or nothing, so that
no policy stands in another's way and a refusal by one takes nothing from the others. Where no policy names any, nothing is asked.
"""

from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import Any

from switchgear.contracts.counters import Bucket, Counters, Decision, Room
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.policy import Policy
from switchgear.contracts.upstream import Timeouts
from switchgear.errors import ApiError, CountersUnavailable, Unavailable
from switchgear.exchange.claims import (
    Claim,
    Claimant,
    Reservation,
    are_buckets,
    less_held_above,
    reserves,
    with_held_above,
)
from switchgear.exchange.outage import HereAlone
from switchgear.plugin_faults import bounded

LEASE_MARGIN_S = 30.0
"""How long after an exchange's last moment its reservation ends by itself, if the gateway died with it."""

_DEFAULT_TOTAL_S = Timeouts().total
_HIS_FAULT, _OUR_FAULT, _LIMITED = 400, 500, 429


class Reservations:
    """Makes and settles the reservations of exchanges; compiled once from the policies that override `reserve`.

    `failed` is told of a policy, by name, that raised anything but an `ApiError`; `on_error` says what follows from it. `here` is
    what is counted with while the counters are away, None where nobody knows how many processes there are.
    """

    __slots__ = ("_claimants", "_counters", "_counters_failed", "_failed", "_held_here", "_here", "_measures")

    def __init__(
        self,
        policies: Sequence[tuple[str, Policy]],
        counters: Counters | None,
        failed: Callable[[str, BaseException], None],
        counters_failed: Callable[[BaseException], None] = lambda _: None,
        here: HereAlone | None = None,
    ) -> None:
        reserving = [(name, policy) for name, policy in policies if reserves(policy)]
        self._claimants = tuple(Claimant(name, policy, is_alone=len(reserving) == 1) for name, policy in reserving)
        self._counters_failed = counters_failed
        if self._claimants and counters is None:
            raise ValueError("policies that reserve need counters")
        self._counters: Any = counters
        self._failed = failed
        self._here = here
        self._held_here: dict[str, Reservation] = {}
        self._measures = any(one.used is not None for one in self._claimants)

    def reserve(self, x: Exchange) -> Awaitable[None] | None:
        """Reserve what the policies want, under the id of the exchange.

        Returns None if that is done, else what is to be awaited. Raises `ApiError` (the awaitable, too) where there is no room,
        or a policy refuses, or must decide and cannot. Whoever calls it calls `settle`, whatever became of it.
        """
        claims: list[Claim] = []
        claimants = self._claimants
        for claimant in claimants:
            if claimant.policy.idle:
                continue
            try:
                buckets = claimant.reserve(x)
                if type(buckets) is not tuple and isawaitable(buckets):
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
        if self._held_here:
            self._settle_here(x)
        actual = self._used(x, held) if self._measures else None
        try:
            answer = self._counters.settle(x.id, actual)
        except Exception as error:  # noqa: BLE001 - counted and logged under the names of the policies it concerns
            self._blame(held, error)
            if actual is None or isinstance(error, CountersUnavailable):
                return None
            try:  # what it took in the end may be nonsense; it is not to hold it for ever
                answer = self._counters.settle(x.id, None)
            except Exception:  # noqa: BLE001 - told of a moment ago
                return None
        return None if answer is None else self._settle_later(held, answer)

    async def look_ahead(self, x: Exchange) -> None:
        """Refuse a request for which there is no room whatever it says; nothing is taken. Raises `ApiError`."""
        for claimant, buckets in self._any_request(x):
            try:
                rooms = self._counters.peek(buckets)
                if isawaitable(rooms):
                    rooms = await bounded(claimant.policy.budget_s, rooms)
            except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name
                self._instead(x, Reservation([(claimant, buckets)], buckets), error)
                continue
            for index, room in enumerate(rooms):
                if not room.remaining:
                    raise self._refusal(claimant, x, index, room, room.reset_s)

    async def charge(self, x: Exchange, refusal: ApiError) -> ApiError:
        """Take what a request costs that was refused before anything was reserved for it. Returns what its client is told."""
        if x.reservation is not None or not _HIS_FAULT <= refusal.status < _OUR_FAULT or refusal.status == _LIMITED:
            return refusal
        wanted = [
            (one, index, bucket)
            for one, buckets in self._any_request(x)
            for index, bucket in enumerate(buckets)
            if bucket.sort != "slots"
        ]
        if not wanted:
            return refusal
        seconds = max(one.policy.budget_s for one, _, _ in wanted)
        try:
            decision = self._counters.reserve(x.id, [bucket for _, _, bucket in wanted], lease_s(x))
            if isawaitable(decision):
                decision = await bounded(seconds, decision)
            if (settling := self._counters.settle(x.id)) is not None:
                await bounded(seconds, settling)
        except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name; it is refused already
            self._blame(Reservation([(one, ()) for one, _, _ in wanted], ()), error)
            return refusal
        if decision.refused is None:
            return refusal
        one, index, _ = wanted[decision.refused]
        return self._refusal(one, x, index, decision.rooms[decision.refused], decision.retry_after_s)

    def _any_request(self, x: Exchange) -> list[Claim]:
        found: list[Claim] = []
        for claimant in self._claimants:
            try:
                buckets = claimant.policy.any_request(x)
            except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name
                self._broken(claimant, error)
                continue
            if buckets:
                found.append((claimant, buckets))
        return found

    async def _gather_later(
        self, x: Exchange, claims: list[Claim], index: int, waiting: Awaitable[Sequence[Bucket]] | None
    ) -> None:
        for claimant in self._claimants[index:]:
            try:
                found = claimant.reserve(x) if waiting is None else waiting
                waiting = None
                if isawaitable(found):
                    found = await bounded(claimant.policy.budget_s, found)
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
            buckets = less_held_above(x.parent, held)
        try:
            answer = self._counters.reserve(x.id, buckets, lease_s(x)) if buckets else Decision(())
        except Exception as error:  # noqa: BLE001 - counted and logged under the names of the policies it concerns
            self._uncountable(x, held, error)
            return None
        if isinstance(answer, Decision):
            try:
                self._decided(x, held, answer)
            except ApiError:
                raise
            except Exception as error:  # noqa: BLE001 - counted and logged under the names of the policies it concerns
                self._uncountable(x, held, error)
            return None
        return self._take_later(x, held, answer)

    async def _take_later(self, x: Exchange, held: Reservation, answer: Awaitable[Decision]) -> None:
        try:
            decision = await bounded(max(one.policy.budget_s for one, _ in held.claims), answer)
            if not isinstance(decision, Decision):
                raise TypeError(f"counters decided {type(decision).__name__}, no Decision")  # noqa: TRY301
            self._decided(x, held, decision)
        except ApiError:
            raise
        except Exception as error:  # noqa: BLE001 - counted and logged under the names of the policies it concerns
            self._uncountable(x, held, error)

    async def _settle_later(self, held: Reservation, answer: Awaitable[None]) -> None:
        try:
            await bounded(max(one.policy.budget_s for one, _ in held.claims), answer)
        except Exception as error:  # noqa: BLE001 - counted and logged under the names of the policies it concerns
            self._blame(held, error)

    def _decided(self, x: Exchange, held: Reservation, decision: Decision) -> None:
        """Tell the policies how their buckets stand; raise the error of the one whose bucket has no room."""
        refused = decision.refused
        rooms = decision.rooms
        if refused is not None:
            x.reservation = None
        if held.held_above is not None:
            rooms, refused = with_held_above(held, decision)
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
            claimant.reserved(x, rooms)
        except ApiError:
            raise
        except Exception as error:
            if not all(isinstance(room, Room) for room in rooms):
                raise  # it is the counters that said what cannot be
            self._broken(claimant, error)

    def _refusal(self, claimant: Claimant, x: Exchange, index: int, room: Room, retry_after_s: float) -> ApiError:
        """Have the policy word its refusal. One that cannot is refused for all the same: the counters have said so."""
        try:
            refusal = claimant.refused(x, index, room, retry_after_s)
        except ApiError as error:
            return error
        except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name
            self._failed(claimant.name, error)
        else:
            if isinstance(refusal, ApiError):
                return refusal
            self._failed(claimant.name, TypeError(f"`refused` returned {type(refusal).__name__}, no ApiError"))
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

    def _uncountable(self, x: Exchange, held: Reservation, error: Exception) -> None:
        """The counters failed. The exchange goes on only where every policy that wanted something counted says so, or what it
        wants counted in this process alone has room.
        """
        claims = self._instead(x, held, error)
        if not claims or self._here is None:
            return
        here = Reservation(claims, tuple(bucket for _, wanted in claims for bucket in wanted))
        buckets = here.buckets if x.parent is None else less_held_above(x.parent, here)
        try:
            decision = self._here.counters.reserve(x.id, buckets, lease_s(x))
        except ValueError as wrong:
            self._blame(here, wrong)
            raise _undecided(claims[0][0]) from wrong
        if decision.refused is None:
            self._held_here[x.id] = here
        try:
            self._decided(x, here, decision)
        finally:
            x.reservation = held  # whether the counters took it as well is not known: it is settled with both
            held.rooms = here.rooms

    def _instead(self, x: Exchange, held: Reservation, error: Exception) -> list[Claim]:
        """Return what is to be counted in this process alone. Raises what the client is told where a policy must have decided."""
        self._blame(held, error)
        claims: list[Claim] = []
        for claimant, wanted in held.claims:
            buckets = None
            if self._here is not None and isinstance(error, (CountersUnavailable, TimeoutError)):
                try:
                    buckets = claimant.policy.uncounted(x, self._here.processes)
                    if buckets is not None and len(buckets) != len(wanted):
                        raise ValueError(f"{len(wanted)} buckets were named and {len(buckets)} instead")  # noqa: TRY301
                except Exception as wrong:  # noqa: BLE001 - counted and logged under the policy's name
                    self._failed(claimant.name, wrong)
                    buckets = None
            if buckets:
                claims.append((claimant, buckets))
            elif claimant.policy.on_error == "deny":
                raise _undecided(claimant, error) from error
        return claims

    def _settle_here(self, x: Exchange) -> None:
        here = self._held_here.pop(x.id, None)
        if here is None or self._here is None:
            return
        try:
            self._here.counters.settle(x.id, self._used(x, here) if self._measures else None)
        except Exception as error:  # noqa: BLE001 - counted and logged under the names of the policies it concerns
            self._blame(here, error)
            self._here.counters.settle(x.id)

    def _blame(self, held: Reservation, error: Exception) -> None:
        """Say whose failure it is: that of policies which named what is no bucket, or else the counters', which all feel."""
        if isinstance(error, CountersUnavailable):
            return  # told already, and no fault of theirs
        wrong = [one for one, wanted in held.claims if not are_buckets(wanted)]
        if not wrong:
            self._counters_failed(error)
        for claimant in wrong or [claimant for claimant, _ in held.claims]:
            self._failed(claimant.name, error)

    def _broken(self, claimant: Claimant, error: Exception) -> None:
        """Count and log a bug in a policy; raise what the client is told if the policy must decide."""
        self._failed(claimant.name, error)
        if claimant.policy.on_error == "deny":
            raise _undecided(claimant) from error


def lease_s(x: Exchange) -> float:
    """Return for how long a reservation holds by itself: until the exchange must be over, and a margin."""
    steps = x.plan.steps if x.plan is not None else ()
    if len(steps) == 1:
        return steps[0].target.timeouts.total + LEASE_MARGIN_S
    return max((step.target.timeouts.total for step in steps), default=_DEFAULT_TOTAL_S) + LEASE_MARGIN_S


def _undecided(claimant: Claimant, error: Exception | None = None) -> Unavailable:
    if isinstance(error, CountersUnavailable | TimeoutError):
        message = f"The counters that the policy `{claimant.name}` needs do not answer; try again shortly."
        return Unavailable(message, code="counters_unavailable", retry_after=1)
    return Unavailable(f"The policy `{claimant.name}` could not decide.", code="policy_failed", retry_after=1)
