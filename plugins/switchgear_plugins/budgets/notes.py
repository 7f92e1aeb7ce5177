"""What calls in flight hold, in a file: for counters that end with the process, or lose what they had once it was killed.

The file is mapped memory, so that what was written outlives a process that is killed. A slot is written when a call has
reserved, and emptied some time after it was settled; whoever finds one whose call has no record counts it as held until its
lease ends.
"""

import fcntl
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from switchgear.contracts.counters import Bucket

_SLOT = 512
_SLOTS = 8192
_LENGTH = 2

_encode = msgspec.msgpack.Encoder().encode


class Note(Struct, array_like=True, frozen=True):
    """What a call holds, and until when (wall clock microseconds)."""

    id: str
    until_us: int
    buckets: tuple[tuple[str, str, int, float, int | None], ...]

    def unbounded(self, most: int) -> tuple[Bucket, ...]:
        """Return the buckets as they are reserved again, whatever there is room for."""
        return tuple(
            Bucket(key, sort, most, amount, period_s, start_us=start_us)
            for key, sort, amount, period_s, start_us in self.buckets
        )


_decoder = msgspec.msgpack.Decoder(Note)


class Notes:
    """The notes of this process, in a directory where those of others are too."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._path = directory / f"{name}.held"
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(self._file, _SLOT * _SLOTS)
        self._map = mmap.mmap(self._file, _SLOT * _SLOTS)
        self._free = list(range(_SLOTS - 1, -1, -1))
        self._slots: dict[str, int] = {}
        self._done: list[str] = []

    def write(self, id: str, until_us: int, buckets: tuple[Bucket, ...]) -> None:
        """Note what a call holds; one that holds more than fits is not noted."""
        if self._done:
            self.tidy()
        held = tuple((it.key, it.sort, it.amount, it.period_s, it.start_us) for it in buckets if it.amount)
        data = _encode(Note(id, until_us, held))
        if len(data) > _SLOT - _LENGTH or not self._free or not held:
            return
        slot = self._slots[id] = self._free.pop()
        at = slot * _SLOT
        self._map[at + _LENGTH : at + _LENGTH + len(data)] = data
        self._map[at : at + _LENGTH] = len(data).to_bytes(_LENGTH, "little")  # last: what has a length is whole

    def settled(self, id: str) -> None:
        """A call is settled. Its record is written a moment later, and only then is the slot emptied, with the next note."""
        if id in self._slots:
            self._done.append(id)

    def tidy(self) -> None:
        """Empty the slots of calls that were settled before now."""
        for id in self._done:
            slot = self._slots.pop(id, None)
            if slot is not None:
                self._map[slot * _SLOT : slot * _SLOT + _LENGTH] = b"\0\0"
                self._free.append(slot)
        self._done.clear()

    def left(self) -> Iterator[Note]:
        """Yield what processes that are no more held, and forget it."""
        for path in sorted(self._directory.glob("*.held")):
            if path == self._path:
                continue
            try:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                data = path.read_bytes()
                path.unlink(missing_ok=True)
            except BlockingIOError:
                continue  # it lives
            finally:
                os.close(file)
            yield from _read(data)

    def close(self) -> None:
        """Let go; nothing is held any more."""
        self._map.close()
        os.close(self._file)
        self._path.unlink(missing_ok=True)


def _read(data: bytes) -> Iterator[Note]:
    for at in range(0, len(data), _SLOT):
        length = int.from_bytes(data[at : at + _LENGTH], "little")
        if length:
            try:
                yield _decoder.decode(data[at + _LENGTH : at + _LENGTH + length])
            except msgspec.DecodeError:
                continue
