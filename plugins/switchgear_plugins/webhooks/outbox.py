"""What is to be told, and to whom: kept before anybody is told. Each method is one database transaction."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.contracts.tables import Tables
from switchgear.contracts.times import timestamp
from switchgear_plugins.webhooks.resources import LiveWebhook

State: TypeAlias = Literal["pending", "delivered", "dead"]
_EVER_US = 2**62
_ID = re.compile(r"[0-9a-f]{32}")
_DAY_US = 86_400_000_000


class Happened(Struct, frozen=True):
    """An event on its way to webhooks. One that is told again has the same `id`, and is kept once."""

    id: str
    name: str
    at_us: int
    data: Mapping[str, Any]

    def body(self) -> str:
        """Return what receivers get."""
        when = timestamp(self.at_us)
        return msgspec.json.encode({"type": self.name, "timestamp": when, "data": self.data}).decode()


class Delivery(Struct, frozen=True):
    """One event for one webhook. `answer` is the beginning of what the receiver answered last; times are microseconds."""

    id: str
    webhook: str
    event: str
    name: str
    state: State
    tries: int
    due_us: int
    created_us: int
    ended_us: int | None = None
    status: int | None = None
    answer: str | None = None
    error: str | None = None
    took_ms: int | None = None
    again_of: str | None = None
    body: str | None = None


class Due(Struct, frozen=True):
    """A delivery that this process is to try now."""

    id: str
    event: str
    tries: int
    body: str


class Outcome(Struct, frozen=True):
    """What a try came to. `again_s` is when to try again; None: it is delivered, or dead."""

    state: State
    again_s: float | None = None
    status: int | None = None
    answer: str | None = None
    error: str | None = None
    took_ms: int = 0


class Outbox:
    """Events and deliveries."""

    def __init__(self, tables: Tables, ambient: Ambient) -> None:
        self._tables = tables
        self._ambient = ambient

    async def put(
        self,
        told: Iterable[tuple[Happened, Sequence[LiveWebhook]]],
        *,
        position: int | None = None,
        later_s: float = 0.0,
    ) -> list[str]:
        """Keep events with a delivery for each webhook; return the deliveries. What is kept already is left alone.

        `position` is the revision of the store up to which changes are told thereby. They are due `later_s` from now.
        """
        made: list[str] = []
        async with self._tables.transaction() as t:
            for event, webhooks in told:
                if not webhooks or not await t.execute(
                    "happened", id=event.id, name=event.name, at_us=event.at_us, body=event.body()
                ):
                    continue
                for webhook in webhooks:
                    made.append(self._ambient.new_id())
                    await self._deliver(t, made[-1], webhook.id, event.id, event.name, None, later_s)
            if position is not None:
                await t.execute("move", revision=position)
        return made

    async def again(self, delivery: Delivery) -> str:
        """Deliver once more what was delivered, or is dead."""
        id = self._ambient.new_id()
        async with self._tables.transaction() as t:
            await self._deliver(t, id, delivery.webhook, delivery.event, delivery.name, delivery.id, 0.0)
        return id

    async def position(self) -> int | None:
        """Return up to which revision changes were told; None at the very first start."""
        rows = await self._tables.query("position")
        return int(rows[0]["revision"]) if rows else None

    async def waiting(self) -> list[str]:
        """Return the webhooks that something is due for."""
        rows = await self._tables.query("waiting", now_us=self._ambient.now_us())
        return [row["webhook"] for row in rows]

    async def claim(self, webhook: str, most: int, lease_s: float) -> list[Due]:
        """Take some that are due: nobody else takes them for so many seconds."""
        now_us = self._ambient.now_us()
        async with self._tables.transaction() as t:
            rows = await t.query("due", webhook=webhook, now_us=now_us, most=most)
            for row in rows:
                await t.execute("claim", id=row["id"], now_us=now_us, until_us=now_us + int(lease_s * 1e6))
        return [Due(**row) for row in rows]

    async def tried(self, id: str, outcome: Outcome) -> None:
        """Note what a try came to."""
        now_us = self._ambient.now_us()
        again_us = now_us + int((outcome.again_s or 0.0) * 1e6)
        values: dict[str, Any] = {
            "due_us": again_us,
            "ended_us": None if outcome.state == "pending" else now_us,
            "status": outcome.status,
            "answer": outcome.answer,
            "error": outcome.error,
            "took_ms": outcome.took_ms,
        }
        async with self._tables.transaction() as t:
            await t.execute("tried", id=id, state=outcome.state, **values)

    async def orphaned(self, webhook: str) -> None:
        """End what is for a webhook that is not there any more."""
        async with self._tables.transaction() as t:
            error = "the webhook was deleted"
            await t.execute("orphaned", webhook=webhook, now_us=self._ambient.now_us(), error=error)

    async def find(self, id: str) -> Delivery | None:
        """Return a delivery with its body."""
        if not _ID.fullmatch(id):
            return None
        rows = await self._tables.query("delivery", id=id)
        return Delivery(**rows[0]) if rows else None

    async def newest(self, webhook: str, state: str, before: tuple[int, str] | None, most: int) -> list[Delivery]:
        """Return deliveries, newest first, without bodies; of all webhooks, in all states, where those are empty."""
        if not webhook.isprintable():
            return []
        before_us, id = before or (_EVER_US, "")
        rows = await self._tables.query(
            "newest", webhook=webhook, state=state, before_us=before_us, before=id, most=most
        )
        return [Delivery(**row) for row in rows]

    async def purge(self, days: int) -> None:
        """Forget what is older."""
        before_us = self._ambient.now_us() - days * _DAY_US
        async with self._tables.transaction() as t:
            await t.execute("forget_deliveries", before_us=before_us)
            await t.execute("forget_events", before_us=before_us)

    async def _deliver(
        self, t: Any, id: str, webhook: str, event: str, name: str, again_of: str | None, later_s: float
    ) -> None:
        now_us = self._ambient.now_us()
        await t.execute(
            "deliver",
            id=id,
            webhook=webhook,
            event=event,
            name=name,
            due_us=now_us + int(later_s * 1e6),
            created_us=now_us,
            again_of=again_of,
        )


def event_id(*parts: object) -> str:
    """Return the id of an event that is the same whoever tells of it."""
    said = "\0".join(map(str, parts)).encode()
    return f"msg_{hashlib.blake2b(said, digest_size=16).hexdigest()}"
