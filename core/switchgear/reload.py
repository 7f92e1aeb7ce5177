"""Taking over what changed while the gateway serves: resources from the store, settings from plugins.toml."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from switchgear.admin.configuration import ConfigVersion, FileState, Reloaded
from switchgear.ambient import Ambient
from switchgear.config import Config
from switchgear.contracts.store import Change
from switchgear.errors import ConfigError, ValidationFailed
from switchgear.kernel import Kernel
from switchgear.resources.engine import ResourceEngine

_Stamp = tuple[int, int, int] | None


class LiveConfiguration:
    """The configuration of one process.

    `reread` returns what plugins.toml and the environment say now; `read_files_again` looks at the files that resources name.
    """

    def __init__(
        self,
        kernel: Kernel,
        resources: ResourceEngine,
        reread: Callable[[], Config],
        ambient: Ambient,
        *,
        has_store: bool,
        read_files_again: Callable[[], Awaitable[None]],
    ) -> None:
        self._kernel = kernel
        self._resources = resources
        self._reread = reread
        self._ambient = ambient
        self._has_store = has_store
        self._read_files_again = read_files_again
        self._log = structlog.get_logger()
        self._path = kernel.config.source
        self._stamp = _stamp(self._path)
        self._read_us = self._live_us = ambient.now_us()
        self._later: tuple[str, ...] = ()
        self._failures: tuple[str, ...] = ()
        self._one_at_a_time = asyncio.Lock()
        self._hangup: asyncio.Task[None] | None = None
        resources.feed.watch(self._moved)

    def version(self) -> ConfigVersion:
        """Say which one is in force."""
        current = _stamp(self._path) == self._stamp
        path = None if self._path is None else str(self._path)
        file = FileState(path, self._read_us, current, self._later, self._failures)
        resources = self._resources
        return ConfigVersion(resources.snapshot.revision, self._live_us, len(resources.broken), file)

    async def reload(self) -> Reloaded:
        """Apply the store's changes, then plugins.toml. Raises `ValidationFailed`, `StoreUnavailable`."""
        async with self._one_at_a_time:
            if self._has_store:
                await self._resources.feed.catch_up()
            await self._try_again()
            await self._read()
        return Reloaded(self.version(), list(self._resources.broken.values()))

    def on_hangup(self) -> None:
        """Read plugins.toml again; what came of it is in the log."""
        self._hangup = asyncio.get_running_loop().create_task(self._read_unasked())

    async def _read_unasked(self) -> None:
        async with self._one_at_a_time:
            await self._try_again()
            with contextlib.suppress(ValidationFailed):
                await self._read()

    async def _try_again(self) -> None:
        """Look at certificates again, and at what cannot be used: what was missing may be there."""
        await self._read_files_again()
        await self._resources.feed.try_again()

    async def _read(self) -> None:
        stamp = _stamp(self._path)
        try:
            self._take(await asyncio.to_thread(self._reread), stamp)
        except (ConfigError, OSError) as error:
            self._refuse(error)
            refusal = ValidationFailed(
                "plugins.toml, or what it names, is wrong; what was read before stays in force",
                [("", failure) for failure in self._failures],
            )
            refusal.code = "bad_configuration"
            raise refusal from error

    def _take(self, config: Config, stamp: _Stamp) -> None:
        self._later = tuple(self._kernel.reconfigure(config))
        if config.source != self._path:  # there was none at the start, or it is gone
            self._path, stamp = config.source, _stamp(config.source)
        self._stamp, self._read_us, self._failures = stamp, self._ambient.now_us(), ()
        self._log.info("the configuration was read again", takes_a_restart=list(self._later))

    def _refuse(self, error: Exception) -> None:
        self._failures = tuple(str(error).splitlines())
        self._log.error("the configuration is wrong and stays as it was", failures=list(self._failures))

    def _moved(self, change: Change) -> None:  # noqa: ARG002 - whatever it is, it is live now
        self._live_us = self._ambient.now_us()


def _stamp(path: Path | None) -> _Stamp:
    """Return what tells a file from the one that was there before; None if it cannot be looked at."""
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return None if found is None else (found.st_ino, found.st_size, found.st_mtime_ns)
