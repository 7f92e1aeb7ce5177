"""What one client may ask of the edge, and what the connections of one server share."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from ipaddress import IPv6Address
from typing import Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from switchgear.ambient import Ambient
from switchgear.edge.overload import Overload
from switchgear.edge.request import Handler
from switchgear.edge.settings import EdgeSettings


class EdgeLimits(EdgeSettings, frozen=True, forbid_unknown_fields=True):
    """Every bound of the edge: those that operators set, and those that are as they are. Sizes are bytes, times seconds.

    head_lines, url_bytes  most lines of a head, and most bytes of its URL
    body_grace             the span over which a body's rate is the average
    body_patience          seconds in which what has come of a body must come again, on top of its least rate
    write_buffer           bytes that wait for a reader before writers do
    linger                 how long a client is listened to after an error answer: a reset would destroy the answer on its way
    max_pipelined          requests of one connection that may wait for the one being answered
    turn_bytes             bytes of long bodies that are taken in one turn of the event loop; what comes beyond is refused
    turn_reads             connections that are read on within a long body in one turn; the others wait for the next
    """

    head_lines: int = 100
    url_bytes: int = 16 * 1024
    body_grace: float = 10.0
    body_patience: float = 512.0
    write_buffer: int = 64 * 1024
    linger: float = 2.0
    max_pipelined: int = 8
    turn_bytes: int = 16 * 1024 * 1024
    turn_reads: int = 32

    @property
    def tick(self) -> float:
        """The longest a connection may go unlooked at without a deadline passing unnoticed."""
        return min(self.head_timeout, self.body_grace, self.keep_alive, self.write_timeout, self.socket_idle / 2)


class Calls(Protocol):
    """The calls of the data plane: what is theirs of all requests."""

    def find(self, method: str, path: str) -> Handler | None:
        """Return who answers a request, None if it is for the ASGI application. `path` is as it was written."""
        ...

    def find_narrowed(self, method: str, path: str, query: bytes) -> Handler | None:
        """Return who answers a request of this query instead of whoever `find` says; None: nobody does."""
        ...

    def find_socket(self, path: str) -> Handler | None:
        """Return who opens a WebSocket there, None if nobody does: then the request is one like others."""
        ...


class NoCalls:
    """A server of nothing but the ASGI application."""

    def find(self, method: str, path: str) -> None:
        """Return None."""

    def find_narrowed(self, method: str, path: str, query: bytes) -> None:
        """Return None."""

    def find_socket(self, path: str) -> None:
        """Return None."""


class Turn:
    """A bound on what of long bodies is read in one turn of the event loop.

    In a turn, every connection with data is read before any handler runs. Without the bound a thousand connections bring a
    quarter of a gigabyte in one turn, and short requests wait for all of it.
    """

    __slots__ = ("_begun", "_left", "_limits", "_reads", "_unwanted", "_waiting")

    def __init__(self, limits: EdgeLimits) -> None:
        self._limits = limits
        self._left = limits.turn_bytes
        self._reads = 0
        self._begun = False
        self._waiting: deque[HttpToolsProtocol] = deque()
        self._unwanted: deque[HttpToolsProtocol] = deque()

    def has_room(self, size: int) -> bool:
        """Count the beginning of a long body, and say whether there is room for it and for its rest."""
        self._begin()
        self._left -= size
        return self._left >= 0

    def read(self, connection: HttpToolsProtocol, *, wanted: bool) -> None:
        """Read a connection that was paused: in this turn, or in the next after those that wait already.

        What nobody wants is read after all else.
        """
        self._begin()
        if self._reads < self._limits.turn_reads:
            self._reads += 1
            connection.flow.resume_reading()
        else:
            (self._waiting if wanted else self._unwanted).append(connection)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self._begun = False
        self._left = self._limits.turn_bytes
        self._reads = 0
        for waiting in (self._waiting, self._unwanted):
            while waiting and self._reads < self._limits.turn_reads:
                self.read(waiting.popleft(), wanted=True)


class EdgeState(ServerState):
    """What all connections of one server share.

    `refused` is told the code of every refusal (`header_timeout`), for a counter. `overload` says how much may be in flight,
    `turn` how much may be read at once.
    """

    def __init__(
        self,
        limits: EdgeLimits,
        ambient: Ambient,
        refused: Callable[[str], None],
        overload: Overload,
        calls: Calls,
        root_path: bytes = b"",
    ) -> None:
        super().__init__()
        self.limits = limits
        self.ambient = ambient
        self.refused = refused
        self.overload = overload
        self.turn = Turn(limits)
        self.calls = calls
        self.root_path = root_path
        self.draining = False
        self.date_line = b""
        self.response_names: dict[bytes, tuple[bytes, int]] = {}
        self.peers: dict[str, int] = {}
        self.log = logging.getLogger("switchgear.edge")
        self.refresh_date()

    def refresh_date(self) -> None:
        """Render the `date` line of answers anew; called once a second."""
        self.date_line = b"date: %b\r\n" % formatdate(self.ambient.now_us() / 1e6, usegmt=True).encode()


def peer_key(host: str) -> str | None:
    """Name the network that an address is counted under; None for loopback, which is not counted."""
    if ":" not in host:
        return None if host.startswith("127.") else host
    address = IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped is not None:
        return peer_key(str(address.ipv4_mapped))
    return None if address.is_loopback else address.packed[:8].hex()
