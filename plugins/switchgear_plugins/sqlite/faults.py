"""What SQLite's errors mean to an operator."""

import sqlite3
from pathlib import Path

from switchgear.errors import StoreError, StoreUnavailable


def primary_code(fault: sqlite3.Error) -> int:
    """Return SQLite's primary result code, 0 if the fault came from Python's module itself."""
    return getattr(fault, "sqlite_errorcode", 0) & 0xFF


def translate(fault: sqlite3.Error, path: Path) -> StoreError:
    """Return the error to raise in place of `fault`, saying what to do about it."""
    match primary_code(fault):
        case sqlite3.SQLITE_FULL:
            return StoreUnavailable(f"no room left on the disk of {path}: free some, writing resumes by itself")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreUnavailable(f"another process keeps {path} locked: end what holds it open (a backup, a shell)")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StoreError(
                f"{path} is damaged or not a SQLite database: stop the gateway, move the file aside and restore a backup, "
                f"or salvage it with `sqlite3 {path} .recover`"
            )
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return StoreUnavailable(
                f"{path} cannot be opened for writing: the gateway's user must own the file and its directory"
            )
        case sqlite3.SQLITE_IOERR:
            return StoreUnavailable(f"reading or writing {path} failed ({fault}): check the disk")
        case _:
            return StoreError(f"SQLite refused ({fault})")
