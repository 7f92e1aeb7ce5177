"""Time that goes on as the world's does, and can be moved forward."""

import time

from switchgear.ambient import Ambient


class Ahead(Ambient):
    """An ambient whose clocks are `by_s` seconds ahead."""

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

    def monotonic(self) -> float:  # type: ignore[override]  # the world's is a function of its own
        """Return the seconds on a clock that never goes back."""
        return time.monotonic() + self.by_s
