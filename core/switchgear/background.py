"""Background work of plugins: supervised, attributed, and over when its plugin stops."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from switchgear.ambient import Ambient
from switchgear.plugin_faults import contained

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 60.0

Failed = Callable[[str, BaseException | str], None]
"""Told of a failure: what failed, and what was raised or how it looked."""


class Background:
    """The background work of one plugin. `failed` is told of everything it raises."""

    def __init__(self, ambient: Ambient, failed: Failed) -> None:
        self._ambient = ambient
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` until it returns; when it raises, again after a delay that doubles up to a minute, with jitter."""
        task = asyncio.get_running_loop().create_task(self._supervise(name, work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self, within_s: float) -> None:
        """Cancel what still runs and wait for it at most `within_s` seconds."""
        running = tuple(self._tasks)
        for task in running:
            task.cancel()
        if running:
            _, stuck = await asyncio.wait(running, timeout=within_s)
            for task in stuck:
                self._failed(task.get_name(), f"did not end within {within_s:g} s of being cancelled")

    async def _supervise(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        delay = FIRST_DELAY_S
        while True:
            began = self._ambient.monotonic()
            try:
                await contained(work())
            except Exception as error:  # noqa: BLE001 - counted and logged under the plugin's name
                self._failed(name, error)
            else:
                return
            if self._ambient.monotonic() - began > LONGEST_DELAY_S:
                delay = FIRST_DELAY_S
            await asyncio.sleep(delay * (0.5 + self._ambient.random() / 2))
            delay = min(delay * 2, LONGEST_DELAY_S)


def mark_exception_retrieved(future: asyncio.Future[Any]) -> None:
    """Look at what became of a task or future: whoever wants its error gets it, and if nobody does, nobody is told of it."""
    if not future.cancelled():
        future.exception()
