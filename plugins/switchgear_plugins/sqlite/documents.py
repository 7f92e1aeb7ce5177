"""A write batch: every rule is checked inside the one transaction that also writes."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from switchgear.contracts.store import Document, Replay, Write
from switchgear.errors import StoreConflict, StoreError
from switchgear_plugins.sqlite.database import row, rows

_MOST_OTHERS = 20


def write_batch(
    connection: sqlite3.Connection,
    queries: Mapping[str, str],
    batch: Sequence[Write],
    at_us: int,
    replay: Replay | None,
) -> list[Document]:
    """Write a batch inside an open transaction. Raises `StoreConflict`, after which the transaction is to be rolled back."""
    if len({(write.kind, write.id) for write in batch}) < len(batch):
        raise StoreError("a batch names a document twice: give only its last state")
    if replay is not None:
        if row(connection, queries["recall"], scope=replay.scope, key=replay.key) is not None:
            raise StoreConflict("exists", "replay", replay.key)
        connection.execute(
            queries["remember"],
            {
                "scope": replay.scope,
                "key": replay.key,
                "fingerprint": replay.fingerprint,
                "answer": replay.answer,
                "at_us": replay.at_us,
            },
        )
    revision = rows(connection, queries["revision"])[0][0] + 1
    documents = [_next_version(connection, queries, write, revision, at_us) for write in batch]
    for document in documents:
        _store_version(connection, queries, document)
    for write in batch:
        _take_keys(connection, queries, write)
    for write in batch:
        _point_at_references(connection, queries, write)
    for write in batch:
        if write.spec is None:
            users = rows(connection, queries["references_to"], kind=write.kind, id=write.id, limit=_MOST_OTHERS)
            _refuse("in_use", write, users)
    return documents


def _next_version(
    connection: sqlite3.Connection, queries: Mapping[str, str], write: Write, revision: int, at_us: int
) -> Document:
    latest = row(connection, queries["latest"], kind=write.kind, id=write.id)
    version, created_us, deleted = latest or (0, at_us, True)
    if deleted:
        if write.spec is None or write.expect:
            raise StoreConflict("missing", write.kind, write.id)
        created_us = at_us
    elif write.expect == 0:
        raise StoreConflict("exists", write.kind, write.id)
    elif write.expect not in {None, version}:
        raise StoreConflict("stale", write.kind, write.id)
    return Document(
        kind=write.kind,
        id=write.id,
        version=version + 1,
        revision=revision,
        spec=write.spec or b"",
        owner=write.owner,
        created_us=created_us,
        updated_us=at_us,
        actor=write.actor,
        deleted=write.spec is None,
    )


def _store_version(connection: sqlite3.Connection, queries: Mapping[str, str], document: Document) -> None:
    connection.execute(
        queries["insert_version"],
        (
            document.kind,
            document.id,
            document.version,
            document.revision,
            document.spec,
            document.owner,
            document.created_us,
            document.updated_us,
            document.actor,
            document.deleted,
        ),
    )
    of = {"kind": document.kind, "id": document.id}
    connection.execute(queries["drop_keys"], of)
    connection.execute(queries["drop_references"], of)
    if document.deleted:
        connection.execute(queries["unset_current"], of)
    else:
        connection.execute(queries["set_current"], {**of, "version": document.version})


def _take_keys(connection: sqlite3.Connection, queries: Mapping[str, str], write: Write) -> None:
    keys = dict.fromkeys(write.keys) if write.spec is not None else {}
    holders = [
        holder
        for index, value in keys
        if (holder := row(connection, queries["key_holder"], key_index=index, value=value)) is not None
    ]
    _refuse("key_taken", write, holders)
    for index, value in keys:
        connection.execute(
            queries["insert_key"], {"key_index": index, "value": value, "kind": write.kind, "id": write.id}
        )


def _point_at_references(connection: sqlite3.Connection, queries: Mapping[str, str], write: Write) -> None:
    references = write.references if write.spec is not None else ()
    missing = [(kind, id) for kind, id in references if row(connection, queries["exists"], kind=kind, id=id) is None]
    _refuse("missing_reference", write, missing)
    for kind, id in references:
        connection.execute(
            queries["insert_reference"], {"kind": write.kind, "id": write.id, "to_kind": kind, "to_id": id}
        )


def _refuse(reason: str, write: Write, others: Iterable[tuple[str, str]]) -> None:
    names = tuple(dict.fromkeys(f"{kind}/{id}" for kind, id in others))
    if names:
        raise StoreConflict(reason, write.kind, write.id, names[:_MOST_OTHERS])
