"""A server told to stop finishes what it has begun, and says so to what it cannot finish."""

import asyncio
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.edge import Edge
from support.stopwatch import Stopwatch, at_most

SERVER = Path(__file__).parent / "streaming_server.py"
HOST = b"Host: gateway.test\r\n"


class Server(Edge):
    """A server process; `lines` is what it said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        super().__init__()
        self.process = process

    async def line(self) -> str:
        return (await asyncio.wait_for(self.process.stdout.readline(), 10)).decode().strip()

    async def exit(self, within: float) -> int:
        async with at_most(within):
            return await self.process.wait()


@asynccontextmanager
async def running(grace: float):
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SERVER), str(grace), stdout=asyncio.subprocess.PIPE
    )
    server = Server(process)
    try:
        server.port = int((await server.line()).removeprefix("ready "))
        yield server
    finally:
        await server.clients.aclose()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def stream(server: Server, path: bytes):
    client = await server.ask(b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    assert 200 == (await client.head())[0]
    await client.reader.readuntil(b"begun")
    return client


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_streams_that_end_within_the_grace_period_are_whole(number):
    async with running(grace=10) as server:
        streams = [await stream(server, b"/stream/0.5") for _ in range(20)]
        idle = await server.ask(b"GET /stream/0 HTTP/1.1\r\n" + HOST + b"\r\n")
        await idle.reader.readuntil(b"0\r\n\r\n")
        half = await server.ask(b"GET /stream/0 HTTP/1.1\r\n")
        server.process.send_signal(number)
        assert "draining" == await server.line()
        assert b"" == await idle.rest()
        await half.send(HOST + b"\r\n")
        assert "close" == (await half.head())[1]["connection"]
        with pytest.raises(ConnectionRefusedError):
            await server.connect()
        for client in streams:
            assert (await client.rest()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert "stopped" == await server.line()
        assert 0 == await server.exit(10)


async def test_streams_that_outlast_the_grace_period_are_told_so():
    async with running(grace=0.3) as server:
        streams = [await stream(server, b"/stream/60") for _ in range(20)]
        took = Stopwatch()
        server.process.terminate()
        for client in streams:
            assert (await client.rest()).endswith(b"data: server_draining\n\n\r\n0\r\n\r\n")
        assert ["draining", "aborting", "stopped"] == [await server.line() for _ in range(3)]
        assert 0 == await server.exit(10)
        assert took.between(0.3, 10), took


async def test_a_stream_that_does_not_end_when_told_to_is_cut():
    async with running(grace=0.1) as server:
        client = await stream(server, b"/deaf")
        took = Stopwatch()
        server.process.terminate()
        assert not (await client.rest()).endswith(b"0\r\n\r\n")
        assert 0 == await server.exit(20)
        assert took.between(2, 20), took


async def test_a_second_signal_ends_the_process_at_once():
    async with running(grace=60) as server:
        await stream(server, b"/stream/60")
        server.process.terminate()
        assert "draining" == await server.line()
        took = Stopwatch()
        server.process.send_signal(signal.SIGINT)
        assert 128 + signal.SIGINT == await server.exit(10)
        assert took.s < 10


async def test_a_second_signal_ends_even_a_process_whose_loop_is_stuck():
    async with running(grace=60) as server:
        await stream(server, b"/block")
        assert "blocking" == await server.line()
        server.process.terminate()
        await asyncio.sleep(0.2)
        server.process.terminate()
        assert 128 + signal.SIGTERM == await server.exit(10)


async def test_hangup_is_told_and_nothing_stops():
    async with running(grace=1) as server:
        client = await stream(server, b"/stream/0.3")
        server.process.send_signal(signal.SIGHUP)
        assert "hangup" == await server.line()
        await client.reader.readuntil(b"[DONE]")


async def test_a_server_with_nothing_to_do_stops_at_once():
    async with running(grace=60) as server:
        took = Stopwatch()
        server.process.terminate()
        assert ["draining", "stopped"] == [await server.line() for _ in range(2)]
        assert 0 == await server.exit(10)
        assert took.s < 10
