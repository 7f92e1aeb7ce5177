"""Operations as they are kept. A state changes by one statement that says from which, so each operation ends once."""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.contracts.tables import Tables
from switchgear.errors import Conflict, RateLimited
from switchgear_plugins.operations.settings import OperationsSettings

State: TypeAlias = Literal["pending", "running", "completed", "failed", "cancelled"]
UNENDED = frozenset({"pending", "running"})
_S = 1_000_000
_EVER_US = 2**62
_ID = re.compile(r"op-[0-9a-f-]{36}")


class Operation(Struct, frozen=True):
    """An operation. `request` is the id of the exchange that it became; times are wall clock microseconds.

    status  that HTTP would have answered with
    result  the answer, or the error, as JSON
    """

    id: str
    owner: str
    path: str
    model: str
    state: State
    job: str | None
    tries: int
    created_us: int
    started_us: int | None
    ended_us: int | None
    expires_us: int | None
    request: str | None
    status: int | None
    result: bytes | None


class Asked(Struct, frozen=True):
    """What is to be done."""

    owner: str
    path: str
    headers: dict[str, str]
    body: bytes
    tries: int
    created_us: int


class Book:
    """The operations."""

    def __init__(self, tables: Tables, settings: OperationsSettings, ambient: Ambient) -> None:
        self._tables = tables
        self._settings = settings
        self._ambient = ambient

    async def create(
        self, id: str, owner: str, path: str, model: str, headers: Mapping[str, str], body: bytes, replay: str | None
    ) -> tuple[str, bool]:
        """Keep a new operation; return its id, or that of the one that `replay` made before, and whether it is new.

        Raises `Conflict` for a `replay` that asked for something else, `RateLimited` where the owner has too many.
        """
        fingerprint = ""
        if (
            replay is not None
        ):  # keyed by what the store does not have, so that nobody who has it can test guesses of a body
            fingerprint = hmac.digest(replay.encode(), path.encode() + b"\0" + body, "sha256").hex()
            replay = hashlib.sha256(replay.encode()).hexdigest()
        values: dict[str, Any] = {"id": id, "owner": owner, "path": path, "model": model, "fingerprint": fingerprint}
        async with self._tables.transaction() as t:
            known = [] if replay is None else await t.query("replayed", owner=owner, replay=replay)
            if known and known[0]["fingerprint"] != fingerprint:
                message = "This Idempotency-Key was used for another request; take a new one."
                raise Conflict(message, code="idempotency_key_reused")
            if known:
                return str(known[0]["id"]), False
            [unended] = await t.query("unended_of", owner=owner)
            if unended["count"] >= self._settings.most_pending:
                message = f"{unended['count']} operations of yours have not ended, and no more are taken."
                raise RateLimited(message, code="too_many_operations", retry_after=5)
            said = msgspec.json.encode(dict(headers)).decode()
            await t.execute(
                "create", **values, replay=replay, headers=said, body=body, created_us=self._ambient.now_us()
            )
        return id, True

    async def queued(self, id: str, turn: int, job: str) -> None:
        """Note which job does it, in its turn."""
        async with self._tables.transaction() as t:
            await t.execute("queued", id=id, turn=turn, job=job)

    async def later(self, id: str, turn: int) -> bool:
        """Have it begun in another turn, and no more in this one; say whether that is so."""
        async with self._tables.transaction() as t:
            return bool(await t.execute("later", id=id, turn=turn))

    async def find(self, id: str) -> Operation | None:
        """Return one that has not expired."""
        if not _ID.fullmatch(id):
            return None
        found = self._read(await self._tables.query("find", id=id))
        return found[0] if found else None

    async def several(self, owner: str, ids: Sequence[str]) -> list[Operation]:
        """Return those of an owner that there are, in the order of their ids."""
        known = msgspec.json.encode([id for id in ids if _ID.fullmatch(id)]).decode()
        rows = await self._tables.query("several", owner=owner, ids=known)
        found = {it.id: it for it in self._read(rows)}
        return [found[id] for id in dict.fromkeys(ids) if id in found]

    async def newest_of(self, owner: str, before: tuple[int, str] | None, most: int) -> list[Operation]:
        """Return an owner's, newest first, without results."""
        before_us, id = before or (_EVER_US, "")
        rows = await self._tables.query("newest_of", owner=owner, before_us=before_us, before=id, most=most)
        return self._read(rows)

    async def newest(self, state: str, before: tuple[int, str] | None, most: int) -> list[Operation]:
        """Return everybody's, newest first, without results."""
        before_us, id = before or (_EVER_US, "")
        return self._read(await self._tables.query("newest", state=state, before_us=before_us, before=id, most=most))

    async def begin(self, id: str, turn: int) -> Asked | None:
        """Begin one in its turn, or begin it again; None if it has ended, or this is not its turn any more."""
        async with self._tables.transaction() as t:
            rows = await t.query("asked", id=id, turn=turn)
            if not rows:
                return None
            await t.execute("begin", id=id, now_us=self._ambient.now_us())
        [row] = rows
        return Asked(**{**row, "tries": row["tries"] + 1, "headers": msgspec.json.decode(row["headers"])})

    async def end(
        self,
        id: str,
        state: State,
        *,
        request: str | None = None,
        status: int | None = None,
        result: bytes | None = None,
    ) -> bool:
        """End one, unless it has ended; return whether this did."""
        now_us = self._ambient.now_us()
        expires_us = now_us + self._settings.keep_s * _S
        values: dict[str, Any] = {"request": request, "status": status, "result": result, "expires_us": expires_us}
        async with self._tables.transaction() as t:
            return bool(await t.execute("end", id=id, state=state, now_us=now_us, **values))

    async def untold(self, before_us: int) -> list[Operation]:
        """Return some that ended before, and of whose end nobody was told."""
        return self._read(await self._tables.query("untold", before_us=before_us))

    async def told(self, id: str) -> None:
        """Note that whoever listens knows of its end."""
        async with self._tables.transaction() as t:
            await t.execute("told", id=id)

    async def unended(self, before_us: int, most: int) -> list[dict[str, Any]]:
        """Return `id` and `turn` of some that were made before, and have not ended."""
        return await self._tables.query("unended", before_us=before_us, most=most)

    async def purge(self) -> None:
        """Forget those that have expired."""
        async with self._tables.transaction() as t:
            await t.execute("purge", now_us=self._ambient.now_us())

    def _read(self, rows: Sequence[Mapping[str, Any]]) -> list[Operation]:
        now_us = self._ambient.now_us()
        found = [Operation(**row) for row in rows]
        return [it for it in found if it.expires_us is None or it.expires_us >= now_us]
