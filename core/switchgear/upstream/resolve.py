"""Names to checked addresses, off the event loop.

A lookup in the C library cannot be interrupted. Each runs in a daemon thread of its own, at most `threads` at once and
one per name, so that a name server that hangs takes neither the loop, nor the default executor, nor the exit with it.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.background import mark_exception_retrieved
from switchgear.errors import ConnectFailed, EgressDenied
from switchgear.upstream.egress import EgressPolicy

Lookup: TypeAlias = Callable[[str], Sequence[str]]
"""A blocking lookup: a host name to its addresses in order of preference; raises OSError."""

_MAX_NAMES: Final = 4096
_PAUSE: Final = 1.0
"""Seconds between two lookups of a name that fails or leads nowhere, however many ask for it."""
_UNKNOWN: Final = "The host's name does not resolve; check the address and the name server."


def system_lookup(host: str) -> list[str]:
    """Return the addresses the operating system has for a name, in its order of preference."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Answer(Struct, frozen=True):
    """The checked addresses of a name: renewed from `stale_at` on, unusable from `dead_at` on (monotonic seconds)."""

    addresses: tuple[str, ...]
    found_at: float
    stale_at: float
    dead_at: float


class Resolver:
    """Looks names up, checks every address, and remembers the answers.

    An answer is fresh for `ttl` seconds. Then it is renewed in the background and serves on until it is `keep` seconds
    old. One address that may not be called makes the whole name refused, and forgets what was known of it. A lookup that
    failed is not repeated within a second.
    """

    def __init__(
        self,
        egress: EgressPolicy,
        ambient: Ambient,
        lookup: Lookup = system_lookup,
        *,
        ttl: float = 30.0,
        keep: float = 60.0,
        deadline: float = 5.0,
        threads: int = 16,
    ) -> None:
        self._egress = egress
        self._ambient = ambient
        self._lookup = lookup
        self._ttl = ttl
        self._keep = keep
        self._deadline = deadline
        self._answers: dict[str, Answer] = {}
        self._running: dict[str, asyncio.Future[Answer]] = {}
        self._failed_at: dict[str, float] = {}
        self._free = threads

    def known(self, host: str) -> Answer | None:
        """Return what is known of a name and still usable, without waiting; start renewing it if it is stale."""
        answer = self._answers.get(host)
        if answer is None:
            return None
        now = self._ambient.monotonic()
        if now >= answer.stale_at:
            if not self._failed_lately(host):
                self._renew(host)
            if now >= answer.dead_at:
                return None
        return answer

    def doubt(self, host: str) -> None:
        """Start renewing an answer that led nowhere: the name may have moved. Serves on until the new one is there."""
        answer = self._answers.get(host)
        if answer is None or self._failed_lately(host):
            return
        if self._ambient.monotonic() >= answer.found_at + _PAUSE:
            self._renew(host)

    async def resolve(self, host: str) -> Answer:
        """Return the checked addresses of a name; raise `EgressDenied` or, also after its own deadline, `ConnectFailed`."""
        answer = self.known(host)
        if answer is not None:
            return answer
        if self._failed_lately(host):
            raise ConnectFailed(_UNKNOWN)
        running = self._renew(host)
        if running is None:
            raise ConnectFailed("Too many name lookups are waiting for an answer; check the name server.")
        done, _ = await asyncio.wait((running,), timeout=self._deadline)
        if not done:
            raise ConnectFailed(
                "The name server did not answer in time; check the host of the address and the name server."
            )
        try:
            return running.result()
        except (EgressDenied, ConnectFailed) as error:
            # A copy: several waiters must not share one traceback.
            raise type(error)(*error.args) from None

    def _renew(self, host: str) -> asyncio.Future[Answer] | None:
        """Start a lookup unless one runs for this name; None when no thread is to be had."""
        running = self._running.get(host)
        if running is not None:
            return running
        if not self._free:
            return None
        loop = asyncio.get_running_loop()
        thread = threading.Thread(target=self._look, args=(loop, host), name="switchgear-resolve", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the machine has no thread to give
            return None
        self._free -= 1
        future: asyncio.Future[Answer] = loop.create_future()
        future.add_done_callback(
            mark_exception_retrieved
        )  # callers that wait get it, and the last answer serves the rest
        self._running[host] = future
        return future

    def _look(self, loop: asyncio.AbstractEventLoop, host: str) -> None:
        """Run in a thread: look up, and report to the loop whatever happens."""
        addresses: tuple[str, ...] = ()
        try:
            with contextlib.suppress(OSError, UnicodeError):  # no addresses: reported as such
                addresses = tuple(self._lookup(host))
        finally:
            # A closed loop means the name server was silent for so long that nobody waits any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._found, host, addresses)

    def _found(self, host: str, addresses: tuple[str, ...]) -> None:
        self._free += 1
        future = self._running.pop(host)
        try:
            answer = self._answer(addresses)
        except EgressDenied as error:
            self._answers.pop(host, None)
            future.set_exception(error)
        except ConnectFailed as error:
            if len(self._failed_at) >= _MAX_NAMES:
                self._failed_at.clear()
            self._failed_at[host] = self._ambient.monotonic()
            future.set_exception(error)  # the last good answer serves on until it is too old
        else:
            self._failed_at.pop(host, None)
            self._remember(host, answer)
            future.set_result(answer)

    def _answer(self, addresses: tuple[str, ...]) -> Answer:
        if not addresses:
            raise ConnectFailed(_UNKNOWN)
        for address in addresses:
            self._egress.check(address)
        now = self._ambient.monotonic()
        return Answer(addresses=addresses, found_at=now, stale_at=now + self._ttl, dead_at=now + self._keep)

    def _failed_lately(self, host: str) -> bool:
        failed_at = self._failed_at.get(host)
        return failed_at is not None and self._ambient.monotonic() < failed_at + _PAUSE

    def _remember(self, host: str, answer: Answer) -> None:
        self._answers.pop(host, None)  # a renewed name moves to the end, so the first is the oldest
        if len(self._answers) >= _MAX_NAMES:
            del self._answers[next(iter(self._answers))]
        self._answers[host] = answer
