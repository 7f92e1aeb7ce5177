"""A server under test as a process of its own: started, waited for, measured, killed at the end."""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Self

from support.ports import free_port

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_PR_SET_PDEATHSIG = 1


class Child:
    """A process in a process group of its own, whose output goes to a file. `close` kills the whole group."""

    def __init__(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | str | None = None
    ) -> None:
        self.argv = list(argv)
        self._env, self._cwd = env, cwd
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None

    def start(self) -> None:
        """Start the process. It dies with the thread that starts it, even if that is killed (Linux)."""
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process; close() closes it
        libc = ctypes.CDLL(None)

        def die_with_parent() -> None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

        self._process = subprocess.Popen(
            self.argv,
            env=None if self._env is None else dict(self._env),
            cwd=self._cwd,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - one libc call
        )

    def close(self) -> None:
        """Kill what is left of the process group and reap it."""
        if self._process is not None:
            self._signal_group(signal.SIGKILL)
            self._process.wait()
        if self._output is not None:
            self._output.close()
            self._output = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError("call start() first")
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    # What it says

    def output(self) -> str:
        """Return stdout and stderr so far."""
        if self._output is None:
            return ""
        data = os.pread(self._output.fileno(), 64 << 20, 0)
        return data.decode(errors="replace")

    def first_line(self, timeout_s: float = 60.0) -> str:
        """Wait for a whole line of output and return it."""
        self.until(lambda: "\n" in self.output(), timeout_s, "a line of output")
        return self.output().partition("\n")[0]

    def until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Wait until `condition()`; RuntimeError with the output if the process ends or time runs out."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            code = self.process.poll()
            if code is not None and not condition():
                raise RuntimeError(f"{self.argv[0]} ended with {code} before {what}:\n{self.output()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"no {what} in {timeout_s} s from {self.argv}:\n{self.output()}")
            time.sleep(0.005)

    # What is done to it

    def _signal_group(self, signum: int) -> None:
        try:
            os.killpg(self.pid, signum)
        except ProcessLookupError:
            return  # nothing left of it

    def terminate(self) -> None:
        """SIGTERM to the process itself, as a supervisor does."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the whole group: the crash."""
        self._signal_group(signal.SIGKILL)
        self.process.wait()

    def freeze(self) -> None:
        """SIGSTOP to the whole group: the hang."""
        self._signal_group(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_group(signal.SIGCONT)

    def wait(self, timeout_s: float = 60.0) -> int:
        """Return the exit code; negative is the signal that ended it."""
        return self.process.wait(timeout_s)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    # What it uses (Linux)

    def rss_bytes(self) -> int:
        """Resident memory of the process and its descendants."""
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE for pid in self.family())

    def peak_bytes(self) -> int:
        """Most resident memory of the process alone since it started or `forget_peak`."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def forget_peak(self) -> None:
        """Let `peak_bytes` begin at what is resident now."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def open_fds(self) -> int:
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.family())  # noqa: PTH208 - counts names only

    def cpu_seconds(self) -> float:
        """User and system time of the process and its descendants, waited-for ones too."""
        ticks = 0
        for pid in self.family():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
        return ticks / _TICKS

    def family(self) -> list[int]:
        """Return the process and all its descendants."""
        found = [self.pid]
        for pid in found:
            for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
                found.extend(int(child) for child in tasks.read_text().split())
        return found


class Server(Child):
    """A child that serves HTTP on `port`. `{port}` in an argument is replaced by it."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | str | None = None,
        ready: str = "/ready",
    ) -> None:
        self.port = port or free_port()
        self.ready_path = ready
        self.started_in_s = 0.0
        super().__init__([part.replace("{port}", str(self.port)) for part in argv], env=env, cwd=cwd)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Wait until the ready path answers 200; `started_in_s` is how long that took."""
        begun = time.monotonic()
        self.until(self.is_ready, timeout_s, f"200 from {self.ready_path}")
        self.started_in_s = time.monotonic() - begun

    def is_ready(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", self.ready_path)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def restart(self, timeout_s: float = 60.0) -> None:
        """Kill it and start it again on the same port."""
        self.close()
        self.start()
        self.wait_ready(timeout_s)


def switchgear(*args: str) -> list[str]:
    """Return the argv of `switchgear serve` of this environment on loopback and a free port."""
    command = Path(sys.executable).with_name("switchgear")
    return [str(command), "serve", "--host", "127.0.0.1", "--port", "{port}", *args]


@contextmanager
def serving(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | str | None = None,
    ready: str = "/ready",
    timeout_s: float = 60.0,
) -> Iterator[Server]:
    """Start a server, wait until it is ready, kill it at the end. `env` is added to this process's own."""
    with Server(argv, env={**os.environ, **(env or {})}, cwd=cwd, ready=ready) as server:
        server.wait_ready(timeout_s)
        yield server
