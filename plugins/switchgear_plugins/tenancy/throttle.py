"""How often somebody may fail to sign in: a token bucket for each address and for each name.

A name's bucket holds back only addresses from which that name has not signed in lately: who guesses at a name locks nobody out.
"""

import ipaddress
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from hashlib import sha256
from inspect import isawaitable
from typing import TypeVar

from switchgear import Context
from switchgear.contracts.counters import Bucket, Counters
from switchgear.counters import MemoryCounters
from switchgear.errors import AuthenticationFailed, CountersUnavailable, RateLimited

T = TypeVar("T")
PER_ADDRESS, ADDRESS_REFILL_S = 20, 3.0
"""Failures in a row from one address, and seconds until one more is allowed."""
PER_NAME, NAME_REFILL_S = 10, 15.0
_LATELY_S = 30 * 86_400.0
_LEASE_S = 60.0
_ANY = 2**31
_SIX_PREFIX = 64


class Throttle:
    """Counts in the active counters, so for all processes that share them; while those do not answer, for this one alone."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._own = MemoryCounters(context.ambient)

    @asynccontextmanager
    async def attempt(self, peer: str | None, name: str) -> AsyncIterator[None]:
        """Try to sign in within. Raises `RateLimited` where too many attempts failed.

        An attempt counts until it is known that it was good: it fails if `AuthenticationFailed` is raised, and is none if
        anything else is.
        """
        counters: Counters = self._context.counters
        try:
            buckets = await self._buckets(counters, peer, name)
            id = await self._begin(counters, buckets)
        except CountersUnavailable:
            counters = self._own
            buckets = await self._buckets(counters, peer, name)
            id = await self._begin(counters, buckets)
        try:
            yield
        except AuthenticationFailed:
            await self._end(counters, id)
            raise
        except BaseException:
            await self._end(counters, id, [0] * len(buckets))
            raise
        await self._end(counters, id, [0] * len(buckets))
        await self._remember(counters, _known(_group(peer), name))

    async def _buckets(self, counters: Counters, peer: str | None, name: str) -> tuple[Bucket, ...]:
        address = _group(peer)
        known = _known(address, name)
        [room] = await _answered(counters.peek((known,)))
        of_address = _bucket(f"address:{address}", PER_ADDRESS, ADDRESS_REFILL_S)
        if room.remaining < known.limit:
            return (of_address,)
        return of_address, _bucket(f"name:{_digest(name)}", PER_NAME, NAME_REFILL_S)

    async def _begin(self, counters: Counters, buckets: tuple[Bucket, ...]) -> str:
        id = f"tenancy:{self._context.ambient.new_id()}"
        decision = await _answered(counters.reserve(id, buckets, _LEASE_S))
        if decision.refused is not None:
            raise RateLimited(
                "Too many attempts have failed; wait a little and try again.",
                code="too_many_attempts",
                retry_after=decision.retry_after_s,
            )
        return id

    async def _end(self, counters: Counters, id: str, actual: list[int] | None = None) -> None:
        try:
            await _answered(counters.settle(id, actual))
        except CountersUnavailable:
            self._context.log.warning("an attempt to sign in counts as failed: the counters do not answer")

    async def _remember(self, counters: Counters, known: Bucket) -> None:
        """Note from where somebody signs in."""
        id = f"tenancy:{self._context.ambient.new_id()}"
        try:
            await _answered(counters.reserve(id, (known,), _LEASE_S))
            await _answered(counters.settle(id))
        except CountersUnavailable:
            self._context.log.warning("from where somebody signed in is not known: the counters do not answer")


async def _answered(asked: T | Awaitable[T]) -> T:
    return await asked if isawaitable(asked) else asked


def _bucket(key: str, most: int, refill_s: float) -> Bucket:
    return Bucket(f"tenancy:{key}", "bucket", most, period_s=most * refill_s)


def _known(address: str, name: str) -> Bucket:
    """Return the window of an address's successes with a name."""
    return Bucket(f"tenancy:known:{address}:{_digest(name)}", "window", _ANY, period_s=_LATELY_S)


def _digest(name: str) -> str:
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _group(peer: str | None) -> str:
    """Return an address, or the network that one customer has whole."""
    try:
        address = ipaddress.ip_address(peer or "")
    except ValueError:
        return peer or ""
    if address.version == 4 or address.ipv4_mapped is not None:  # noqa: PLR2004 - IPv4
        return str(getattr(address, "ipv4_mapped", None) or address)
    return str(ipaddress.ip_network((address, _SIX_PREFIX), strict=False))
