"""Signals that come before the gateway serves, and after: nobody has to wait for the right moment to send one."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class Early:
    """Handles SIGTERM, SIGINT and SIGHUP from when it is made until whoever serves takes over, and again after that.

    The first of the two that end the process ends it in order: what has begun is undone by `on_end`. A second ends it at once.
    `hung_up` says that a hangup came, which is to be heeded once there is something to read again. SIGUSR1 and SIGUSR2, by which
    others are told to open their logs anew, would end the process: they do nothing.
    """

    def __init__(self) -> None:
        self.hung_up = False
        self.ended = False
        self._on_end: Callable[[], object] | None = None
        self._before: dict[int, Any] = {}
        if threading.current_thread() is not threading.main_thread():
            return  # where no signal arrives
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._end)
        if hasattr(signal, "SIGHUP"):
            self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._hang_up)
            for number in (signal.SIGUSR1, signal.SIGUSR2):
                self._before[number] = signal.signal(number, signal.SIG_IGN)

    def release(self) -> None:
        """Handle signals as they were handled before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def on_end(self, end: Callable[[], object] | None) -> None:
        """Call this when the process is to end; None: it is ending already. Calls at once if it was to end before."""
        self._on_end = end
        if self.ended and end is not None:
            end()

    def serving(self) -> None:
        """Whoever serves handles signals now: give it the hangup that came before."""
        self._on_end = None
        if self.hung_up:
            self.hung_up = False
            os.kill(os.getpid(), signal.SIGHUP)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        if self.ended:
            os._exit(128 + number)
        self.ended = True
        if self._on_end is not None:
            self._on_end()

    def _hang_up(self, _number: int, _frame: FrameType | None) -> None:
        self.hung_up = True
