"""From what a client wrote to what the store will keep: masks resolved, decoded, prepared, secrets sealed."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Prepared, Problem, Resource, ResourceKind, may_go
from switchgear.contracts.resource import keep as keep_as_written
from switchgear.contracts.store import Document, Write
from switchgear.errors import Conflict, NotFound
from switchgear.phrasing import or_rather
from switchgear.resources import sealing
from switchgear.resources.body import plain, refuse
from switchgear.resources.compiler import Compiler
from switchgear.resources.merge import merge_patch
from switchgear.resources.shape import decode, fields_of
from switchgear.resources.snapshot import Key
from switchgear.resources.views import view


class Draft(Struct, frozen=True):
    """One resource as it is to become (`spec` None: deleted), made from version `base` (0: there was none)."""

    kind: str
    id: str
    spec: dict[str, Any] | None
    base: int
    owner: str = "api"
    once: dict[str, Any] = {}

    @property
    def key(self) -> Key:
        """(kind, id)."""
        return (self.kind, self.id)

    def document(self, *, version: int, at_us: int, created_us: int, actor: str) -> Document | None:
        """Return the document it will be, as far as that can be known before it is written."""
        if self.spec is None:
            return None
        spec = msgspec.json.encode(self.spec)
        return Document(self.kind, self.id, version, 0, spec, self.owner, created_us, at_us, actor)

    def write(self, actor: str, keys: tuple[tuple[str, str], ...], references: tuple[Key, ...]) -> Write:
        """Return the store's form of it."""
        spec = None if self.spec is None else msgspec.json.encode(self.spec)
        return Write(self.kind, self.id, spec, self.base, keys, references, self.owner, actor)


class Drafter:
    """Makes drafts; nothing in here is written or seen by others. Every method raises `ValidationFailed` for a bad body."""

    def __init__(self, kinds: Mapping[str, ResourceKind[Any, Any]], compiler: Compiler) -> None:
        self._kinds = kinds
        self._compiler = compiler

    def create(self, kind: str, id: str, body: Any, *, owner: str, problems: list[Problem], by: Principal) -> Draft:
        """Draft a new resource. `problems` are what the caller already found wrong with the id."""
        spec, once = self._build(self._kinds[kind], id, plain(body), None, absent=True, problems=problems, by=by)
        return Draft(kind, id, spec, 0, owner, once)

    def replace(self, current: Document, body: Any, *, by: Principal, owner: str | None = None) -> Draft:
        """Draft a whole new spec; secrets sent back masked, or left out, are kept."""
        kind = self._kinds[current.kind]
        written, problems = self._without_shown(kind, plain(body), current)
        spec, once = self._build(kind, current.id, written, current, absent=True, problems=problems, by=by)
        return Draft(current.kind, current.id, spec, current.version, owner or current.owner, once)

    def patch(self, current: Document, patch: Any, *, by: Principal) -> Draft:
        """Draft the current spec with a merge patch laid over it."""
        kind = self._kinds[current.kind]
        written, problems = self._without_shown(kind, plain(patch), current)
        body = merge_patch(written_form(kind, sealing.masked(msgspec.json.decode(current.spec))), written)
        spec, once = self._build(kind, current.id, body, current, absent=False, problems=problems, by=by)
        return Draft(current.kind, current.id, spec, current.version, current.owner, once)

    def delete(self, current: Document, *, by: Principal) -> Draft:
        """Draft that a resource goes, unless its kind has a reason why it must stay. What nobody can read any more may go."""
        kind = self._kinds[current.kind]
        if kind.refuse_delete is not may_go:
            resource, _ = self._compiler.decoded(current, secrets=False)
            if resource is not None and (why := kind.refuse_delete(resource, by)) is not None:
                raise Conflict(why, code="must_stay")
        return Draft(current.kind, current.id, None, current.version, current.owner)

    def restore(self, current: Document | None, old: Document) -> Draft:
        """Draft an old version's spec, secrets included, as it was stored."""
        base, owner = (current.version, current.owner) if current else (0, old.owner)
        return Draft(old.kind, old.id, msgspec.json.decode(old.spec), base, owner)

    def act(self, current: Document, action: str, body: Any, *, by: Principal) -> Draft:
        """Draft what an action makes of the current spec."""
        kind = self._kinds[current.kind]
        verb = next((verb for verb in kind.actions if verb.name == action), None)
        if verb is None:
            raise NotFound(f"{kind.name} have no action `{action}`{or_rather(action, (a.name for a in kind.actions))}")
        given = plain({} if body is None else body)
        value: Any = None
        problems: list[Problem] = []
        if verb.input is not None:
            value, problems = decode(verb.input, given)
        elif given:
            problems = [Problem("", f"the action `{action}` takes no body")]
        refuse(problems)
        prepared = self._prepared(lambda: verb.apply(self._resource(current), value, by))
        spec = self._sealed(kind, current.id, prepared, msgspec.json.decode(current.spec))
        return Draft(current.kind, current.id, spec, current.version, current.owner, prepared.once)

    def _without_shown(
        self, kind: ResourceKind[Any, Any], body: dict[str, Any], current: Document
    ) -> tuple[dict[str, Any], list[Problem]]:
        """Take out what a client may not write and sent back as it was shown, so that GET, edit, PUT works."""
        shown, writable = view(kind, current), fields_of(kind.input or kind.spec)
        observed = () if kind.observed is None else fields_of(kind.observed.type)
        fixed = [name for name in body if name in shown and name not in writable]
        problems = [Problem(f"/{name}", "cannot be changed here") for name in fixed if body[name] != shown[name]]
        return {name: value for name, value in body.items() if name not in (*fixed, *observed)}, problems

    def _build(
        self,
        kind: ResourceKind[Any, Any],
        id: str,
        body: dict[str, Any],
        current: Document | None,
        *,
        absent: bool,
        problems: list[Problem],
        by: Principal,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        stored = msgspec.json.decode(current.spec) if current else None
        secrets = sealing.secret_paths(kind, body)
        sealing.keep(secrets, body, stored, absent=absent)
        opened = self._compiler.vault.open(kind.name, id, body)
        new, wrong = decode(kind.input or kind.spec, opened.spec)
        refuse([*problems, *sealing.left_masks(body), *opened.problems, *wrong])
        previous = self._resource(current).spec if current and kind.prepare is not keep_as_written else None
        prepared = self._prepared(lambda: kind.prepare(new, previous, by))
        return self._sealed(kind, id, prepared, stored), prepared.once

    def _resource(self, document: Document) -> Resource[Any]:
        resource, problems = self._compiler.decoded(document)
        if resource is None:
            why = "; ".join(problem.detail for problem in problems)
            raise Conflict(
                f"what is stored as {document.kind}/{document.id} cannot be read by the plugins enabled now ({why}); "
                "enable the one that wrote it, or delete it and create it again",
                code="unreadable",
            )
        return resource

    def _prepared(self, prepare: Any) -> Prepared[Any]:
        try:
            return prepare()  # type: ignore[no-any-return]
        except ValueError as error:
            refuse([Problem("", str(error))])
            raise

    def _sealed(self, kind: ResourceKind[Any, Any], id: str, prepared: Prepared[Any], stored: Any) -> dict[str, Any]:
        # By way of JSON, so that it compares equal to what was stored: no tuples, no dates.
        spec: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(prepared.spec))
        refuse(self._compiler.vault.seal(kind, id, spec, stored))
        return spec


def written_form(kind: ResourceKind[Any, Any], spec: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a stored spec that a client may write."""
    if kind.input is None:
        return spec
    writable = fields_of(kind.input)
    return {name: value for name, value in spec.items() if name in writable}
