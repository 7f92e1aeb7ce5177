"""Time that stands still until told or can be moved forward, randomness from a seed, ids that count."""

import time
from random import Random

from switchgear.ambient import Ambient

START_US = 1_700_000_000_000_000
"""14 November 2023, 22:13:20 UTC: where a `FixedAmbient` begins unless told otherwise."""


class FixedAmbient(Ambient):
    """An ambient that replays: two with the same arguments and calls give the same answers.

    Both clocks move only by `advance`; the wall clock alone is moved, also backwards, by setting `wall_us`.
    """

    def __init__(self, *, wall_us: int = START_US, seed: int = 0) -> None:
        self.wall_us = wall_us
        self._monotonic = 1000.0
        self._random = Random(seed)  # noqa: S311 - a replay must be predictable
        self._ids = 0

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        if seconds < 0:
            raise ValueError("time does not go back; set wall_us to move the wall clock alone")
        self._monotonic += seconds
        self.wall_us += round(seconds * 1_000_000)

    def now_us(self) -> int:
        """Return `wall_us`."""
        return self.wall_us

    def monotonic(self) -> float:
        """Return the seconds advanced so far, from an arbitrary start."""
        return self._monotonic

    def random(self) -> float:
        """Return the next float of the seeded sequence."""
        return self._random.random()

    def token(self, nbytes: int) -> bytes:
        """Return the next bytes of the seeded sequence: predictable, so for tests only."""
        return self._random.randbytes(nbytes)

    def new_id(self) -> str:
        """Return an id of the real form whose last 80 bits count up from 1."""
        self._ids += 1
        return f"{self.wall_us // 1000:012x}{self._ids:020x}"


class Ahead(Ambient):
    """Time that goes on as the world's does, and can be moved forward: both clocks are `by_s` seconds ahead."""

    def __init__(self) -> None:
        self.by_s = 0.0

    def skip(self, seconds: float) -> None:
        """Let time pass at once."""
        self.by_s += seconds

    def now_us(self) -> int:
        """Return the wall clock."""
        return int(self.now_s() * 1e6)

    def now_s(self) -> float:
        """Return the wall clock in seconds."""
        return time.time() + self.by_s

    def monotonic(self) -> float:
        """Return the seconds on a clock that never goes back."""
        return time.monotonic() + self.by_s
