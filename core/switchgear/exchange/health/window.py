"""Counts of the last seconds."""

from collections import Counter, deque
from collections.abc import Callable

BUCKETS = 10
"""A window moves on by a tenth of its length at a time."""


class Window:
    """Requests, and marks on some of them, of the last `seconds` on a clock that never goes back.

    What is counted leaves the window between nine and ten tenths of `seconds` later, with all else of its tenth.
    """

    __slots__ = ("_ends", "_index", "_length", "_marks", "_monotonic", "_past", "_requests")

    def __init__(self, seconds: float, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._length = seconds / BUCKETS
        self._past: deque[tuple[int, int, Counter[str]]] = deque()
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._past.clear()
        self._begin(int(self._monotonic() // self._length))

    def note(self) -> None:
        """Count a request."""
        if self._monotonic() >= self._ends:
            self._turn()
        self._requests += 1

    def mark(self, word: str) -> None:
        """Count something that happened to a request."""
        if self._monotonic() >= self._ends:
            self._turn()
        self._marks[word] += 1

    def sums(self) -> tuple[int, Counter[str]]:
        """Return the requests and the marks in the window."""
        if self._monotonic() >= self._ends:
            self._turn()
        requests, marks = self._requests, self._marks.copy()
        for _, past_requests, past_marks in self._past:
            requests += past_requests
            marks += past_marks
        return requests, marks

    def _begin(self, index: int) -> None:
        self._index = index
        self._ends = (index + 1) * self._length
        self._requests = 0
        self._marks: Counter[str] = Counter()

    def _turn(self) -> None:
        index = int(self._monotonic() // self._length)
        if index > self._index:
            if self._requests or self._marks:
                self._past.append((self._index, self._requests, self._marks))
            self._begin(index)
        while self._past and self._past[0][0] <= index - BUCKETS:
            self._past.popleft()
