"""Memory of what is large goes back to the system once it is gone, where the allocator is glibc's; elsewhere this does nothing."""

import asyncio
import contextlib
import ctypes
from collections.abc import Callable
from typing import Final

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
_LARGE: Final = 1024 * 1024
"""What is so large gets pages of its own, which leave with it. By itself glibc moves this bound up to 32 MiB with what is freed,
after which large bodies lie among everything else and leave holes."""
_SPARE: Final = 8 * 1024 * 1024
"""What may be free at the heap's end, so that ordinary requests ask the system for nothing."""
_QUIET_S: Final = 5.0


def keep_large_apart() -> None:
    """Have what is large allocated so that it can be given back."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_TRIM_THRESHOLD, _SPARE)


class Trimming:
    """Gives back what is free within the heap, some seconds after much was let go of."""

    def __init__(self) -> None:
        self._due: asyncio.TimerHandle | None = None
        self._trim: Callable[[int], int] | None = None
        with contextlib.suppress(OSError, AttributeError):
            self._trim = ctypes.CDLL(None).malloc_trim

    def let_go(self, size: int) -> None:
        """Note that so many bytes were let go of."""
        if size < _LARGE or self._due is not None or self._trim is None:
            return
        self._due = asyncio.get_running_loop().call_later(_QUIET_S, self._begin)

    def _begin(self) -> None:
        self._due = None
        if self._trim is not None:
            asyncio.get_running_loop().run_in_executor(None, self._trim, 0)
