"""Why a write, or a kind, is refused, in words that say what to do."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from switchgear.contracts.resource import Problem, ResourceKind
from switchgear.contracts.store import Document
from switchgear.errors import ApiError, Conflict, StoreConflict, ValidationFailed
from switchgear.resources import paths
from switchgear.resources.compiler import Compiler
from switchgear.resources.drafts import Draft
from switchgear.resources.shape import fields_of
from switchgear.resources.snapshot import Key
from switchgear.resources.views import OWN_FIELDS
from switchgear.wording import or_rather

FILE_OWNER = "file:"
_KIND_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TAKEN_ACTIONS = {"restore", "versions"}


def in_declarations(kinds: Sequence[ResourceKind[Any, Any]]) -> list[str]:
    """Find what is wrong with declarations of kinds, before anything is served."""
    wrong = []
    names = [kind.name for kind in kinds]
    for kind in kinds:
        said = f"resource kind `{kind.name}`"
        if not _KIND_NAME.fullmatch(kind.name) or kind.name == "callable":
            wrong.append(f"{said}: use a plural in lower case with hyphens, as in the path /admin/v1/api-keys")
        if names.count(kind.name) > 1 and f"{said} is declared twice" not in wrong:
            wrong.append(f"{said} is declared twice")
        for type_ in filter(None, (kind.spec, kind.input)):
            wrong += [
                f"{said}: every view has a field `{field}`, so {type_.__name__} must name its own otherwise"
                for field in fields_of(type_)
                if field in OWN_FIELDS
            ]
        wrong += [
            f"{said}: an action cannot be named `{action.name}`"
            for action in kind.actions
            if action.name in _TAKEN_ACTIONS or not _KIND_NAME.fullmatch(action.name)
        ]
    return wrong


def missing_references(
    kinds: Mapping[str, ResourceKind[Any, Any]],
    compiler: Compiler,
    drafts: Sequence[Draft],
    planned: Mapping[Key, Document | None],
) -> list[tuple[Key, Problem]]:
    """Find references to resources that will not exist. Those of kinds that are not resident are left to the store."""
    missing = []
    for draft in drafts:
        if draft.spec is None:
            continue
        for spot, target in compiler.references(kinds[draft.kind], draft.spec, planned):
            kind, id_ = target
            if kind == "callable":
                detail = f"nothing callable is named `{id_}`"
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
        for spot, target in compiler.references(compiler.kinds[draft.kind], draft.spec, {})
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
