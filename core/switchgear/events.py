"""Events on their way to the listeners: one bounded queue a listener, off the request path."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from switchgear.contracts.event import EVENTS, Event, EventHandler
from switchgear.plugin_faults import contained, is_own_doing
from switchgear.telemetry.metrics import Counter, Metrics

QUEUE_LENGTH = 1000


@dataclass(frozen=True, slots=True)
class _Listener:
    names: frozenset[str]
    plugin: str
    handler: EventHandler
    queue: "asyncio.Queue[tuple[Event, asyncio.Future[bool] | None]]"
    dropped: Counter

    def wants(self, event: Event) -> bool:
        return not self.names or event.name in self.names


class EventBus:
    """Hands each event to every listener that wants it. A listener that is slow loses its own events, counted."""

    def __init__(self, metrics: Metrics, failed: Callable[[str, str, BaseException | str], None]) -> None:
        self._failed = failed
        self._dropped = metrics.counter("events_dropped", "Events a listener was too slow for.", ("plugin",))
        self._listeners: list[_Listener] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.known: dict[str, str] = dict(EVENTS)
        """What is announced, by name, and when."""

    def listen(self, plugin: str, handler: EventHandler) -> None:
        """Add a listener."""
        try:
            names = frozenset(handler.names)
        except Exception as error:  # noqa: BLE001 - counted and logged under the plugin's name; the others go on
            self._failed(plugin, "the names of events", error)
            return
        queue: asyncio.Queue[tuple[Event, asyncio.Future[bool] | None]] = asyncio.Queue(QUEUE_LENGTH)
        self._listeners.append(_Listener(names, plugin, handler, queue, self._dropped.child(plugin)))

    def emit(self, event: Event) -> None:
        """Queue an event for all who want it. Never blocks; call it on the event loop's thread."""
        for listener in self._listeners:
            if listener.wants(event):
                try:
                    listener.queue.put_nowait((event, None))
                except asyncio.QueueFull:
                    listener.dropped.inc()

    async def announce(self, event: Event) -> bool:
        """Hand an event to all who want it, and wait until each has taken note; say whether none failed."""
        heard: list[asyncio.Future[bool]] = []
        for listener in self._listeners:
            if listener.wants(event):
                heard.append(asyncio.get_running_loop().create_future())
                await listener.queue.put((event, heard[-1]))
        return all(await asyncio.gather(*heard))

    def start(self) -> None:
        """Begin to deliver; what was emitted before is delivered first."""
        self._tasks = [
            asyncio.create_task(self._deliver(item), name=f"events:{item.plugin}") for item in self._listeners
        ]

    async def stop(self, within_s: float) -> None:
        """Deliver what is queued, for at most `within_s` seconds, then end."""
        if not self._tasks:
            return
        drained = asyncio.gather(*(listener.queue.join() for listener in self._listeners))
        await asyncio.wait({drained}, timeout=within_s)
        drained.cancel()
        for task in self._tasks:
            task.cancel()
        _, stuck = await asyncio.wait(self._tasks, timeout=within_s)
        for listener, task in zip(self._listeners, self._tasks, strict=True):
            if task in stuck:
                self._failed(listener.plugin, task.get_name(), f"did not end within {within_s:g} s of being cancelled")
        self._tasks = []

    async def _deliver(self, listener: _Listener) -> None:
        while True:
            event, heard = await listener.queue.get()
            was_heard = False
            try:
                waiting = listener.handler.handle(event)
                if waiting is not None:
                    await contained(waiting)
                was_heard = True
            except BaseException as error:
                if not is_own_doing(error):
                    raise
                self._failed(listener.plugin, f"event {event.name}", error)
            finally:
                listener.queue.task_done()
                if heard is not None and not heard.done():
                    heard.set_result(was_heard)
