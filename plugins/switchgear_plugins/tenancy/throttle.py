"""How often somebody may fail to sign in: a bucket for each address and for each name, which fill again by themselves.

A name's bucket holds back only addresses from which that name has not signed in lately: who guesses at a name locks nobody out.
"""

import ipaddress
from collections import OrderedDict

from switchgear.ambient import Ambient
from switchgear.errors import RateLimited

_MOST_KNOWN = 20_000
PER_ADDRESS, ADDRESS_REFILL_S = 20, 3.0
"""Failures in a row from one address, and seconds until one more is allowed."""
PER_NAME, NAME_REFILL_S = 10, 15.0
_SIX_PREFIX = 64


class _Buckets:
    def __init__(self, most: int, refill_s: float) -> None:
        self._most, self._refill_s = most, refill_s
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, key: str, now: float) -> float:
        """Return for how long nothing is allowed, 0 if something is."""
        lacking = (self._full_at.get(key, now) - now) / self._refill_s
        return max(0.0, (lacking - self._most + 1) * self._refill_s)

    def take(self, key: str, now: float) -> None:
        self._full_at[key] = max(self._full_at.get(key, now), now) + self._refill_s
        self._full_at.move_to_end(key)
        if len(self._full_at) > _MOST_KNOWN:
            self._full_at.popitem(last=False)


class Throttle:
    """Of one process, and bounded."""

    def __init__(self, ambient: Ambient) -> None:
        self._now = ambient.monotonic
        self._addresses = _Buckets(PER_ADDRESS, ADDRESS_REFILL_S)
        self._names = _Buckets(PER_NAME, NAME_REFILL_S)
        self._friends: OrderedDict[tuple[str, str], None] = OrderedDict()

    def check(self, peer: str | None, name: str) -> None:
        """Raise `RateLimited` while there have been too many failures."""
        address, now = _group(peer), self._now()
        wait_s = self._addresses.wait_s(address, now)
        if (address, name) not in self._friends:
            wait_s = max(wait_s, self._names.wait_s(name, now))
        if wait_s > 0:
            raise RateLimited(
                "Too many attempts have failed; wait a little and try again.",
                code="too_many_attempts",
                retry_after=wait_s,
            )

    def failed(self, peer: str | None, name: str) -> None:
        """Count a failure."""
        address, now = _group(peer), self._now()
        self._addresses.take(address, now)
        self._names.take(name, now)

    def succeeded(self, peer: str | None, name: str) -> None:
        """Remember from where somebody signs in."""
        friend = (_group(peer), name)
        self._friends[friend] = None
        self._friends.move_to_end(friend)
        if len(self._friends) > _MOST_KNOWN:
            self._friends.popitem(last=False)


def _group(peer: str | None) -> str:
    """Return an address, or the network that one customer has whole."""
    try:
        address = ipaddress.ip_address(peer or "")
    except ValueError:
        return peer or ""
    if address.version == 4 or address.ipv4_mapped is not None:  # noqa: PLR2004 - IPv4
        return str(getattr(address, "ipv4_mapped", None) or address)
    return str(ipaddress.ip_network((address, _SIX_PREFIX), strict=False))
