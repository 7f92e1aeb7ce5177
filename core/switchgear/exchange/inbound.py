"""A request as the exchange meets it, and the bytes of bodies that may be in flight."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import BytesIO
from typing import Any, Protocol

from msgspec import Raw, Struct

from switchgear.contracts.dialect import Socket
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.principal import Principal
from switchgear.errors import PayloadTooLarge, RateLimited, Unavailable
from switchgear.exchange.coding import unpack
from switchgear.exchange.held import Held
from switchgear.exchange.reply import Reply, printable
from switchgear.wire.members import parse_in_steps

UNCOUNTED = 64 * 1024
"""A body up to so many bytes that came with its head needs no counting."""
_APART = 1024 * 1024


class Inbound(Reply, Protocol):
    """One request of a client and the way to answer it; the edge's request is one.

    `path` is decoded; names of `headers` are lower case. `task` runs the request. `lost` says that the client left before its
    answer was complete; `on_lost` is called then, once. A call from inside the gateway has its `principal`, and is told which
    exchange it became.
    """

    method: str
    path: str
    headers: list[tuple[bytes, bytes]]
    task: asyncio.Task[Any]
    lost: bool
    on_lost: Callable[[], None] | None

    @property
    def fields(self) -> dict[bytes, bytes]:
        """The headers by name; of several with one name the last."""
        ...

    @property
    def principal(self) -> Principal | None:
        """Who asks, where that is known already."""
        ...

    @property
    def peer(self) -> str | None:
        """The address of whoever is connected, None if there is none."""
        ...

    def bind(self, x: Exchange) -> None:
        """Say of the exchange of a call from inside what it is a part of."""
        ...

    def whole_body(self) -> bytes | None:
        """Return the body if all of it has come, None if it has to be `read`. Only one of both is used."""
        ...

    async def read(self) -> bytes | None:
        """Return the next piece of the body, None at its end. Raises `ClientGone`."""
        ...


class Converted(ABC):
    """A request whose body the engine gets in another form than it came in."""

    @abstractmethod
    async def converted(self, hold: Callable[[int], None]) -> bytes:
        """Return the body. `hold` is told of bytes that are held more, or less, and may refuse them by what it raises."""


class Routed(Inbound, Protocol):
    """A request at a route, which comes from a client."""

    query: bytes

    def cut(self) -> None:
        """End an answer that has begun and cannot be completed, so that its client can tell."""
        ...


class Opening(Routed, Protocol):
    """A request for a WebSocket. Until it is accepted it can be answered as any other."""

    @property
    def socket(self) -> "OpenSocket | None":
        """What was opened."""
        ...

    def accept(self, lines: bytes, subprotocols: Sequence[str]) -> "OpenSocket":
        """Open, with these header lines in the answer. Raises `InvalidRequest` for what is no handshake, `ClientGone`."""
        ...


class OpenSocket(Socket, Protocol):
    """A WebSocket as whoever opened it has it."""

    def finish(self, code: int, reason: str) -> None:
        """Close it, if that is not done."""
        ...


class BodyLimits(Struct, frozen=True):
    """Bytes of one body, and of all bodies in flight together. One principal may have half of all, and one body always."""

    one: int = 32 * 1024 * 1024
    overall: int = 128 * 1024 * 1024

    @property
    def per_principal(self) -> int:
        """Bytes of all bodies of one principal."""
        return max(self.one, self.overall // 2)


class Bodies:
    """Reads bodies within their limits. What is read counts until it is given back at the end of its exchange."""

    def __init__(self, limits: BodyLimits, all_held: Held | None = None) -> None:
        self._limits = limits
        self._per_principal = limits.per_principal
        self._held: dict[str, int] = {}
        self._all = all_held or Held(limits.overall)

    async def read(self, request: Inbound, whole: bytes | None, principal: str, holding: "Holding") -> bytes:
        """Return the whole body and count it: the one that has come, or else what is read.

        Where the client declares a length, there must be room for that; what has come is counted. Raises
        `PayloadTooLarge`, `RateLimited` where its principal has too many bytes in flight, `Unavailable` where all together have,
        `ClientGone`.
        """
        size = int(request.fields.get(b"content-length", b"0")) if whole is None else len(whole)
        if size > self._limits.one:
            raise self.too_large()
        holding.bodies, holding.principal = self, principal
        if whole is not None:
            self._take(holding, size)
            return whole
        if isinstance(request, Converted):
            return await request.converted(partial(self._take, holding))
        self._check(holding, size)
        found = _growing(size)
        size = 0
        while (piece := await request.read()) is not None:
            size += len(piece)
            if size > self._limits.one:
                raise self.too_large()
            self._take(holding, len(piece))
            found.write(piece)
            del piece  # else it is held while the next is waited for
        found.truncate()
        return found.getvalue()

    def hold(self, size: int, principal: str, holding: "Holding") -> None:
        """Count bytes of a body that are kept besides what was read. Raises as `read` does."""
        holding.bodies, holding.principal = self, principal
        self._take(holding, size)

    async def unpack(self, body: bytes, coding: bytes, principal: str, holding: "Holding") -> bytes:
        """Return a body unpacked from its `content-encoding`, and count that too. Raises as `hold` does, `UnsupportedMedia`,
        `InvalidRequest`.
        """
        return await unpack(body, coding, self._limits.one, lambda size: self.hold(size, principal, holding))

    def give_back(self, holding: "Holding") -> None:
        """Count what was held no more."""
        self._all.total -= holding.size
        left = self._held.pop(holding.principal, 0) - holding.size
        if left > 0:
            self._held[holding.principal] = left
        holding.size = 0

    def too_large(self) -> PayloadTooLarge:
        """Make the refusal of a body that is too large by itself."""
        return PayloadTooLarge(f"The request body is larger than {self._limits.one} bytes.", code="body_too_large")

    @property
    def most(self) -> int:
        """Bytes that one body may have."""
        return self._limits.one

    def _take(self, holding: "Holding", size: int) -> None:
        held = self._held.get(holding.principal, 0)
        self._held[holding.principal] = held + size if size < 0 else self._check(holding, size)
        self._all.total += size
        holding.size += size

    def _check(self, holding: "Holding", size: int) -> int:
        """Return what its principal holds with so much more."""
        mine = self._held.get(holding.principal, 0) + size
        if mine > self._per_principal:
            message = "Too many bytes of request bodies are in flight for this principal; send fewer at once."
            raise RateLimited(message, code="body_bytes_exceeded", retry_after=1)
        if self._all.total + size > self._all.most:
            message = "The gateway holds as many bytes of request bodies as it may; try again shortly."
            raise Unavailable(message, code="overloaded", retry_after=1)
        return mine


def _growing(size: int) -> BytesIO:
    """Return what grows in place to a body of so many bytes, 0 for nobody knows, and gives it without copying it.

    It begins so large that the allocator has it apart from the heap, where hundreds of bodies that do not get far would leave
    holes. What is not written of it takes no memory.
    """
    return BytesIO(bytes(min(size or _APART, _APART)))


class Holding(Struct, eq=False):
    """The bytes of bodies that one exchange holds."""

    bodies: Bodies | None = None
    principal: str = ""
    size: int = 0


async def parse_yielding(body: bytes) -> dict[str, Raw]:
    """Parse a long body, and let others have their turn meanwhile. Raises `InvalidRequest`."""
    steps = parse_in_steps(body)
    while True:
        try:
            next(steps)
        except StopIteration as parsed:
            members: dict[str, Raw] = parsed.value
            return members
        await asyncio.sleep(0)


def note_ids(x: Exchange, headers: Mapping[bytes, bytes]) -> None:
    """Take over what the client calls its request, for the answer and the trace."""
    theirs = headers.get(b"x-request-id")
    if theirs is not None:
        x.client_request_id = printable(theirs.decode("latin-1")).decode() or None
    trace = headers.get(b"traceparent")
    if trace is not None and is_traceparent(trace):
        x.trace = trace.decode()


def is_traceparent(value: bytes) -> bool:
    """Check a W3C Trace Context version 00 header."""
    parts = value.split(b"-")
    return (
        [len(p) for p in parts] == [2, 32, 16, 2]
        and all(c in b"0123456789abcdef-" for c in value)
        and parts[0] == b"00"
    )
