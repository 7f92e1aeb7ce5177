"""A TCP proxy that makes the network bad: in front of Redis, PostgreSQL, S3 or an upstream.

async with TcpFault("127.0.0.1", port) as proxy:
    proxy.down = Faults(latency_ms=300)       # what the server says comes late, from now on
    ...                                       # drive the client at proxy.port
"""

import asyncio
import contextlib
from typing import Literal, Self

from msgspec import Struct

from switchgear.testing.upstream.player import delivered, hang_up


class Faults(Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to bytes in one direction; the default passes them on.

    A change acts on open connections from their next bytes on. `end_after` counts bytes of one connection; then
    `end` comes: FIN both ways, RST both ways, or a FIN in this direction alone while the other stays open.
    """

    latency_ms: float = 0  # each read is handed on this much later
    bandwidth: float = 0  # bytes per second; 0: no bound
    split: int = 0  # no write longer than this
    blackhole: bool = False  # bytes are read and thrown away
    end_after: int | None = None
    end: Literal["fin", "rst", "half_close"] = "fin"


class TcpFault:
    """The proxy. `up` is what the client sends, `down` what the server sends; both may be replaced at any time."""

    def __init__(self, host: str, port: int, *, up: Faults | None = None, down: Faults | None = None) -> None:
        self.target = host, port
        self.up, self.down = up or Faults(), down or Faults()
        self.port = 0
        self.connections_ever = 0
        self.bytes_up = self.bytes_down = 0  # handed on
        self._links: set[asyncio.Task[None]] = set()
        self._pairs: set[_Link] = set()
        self._server: asyncio.Server | None = None

    @property
    def open_connections(self) -> int:
        return len(self._pairs)

    async def __aenter__(self) -> Self:
        await self.open_port()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close_port()
        self.drop_connections()
        tasks = list(self._links)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        failures = [one for one in outcomes if isinstance(one, Exception) and not isinstance(one, OSError)]
        if failures:
            raise ExceptionGroup("the proxy itself failed", failures)

    async def open_port(self) -> None:
        """Listen, on the port of the last time if there was one."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port, backlog=4096)
        self.port = self._server.sockets[0].getsockname()[1]

    def close_port(self) -> None:
        """Refuse new connections; those that are open stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def drop_connections(self) -> None:
        """Reset every open connection on both sides."""
        for link in list(self._pairs):
            link.reset()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        self.connections_ever += 1
        try:
            server = await asyncio.open_connection(*self.target)
        except OSError:
            hang_up(writer.transport, reset=True)  # as near to a refusal as an accepted connection comes
            self._links.discard(task)
            return
        link = _Link(self, (reader, writer), server)
        self._pairs.add(link)
        try:
            await link.run()
        finally:
            self._pairs.discard(link)
            self._links.discard(task)


_Side = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Ended(Exception):
    """The faults ended this connection."""


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: TcpFault, client: _Side, server: _Side) -> None:
        self._proxy, self._client, self._server = proxy, client, server

    def reset(self) -> None:
        for _, writer in (self._client, self._server):
            hang_up(writer.transport, reset=True)

    async def run(self) -> None:
        """Carry bytes both ways until both have ended or one is broken."""
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(self._client[0], self._server[1], down=False))
                both.create_task(self._carry(self._server[0], self._client[1], down=True))
        except* _Ended:
            pass
        except* OSError:
            self.reset()
        finally:
            self._client[1].close()
            self._server[1].close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, down: bool) -> None:
        carried = 0
        while data := await reader.read(65_536):
            faults = self._proxy.down if down else self._proxy.up
            if faults.latency_ms:
                await asyncio.sleep(faults.latency_ms / 1000)
            if faults.blackhole:
                continue
            left = None if faults.end_after is None else max(0, faults.end_after - carried)
            if left is not None:
                data = data[:left]  # the rest is what the cut takes away
            await self._write(writer, data, faults)
            carried += len(data)
            self._count(len(data), down=down)
            if left is not None and len(data) == left:
                await self._end(writer, faults.end)
                return
        with contextlib.suppress(OSError):  # the other side has gone altogether
            writer.write_eof()

    async def _write(self, writer: asyncio.StreamWriter, data: bytes, faults: Faults) -> None:
        step = faults.split or max(1, len(data))
        if faults.bandwidth:
            step = min(step, max(1, int(faults.bandwidth / 100)))
        for at in range(0, len(data), step):
            part = data[at : at + step]
            writer.write(part)
            await writer.drain()
            if faults.bandwidth:
                await asyncio.sleep(len(part) / faults.bandwidth)
            elif faults.split:
                await asyncio.sleep(0.0005)  # one write, one read at the other end, as far as TCP allows

    def _count(self, size: int, *, down: bool) -> None:
        if down:
            self._proxy.bytes_down += size
        else:
            self._proxy.bytes_up += size

    async def _end(self, writer: asyncio.StreamWriter, how: str) -> None:
        if how == "half_close":
            writer.write_eof()
            return
        await delivered(writer.transport)
        if how == "rst":
            self.reset()
        raise _Ended
