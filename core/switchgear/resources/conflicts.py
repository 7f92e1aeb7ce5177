"""Why a write, or a kind, is refused, in words that say what to do."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from switchgear import json_paths as paths
from switchgear.contracts.principal import OWN_IDS, Scope
from switchgear.contracts.resource import Problem, ResourceKind
from switchgear.contracts.store import Document
from switchgear.errors import ApiError, Conflict, NotFound, StoreConflict, ValidationFailed
from switchgear.names import id_rule, is_id
from switchgear.phrasing import or_rather
from switchgear.resources.compiler import Compiler
from switchgear.resources.drafts import Draft
from switchgear.resources.naming import NOBODY, SHARED, Changed
from switchgear.resources.shape import fields_of
from switchgear.resources.snapshot import Key
from switchgear.resources.views import OWN_FIELDS

FILE_OWNER = "file:"
_KIND_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TAKEN_ACTIONS = {"restore", "versions"}
TELLING = frozenset({"key_taken", "in_use"})
"""Codes of conflicts whose message names other resources."""


def in_declarations(kinds: Sequence[ResourceKind[Any, Any]]) -> list[str]:
    """Find what is wrong with declarations of kinds, before anything is served."""
    wrong = []
    names = [kind.name for kind in kinds]
    if len(sharing := [kind.name for kind in kinds if kind.shared is not None]) > 1:
        wrong.append(f"resource kinds {' and '.join(sharing)}: only one may have shared names")
    for kind in kinds:
        said = f"resource kind `{kind.name}`"
        if not _KIND_NAME.fullmatch(kind.name) or kind.name in (NOBODY, SHARED):
            wrong.append(f"{said}: use a plural in lower case with hyphens, as in the path /admin/v1/knowledge-bases")
        if names.count(kind.name) > 1 and f"{said} is declared twice" not in wrong:
            wrong.append(f"{said} is declared twice")
        for type_ in filter(None, (kind.spec, kind.input)):
            wrong += [
                f"{said}: every view has a field `{field}`, so {type_.__name__} must name its own otherwise"
                for field in fields_of(type_)
                if field in OWN_FIELDS
            ]
        if kind.observed is not None and (
            twice := fields_of(kind.observed.type).keys() & {*OWN_FIELDS, *fields_of(kind.spec)}
        ):
            wrong.append(
                f"{said}: {kind.observed.type.__name__} must name `{min(twice)}` otherwise, which every view has"
            )
        wrong += [
            f"{said}: its `scope` has `{field}`, which is no field of {kind.spec.__name__}"
            for field in kind.scope
            if field != "id" and field not in fields_of(kind.spec)
        ]
        wrong += [
            f"{said}: an action cannot be named `{action.name}`"
            for action in kind.actions
            if action.name in _TAKEN_ACTIONS or not _KIND_NAME.fullmatch(action.name)
        ]
    return wrong


def in_id(kind: ResourceKind[Any, Any], id: object) -> list[Problem]:
    """Find what is wrong with the id of a new resource."""
    if not is_id(id, slashes=kind.id_slashes):
        return [Problem("/id", "is required" if id is None else id_rule(slashes=kind.id_slashes))]
    if kind.principals and id in OWN_IDS:
        return [Problem("/id", "is the gateway's own; choose another")]
    return []


def in_choice(kind: ResourceKind[Any, Any], chosen: object, scope: Scope) -> list[Problem]:
    """Refuse an id of a principal that an author with a `scope` filter chose.

    Stored responses, dialogs and operations are found by the id of their principal, also after it was deleted. Whoever could
    choose the id of another team's principal would read them.
    """
    if chosen is None or kind.id_prefix is None or not kind.principals or scope.filter is None:
        return []
    return [Problem("/id", "is not yours to choose; leave it out and one is made")]


def outside(kind: ResourceKind[Any, Any], id: str, spec: Mapping[str, Any] | None, scope: Scope) -> list[Problem]:
    """Find fault with a resource that would be out of the bounds of whoever writes it."""
    if spec is None or scope.filter is None or scope.covers(kind.scope, resource := {**spec, "id": id}):
        return []
    wrong = {
        field: values
        for field, values in scope.filter.items()
        if field in kind.scope and resource.get(field) not in values
    }
    return [
        Problem(
            paths.pointer((field,)),
            f"must be one of {', '.join(f'`{value}`' for value in values)}" if values else "is out of your bounds",
        )
        for field, values in wrong.items()
    ] or [Problem("", "is out of your bounds")]


def not_there(kind: ResourceKind[Any, Any], id: str) -> NotFound:
    """Make the one answer to a resource that does not exist and to one that is somebody else's."""
    return NotFound(f"there is no {kind.title} `{id[:80]}`")


def untold(error: Conflict) -> Conflict:
    """Make the same refusal without naming what somebody who is bounded may not see."""
    said = "it is in use" if error.code == "in_use" else "it needs a name or value of its own"
    return Conflict(f"{said}; what is in the way may be out of your bounds", code=error.code)


def missing_references(
    kinds: Mapping[str, ResourceKind[Any, Any]],
    compiler: Compiler,
    drafts: Sequence[Draft],
    planned: Mapping[Key, Document | None],
) -> list[tuple[Key, Problem]]:
    """Find references to resources that will not exist. Those of kinds that are not resident are left to the store."""
    missing = []
    naming = compiler.naming.after(planned)
    for draft in drafts:
        if draft.spec is None:
            continue
        for spot, target in compiler.references(kinds[draft.kind], draft.spec, naming):
            kind, id_ = target
            if kind == SHARED:
                continue
            if kind == NOBODY:
                detail = f"nothing callable is named `{id_}`; create it first, or for PROVIDER/MODEL the provider"
            elif kind not in kinds:
                detail = f"no enabled plugin brings {kind}"
            elif not kinds[kind].resident or (
                planned[target] is not None if target in planned else compiler.has(target)
            ):
                continue
            else:
                detail = f"there is no {kinds[kind].title} `{id_}`"
            missing.append((draft.key, Problem(paths.pointer(spot), detail)))
    return missing


def name_clashes(
    kinds: Mapping[str, ResourceKind[Any, Any]],
    compiler: Compiler,
    drafts: Sequence[Draft],
    planned: Mapping[Key, Document | None],
) -> list[tuple[Key, Problem]]:
    """Find callable names that would mean two things. Two resources of callable kinds with one name are left to the store."""
    clashes = []
    naming = compiler.naming.after(planned)
    for draft in drafts:
        if draft.spec is None:
            continue
        kind, id = kinds[draft.kind], draft.id
        if kind.callable:
            clashes += [(draft.key, Problem("/id", detail)) for detail in _taken(naming, id, explicit=False)]
        if kind.namespace and (inside := _inside(compiler, naming, id, planned)) is not None:
            detail = f"`{inside}` is a name already, and would be one of this {kind.title}'s; choose another id"
            clashes.append((draft.key, Problem("/id", detail)))
        if kind.shared is not None:
            clashes += [
                (draft.key, Problem(paths.pointer((kind.shared.field, name)), detail))
                for name in naming.shares.get(draft.key, ())
                for detail in _taken(naming, name, explicit=True)
            ]
    return clashes


def _taken(naming: Changed, name: str, *, explicit: bool) -> list[str]:
    found = []
    if explicit and (owner := naming.explicit(name)) is not None:
        found.append(f"`{name}` is {'/'.join(owner)} already")
    if not explicit and (sharers := naming.sharers(name)):
        found.append(f"`{name}` is a name that {', '.join(map('/'.join, sharers))} share already")
    if (space := naming.space(name)) is not None:
        found.append(f"`{space[1]}/…` names what {'/'.join(space)} has; choose another name")
    return found


def _inside(compiler: Compiler, naming: Changed, id: str, planned: Mapping[Key, Document | None]) -> str | None:
    """Return a name that would be in the namespace of an id."""
    candidates = [*compiler.snapshot.callables, *(key[1] for key in planned)]
    candidates += [name for names in naming.shares.values() for name in names]
    inside = (name for name in candidates if name.startswith(f"{id}/"))
    return next((name for name in inside if naming.explicit(name) is not None or naming.sharers(name)), None)


def placed(problems: Sequence[tuple[Key, Problem]], drafts: Sequence[Draft]) -> list[Problem]:
    """Say where each problem is: pointers into the one body written, or below `/kind/id` when several are written."""
    keys = {draft.key for draft in drafts}
    found = []
    for key, problem in problems:
        if key not in keys:
            found.append(Problem("", f"it would break {'/'.join(key)}: {problem.detail}"))
        elif len(keys) == 1:
            found.append(problem)
        else:
            found.append(Problem(paths.pointer(key) + problem.pointer, problem.detail))
    return found


def explained(error: StoreConflict, drafts: Sequence[Draft], compiler: Compiler) -> ApiError | StoreConflict:
    """Return the error to raise for a store's conflict; one that a second try may mend is returned as it is."""
    name, others = f"{error.kind}/{error.id}", ", ".join(error.others)
    match error.reason:
        case "exists" if error.kind == "replay":
            return Conflict("a request with this Idempotency-Key has just been answered", code="idempotency_race")
        case "exists":
            return Conflict(f"{name} exists already", code="already_exists")
        case "key_taken":
            return Conflict(f"{name} needs a name or value of its own, and {others} has it already", code="key_taken")
        case "in_use":
            return Conflict(f"{name} is in use by {others}; change or delete them first", code="in_use")
        case "missing_reference":
            return _missing(error, drafts, compiler)
    return error


def _missing(error: StoreConflict, drafts: Sequence[Draft], compiler: Compiler) -> ValidationFailed:
    draft = next(draft for draft in drafts if draft.key == (error.kind, error.id))
    errors = [
        (paths.pointer(spot), f"there is no {'/'.join(target)}")
        for spot, target in compiler.references(compiler.kinds[draft.kind], draft.spec, compiler.naming.after({}))
        if "/".join(target) in error.others
    ]
    message = f"{error.kind}/{error.id} names what does not exist: {', '.join(error.others)}"
    return ValidationFailed(message, errors or [("", message)])


def refuse_file_owned(document: Document) -> None:
    """Raise `Conflict` for a resource that files define: those are changed in the files alone."""
    if document.owner.startswith(FILE_OWNER):
        raise Conflict(
            f"{document.kind}/{document.id} is defined in the file {document.owner.removeprefix(FILE_OWNER)}; "
            "change it there and apply it",
            code="file_owned",
        )


def unknown_kind(name: str, known: Mapping[str, Any]) -> str:
    """Say that there is no such kind."""
    return f"there is no kind `{name[:80]}`{or_rather(name, known)}"
