"""Tells of changes of resources. The store's feed is their outbox: written with the change, and read from where it was left.

Of many gateways the one that holds the lease reads it, and moves on in the transaction in which what it read becomes deliveries.
So every change since the first start is told, and none twice.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from switchgear import Context
from switchgear.contracts.store import Change, Document
from switchgear.errors import ApiError
from switchgear_plugins.webhooks.courier import Courier
from switchgear_plugins.webhooks.outbox import Happened, Outbox, event_id
from switchgear_plugins.webhooks.resources import KIND, LiveWebhook
from switchgear_plugins.webhooks.settings import WebhooksSettings

KEYS = "api-keys"
EXPIRING = f"{KEYS}.expiring"
_LEASE = "webhooks.follow"
_LEASE_S = 30.0
_WAIT_S = 8.0
_PAGE = 200
_VERSIONS = 50


class Follower:
    """Follows the store."""

    def __init__(self, context: Context, outbox: Outbox, courier: Courier, settings: WebhooksSettings) -> None:
        self._context = context
        self._outbox = outbox
        self._courier = courier
        self._settings = settings
        self._holder = context.ambient.new_id()

    async def run(self) -> None:
        """Tell of changes until cancelled, while this process is the one to do so."""
        store = self._context.store
        while True:
            if not await store.lease(_LEASE, self._holder, _LEASE_S):
                await asyncio.sleep(_WAIT_S)
                continue
            position = await self._outbox.position()
            now = await store.revision()
            if position is None or position > now:  # the first start, or an older store was put in place
                await self._outbox.put((), position=now)
                continue
            if position == now:
                await store.wait_for_change(position, _WAIT_S)
                continue
            changes = await store.changes(position, limit=_PAGE)
            told = [it for change in changes for it in await self._told(change)]
            await self._outbox.put(told, position=changes[-1].revision if changes else now)
            self._courier.wake()

    async def release(self) -> None:
        """Let another one follow at once."""
        await self._context.store.release(_LEASE, self._holder)

    async def expiring(self) -> None:
        """Tell of keys that will end soon, each once."""
        if not await self._context.store.lease(_LEASE, self._holder, _LEASE_S) or not self._who(EXPIRING):
            return
        now = datetime.fromtimestamp(self._context.ambient.now_us() / 1_000_000, UTC)
        until = now + timedelta(days=self._settings.expiring_days)
        cursor: str | None = None
        while True:
            try:
                keys, cursor = await self._context.resources.page(KEYS, cursor=cursor, limit=500)
            except ApiError:
                return  # there are no keys here
            for key in keys:
                ends = key.get("expires_at")
                if ends is not None and key.get("status") == "active" and now < datetime.fromisoformat(ends) <= until:
                    id = event_id(EXPIRING, key["id"], ends)
                    data = {"id": key["id"], "name": key.get("name"), "expires_at": ends}
                    await self._put(Happened(id, EXPIRING, self._context.ambient.now_us(), data))
            if cursor is None:
                return

    async def _put(self, event: Happened) -> None:
        await self._outbox.put([(event, self._who(event.name))])
        self._courier.wake()

    def _who(self, name: str) -> list[LiveWebhook]:
        return [it for it in self._context.resources.snapshot.all(KIND).values() if it.wants(name)]

    async def _told(self, change: Change) -> Sequence[tuple[Happened, list[LiveWebhook]]]:
        """Return what a change is told as, and to whom."""
        webhooks: list[LiveWebhook] = [*self._context.resources.snapshot.all(KIND).values()]
        if not any(it == "*" or it.startswith(f"{change.kind}.") for webhook in webhooks for it in webhook.events):
            return ()
        now, before = await self._versions(change)
        names = [f"{change.kind}.deleted"] if change.deleted else _said(change.kind, now, before)
        data = {"id": change.id, "revision": change.revision, "version": change.version, "by": change.actor}
        found = []
        for name in names:
            event = Happened(event_id(name, change.id, change.revision), name, change.at_us, data)
            found.append((event, self._who(name)))
        return found

    async def _versions(self, change: Change) -> tuple[Document | None, Document | None]:
        """Return the version that a change made, and the one before it."""
        versions = await self._context.store.versions(change.kind, change.id, limit=_VERSIONS)
        for place, version in enumerate(versions):
            if version.revision == change.revision:
                return version, versions[place + 1] if place + 1 < len(versions) else None
        return None, None


def _said(kind: str, now: Document | None, before: Document | None) -> list[str]:
    """Return what a write is called: that something was made, or that it was changed and what its status has become."""
    if now is not None and (now.version == 1 or (before is not None and before.deleted)):
        return [f"{kind}.created"]
    changed = [f"{kind}.changed"]
    if now is None or before is None:  # so many writes followed that this one is no longer looked at
        return changed
    status = _status(now)
    return changed if status is None or status == _status(before) else [*changed, f"{kind}.{status}"]


def _status(document: Document) -> str | None:
    found = msgspec.json.decode(document.spec).get("status")
    return found if isinstance(found, str) else None
