"""Passwords: Argon2id, in a few threads beside the event loop, at the same cost whether or not there is a user."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import Argon2Error, InvalidHashError

from switchgear.errors import RateLimited, ValidationFailed
from switchgear_plugins.tenancy.settings import LONGEST, SHORTEST

T = TypeVar("T")
MEMORY_KIB, ROUNDS, LANES = 19_456, 2, 1
"""What one hash takes (OWASP's first choice for Argon2id)."""
_MOST_MEMORY_KIB, _MOST_ROUNDS, _MOST_LANES = 262_144, 10, 8
"""What a hash may take that somebody brings from elsewhere."""
_WAITING = 64
"""Hashes that wait for a thread; more at once are refused rather than kept."""


class Passwords:
    """Makes and verifies hashes in the PHC string format."""

    def __init__(self, at_once: int) -> None:
        self._hasher = PasswordHasher(ROUNDS, MEMORY_KIB, LANES, type=Type.ID)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="passwords")
        self._most = at_once + _WAITING
        self._running = 0
        self._nobodys: str | None = None

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """Hash a new password. Raises `RateLimited` where too many wait."""
        return await self._aside(lambda: self._hasher.hash(password.encode("utf-8", "surrogatepass")))

    async def verify(self, hash: str | None, password: str) -> bool:
        """Say whether it is the password with this hash; without one it takes as long, and it is not."""
        return await self._aside(lambda: self._verified(hash, password))

    def _verified(self, hash: str | None, password: str) -> bool:
        if self._nobodys is None:
            self._nobodys = self._hasher.hash("nobody's")
        try:
            self._hasher.verify(hash or self._nobodys, password.encode("utf-8", "surrogatepass")[: LONGEST * 4])
        except (Argon2Error, InvalidHashError):
            return False
        return hash is not None

    async def _aside(self, work: Callable[[], T]) -> T:
        if self._running >= self._most:
            raise RateLimited("Too many are signing in at once; try again shortly.", code="busy", retry_after=1)
        self._running += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._running -= 1


def check(password: str, pointer: str = "/password") -> None:
    """Raise `ValidationFailed` for a password that cannot be one."""
    if not SHORTEST <= len(password) <= LONGEST:
        detail = f"must have {SHORTEST} to {LONGEST} characters"
        raise ValidationFailed(f"{pointer}: {detail}", [(pointer, detail)])


def why_no_hash(hash: str) -> str | None:
    """Say why a hash that somebody brings is none that is verified here, None if it is one."""
    try:
        found = extract_parameters(hash)
    except InvalidHashError:
        return "is no Argon2id hash in the PHC string format ($argon2id$v=19$m=…)"
    if found.type is not Type.ID:
        return "is no Argon2id hash"
    if found.memory_cost > _MOST_MEMORY_KIB or found.time_cost > _MOST_ROUNDS or found.parallelism > _MOST_LANES:
        return f"may cost m={_MOST_MEMORY_KIB}, t={_MOST_ROUNDS}, p={_MOST_LANES} at most"
    return None
