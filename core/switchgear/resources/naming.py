"""Who answers to a name that clients may write in `model`.

A resource of a callable kind has a name to itself. A resource of a kind with a namespace answers to all names below its id.
Names that resources share (`ResourceKind.shared`) belong to all who have them: such a name is compiled after its owners and
before those who name it, as if it were a resource of the kind `SHARED`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from switchgear.contracts.resource import ResourceKind, Shared
from switchgear.contracts.store import Document
from switchgear.resources.snapshot import Key

NOBODY = "callable"
"""The kind of a name that nobody has."""
SHARED = "shared"
"""The kind of a name that resources share."""


class Naming:
    """Names as they are, over the documents in force."""

    def __init__(self, kinds: Mapping[str, ResourceKind[Any, Any]], documents: Mapping[Key, Document]) -> None:
        self.callable_kinds = frozenset(kind.name for kind in kinds.values() if kind.callable)
        self.namespaces = frozenset(kind.name for kind in kinds.values() if kind.namespace)
        found = [(kind.name, kind.shared) for kind in kinds.values() if kind.shared is not None]
        self.sharing: tuple[str, Shared] | None = found[0] if found else None
        self.documents = documents
        self.owners: dict[str, dict[Key, None]] = {}
        self._shares: dict[Key, tuple[str, ...]] = {}

    def shares(self, key: Key) -> tuple[str, ...]:
        """Return the names a resource shares with others."""
        return self._shares.get(key, ())

    def after(self, changes: Mapping[Key, Document | None]) -> "Changed":
        """Return the names as they will be."""
        if self.sharing is None:
            return Changed(self, changes, {})
        kind, shared = self.sharing
        new = {key: _names(document, shared.field) for key, document in changes.items() if key[0] == kind}
        return Changed(self, changes, new)

    def adopt(self, shares: Mapping[Key, tuple[str, ...]]) -> None:
        """Take over what `Changed.shares` says."""
        for key, names in shares.items():
            for name in self._shares.pop(key, ()):
                del self.owners[name][key]
                if not self.owners[name]:
                    del self.owners[name]
            if names:
                self._shares[key] = names
            for name in names:
                self.owners.setdefault(name, {})[key] = None


class Changed:
    """Names as they will be once documents have changed; `shares` are those of the changed ones."""

    def __init__(
        self, now: Naming, changes: Mapping[Key, Document | None], shares: Mapping[Key, tuple[str, ...]]
    ) -> None:
        self.shares = shares
        self._now = now
        self._changes = changes
        self._joining: dict[str, list[Key]] = {}
        for key, names in shares.items():
            for name in names:
                self._joining.setdefault(name, []).append(key)

    def exists(self, key: Key) -> bool:
        """Say whether a resident resource will exist."""
        return self._changes[key] is not None if key in self._changes else key in self._now.documents

    def sharers(self, name: str) -> tuple[Key, ...]:
        """Return those who will share a name, in a stable order."""
        staying = (key for key in self._now.owners.get(name, ()) if key not in self.shares)
        return tuple(sorted([*staying, *self._joining.get(name, ())]))

    def explicit(self, name: str) -> Key | None:
        """Return the resource that will have a name to itself."""
        return next(((kind, name) for kind in self._now.callable_kinds if self.exists((kind, name))), None)

    def space(self, name: str) -> Key | None:
        """Return the resource in whose namespace a name will be."""
        id, slash, rest = name.partition("/")
        if not slash or not rest:
            return None
        return next(((kind, id) for kind in self._now.namespaces if self.exists((kind, id))), None)

    def owner(self, name: str) -> Key:
        """Return what a callable name will depend on."""
        found = self.explicit(name)
        if found is None:
            found = (SHARED, name) if self.sharers(name) else self.space(name)
        return found or (NOBODY, name)

    def touched(self, key: Key) -> tuple[str, ...]:
        """Return the shared names that a change of a resource touches: those it had and those it will have."""
        return tuple(dict.fromkeys((*self._now.shares(key), *self.shares.get(key, ()))))


def _names(document: Document | None, field: str) -> tuple[str, ...]:
    if document is None:
        return ()
    names = msgspec.json.decode(document.spec).get(field)
    return tuple(names) if isinstance(names, dict) else ()
