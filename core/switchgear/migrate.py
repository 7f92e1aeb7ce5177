"""Numbered SQL, applied once, in order, by one process at a time.

A store brings a `MigrationTarget` that runs SQL on its engine; finding migrations, refusing altered or unknown ones and
deciding what is pending is the same for every engine.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.resources.abc import Traversable
from typing import Literal, Protocol

from msgspec import Struct

from switchgear.contracts.store import MigrationState
from switchgear.errors import StoreError
from switchgear.shipped import shipped

CORE = "switchgear"
"""The namespace of the kernel's own migrations; a plugin's is its name."""

ADDS = "add_"
"""What the name of a migration begins with that only adds, so that code which does not know it works on what it makes."""

QUERIES = "queries.sql"
"""The file beside migrations that holds a plugin's statements, each after a line `-- name: NAME`."""

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


class Migration(Struct, frozen=True):
    """One numbered file."""

    namespace: str
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the SQL, in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.namespace}/{self.number:04d}_{self.name}"


class Applied(Struct, frozen=True):
    """What the database remembers of a migration."""

    namespace: str
    number: int
    name: str
    checksum: str
    at_us: int


class MigrationTarget(Protocol):
    """A database as the runner sees it. Calls block: run them in a thread."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold a transaction only one process can hold: committed at the end, rolled back when something raises."""
        ...

    def applied(self) -> list[Applied]:
        """Return what was applied, none if the database is new."""
        ...

    def apply(self, migration: Migration, at_us: int) -> None:
        """Run its statements and remember it, inside the transaction."""
        ...


def core_migrations(engine: str) -> list[Migration]:
    """Return the kernel's migrations for an engine (`sqlite`)."""
    root = shipped("migrations", "migrations")
    found = load(root, engine, CORE)
    if not found:
        raise StoreError(
            f"no migrations for {engine} in {root}: the installation is incomplete, install switchgear again"
        )
    return found


def load(directory: Traversable, engine: str, namespace: str) -> list[Migration]:
    """Return the migrations in `directory/engine`, in order; none if there is no such folder.

    Raises `StoreError` for a misnamed file or a number used twice.
    """
    folder = directory / engine
    if not folder.is_dir():
        return []
    found: dict[int, Migration] = {}
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not entry.name.endswith(".sql") or entry.name == QUERIES:
            continue
        match = _FILE_NAME.fullmatch(entry.name)
        if match is None:
            raise StoreError(f"{entry}: a migration is named like 0001_what_it_does.sql")
        number = int(match[1])
        if number in found:
            raise StoreError(f"{entry}: number {number:04d} is taken by {found[number]}; give it the next free one")
        found[number] = Migration(namespace, number, match[2], entry.read_text("utf-8"))
    return list(found.values())


def of_plugins(
    migrations: Iterable[tuple[str, Traversable]], engine: str
) -> tuple[list[Migration], dict[str, Mapping[str, str]]]:
    """Return the migrations of plugins for an engine, and each plugin's statements by name.

    Raises `StoreError` naming every plugin that has no folder for the engine.
    """
    found: list[Migration] = []
    statements: dict[str, Mapping[str, str]] = {}
    lacking: list[str] = []
    for namespace, directory in migrations:
        folder = directory / engine
        if not folder.is_dir():
            lacking.append(
                f"plugin `{namespace}` has no tables for this store: there is no {folder}. Disable it, or use another store"
            )
            continue
        found += load(directory, engine, namespace)
        queries = folder / QUERIES
        statements[namespace] = named_statements(queries.read_text("utf-8")) if queries.is_file() else {}
    if lacking:
        raise StoreError("; ".join(lacking))
    return found, statements


def named_statements(text: str) -> dict[str, str]:
    """Return the statements of a file by name."""
    statements: dict[str, str] = {}
    for part in text.split("-- name: ")[1:]:
        name, _, sql = part.partition("\n")
        statements[name.strip()] = sql.strip()
    return statements


def status(applied: Iterable[Applied], migrations: Sequence[Migration]) -> list[MigrationState]:
    """Compare what was applied with what the code brings, in order of namespace and number."""
    done = {(one.namespace, one.number): one for one in applied}
    known = {(one.namespace, one.number): one for one in migrations}
    namespaces = {namespace for namespace, _ in known}
    lines: list[MigrationState] = []
    for namespace, number in sorted(done.keys() | known.keys()):
        was, now = done.get((namespace, number)), known.get((namespace, number))
        if was is None:
            assert now is not None
            lines.append(MigrationState(namespace, number, now.name, "pending"))
        elif now is None:
            state: Literal["unknown", "idle"] = "unknown" if namespace in namespaces else "idle"
            lines.append(MigrationState(namespace, number, was.name, state, was.at_us))
        else:
            same = was.checksum == now.checksum
            lines.append(MigrationState(namespace, number, now.name, "applied" if same else "altered", was.at_us))
    return lines


def migrate(target: MigrationTarget, migrations: Sequence[Migration], *, at_us: int) -> list[Migration]:
    """Apply what is pending, all or nothing, and return it. Two processes starting at once migrate once.

    Raises `StoreError` when an applied migration was altered, when the schema is newer than the code by one that does more than
    add (`0007_add_notes.sql` adds), or when a pending migration stands before an applied one of its namespace.
    """
    if not _pending(target, migrations):
        return []
    with target.exclusive():
        # Somebody else may have migrated while this process waited for the lock.
        pending = _pending(target, migrations)
        for migration in pending:
            target.apply(migration, at_us)
    return pending


def _pending(target: MigrationTarget, migrations: Sequence[Migration]) -> list[Migration]:
    lines = status(target.applied(), migrations)
    problems: list[str] = []
    newest = {line.namespace: line.number for line in lines if line.state in {"applied", "altered", "unknown"}}
    for line in lines:
        name = f"{line.namespace}/{line.number:04d}_{line.name}"
        if line.state == "altered":
            problems.append(
                f"migration {name} was altered after it was applied: restore the file, add a new one instead"
            )
        elif line.state == "unknown" and not line.name.startswith(ADDS):
            problems.append(f"the schema is newer than this code (migration {name}): install the version that wrote it")
        elif line.state == "pending" and line.number < newest.get(line.namespace, 0):
            problems.append(f"migration {name} stands before one that is applied: give it the next free number")
    if problems:
        raise StoreError("; ".join(problems))
    waiting = {(line.namespace, line.number) for line in lines if line.state == "pending"}
    # The kernel's own come first, plugins may build upon them.
    ordered = sorted(migrations, key=lambda one: (one.namespace != CORE, one.namespace, one.number))
    return [one for one in ordered if (one.namespace, one.number) in waiting]
