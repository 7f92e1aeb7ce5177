"""Spreading requests over targets by weight: one rule, for chance and for hashing alike."""

import hashlib
import math
from collections.abc import Callable, Sequence

from switchgear.contracts.exchange import Plan


def by_weight(weights: Sequence[float], draw: Callable[[int], float]) -> list[int]:
    """Order indexes so that each comes first as often as its weight says, and the rest likewise among themselves.

    `draw` gives each index a number in (0, 1], evenly spread: by chance, or by a hash, when the same one gives the same order and
    a target that comes or goes moves only what it gets or had. Those without weight come last, in their own order.
    """
    if len(weights) == 1:
        return [0]
    keys = [-math.log(draw(index)) / weight if weight else math.inf for index, weight in enumerate(weights)]
    return sorted(range(len(weights)), key=keys.__getitem__)


def chance(random: Callable[[], float]) -> Callable[[int], float]:
    """Make a draw of a source of numbers in [0, 1)."""
    return lambda _: 1.0 - random()


def hashed(key: bytes, marks: Sequence[bytes]) -> Callable[[int], float]:
    """Make a draw that depends on nothing but a key and each target's `mark`: the same in every process."""

    def draw(index: int) -> float:
        digest = hashlib.blake2b(key, digest_size=8, person=marks[index]).digest()
        return ((int.from_bytes(digest, "big") >> 11) + 1) / (1 << 53)

    return draw


def mark(name: str) -> bytes:
    """Return what stands for a target's name in `hashed`."""
    return hashlib.blake2b(name.encode(), digest_size=16).digest()


def is_available(plan: Plan) -> bool:
    """Say whether any target of a plan would be asked now."""
    return any(step.target.is_available() for step in plan.steps)


def available_first(order: Sequence[int], available: Sequence[bool]) -> list[int]:
    """Put what is not available last, never out."""
    if all(available):
        return list(order)
    return [index for index in order if available[index]] + [index for index in order if not available[index]]
