"""The one source of time, randomness and ids; tests inject `FixedAmbient` from `switchgear.testing` and replay."""

import random
import secrets
import time


class Ambient:
    """Time, randomness and ids from the operating system."""

    def now_us(self) -> int:
        """Wall clock, microseconds since the Unix epoch. For timestamps in records, never for durations."""
        return time.time_ns() // 1000

    monotonic = staticmethod(time.monotonic)
    """Seconds on a clock that never goes back. For durations and deadlines. Called often, hence without a frame of its own."""

    def random(self) -> float:
        """A float in [0, 1), for jitter, sampling and weighted choice; not for secrets."""
        return random.random()  # noqa: S311 - jitter, not cryptography

    def token(self, nbytes: int) -> bytes:
        """Return unpredictable bytes, for keys and nonces."""
        return secrets.token_bytes(nbytes)

    def new_id(self) -> str:
        """32 hex digits that sort by the time they were made: 48 bits of milliseconds, 80 random bits."""
        return f"{time.time_ns() // 1_000_000:012x}{random.getrandbits(80):020x}"
