"""The one way a draft becomes stored and live.

Writes of one process take turns, so what was validated is what is written; replicas are held apart by the store, and a change
that lost to another replica is drafted again from what that one wrote.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import structlog
from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.contracts.principal import ALLOWED, Principal, Scope
from switchgear.contracts.resource import Problem, ResourceKind
from switchgear.contracts.store import Document, Replay, Store
from switchgear.errors import Conflict, PreconditionFailed, StoreConflict, StoreUnavailable
from switchgear.resources import conflicts
from switchgear.resources.body import refuse
from switchgear.resources.compiler import Compiler
from switchgear.resources.drafts import Draft
from switchgear.resources.feed import Feed
from switchgear.resources.naming import SHARED
from switchgear.resources.snapshot import Key, Stage
from switchgear.resources.views import Written, view

TRIES = 8
CurrentT = TypeVar("CurrentT", Document, Document | None)
_log = structlog.stdlib.get_logger(__name__)


class Remember(Struct, frozen=True):
    """How the answer to a write is kept under its Idempotency-Key, in the write's own transaction."""

    scope: str
    key: str
    fingerprint: str
    encode: Callable[[Written], bytes]

    def replay(self, written: Written, at_us: int) -> Replay:
        """Return what the store keeps."""
        return Replay(self.scope, self.key, self.fingerprint, self.encode(written), at_us)


class Terms(Struct, frozen=True):
    """On what terms a write is made: by whom, over which versions (None: any), remembered how, within what."""

    by: Principal
    expect: Collection[int] | None = None
    remember: Remember | None = None
    scope: Scope = ALLOWED


class Writer:
    """Checks, writes and puts in force."""

    def __init__(
        self,
        store: Store,
        kinds: Mapping[str, ResourceKind[Any, Any]],
        compiler: Compiler,
        feed: Feed,
        ambient: Ambient,
    ) -> None:
        self._store = store
        self._kinds = kinds
        self._compiler = compiler
        self._feed = feed
        self._ambient = ambient
        self._turn = asyncio.Lock()

    async def create(self, draft: Callable[[], Draft], terms: Terms) -> Written:
        """Write something new."""
        return await self.change(_nothing, lambda _: draft(), terms)

    async def change(
        self,
        read: Callable[[], Awaitable[CurrentT]],
        draft: Callable[[CurrentT], Draft],
        terms: Terms,
    ) -> Written:
        """Read the current version, draft what it becomes, write it."""
        async with self._turn:
            for _ in range(TRIES):
                await self._refresh()
                current = await read()
                if current is not None and not _covers(terms.scope, self._kinds[current.kind], current):
                    raise conflicts.not_there(self._kinds[current.kind], current.id)
                _check_version(current, terms.expect)
                if current is not None:
                    conflicts.refuse_file_owned(current)
                try:
                    return await self._one(draft(current), current, terms)
                except StoreConflict:
                    continue  # another replica wrote this, or what it changes elsewhere; that is current now
                except Conflict as error:
                    if terms.scope.filter is None or error.code not in conflicts.TELLING:
                        raise
                    raise conflicts.untold(error) from None
        raise Conflict("it is being written by many at once; try again", code="contended")

    async def batch(self, plan: Callable[[], Awaitable[Sequence[Draft]]], by: Principal) -> list[Document]:
        """Write what `plan` awaits to a list of drafts, all or none."""
        async with self._turn:
            await self._refresh()
            drafts = await plan()
            try:
                return await self._commit(drafts, (), by, self._ambient.now_us(), None) if drafts else []
            except StoreConflict as error:
                raise Conflict(f"{error.kind}/{error.id} was changed meanwhile; plan again", code="stale") from error

    async def _one(self, draft: Draft, current: Document | None, terms: Terms) -> Written:
        kind, at_us = self._kinds[draft.kind], self._ambient.now_us()
        refuse(conflicts.outside(kind, draft.id, draft.spec, terms.scope))
        if current is not None and draft.spec is not None and msgspec.json.decode(current.spec) == draft.spec:
            written = Written(draft.id, current.version, view(kind, current), draft.once)
            if terms.remember is not None:
                await self._write([], [draft], at_us, terms.remember.replay(written, at_us))
            return written

        def written_as(document: Document | None, version: int) -> Written:
            shown = None if draft.spec is None or document is None else view(kind, document)
            return Written(draft.id, version, shown, draft.once)

        replay = None
        if terms.remember is not None:
            version = 1 + (draft.base or await self._last_version(draft))
            created_us = at_us if current is None else current.created_us
            foreseen = draft.document(version=version, at_us=at_us, created_us=created_us, actor=terms.by.id)
            replay = terms.remember.replay(written_as(foreseen, version), at_us)
        document, *_ = await self._commit([draft], await self._also(kind, draft), terms.by, at_us, replay)
        return written_as(document, document.version)

    async def _also(self, kind: ResourceKind[Any, Any], draft: Draft) -> list[Draft]:
        """Draft what a write changes elsewhere; of several changes to one resource each is laid over the one before."""
        drafts: dict[Key, Draft] = {}
        for other in () if draft.spec is None else kind.also(draft.spec):
            key = (other.kind, other.id)
            if (found := drafts.get(key)) is None:
                current = await self._store.read(*key)
                if current is None or current.owner != draft.owner:
                    continue
                found = Draft(*key, msgspec.json.decode(current.spec), current.version, current.owner)
            after = other.change(found.spec or {})
            if after != found.spec:
                drafts[key] = msgspec.structs.replace(found, spec=after)
        return list(drafts.values())

    def problems(self, drafts: Sequence[Draft], by: Principal) -> list[tuple[Key, Problem]]:
        """Say what would keep drafts from being written by somebody, as far as this process knows."""
        planned = self._planned(drafts, "", 0)
        used = [
            (key, Problem("", f"is in use by {', '.join(sorted('/'.join(user) for user in users))}"))
            for key, document in planned.items()
            if document is None and (users := self._compiler.users(key) - planned.keys())
        ]
        return self._checked(drafts, planned, by)[1] + used

    async def _commit(
        self, written: Sequence[Draft], also: Sequence[Draft], by: Principal, at_us: int, replay: Replay | None
    ) -> list[Document]:
        drafts = [*written, *also]
        planned = self._planned(drafts, by.id, at_us)
        stage, problems = self._checked(drafts, planned, by)
        refuse(conflicts.placed(problems, written))
        batch = [
            draft.write(by.id, self._keys(planned[draft.key]), _stored(stage.names[draft.key])) for draft in drafts
        ]
        documents = await self._write(batch, drafts, at_us, replay)
        try:
            await self._feed.catch_up(documents)
        except StoreUnavailable as error:  # it is written; `follow` puts it in force as soon as the store is back
            _log.warning("a change is stored and will be live when the store answers again", error=str(error))
        return documents

    def _planned(self, drafts: Sequence[Draft], actor: str, at_us: int) -> dict[Key, Document | None]:
        return {
            draft.key: draft.document(version=draft.base + 1, at_us=at_us, created_us=at_us, actor=actor)
            for draft in drafts
        }

    def _checked(
        self, drafts: Sequence[Draft], planned: Mapping[Key, Document | None], by: Principal
    ) -> tuple[Stage, list[tuple[Key, Problem]]]:
        missing = conflicts.missing_references(self._kinds, self._compiler, drafts, planned)
        clashes = conflicts.name_clashes(self._kinds, self._compiler, drafts, planned)
        stage = self._compiler.stage({} if missing else planned, by=by)
        # Deleting what others name would break them too, but then the store's refusal, which names them all, says it best.
        in_use = any(
            document is None and self._compiler.users(key) - planned.keys() for key, document in planned.items()
        )
        failed = [
            (key, problem) for key, found in stage.problems.items() if key in planned or not in_use for problem in found
        ]
        return stage, missing + clashes + failed

    async def _write(self, batch: Any, drafts: Sequence[Draft], at_us: int, replay: Replay | None) -> list[Document]:
        try:
            return await self._store.write(batch, at_us=at_us, replay=replay)
        except StoreConflict as error:
            raise conflicts.explained(error, drafts, self._compiler) from error

    def _keys(self, document: Document | None) -> tuple[tuple[str, str], ...]:
        if document is None:
            return ()
        kind = self._kinds[document.kind]
        resource, _ = self._compiler.decoded(document)
        assert resource is not None  # it has just been compiled
        keys = tuple(kind.keys(resource.spec))
        if kind.callable:
            keys = (*keys, ("callable", document.id))
        return (*keys, ("principal", document.id)) if kind.principals else keys

    async def _last_version(self, draft: Draft) -> int:
        """Return the version a deleted resource had: a new one of its id counts on from there."""
        found = await self._store.versions(draft.kind, draft.id, limit=1)
        return found[0].version if found else 0

    async def _refresh(self) -> None:
        """See what other replicas wrote, so that nothing is refused for what is no longer so."""
        if await self._store.revision() != self._feed.position:
            await self._feed.catch_up()


def _stored(names: Sequence[Key]) -> tuple[Key, ...]:
    """Leave out names that no single resource has, so the store cannot hold them: those who name one are compiled with it, and
    what would break them is refused.
    """
    return tuple(key for key in names if key[0] != SHARED)


def _covers(scope: Scope, kind: ResourceKind[Any, Any], document: Document) -> bool:
    if scope.filter is None:
        return True
    spec: dict[str, Any] = msgspec.json.decode(document.spec) if document.spec else {}
    return scope.covers(kind.scope, {**spec, "id": document.id})


async def _nothing() -> Document | None:
    return None


def _check_version(current: Document | None, expect: Collection[int] | None) -> None:
    version = 0 if current is None else current.version
    if expect is not None and version not in expect:
        now = f"at version {version}" if version else "deleted"
        raise PreconditionFailed(f"it is {now} now; read it again and decide", code="stale")
