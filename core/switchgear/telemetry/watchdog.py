"""Notices when something blocks the event loop, and names the plugin."""

import sys
import threading
import traceback
from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping
from time import monotonic, process_time
from types import FrameType

from switchgear.telemetry.metrics import Counter, Family, Metrics

KERNEL = "kernel"
"""The label of a stall with no plugin on the stack."""


def stalls(metrics: Metrics) -> Family[Counter]:
    """Return the counter of stalls, by plugin."""
    return metrics.counter("event_loop_stalls", "Times the event loop was blocked.", ("plugin",))


class Watchdog:
    """A thread that asks the loop for a sign of life every `interval_s` and looks at its stack when none comes.

    `packages` maps the modules and packages that are a plugin's own to its name. A stall of more than `threshold_s` plus
    `interval_s` is always noticed; each is logged once, when it is noticed, and counted: while it lasts, or as soon as it ends
    where it holds the interpreter itself (one long regular expression does). `blocked` is told the plugin on the loop's
    thread, as soon as that goes on. Until the gateway is `serving`, only plugins are named: starting takes the kernel its time.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        packages: Mapping[str, str],
        metrics: Metrics,
        blocked: Callable[[str], None],
        *,
        threshold_s: float = 0.5,
        interval_s: float = 0.2,
    ) -> None:
        self._loop = loop
        self._packages = packages
        self._threshold_s = threshold_s
        self._interval_s = interval_s
        self._blocked = blocked
        self._stalls = stalls(metrics)
        self._lag_s = 0.0
        self.serving = False
        self._stopped = threading.Event()
        self._watched = 0
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        metrics.observe_with("event_loop_lag_seconds", "How long the event loop took to answer.", lambda: self._lag_s)

    def start(self) -> None:
        """Watch the thread this is called on, which runs the loop."""
        self._watched = threading.get_ident()
        self._thread.start()

    def stop(self) -> None:
        """End the thread; returns at once."""
        self._stopped.set()

    def _watch(self) -> None:
        try:
            while not self._sleeps():
                self._ask()
        except RuntimeError:  # the loop is closed: nothing is left to watch
            return

    def _sleeps(self) -> bool:
        """Wait between two questions; say whether this thread was stopped."""
        began, worked = monotonic(), process_time()
        stopped = self._stopped.wait(self._interval_s)
        late = monotonic() - began - self._interval_s
        # Code that holds the interpreter keeps this thread from running as well. When it ends it gives way first thing, so that
        # its caller is still on the stack. A machine that stood still did no work meanwhile, and nobody is to blame.
        if late > self._threshold_s and process_time() - worked > late / 2:
            self._report()
        return stopped

    def _ask(self) -> None:
        alive = threading.Event()
        asked = monotonic()
        self._loop.call_soon_threadsafe(alive.set)
        if not alive.wait(self._threshold_s):
            self._report()
            while not (alive.wait(self._interval_s) or self._stopped.is_set()):
                self._lag_s = monotonic() - asked
        self._lag_s = monotonic() - asked

    def _report(self) -> None:
        import structlog  # noqa: PLC0415 - the command line has no use for it, and it takes long to import

        innermost = sys._current_frames().get(self._watched)  # noqa: SLF001 - the documented way to another thread's stack
        plugin = self._culprit(innermost)
        if plugin == KERNEL and not self.serving:
            return
        self._stalls.child(plugin).inc()
        stack = "".join(traceback.format_stack(innermost)) if innermost else ""
        structlog.get_logger().warning("event loop blocked", plugin=plugin, over_s=self._threshold_s, stack=stack)
        self._loop.call_soon_threadsafe(self._blocked, plugin)

    def _culprit(self, frame: FrameType | None) -> str:
        while frame is not None:
            module = frame.f_globals.get("__name__", "")
            while module:
                if plugin := self._packages.get(module):
                    return plugin
                module = module.rpartition(".")[0]
            frame = frame.f_back
        return KERNEL
