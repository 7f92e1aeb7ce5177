"""How often a target that limits the rate of requests may be asked, learnt from its refusals."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_CUT = 0.7
_FEW = 0.02
_SLOWEST = 1.0
_DOUBLES_S = 10.0
_LIFTED_S = 60.0
_ONE_REFUSAL_S = 1.0
_AT_ONCE = 2
_QUEUE_S = 0.5
_QUEUE = 1.5


class Pacer:
    """Spaces requests out once a target has refused for their rate. `holds` says whether it does.

    Where refusals are more than few, the pace is set, in requests a second, to a part of what lately went through; refusals of
    the next second are of the same cause and change nothing. From there the pace doubles every ten seconds until it is set
    again, and after a minute nothing is held any more. So refusals stay a small part of requests, whatever the target allows
    and whether it says so or not; and one request that is refused for what it asks does not slow the others down.
    """

    __slots__ = (
        "_before",
        "_monotonic",
        "_next_at",
        "_now",
        "_paused_until",
        "_rate",
        "_refused",
        "_second",
        "_set_at",
        "_waiting",
        "holds",
    )

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self.holds = False
        self._rate = 0.0
        self._set_at = 0.0
        self._next_at = 0.0
        self._paused_until = 0.0
        self._second = 0
        self._now = 0  # what went through in this second, and in the one before
        self._before = 0
        self._refused = 0  # in this second
        self._waiting: dict[str, int] = {}  # how many wait for their turn, by who they are

    def passed(self) -> None:
        """A request went through."""
        second = int(self._monotonic())
        if second != self._second:
            self._turn(second)
        self._now += 1

    def refused(self) -> None:
        """The target refused a request for the rate of them."""
        now = self._monotonic()
        if self.holds and now < self._set_at + _ONE_REFUSAL_S:
            return
        self._turn(int(now))
        self._refused += 1
        if self._refused <= _FEW * (self._now + self._before):
            return
        passing: float = max(self._now, self._before)
        if self.holds:
            passing = min(passing, self._pace(now))
        self._rate = max(_CUT * passing, _SLOWEST)
        self._set_at = now
        self._next_at = max(self._next_at, now + 1 / self._rate)
        self.holds = True

    def pause(self, until: float) -> None:
        """Let nobody's turn come before a monotonic second."""
        self._paused_until = max(self._paused_until, until)
        self._next_at = max(self._next_at, until)

    def is_full(self, whose: str = "") -> bool:
        """Say whether so many wait for their turn that the pace would be set too late to be of use.

        It is not for somebody of whom fewer wait than there are turns for each: one's many do not keep out another's few.
        """
        if not self.holds:
            return False
        now = self._monotonic()
        pace = self._pace(now)
        longest_s = max(_QUEUE_S, _QUEUE / pace)
        if self._next_at - max(now, self._paused_until) <= longest_s:
            return False
        theirs = self._waiting.get(whose, 0)
        return not self._waiting or theirs * len({*self._waiting, whose}) >= max(1, int(longest_s * pace))

    @contextmanager
    def waiting(self, whose: str) -> Iterator[None]:
        """Count somebody who waits for a turn that was taken."""
        self._waiting[whose] = self._waiting.get(whose, 0) + 1
        try:
            yield
        finally:
            left = self._waiting.pop(whose) - 1
            if left:
                self._waiting[whose] = left

    def lift(self) -> None:
        """Hold nothing back any more."""
        self.holds = False
        self._next_at = self._paused_until = 0.0

    def wait_s(self) -> float:
        """Return seconds until the next turn. Takes none."""
        if not self.holds:
            return 0.0
        now = self._monotonic()
        if now >= self._set_at + _LIFTED_S:
            self.lift()
            return 0.0
        return max(0.0, self._next_at - now)

    def take(self) -> None:
        """Take the next turn. Where some were let go by, a few may come at once."""
        if not self.holds:
            return
        now = self._monotonic()
        pace = self._pace(now)
        self._next_at = max(self._next_at, now - _AT_ONCE / pace) + 1 / pace

    def _pace(self, now: float) -> float:
        doublings: float = (now - self._set_at) / _DOUBLES_S
        return self._rate * math.exp2(doublings)

    def _turn(self, second: int) -> None:
        if second != self._second:
            self._before = self._now if second == self._second + 1 else 0
            self._now = self._refused = 0
            self._second = second
