"""One life of a process that appends, drains and is killed: see test_crash.py."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from switchgear.ambient import Ambient
from switchgear.ledger.drain import Drain
from switchgear.ledger.journal import Journal
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore
from zygote import serve


def life(argument: str, acknowledge: Callable[[str], None]) -> None:
    directory, instance, name = argument.split(" ")
    asyncio.run(work(Path(directory), instance, name, acknowledge))


async def work(directory: Path, instance: str, name: str, acknowledge: Callable[[str], None]) -> None:
    ambient = Ambient()
    journal = Journal(directory / "journal", instance, segment_bytes=64 * 1024)
    store = SqliteStore(SqliteSettings(readers=1), directory, ambient)
    await store.open()
    await journal.open()
    draining = asyncio.create_task(Drain(journal, store, ambient, interval_s=0.002, batch=20).run())
    number = 0
    while not draining.done():
        for _ in range(5):
            id = f"{name}-{number:06}"
            journal.append("usage", id, number, b'{"n":%d,"pad":"%s"}' % (number, b"x" * (number % 700)))
            acknowledge(id)
            number += 1
        await asyncio.sleep(0)
    sys.exit(str(draining.exception()))


if __name__ == "__main__":
    serve(life)
