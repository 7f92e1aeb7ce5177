"""The responses that are kept, each found by its owner alone. Each method is one database transaction."""

from collections.abc import Iterable

import msgspec
from msgspec import Raw, Struct

from switchgear.ambient import Ambient
from switchgear.contracts.tables import Tables
from switchgear_plugins.stored_responses.settings import StoredResponsesSettings

_DAY_US = 86_400_000_000
_NOTHING = Raw(b"[]")


class Item(Struct):
    """What is looked at of an item."""

    id: str | None = None


class Told(Struct):
    """What is looked at of a response."""

    id: str = ""
    status: str | None = None
    store: bool | None = None
    output: Raw = _NOTHING


class Given(Struct, frozen=True):
    """A response that was given.

    thread    what it shares with those that went before it and those that go on from it
    previous  the one it went on from
    kept_by   the provider that keeps it too, under the same id
    input     the items that its client sent for it: a JSON array
    response  as its client got it
    """

    id: str
    thread: str
    previous: str | None
    kept_by: str | None
    status: str
    input: bytes
    response: bytes

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self.status not in {"queued", "in_progress"}

    def output(self) -> list[Raw]:
        """Return its output items."""
        return items(told(self.response).output)

    def told_again(self) -> list[Raw]:
        """Return its input and output items, as what went before."""
        return [*items(self.input), *self.output()]


_told = msgspec.json.Decoder(Told)
_item = msgspec.json.Decoder(Item)
_items = msgspec.json.Decoder(list[Raw])


def told(response: bytes | Raw) -> Told:
    """Read a response. Raises `msgspec.DecodeError`."""
    return _told.decode(response)


def items(array: bytes | Raw) -> list[Raw]:
    """Split an array of items. Raises `msgspec.DecodeError`."""
    return _items.decode(array)


def id_of(item: Raw) -> str | None:
    """Return the id of an item; None for one without."""
    try:
        return _item.decode(item).id
    except msgspec.DecodeError:
        return None


class Shelf:
    """Keeps responses within the settings' bounds."""

    def __init__(self, tables: Tables, settings: StoredResponsesSettings, ambient: Ambient) -> None:
        self._tables = tables
        self._settings = settings
        self._ambient = ambient

    async def thread(self, owner: str, id: str) -> list[Given]:
        """Return a response behind those that it goes on from, the first in front; nothing where it is not there.

        One whose first is not there any more begins in the middle: its `previous` says so.
        """
        rows = await self._tables.query(
            "chain", owner=owner, id=id, most=self._settings.most_per_owner, since=self._since()
        )
        return [Given(**row) for row in rows]

    async def get(self, owner: str, id: str) -> Given | None:
        """Return one response."""
        rows = await self._tables.query("chain", owner=owner, id=id, most=0, since=self._since())
        return Given(**rows[0]) if rows else None

    async def of_items(self, owner: str, ids: Iterable[str]) -> dict[str, Given | None]:
        """Return, for each item, the response that it is in the output of."""
        found: dict[str, Given | None] = {}
        known: dict[str, Given | None] = {}
        for id in ids:
            rows = await self._tables.query("response_of", owner=owner, id=id)
            response = str(rows[0]["response"]) if rows else None
            if response is not None and response not in known:
                known[response] = await self.get(owner, response)
            found[id] = None if response is None else known[response]
        return found

    async def put(self, owner: str, given: Given, items: Iterable[str]) -> None:
        """Keep a response, whose output items have these ids; what is over the owner's bounds then goes, the oldest first."""
        async with self._tables.transaction() as t:
            await t.execute(
                "put",
                owner=owner,
                at_us=self._ambient.now_us(),
                bytes=len(given.input) + len(given.response),
                **msgspec.structs.asdict(given),
            )
            for item in items:
                await t.execute("put_item", owner=owner, id=item, response=given.id)
            bounds = self._settings
            await t.execute("make_room", owner=owner, most=bounds.most_per_owner, most_bytes=bounds.bytes_per_owner)

    async def delete(self, owner: str, id: str) -> None:
        """Forget one."""
        async with self._tables.transaction() as t:
            await t.execute("delete", owner=owner, id=id)

    async def purge(self) -> None:
        """Forget conversations that nobody has gone on with for as long as they are kept."""
        async with self._tables.transaction() as t:
            await t.execute("purge", since=self._since())

    def _since(self) -> int:
        return self._ambient.now_us() - self._settings.days * _DAY_US
