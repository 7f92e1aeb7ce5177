"""How a replica stays current: its own writes are live before they return, those of others within a second.

The feed position moves only over changes that were read from the store and applied, in order, so a write of another replica
that lands just before ours is not skipped.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog

from switchgear.contracts.resource import ResourceKind
from switchgear.contracts.store import Change, Document, Store
from switchgear.errors import StoreUnavailable
from switchgear.resources.cache import LiveCache, Load, Loaded
from switchgear.resources.compiler import Compiler
from switchgear.resources.snapshot import Broken, Key

PAGE = 1000
_LONGEST_WAIT_S = 30.0
_AWAY_S = 0.5
_log = structlog.stdlib.get_logger(__name__)

OnChange = Callable[[str, Any | None], None]


class Feed:
    """Applies the store's change feed to the snapshot and the caches of this process."""

    def __init__(self, store: Store, kinds: Mapping[str, ResourceKind[Any, Any]], compiler: Compiler) -> None:
        self.position = 0
        self.failures = 0
        """Polls that found the store away and listeners that failed, since the start; for health and metrics."""
        self._store = store
        self._kinds = kinds
        self._compiler = compiler
        self._caches: dict[tuple[str, str], LiveCache] = {}
        self._callbacks: dict[str, list[OnChange]] = {}
        self._watchers: list[Callable[[Change], None]] = []
        self._applying = asyncio.Lock()
        self.broken_on_demand: dict[Key, Broken] = {}

    async def load(self) -> None:
        """Read and compile everything resident."""
        async with self._applying:
            revision = await self._store.revision()
            documents: dict[Key, Document | None] = {}
            for kind in self._kinds.values():
                after = ""
                while kind.resident and (page := await self._store.page(kind.name, after=after, limit=PAGE)):
                    documents.update({(kind.name, document.id): document for document in page})
                    after = page[-1].id
            self._compiler.adopt(self._compiler.stage(documents), revision)
            self.position = revision

    async def follow(self) -> None:
        """Wait for the writes of other replicas until cancelled. While the store is away the last good state stays."""
        away = False
        while True:
            try:
                if await self._store.wait_for_change(self.position, _LONGEST_WAIT_S) > self.position:
                    await self.catch_up()
                if away:
                    _log.info("the store answers again; configuration is current")
                away = False
            except StoreUnavailable as error:
                self.failures += 1
                if not away:
                    _log.warning("the store is away; configuration stays as it was", error=str(error))
                away = True
                await asyncio.sleep(_AWAY_S)

    async def catch_up(self, written: Iterable[Document] = ()) -> None:
        """Apply every change after the feed position. `written` are documents just written here, which need no reading."""
        known = {(document.kind, document.id): document for document in written}
        async with self._applying:
            while changes := await self._store.changes(self.position, limit=PAGE):
                await self._apply(changes, known)

    async def try_again(self) -> list[Key]:
        """Compile what is broken once more: what it needed may be there now. Returns what is in force since."""
        async with self._applying:
            self.broken_on_demand.clear()
            stage = self._compiler.again() if self._compiler.snapshot.broken else None
            if stage is None:
                return []
            before = self._compiler.snapshot.broken.keys()
            self._compiler.adopt(stage, self._compiler.snapshot.revision)
            mended = sorted(before - self._compiler.snapshot.broken.keys())
            for cache in self._caches.values():
                for key in stage.moved:
                    cache.forget(key)
            for key, live in stage.moved.items():
                if live is not None and key[0] in self._callbacks:
                    self._announce(key, live)
        _log.info("what was broken can be used again", resources=["/".join(key) for key in mended])
        return mended

    async def keep_trying(self, again_s: float = 15.0) -> None:
        """Try what is broken again and again, until cancelled."""
        while True:
            await asyncio.sleep(again_s)
            await self.try_again()

    async def _apply(self, changes: list[Change], known: Mapping[Key, Document]) -> None:
        documents: dict[Key, Document | None] = {}
        for key, revision in {(change.kind, change.id): change.revision for change in changes}.items():
            if key[0] in self._kinds:
                documents[key] = await self._current(key, revision, known)
        stage = self._compiler.stage({key: it for key, it in documents.items() if self._kinds[key[0]].resident})
        self.position = changes[-1].revision
        self._compiler.adopt(stage, self.position)
        for key in documents:
            self.broken_on_demand.pop(key, None)
        moved = {**dict.fromkeys(documents), **stage.moved}
        for cache in self._caches.values():
            for key in moved:
                cache.forget(key)
        for key, live in moved.items():
            if key[0] in self._callbacks:
                document = None if self._kinds[key[0]].resident else documents[key]
                self._announce(key, live if document is None else self._compiled(document))
        for change in changes:
            for watch in self._watchers:
                watch(change)

    async def _current(self, key: Key, revision: int, known: Mapping[Key, Document]) -> Document | None:
        document = known.get(key)
        if document is None or document.revision < revision:
            if not self._kinds[key[0]].resident and key[0] not in self._callbacks:
                return None  # the caches only need to know that it moved
            document = await self._store.read(*key)
        return None if document is None or document.deleted else document

    def _announce(self, key: Key, live: Any | None) -> None:
        for callback in self._callbacks[key[0]]:
            try:
                callback(key[1], live)
            except Exception:  # noqa: BLE001 - a listener's bug must not stop the feed; it is logged and counted
                self.failures += 1
                _log.exception("a listener failed on a change", kind=key[0], id=key[1], listener=repr(callback))

    def on_change(self, kind: str, callback: OnChange) -> None:
        """Call back after each change of a kind is live."""
        self._callbacks.setdefault(kind, []).append(callback)

    def watch(self, callback: Callable[[Change], None]) -> None:
        """Call back with each line of the change feed, of whatever kind, once it is live; it must neither block nor raise."""
        self._watchers.append(callback)

    def cache(self, kind: str, index: str) -> LiveCache:
        """Return the cache over one unique index of a non-resident kind."""
        if (kind, index) not in self._caches:
            self._caches[kind, index] = LiveCache(kind, self._loader(kind, index))
        return self._caches[kind, index]

    def _loader(self, kind: str, index: str) -> Load:
        async def load(value: str) -> Loaded | None:
            document = await self._store.lookup(index, value)
            if document is None or document.kind != kind:
                return None
            return Loaded((kind, document.id), self._compiler.named(document), self._compiled(document))

        return load

    def _compiled(self, document: Document) -> Any | None:
        key = (document.kind, document.id)
        try:
            return self._compiler.compile(document)
        except ValueError as error:
            if len(self.broken_on_demand) < PAGE:
                self.broken_on_demand[key] = Broken(*key, str(error))
            return None
