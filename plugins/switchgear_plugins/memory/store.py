"""The store in dictionaries: for tests, and for a gateway whose configuration is all in files."""

import asyncio
import contextlib
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from switchgear.ambient import Ambient
from switchgear.contracts.store import Aggregate, Change, Document, RecordQuery, RecordRow, Replay, Write, check_records
from switchgear.contracts.store_rules import check_batch, next_version, refuse
from switchgear.contracts.tables import Tables
from switchgear.errors import StoreConflict, StoreError, StoreUnavailable
from switchgear_plugins.memory.records import Records

Name = tuple[str, str]


class MemoryStore:
    """The `Store` contract in one process's memory. What it holds survives `close` and `open`, not the process."""

    def __init__(self, ambient: Ambient | None = None) -> None:
        self._ambient = ambient or Ambient()
        self._open = False
        self._changed = asyncio.Event()
        self._leases: dict[str, tuple[str, float]] = {}
        self._versions: dict[Name, list[Document]] = {}
        self._current: dict[Name, Document] = {}
        self._ids: defaultdict[str, list[str]] = defaultdict(list)
        self._holders: dict[tuple[str, str], Name] = {}
        self._claims: dict[Name, Write] = {}
        self._users: defaultdict[Name, set[Name]] = defaultdict(set)
        self._replays: dict[tuple[str, str], Replay] = {}
        self._feed: list[Change] = []
        self._records: defaultdict[str, Records] = defaultdict(Records)

    async def open(self, migrations: Sequence[tuple[str, Path]] = ()) -> None:
        """Begin. Raises `StoreError` for plugins with tables: there are none here."""
        if migrations:
            who = ", ".join(f"plugin `{name}` ({directory})" for name, directory in migrations)
            raise StoreError(
                f"the store `memory` has no tables, and needs some for {who}. Use another store, or disable it"
            )
        self._open = True

    async def close(self) -> None:
        """End."""
        self._open = False
        self._changed.set()
        self._changed = asyncio.Event()

    async def ping(self) -> None:
        """Prove that the store is open."""
        self._check_open()

    async def read(self, kind: str, id: str) -> Document | None:
        """Return the current version."""
        self._check_open()
        return self._current.get((kind, id))

    async def lookup(self, index: str, value: str) -> Document | None:
        """Return the document that holds a unique key."""
        self._check_open()
        holder = self._holders.get((index, value))
        return None if holder is None else self._current[holder]

    async def search(
        self, index: str, prefix: str, *, limit: int = 100, naming: tuple[str, str] | None = None
    ) -> list[Document]:
        """Return the documents that hold a unique key which begins so."""
        self._check_open()
        found = sorted(value for of, value in self._holders if of == index and value.startswith(prefix))
        holders = [self._holders[index, value] for value in found]
        if naming is not None:
            users = self._users.get(naming, ())
            holders = [it for it in holders if it in users]
        return [self._current[it] for it in holders[:limit]]

    async def page(
        self, kind: str, *, after: str = "", limit: int = 100, naming: tuple[str, str] | None = None
    ) -> list[Document]:
        """Return current documents of a kind in id order."""
        self._check_open()
        ids = self._ids.get(kind, [])
        if naming is not None:
            ids = sorted(id for of, id in self._users.get(naming, ()) if of == kind)
        start = bisect_right(ids, after)
        return [self._current[kind, id] for id in ids[start : start + limit]]

    async def write(
        self,
        batch: Sequence[Write],
        *,
        at_us: int,
        replay: Replay | None = None,
        records: Sequence[tuple[str, RecordRow]] = (),
    ) -> list[Document]:
        """Write all or nothing: everything is checked before anything is changed."""
        self._check_open()
        names = {(write.kind, write.id) for write in batch}
        check_batch(batch)
        if replay is not None and (replay.scope, replay.key) in self._replays:
            raise StoreConflict("exists", "replay", replay.key)
        for kind, row in records:
            check_records(kind, [row])
        revision = self._revision() + 1
        documents = [self._next_version(write, revision, at_us) for write in batch]
        self._check_keys(batch, names)
        self._check_references(batch, names)
        for write, document in zip(batch, documents, strict=True):
            self._store(write, document)
        if replay is not None:
            self._replays[replay.scope, replay.key] = replay
        for kind, row in records:
            self._records[kind].append(kind, [row])
        if documents:
            self._changed.set()
            self._changed = asyncio.Event()
        return documents

    async def recall(self, scope: str, key: str) -> Replay | None:
        """Return the remembered answer of an Idempotency-Key."""
        self._check_open()
        return self._replays.get((scope, key))

    async def forget(self, before_us: int) -> int:
        """Drop remembered answers older than `before_us`."""
        self._check_open()
        old = [name for name, replay in self._replays.items() if replay.at_us < before_us]
        for name in old:
            del self._replays[name]
        return len(old)

    async def versions(self, kind: str, id: str, *, before: int | None = None, limit: int = 100) -> list[Document]:
        """Return versions newest first."""
        self._check_open()
        found = self._versions.get((kind, id), [])
        return [document for document in reversed(found) if before is None or document.version < before][:limit]

    async def references_to(self, kind: str, id: str, *, limit: int = 20) -> list[tuple[str, str]]:
        """Return the (kind, id) of documents that name this one."""
        self._check_open()
        return sorted(self._users.get((kind, id), ()))[:limit]

    async def revision(self) -> int:
        """Return the global revision."""
        self._check_open()
        return self._revision()

    async def changes(self, after: int, *, limit: int = 1000) -> list[Change]:
        """Return the change feed; it may pass `limit` to end with a whole revision."""
        self._check_open()
        start = bisect_right(self._feed, after, key=lambda change: change.revision)
        end = start + limit
        if end < len(self._feed):
            end = bisect_right(self._feed, self._feed[end - 1].revision, key=lambda change: change.revision)
        return self._feed[start:end]

    async def wait_for_change(self, revision: int, timeout_s: float) -> int:
        """Return once there is more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while await self.revision() <= revision:
                    await self._changed.wait()
        return await self.revision()

    async def lease(self, name: str, holder: str, ttl_s: float) -> bool:
        """Take or renew a lease."""
        self._check_open()
        now = self._ambient.monotonic()
        has, until = self._leases.get(name, (holder, now))
        if has != holder and until > now:
            return False
        self._leases[name] = (holder, now + ttl_s)
        return True

    async def release(self, name: str, holder: str) -> None:
        """Give a lease back."""
        self._check_open()
        if self._leases.get(name, ("", 0.0))[0] == holder:
            del self._leases[name]

    def tables(self, namespace: str) -> Tables:
        """Raise `StoreError`: there are none."""
        raise StoreError(f"the store `memory` has no tables for plugin `{namespace}`")

    async def append(self, kind: str, rows: Sequence[RecordRow]) -> int:
        """Append records, ignoring ids that are there already."""
        self._check_open()
        return self._records[kind].append(kind, rows)

    async def expire(self, kind: str, before_us: int, *, limit: int = 1000) -> int:
        """Delete the oldest records of a kind that are older than `before_us`."""
        self._check_open()
        return self._records[kind].expire(before_us, limit)

    async def scan(self, query: RecordQuery) -> list[RecordRow]:
        """Return records that match, newest first."""
        self._check_open()
        return self._records[query.kind].scan(query)

    async def summarise(self, query: RecordQuery, by: Sequence[str], sums: Sequence[str]) -> list[Aggregate]:
        """Group matching records and add up integer members."""
        self._check_open()
        return self._records[query.kind].summarise(query, by, sums)

    def _check_open(self) -> None:
        if not self._open:
            raise StoreUnavailable("the store is not open")

    def _revision(self) -> int:
        return self._feed[-1].revision if self._feed else 0

    def _next_version(self, write: Write, revision: int, at_us: int) -> Document:
        versions = self._versions.get((write.kind, write.id))
        latest = versions[-1] if versions else None
        known = None if latest is None else (latest.version, latest.created_us, latest.deleted)
        return next_version(write, known, revision, at_us)

    def _check_keys(self, batch: Sequence[Write], names: set[Name]) -> None:
        taken: dict[tuple[str, str], Name] = {}
        for write in batch:
            if write.spec is None:
                continue
            kept = {key: holder for key in write.keys if (holder := self._holders.get(key)) and holder not in names}
            refuse("key_taken", write, [holder for key in write.keys if (holder := kept.get(key) or taken.get(key))])
            taken.update(dict.fromkeys(write.keys, (write.kind, write.id)))

    def _check_references(self, batch: Sequence[Write], names: set[Name]) -> None:
        after = {(write.kind, write.id) for write in batch if write.spec is not None}
        for write in batch:
            if write.spec is not None:
                missing = [
                    to for to in write.references if to not in after and (to in names or to not in self._current)
                ]
                refuse("missing_reference", write, missing)
        for write in batch:
            if write.spec is None:
                refuse("in_use", write, sorted(self._users.get((write.kind, write.id), set()) - names))

    def _store(self, write: Write, document: Document) -> None:
        name = (write.kind, write.id)
        before = self._claims.pop(name, None)
        if before is not None:
            for key in before.keys:
                # A batch may have given the key to another document already.
                if self._holders.get(key) == name:
                    del self._holders[key]
            for to in before.references:
                self._users[to].discard(name)
        self._versions.setdefault(name, []).append(document)
        self._feed.append(Change.of(document))
        ids = self._ids[write.kind]
        if document.deleted:
            del self._current[name]
            del ids[bisect_left(ids, write.id)]
            return
        if name not in self._current:
            insort(ids, write.id)
        self._current[name] = document
        self._claims[name] = write
        self._holders.update(dict.fromkeys(write.keys, name))
        for to in write.references:
            self._users[to].add(name)
