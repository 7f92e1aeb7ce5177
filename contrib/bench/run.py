"""Measures gateways against the ceiling on one core. See README.md beside this file.

python contrib/bench/run.py --contenders ceiling,switchgear --rounds 3
"""

import argparse
import os
import platform
import shutil
import sys
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))  # support.process: servers as child processes

import profile as stage_profile

from contenders.base import LIMITED_KEY
from figures import KINDS
from measure import Cores
from report import against, table, unsteady
from trees import Tree

from bench import Bench

CONTENDERS = (
    *("ceiling", "twin", "switchgear", "budgets", "redis", "translated", "filtered", "examples"),
    *("litellm", "portkey", "tensorzero"),
)
WRONG, UNSTEADY = 1, 3


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures gateways against the ceiling on one core.")
    parser.add_argument("--seconds", type=float, default=5, help="of each load of a turn (5)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender, interleaved (5)")
    parser.add_argument("--contenders", default="ceiling,switchgear", help=f"of {','.join(CONTENDERS)}")
    parser.add_argument(
        "--tree", action="append", default=[], metavar="[NAME=]PATH", help="also the gateway of this checkout or venv"
    )
    parser.add_argument("--loads", default=",".join(KINDS), help=f"of {','.join(KINDS)} (all)")
    parser.add_argument(
        "--allow-unsteady", action="store_true", help="print shares of a ceiling that moved, with a mark"
    )
    parser.add_argument("--json", type=Path, help="also write everything measured to this file")
    parser.add_argument("--cores", help="SERVER,UPSTREAM,LOAD by number (default: the first, and the next ones)")
    parser.add_argument("--events-per-chunk", type=int, default=1, help="SSE events in one HTTP chunk upstream (1)")
    parser.add_argument("--events-per-write", type=int, default=10, help="SSE events in one write upstream (10)")
    parser.add_argument(
        "--no-soak", action="store_true", help="skip 100,000 requests, large prompts and the minute after"
    )
    parser.add_argument("--plugins", default="", help="switchgear: enable these instead of plugins.toml.example's")
    parser.add_argument(
        "--key", default=LIMITED_KEY, help="switchgear: JSON members of the API key (limits nobody reaches)"
    )
    parser.add_argument("--profile", action="store_true", help="stages of a request instead: see --profile --help")
    chosen = parser.parse_args(argv)
    for given, known in ((chosen.contenders, CONTENDERS), (chosen.loads, KINDS)):
        unknown = set(filter(None, given.split(","))) - set(known)
        if unknown:
            parser.error(f"no such thing: {', '.join(sorted(unknown))}; there is {', '.join(known)}")
    try:
        names = [Tree.of(text).name for text in chosen.tree]
    except ValueError as error:
        parser.error(str(error))
    taken = [*filter(None, chosen.contenders.split(",")), *names]
    if len(set(taken)) < len(taken):
        parser.error(f"two contenders have one name ({', '.join(taken)}): --tree NAME=PATH")
    for tool in ("wrk", "taskset", "timeout"):
        if shutil.which(tool) is None:
            parser.error(f"{tool} is not installed (Debian: apt-get install wrk util-linux coreutils)")
    return chosen


def cores(wanted: str | None) -> Cores:
    """Choose cores: the server alone on the first; upstream and load on the next ones, sharing one if there are two."""
    if wanted:
        return Cores(*map(int, wanted.split(",")))
    free = sorted(os.sched_getaffinity(0))
    return Cores(free[0], free[min(1, len(free) - 1)], free[min(2, len(free) - 1)])


def main(argv: list[str]) -> int:
    if "--profile" in argv:
        return stage_profile.main([word for word in argv if word != "--profile"])
    chosen = arguments(argv)
    placed = cores(chosen.cores)
    print(
        f"{platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} cores: server on {placed.server}, "
        f"upstream on {placed.upstream}, load on {placed.load}; {chosen.rounds} rounds of {chosen.seconds:g} s"
    )
    bench = Bench(chosen, placed)
    results = bench.run()
    moved = unsteady(results)
    if results:
        print(table(results, allow_unsteady=chosen.allow_unsteady))
    names = {result.name: result for result in results}
    trees = [Tree.of(text).name for text in chosen.tree]
    first, *rest = [name for name in ("switchgear", *trees) if name in names] or [""]
    print("\n".join([*(against(names[first], names[name]) for name in rest), *bench.notes, *moved]))
    if moved:
        print("run it again while nothing else runs" + ("; ? marks such shares" if chosen.allow_unsteady else ""))
    if chosen.json:
        everything = {"cores": placed, "direct": bench.direct, "results": results, "notes": [*bench.notes, *moved]}
        chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(everything)))
    if not results or any(result.failed for result in results):
        return WRONG
    return UNSTEADY if moved and not chosen.allow_unsteady else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
