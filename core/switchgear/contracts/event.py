"""Facts the kernel and plugins announce to whoever listens. Delivery is in process, after the fact, off the request path."""

from collections.abc import Awaitable
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct


class Event(Struct, frozen=True):
    """Something happened. `name` is dotted (`api-keys.changed`); `data` never holds a secret."""

    name: str
    at_us: int
    data: dict[str, Any] = {}


@runtime_checkable
class EventHandler(Protocol):
    """A listener. What it raises is counted under its plugin's name and goes no further."""

    names: frozenset[str]
    """Event names it wants; empty for all."""

    def handle(self, event: Event) -> Awaitable[None] | None:
        """Take note of an event."""
        ...
