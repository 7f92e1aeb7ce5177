"""The circuit breaker of one target."""

from collections.abc import Callable

from switchgear.ambient import Ambient
from switchgear.contracts.health import BreakerView, State
from switchgear.exchange.health.settings import BreakerSettings
from switchgear.exchange.health.window import Window

_SILENT = frozenset({"connect", "connect_timeout", "first_byte_timeout", "idle_timeout", "timeout"})
COUNTED = _SILENT | {"connection", "overloaded", "server", "rate_limit", "protocol", "too_large"}
"""Causes that speak against the target. All others are the client's, the credential's or our own, and count neither way."""
_JITTER = 0.2


class Breaker:
    """Says whether a target would better be spared, from what became of the requests that went there.

    Closed, all may ask. It opens when too many fail; after a while whoever asks next is the probe. A probe that succeeds
    closes it, and all that was is forgotten; one that fails opens it for longer. Each `begin` that allows asking is followed by
    exactly one of `succeeded`, `failed` and `abandoned`, with the ticket it returned. A request that began before the breaker
    last opened says nothing any more: it is told by its ticket and changes nothing.

    `on_change` gets the state it was in and the view of what it is now. Durations are on the monotonic clock only.
    """

    __slots__ = (
        "_ambient", "_closed", "_in_a_row", "_monotonic", "_on_change", "_open_s", "_retry_at", "_settings", "_since_us",
        "_ticket", "_valid", "_window", "state",
    )  # fmt: skip

    def __init__(
        self, settings: BreakerSettings, ambient: Ambient, on_change: Callable[[State, BreakerView], None]
    ) -> None:
        self._settings = settings
        self._ambient = ambient
        self._monotonic = ambient.monotonic
        self._on_change = on_change
        self._window = Window(settings.window, ambient.monotonic)
        self.state: State = "closed"
        self._since_us = ambient.now_us()
        self._open_s = settings.open
        self._retry_at = 0.0
        self._in_a_row = 0
        self._ticket = 1  # the newest; those below `_valid` are of requests that no longer say anything
        self._valid = 1
        self._closed = 1  # the ticket of all requests while closed, 0 while not

    def ready(self) -> bool:
        """Say whether `begin` would allow asking now. Takes nothing."""
        return self._closed != 0 or self._monotonic() >= self._retry_at

    def begin(self, *, force: bool = False, retry: bool = False) -> int:
        """Return a ticket, or 0 if the target is not to be asked now. Takes the probe if one is due.

        `force` always gets a ticket, for a target that is the last resort. Where no probe is due its success closes the
        breaker, its failure changes nothing. A `retry` is no request of its own: while the breaker is closed, how the first try
        went is what is counted.
        """
        closed = self._closed
        return (-closed if retry else closed) or self._probe(force)

    def _probe(self, force: bool) -> int:  # noqa: FBT001 - the argument of `begin`
        now = self._monotonic()
        if now < self._retry_at:
            return -self._ticket if force else 0
        self._ticket += 1
        self._retry_at = now + self._jittered(self._settings.probe_every)
        if self.state == "open":
            self._become("half_open")
        return self._ticket

    def succeeded(self, ticket: int) -> None:
        """The target answered as it should."""
        if ticket == self._closed:
            self._in_a_row = 0
            self._window.note()
        elif self._closed:
            self._in_a_row = 0 if ticket == -self._closed else self._in_a_row
        elif abs(ticket) >= self._valid:
            self.reset()

    def reset(self) -> None:
        """Close it and forget all that was. What is under way says nothing any more, unless it was closed."""
        self._window.clear()
        self._in_a_row = 0
        self._open_s = self._settings.open
        if not self._closed:
            self._ticket += 1
            self._valid = self._closed = self._ticket
            self._become("closed")

    def failed(self, ticket: int, cause: str) -> None:
        """The target failed; where the cause does not speak against it, this is `abandoned`."""
        if cause not in COUNTED:
            self.abandoned(ticket)
        elif ticket == self._closed:
            self._window.note()
            self._window.mark(cause)
            self._in_a_row = self._in_a_row + 1 if cause in _SILENT else 0
            if self._is_failing():
                self._open()
        elif ticket >= self._valid:
            self._open_s = min(2 * self._open_s, self._settings.open_most)
            self._open()

    def abandoned(self, ticket: int) -> None:
        """Nothing was learnt of the target: the client left, or was at fault itself. A probe is given back."""
        if ticket == self._ticket and self.state == "half_open":
            self._retry_at = self._monotonic()

    def answers(self) -> bool:
        """Say whether any request of the last window succeeded."""
        requests, causes = self._window.sums()
        return requests > causes.total()

    def view(self) -> BreakerView:
        """Describe it."""
        requests, causes = self._window.sums()
        wait = None if self._closed else max(0.0, self._retry_at - self._monotonic())
        return BreakerView(self.state, self._since_us, requests, causes.total(), dict(causes), wait)

    def _is_failing(self) -> bool:
        if self._in_a_row >= self._settings.in_a_row:
            return True
        requests, causes = self._window.sums()
        return requests >= self._settings.least and causes.total() >= self._settings.rate * requests

    def _open(self) -> None:
        self._ticket += 1
        self._valid = self._ticket
        self._closed = 0
        self._retry_at = self._monotonic() + min(self._jittered(self._open_s), self._settings.open_most)
        self._become("open")

    def _jittered(self, seconds: float) -> float:
        return seconds * (1 - _JITTER + 2 * _JITTER * self._ambient.random())

    def _become(self, state: State) -> None:
        previous, self.state = self.state, state
        self._since_us = self._ambient.now_us()
        self._on_change(previous, self.view())
