"""A disk that can be filled: a tmpfs of 1 MiB where mounting is allowed, a limit on file sizes where it is not."""

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol


class SmallDisk(Protocol):
    path: Path

    def fill(self, leave: int = 0) -> None: ...

    def empty(self) -> None: ...


class Tmpfs:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.filler = path / "filler"

    def fill(self, leave: int = 0) -> None:
        with self.filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                file.truncate(max(0, file.tell() // 4096 * 4096 - leave))

    def empty(self) -> None:
        self.filler.unlink(missing_ok=True)


class FileSizeLimit:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self, leave: int = 0) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (leave, self.before[1]))

    def empty(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


@contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)], check=False, capture_output=True
    )
    disk: SmallDisk = Tmpfs(path) if mounted.returncode == 0 else FileSizeLimit(path)
    try:
        yield disk
    finally:
        disk.empty()
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", str(path)], check=True)
