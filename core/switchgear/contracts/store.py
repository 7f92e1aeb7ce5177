"""Where configuration and records are kept.

A store knows documents, records and nothing of what they mean: every rule that must hold under races (unique ids, unique
keys, references, expected versions) is stated in the write itself and checked inside the store's own transaction.
`switchgear.testing.StoreSuite` is the behaviour in full; every store passes it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec
from msgspec import Struct

from switchgear.contracts.tables import Tables
from switchgear.errors import RecordRefused, StoreError


class Document(Struct, frozen=True):
    """One version of one resource. `spec` is JSON; `revision` is the global count of write batches at its writing."""

    kind: str
    id: str
    version: int
    revision: int
    spec: bytes
    owner: str
    created_us: int
    updated_us: int
    actor: str = ""
    deleted: bool = False


class Write(Struct, frozen=True):
    """One document to be put (`spec` given) or deleted (`spec` None).

    `expect` is the version that must be current: 0 means it must not exist, None means whatever is there (an upsert, or
    a delete that must find something). `keys` are (index, value) pairs, unique over all kinds: `("callable", "gpt-4o")`.
    `references` are (kind, id) pairs that must exist, and that cannot be deleted while this document names them. A put
    replaces the keys and references of the version before it; a delete drops them.
    """

    kind: str
    id: str
    spec: bytes | None
    expect: int | None = None
    keys: tuple[tuple[str, str], ...] = ()
    references: tuple[tuple[str, str], ...] = ()
    owner: str = "api"
    actor: str = ""


class Replay(Struct, frozen=True):
    """The answer to a write that carried an Idempotency-Key, kept so that the same request gets the same answer.

    `scope` keeps principals apart, `fingerprint` is a hash of the request, `answer` is what was sent (status, headers, body
    in the resource engine's own encoding). Kept for a day.
    """

    scope: str
    key: str
    fingerprint: str
    answer: bytes
    at_us: int


class Change(Struct, frozen=True):
    """A line of the change feed: document `kind/id` moved at `revision`, to a version that `actor` wrote at `at_us`."""

    revision: int
    kind: str
    id: str
    deleted: bool
    version: int
    actor: str
    at_us: int

    @classmethod
    def of(cls, document: Document) -> "Change":
        """Return the line of a version."""
        return cls(
            document.revision,
            document.kind,
            document.id,
            document.deleted,
            document.version,
            document.actor,
            document.updated_us,
        )


class RecordRow(Struct, frozen=True, gc=False):
    """An append-only fact: `body` is a JSON object; the same `id` at the same `at_us` twice is kept once."""

    id: str
    at_us: int
    body: bytes


class RecordQuery(Struct, frozen=True):
    """Which records: `since_us <= at < until_us`, `equals` compares members of the body.

    None matches null and absent; 1, "1" and true are three different things. Names of members are letters, digits and `_`;
    `labels.team` is the member `team` of the object `labels`, whose name is 1 to 64 of a-z A-Z 0-9 _ . - (`StoreError` for
    anything else). Newest first, then by id downwards; `before` is the (at_us, id) of the last record of the page before.
    """

    kind: str
    since_us: int = 0
    until_us: int | None = None
    equals: dict[str, str | int | bool | None] = {}
    before: tuple[int, str] | None = None
    limit: int = 100


_PATH = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\.([A-Za-z0-9_.-]{1,64}))?")


def member_path(member: str) -> tuple[str, ...]:
    """Return the names that lead to a member of a record's body, one or two. Raises `StoreError` if it is no such name."""
    match = _PATH.fullmatch(member)
    if match is None:
        raise StoreError(f"{member!r} is not the name of a member: letters, digits and _, or `object.member`")
    return (match[1],) if match[2] is None else (match[1], match[2])


END_OF_TIME = 2**62
"""Microseconds; every record is older."""
MOST_LEVELS = 900
"""How deeply the body of a record may be nested: databases, and older Pythons, read little more."""
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def check_records(kind: str, rows: Sequence[RecordRow]) -> None:
    """Raise `RecordRefused` for rows that no store can keep."""
    bad = tuple(row.id for row in rows if not _can_be_kept(row))
    if bad:
        raise RecordRefused(kind, bad, "the body is not a JSON object, the id not text or the time out of range")


def _can_be_kept(row: RecordRow) -> bool:
    try:
        row.id.encode()
        row.body.decode()
        msgspec.json.decode(row.body, type=dict[str, Any])
    except (UnicodeError, RecursionError, msgspec.DecodeError):
        return False
    return "\0" not in row.id and 0 <= row.at_us < END_OF_TIME and not is_too_deep(row.body)


def is_too_deep(body: bytes) -> bool:
    """Say whether JSON is nested more deeply than a record's body may be."""
    if body.count(b"[") + body.count(b"{") <= MOST_LEVELS:
        return False
    depth = 0
    for character in _STRING.sub(b"", body):
        depth += (character in b"[{") - (character in b"]}")
        if depth > MOST_LEVELS:
            return True
    return False


class Aggregate(Struct, frozen=True):
    """One group of a summary: the values of the `by` members, how many records, the sums of the `sums` members.

    A sum is None when no record of the group has the member (unknown is not zero).
    """

    by: tuple[str | None, ...]
    count: int
    sums: tuple[int | None, ...]


class MigrationState(Struct, frozen=True):
    """One line of `db status`. `at_us` is when it was applied.

    `altered`: the file changed after it was applied. `unknown`: applied by newer code. `idle`: its plugin is not enabled.
    """

    namespace: str
    number: int
    name: str
    state: Literal["applied", "pending", "altered", "unknown", "idle"]
    at_us: int | None = None


@runtime_checkable
class Migratable(Protocol):
    """A store that has a schema."""

    async def migration_status(self, migrations: Sequence[tuple[str, Path]] = ()) -> list[MigrationState]:
        """Return every migration and whether it is applied, without applying any. The store is closed before and after."""
        ...


@runtime_checkable
class BackedUp(Protocol):
    """A store that copies itself into a file and back. It is closed before and after in this process."""

    async def backup(self, to: Path) -> int:
        """Copy it, also while other processes use it, into a new file; return its bytes. Raises `StoreError`."""
        ...

    async def restore(
        self, source: Path, migrations: Sequence[tuple[str, Path]] = (), *, over_newer: bool = False
    ) -> Path | None:
        """Check a backup and put it in the store's place; return where what was there is kept, None if there was nothing.

        Raises `StoreError` where another process has the store open, for a backup that is damaged or newer than this code, and,
        unless `over_newer`, where what is there is newer than the backup.
        """
        ...


class TableRows(Struct, frozen=True):
    """A table on its way from one store to another: its columns, and its rows in batches, in the order in which they came."""

    name: str
    columns: tuple[str, ...]
    rows: Iterator[Sequence[tuple[Any, ...]]]


@runtime_checkable
class Movable(Protocol):
    """A store that can be copied into one of another engine. It is closed before and after in this process; both block.

    Tables and columns have the same names in every engine, the kernel's and those of plugins; what one engine has for itself
    alone it makes anew.
    """

    def unload(self) -> Iterator[TableRows]:
        """Yield every table that is not the store's own business, as all of them were at one moment, those first that others
        refer to. Each is read before the next is asked for. Raises `StoreError`.
        """
        ...

    def load(self, tables: Iterable[TableRows]) -> Mapping[str, int]:
        """Fill the tables of a store that is migrated and empty, all or nothing; return the rows of each. Raises `StoreError`."""
        ...


@runtime_checkable
class Writable(Protocol):
    """A store that can prove that writes get through, beyond the `Store` contract."""

    async def try_write(self) -> None:
        """Write something that changes nothing. Raises `StoreError` with the reason where it cannot be kept."""
        ...


class Store(Protocol):
    """Documents with versions and a global revision, atomic batches, records, a change feed.

    Every method raises `StoreUnavailable` when the database is away; none blocks the event loop.
    """

    async def open(self, migrations: Sequence[tuple[str, Path]] = ()) -> None:
        """Connect and migrate; `migrations` are (namespace, directory) of plugins' own tables.

        Raises `StoreError` when the schema is newer than this code, a migration was altered, or a plugin has no tables for
        this store.
        """
        ...

    async def close(self) -> None:
        """Finish what was begun and let go."""
        ...

    async def ping(self) -> None:
        """Prove that the store answers."""
        ...

    async def read(self, kind: str, id: str) -> Document | None:
        """Return the current version, None if absent or deleted."""
        ...

    async def lookup(self, index: str, value: str) -> Document | None:
        """Return the document that holds the unique key (index, value)."""
        ...

    async def search(
        self, index: str, prefix: str, *, limit: int = 100, naming: tuple[str, str] | None = None
    ) -> list[Document]:
        """Return the documents that hold a unique key of an index which begins so, in the order of the keys (code points); with
        `naming`, a (kind, id), those alone that reference it.
        """
        ...

    async def page(
        self, kind: str, *, after: str = "", limit: int = 100, naming: tuple[str, str] | None = None
    ) -> list[Document]:
        """Return current documents of a kind with id > `after`, in id order (code points); with `naming`, a (kind, id), those
        alone that reference it.
        """
        ...

    async def write(
        self,
        batch: Sequence[Write],
        *,
        at_us: int,
        replay: Replay | None = None,
        records: Sequence[tuple[str, RecordRow]] = (),
    ) -> list[Document]:
        """Write all or nothing, as one revision; return the new versions (a deleted one has `deleted` set, spec b"").

        Versions go on counting after a delete and re-creation, whose `created_us` is new. `replay` and `records`, each with its
        kind, are stored in the same transaction. A batch names a document at most once (`StoreError`); an empty one takes no
        revision. Keys and references are checked against the state after the whole batch, so two documents may swap a key in
        one.

        Raises `StoreConflict`, first found first: the replay's (scope, key) exists (reason `exists`, kind `replay`, its key
        as id); then, each in the order of the batch, expected versions, keys, references of what was put, references to
        what was deleted. Raises `RecordRefused` for records that can never be kept.
        """
        ...

    async def recall(self, scope: str, key: str) -> Replay | None:
        """Return the remembered answer of an Idempotency-Key."""
        ...

    async def forget(self, before_us: int) -> int:
        """Drop remembered answers older than `before_us`; return how many."""
        ...

    async def versions(self, kind: str, id: str, *, before: int | None = None, limit: int = 100) -> list[Document]:
        """Return versions newest first, deleted ones too, those below version `before` if given."""
        ...

    async def references_to(self, kind: str, id: str, *, limit: int = 20) -> list[tuple[str, str]]:
        """Return the (kind, id) of documents that name this one."""
        ...

    async def revision(self) -> int:
        """Return the global revision: 0 for an empty store, one more with each write batch."""
        ...

    async def changes(self, after: int, *, limit: int = 1000) -> list[Change]:
        """Return the change feed after a revision, oldest first. A revision is never split over two answers."""
        ...

    async def wait_for_change(self, revision: int, timeout_s: float) -> int:
        """Return the global revision once it is beyond `revision`, or after `timeout_s` seconds whatever it is."""
        ...

    async def lease(self, name: str, holder: str, ttl_s: float) -> bool:
        """Take or renew a lease for `ttl_s` seconds; False while another holder has it.

        So that of many replicas one does a thing: it renews well before the end, and stops when that fails. Clocks of replicas
        may differ by a second or two, so `ttl_s` is several times that.
        """
        ...

    async def release(self, name: str, holder: str) -> None:
        """Give a lease back, if this holder has it."""
        ...

    def tables(self, namespace: str) -> Tables:
        """Return the tables of a plugin whose migrations were given to `open`. Raises `StoreError` if it has none."""
        ...

    async def append(self, kind: str, rows: Sequence[RecordRow]) -> int:
        """Append records, ignoring those this kind has already (same `id` and `at_us`); return how many were new.

        All or nothing. Raises `RecordRefused`, which names the rows that will never be taken.
        """
        ...

    async def expire(self, kind: str, before_us: int, *, limit: int = 1000) -> int:
        """Delete up to `limit` of the oldest records of a kind that are older than `before_us`; return how many."""
        ...

    async def scan(self, query: RecordQuery) -> list[RecordRow]:
        """Return records that match, newest first."""
        ...

    async def summarise(self, query: RecordQuery, by: Sequence[str], sums: Sequence[str]) -> list[Aggregate]:
        """Group matching records by up to three members and add up to sixteen integer members; `limit` bounds groups.

        Members are named as in `RecordQuery`.

        The `by` members `day`, `hour` and `minute` mean the UTC time that `at_us` falls in (2026-01-31, 2026-01-31T12:00Z,
        2026-01-31T12:34Z). Strings stand as they are, integers in decimal,
        `true`, `false`, and None for null or absent. Order: by key, None first. Members that are not integers do not
        count in sums.
        """
        ...
