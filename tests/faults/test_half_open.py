"""Connections that never finish what they began to say: all of them end in time, and good traffic goes on beside them."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from faults.figures import Record
from support.daemon import daemon
from support.files import open_files
from support.gateway import Running, running
from support.probe import measured, probing
from support.soak import usually

ROW = "9 slow loris"
HALF_OPEN = usually(500, soak=2_000)
MOST_S = 12.0
ECHO = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\n"


class HalfOpen(asyncio.Protocol):
    """One connection that says `first`, then `drip` every second, until the gateway ends it; `lasted` is how long that took."""

    def __init__(self, first: bytes, drip: bytes) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.heard = b""
        self.lasted = 0.0
        self._first, self._drip = first, drip
        self._loop = loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._began = self._loop.time()
        self._transport = transport
        transport.write(self._first)
        self._again()

    def _again(self) -> None:
        if self._drip and not self._transport.is_closing():
            self._transport.write(self._drip)
            self._loop.call_later(1.0, self._again)

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def eof_received(self) -> bool:
        self._end()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.lasted = self._loop.time() - self._began
            self.ended.set_result(None)


def kinds(key: str) -> list[tuple[bytes, bytes]]:
    """What such a connection says, in all the ways there are: nothing, a head or a body drop by drop, half of either."""
    body = HEAD + f"authorization: Bearer {key}\r\ncontent-length: 100000\r\n\r\n".encode()
    chunked = HEAD + f"authorization: Bearer {key}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    return [
        (b"", b""),
        (HEAD, b""),
        (HEAD, b"x: y\r\n"),
        (b"GET /", b"a"),
        (body, b" "),
        (body, b""),
        (chunked, b"1\r\n \r\n"),
    ]


@pytest.mark.slow
@pytest.mark.soak
async def test_half_open_connections_end_in_time(tmp_path: Path, figure: Record) -> None:
    with open_files(2 * HALF_OPEN):
        await _hold_half_open(tmp_path, figure)


async def _hold_half_open(tmp_path: Path, figure: Record) -> None:
    async with daemon(tmp_path) as gateway:
        loop = asyncio.get_running_loop()
        before = await measured(gateway.port, gateway.key, ECHO, count=600)
        at_rest = gateway.process.rss_bytes()
        sorts = kinds(gateway.key)
        held: list[HalfOpen] = []
        async with probing(gateway.port, gateway.key, ECHO) as during:
            for number in range(HALF_OPEN):
                first, drip = sorts[number % len(sorts)]
                _, made = await loop.create_connection(
                    lambda first=first, drip=drip: HalfOpen(first, drip), "127.0.0.1", gateway.port
                )
                held.append(made)
            assert not [one for one in held if one.ended.done()], "all of them were open at once"
            memory = gateway.process.rss_bytes() - at_rest
            async with asyncio.timeout(MOST_S + 10):
                await asyncio.gather(*(one.ended for one in held))
        longest = max(one.lasted for one in held)
        answers = Counter(one.heard.split(b" ")[1] if one.heard else b"" for one in held)
        assert {200} == {*before.statuses, *during.statuses}
        assert {b"408": HALF_OPEN} == dict(answers), "each is told why"
        began = time.monotonic()
        assert 200 == (await gateway.chat(model="echo")).status_code
        assert time.monotonic() - began < 5.0
    assert longest <= 3 * MOST_S
    figure(
        ROW, f"{HALF_OPEN} half-open connections: the last one ended after", f"{longest:.1f} s", f"<= {MOST_S:.0f} s"
    )
    figure(ROW, f"{HALF_OPEN} half-open connections: memory for each", f"{memory / HALF_OPEN / 1024:.0f} KiB")
    figure(ROW, "p50 of good traffic before, during", f"{before.p50_ms:.1f}, {during.p50_ms:.1f} ms")
    figure(ROW, "p99 of good traffic before, during", f"{before.p99_ms:.1f}, {during.p99_ms:.1f} ms")


async def test_a_head_without_end_is_refused_at_the_cap(tmp_path: Path, figure: Record) -> None:
    async with running(tmp_path) as gateway:
        taken = []
        for line in (b"x-a: " + b"a" * 4000 + b"\r\n", b"a: b\r\n", b"a"):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(HEAD)
            sent = await _pour(reader, writer, line * (4096 // len(line)))
            status = (await reader.readline()).split(b" ")[1]
            assert b"431" == status
            writer.transport.abort()
            taken.append(sent)
        assert 200 == (await gateway.chat(model="echo")).status_code
        assert 3 == await _refused(gateway, "headers_too_large")
    figure(ROW, "heads without end: most sent before 431", f"{max(taken) / 1024:.0f} KiB", "cap 64 KiB")


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, piece: bytes) -> int:
    """Send pieces until the gateway answers; return how many bytes that took."""
    sent = 0
    while not reader._buffer:  # type: ignore[attr-defined]  # what came, without waiting for it
        writer.write(piece)
        sent += len(piece)
        await writer.drain()
        await asyncio.sleep(0.001)
        assert sent < 64 * 1024 * 1024
    return sent


async def _refused(gateway: Running, code: str) -> int:
    metrics = (await gateway.http.get("/metrics")).text
    [line] = [it for it in metrics.splitlines() if it.startswith(f'switchgear_edge_refused_total{{code="{code}"}}')]
    return int(float(line.split()[-1]))
