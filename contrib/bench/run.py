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
from contextlib import ExitStack
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))  # support.process: servers as child processes

import load
from contenders.base import Contender, Options, Unavailable
from measure import KINDS, LOADS, Cores, Kind, Runner, Turn
from report import Result, compare, table

from support.ports import free_port
from support.process import Child

CONTENDERS = ("ceiling", "twin", "switchgear", "litellm", "portkey", "tensorzero")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures gateways against the ceiling on one core.")
    parser.add_argument("--seconds", type=float, default=5, help="of each of the three loads of a turn (5)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender, interleaved (5)")
    parser.add_argument("--contenders", default="ceiling,switchgear", help=f"of {','.join(CONTENDERS)}")
    parser.add_argument("--json", type=Path, help="also write everything measured to this file")
    parser.add_argument("--cores", help="SERVER,UPSTREAM,LOAD by number (default: the first, and the next ones)")
    parser.add_argument("--events-per-chunk", type=int, default=1, help="SSE events in one HTTP chunk upstream (1)")
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


def main() -> int:
    chosen = arguments()
    placed = cores(chosen.cores)
    options = Options(tuple(filter(None, chosen.plugins.split(","))), chosen.key)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        port = free_port()
        script = Path(__file__).with_name("upstream.py")
        pinned = ["taskset", "-c", str(placed.upstream), sys.executable, str(script), str(port)]
        stack.enter_context(Child([*pinned, str(chosen.events_per_chunk)])).first_line()
        upstream = f"http://127.0.0.1:{port}"
        print(
            f"{platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} cores: server on {placed.server}, "
            f"upstream on {placed.upstream}, load on {placed.load}; {chosen.rounds} rounds of {chosen.seconds:g} s"
        )
        alone = _direct(upstream, "plain", chosen.seconds, placed)
        streams = _direct(upstream, "stream", chosen.seconds, placed)
        print(f"upstream by itself: {alone.rate:,.0f} requests/s, {streams.rate:,.0f} streams/s")
        runners, notes = [], []
        for name in dict.fromkeys(chosen.contenders.split(",")):
            contender: Contender = importlib.import_module(f"contenders.{name}").make(options)
            runner = Runner(contender, upstream, folder / name, placed)
            stack.callback(runner.close)
            try:
                runner.start()
                runners.append(runner)
            except Unavailable as reason:
                runner.close()
                notes.append(f"{name}: not measured: {reason}")
        results = [Result(name=runner.name, turns=[]) for runner in runners]
        direct: list[tuple[int, int]] = []
        for number in range(chosen.rounds):
            paced = _direct(upstream, "paced", chosen.seconds, placed)
            direct.append((paced.p50_us, paced.p99_us))
            order = runners if number % 2 == 0 else runners[::-1]
            runs = {(kind, runner.name): runner.run(kind, chosen.seconds) for kind in KINDS for runner in order}
            for result in results:
                result.turns.append(Turn.of(*(runs[kind, result.name] for kind in KINDS)))
                print(f"round {number + 1} {result.name}: {result.turns[-1]}", file=sys.stderr)
        for runner, result in zip(runners, results, strict=True):
            result.rss_mb = runner.soak(1e-9 if chosen.no_soak else result.median("requests_s"))
            result.start_s = runner.start_times(3)
            result.requests, result.failed, result.same = runner.sent, runner.failed, runner.same
            result.samples = runner.samples[:3]
            runner.close()
    ceiling = next((result.turns for result in results if result.name == "ceiling"), [])
    for result in results:
        compare(result, ceiling, direct)
    print(table(results))
    notes += [f"{result.name}: wrong answer: {sample}" for result in results for sample in result.samples]
    print("\n".join(notes))
    if chosen.json:
        everything = {"cores": placed, "upstream_requests_s": alone.rate, "upstream_streams_s": streams.rate,
                      "direct_us": direct, "results": results, "notes": notes}  # fmt: skip
        chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(everything)))
    return 1 if any(result.failed for result in results) else 0


def _direct(upstream: str, kind: Kind, seconds: float, placed: Cores) -> load.Found:
    """Load the upstream without anybody between."""
    body = load.request_body("gpt-4o-mini", stream=kind == "stream")
    found = load.run(f"{upstream}/v1/chat/completions", {}, body, LOADS[kind], seconds=seconds, core=placed.load)
    if found.failed or found.bad:
        raise SystemExit(f"the upstream itself fails: {found}")
    return found


if __name__ == "__main__":
    raise SystemExit(main())
