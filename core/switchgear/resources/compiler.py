"""The compiler: from stored documents to the next snapshot.

A change recompiles what changed and what names it, however far away; all else is shared with the snapshot before. Compiling
happens off the request path and ends in one assignment.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from switchgear import json_paths as paths
from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Problem, Resource, ResourceKind
from switchgear.contracts.store import Document
from switchgear.resources.body import SEALED
from switchgear.resources.naming import SHARED, Changed, Naming
from switchgear.resources.sealing import Opened, Vault, opaque
from switchgear.resources.snapshot import Broken, Key, Snapshot, Stage


class Compiler:
    """Holds the current snapshot with the documents it was compiled from, and who names whom."""

    def __init__(
        self, kinds: Mapping[str, ResourceKind[Any, Any]], vault: Vault, model_prefix: str | None = None
    ) -> None:
        self.kinds = kinds
        self.vault = vault
        self._documents: dict[Key, Document] = {}
        self.naming = Naming(kinds, self._documents)
        self.snapshot = Snapshot(namespaces=self.naming.namespaces, prefix=model_prefix)
        self._named_by: dict[Key, dict[Key, None]] = {}
        self._names: dict[Key, tuple[Key, ...]] = {}

    def has(self, key: Key) -> bool:
        """Say whether a resident resource exists, compiled or broken."""
        return key in self._documents

    def users(self, key: Key) -> frozenset[Key]:
        """Return the resident resources that name one."""
        return frozenset(self._named_by.get(key, ()))

    def references(self, kind: ResourceKind[Any, Any], spec: Any, naming: Changed) -> Iterator[tuple[paths.Spot, Key]]:
        """Yield the resources a stored spec names, and where, given how callable names will be.

        A callable name that nobody has is of the kind `NOBODY`, one that resources share of the kind `SHARED`.
        """
        for reference in kind.references:
            if reference.optional and reference.kind not in self.kinds:
                continue
            for spot, id_ in paths.spots(spec, reference.field):
                if isinstance(id_, str):
                    yield spot, naming.owner(id_) if reference.kind == "callable" else (reference.kind, id_)

    def stage(self, changes: Mapping[Key, Document | None], *, by: Principal | None = None) -> Stage:
        """Compile changed documents (None: deleted) and all that name them; nothing is in force until `adopt`.

        With `by`, who is about to write them, changed specs also go through their kind's `validate`, and what fails is in
        `problems`; dependents that would break are problems of those that named them. Otherwise what fails is `broken`.
        """
        stage = Stage(self.snapshot, self.naming.callable_kinds)
        stage.documents = changes
        naming = self.naming.after(changes)
        stage.shares = naming.shares
        stage.names = {key: self._named(document, naming) for key, document in changes.items()}
        affected = self._affected(changes, naming)
        names = {key: self._edges(key, stage, naming) for key in affected}
        order, cyclic = _in_order(names)
        for key in cyclic:
            self._fail(stage, key, [Problem("", "its references lead back to itself")])
        for key in order:
            if key[0] == SHARED:
                stage.shared[key[1]] = self._merged(key[1], stage, naming)
                continue
            document = changes[key] if key in changes else self._documents[key]
            if document is None:
                stage.moved[key] = None
                continue
            live, problems = self._compile(document, stage, by=by if key in changes else None)
            if problems:
                self._fail(stage, key, problems)
            else:
                stage.moved[key] = live
        return stage

    def adopt(self, stage: Stage, revision: int) -> None:
        """Put a stage made from the current snapshot in force."""
        self.naming.adopt(stage.shares)
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
        self.snapshot = self.snapshot.after(
            revision, moved, broken, self.naming.callable_kinds, stage.shared, self.naming.shares
        )

    def again(self) -> Stage | None:
        """Compile what is broken once more, as it is stored; None if all of it still is."""
        broken = {key: self._documents[key] for key in self.snapshot.broken if key in self._documents}
        stage = self.stage(broken)
        return stage if broken.keys() - stage.broken.keys() else None

    def compile(self, document: Document) -> Any:
        """Compile one document against the current snapshot. Raises `ValueError` with the reason it cannot be."""
        live, problems = self._compile(document, self.snapshot)
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

    def _compile(self, document: Document, view: Any, *, by: Principal | None = None) -> tuple[Any, list[Problem]]:
        kind = self.kinds[document.kind]
        resource, problems = self.decoded(document)
        if resource is None:
            return None, problems
        try:
            if by is not None and (found := list(kind.validate(resource.spec, view, by))):
                return None, found
            return kind.compile(resource, view), []
        except ValueError as error:
            return None, [Problem("", str(error))]
        except Exception as error:
            if by is not None:
                raise  # a bug of the plugin, and somebody is there to be told
            return None, [Problem("", f"the plugin of {kind.name} failed on it: {type(error).__name__}: {error}")]

    def named(self, document: Document) -> tuple[Key, ...]:
        """Return the resources a document names."""
        return self._named(document, self.naming.after({}))

    def _named(self, document: Document | None, naming: Changed) -> tuple[Key, ...]:
        if document is None or not (kind := self.kinds[document.kind]).references:
            return ()
        found = self.references(kind, msgspec.json.decode(document.spec), naming)
        return tuple(dict.fromkeys(target for _, target in found))

    def _edges(self, key: Key, stage: Stage, naming: Changed) -> tuple[Key, ...]:
        if key[0] == SHARED:
            return naming.sharers(key[1])
        return stage.names[key] if key in stage.names else self._names.get(key, ())

    def _merged(self, name: str, stage: Stage, naming: Changed) -> Any | None:
        """Make what answers to a shared name, from those who have it and can be used; None if there are none."""
        assert self.naming.sharing is not None
        live = {id: found for kind, id in naming.sharers(name) if (found := stage.live(kind, id)) is not None}
        return self.naming.sharing[1].merge(name, live) if live else None

    def _affected(self, changes: Mapping[Key, Any], naming: Changed) -> dict[Key, None]:
        affected = dict.fromkeys(changes)
        queue = list(changes)
        for key in queue:
            shared = ((SHARED, name) for name in naming.touched(key))
            for user in (*shared, *self._named_by.get(key, ())):
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
