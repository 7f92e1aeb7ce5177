"""Facts the kernel and plugins announce to whoever listens. Delivery is in process, after the fact, off the request path.

The kernel announces, in every process:

    KIND.changed, KIND.deleted   a write of a resource is in force here (`api-keys.changed`); data: `id`, `revision`
    credentials.failing          a secret cannot be fetched any more; data: `id`, `why`, `kept` (an older value is in use)
    credentials.recovered        it can be again, or is taken again; data: `id`
    credentials.refused          a provider does not take a secret, and there is no newer one; data: `id`, `provider`, `status`
    targets.opened               the breaker of a model at a provider opened; data: `provider`, `model` (the provider's name for
                                 it), `causes` (failures by cause), `retry_in_s`
    targets.closed               it closed again; data: `provider`, `model`
    event_loop.blocked           something let nothing else run for half a second; data: `plugin` (`kernel`: none of them)
"""

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
