"""What the journal, its drain and the SQLite store cost: `python contrib/bench/ledger.py [directory]`."""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from switchgear.ambient import Ambient
from switchgear.contracts.store import RecordQuery, RecordRow, Write
from switchgear.ledger.drain import Drain
from switchgear.ledger.journal import Journal
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore

AT_US = 1_760_000_000_000_000
MINUTE_US = 60_000_000


def body(number: int) -> bytes:
    members = {f"member_{n}": n * 1000 for n in range(12)} | {f"name_{n}": f"value-{n}" for n in range(12)}
    return json.dumps(
        {**members, "model": f"model-{number % 20}", "key": f"key-{number % 500}", "cost": number}
    ).encode()


def report(name: str, value: float, unit: str) -> None:
    print(f"{name:58} {value:12,.2f} {unit}")


async def append_one_by_one(journal: Journal, ids: list[str]) -> None:
    one = body(1)
    times: list[float] = []
    for start in range(0, len(ids), 10):
        for id in ids[start : start + 10]:
            began = time.perf_counter()
            journal.append("usage", id, AT_US, one)
            times.append(time.perf_counter() - began)
        await asyncio.sleep(0)
    times.sort()
    for name, at in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
        report(f"journal append of {len(one)} bytes, {name}", times[int(len(times) * at)] * 1e6, "us")
    report("journal append, mean", statistics.fmean(times) * 1e6, "us")


async def lag_while(work: asyncio.Task[None]) -> list[float]:
    lags: list[float] = []
    while not work.done():
        began = time.perf_counter()
        await asyncio.sleep(0.0005)
        lags.append(time.perf_counter() - began - 0.0005)
    return sorted(lags)


async def spin_while(work: asyncio.Task[None]) -> None:
    while not work.done():
        until = time.perf_counter() + 0.0002
        while time.perf_counter() < until:
            pass
        await asyncio.sleep(0)


async def drains(directory: Path, count: int) -> None:
    ambient = Ambient()
    journal, store = Journal(directory / "journal", "bench"), SqliteStore(SqliteSettings(), directory, ambient)
    await journal.open()
    await store.open()
    drain = Drain(journal, store, ambient)
    await append_one_by_one(journal, [ambient.new_id() for _ in range(count)])
    for name, watch in (("idle", lag_while), ("busy", spin_while)):
        if name == "busy":
            for number in range(count):
                journal.append("usage", ambient.new_id(), AT_US + number, body(number))
        began, cpu = time.perf_counter(), time.process_time()
        work = asyncio.create_task(drain.drain_now())
        lags = await watch(work)
        took = time.perf_counter() - began
        report(f"drained into SQLite, event loop {name}", count / took, "records/s")
        if lags:
            report("  processor time", (time.process_time() - cpu) / count * 1e6, "us a record")
            report("  event loop late by, p99", lags[int(len(lags) * 0.99)] * 1e3, "ms")
            report("  event loop late by, most", lags[-1] * 1e3, "ms")
    await journal.close()
    await store.close()


async def group_commit(directory: Path, callers: int) -> None:
    journal = Journal(directory / "full", "bench", durability="full")
    await journal.open()

    async def call(caller: int) -> None:
        for number in range(20):
            journal.append("usage", f"{caller}-{number}", AT_US, body(number))
            await journal.sync()

    began = time.perf_counter()
    await asyncio.gather(*(call(caller) for caller in range(callers)))
    report(f"durability=full, {callers} at once", callers * 20 / (time.perf_counter() - began), "acknowledged/s")
    await journal.close()


async def documents(directory: Path, durability: str, count: int) -> None:
    place = directory / f"documents-{durability}"
    place.mkdir()
    store = SqliteStore(SqliteSettings(durability="full" if durability == "full" else "process"), place, Ambient())
    await store.open()
    began = time.perf_counter()
    for number in range(count):
        await store.write([Write("models", str(number), b"{}", 0, (("callable", str(number)),))], at_us=1)
    report(
        f"store writes one after another, durability={durability}", count / (time.perf_counter() - began), "writes/s"
    )
    began = time.perf_counter()
    for number in range(count):
        await store.lookup("callable", str(number))
    report("store lookups by key one after another", count / (time.perf_counter() - began), "lookups/s")
    await store.close()


async def queries(directory: Path, count: int) -> None:
    place = directory / "queries"
    place.mkdir()
    store = SqliteStore(SqliteSettings(), place, Ambient())
    await store.open()
    for start in range(0, count, 1000):
        rows = [RecordRow(f"{n:032}", AT_US + n * MINUTE_US, body(n)) for n in range(start, start + 1000)]
        await store.append("usage", rows)
    for name, work in (
        ("page of 100", lambda: store.scan(RecordQuery("usage"))),
        ("page of 100 of one key of 500", lambda: store.scan(RecordQuery("usage", equals={"key": "key-7"}))),
        ("sums by model", lambda: store.summarise(RecordQuery("usage"), ["model"], ["cost"])),
        ("sums by day and model", lambda: store.summarise(RecordQuery("usage"), ["day", "model"], ["cost"])),
    ):
        began = time.perf_counter()
        await work()
        report(f"{name}, over {count:,} records", (time.perf_counter() - began) * 1e3, "ms")
    await store.close()


async def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        directory = Path(name)
        await drains(directory, 100_000)
        for callers in (1, 100):
            await group_commit(directory, callers)
        for durability in ("process", "full"):
            await documents(directory, durability, 1000)
        await queries(directory, 200_000)


if __name__ == "__main__":
    asyncio.run(main())
