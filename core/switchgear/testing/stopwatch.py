"""Time as a bound on it can be asserted on a busy machine: without that in which we were ready to run and had no core.

watch = Stopwatch()
...
assert 0.3 < watch.wall_s
assert watch.s < 1.0
"""

import time
from contextlib import suppress
from pathlib import Path

_NS = 1e9


def starved_s() -> float:
    """Return for how long threads of this process and of those it started waited for a core; 0 where nobody counts it."""
    waited = 0
    family = ["self"]
    for process in family:
        for thread in Path(f"/proc/{process}/task").glob("*"):
            with suppress(OSError):  # it ended meanwhile
                waited += int((thread / "schedstat").read_text().split()[1])
                family += (thread / "children").read_text().split()
    return waited / _NS


class Stopwatch:
    """Runs from when it is made. `wall_s` is what passed, `s` what passed while there was a core for us."""

    def __init__(self) -> None:
        self._starved_s = starved_s()
        self._began = time.monotonic()

    @property
    def wall_s(self) -> float:
        """Seconds that passed."""
        return time.monotonic() - self._began

    @property
    def s(self) -> float:
        """Seconds that passed while there was a core."""
        return self.wall_s - max(0.0, starved_s() - self._starved_s)

    def between(self, least_s: float, most_s: float) -> bool:
        """Say whether so much passed, and not more of it than `most_s` while there was a core for us."""
        return least_s < self.wall_s and self.s < most_s

    def __repr__(self) -> str:
        return f"{self.wall_s:.3f} s, of which {self.s:.3f} s with a core"
