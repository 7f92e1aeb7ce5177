"""A limit of requests as providers have it: a token bucket, and what they say of it in a 429."""

import time
from collections.abc import Callable, Mapping

from switchgear.testing.upstream.script import Script

Said = Callable[[float], Mapping[str, str]]
"""Headers of a refusal, of the seconds until a request would be let through."""


class Bucket:
    """Lets `rate` requests a second through, `burst` of them at once. Refusals take nothing from it."""

    def __init__(self, rate: float, burst: float, said: Said = lambda _: {}) -> None:
        self._rate, self._burst, self._said = rate, burst, said
        self._left = burst
        self._at = time.monotonic()

    def refusal(self) -> Script | None:
        """Let one request through, or return how it is refused."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return Script(cause="rate_limit", headers=dict(self._said((1 - self._left) / self._rate)))
        self._left -= 1
        return None
