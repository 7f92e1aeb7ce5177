"""Everything the request path knows about configuration, compiled and immutable; exchanges keep the one they began with."""

from collections.abc import Callable, Iterable, Mapping
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

    __slots__ = ("_callables", "_live", "_names", "_prefix", "_shared", "_stuck", "broken", "namespaces", "revision")

    def __init__(
        self,
        revision: int = 0,
        live: Mapping[str, dict[str, Any]] | None = None,
        names: dict[str, Any] | None = None,
        broken: Mapping[Key, Broken] | None = None,
        namespaces: frozenset[str] = frozenset(),
        shared: dict[str, Any] | None = None,
        prefix: str | None = None,
        stuck: frozenset[str] = frozenset(),
    ) -> None:
        self.revision = revision
        self._live = live or {}
        self._names = names or {}
        self.namespaces = namespaces
        self._shared = shared or {}
        self._callables = {**self._shared, **self._names} if self._shared else self._names
        self._prefix = "" if prefix is None else f"{prefix}/"
        self.broken = broken or {}
        self._stuck = stuck

    def is_broken(self, name: str) -> bool:
        """Say whether a name that nothing answers to would be answered to, if what is stored under it could be used."""
        if name in self._stuck:
            return True
        id, slash, _ = name.partition("/")
        return bool(slash) and any((kind, id) in self.broken for kind in self.namespaces)

    def live(self, kind: str, id: str) -> Any | None:
        """Return a live object, None if absent or broken."""
        of_kind = self._live.get(kind)
        return None if of_kind is None else of_kind.get(id)

    def all(self, kind: str) -> Mapping[str, Any]:
        """Return every live object of a kind, by id."""
        return MappingProxyType(self._live.get(kind, {}))

    def shared(self, name: str) -> Any | None:
        """Return what answers to a name that resources share."""
        return self._shared.get(name)

    @property
    def callables(self) -> Mapping[str, Any]:
        """Return everything a client may write in `model`, by name."""
        return MappingProxyType(self._callables)

    def callable(self, name: str) -> Any | None:
        """Return what a client means by `model: name`."""
        found = self._callables.get(name)
        return self._within(name) if found is None and "/" in name else found

    def without_prefix(self, name: str) -> str:
        """Return a name as a client wrote it without the gateway's own prefix, if it has that and is nothing else."""
        if not self._prefix or not name.startswith(self._prefix) or name in self._callables:
            return name
        return name[len(self._prefix) :]

    def _within(self, name: str) -> Any | None:
        """Look the second part of `id/name` up in whatever has the id."""
        id, _, rest = name.partition("/")
        for kind in self.namespaces:
            live = self.live(kind, id)
            if live is not None:
                return live.callable(rest)
        return None

    def after(
        self,
        revision: int,
        moved: Mapping[Key, Any],
        broken: Mapping[Key, Broken],
        names: frozenset[str],
        shared: Mapping[str, Any],
        sharing: Callable[[Key], Iterable[str]] = lambda _: (),
    ) -> "Snapshot":
        """Return the next snapshot: `moved` live objects (None: gone) of which kinds in `names` are callable, and `shared` names
        that moved. `sharing` says which names a resource shares.
        """
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
        together = {name: found for name, found in {**self._shared, **shared}.items() if found is not None}
        all_broken = {**still_broken, **broken}
        stuck = {id_ for kind, id_ in all_broken if kind in names}.union(*map(sharing, all_broken))
        return Snapshot(
            revision,
            live,
            callables,
            all_broken,
            self.namespaces,
            together,
            self._prefix.rstrip("/") or None,
            frozenset(stuck),
        )


class Stage:
    """A change, compiled and not yet in force: a `View` of the snapshot in the making."""

    def __init__(self, base: Snapshot, callable_kinds: frozenset[str] = frozenset()) -> None:
        self.base = base
        self.shares: Mapping[Key, tuple[str, ...]] = {}
        self.shared: dict[str, Any] = {}
        self._callable_kinds = callable_kinds
        self.documents: Mapping[Key, Document | None] = {}
        self.names: dict[Key, tuple[Key, ...]] = {}
        self.moved: dict[Key, Any] = {}
        self.broken: dict[Key, Broken] = {}
        self.problems: dict[Key, list[Problem]] = {}

    def live(self, kind: str, id: str) -> Any | None:
        """Return the live object of a resident resource as it will be."""
        key = (kind, id)
        return self.moved[key] if key in self.moved else self.base.live(kind, id)

    def callable(self, name: str) -> Any | None:
        """Return what will answer to a name, None if nothing does."""
        for kind in self._callable_kinds:
            if (found := self.live(kind, name)) is not None:
                return found
        if (found := self.shared[name] if name in self.shared else self.base.shared(name)) is not None:
            return found
        id, slash, rest = name.partition("/")
        spaces = (self.live(kind, id) for kind in self.base.namespaces if slash)
        return next((live.callable(rest) for live in spaces if live is not None), None)
