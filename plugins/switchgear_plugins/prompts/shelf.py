"""Prompts as they are now, and as they were."""

from collections import OrderedDict
from collections.abc import Awaitable

import msgspec

from switchgear.contracts.exchange import Exchange
from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Snapshot
from switchgear.contracts.store import Store
from switchgear_plugins.prompts.resources import KIND, LivePrompt, Prompt, live

_MOST_KEPT = 1000


class Shelf:
    """Finds prompts. A version never changes, so those that were asked for are kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[tuple[str, int, int], LivePrompt] = OrderedDict()

    def find(self, x: Exchange, id: str, version: int | None) -> LivePrompt | Awaitable[LivePrompt | None] | None:
        """Return a prompt that whoever asks may use, at once unless an older version has to be read; None if there is none."""
        now = current(x.snapshot, id)
        if now is None or not now.spec.enabled or not _is_for(now, x.principal):
            return None
        return now if version in (None, now.version) else self._older(now, version or 0, x.principal)

    async def _older(self, now: LivePrompt, version: int, principal: Principal | None) -> LivePrompt | None:
        found = await self.version(now, version)
        return found if found is not None and _is_for(found, principal) else None

    async def version(self, now: LivePrompt, version: int) -> LivePrompt | None:
        """Return a version of a prompt, None if there is none. It may have been of another team than now."""
        if version == now.version:
            return now
        if not 0 < version < now.version:
            return None
        found = await self._store.versions(KIND, now.id, before=version + 1, limit=1)
        if not found or found[0].version != version or found[0].deleted:
            return None
        key = (now.id, version, found[0].revision)
        kept = self._kept.get(key)
        if kept is None:
            kept = live(now.id, version, msgspec.json.decode(found[0].spec, type=Prompt))
            self._kept[key] = kept
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return kept


def current(snapshot: Snapshot, id: str) -> LivePrompt | None:
    """Return a prompt as it is now."""
    found: LivePrompt | None = snapshot.live(KIND, id)
    return found


def _is_for(prompt: LivePrompt, principal: Principal | None) -> bool:
    team = prompt.spec.team_id
    return team is None or (principal is not None and principal.labels.get("team") == team)
