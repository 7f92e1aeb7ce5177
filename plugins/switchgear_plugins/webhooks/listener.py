"""Takes note of what is announced in this process: an event is kept, with its deliveries, before `announce` says it was heard."""

from switchgear import Context
from switchgear.contracts.event import Event
from switchgear_plugins.webhooks.courier import Courier
from switchgear_plugins.webhooks.outbox import Happened, Outbox, event_id
from switchgear_plugins.webhooks.resources import KIND


class Listener:
    """The event handler."""

    names: frozenset[str] = frozenset()

    def __init__(self, context: Context, outbox: Outbox, courier: Courier) -> None:
        self._context = context
        self._outbox = outbox
        self._courier = courier

    async def handle(self, event: Event) -> None:
        """Keep what somebody wants to be told of. Changes of resources come from the store's feed, once for all processes."""
        if event.name.endswith((".changed", ".deleted")) and "revision" in event.data:
            return
        wanted = [it for it in self._context.resources.snapshot.all(KIND).values() if it.wants(event.name)]
        if wanted:
            id = event_id(event.name, event.id or self._context.ambient.new_id())
            await self._outbox.put([(Happened(id, event.name, event.at_us, event.data), wanted)])
            self._courier.wake()
