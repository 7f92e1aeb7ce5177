"""Counters that many requests share: windows and slots, reserved all or nothing, settled by id."""

from collections.abc import Awaitable, Sequence
from typing import Literal, Protocol

from msgspec import Struct


class Bucket(Struct, frozen=True, gc=False):
    """Something with room for `limit`: `window` counts over a sliding `period_s`, `slots` counts what is held now.

    `key` names it (`rpm:key_01`); `amount` is what this reservation takes.
    """

    key: str
    sort: Literal["window", "slots"]
    limit: int
    period_s: float = 60.0
    amount: int = 1


class Room(Struct, frozen=True, gc=False):
    """How a bucket stands after the decision: what is left, and seconds until it is whole again (0 for slots)."""

    remaining: int
    reset_s: float


class Decision(Struct, frozen=True, gc=False):
    """The answer to a reservation. Refused: nothing was taken, `refused` is the index of the bucket without room."""

    rooms: tuple[Room, ...]
    refused: int | None = None
    retry_after_s: float = 0.0


class Counters(Protocol):
    """A backend may answer at once (in process) or return an awaitable (over the network)."""

    def reserve(
        self,
        id: str,
        buckets: Sequence[Bucket],
        lease_s: float,
    ) -> Decision | Awaitable[Decision]:
        """Take from every bucket or from none. The same `id` again is a no-op with the same answer.

        What is not settled within `lease_s` seconds is given back by itself (slots) or stays counted (windows).
        """
        ...

    def settle(self, id: str, actual: Sequence[int] | None = None) -> None | Awaitable[None]:
        """Give slots back and correct windows to the `actual` amounts (None: as reserved). Safe to repeat."""
        ...
