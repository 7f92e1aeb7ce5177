"""Time as a bound on it can be asserted on a busy machine: without that in which we were ready to run and had no core.

watch = Stopwatch()
...
assert 0.3 < watch.wall_s
assert watch.s < 1.0

async with at_most(1.0):
    ...
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
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
        return time.monotonic() - self._began

    @property
    def s(self) -> float:
        return self.wall_s - max(0.0, starved_s() - self._starved_s)

    def between(self, least_s: float, most_s: float) -> bool:
        """Say whether so much passed, and not more of it than `most_s` while there was a core for us."""
        return least_s < self.wall_s and self.s < most_s

    def __repr__(self) -> str:
        return f"{self.wall_s:.3f} s, of which {self.s:.3f} s with a core"


@asynccontextmanager
async def at_most(within_s: float) -> AsyncIterator[None]:
    """Raise TimeoutError in what takes longer, by the stopwatch."""
    loop = asyncio.get_running_loop()
    watch = Stopwatch()
    due: asyncio.TimerHandle

    def look() -> None:
        nonlocal due
        left = within_s - watch.s
        if left > 0:
            due = loop.call_later(max(left, 0.01), look)
        else:
            limit.reschedule(loop.time())

    due = loop.call_later(within_s, look)
    try:
        async with asyncio.timeout(None) as limit:
            yield
    finally:
        due.cancel()
