"""A whole gateway in a process of its own, for tests that kill, stop and restart it."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from support.gateway import ADMIN_KEY, SQLITE, Running, Upstream, configure, provision
from support.process import Server, switchgear


class Daemon(Running):
    """`switchgear serve` over a directory; the same words as `Running`, and `process`."""

    def __init__(self, directory: Path, environ: dict[str, str], under: Sequence[str] = ()) -> None:
        argv = [*under, *switchgear("--data-dir", str(directory / "data"))]
        self.process = Server(argv, env={**os.environ, "ADMIN_KEY": ADMIN_KEY, **environ}, cwd=directory)
        super().__init__(None, self.process.port)

    async def ready(self) -> None:
        """Wait until it is ready."""
        await asyncio.to_thread(self.process.wait_ready)

    async def restart(self) -> None:
        """Kill it, start it again over the same directory, wait until it is ready."""
        self.process.close()
        self.process.start()
        await self.ready()


@asynccontextmanager
async def daemon(
    directory: Path,
    upstream: Upstream | None = None,
    *,
    gateway: str = "",
    store: str = SQLITE,
    plugins: str = "",
    environ: dict[str, str] | None = None,
    under: Sequence[str] = (),
    patience: float = 20.0,
) -> AsyncIterator[Daemon]:
    """Serve a gateway over `directory`, by a command that is put behind `under`; give it a provider at `upstream`.

    It waits `patience` seconds for a provider to begin or to go on.
    """
    configure(directory, gateway, store, "", plugins, first_byte=patience, idle=patience, total=60.0)
    made = Daemon(directory, environ or {}, under)
    try:
        made.process.start()
        await made.ready()
        await provision(made, upstream)
        yield made
    finally:
        await made.admin.aclose()
        await made.http.aclose()
        made.process.close()
