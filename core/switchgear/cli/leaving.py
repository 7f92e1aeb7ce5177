"""The end of the process: within its time, whatever a plugin left behind, which is named."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from types import CoroutineType, FrameType
from typing import Any, NoReturn

import structlog

from switchgear.plugin_faults import Owner, PluginFaults

_HEED_S = 1.0
"""How long tasks that were told to end, and threads, may take once everything has stopped."""
_POLL_S = 0.05
_MARGIN_S = 5.0
"""How much longer than its parts are allowed to the shutdown as a whole may take."""


class Leaving:
    """Ends the process. `faults` are told of what plugins left behind, `flush` writes what was logged."""

    def __init__(self, faults: PluginFaults, flush: Callable[[], object], monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._faults = faults
        self._flush = flush
        self._main = threading.get_ident()

    def begin(self, within_s: float) -> None:
        """Have the process end at the latest so many seconds, and a margin, from now, whatever blocks the event loop."""
        threading.Thread(
            target=self._last_resort, args=(within_s + _MARGIN_S,), name="last resort", daemon=True
        ).start()

    async def end(self) -> None:
        """Wait a moment for what still runs; where something does not end, name it and exit without it."""
        loop = asyncio.get_running_loop()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        stuck = (await asyncio.wait(tasks, timeout=_HEED_S))[1] if tasks else set()
        theirs = set(_threads())
        closing = asyncio.create_task(loop.shutdown_default_executor())
        await asyncio.wait({closing}, timeout=_HEED_S)
        until = self._monotonic() + _HEED_S
        while (threads := [it for it in _threads() if it in theirs]) and self._monotonic() < until:  # noqa: ASYNC110 - threads tell nobody that they end
            await asyncio.sleep(_POLL_S)
        if stuck or threads or not closing.done():
            self._exit(stuck, threads, 0)

    def _last_resort(self, seconds: float) -> None:
        time.sleep(seconds)
        structlog.get_logger().critical("shutdown did not end in time", seconds=seconds)
        self._exit(set(), _threads(), 1)

    def _exit(self, tasks: "set[asyncio.Task[Any]]", threads: list[threading.Thread], status: int) -> NoReturn:
        for task in tasks:
            owner = self._owner(_frames_of(task.get_coro()))
            what = f"task {task.get_name()} ({getattr(task.get_coro(), '__qualname__', '')})"
            self._faults.note(owner, what, "does not end although it was cancelled; the process exits without it")
        frames = sys._current_frames()  # noqa: SLF001 - the documented way to another thread's stack
        if status:
            self._faults.note(
                self._owner(_outwards(frames.get(self._main))), "the event loop", "is still at work; the process exits"
            )
        for thread in threads:
            owner = self._owner(_outwards(frames.get(thread.ident or 0)))
            self._faults.note(
                owner, f"thread {thread.name}", "does not end and is no daemon; the process exits without it"
            )
        self._flush()
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError, AttributeError):  # nobody reads it, or there is none
                continue
        os._exit(status)

    def _owner(self, frames: Iterator[FrameType]) -> Owner:
        for frame in frames:
            if plugin := self._faults.plugin_of(frame.f_globals.get("__name__", "")):
                return Owner(plugin)
        return Owner()


def _threads() -> list[threading.Thread]:
    """Return the threads that would keep the process: what is no daemon, and not the main one."""
    main = threading.main_thread()
    return [thread for thread in threading.enumerate() if thread is not main and not thread.daemon]


def _frames_of(running: "Coroutine[Any, Any, Any] | Any") -> Iterator[FrameType]:
    """Yield the frames of a coroutine, and of what it waits for."""
    while isinstance(running, CoroutineType):
        if running.cr_frame is not None:
            yield running.cr_frame
        running = running.cr_await


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
