"""The compiler: from stored documents to the next snapshot.

A change recompiles what changed and what names it, however far away; all else is shared with the snapshot before. Compiling
happens off the request path and ends in one assignment.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from switchgear.contracts.resource import Problem, Resource, ResourceKind
from switchgear.contracts.store import Document
from switchgear.resources import paths
from switchgear.resources.body import SEALED
from switchgear.resources.sealing import Opened, Vault, opaque
from switchgear.resources.snapshot import Broken, Key, Snapshot, Stage


class Compiler:
    """Holds the current snapshot with the documents it was compiled from, and who names whom."""

    def __init__(self, kinds: Mapping[str, ResourceKind[Any, Any]], vault: Vault) -> None:
        self.kinds = kinds
        self.vault = vault
        self.snapshot = Snapshot(namespaces=frozenset(kind.name for kind in kinds.values() if kind.namespace))
        self._callable_kinds = frozenset(kind.name for kind in kinds.values() if kind.callable)
        self._documents: dict[Key, Document] = {}
        self._named_by: dict[Key, dict[Key, None]] = {}
        self._names: dict[Key, tuple[Key, ...]] = {}

    def has(self, key: Key) -> bool:
        """Say whether a resident resource exists, compiled or broken."""
        return key in self._documents

    def users(self, key: Key) -> frozenset[Key]:
        """Return the resident resources that name one."""
        return frozenset(self._named_by.get(key, ()))

    def references(
        self, kind: ResourceKind[Any, Any], spec: Any, changes: Mapping[Key, Any]
    ) -> Iterator[tuple[paths.Spot, Key]]:
        """Yield the resources a stored spec names, and where, given what else is changing.

        A callable name that nobody has is yielded as of the kind `callable`, which never exists.
        """
        for reference in kind.references:
            for spot, id_ in paths.spots(spec, reference.field):
                if isinstance(id_, str):
                    yield spot, (self._owner(id_, changes) if reference.kind == "callable" else reference.kind, id_)

    def _owner(self, name: str, changes: Mapping[Key, Any]) -> str:
        for kind in self._callable_kinds:
            if changes.get((kind, name)) is not None or (
                (kind, name) in self._documents and (kind, name) not in changes
            ):
                return kind
        return "callable"

    def stage(self, changes: Mapping[Key, Document | None], *, validate: bool = False) -> Stage:
        """Compile changed documents (None: deleted) and all that name them; nothing is in force until `adopt`.

        With `validate`, changed specs also go through their kind's `validate`, and what fails is in `problems`; dependents
        that would break are problems of those that named them. Otherwise what fails is `broken`.
        """
        stage = Stage(self.snapshot)
        stage.documents = changes
        stage.names = {key: self._named(document, changes) for key, document in changes.items()}
        affected = self._affected(changes)
        names = {key: stage.names[key] if key in changes else self._names.get(key, ()) for key in affected}
        order, cyclic = _in_order(names)
        for key in cyclic:
            self._fail(stage, key, [Problem("", "its references lead back to itself")])
        for key in order:
            document = changes[key] if key in changes else self._documents[key]
            if document is None:
                stage.moved[key] = None
                continue
            live, problems = self._compile(document, stage, validate=validate and key in changes)
            if problems:
                self._fail(stage, key, problems)
            else:
                stage.moved[key] = live
        return stage

    def adopt(self, stage: Stage, revision: int) -> None:
        """Put a stage made from the current snapshot in force."""
        for key, document in stage.documents.items():
            if not self.kinds[key[0]].resident:
                continue
            for target in self._names.pop(key, ()):
                self._named_by[target].pop(key, None)
            if document is None:
                self._documents.pop(key, None)
                continue
            self._documents[key] = document
            self._names[key] = stage.names[key]
            for target in stage.names[key]:
                self._named_by.setdefault(target, {})[key] = None
        moved = {key: live for key, live in stage.moved.items() if self.kinds[key[0]].resident}
        broken = {key: why for key, why in stage.broken.items() if self.kinds[key[0]].resident}
        self.snapshot = self.snapshot.after(revision, moved, broken, self._callable_kinds)

    def compile(self, document: Document) -> Any:
        """Compile one document against the current snapshot. Raises `ValueError` with the reason it cannot be."""
        live, problems = self._compile(document, self.snapshot, validate=False)
        if problems:
            raise ValueError(_reason(problems))
        return live

    def decoded(self, document: Document, *, secrets: bool = True) -> tuple[Resource[Any] | None, list[Problem]]:
        """Decode a stored document, secrets in clear or still sealed; or say why it cannot be."""
        type_, problems = self.kinds[document.kind].spec, []
        try:
            if SEALED.encode() not in document.spec:
                decoded = msgspec.json.decode(document.spec, type=type_)
            else:
                spec = msgspec.json.decode(document.spec)
                opened = self.vault.open(document.kind, document.id, spec) if secrets else Opened(opaque(spec), [])
                problems = opened.problems
                decoded = msgspec.convert(opened.spec, type_, str_keys=True)
        except msgspec.ValidationError as error:
            return None, [*problems, Problem("", str(error))]
        resource = Resource(
            document.id,
            decoded,
            document.version,
            document.revision,
            document.owner,
            document.created_us,
            document.updated_us,
        )
        return (None, problems) if problems else (resource, [])

    def _compile(self, document: Document, view: Any, *, validate: bool) -> tuple[Any, list[Problem]]:
        kind = self.kinds[document.kind]
        resource, problems = self.decoded(document)
        if resource is None:
            return None, problems
        try:
            if validate and (found := list(kind.validate(resource.spec, view))):
                return None, found
            return kind.compile(resource, view), []
        except ValueError as error:
            return None, [Problem("", str(error))]
        except Exception as error:
            if validate:
                raise  # a bug of the plugin, and somebody is there to be told
            return None, [Problem("", f"the plugin of {kind.name} failed on it: {type(error).__name__}: {error}")]

    def named(self, document: Document) -> tuple[Key, ...]:
        """Return the resources a document names."""
        return self._named(document, {})

    def _named(self, document: Document | None, changes: Mapping[Key, Any]) -> tuple[Key, ...]:
        if document is None or not (kind := self.kinds[document.kind]).references:
            return ()
        found = self.references(kind, msgspec.json.decode(document.spec), changes)
        return tuple(dict.fromkeys(target for _, target in found))

    def _affected(self, changes: Mapping[Key, Any]) -> dict[Key, None]:
        affected = dict.fromkeys(changes)
        queue = list(changes)
        for key in queue:
            for user in self._named_by.get(key, ()):
                if user not in affected:
                    affected[user] = None
                    queue.append(user)
        return affected

    def _fail(self, stage: Stage, key: Key, problems: Sequence[Problem]) -> None:
        was_fine = key in stage.documents or key not in stage.base.broken
        stage.moved[key] = None
        stage.broken[key] = Broken(*key, _reason(problems))
        if was_fine:
            stage.problems[key] = list(problems)


def _reason(problems: Sequence[Problem]) -> str:
    return "; ".join(
        f"{problem.pointer}: {problem.detail}" if problem.pointer else problem.detail for problem in problems
    )


def _in_order(names: Mapping[Key, tuple[Key, ...]]) -> tuple[list[Key], list[Key]]:
    """Sort keys so that each comes after those it names; second, those that a cycle keeps from being sorted."""
    waiting = {key: {target for target in targets if target in names} for key, targets in names.items()}
    users: dict[Key, list[Key]] = {}
    for key, targets in waiting.items():
        for target in targets:
            users.setdefault(target, []).append(key)
    order = [key for key, targets in waiting.items() if not targets]
    for key in order:
        for user in users.get(key, ()):
            waiting[user].discard(key)
            if not waiting[user]:
                order.append(user)
    return order, [key for key, targets in waiting.items() if targets]
