"""A write batch: every rule is checked inside the one transaction that also writes."""

import sqlite3
from collections.abc import Mapping, Sequence

from switchgear.contracts.store import Document, Replay, Write
from switchgear.contracts.store_rules import MOST_OTHERS, check_batch, next_version, refuse
from switchgear.errors import StoreConflict
from switchgear_plugins.sqlite.database import row, rows


def write_batch(
    connection: sqlite3.Connection,
    queries: Mapping[str, str],
    batch: Sequence[Write],
    at_us: int,
    replay: Replay | None,
) -> list[Document]:
    """Write a batch inside an open transaction. Raises `StoreConflict`, after which the transaction is to be rolled back."""
    check_batch(batch)
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
    documents = [
        next_version(write, row(connection, queries["latest"], kind=write.kind, id=write.id), revision, at_us)
        for write in batch
    ]
    for document in documents:
        _store_version(connection, queries, document)
    for write in batch:
        _take_keys(connection, queries, write)
    for write in batch:
        _point_at_references(connection, queries, write)
    for write in batch:
        if write.spec is None:
            users = rows(connection, queries["references_to"], kind=write.kind, id=write.id, limit=MOST_OTHERS)
            refuse("in_use", write, users)
    return documents


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
    refuse("key_taken", write, holders)
    for index, value in keys:
        connection.execute(
            queries["insert_key"], {"key_index": index, "value": value, "kind": write.kind, "id": write.id}
        )


def _point_at_references(connection: sqlite3.Connection, queries: Mapping[str, str], write: Write) -> None:
    references = write.references if write.spec is not None else ()
    missing = [(kind, id) for kind, id in references if row(connection, queries["exists"], kind=kind, id=id) is None]
    refuse("missing_reference", write, missing)
    for kind, id in references:
        connection.execute(
            queries["insert_reference"], {"kind": write.kind, "id": write.id, "to_kind": kind, "to_id": id}
        )
