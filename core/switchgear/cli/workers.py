"""`serve --workers N`: several processes at one address, started by one that watches over them and serves nothing itself.

Each has a listening socket of its own at that address (SO_REUSEPORT), which the watching process keeps open: what connects while
a worker is started again waits for it. The first worker starts alone, so that migrations and the first run happen once.
"""

import contextlib
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import structlog
from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.edge.server import bind

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
_PROVEN_S = 60.0
"""How long a worker serves before one that dies is started again at once."""


class Worker(Struct, frozen=True):
    """What one of the processes is given.

    listeners   the sockets that it serves
    directory   where the workers reach each other
    watched     a file that ends when the watching process does
    announces   whether it says where it serves, which one of them does, once
    began       to be called when it serves
    """

    index: int
    count: int
    listeners: Sequence[socket.socket]
    directory: Path
    watched: int
    announces: bool
    began: Callable[[], None]


class _Place:
    """The place of one worker: its sockets, and who is there now."""

    def __init__(self, index: int, listeners: list[socket.socket]) -> None:
        self.index = index
        self.listeners = listeners
        self.pid = 0
        self.started_at = 0.0
        self.serves = False
        self.deaths = 0
        self.start_at = 0.0
        self.told = -1


class Supervisor:
    """Starts the workers and starts those again that die. `run` returns in each of them, never in its caller's process."""

    def __init__(self, host: str, port: int, count: int, ambient: Ambient) -> None:
        # A port in use is refused here: sockets with SO_REUSEPORT would share it silently.
        first = bind(host, port)
        port = first[0].getsockname()[1]
        for listener in first:
            listener.close()
        self._places = [_Place(index, bind(host, port, shared=True)) for index in range(count)]
        self._directory = Path(tempfile.mkdtemp(prefix="switchgear-"))
        self._watched, self._watching = os.pipe()
        self._woken, self._wakes = os.pipe()
        for end in (self._woken, self._wakes):
            os.set_blocking(end, False)
        self._log = structlog.get_logger()
        self._monotonic = ambient.monotonic
        self._stopping = 0
        self._announced = False

    def run(self) -> Worker:
        """Watch until told to end, then exit. In a new worker, return what it is given."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._signalled)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        if (worker := self._start(self._places[0])) is not None:
            return worker
        while True:
            self._wait()
            self._reap()
            if self._stopping and not any(place.pid for place in self._places):
                self._exit(0)
            if not self._stopping and self._announced:
                now = self._monotonic()
                for place in self._places:
                    if not place.pid and now >= place.start_at and (worker := self._start(place)) is not None:
                        return worker

    def _wait(self) -> None:
        due = (
            [place.start_at for place in self._places if not place.pid]
            if self._announced and not self._stopping
            else []
        )
        told = {place.told: place for place in self._places if place.told >= 0}
        wait = max(0.0, min(due) - self._monotonic()) if due else None
        for end in select.select([self._woken, *told], [], [], wait)[0]:
            if end == self._woken:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._woken, 1024)
                continue
            place = told[end]
            if os.read(end, 1):
                place.serves = self._announced = True
            os.close(end)
            place.told = -1

    def _reap(self) -> None:
        for place in self._places:
            if not place.pid:
                continue
            pid, status = os.waitpid(place.pid, os.WNOHANG)
            if not pid:
                continue
            code = os.waitstatus_to_exitcode(status)
            died, place.pid = place.pid, 0
            if self._stopping:
                if code:
                    self._log.error("a worker did not end in order", worker=place.index, pid=died, **_how(code))
                continue
            if not self._announced:  # it has said why, unless it was killed
                if code < 0:
                    self._log.error("the first worker died before it served", pid=died, **_how(code))
                self._exit(code if code > 0 else 1)
            now = self._monotonic()
            place.deaths = 0 if place.serves and now - place.started_at >= _PROVEN_S else place.deaths + 1
            wait = 0.0 if place.deaths <= 1 else min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** (place.deaths - 2))
            place.start_at = now + wait
            self._log.error("a worker died and is started again", worker=place.index, pid=died, in_s=wait, **_how(code))
            if wait:
                self._renew(place)

    def _renew(self, place: _Place) -> None:
        """Replace the listening sockets of a worker that keeps dying, so that clients are refused instead of left waiting."""
        port = place.listeners[0].getsockname()[1]
        hosts = [listener.getsockname()[0] for listener in place.listeners]
        for listener in place.listeners:
            listener.close()
        place.listeners = [found for host in hosts for found in bind(host, port, shared=True)]

    def _start(self, place: _Place) -> Worker | None:
        told, tell = os.pipe()
        place.started_at, place.serves = self._monotonic(), False
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            os.close(tell)
            place.pid, place.told = pid, told
            return None
        os.setpgrp()  # a Ctrl-C is for the one that watches
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for end in (told, self._watching, self._woken, self._wakes, *(it.told for it in self._places if it.told >= 0)):
            os.close(end)
        for other in self._places:
            if other is not place:
                for listener in other.listeners:
                    listener.close()

        def began() -> None:
            os.write(tell, b"!")
            os.close(tell)

        announces = not self._announced
        return Worker(place.index, len(self._places), place.listeners, self._directory, self._watched, announces, began)

    def _signalled(self, number: int, _frame: Any) -> None:
        if number != signal.SIGHUP:
            self._stopping += 1
            if self._stopping == 1:
                for place in self._places:
                    for listener in place.listeners:
                        listener.close()
            number = signal.SIGTERM
        for place in self._places:
            if place.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(place.pid, number)

    def _exit(self, code: int) -> NoReturn:
        shutil.rmtree(self._directory, ignore_errors=True)
        sys.exit(code)


def _how(code: int) -> dict[str, Any]:
    return {"signal": signal.Signals(-code).name} if code < 0 else {"status": code}
