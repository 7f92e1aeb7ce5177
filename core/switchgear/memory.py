"""Memory of what is gone goes back to the system, where the allocator is glibc's; elsewhere nothing is done."""

import asyncio
import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

_MMAP_THRESHOLD, _TRIM_THRESHOLD, _ARENAS = -3, -1, -8
_LARGE: Final = 512 * 1024
"""What is so large gets pages of its own, which leave with it. By itself glibc moves this bound up to 32 MiB with what is freed,
after which large bodies lie among everything else and leave holes."""
_SPARE: Final = 8 * 1024 * 1024
"""What may be free at the heap's end, so that ordinary requests ask the system for nothing."""
_FEW: Final = 2
"""Heaps of threads, each with free room of its own: who holds the interpreter allocates alone anyhow."""
_EVERY_S: Final = 10.0
_CHANGED: Final = 0.05
"""The share by which what is resident differs from the last time: then the heap is looked through, which takes milliseconds."""
_STATM = Path("/proc/self/statm")


def keep_large_apart() -> None:
    """Have what is large allocated so that it can be given back."""
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_TRIM_THRESHOLD, _SPARE)
        mallopt(_ARENAS, _FEW)


async def give_back() -> None:
    """Give back what is free within the heap whenever much more or less has become resident. Runs until it is cancelled."""
    trim = _of_glibc("malloc_trim")
    last = 0
    while trim is not None:
        if abs(_resident() - last) > last * _CHANGED:
            await asyncio.to_thread(trim, 0)
            last = _resident()
        await asyncio.sleep(_EVERY_S)


def _resident() -> int:
    return int(_STATM.read_text().split()[1])


def _of_glibc(name: str) -> Callable[..., Any] | None:
    try:
        found: Callable[..., Any] = getattr(ctypes.CDLL(None), name)
    except (OSError, TypeError, AttributeError):  # another system, or another allocator
        return None
    return found
