"""Copies of the file: made while it is in use, put back with checks, and told from what was copied over it by hand.

A write-ahead log belongs to one file. Where a process was killed and its file then replaced, the log of the old one would be read
into the new one, or the old state be served as if nothing had happened. So each generation of a file, from one empty log to the
next, has a number in its header, which is kept beside it too; a copy made here has none.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from switchgear.errors import StoreError
from switchgear_plugins.sqlite.faults import primary_code, translate

_MAGIC = b"SQLite format 3\0"
_APPLICATION_ID_AT = 68
_HEADER = 100
_BUSY_S = 5.0
_MOST_GENERATIONS = 2**31 - 2


def back_up(path: Path, to: Path) -> int:
    """Copy a database that may be in use into one new file, and check the copy; return its size. Raises `StoreError`."""
    if not path.exists():
        raise StoreError(f"there is no database {path} to copy")
    if to.exists():
        raise StoreError(f"{to} exists already: name a file that does not, no backup is written over another")
    draft = _draft(to)
    try:
        with closing(_open(path)) as source, closing(sqlite3.connect(draft, isolation_level=None)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.execute("PRAGMA application_id = 0")
            _check(copy, draft)
        _flush(draft)
        os.link(draft, to)  # unlike a rename, a link replaces nothing that has come there meanwhile
        _flush(to.parent)
    except sqlite3.Error as fault:
        raise translate(fault, path) from fault
    except OSError as fault:
        raise StoreError(f"{to} cannot be written ({fault.strerror})") from fault
    finally:
        draft.unlink(missing_ok=True)
    return to.stat().st_size


def restore(
    path: Path, source: Path, judge: Callable[[sqlite3.Connection], int], *, over_newer: bool, at_us: int
) -> Path | None:
    """Put a backup in the place of the database, which nobody may have open; return where that is kept, None if there was none.

    `judge` raises `StoreError` for what is no database of ours, or newer than this code, and returns the revision. A database
    with a later revision than the backup's is replaced only if `over_newer`. Raises `StoreError`.
    """
    _refuse_what_is_none(source)
    draft = _draft(path)
    try:
        with closing(_open(source)) as backup, closing(sqlite3.connect(draft, isolation_level=None)) as copy:
            backup.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.execute("PRAGMA application_id = 0")
            _check(copy, source)
            revision = judge(copy)
        _flush(draft)
        moved = _aside(path, revision, judge, over_newer=over_newer, at_us=at_us)
        draft.rename(path)
        _flush(path.parent)
    except sqlite3.Error as fault:
        raise translate(fault, source) from fault
    finally:
        draft.unlink(missing_ok=True)
    return moved


def _aside(
    path: Path, revision: int, judge: Callable[[sqlite3.Connection], int], *, over_newer: bool, at_us: int
) -> Path | None:
    if not path.exists():
        return None
    newer = _revision(path, judge)
    if newer > revision and not over_newer:
        raise StoreError(
            f"what is there is newer (revision {newer}) than the backup (revision {revision}): its later changes would be lost. "
            "Say --over-newer to replace it all the same"
        )
    kept = path.with_name(f"{path.name}.before-restore-{at_us // 1_000_000}")
    for suffix in ("", "-wal", "-shm"):
        found = path.with_name(path.name + suffix)
        if found.exists():
            found.rename(kept.with_name(kept.name + suffix))
    _generations(path).unlink(missing_ok=True)
    return kept


def _revision(path: Path, judge: Callable[[sqlite3.Connection], int]) -> int:
    """Return the revision of the database that is there, 0 where it can be of no use to anybody."""
    try:
        refuse_doubtful(path)
    except StoreError:
        return 0
    try:
        with closing(_open(path)) as current:
            if current.execute("PRAGMA journal_mode = DELETE").fetchone() != ("delete",):
                raise StoreError(_IN_USE.format(path))
            return judge(current)
    except sqlite3.Error as fault:
        if primary_code(fault) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreError(_IN_USE.format(path)) from fault
        return 0  # it is damaged, which is why it is replaced


_IN_USE = "{} is open in another process: stop the gateway first"


def refuse_doubtful(path: Path) -> None:
    """Raise `StoreError` for a file that is not what its last user left: empty, no database, or put beside another one's log."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except OSError:
        return  # it is not there, or no file: whoever opens it says so
    log = path.with_name(f"{path.name}-wal")
    has_log = log.exists() and log.stat().st_size > 0
    if not header and not has_log:
        raise StoreError(
            f"{path} is empty (0 bytes), as a copy that failed leaves it: bring a backup back with `switchgear db restore`, or "
            "remove the file to begin anew"
        )
    known = _known(path)
    if has_log and known and header[:16] == _MAGIC and _number(header) not in known:
        raise StoreError(
            f"{path} is not the file that {log.name} beside it belongs to: it was replaced after its process was killed. Nothing "
            "was changed. Bring the backup back with `switchgear db restore`; or remove "
            f"{log.name} and {path.name}-shm to go on with this file, without what only they hold"
        )


def begin_generation(connection: sqlite3.Connection, path: Path) -> None:
    """Number the file anew where its log is empty, so that a file put in its place later can be told from it."""
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size > 0:
        return
    known = {*_known(path), _application_id(connection)}
    number = max(known) % _MOST_GENERATIONS + 1
    # All of them count until the file has the new one, whatever happens in between.
    _remember(path, {*known, number})
    connection.execute(f"PRAGMA application_id = {number}")
    busy, in_log, moved = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if not busy and in_log == moved:
        _remember(path, {number})


def end_generation(path: Path) -> None:
    """Forget the number where the log has gone into the file, as whoever closes it last does."""
    if not path.with_name(f"{path.name}-wal").exists():
        _generations(path).unlink(missing_ok=True)


def _remember(path: Path, numbers: set[int]) -> None:
    with os.fdopen(os.open(_generations(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(f"{number}\n" for number in numbers)


def _application_id(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute("PRAGMA application_id").fetchone()
    return int(number)


def _generations(path: Path) -> Path:
    return path.with_name(f"{path.name}-generation")


def _known(path: Path) -> set[int]:
    try:
        return {int(line) for line in _generations(path).read_text().split()}
    except (OSError, ValueError):
        return set()


def _number(header: bytes) -> int:
    return int.from_bytes(header[_APPLICATION_ID_AT : _APPLICATION_ID_AT + 4], "big", signed=True)


def _refuse_what_is_none(source: Path) -> None:
    if not source.is_file():
        raise StoreError(f"{source} is no file: name a backup that `switchgear db backup` made")
    with source.open("rb") as file:
        if file.read(16) != _MAGIC:
            raise StoreError(f"{source} is no SQLite database: name a backup that `switchgear db backup` made")


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)


def _draft(path: Path) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as fault:
        raise StoreError(f"{path.parent} cannot be written ({fault.strerror})") from fault
    return draft


def _check(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != ("ok",):
        raise StoreError(f"{path} is damaged ({found[0]}): use another backup")


def _flush(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
