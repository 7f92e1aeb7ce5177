"""When each key was last good for something: noted in memory as requests come, written down many at a time."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

import msgspec
from msgspec import Struct

from switchgear import Context
from switchgear.contracts.store import Migratable
from switchgear_plugins.api_keys.spec import EPOCH, Moment

T = TypeVar("T")
EVERY_S = 10.0
"""How often what was noted is written down."""
_AT_ONCE = 1000


class Used(Struct, frozen=True):
    """When a key was last good for a request, of whatever sort, give or take ten seconds; null: never yet."""

    last_used_at: Moment | None = None


class Uses:
    """Uses that this process saw, and those of all in the plugin's table. A store without tables lives no longer than this."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._noted: dict[str, int] = {}
        self._deleted: set[str] = set()
        self.note = self._noted.__setitem__
        """Note that a key, by its id, was good at a time (microseconds since the epoch)."""

    def forget(self, id: str) -> None:
        """Forget a key that was deleted, whose id another one may get."""
        self._noted.pop(id, None)
        self._deleted.add(id)

    async def write(self) -> None:
        """Write down what was noted."""
        if not isinstance(self._context.store, Migratable) or not (self._noted or self._deleted):
            return
        noted, deleted = self._noted.copy(), self._deleted.copy()
        self._noted.clear()
        try:
            async with self._context.tables.transaction() as t:
                for uses in _pieces(list(noted.items())):
                    await t.execute("note", uses=_text(dict(uses)))
                for ids in _pieces(list(deleted)):
                    await t.execute("forget", ids=_text(ids))
        except BaseException:
            for id, at_us in noted.items():
                self._noted.setdefault(id, at_us)
            raise
        self._deleted -= deleted

    async def read(self, ids: Sequence[str]) -> Mapping[str, Used]:
        """Return when keys were last used, as far as they were."""
        found: dict[str, int] = {}
        if isinstance(self._context.store, Migratable):
            rows = await self._context.tables.query("last", ids=_text(ids))
            found = {row["id"]: row["at_us"] for row in rows if row["id"] not in self._deleted}
        latest = {id: max(found.get(id, 0), self._noted.get(id, 0)) for id in ids}
        return {id: Used(EPOCH + timedelta(microseconds=at_us)) for id, at_us in latest.items() if at_us}


def _pieces(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE)]


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
