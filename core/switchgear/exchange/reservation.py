"""What the policies of an exchange want counted, taken from the counters in one reservation and settled in one go.

A policy names buckets (`Policy.reserve`); all of them together are reserved under the id of the exchange, all or nothing, so that
no policy stands in another's way and a refusal by one takes nothing from the others. Where no policy names any, nothing is asked.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from typing import Any

from msgspec import Struct

from switchgear.contracts.counters import Bucket, Counters, Decision, Room
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.policy import Policy
from switchgear.contracts.upstream import Timeouts
from switchgear.errors import ApiError, CountersUnavailable, Unavailable
from switchgear.exchange.guarded import guarded
from switchgear.plugin_faults import bounded

LEASE_MARGIN_S = 30.0
"""How long after an exchange's last moment its reservation ends by itself, if the gateway died with it."""

_DEFAULT_TOTAL_S = Timeouts().total
_HIS_FAULT, _OUR_FAULT, _LIMITED = 400, 500, 429


class Claimant:
    """A policy that reserves. `reserved` and `used` are None where it leaves them alone."""

    __slots__ = ("name", "policy", "refused", "reserve", "reserved", "used")

    def __init__(self, name: str, policy: Policy, *, is_alone: bool = True) -> None:
        def made(phase: str) -> Any:  # one that is alone is looked at where it fails, and not before
            return getattr(policy, phase) if is_alone or not policy.guarded else guarded(phase, getattr(policy, phase))

        self.name = name
        self.policy = policy
        self.reserve: Callable[[Exchange], Sequence[Bucket] | Awaitable[Sequence[Bucket]]] = made("reserve")
        self.refused = made("refused")
        self.reserved: Any = made("reserved") if _overrides(policy, "reserved") else None
        self.used = made("used") if _overrides(policy, "used") else None


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

    __slots__ = ("_claimants", "_counters", "_counters_failed", "_failed", "_measures")

    def __init__(
        self,
        policies: Sequence[tuple[str, Policy]],
        counters: Counters | None,
        failed: Callable[[str, BaseException], None],
        counters_failed: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        reserving = [(name, policy) for name, policy in policies if reserves(policy)]
        self._claimants = tuple(Claimant(name, policy, is_alone=len(reserving) == 1) for name, policy in reserving)
        self._counters_failed = counters_failed
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
                self._uncountable(Reservation([(claimant, buckets)], buckets), error)
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
            buckets = _less_held_above(x.parent, held)
        try:
            answer = self._counters.reserve(x.id, buckets, lease_s(x)) if buckets else Decision(())
        except Exception as error:  # noqa: BLE001 - counted and logged under the names of the policies it concerns
            self._uncountable(held, error)
            return None
        if isinstance(answer, Decision):
            try:
                self._decided(x, held, answer)
            except ApiError:
                raise
            except Exception as error:  # noqa: BLE001 - counted and logged under the names of the policies it concerns
                self._uncountable(held, error)
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
            self._uncountable(held, error)

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

    def _uncountable(self, held: Reservation, error: Exception) -> None:
        """The counters failed. The exchange goes on only where every policy that wanted something counted says so."""
        self._blame(held, error)
        for claimant, _ in held.claims:
            if claimant.policy.on_error == "deny":
                raise _undecided(claimant) from error

    def _blame(self, held: Reservation, error: Exception) -> None:
        """Say whose failure it is: that of policies which named what is no bucket, or else the counters', which all feel."""
        if isinstance(error, CountersUnavailable):
            return  # told already, and no fault of theirs
        wrong = [one for one, wanted in held.claims if not _are_buckets(wanted)]
        if not wrong:
            self._counters_failed(error)
        for claimant in wrong or [claimant for claimant, _ in held.claims]:
            self._failed(claimant.name, error)

    def _broken(self, claimant: Claimant, error: Exception) -> None:
        """Count and log a bug in a policy; raise what the client is told if the policy must decide."""
        self._failed(claimant.name, error)
        if claimant.policy.on_error == "deny":
            raise _undecided(claimant) from error


def _are_buckets(wanted: object) -> bool:
    return isinstance(wanted, Sequence) and all(
        isinstance(it, Bucket) and isinstance(it.key, str) and isinstance(it.limit, int) and isinstance(it.amount, int)
        for it in wanted
    )


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
