"""What policies want counted of one exchange, and what an exchange holds of it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from switchgear.contracts.counters import Bucket, Decision, Room
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.policy import Policy
from switchgear.exchange.guarded import guarded


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
        self.reserved: Any = made("reserved") if overrides(policy, "reserved") else None
        self.used = made("used") if overrides(policy, "used") else None


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


def reserves(policy: Policy) -> bool:
    """Say whether the policy wants anything counted."""
    return overrides(policy, "reserve")


def overrides(policy: Policy, method: str) -> bool:
    """Say whether a policy has this method of its own."""
    return getattr(type(policy), method) is not getattr(Policy, method)


def are_buckets(wanted: object) -> bool:
    """Say whether what a policy returned can be reserved."""
    return isinstance(wanted, Sequence) and all(
        isinstance(it, Bucket) and isinstance(it.key, str) and isinstance(it.limit, int) and isinstance(it.amount, int)
        for it in wanted
    )


def less_held_above(parent: Exchange | None, held: Reservation) -> Sequence[Bucket]:
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


def with_held_above(held: Reservation, decision: Decision) -> tuple[tuple[Room, ...], int | None]:
    """Return rooms and the refused index as if nothing had been left out."""
    above = held.held_above or {}
    asked = [index for index in range(len(held.buckets)) if index not in above]
    rooms = {**above, **dict(zip(asked, decision.rooms, strict=True))}
    refused = None if decision.refused is None else asked[decision.refused]
    return tuple(rooms[index] for index in range(len(held.buckets))), refused
