"""Measures gateways against the ceiling on one core. See README.md beside this file.

python contrib/bench/run.py --contenders ceiling,switchgear --rounds 3
"""

import argparse
import importlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))  # support.process: servers as child processes

import load
from contenders.base import Contender, Options, Unavailable
from measure import KINDS, LOADS, Cores, Kind, Run, Runner, Turn, last_words
from report import Result, compare, table

from support.ports import free_port
from support.process import Child

CONTENDERS = ("ceiling", "twin", "switchgear", "translated", "litellm", "portkey", "tensorzero")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures gateways against the ceiling on one core.")
    parser.add_argument("--seconds", type=float, default=5, help="of each of the three loads of a turn (5)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender, interleaved (5)")
    parser.add_argument("--contenders", default="ceiling,switchgear", help=f"of {','.join(CONTENDERS)}")
    parser.add_argument("--json", type=Path, help="also write everything measured to this file")
    parser.add_argument("--cores", help="SERVER,UPSTREAM,LOAD by number (default: the first, and the next ones)")
    parser.add_argument("--events-per-chunk", type=int, default=1, help="SSE events in one HTTP chunk upstream (1)")
    parser.add_argument("--events-per-write", type=int, default=10, help="SSE events in one write upstream (10)")
    parser.add_argument("--no-soak", action="store_true", help="skip the run-up to 100,000 requests")
    parser.add_argument("--plugins", default="", help="switchgear: enable these instead of plugins.toml.example's")
    parser.add_argument("--key", default="{}", help="switchgear: JSON members of the API key (limits, budgets)")
    chosen = parser.parse_args()
    unknown = set(chosen.contenders.split(",")) - set(CONTENDERS)
    if unknown:
        parser.error(f"no such contender: {', '.join(sorted(unknown))}")
    for tool in ("wrk", "taskset"):
        if shutil.which(tool) is None:
            parser.error(f"{tool} is not installed (Debian: apt-get install wrk util-linux)")
    return chosen


def cores(wanted: str | None) -> Cores:
    """Choose cores: the server alone on the first; upstream and load on the next ones, sharing one if there are two."""
    if wanted:
        return Cores(*map(int, wanted.split(",")))
    free = sorted(os.sched_getaffinity(0))
    return Cores(free[0], free[min(1, len(free) - 1)], free[min(2, len(free) - 1)])


class Bench:
    """One run: the upstream, the contenders that are still in it, and what they did."""

    def __init__(self, chosen: argparse.Namespace, placed: Cores) -> None:
        self._chosen, self._placed = chosen, placed
        self._port = free_port()
        self._url = f"http://127.0.0.1:{self._port}"
        script = Path(__file__).with_name("upstream.py")
        argv = [sys.executable, str(script), *map(str, (self._port, chosen.events_per_chunk, chosen.events_per_write))]
        self._upstream = Child(["taskset", "-c", str(placed.upstream), *argv])
        self._entered: dict[Runner, Result] = {}
        self.direct: list[tuple[int, int]] = []
        self.notes: list[str] = []

    def run(self) -> list[Result]:
        """Measure everybody; return their results, the ceiling's figures compared with."""
        with ExitStack() as stack:
            stack.enter_context(self._upstream).first_line()
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            plain, stream = self._alone("plain"), self._alone("stream")
            print(f"upstream by itself: {plain.rate:,.0f} requests/s, {stream.rate:,.0f} streams/s")
            options = Options(tuple(filter(None, self._chosen.plugins.split(","))), self._chosen.key)
            for name in dict.fromkeys(self._chosen.contenders.split(",")):
                contender: Contender = importlib.import_module(f"contenders.{name}").make(options)
                runner = Runner(contender, self._url, folder / name, self._placed)
                stack.callback(runner.close)
                self._entered[runner] = Result(name=name, turns=[])
                self._or_drop(runner, runner.start)
            for number in range(self._chosen.rounds):
                self._round(number)
            for runner in list(self._entered):
                self._or_drop(runner, partial(self._finish, runner))
        return self._compared()

    def _or_drop(self, runner: Runner, act: Callable[[], None]) -> None:
        """Do it; a contender that cannot go on is noted and leaves the run."""
        try:
            act()
        except Unavailable as reason:
            runner.close()
            del self._entered[runner]
            self.notes.append(f"{runner.name}: not measured: {reason}")

    def _alone(self, kind: Kind) -> load.Found:
        """Load the upstream without anybody between."""
        body = load.request_body("gpt-4o-mini", stream=kind == "stream")
        url = f"{self._url}/v1/chat/completions"
        found = load.run(url, {}, body, LOADS[kind], seconds=self._chosen.seconds, core=self._placed.load)
        if found.failed or found.bad:
            raise SystemExit(f"the upstream itself fails: {found}; {last_words(self._upstream)}")
        return found

    def _round(self, number: int) -> None:
        """Every load in turn, every contender in turn, in the other direction each second round."""
        paced = self._alone("paced")
        self.direct.append((paced.p50_us, paced.p99_us))
        runs: dict[tuple[Kind, str], Run] = {}

        def measure(kind: Kind, runner: Runner) -> None:
            runs[kind, runner.name] = runner.run(kind, self._chosen.seconds)

        for kind in KINDS:
            for runner in list(self._entered)[:: 1 if number % 2 == 0 else -1]:
                if kind in runner.kinds:
                    self._or_drop(runner, partial(measure, kind, runner))
        for result in self._entered.values():
            name = result.name
            turn = Turn.of(runs["plain", name], runs["paced", name], runs.get(("stream", name)))
            result.turns.append(turn)
            print(f"round {number + 1} {result.name}: {turn}", file=sys.stderr)

    def _finish(self, runner: Runner) -> None:
        result = self._entered[runner]
        if not self._chosen.no_soak:
            runner.soak(result.median("requests_s"))
        result.rss_mb = runner.server.rss_bytes() / 1e6
        result.requests, result.failed, result.same = runner.sent, runner.failed, runner.same
        result.samples = runner.samples[:3]
        result.start_s = runner.start_times(3)
        runner.close()

    def _compared(self) -> list[Result]:
        results = list(self._entered.values())
        ceiling = next((result.turns for result in results if result.name == "ceiling"), [])
        for result in results:
            compare(result, ceiling, self.direct)
            self.notes += [f"{result.name}: wrong answer: {sample}" for sample in result.samples]
        return results


def main() -> int:
    chosen = arguments()
    placed = cores(chosen.cores)
    print(
        f"{platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} cores: server on {placed.server}, "
        f"upstream on {placed.upstream}, load on {placed.load}; {chosen.rounds} rounds of {chosen.seconds:g} s"
    )
    bench = Bench(chosen, placed)
    results = bench.run()
    if results:
        print(table(results))
    print("\n".join(bench.notes))
    if chosen.json:
        everything = {"cores": placed, "direct_us": bench.direct, "results": results, "notes": bench.notes}
        chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(everything)))
    return 1 if not results or any(result.failed for result in results) else 0


if __name__ == "__main__":
    raise SystemExit(main())
