"""Weighted random order and weighted rendezvous hashing: one rule, from a random draw or from a hash."""

import hashlib
import math
from collections.abc import Callable, Sequence


def weighted_order(weights: Sequence[float], draw: Callable[[int], float]) -> list[int]:
    """Order indexes so that each comes first as often as its weight says, and the rest likewise among themselves.

    `draw` returns for each index a number in (0, 1], uniformly distributed: `random_draw`, or `hash_draw`, with which the same
    key gives the same order, and adding or removing an item remaps only its own keys. Those of weight 0 come last, in their
    own order.
    """
    if len(weights) == 1:
        return [0]
    keys = [-math.log(draw(index)) / weight if weight else math.inf for index, weight in enumerate(weights)]
    return sorted(range(len(weights)), key=keys.__getitem__)


def random_draw(random: Callable[[], float]) -> Callable[[int], float]:
    """Make a draw from a source of numbers in [0, 1)."""
    return lambda _: 1.0 - random()


def hash_draw(key: bytes, names: Sequence[bytes]) -> Callable[[int], float]:
    """Make a draw that depends on a key and each item's `hash_of_name` alone: the same in every process."""

    def draw(index: int) -> float:
        digest = hashlib.blake2b(key, digest_size=8, person=names[index]).digest()
        return ((int.from_bytes(digest, "big") >> 11) + 1) / (1 << 53)

    return draw


def hash_of_name(name: str) -> bytes:
    """Return what stands for an item's name in `hash_draw`."""
    return hashlib.blake2b(name.encode(), digest_size=16).digest()
