"""One life of a process that writes batches and is killed: see test_sqlite_crash.py."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from switchgear.ambient import Ambient
from switchgear.contracts.store import Replay, Write
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore
from zygote import serve


def life(argument: str, acknowledge: Callable[[str], None]) -> None:
    directory, durability, name = argument.split(" ")
    asyncio.run(work(Path(directory), durability, name, acknowledge))


async def work(directory: Path, durability: str, name: str, acknowledge: Callable[[str], None]) -> None:
    settings = SqliteSettings(durability="full" if durability == "full" else "process")
    store = SqliteStore(settings, directory, Ambient())
    await store.open()
    for number in range(1_000_000):
        id = f"{name}-{number}"
        batch = [Write(kind, id, b"{}", keys=((kind, id),)) for kind in ("red", "green", "blue")]
        batch.append(Write("counter", "one", b"%d" % number, references=(("red", id),)))
        await store.write(batch, at_us=1, replay=Replay("scope", id, "print", b"answer", 1))
        acknowledge(id)


if __name__ == "__main__":
    serve(life)
