"""Small files that appear whole, readable by their owner only."""

import contextlib
import os
from pathlib import Path

from switchgear.ambient import Ambient


def create_once(file: Path, content: bytes, ambient: Ambient) -> bytes:
    """Create a file unless it is there; return what it holds. Of several processes one wins and all get its content."""
    if not file.exists():
        draft = _draft(file, content, ambient)
        try:
            with contextlib.suppress(FileExistsError):
                os.link(draft, file)  # unlike a rename, a link never replaces what another process has just put there
        finally:
            draft.unlink()
        _flush(file.parent)
    return file.read_bytes()


def replace(file: Path, content: bytes, ambient: Ambient) -> None:
    """Put new content in place of the old."""
    _draft(file, content, ambient).replace(file)
    _flush(file.parent)


def _draft(file: Path, content: bytes, ambient: Ambient) -> Path:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}.{ambient.token(8).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return draft


def _flush(directory: Path) -> None:
    """Make a new name survive the loss of power."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
