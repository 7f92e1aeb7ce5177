"""One contender under load: started, checked, measured in turns, stopped."""

import os
import re
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import check
import load
import msgspec
import streams
from contenders.base import Contender, Launch, Target, Unavailable
from figures import LOADS, MANY_LARGE, STREAMED, Kind, Load

from support.ports import free_port
from support.process import Child, Server

SOAK_REQUESTS = 100_000
SOAK_SECONDS = 60.0
LARGE_SECONDS = 5.0


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


Turn = dict[str, float]
"""What one contender did in one round: its figures by name, and `others`."""


def figures(kind: Kind, run: Run) -> Turn:
    """Return the figures of one load."""
    found = run.found
    match kind:
        case "plain":
            return {"requests_s": found.rate, "cpu_us_request": run.cpu_us}
        case "stream":
            return {"streams_s": found.rate, "cpu_us_stream": run.cpu_us}
        case "paced":
            return {"p50_us": found.p50_us, "p99_us": found.p99_us}
        case "large":
            return {"large_s": found.rate, "cpu_us_large": run.cpu_us}
        case "ttft":
            return {"ttft_p50_us": found.p50_us, "ttft_p99_us": found.p99_us}
        case "slow":
            events, used_us = max(1, found.events), run.cpu_us * max(1, found.requests)
            return {
                "cpu_us_event": used_us / events,
                "slow_core_percent": used_us / found.seconds / 1e4,
                "slow_ttft_p99_ms": found.p99_us / 1000,
            }


def ask(port: int, target: Target, how: Load, *, seconds: float, core: int, meter: "Meter | None" = None) -> load.Found:
    """Load a port; the meter runs while it counts. Raises RuntimeError when the load itself fails."""
    body = load.request_body(target.model, stream=how.stream, size=how.size, every_ms=how.every_ms)
    meter = meter or Meter(lambda: 0.0, core)
    if how.every_ms:
        request = load.request(port, target.path, target.headers, body)
        begun, ended = meter.begin, meter.end
        return streams.run(port, request, how, seconds=seconds, core=core, begun=begun, ended=ended)
    url = f"http://127.0.0.1:{port}{target.path}"
    meter.begin()
    found = load.run(url, target.headers, body, how, seconds=seconds, core=core)
    meter.end()
    return found


class Meter:
    """Processor time of a server, and that of others on its core, while something runs."""

    def __init__(self, cpu_seconds: Callable[[], float], core: int) -> None:
        self._cpu_seconds, self._core = cpu_seconds, core
        self.used = self.others = 0.0

    def begin(self) -> None:
        self._busy, self._before = Busy(self._core), self._cpu_seconds()

    def end(self) -> None:
        self.used = self._cpu_seconds() - self._before
        self.others = self._busy.others(self.used)


class Runner:
    """A running contender."""

    def __init__(self, contender: Contender, upstream: str, home: Path, cores: Cores) -> None:
        self.name = contender.name
        self.sent = 0  # since it started
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

    def renew(self) -> None:
        """Start it again, data kept: how a process happens to lie in memory is worth per cents, and must not last a whole run."""
        self.close()
        self.sent = 0
        self._boot()
        self.freeze()

    def freeze(self) -> None:
        self.server.freeze()

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def can(self, kind: Kind) -> bool:
        return self._contender.streams or kind not in STREAMED

    def run(self, kind: Kind, seconds: float) -> Run:
        """Warm up and measure; frozen before and after, so that it costs the others nothing."""
        self.server.thaw()
        if not LOADS[kind].every_ms:  # slow streams warm up while they begin
            self._load(LOADS[kind], 1)
        meter = Meter(self.server.cpu_seconds, self._cores.server)
        found = self._load(LOADS[kind], seconds, meter)
        self.freeze()
        return Run(found, meter.used / max(1, found.requests) * 1e6, meter.others)

    def _load(self, how: Load, seconds: float, meter: Meter | None = None) -> load.Found:
        try:
            found = ask(self.server.port, self._target, how, seconds=seconds, core=self._cores.load, meter=meter)
        except (RuntimeError, OSError, ValueError) as error:
            raise Unavailable(f"lost under load ({how}): {error}; {last_words(self.server)}") from error
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
            self._load(LOADS["plain"], left / rate + 1)

    def swell(self) -> None:
        """Send many large prompts at once for a few seconds."""
        self._load(MANY_LARGE, LARGE_SECONDS)

    def rss_mb(self) -> float:
        return self.server.rss_bytes() / 1e6

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
