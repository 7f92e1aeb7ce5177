"""The files of a journal: a directory for each instance, numbered segments in it, a lock that says whether it lives."""

import contextlib
import errno
import fcntl
import mmap
import os
from pathlib import Path

from switchgear.errors import JournalFull
from switchgear.ledger.frames import Reading, read

_CANNOT_RESERVE = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}
_ZEROS = bytes(64 * 1024)

flush_data = getattr(os, "fdatasync", os.fsync)
"""Forces a file's content to the disk. On Linux that includes what was written through a mapping."""


class Segment:
    """A file of fixed size whose every block is reserved, mapped into memory: writing to it is a copy, and cannot fail.

    Raises `JournalFull` when the blocks cannot be had. What was copied belongs to the operating system and survives the
    death of the process.
    """

    __slots__ = ("fd", "map", "number", "path", "size")

    def __init__(self, directory: Path, number: int, size: int, *, durable: bool) -> None:
        self.number = number
        self.size = size
        self.path = segment_path(directory, number)
        try:
            self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                _reserve(self.fd, size)
                if durable:
                    os.fsync(self.fd)
                    _flush_directory(directory)
                self.map = mmap.mmap(self.fd, size)
            except BaseException:
                os.close(self.fd)
                self.path.unlink()
                raise
        except OSError as fault:
            raise JournalFull(
                f"the journal has no room: {fault.strerror} for another {size} bytes in {directory}; free some, writing "
                "resumes by itself"
            ) from fault

    def close(self) -> None:
        """Let go of the file, which stays."""
        self.map.close()
        os.close(self.fd)


class InstanceLock:
    """The lock on an instance's directory, held for as long as the process lives, however it ends."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "lock"
        self._fd: int | None = None

    def take(self) -> bool:
        """Take the lock if nobody holds it. Makes the directory if it is not there."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            # Somebody removed the directory of a dead instance just now.
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The file may have been removed between opening and locking it, and the lock be on nothing.
            if os.fstat(fd).st_nlink:
                self._fd = fd
        except BlockingIOError:
            pass
        finally:
            if self._fd != fd:
                os.close(fd)
        return self._fd is not None

    def release(self, *, remove: bool) -> None:
        """Give the lock back, `remove` with its directory, if that is otherwise empty."""
        if self._fd is None:
            return
        if remove:
            self.path.unlink(missing_ok=True)
            # Whoever takes the instance over at this moment has made a lock of its own.
            with contextlib.suppress(OSError):
                self.path.parent.rmdir()
        os.close(self._fd)
        self._fd = None


def segment_path(directory: Path, number: int) -> Path:
    """Return where a segment lies."""
    return directory / f"{number:08d}.log"


def segment_numbers(directory: Path) -> list[int]:
    """Return the segments there are, oldest first."""
    return sorted(int(path.stem) for path in directory.glob("*.log"))


class SegmentReader:
    """A segment mapped for reading; what is appended meanwhile shows.

    Reading on the event loop keeps it for a millisecond at most; a thread would keep it as long, as the interpreter's lock
    does, and wait for its turn besides.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self.size = os.fstat(file.fileno()).st_size
            # A process may have died before it reserved the first block, and nothing cannot be mapped.
            self._map = mmap.mmap(file.fileno(), self.size, prot=mmap.PROT_READ) if self.size else None

    def read(self, offset: int, end: int | None, limit: int) -> Reading:
        """Return up to `limit` records between `offset` and `end` (None: the end of the file)."""
        if self._map is None:
            return Reading([], 0, finished=True)
        with memoryview(self._map) as whole, whole[:end] as part:
            return read(part, offset, limit)

    def close(self) -> None:
        """Let go."""
        if self._map is not None:
            self._map.close()


def warm(path: Path) -> None:
    """Bring a file into the page cache, so that reading its mapping does not wait for the disk."""
    with path.open("rb") as file:
        while file.read(1 << 18):
            pass


def _reserve(fd: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError as fault:
            if fault.errno not in _CANNOT_RESERVE:
                raise
        else:
            return
    written = 0
    while written < size:
        written += os.pwrite(fd, _ZEROS[: size - written], written)


def _flush_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
