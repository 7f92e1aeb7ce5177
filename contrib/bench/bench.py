"""One run of the bench: the upstream, the contenders that are still in it, and what they did."""

import argparse
import importlib
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import load
from contenders.base import Contender, Options, Target, Unavailable
from contenders.switchgear import OfTree
from figures import KINDS, LOADS, Kind
from measure import Cores, Run, Runner, Turn, ask, figures, last_words
from report import CEILING, Result, compare
from trees import Tree

from support.ports import free_port
from support.process import Child

LATER_S = 60.0
MOST_OTHERS = 0.05


class Bench:
    """Measures what was chosen, and keeps what it found."""

    def __init__(self, chosen: argparse.Namespace, placed: Cores) -> None:
        self._chosen, self._placed = chosen, placed
        self._port = free_port()
        self._url = f"http://127.0.0.1:{self._port}"
        self._kinds: list[Kind] = [kind for kind in KINDS if kind in chosen.loads.split(",")]
        script = Path(__file__).with_name("upstream.py")
        argv = [sys.executable, str(script), *map(str, (self._port, chosen.events_per_chunk, chosen.events_per_write))]
        self._upstream = Child(["taskset", "-c", str(placed.upstream), *argv])
        self._entered: dict[Runner, Result] = {}
        self.direct: list[Turn] = []
        self.notes: list[str] = []

    def run(self) -> list[Result]:
        """Measure everybody; return their results, the ceiling's figures compared with."""
        with ExitStack() as stack:
            stack.enter_context(self._upstream).first_line()
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            plain, stream = self._alone("plain"), self._alone("stream")
            print(f"upstream by itself: {plain.rate:,.0f} requests/s, {stream.rate:,.0f} streams/s")
            for contender in self._contenders():
                runner = Runner(contender, self._url, folder / contender.name, self._placed)
                stack.callback(runner.close)
                self._entered[runner] = Result(name=contender.name)
                self._or_drop(runner, runner.start)
            for number in range(self._chosen.rounds):
                self._round(number)
            self._finish()
        return self._compared()

    def _contenders(self) -> list[Contender]:
        plugins = tuple(filter(None, self._chosen.plugins.split(",")))
        options = Options(plugins, self._chosen.key, self._placed.upstream)
        names = dict.fromkeys(filter(None, self._chosen.contenders.split(",")))
        found = [importlib.import_module(f"contenders.{name}").make(options) for name in names]
        return found + [OfTree(options, Tree.of(text)) for text in self._chosen.tree]

    def _or_drop(self, runner: Runner, act: Callable[[], None]) -> None:
        """Do it; a contender that cannot go on is noted and leaves the run."""
        try:
            act()
        except Unavailable as reason:
            runner.close()
            del self._entered[runner]
            self.notes.append(f"{runner.name}: not measured: {reason}")

    def _everybody(self, act: Callable[[Runner], None]) -> None:
        for runner in list(self._entered):
            self._or_drop(runner, partial(act, runner))

    def _alone(self, kind: Kind) -> load.Found:
        """Load the upstream without anybody between."""
        seconds, core = self._chosen.seconds, self._placed.load
        found = ask(self._port, Target("gpt-4o-mini"), LOADS[kind], seconds=seconds, core=core)
        if found.failed or found.bad:
            raise SystemExit(f"the upstream itself fails: {found}; {last_words(self._upstream)}")
        return found

    def _round(self, number: int) -> None:
        """Every load in turn, every contender in turn and anew, in the other direction each second round."""
        if number:
            self._everybody(Runner.renew)
        alone: Turn = {}
        for kind in ("paced", "ttft"):
            if kind in self._kinds:
                alone |= figures(kind, Run(self._alone(kind), 0, 0))
        self.direct.append(alone)
        turns: dict[Runner, Turn] = {runner: {"others": 0.0} for runner in self._entered}

        def measure(kind: Kind, runner: Runner) -> None:
            run = runner.run(kind, self._chosen.seconds)
            turns[runner] |= figures(kind, run)
            turns[runner]["others"] = max(turns[runner]["others"], run.others)

        for kind in self._kinds:
            for runner in list(self._entered)[:: 1 if number % 2 == 0 else -1]:
                if runner.can(kind):
                    self._or_drop(runner, partial(measure, kind, runner))
        for runner, result in self._entered.items():
            result.turns.append(turns[runner])
            print(f"round {number + 1} {result.name}: {_words(turns[runner])}", file=sys.stderr)

    def _finish(self) -> None:
        """Take what is measured once: memory, and the time to start."""
        if not self._chosen.no_soak:
            self._everybody(self._soak)
            time.sleep(LATER_S if self._entered else 0)
        self._everybody(self._end)

    def _soak(self, runner: Runner) -> None:
        result = self._entered[runner]
        runner.soak(result.median("requests_s") or 1000)
        result.rss_mb, result.requests = runner.rss_mb(), runner.sent
        runner.swell()
        result.rss_large_mb = runner.rss_mb()

    def _end(self, runner: Runner) -> None:
        result = self._entered[runner]
        if self._chosen.no_soak:
            result.rss_mb, result.requests = runner.rss_mb(), runner.sent
        else:
            result.rss_later_mb = runner.rss_mb()
        result.failed, result.same, result.samples = runner.failed, runner.same, runner.samples[:3]
        result.start_s = runner.start_times(3)
        runner.close()

    def _compared(self) -> list[Result]:
        results = list(self._entered.values())
        ceiling = next((result.turns for result in results if result.name == CEILING), [])
        for result in results:
            compare(result, ceiling, self.direct)
            self.notes += [f"{result.name}: wrong answer: {sample}" for sample in result.samples]
        busiest = max((result.median("others") for result in results), default=0)
        if busiest > MOST_OTHERS:
            self.notes.append(f"others used {busiest:.0%} of the server's core: no figure of this run is worth much")
        return results


def _words(turn: Turn) -> str:
    return " ".join(f"{name}={value:,.1f}" for name, value in turn.items())
