"""The boundary to the world outside: what goes out, what comes back, and the engine that carries it.

A provider builds an `OutboundRequest` and reads bytes; only `switchgear.upstream` opens sockets.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Protocol

from msgspec import Meta, Raw, Struct

Seconds = Annotated[float, Meta(gt=0, le=604_800)]


class OutboundRequest(Struct, frozen=True, gc=False):
    """One HTTP request on its way out. `url` is absolute; header names are lower case. The engine adds
    `host` and `content-length`, and unless they are there `accept-encoding: identity` and `user-agent: switchgear`.

    A long `body` may be a tuple of its pieces, so that what the client sent goes out without being copied.
    """

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | tuple[bytes | Raw, ...] = b""

    def whole_body(self) -> bytes:
        """Return the body as one."""
        return self.body if isinstance(self.body, bytes) else b"".join(self.body)


class Timeouts(Struct, frozen=True, forbid_unknown_fields=True):
    """The four clocks of an outbound call, in seconds: connection made, first byte of the answer, silence between two
    bytes, and the whole exchange from the client's first byte to its last. More than none, a week at most.
    """

    connect: Seconds = 5.0
    first_byte: Seconds = 300.0
    idle: Seconds = 180.0
    total: Seconds = 600.0


class ConnectionSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How one provider resource is reached.

    `proxy` is a URL, `ca_bundle` and `client_cert` are paths of PEM files (`client_cert` holds certificate and key),
    `max_connections` bounds requests in flight (None: no bound). Nothing is taken from the environment.
    """

    proxy: str | None = None
    ca_bundle: str | None = None
    client_cert: str | None = None
    verify_tls: bool = True
    max_connections: int | None = None
    connect_timeout: float = 5.0


class UpstreamResponse(Protocol):
    """An answer whose status and headers have arrived and whose body is read as it comes, not over 128 KiB ahead of
    demand.
    """

    status: int

    def header(self, name: str) -> str | None:
        """Return the first value of a header, whatever its case; None if absent."""
        ...

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return all header lines as they came, not to be changed."""
        ...

    async def read(self) -> bytes | None:
        """Return the next piece of the body as the peer sent it (at most 64 KiB), None at its end.

        The end proves nothing about completeness when the body is close-delimited: the wire format's terminal marker does.
        Raises `ConnectionBroken` when the connection is lost or a chunked or counted body ends early.
        """
        ...

    def whole(self, limit: int) -> bytes | None:
        """Take the body if all of it has arrived and it is not over `limit` bytes; None: it is to be read."""
        ...

    async def body(self, limit: int, on_piece: Callable[[], None] | None = None) -> bytes:
        """Return the rest of the body. Raises `ResponseTooLarge` as soon as it passes `limit` bytes.

        `on_piece` is called whenever a piece has arrived and more is to come.
        """
        ...

    async def close(self) -> None:
        """Give the connection back, or abort it if the body was not read to its end. Safe to call twice."""
        ...


class Connection(Protocol):
    """The pool of one provider resource. Cancelling a call aborts it at the peer and leaks nothing."""

    async def send(self, request: OutboundRequest, extra: Mapping[str, str] | None = None) -> UpstreamResponse:
        """Send and return when the answer's head has arrived. No redirect is followed, no retry is made.

        `extra` are headers of this one call, added to those of the request; their names are lower case.

        Raises `EgressDenied`, `MalformedRequest`, `ConnectFailed`, `ConnectTimeout`, `ConnectionBroken`,
        `ResponseTooLarge`.
        """
        ...

    async def close(self) -> None:
        """Close idle connections; calls in flight finish."""
        ...


def is_unanswered(error: BaseException) -> bool:
    """Say whether a client of `Context.http` raised this because nobody answered there, or nothing that can be read.

    Its exceptions are httpx's, which nobody has to import to know them.
    """
    httpx = sys.modules.get("httpx")
    return httpx is not None and isinstance(error, (httpx.HTTPError, httpx.InvalidURL))
