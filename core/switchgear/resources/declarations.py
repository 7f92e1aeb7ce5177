"""Declared resources: make a plan, look at it, carry it out as one atomic write; and what can be declared again.

A resource that came from a file belongs to it: the API may read and not write it. A second plan of the same files has no
change. `prune` also deletes what belongs to the same source and is no longer in it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from switchgear import json_paths as paths
from switchgear.contracts.credential import MASK
from switchgear.contracts.declared import Declared, Exported, FieldChange, Step
from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import ResourceKind, as_declared
from switchgear.contracts.store import Document
from switchgear.errors import ApiError, ConfigError, ValidationFailed
from switchgear.resources import sealing
from switchgear.resources.conflicts import FILE_OWNER, in_id
from switchgear.resources.drafts import Draft, written_form
from switchgear.resources.engine import ResourceEngine
from switchgear.resources.merge import difference
from switchgear.resources.shape import fields_of
from switchgear.resources.snapshot import Key


class Plan(Struct, frozen=True):
    """Steps to show, and the drafts that `carry_out` writes."""

    steps: list[Step]
    drafts: list[Draft]

    @property
    def once(self) -> dict[str, dict[str, Any]]:
        """What is shown once and never again (generated keys), by `kind/id`."""
        return {f"{draft.kind}/{draft.id}": draft.once for draft in self.drafts if draft.once}


class ResourceDeclarations:
    """The kernel's `Declarations`."""

    def __init__(self, engine: ResourceEngine) -> None:
        self._engine = engine
        self.kinds: Mapping[str, ResourceKind[Any, Any]] = engine.kinds

    async def plan(
        self, declared: Sequence[Declared], *, by: Principal, prune: bool = False, adopt: bool = False
    ) -> Plan:
        """Compare with what is stored."""
        return await plan(self._engine, declared, by=by, prune=prune, adopt=adopt)

    async def carry_out(self, planned: Any, *, by: Principal) -> None:
        """Write a plan."""
        await carry_out(self._engine, planned, by=by)

    async def export(self, kinds: Collection[str] | None = None) -> Exported:
        """Return resources as files have them."""
        return await export(self._engine, kinds)


async def plan(
    engine: ResourceEngine, declared: Sequence[Declared], *, by: Principal, prune: bool = False, adopt: bool = False
) -> Plan:
    """Compare files with what is stored. Raises `ConfigError` naming the file and field of everything that would be refused.

    With `adopt`, resources that the API or other files own are taken over instead of refused.
    """
    steps: list[Step] = []
    drafts: list[Draft] = []
    failures: list[str] = []
    users = _users(engine, declared)
    for it in declared:
        current = await engine.find(it.kind, it.id)
        try:
            draft = _among(engine, _draft(engine, it, current, by, adopt=adopt), it, users)
        except ValidationFailed as error:
            failures += [f"{it.origin}: {it.kind}/{it.id}{pointer}: {detail}" for pointer, detail in error.errors]
            continue
        except ApiError as error:
            failures.append(f"{it.origin}: {it.kind}/{it.id}: {error.message}")
            continue
        except ConfigError as error:
            failures += error.failures
            continue
        steps.append(_step(engine.kinds[it.kind], it.origin, draft, current))
        if steps[-1].action != "unchanged":
            drafts.append(draft)
    if prune:
        for document in await _orphans(engine, declared):
            draft = Draft(document.kind, document.id, None, document.version, document.owner)
            steps.append(_step(engine.kinds[document.kind], document.owner.removeprefix(FILE_OWNER), draft, document))
            drafts.append(draft)
    origins = {(step.kind, step.id): step.origin for step in steps}
    failures += [
        f"{origins.get(key, 'stored')}: {'/'.join(key)}{problem.pointer}: {problem.detail}"
        for key, problem in ([] if failures else engine.problems(drafts, by))
    ]
    if failures:
        raise ConfigError(*failures)
    return Plan(steps, drafts)


async def carry_out(engine: ResourceEngine, planned: Plan, *, by: Principal) -> None:
    """Write a plan, all or nothing. Raises `Conflict` if something it rests on was changed since it was made."""

    async def drafts() -> Sequence[Draft]:
        return planned.drafts

    await engine.batch(drafts, by)


def _draft(engine: ResourceEngine, it: Declared, current: Document | None, by: Principal, *, adopt: bool) -> Draft:
    owner = FILE_OWNER + it.origin
    if current is None:
        problems = in_id(engine.kinds[it.kind], it.id)
        return engine.drafter.create(it.kind, it.id, it.body, owner=owner, problems=problems, by=by)
    if not adopt and not _owns(it.source, current.owner):
        whose = (
            f"the file {current.owner.removeprefix(FILE_OWNER)}" if current.owner.startswith(FILE_OWNER) else "the API"
        )
        raise ConfigError(
            f"{it.origin}: {it.kind}/{it.id} exists already and belongs to {whose}; take it over with --adopt"
        )
    return engine.drafter.replace(current, it.body, by=by, owner=owner)


def _users(engine: ResourceEngine, declared: Sequence[Declared]) -> dict[Key, list[dict[str, Any]]]:
    """Return who of the declared names each resource, as it is written in its file."""
    users: dict[Key, list[dict[str, Any]]] = {}
    for it in declared:
        for reference in engine.kinds[it.kind].references:
            for _, named in paths.spots(it.body, reference.field):
                if isinstance(named, str):
                    users.setdefault((reference.kind, named), []).append(it.body)
    return users


def _among(
    engine: ResourceEngine, draft: Draft, it: Declared, users: Mapping[Key, Sequence[Mapping[str, Any]]]
) -> Draft:
    """Let the kind change what is drafted by who else is in the files."""
    kind = engine.kinds[it.kind]
    if draft.spec is None or kind.declare is as_declared:
        return draft
    written = {
        spot for path in sealing.secret_paths(kind, it.body) for spot, value in paths.spots(it.body, path) if value
    }
    masks = {sealing.mask(marker) for _, marker in sealing.sealed_spots(draft.spec)} | {MASK}
    whole = all(
        spot in written and paths.at(it.body, spot) not in masks for spot, _ in sealing.sealed_spots(draft.spec)
    )
    spec = kind.declare(draft.spec, users.get(draft.key, ()), whole)
    return msgspec.structs.replace(draft, spec=dict(spec))


def _owns(source: str, owner: str) -> bool:
    return owner == FILE_OWNER + source or owner.startswith(f"{FILE_OWNER}{source}/")


async def _orphans(engine: ResourceEngine, declared: Sequence[Declared]) -> list[Document]:
    sources, kept = {it.source for it in declared}, {(it.kind, it.id) for it in declared}
    return [
        document
        for kind in engine.kinds
        async for document in engine.each(kind)
        if (kind, document.id) not in kept and any(_owns(source, document.owner) for source in sources)
    ]


def _step(kind: ResourceKind[Any, Any], origin: str, draft: Draft, current: Document | None) -> Step:
    before = msgspec.json.decode(current.spec) if current else None
    if draft.spec is None:
        return Step("delete", draft.kind, draft.id, origin)
    changes = difference(_shown(kind, before or {}), _shown(kind, draft.spec, before))
    if current is None:
        return Step("create", draft.kind, draft.id, origin, changes)
    if current.owner != draft.owner:
        changes.append(FieldChange("owner", current.owner, draft.owner))
    same = before == draft.spec and current.owner == draft.owner
    return Step("unchanged" if same else "update", draft.kind, draft.id, origin, changes)


def _shown(kind: ResourceKind[Any, Any], spec: dict[str, Any], before: Any = None) -> Any:
    """Return a stored spec as a plan may show it; a secret that differs from the one before says so."""
    shown = sealing.masked(spec)
    for spot, marker in sealing.sealed_spots(spec):
        if before is not None and paths.at(before, spot) not in (None, marker):
            paths.put(shown, spot, f"{sealing.mask(marker)} (changed)")
    for path in kind.hidden:
        for spot, _ in list(paths.spots(shown, path)):
            paths.drop(shown, spot)
    return shown


async def export(engine: ResourceEngine, kinds: Collection[str] | None = None) -> Exported:
    """Return resources as files have them. Secrets are left out: where they are stored already, applying keeps them.

    By default kinds are left out whose past is not to be repeated (`ResourceKind.restorable`): applying a revoked key would
    make it anew.
    """
    found = Exported()
    for name in [n for n, kind in engine.kinds.items() if kind.restorable] if kinds is None else kinds:
        kind = engine.kind(name)
        async for document in engine.each(name):
            spec = msgspec.json.decode(document.spec)
            where = f"{name}/{document.id}"
            found.left_out.extend(f"{where}{paths.pointer(spot)}" for spot, _ in sealing.sealed_spots(spec))
            _leave_out_secrets(kind, spec)
            found.nulls.extend((where, field) for field in _meant_nulls(kind, spec))
            found.content.setdefault(name, []).append({"id": document.id, **written_form(kind, spec)})
    return found


def _leave_out_secrets(kind: ResourceKind[Any, Any], spec: dict[str, Any]) -> None:
    """Take secrets out of a stored spec in such a way that writing it back keeps them.

    An object of nothing but secrets goes whole: sent without its members it would lose them.
    """
    for path in sealing.secret_paths(kind, spec):
        if path.endswith(".*"):
            for spot, held in list(paths.spots(spec, path.removesuffix(".*"))):
                if isinstance(held, dict) and held and all(map(sealing.is_sealed, held.values())):
                    paths.drop(spec, spot)
    for spot, _ in sealing.sealed_spots(spec):
        paths.drop(spec, spot)


def _meant_nulls(kind: ResourceKind[Any, Any], spec: dict[str, Any]) -> Iterator[str]:
    for name, field in fields_of(kind.input or kind.spec).items():
        if spec.get(name, field) is None and field.default is not None:
            yield name
