"""A budget for each stage of a request. `python contrib/bench/profile.py [NAME=PATH ...]`, or `run.py --profile`.

With valgrind: instructions in user space, which are the same again to a fraction of a per cent on however busy a machine.
`--by time`: processor time, which includes the kernel's and needs a quiet machine.
"""

import argparse
import json
import mmap
import os
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

import drive
from contenders.base import LIMITED_KEY, Contender, Launch, Options, Target, Unavailable
from contenders.ceiling import Ceiling
from contenders.switchgear import OfTree, Switchgear
from stages import LOOP, STAGES, numbered
from trees import Tree

from support.ports import free_port
from support.process import Child, Server

HERE = Path(__file__).resolve().parent
NOTHING, EVERYTHING = -1, 63
HEAD, CELLS = struct.Struct("iiii"), 64 * 64
SIZE = HEAD.size + 2 * 8 * CELLS
SETTLE_S = 1.2
"""Quiet time after the last answer: the drain of records runs meanwhile, and belongs to the requests."""


class Threads(msgspec.Struct, frozen=True):
    """Something in the main thread and in all others, a request."""

    main: float = 0
    others: float = 0

    @property
    def both(self) -> float:
        return self.main + self.others


class Budget(msgspec.Struct):
    """What one contender spends on a request, in `unit`; `stages` is empty where only the total could be counted.

    `probed` is the total with the probe in place. What it adds goes by the frame, as calls from Python to Python take a longer
    way with it, so it is taken off each stage by the `frames` that run there.
    """

    name: str
    unit: str
    total: Threads
    probed: Threads = Threads()
    stages: dict[str, Threads] = {}
    frames: list[Threads] = []
    note: str = ""

    def without_probe(self) -> dict[str, Threads]:
        """Return what the stages would cost without the probe."""
        frames = sum(spent.main for spent in self.frames)
        own = max(0.0, self.probed.main - self.total.main) / frames if frames else 0.0
        found = {}
        for name, spent in self.stages.items():
            ran = self.frames[STAGES.index(name)]
            found[name] = Threads(max(0.0, spent.main - own * ran.main), max(0.0, spent.others - own * ran.others))
        return found


class Probe:
    """The memory shared with the probe in the server (`probe/probe.c`)."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "probe"
        self.file.write_bytes(HEAD.pack(NOTHING, NOTHING, 0, 0) + bytes(2 * 8 * CELLS))
        with self.file.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), SIZE)

    def want(self, stage: int, timeout_s: float = 30) -> None:
        """Have another stage collected; return once the server does so."""
        self._memory[:4] = struct.pack("i", stage)
        deadline = time.monotonic() + timeout_s
        while HEAD.unpack_from(self._memory)[1] != stage:
            if time.monotonic() > deadline:
                raise Unavailable("the probe does not answer: no Python code runs in the server")
            time.sleep(0.01)

    def seconds(self) -> list[Threads]:
        """Return what each stage took so far."""
        return self._table(HEAD.size, 1e9)

    def frames(self) -> list[Threads]:
        """Return how many Python frames ran in each stage so far."""
        return self._table(HEAD.size + 8 * CELLS, 1)

    def _table(self, at: int, unit: float) -> list[Threads]:
        cells = struct.unpack_from(f"{CELLS}Q", self._memory, at)
        return [
            Threads(cells[stage] / unit, sum(cells[64 * thread + stage] for thread in range(1, 64)) / unit)
            for stage in range(len(STAGES))
        ]


def built(python: str, folder: Path) -> Path:
    """Compile the probe for an interpreter; return the folder to put on its path. Raises `Unavailable`."""
    ask = "import sysconfig; print(sysconfig.get_path('include')); print(sysconfig.get_config_var('EXT_SUFFIX'))"
    include, suffix = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.split()
    place = folder / "on-path"
    place.mkdir()
    shutil.copy(HERE / "probe/sitecustomize.py", place)
    target = str(place / f"bench_probe{suffix}")
    known = ["-DWITH_CALLGRIND"] if Path("/usr/include/valgrind/callgrind.h").exists() else []
    argv = ["cc", "-O2", "-shared", "-fPIC", *known, f"-I{include}", str(HERE / "probe/probe.c"), "-o", target]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        raise Unavailable(f"no C compiler: {error}") from error
    if done.returncode:
        raise Unavailable(f"the probe does not compile: {done.stderr[-600:]}")
    return place


class Subject:
    """A contender to be profiled: started as often as it takes, each time anew."""

    def __init__(self, contender: Contender, upstream: str, folder: Path, chosen: argparse.Namespace) -> None:
        self.name = contender.name
        self._contender, self._upstream, self._folder, self._chosen = contender, upstream, folder, chosen
        self._runs = 0

    def _launch(self) -> tuple[Launch, Path, int]:
        self._runs += 1
        home = self._folder / f"{self.name}-{self._runs}"
        home.mkdir(parents=True)
        self._contender.install(home)
        port = free_port()
        return self._contender.launch(port, self._upstream, home), home, port

    def _serve(self, stack: ExitStack, under: list[str], probe: Probe | None) -> tuple[Server, Target, Path]:
        launch, home, port = self._launch()
        env = {**os.environ, "PYTHONPATH": "", **launch.env, "PYTHONHASHSEED": "0"}
        if probe is not None:
            env["PYTHONPATH"] = f"{built(launch.argv[0], home)}{os.pathsep}{env['PYTHONPATH']}"
            env["BENCH_PROBE"] = json.dumps([str(probe.file), numbered(), bool(under)])
        argv = ["taskset", "-c", str(self._chosen.core), *under, *launch.argv]
        server = Server(argv, port=port, env=env, cwd=home, ready=launch.ready)
        stack.enter_context(server)
        server.wait_ready(240)
        target = self._contender.provision(server.url, self._upstream)
        self._drive(server, target, self._chosen.warm)
        time.sleep(SETTLE_S)
        return server, target, home

    def _drive(self, server: Server, target: Target, count: int) -> None:
        drive.drive(server.port, target, count, size=self._chosen.prompt_bytes, stream=self._chosen.stream)

    # Instructions

    def instructions(self) -> Budget:
        with ExitStack() as stack:
            total = self._counted(stack)
        budget = Budget(self.name, "thousand instructions", total)
        if self._chosen.total_only:
            return budget
        try:
            with ExitStack() as stack:
                self._count_stages(stack, budget)
        except Unavailable as reason:
            budget.note = f"no stages: {reason}"
        return budget

    def _valgrind(self, out: Path, *more: str) -> list[str]:
        mode = ["--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes", f"--callgrind-out-file={out}"]
        return ["valgrind", *mode, *more]

    def _counted(self, stack: ExitStack) -> Threads:
        """Count everything, with nothing in the process that would not be there otherwise."""
        out = self._folder / f"{self.name}-total"
        server, target, _ = self._serve(stack, self._valgrind(out), None)
        subprocess.run(["callgrind_control", "-i", "on", str(server.pid)], capture_output=True, check=True, timeout=60)
        self._drive(server, target, self._chosen.count)
        time.sleep(SETTLE_S)
        return self._read(out, self._dump(server, out), self._chosen.count)

    def _count_stages(self, stack: ExitStack, budget: Budget) -> None:
        out = self._folder / f"{self.name}-stages"
        probe = Probe(self._folder)
        server, target, _ = self._serve(stack, self._valgrind(out, "--collect-atstart=no"), probe)
        count = self._chosen.stage_count

        def collected(stage: int) -> int:
            probe.want(stage)
            self._drive(server, target, count)
            time.sleep(SETTLE_S)
            probe.want(NOTHING)
            return self._dump(server, out)

        collected(EVERYTHING)  # once for nothing: callgrind begins to instrument
        before = probe.frames()
        budget.probed = self._read(out, collected(EVERYTHING), count)
        budget.frames = [_per(*pair, count) for pair in zip(before, probe.frames(), strict=True)]
        for stage, name in enumerate(STAGES):
            if budget.frames[stage].both:
                budget.stages[name] = self._read(out, collected(stage), count)

    def _dump(self, server: Server, out: Path) -> int:
        """Have callgrind write what it collected and begin anew; return the number of the dump."""
        subprocess.run(["callgrind_control", "-d", str(server.pid)], capture_output=True, check=True, timeout=60)
        time.sleep(0.2)
        return max(int(file.name.rpartition(".")[2].partition("-")[0]) for file in out.parent.glob(f"{out.name}.*-*"))

    def _read(self, out: Path, dump: int, count: int) -> Threads:
        main = others = 0
        for file in out.parent.glob(f"{out.name}.{dump}-*"):
            found = re.findall(r"^(?:totals|summary): +(\d+)", file.read_text(errors="replace"), re.MULTILINE)
            value = int(found[-1]) if found else 0
            if int(file.name.rpartition("-")[2]) == 1:
                main += value
            else:
                others += value
        return Threads(main / count / 1000, others / count / 1000)

    # Time

    def time(self) -> Budget:
        with ExitStack() as stack:
            server, target, _ = self._serve(stack, [], None)
            plain = [self._slice(server, target) for _ in range(self._chosen.slices)]
        budget = Budget(self.name, "us of processor time", _median(plain))
        if self._chosen.total_only:
            return budget
        try:
            with ExitStack() as stack:
                self._time_stages(stack, budget)
        except Unavailable as reason:
            budget.note = f"no stages: {reason}"
        return budget

    def _slice(self, server: Server, target: Target) -> Threads:
        before = _thread_seconds(server)
        self._drive(server, target, self._chosen.count)
        time.sleep(SETTLE_S)
        return _per(before, _thread_seconds(server), self._chosen.count / 1e6)

    def _time_stages(self, stack: ExitStack, budget: Budget) -> None:
        probe = Probe(self._folder)
        server, target, _ = self._serve(stack, [], probe)
        totals: list[Threads] = []
        slices: list[list[Threads]] = []
        frames = probe.frames()
        for _ in range(self._chosen.slices):
            before = probe.seconds()
            totals.append(self._slice(server, target))
            after = probe.seconds()
            slices.append([_per(*pair, self._chosen.count / 1e6) for pair in zip(before, after, strict=True)])
        budget.probed = _median(totals)
        count = self._chosen.count * self._chosen.slices
        budget.frames = [_per(*pair, count) for pair in zip(frames, probe.frames(), strict=True)]
        budget.stages = {name: _median([one[at] for one in slices]) for at, name in enumerate(STAGES)}
        # The clock of the main thread's stages runs on while the loop waits, and while others have the core
        known = sum(spent.main for name, spent in budget.stages.items() if name != LOOP)
        budget.stages[LOOP] = Threads(max(0.0, budget.probed.main - known), budget.stages[LOOP].others)
        if known > budget.probed.main:
            budget.note = "the stages took longer than the processor time there was: others had the core"


def _thread_seconds(server: Server) -> Threads:
    """Return the processor time of the main thread of a process and of all its others."""
    main = others = 0.0
    for task in Path(f"/proc/{server.pid}/task").iterdir():
        try:
            spent = int(task.joinpath("schedstat").read_text().split()[0]) / 1e9
        except OSError:
            continue  # it ended
        if int(task.name) == server.pid:
            main += spent
        else:
            others += spent
    return Threads(main, others)


def _per(before: Threads, after: Threads, count: float) -> Threads:
    return Threads((after.main - before.main) / count, (after.others - before.others) / count)


def _median(values: list[Threads]) -> Threads:
    return Threads(statistics.median(v.main for v in values), statistics.median(v.others for v in values))


def report(budgets: list[Budget]) -> str:
    """Return the budgets side by side, a row a stage; stages in which nobody spends anything are left out."""
    if not budgets:
        return "nothing measured"
    spent = [budget.without_probe() for budget in budgets]
    names = [name for name in STAGES if any(name in stages and stages[name].both >= 0.05 for stages in spent)]
    names.sort(key=lambda name: -max(stages[name].both for stages in spent if name in stages))
    rows = [["", *(part for b in budgets for part in (f"{b.name} main", "others", "frames"))]]
    rows += [[name, *(cell for at, b in enumerate(budgets) for cell in _cells(b, spent[at], name))] for name in names]
    if names:
        sums = [Threads(sum(s.main for s in one.values()), sum(s.others for s in one.values())) for one in spent]
        rows.append(["sum of stages", *(cell for one in sums for cell in (*_pair(one), ""))])
        rows.append(["all, with the probe", *(cell for b in budgets for cell in (*_pair(b.probed), ""))])
    rows.append(["all", *(cell for b in budgets for cell in (*_pair(b.total), ""))])
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = [f"{budgets[0].unit} a request"]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    base = budgets[0].total.both
    lines += [f"{b.name}: {b.total.both:.1f} = {b.total.both / base:.3f} x {budgets[0].name}" for b in budgets if base]
    return "\n".join([*lines, *(f"{b.name}: {b.note}" for b in budgets if b.note)])


def _cells(budget: Budget, stages: dict[str, Threads], name: str) -> tuple[str, str, str]:
    if name not in stages:
        return "-", "-", "-"
    return *_pair(stages[name]), f"{budget.frames[STAGES.index(name)].both:.1f}"


def _pair(spent: Threads) -> tuple[str, str]:
    return f"{spent.main:.1f}", f"{spent.others:.1f}"


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Says what each stage of a request costs.")
    parser.add_argument("trees", nargs="*", default=[], help="[NAME=]PATH of further checkouts or virtual environments")
    parser.add_argument("--only", default="ceiling,switchgear", help="of ceiling,switchgear, besides the trees")
    by = "instructions" if shutil.which("valgrind") else "time"
    parser.add_argument("--by", choices=("instructions", "time"), default=by, help=f"what is counted ({by})")
    parser.add_argument("--total-only", action="store_true", help="no stages: half the time, and nothing compiled")
    parser.add_argument("--count", type=int, default=600, help="requests counted for a total; of a slice of time")
    parser.add_argument("--stage-count", type=int, default=150, help="requests for each stage, by instructions")
    parser.add_argument("--slices", type=int, default=7, help="slices of time, of which the median counts")
    parser.add_argument("--warm", type=int, default=300, help="requests before anything is counted")
    parser.add_argument("--prompt-bytes", type=int, default=0, help="size of the prompt (two short messages)")
    parser.add_argument("--stream", action="store_true", help="streams instead of whole answers")
    parser.add_argument("--plugins", default="", help="enable these instead of plugins.toml.example's")
    parser.add_argument("--key", default=LIMITED_KEY, help="JSON members of the API key (limits nobody reaches)")
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), help="of the server (the first)")
    parser.add_argument("--json", type=Path, help="also write the budgets to this file")
    return parser.parse_args(argv)


def run(chosen: argparse.Namespace) -> list[Budget]:
    options = Options(tuple(filter(None, chosen.plugins.split(","))), chosen.key)
    made = {"ceiling": Ceiling, "switchgear": lambda: Switchgear(options)}
    contenders: list[Contender] = [made[name]() for name in filter(None, chosen.only.split(","))]
    contenders += [OfTree(options, Tree.of(text)) for text in chosen.trees]
    budgets: list[Budget] = []
    with ExitStack() as stack:
        port = free_port()
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-profile-")))
        other = max(os.sched_getaffinity(0))
        argv = ["taskset", "-c", str(other), sys.executable, str(HERE / "upstream.py"), str(port), "1", "10"]
        stack.enter_context(Child(argv)).first_line()
        for contender in contenders:
            subject = Subject(contender, f"http://127.0.0.1:{port}", folder, chosen)
            try:
                budgets.append(subject.instructions() if chosen.by == "instructions" else subject.time())
            except (Unavailable, RuntimeError, OSError, subprocess.SubprocessError) as reason:
                print(f"{contender.name}: not profiled: {reason}", file=sys.stderr)
    return budgets


def main(argv: list[str] | None = None) -> int:
    chosen = arguments(argv)
    budgets = run(chosen)
    print(report(budgets))
    if chosen.json:
        chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(budgets)))
    return 0 if budgets else 1


if __name__ == "__main__":
    raise SystemExit(main())
