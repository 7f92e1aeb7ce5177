"""An admin server in a process of its own: `served.py DIRECTORY MODE`; MODE `dies` ends it right after the first commit."""

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn

from api.conftest import AUTHORITY
from kernel.resources.toys import KINDS, ToySealer
from switchgear.admin.admin import create_admin_app
from switchgear.ambient import Ambient
from switchgear.resources import ResourceEngine
from switchgear_plugins.sqlite.settings import SqliteSettings
from switchgear_plugins.sqlite.store import SqliteStore


class DyingStore(SqliteStore):
    """Commits, and takes the process down before anybody hears of it."""

    async def write(self, *args: Any, **more: Any) -> Any:
        await super().write(*args, **more)
        os._exit(9)


async def main(directory: Path, mode: str) -> None:
    store = (DyingStore if mode == "dies" else SqliteStore)(SqliteSettings(), directory, Ambient())
    await store.open()
    engine = ResourceEngine(store, KINDS, Ambient(), ToySealer(b"one"))
    await engine.start()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio sets it only on sockets it made itself
    print(listener.getsockname()[1], flush=True)  # noqa: T201 - the parent reads it
    server = uvicorn.Server(uvicorn.Config(create_admin_app(engine, authority=AUTHORITY), log_level="error"))
    await server.serve(sockets=[listener])
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
