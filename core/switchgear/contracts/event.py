"""Facts the kernel and plugins announce to whoever listens. Delivery is in process, after the fact, off the request path."""

from collections.abc import Awaitable, Mapping
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct

EVENTS: Mapping[str, str] = MappingProxyType(
    {
        "KIND.changed": "a write of a resource is in force here (`models.changed`); data: `id`, `revision`",
        "KIND.deleted": "so is that it was deleted; data: `id`, `revision`",
        "credentials.failing": "a secret cannot be fetched any more; data: `id`, `why`, `kept` (an older value is in use)",
        "credentials.refused": "a provider refuses a secret, or what it may do; data: `id`, `provider`, `status`",
        "credentials.recovered": "it can be fetched, or is accepted, again; data: `id`",
        "targets.opened": (
            "the breaker of a model at a provider opened; data: `provider`, `model` (the provider's name for it), `causes`"
            " (failures by cause), `retry_in_s`"
        ),
        "targets.closed": "it closed again; data: `provider`, `model`",
        "event_loop.blocked": "something let nothing else run for half a second; data: `plugin` (`kernel`: none of them)",
    }
)
"""What the kernel announces, in every process, by name."""


class Event(Struct, frozen=True):
    """Something happened. `name` is dotted (`api-keys.changed`); `data` never holds a secret.

    One that may be announced again, since its teller died before it knew that it was heard, has an `id` that stays.
    """

    name: str
    at_us: int
    data: dict[str, Any] = {}
    id: str = ""


@runtime_checkable
class EventHandler(Protocol):
    """A listener. What it raises is counted under its plugin's name and goes no further."""

    names: frozenset[str]
    """Event names it wants; empty for all."""

    def handle(self, event: Event) -> Awaitable[None] | None:
        """Take note of an event."""
        ...
