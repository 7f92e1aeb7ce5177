"""One contender under load: started, checked, measured in turns, stopped."""

import os
import re
import statistics
import subprocess
import time
from pathlib import Path
from typing import Literal, Self

import check
import load
import msgspec
from contenders.base import Contender, Launch, Target, Unavailable

from support.ports import free_port
from support.process import Child, Server

Kind = Literal["plain", "stream", "paced"]
KINDS: tuple[Kind, ...] = ("plain", "stream", "paced")
LOADS: dict[Kind, load.Load] = {
    "plain": load.Load(connections=64),
    "stream": load.Load(connections=16, stream=True),
    "paced": load.Load(connections=8, pause_ms=8),  # about 1,000 requests/s: latency, not a queue
}
SOAK_REQUESTS = 100_000
SOAK_SECONDS = 60.0


class Cores(msgspec.Struct, frozen=True):
    """Which core does what."""

    server: int
    upstream: int
    load: int


class Run(msgspec.Struct, frozen=True):
    """One load of one contender. `others` is the share of the server's core that other processes used."""

    found: load.Found
    cpu_us: float
    others: float


class Turn(msgspec.Struct, frozen=True):
    """What one contender did in one round; zeros for streams if it cannot."""

    requests_s: float
    streams_s: float
    p50_us: int
    p99_us: int
    cpu_us_request: float
    cpu_us_stream: float
    others: float

    @classmethod
    def of(cls, plain: Run, paced: Run, stream: Run | None) -> Self:
        return cls(
            requests_s=plain.found.rate,
            streams_s=stream.found.rate if stream else 0,
            p50_us=paced.found.p50_us,
            p99_us=paced.found.p99_us,
            cpu_us_request=plain.cpu_us,
            cpu_us_stream=stream.cpu_us if stream else 0,
            others=max(plain.others, paced.others, stream.others if stream else 0),
        )


class Runner:
    """A running contender."""

    def __init__(self, contender: Contender, upstream: str, home: Path, cores: Cores) -> None:
        self.name = contender.name
        self.sent = 0
        self.failed = 0
        self.samples: list[str] = []
        self.same = ""
        self._contender, self._upstream, self._home, self._cores = contender, upstream, home, cores
        self._server: Server | None = None
        self._target = Target("")
        self._port = free_port()

    @property
    def server(self) -> Server:
        assert self._server is not None
        return self._server

    def start(self) -> None:
        """Install, start, provision and check it. Raises `Unavailable`."""
        self._home.mkdir(parents=True)
        self._contender.install(self._home)
        self._boot()
        self._target = self._contender.provision(self.server.url, self._upstream)
        asked = (False, True) if self._contender.streams else (False,)
        answers = {stream: check.ask(self.server.port, self._target, stream=stream) for stream in asked}
        ranks = {check.RANKS.index(check.sameness(*answer, stream=stream)) for stream, answer in answers.items()}
        self.same = check.RANKS[min(ranks)]
        if min(ranks) < check.RANKS.index(self._contender.sameness):
            bad = next(a for s, a in answers.items() if check.sameness(*a, stream=s) == self.same)
            raise Unavailable(
                f"answers are not right ({self.same}, not {self._contender.sameness}): {bad[0]} {bad[1][:300]!r}"
            )
        self.freeze()

    def _boot(self) -> None:
        launch: Launch = self._contender.launch(self._port, self._upstream, self._home)
        argv = ["taskset", "-c", str(self._cores.server), *launch.argv]
        self._server = Server(
            argv, port=self._port, env={**os.environ, **launch.env}, cwd=self._home, ready=launch.ready
        )
        self._server.start()
        try:
            self._find_port(launch.port)
            if launch.ready:
                self._server.wait_ready(120)
        except RuntimeError as error:
            raise Unavailable(f"it does not start: {str(error)[-600:]}") from error

    def _find_port(self, pattern: str) -> None:
        if pattern:
            self.server.until(lambda: re.search(pattern, self.server.output()) is not None, 120, "port in its output")
            found = re.search(pattern, self.server.output())
            assert found is not None
            self.server.port = int(found[1])

    def freeze(self) -> None:
        self.server.freeze()

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    @property
    def kinds(self) -> tuple[Kind, ...]:
        return KINDS if self._contender.streams else ("plain", "paced")

    def run(self, kind: Kind, seconds: float) -> Run:
        """Warm up for a second and measure; frozen before and after, so that it costs the others nothing."""
        self.server.thaw()
        self._load(kind, 1)
        busy, cpu = Busy(self._cores.server), self.server.cpu_seconds()
        found = self._load(kind, seconds)
        used = self.server.cpu_seconds() - cpu
        others = busy.others(used)
        self.freeze()
        return Run(found, used / max(1, found.requests) * 1e6, others)

    def _load(self, kind: Kind, seconds: float) -> load.Found:
        how, target = LOADS[kind], self._target
        body = load.request_body(target.model, stream=how.stream)
        url = self.server.url + target.path
        try:
            found = load.run(url, target.headers, body, how, seconds=seconds, core=self._cores.load)
        except RuntimeError as error:
            raise Unavailable(f"lost under {kind} load: {error}; {last_words(self.server)}") from error
        self.sent += found.requests
        self.failed += found.failed + found.bad
        if found.sample:
            self.samples.append(found.sample)
        return found

    def soak(self, rate: float) -> None:
        """Send the rest of 100,000 requests, if that takes no longer than a minute."""
        self.server.thaw()
        left = SOAK_REQUESTS - self.sent
        if left > 0 and left / rate < SOAK_SECONDS:
            self._load("plain", left / rate + 1)

    def start_times(self, count: int) -> float:
        """Return the median seconds from the start of a process to its first right answer, data kept."""
        times = []
        for _ in range(count):
            self.close()
            begun = time.monotonic()
            self._boot()
            while check.sameness(*check.ask(self.server.port, self._target, stream=False), stream=False) == "wrong":
                if time.monotonic() - begun > 60:
                    raise Unavailable("no right answer in 60 s after a restart")
            times.append(time.monotonic() - begun)
        return statistics.median(times)


def last_words(child: Child) -> str:
    """Return how a process that should run has ended, with the end of its output."""
    try:
        how = f"exit code {child.wait(5)}"
    except subprocess.TimeoutExpired:
        how = "still running"
    return f"{how}: {child.output()[-600:].strip()}"


class Busy:
    """How busy a core is since now (Linux)."""

    def __init__(self, core: int) -> None:
        self._core = core
        self._before = self._read()
        self._begun = time.monotonic()

    def _read(self) -> float:
        for line in Path("/proc/stat").read_text().splitlines():
            name, *ticks = line.split()
            if name == f"cpu{self._core}":
                user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
                return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def others(self, own_s: float) -> float:
        """Return the share of the time since that went to others than a process that used `own_s`."""
        return max(0.0, self._read() - self._before - own_s) / (time.monotonic() - self._begun)
