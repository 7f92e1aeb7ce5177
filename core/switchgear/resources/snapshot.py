"""Everything the request path knows about configuration, compiled and immutable; exchanges keep the one they began with."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from switchgear.contracts.resource import Problem
from switchgear.contracts.store import Document

Key = tuple[str, str]
"""(kind, id)."""


class Broken(Struct, frozen=True):
    """A stored resource that does not compile here, and why: its plugin is gone, or older than what was written."""

    kind: str
    id: str
    reason: str


class Snapshot:
    """Every live object of the resident kinds at one revision. What does not compile is absent, and listed in `broken`."""

    __slots__ = ("_live", "_names", "_namespaces", "broken", "revision")

    def __init__(
        self,
        revision: int = 0,
        live: Mapping[str, dict[str, Any]] | None = None,
        names: dict[str, Any] | None = None,
        broken: Mapping[Key, Broken] | None = None,
        namespaces: frozenset[str] = frozenset(),
    ) -> None:
        self.revision = revision
        self._live = live or {}
        self._names = names or {}
        self._namespaces = namespaces
        self.broken = broken or {}

    def live(self, kind: str, id: str) -> Any | None:
        """Return a live object, None if absent or broken."""
        of_kind = self._live.get(kind)
        return None if of_kind is None else of_kind.get(id)

    def all(self, kind: str) -> Mapping[str, Any]:
        """Return every live object of a kind, by id."""
        return MappingProxyType(self._live.get(kind, {}))

    @property
    def callables(self) -> Mapping[str, Any]:
        """Return everything a client may write in `model`, by name."""
        return MappingProxyType(self._names)

    def callable(self, name: str) -> Any | None:
        """Return what a client means by `model: name`."""
        found = self._names.get(name)
        return self._within(name) if found is None and "/" in name else found

    def _within(self, name: str) -> Any | None:
        """Look the second part of `id/name` up in whatever has the id."""
        id, _, rest = name.partition("/")
        for kind in self._namespaces:
            live = self.live(kind, id)
            if live is not None:
                return live.callable(rest)
        return None

    def after(
        self, revision: int, moved: Mapping[Key, Any], broken: Mapping[Key, Broken], names: frozenset[str]
    ) -> "Snapshot":
        """Return the next snapshot: `moved` live objects (None: gone) of which kinds in `names` are callable."""
        live = dict(self._live)
        for kind in {kind for kind, _ in moved}:
            live[kind] = dict(live.get(kind, ()))
        callables = dict(self._names) if any(kind in names for kind, _ in moved) else self._names
        still_broken = {key: why for key, why in self.broken.items() if key not in moved}
        for (kind, id_), value in moved.items():
            for table in (live[kind], callables) if kind in names else (live[kind],):
                if value is None:
                    table.pop(id_, None)
                else:
                    table[id_] = value
        return Snapshot(revision, live, callables, {**still_broken, **broken}, self._namespaces)


class Stage:
    """A change, compiled and not yet in force: a `View` of the snapshot in the making."""

    def __init__(self, base: Snapshot) -> None:
        self.base = base
        self.documents: Mapping[Key, Document | None] = {}
        self.names: dict[Key, tuple[Key, ...]] = {}
        self.moved: dict[Key, Any] = {}
        self.broken: dict[Key, Broken] = {}
        self.problems: dict[Key, list[Problem]] = {}

    def live(self, kind: str, id: str) -> Any | None:
        """Return the live object of a resident resource as it will be."""
        key = (kind, id)
        return self.moved[key] if key in self.moved else self.base.live(kind, id)
