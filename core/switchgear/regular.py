"""Reading files that somebody else names: regular ones only, within a size, and why not in one sentence.

A pipe or a device where a file was meant would never end, or never begin; a file that is larger than what is meant was mistaken
for another. Reading blocks: call it off the event loop where the disk may be slow.
"""

import errno
import os
import stat
from pathlib import Path

from switchgear.errors import FileUnusable

_WORDS = {
    errno.ENOENT: "there is no such file",
    errno.ENOTDIR: "there is no such file",
    errno.EACCES: "this user may not read it",
    errno.EPERM: "this user may not read it",
    errno.ELOOP: "it is a link that leads nowhere",
    errno.EISDIR: "it is a directory",
    errno.ENAMETOOLONG: "its name is too long",
}


_FLAGS = os.O_RDONLY
for _name in ("O_CLOEXEC", "O_NONBLOCK", "O_NOCTTY", "O_BINARY"):  # not to wait for the other end of a pipe
    _FLAGS |= getattr(os, _name, 0)


def read_regular(path: Path | str, *, most: int, follow: bool = True) -> bytes:
    """Return what a file holds. Raises `FileUnusable` with the reason alone, also for more than `most` bytes."""
    try:
        _check(Path(path).stat().st_mode)  # before it is opened: opening a device may do something
        opened = os.open(path, _FLAGS if follow else _FLAGS | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        raise FileUnusable(_WORDS.get(error.errno or 0) or (error.strerror or "it cannot be opened").lower()) from None
    except ValueError:  # a NUL in the path
        raise FileUnusable("there is no such file") from None
    try:
        _check(os.fstat(opened).st_mode)
        found = b""
        while len(found) <= most and (piece := os.read(opened, most + 1 - len(found))):
            found += piece
    except OSError as error:
        raise FileUnusable((error.strerror or "it cannot be read").lower()) from None
    finally:
        os.close(opened)
    if len(found) > most:
        raise FileUnusable(f"it is larger than {most} bytes; is it the right file?")
    return found


def _check(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise FileUnusable("it is a directory")
    if not stat.S_ISREG(mode):
        raise FileUnusable("it is no regular file but a device, pipe or socket")


def read_text(path: Path | str, *, most: int, follow: bool = True) -> str:
    """Return what a file holds as text, without a byte order mark. Raises `FileUnusable`, also for what is not UTF-8."""
    try:
        return read_regular(path, most=most, follow=follow).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileUnusable(f"it is not UTF-8 (byte {error.start}); save it as UTF-8") from None
