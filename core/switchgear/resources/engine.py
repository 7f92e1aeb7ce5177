"""The resource engine: every verb on every kind, for the admin API, files, the command line and plugins alike.

A write is drafted from the body, checked and compiled together with all that names it, written in one transaction that holds
the rules which must survive races, and live in this process before it returns. Raises `ApiError`s; knows no HTTP.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from switchgear.ambient import Ambient
from switchgear.contracts.credential import Sealer
from switchgear.contracts.principal import ALLOWED, Principal, Scope
from switchgear.contracts.resource import Problem, ResourceKind
from switchgear.contracts.store import Document, Replay, Store
from switchgear.errors import Conflict, NotFound, PluginError
from switchgear.names import decode_cursor, encode_cursor, is_id
from switchgear.resources import conflicts
from switchgear.resources.body import plain
from switchgear.resources.compiler import Compiler
from switchgear.resources.drafts import Draft, Drafter
from switchgear.resources.feed import Feed
from switchgear.resources.sealing import Vault
from switchgear.resources.snapshot import Broken, Key, Snapshot
from switchgear.resources.views import Filter, Page, Written, version_view, view, with_observed
from switchgear.resources.writer import Terms, Writer

MAX_PAGE = 500
SCAN = 5_000
"""How many resources a filtered list looks at before it answers with what it found and a cursor."""


class ResourceEngine:
    """Resources of the declared kinds in a store. `start` it, keep `follow` running, and it is current."""

    def __init__(
        self,
        store: Store,
        kinds: Sequence[ResourceKind[Any, Any]],
        ambient: Ambient,
        sealer: Sealer | None = None,
        model_prefix: str | None = None,
    ) -> None:
        if wrong := conflicts.in_declarations(kinds):
            raise PluginError(*wrong)
        self.kinds: Mapping[str, ResourceKind[Any, Any]] = {kind.name: kind for kind in kinds}
        self.ambient = ambient
        self.vault = Vault(sealer)
        self.compiler = Compiler(self.kinds, self.vault, model_prefix)
        self.feed = Feed(store, self.kinds, self.compiler)
        self.drafter = Drafter(self.kinds, self.compiler)
        self._store = store
        self._writer = Writer(store, self.kinds, self.compiler, self.feed, ambient)

    async def start(self) -> None:
        """Load and compile everything resident."""
        await self.feed.load()
        await self.feed.catch_up()

    async def follow(self) -> None:
        """Poll for the writes of other replicas until cancelled."""
        await self.feed.follow()

    @property
    def snapshot(self) -> Snapshot:
        """The current snapshot; keep the reference for the length of one exchange."""
        return self.compiler.snapshot

    @property
    def broken(self) -> Mapping[Key, Broken]:
        """What is stored and does not compile here, and why; for health."""
        return {**self.snapshot.broken, **self.feed.broken_on_demand}

    def kind(self, name: str) -> ResourceKind[Any, Any]:
        """Return a kind's declaration. Raises `NotFound`."""
        if name not in self.kinds:
            raise NotFound(conflicts.unknown_kind(name, self.kinds), code="no_such_kind")
        return self.kinds[name]

    async def find(self, kind: str, id: str) -> Document | None:
        """Return a resource as it is stored, None if there is none."""
        declared = self.kind(kind)
        return await self._store.read(kind, id) if is_id(id, slashes=declared.id_slashes) else None

    async def document(self, kind: str, id: str) -> Document:
        """Return a resource as it is stored. Raises `NotFound`."""
        document = await self.find(kind, id)
        if document is None:
            raise conflicts.not_there(self.kind(kind), id)
        return document

    async def get(self, kind: str, id: str, scope: Scope = ALLOWED) -> dict[str, Any]:
        """Return a resource as it is shown; one out of scope is not there, here and in all that follows."""
        declared = self.kind(kind)
        shown = view(declared, await self.document(kind, id))
        if not scope.covers(declared.scope, shown):
            raise conflicts.not_there(declared, id)
        return (await with_observed(declared, [shown]))[0]

    async def referrers(self, kind: str, id: str, most: int) -> list[tuple[str, str]]:
        """Return kind and id of those that name a resource, as far as enabled plugins know their kinds."""
        return [it for it in await self._store.references_to(kind, id, limit=most) if it[0] in self.kinds]

    async def page(
        self,
        kind: str,
        *,
        cursor: str | None = None,
        limit: int = 100,
        equals: Mapping[str, str] | None = None,
        word: str | None = None,
        prefix: str | None = None,
        scope: Scope = ALLOWED,
    ) -> Page:
        """List resources in id order. A filtered page may be short, even empty, and still have a `next_cursor`.

        `equals` compares top-level scalar fields, written as in JSON; `word` is looked for in id and `name`; `prefix` is what the
        name begins with, whatever its case: where that is all that is asked for, or all of one that is named, the list is by name
        and has no `next_cursor`; what is beyond `limit` takes a longer prefix.
        """
        declared = self.kind(kind)
        wanted = Filter(declared, dict(equals or {}), word, prefix)
        page = await self._page(declared, wanted, cursor, limit, scope)
        return Page(await with_observed(declared, page.data), page.next_cursor)

    async def _page(
        self, declared: ResourceKind[Any, Any], wanted: Filter, cursor: str | None, limit: int, scope: Scope
    ) -> Page:
        # A cursor holds the id it stands at, which must not be somebody else's: within bounds a list is never cut short.
        kind, bounded, prefix = declared.name, scope.filter is not None, wanted.prefix
        narrowed = {**wanted.equals, **_only(scope)}
        naming = self._naming(declared, narrowed)
        is_all = wanted.word is None and len(narrowed) == (naming is not None)
        if prefix is not None and is_all and (not bounded or (prefix and naming)):
            assert declared.named is not None
            named = await self._store.search(declared.named, prefix.casefold(), limit=MAX_PAGE, naming=naming)
            views = (view(declared, document) for document in named)
            return Page([it for it in views if wanted(it) and scope.covers(declared.scope, it)][:limit])
        after = decode_cursor(kind, cursor, slashes=declared.id_slashes) if cursor else ""
        data: list[dict[str, Any]] = []
        size, seen = (MAX_PAGE if wanted or bounded else limit + 1), 0
        while True:
            documents = await self._store.page(kind, after=after, limit=size, naming=naming)
            for document in documents:
                if len(data) == limit:
                    return Page(data, encode_cursor(kind, after))
                after = document.id
                shown = view(declared, document)
                if wanted(shown) and scope.covers(declared.scope, shown):
                    data.append(shown)
            seen += len(documents)
            if len(documents) < size:
                return Page(data)
            if seen >= SCAN and not bounded:
                return Page(data, encode_cursor(kind, after))

    def _naming(self, kind: ResourceKind[Any, Any], equals: Mapping[str, str]) -> tuple[str, str] | None:
        """Return what all name that have these values, so that the store looks at no others; of several references the last."""
        found = None
        for reference in kind.references:
            if reference.kind in self.kinds and (id := equals.get(reference.field)) not in (None, "null"):
                found = (reference.kind, id)
        return found

    async def versions(
        self,
        kind: str,
        id: str,
        *,
        before: int | None = None,
        limit: int = 100,
        scope: Scope = ALLOWED,
    ) -> list[dict[str, Any]]:
        """List versions, newest first, those below version `before` if given; deleted resources have them too.

        Of those that were out of scope nothing is shown, and nothing at all of a resource that is so now.
        """
        declared = self.kind(kind)
        found = await self._versions(declared, id, before, limit, scope)
        if not found and before is None:
            raise NotFound(f"there is no {declared.title} `{id[:80]}`, and never was")
        return [version_view(declared, document) for document in found]

    async def version(self, kind: str, id: str, version: int, scope: Scope = ALLOWED) -> dict[str, Any]:
        """Return one version as it is shown."""
        return version_view(self.kind(kind), await self._old(kind, id, version, scope))

    async def create(
        self,
        kind: str,
        body: Mapping[str, Any],
        terms: Terms,
        *,
        id: str | None = None,
        owner: str = "api",
    ) -> Written:
        """Create a resource; the id is given here, as the body's `id`, or made by the kind."""
        declared = self.kind(kind)
        spec = await declared.receive(plain(body))
        chosen = spec.pop("id", None) if id is None else id
        given = chosen
        if given is None and declared.id_prefix is not None:
            given = f"{declared.id_prefix}{self.ambient.new_id()}"
        problems = conflicts.in_id(declared, given) or conflicts.in_choice(declared, chosen, terms.scope)
        return await self._writer.create(
            lambda: self.drafter.create(kind, str(given), spec, owner=owner, problems=problems, by=terms.by), terms
        )

    async def replace(self, kind: str, id: str, body: Mapping[str, Any], terms: Terms) -> Written:
        """Write a whole new spec."""
        received = await self.kind(kind).receive(plain(body))
        return await self._change(kind, id, terms, lambda it: self.drafter.replace(it, received, by=terms.by))

    async def patch(self, kind: str, id: str, patch: Mapping[str, Any], terms: Terms) -> Written:
        """Lay a merge patch (RFC 7396) over the spec."""
        received = await self.kind(kind).receive(plain(patch))
        return await self._change(kind, id, terms, lambda it: self.drafter.patch(it, received, by=terms.by))

    async def delete(self, kind: str, id: str, terms: Terms) -> Written:
        """Delete a resource nobody names; its versions stay."""
        return await self._change(kind, id, terms, lambda it: self.drafter.delete(it, by=terms.by))

    async def act(self, kind: str, id: str, action: str, body: Any, terms: Terms) -> Written:
        """Run one of the kind's own actions."""
        return await self._change(kind, id, terms, lambda it: self.drafter.act(it, action, body, by=terms.by))

    async def restore(self, kind: str, id: str, version: int, terms: Terms) -> Written:
        """Write an old version's spec, secrets included, as a new version; a deleted resource comes back."""
        declared = self.kind(kind)
        if not declared.restorable:
            raise Conflict(
                f"an old version of a {declared.title} cannot be restored; make a new one", code="not_restorable"
            )
        old = await self._old(kind, id, version, terms.scope)
        if old.deleted:
            raise Conflict(f"{kind}/{id} was deleted at version {version}; restore one before", code="deleted")
        if (why := declared.refuse_restore(msgspec.json.decode(old.spec))) is not None:
            raise Conflict(why, code="not_restorable")
        return await self._writer.change(lambda: self.find(kind, id), lambda it: self.drafter.restore(it, old), terms)

    async def batch(self, plan: Callable[[], Awaitable[Sequence[Draft]]], by: Principal) -> list[Document]:
        """Write several drafts, all or none; `plan` makes them while no other write of this process can come between."""
        return await self._writer.batch(plan, by)

    def problems(self, drafts: Sequence[Draft], by: Principal) -> list[tuple[Key, Problem]]:
        """Say what would keep drafts from being written together by somebody; nothing is written."""
        return self._writer.problems(drafts, by)

    async def each(self, kind: str) -> AsyncIterator[Document]:
        """Go through every resource of a kind as it is stored, in id order."""
        after = ""
        while documents := await self._store.page(kind, after=after, limit=MAX_PAGE):
            for document in documents:
                yield document
            after = documents[-1].id

    async def reseal(self, by: Principal) -> int:
        """Seal every secret anew that is not sealed with the newest master key; return how many resources changed."""
        changed = 0
        for kind in self.kinds:
            async for document in self.each(kind):
                changed += await self._reseal(document, by)
        return changed

    async def recall(self, scope: str, key: str) -> Replay | None:
        """Return the remembered answer of an Idempotency-Key."""
        return await self._store.recall(scope, key)

    async def _reseal(self, document: Document, by: Principal) -> bool:
        spec = msgspec.json.decode(document.spec)
        renewed = self.vault.reseal(document.kind, document.id, spec)
        if renewed == spec:
            return False

        async def plan() -> list[Draft]:
            return [Draft(document.kind, document.id, renewed, document.version, document.owner)]

        await self._writer.batch(plan, by)
        return True

    async def _versions(
        self, kind: ResourceKind[Any, Any], id: str, before: int | None, limit: int, scope: Scope
    ) -> list[Document]:
        if not is_id(id, slashes=kind.id_slashes):
            return []
        if scope.filter is None:
            return await self._store.versions(kind.name, id, before=before, limit=limit)
        current = await self._store.read(kind.name, id)
        if current is not None and not scope.covers(kind.scope, view(kind, current)):
            return []
        found: list[Document] = []
        while len(found) < limit and (older := await self._store.versions(kind.name, id, before=before, limit=limit)):
            found += (it for it in older if scope.covers(kind.scope, view(kind, it)))
            before = older[-1].version
        return found[:limit]

    async def _old(self, kind: str, id: str, version: int, scope: Scope) -> Document:
        declared = self.kind(kind)
        found = await self._versions(declared, id, version + 1, 1, scope)
        if not found or found[0].version != version:
            raise NotFound(f"{declared.title} `{id[:80]}` has no version {version}")
        return found[0]

    async def _change(self, kind: str, id: str, terms: Terms, draft: Callable[[Document], Draft]) -> Written:
        return await self._writer.change(lambda: self.document(kind, id), draft, terms)


def _only(scope: Scope) -> Mapping[str, str]:
    """Return the values of somebody's bounds where there is no choice."""
    return {field: values[0] for field, values in (scope.filter or {}).items() if len(values) == 1}
