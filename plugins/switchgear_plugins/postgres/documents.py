"""A write batch: every rule is checked inside the one transaction that also writes."""

from collections.abc import Mapping, Sequence

from psycopg import AsyncConnection

from switchgear.contracts.store import Document, Replay, Write
from switchgear.contracts.store_rules import MOST_OTHERS, check_batch, next_version, refuse
from switchgear.errors import StoreConflict
from switchgear_plugins.postgres.database import Rows, execute, rows


class Batch:
    """A batch on its way into an open transaction that holds the writer's lock."""

    def __init__(self, connection: AsyncConnection, queries: Mapping[str, str]) -> None:
        self._connection = connection
        self._queries = queries

    async def write(self, batch: Sequence[Write], at_us: int, replay: Replay | None) -> list[Document]:
        """Write. Raises `StoreConflict`, after which the transaction is to be rolled back."""
        check_batch(batch)
        if replay is not None:
            await self._remember(replay)
        [[revision]] = await self._rows("revision")
        documents = [await self._next_version(write, revision + 1, at_us) for write in batch]
        for document in documents:
            await self._store(document)
        for write in batch:
            await self._take_keys(write)
        for write in batch:
            await self._point_at_references(write)
        for write in batch:
            if write.spec is None:
                users = await self._rows("references_to", kind=write.kind, id=write.id, limit=MOST_OTHERS)
                refuse("in_use", write, users)
        return documents

    async def _remember(self, replay: Replay) -> None:
        if await self._rows("recall", scope=replay.scope, key=replay.key):
            raise StoreConflict("exists", "replay", replay.key)
        await self._run(
            "remember",
            scope=replay.scope,
            key=replay.key,
            fingerprint=replay.fingerprint,
            answer=replay.answer,
            at_us=replay.at_us,
        )

    async def _next_version(self, write: Write, revision: int, at_us: int) -> Document:
        latest = await self._rows("latest", kind=write.kind, id=write.id)
        return next_version(write, (latest[0][0], latest[0][1], latest[0][2]) if latest else None, revision, at_us)

    async def _store(self, it: Document) -> None:
        values = (
            it.kind, it.id, it.version, it.revision, it.spec, it.owner, it.created_us, it.updated_us, it.actor, it.deleted,
        )  # fmt: skip
        await execute(self._connection, self._queries["insert_version"], values)
        await self._run("drop_keys", kind=it.kind, id=it.id)
        await self._run("drop_references", kind=it.kind, id=it.id)
        if it.deleted:
            await self._run("unset_current", kind=it.kind, id=it.id)
        else:
            await self._run("set_current", kind=it.kind, id=it.id, version=it.version)

    async def _take_keys(self, write: Write) -> None:
        keys = dict.fromkeys(write.keys) if write.spec is not None else {}
        holders = [
            holder for index, value in keys for holder in await self._rows("key_holder", key_index=index, value=value)
        ]
        refuse("key_taken", write, holders)
        for index, value in keys:
            await self._run("insert_key", key_index=index, value=value, kind=write.kind, id=write.id)

    async def _point_at_references(self, write: Write) -> None:
        references = write.references if write.spec is not None else ()
        missing = [(kind, id) for kind, id in references if not await self._rows("exists", kind=kind, id=id)]
        refuse("missing_reference", write, missing)
        for kind, id in references:
            await self._run("insert_reference", kind=write.kind, id=write.id, to_kind=kind, to_id=id)

    async def _rows(self, name: str, **values: object) -> Rows:
        return await rows(self._connection, self._queries[name], values)

    async def _run(self, name: str, **values: object) -> None:
        await execute(self._connection, self._queries[name], values)
