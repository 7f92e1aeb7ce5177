"""Whether the machine stood still: a process that does nothing but sleep says how late it woke."""

import sys

from support.process import Child

STILL_S = 0.25
"""Time for which nothing ran, beyond which what a test did or did not do in time says nothing of the code under test."""

_BEATS = """
import time
while True:
    due = time.monotonic() + 0.05
    time.sleep(0.05)
    late = time.monotonic() - due
    if late > 0.1:
        print(late, flush=True)
"""


class Pulse:
    """The process. `begin` begins a test; `missed` says whether the machine stood still since."""

    def __init__(self) -> None:
        self._child = Child([sys.executable, "-S", "-c", _BEATS])
        self.start, self.close = self._child.start, self._child.close
        self._began_s = 0.0

    def begin(self) -> None:
        self._began_s = self._late_s()

    def missed(self) -> bool:
        return self._late_s() - self._began_s > STILL_S

    def _late_s(self) -> float:
        return sum(float(line) for line in self._child.output().splitlines())
