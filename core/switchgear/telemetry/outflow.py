"""Where log lines leave a process that serves: a bounded queue and a thread of its own, so that nobody who logs waits.

A pipe that nobody reads, a terminal that was stopped and a disk that hangs hold up the thread alone. What does not fit into the
queue meanwhile is dropped and counted, and the log says how much once there is room again.
"""

import contextlib
import io
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, TextIO

MOST_BYTES: Final = 1024 * 1024
"""Bytes of lines that wait to be written."""


class Outflow:
    """Writes lines to `stream`, in order.

    `told` makes the line that says how many were dropped; `dropped` is called for each that is.
    """

    def __init__(
        self, stream: TextIO, told: Callable[[int], str], dropped: Callable[[], None], most_bytes: int = MOST_BYTES
    ) -> None:
        self.lost = 0
        """Lines that could not be written because the stream is closed, broken or full."""
        self._stream = stream
        self._told = told
        self._on_dropped = dropped
        self._most = most_bytes
        # Not through the stream: whoever ends the process would wait for the lock that the thread holds while it writes.
        try:
            stream.flush()
            self._out: int | None = os.dup(stream.fileno())
        except (OSError, ValueError, io.UnsupportedOperation):
            self._out = None
        self._lines: deque[str] = deque()
        self._held = 0
        self._dropped = 0
        self._closing = False
        self._lock = threading.Lock()
        self._filled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="switchgear-log", daemon=True)
        self._thread.start()

    def put(self, line: str) -> bool:
        """Have a line written, or drop it where too much waits; say which. Never waits."""
        size = len(line) + 1
        with self._lock:
            fits = not self._closing and self._held + size <= self._most
            if fits:
                self._lines.append(line)
                self._held += size
            else:
                self._dropped += 1
        if fits:
            self._filled.set()
        else:
            self._on_dropped()
        return fits

    def close(self, within_s: float) -> bool:
        """Write what waits, for at most so long; what comes after it is dropped. Says whether all was written."""
        with self._lock:
            self._closing = True
        self._filled.set()
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self._filled.wait()
            self._filled.clear()
            while lines := self._taken():
                self._write("".join(f"{line}\n" for line in lines))
            if self._closing:
                if self._out is not None:
                    os.close(self._out)
                return

    def _taken(self) -> list[str]:
        """Take what waits; half of what may wait at most, so that others find room while this is written."""
        taken: list[str] = []
        size = 0
        with self._lock:
            while self._lines and size < self._most // 2:
                taken.append(self._lines.popleft())
                size += len(taken[-1]) + 1
            self._held -= size
            dropped, self._dropped = (0, self._dropped) if self._lines else (self._dropped, 0)
        if dropped:
            taken.append(self._told(dropped))
        return taken

    def _write(self, text: str) -> None:
        try:
            if self._out is None:
                self._stream.write(text)
                self._stream.flush()
                return
            rest = memoryview(text.encode("utf-8", "backslashreplace"))
            while rest:
                rest = rest[self._put(rest) :]
        except (OSError, ValueError):  # the reader of the pipe left, the disk is full; whoever logs cannot mend it
            self.lost += text.count("\n")

    def _put(self, rest: memoryview) -> int:
        assert self._out is not None
        try:
            return os.write(self._out, rest)
        except BlockingIOError:  # somebody who has the same pipe made it so
            with contextlib.suppress(OSError, ValueError):
                import select  # noqa: PLC0415 - for once

                select.select((), (self._out,), (), 1.0)
            return 0
