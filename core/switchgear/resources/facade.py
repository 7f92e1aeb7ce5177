"""The resource engine as plugins see it: `context.resources`."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Resource, Resources
from switchgear.errors import Conflict
from switchgear.plugin_faults import PluginFaults
from switchgear.resources.cache import LiveCache
from switchgear.resources.engine import ResourceEngine
from switchgear.resources.snapshot import Snapshot
from switchgear.resources.writer import Terms


class PluginResources(Resources):
    """The contract over an engine. `faults` are told of plugins that fail on a change."""

    def __init__(self, engine: ResourceEngine, faults: PluginFaults | None = None) -> None:
        self._engine = engine
        self._compiler = engine.compiler
        self._faults = faults

    @property
    def snapshot(self) -> Snapshot:
        """The current snapshot."""
        return self._compiler.snapshot

    def cache(self, kind: str, index: str) -> LiveCache:
        """Return the cache of a non-resident kind over one of its unique indexes."""
        return self._engine.feed.cache(self._engine.kind(kind).name, index)

    def on_change(self, kind: str, callback: Callable[[str, Any | None], None]) -> None:
        """Call back after each change of a kind is live."""
        name = self._engine.kind(kind).name
        self._engine.feed.on_change(name, callback if self._faults is None else partial(self._tell, name, callback))

    def _tell(self, kind: str, callback: Callable[[str, Any | None], None], id: str, live: Any | None) -> None:
        """Tell a plugin of a change, which stands whatever the plugin makes of it."""
        assert self._faults is not None
        try:
            callback(id, live)
        except BaseException as error:  # noqa: BLE001 - counted and logged under the plugin's name; nothing is waited for here
            self._faults.note(self._faults.culprit(error), f"a change of {kind}/{id}", error)

    async def get(self, kind: str, id: str) -> Resource[Any] | None:
        """Read one resource from the store, secrets sealed. Raises `Conflict` if no enabled plugin can read it."""
        document = await self._engine.find(kind, id)
        if document is None:
            return None
        resource, problems = self._engine.compiler.decoded(document, secrets=False)
        if resource is None:
            raise Conflict(f"what is stored as {kind}/{id} cannot be read: {problems[0].detail}", code="unreadable")
        return resource

    async def page(
        self, kind: str, *, cursor: str | None = None, limit: int = 100
    ) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        """List as GET would."""
        page = await self._engine.page(kind, cursor=cursor, limit=limit)
        return page.data, page.next_cursor

    async def create(self, kind: str, id: str | None, body: Mapping[str, Any], *, by: Principal) -> Mapping[str, Any]:
        """Create as POST would."""
        written = await self._engine.create(kind, body, Terms(by), id=id)
        return {**(written.view or {}), **written.once}

    async def update(
        self, kind: str, id: str, patch: Mapping[str, Any], *, by: Principal, version: int | None = None
    ) -> Mapping[str, Any]:
        """Merge-patch as PATCH would."""
        written = await self._engine.patch(kind, id, patch, Terms(by, None if version is None else (version,)))
        return {**(written.view or {}), **written.once}

    async def act(self, kind: str, id: str, action: str, body: Any = None, *, by: Principal) -> Mapping[str, Any]:
        """Run an action as POST would."""
        written = await self._engine.act(kind, id, action, body, Terms(by))
        return {**(written.view or {}), **written.once}

    async def delete(self, kind: str, id: str, *, by: Principal) -> None:
        """Delete as DELETE would."""
        await self._engine.delete(kind, id, Terms(by))
