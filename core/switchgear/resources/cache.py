"""Live objects of kinds that are not resident, by unique key: what a request finds without I/O when it is warm.

An entry may only be kept if nothing that it came from moved while it was being loaded, so a load that began before a
revocation can never bring the old version back: each flight remembers what moved during it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from switchgear.background import mark_exception_retrieved
from switchgear.contracts.resource import MISSING
from switchgear.resources.snapshot import Key


class Loaded(Struct, frozen=True):
    """What a load found: the resource, the ones it names, and its live object (None: it does not compile here)."""

    key: Key
    names: tuple[Key, ...]
    live: Any


Load = Callable[[str], Awaitable[Loaded | None]]


class _Flight:
    """One load under way, and what moved since it began."""

    def __init__(self) -> None:
        self.task: asyncio.Task[Any] | None = None
        self.moved: set[Key] = set()


class LiveCache:
    """A bounded cache over one unique index of one kind; `load` reads and compiles, `forget` is told what moved."""

    def __init__(self, kind: str, load: Load, *, size: int = 16_384, absent: int = 4_096) -> None:
        self._kind = kind
        self._load = load
        self._size = size
        self._absent_size = absent
        self._entries: OrderedDict[str, Any] = OrderedDict()
        self._keys: dict[str, tuple[Key, ...]] = {}
        self._values: dict[Key, set[str]] = {}
        self._absent: dict[str, None] = {}
        self._joinable: dict[str, _Flight] = {}
        self._flying: set[_Flight] = set()

    def __len__(self) -> int:
        return len(self._entries) + len(self._absent)

    def peek(self, value: str) -> Any:
        """Return the live object, None if known to be absent, `MISSING` if it must be loaded. No I/O."""
        live = self._entries.get(value, MISSING)
        if live is MISSING:
            return None if value in self._absent else MISSING
        self._entries.move_to_end(value)
        return live

    async def load(self, value: str) -> Any | None:
        """Read it from the store, once however many ask, compile and keep it."""
        live = self.peek(value)
        if live is not MISSING:
            return live
        flight = self._joinable.get(value)
        if flight is None:
            self._joinable[value] = flight = _Flight()
            self._flying.add(flight)
            flight.task = asyncio.create_task(self._fly(value, flight))
            flight.task.add_done_callback(mark_exception_retrieved)
        assert flight.task is not None
        return await asyncio.shield(flight.task)  # one waiter's cancellation is not the others'

    def forget(self, key: Key) -> None:
        """Drop whatever came from a resource that moved, and keep nothing that is being read from before the move."""
        for value in self._values.pop(key, set()).copy():
            self._drop(value)
        if key[0] == self._kind:
            self._absent.clear()  # the resource may now have a key that was asked for in vain
        self._joinable.clear()  # who asks from now on must see the move
        for flight in self._flying:
            flight.moved.add(key)

    async def _fly(self, value: str, flight: _Flight) -> Any | None:
        try:
            loaded = await self._load(value)
        finally:
            self._flying.discard(flight)
            if self._joinable.get(value) is flight:
                del self._joinable[value]
        if loaded is None:
            if not flight.moved:
                self._absent[value] = None
                if len(self._absent) > self._absent_size:
                    del self._absent[next(iter(self._absent))]
            return None
        if flight.moved.isdisjoint((loaded.key, *loaded.names)):
            self._keep(value, loaded)
        return loaded.live

    def _keep(self, value: str, loaded: Loaded) -> None:
        self._drop(value)
        self._entries[value] = loaded.live
        self._keys[value] = (loaded.key, *loaded.names)
        for key in self._keys[value]:
            self._values.setdefault(key, set()).add(value)
        if len(self._entries) > self._size:
            self._drop(next(iter(self._entries)))

    def _drop(self, value: str) -> None:
        self._entries.pop(value, None)
        for key in self._keys.pop(value, ()):
            if (values := self._values.get(key)) is not None:
                values.discard(value)
                if not values:
                    del self._values[key]
