"""The one mechanism behind every timeout and every abort of an exchange."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from switchgear.errors import ClientGone, TotalTimeout, UpstreamError

_NEVER: Final = float("inf")
_TICK: Final = 1.0
"""Longest sleep of the timer. Deadlines move with nearly every chunk; a timer that is always about to look anyway seldom
has to be re-armed for an earlier one, and never for a later one."""

_OVERTIME: Final = 0.02
"""Sleep of the timer once the total deadline has passed: whatever the exchange still tries ends at once."""

_MESSAGES: Final = {
    "connect_timeout": "No connection was made in time.",
    "first_byte_timeout": "The provider sent no byte of an answer in time.",
    "idle_timeout": "The provider's answer stalled.",
    "total_timeout": "The exchange took longer than its total deadline.",
}


class Watch:
    """Watches one exchange for the task that runs it: what must happen next, the total deadline, and aborts.

    The owning task states what it waits for with `expect`, and asks `cause` in `except CancelledError`:

        watch.expect(FirstByteTimeout, timeouts.first_byte)
        try:
            answer = await connection.send(request)
        except asyncio.CancelledError:
            cause = watch.cause()
            if cause is None:
                raise
            raise cause from None

    A timeout or abort cancels the task at the await it is suspended in, and again each second until `cause` is asked; after
    `close` nothing does. Times are seconds on the loop's clock; the total counts from `began`, which is now unless it is said.
    """

    _due: float = _NEVER
    _error: type[UpstreamError] = TotalTimeout
    _cause: BaseException | None = None
    _made: int = 0  # cancellations that are ours
    _cancelled_at: float = 0.0
    _on_silence: Callable[[], None] | None = None
    _touched: bool = False
    _silence: float = 0.0
    _silent_since: float = 0.0

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        total_seconds: float,
        task: asyncio.Task[Any] | None = None,
        *,
        began: float | None = None,
    ) -> None:
        task = task or asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("A Watch is made by the task it watches.")
        self._loop = loop
        self._task: asyncio.Task[Any] = task
        now = loop.time()
        self.began = now if began is None else began
        self._total_at = self.began + total_seconds
        self._cancels = task.cancelling()
        left = self._total_at - now
        sleep = _TICK if left > _TICK else left  # noqa: FURB136 - half the price of min()
        self._armed_at = now + sleep
        self._timer: asyncio.TimerHandle | None = loop.call_later(sleep, self._tick)

    def expect(self, error: type[UpstreamError], seconds: float) -> None:
        """From now, the next thing must happen within `seconds`, or the exchange ends with `error`."""
        due = self._loop.time() + seconds
        self._error = error
        self._due = due
        if due < self._armed_at:
            self._arm(due)

    def shorten(self, total_seconds: float) -> None:
        """The exchange may take `total_seconds` from its beginning, if that is less than was said before."""
        total_at = self.began + total_seconds
        if total_at < self._total_at:
            self._total_at = total_at
            if total_at < self._armed_at:
                self._arm(total_at)

    def relax(self) -> None:
        """From now, only the total deadline counts."""
        self._due = _NEVER

    def on_silence(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call `callback` in the loop after each `seconds` (to one second more) without anything `sent`.

        It replaces the one before; what was silence until now counts.
        """
        if self._on_silence is None:
            self._silent_since = self._loop.time()
        self._silence = seconds
        self._on_silence = callback
        due = self._silent_since + seconds
        if due < self._armed_at:
            self._arm(due)

    def sent(self) -> None:
        """Mark traffic, and let only the total deadline count: a client that reads slowly is nobody else's silence."""
        self._touched = True
        self._due = _NEVER

    def abort(self, error: BaseException) -> None:
        """End the exchange with `error`: cancel the owning task, which finds it in `cause`. The first abort counts.

        Called by the owning task itself it raises `error` at once.
        """
        if self._timer is None or self._cause is not None:
            return
        if asyncio.current_task(self._loop) is self._task:
            raise error
        self._cause = error
        self._cancel()

    def client_left(self) -> None:
        """End the exchange since nobody waits for its answer any more."""
        self.abort(ClientGone("The client closed the connection.", code="client_gone"))

    def cause(self) -> BaseException | None:
        """Take what ended the exchange and revoke its cancellation; None when somebody else cancelled the task.

        After an attempt's own timeout the watch serves the next attempt, the total deadline still counting.
        """
        cause = self._cause
        if cause is None:
            return None
        self._cause = None
        self._due = _NEVER
        left = self._task.cancelling()
        while self._made:
            self._made -= 1
            left = self._task.uncancel()
        if left > self._cancels:
            return None  # an outside cancellation came at the same time, and wins
        return cause

    def close(self) -> None:
        """Stop watching. Nothing is cancelled or called from here on. Safe to call twice."""
        timer, self._timer = self._timer, None
        if timer is None:
            return
        timer.cancel()
        self._on_silence = None
        if self._cause is not None:
            self.cause()

    def _cancel(self) -> None:
        self._made += 1
        self._cancelled_at = self._loop.time()
        self._task.cancel()

    def _arm(self, when: float) -> None:
        if self._timer is None:
            return
        self._timer.cancel()
        self._armed_at = when
        self._timer = self._loop.call_later(when - self._loop.time(), self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        when = now + _TICK
        if self._cause is not None:
            if now >= self._cancelled_at + _TICK:
                self._cancel()  # somebody swallowed the last one; a deadline is not to be talked out of
        elif now >= self._total_at:
            when = now + _OVERTIME
            self.abort(TotalTimeout(_MESSAGES[TotalTimeout.cause]))
        elif now >= self._due:
            when = min(when, self._total_at)
            self.abort(self._error(_MESSAGES.get(self._error.cause, "It took too long.")))
        else:
            when = min(when, self._total_at, self._due)
        callback = self._on_silence
        if callback is None:
            self._arm(when)
            return
        if self._touched:
            self._touched = False
            self._silent_since = now
        quiet = now >= self._silent_since + self._silence
        if quiet:
            self._silent_since = now
        self._arm(min(when, self._silent_since + self._silence))
        if quiet:
            callback()
