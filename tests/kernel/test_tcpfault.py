"""The TCP fault proxy does to a connection what its faults say."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from support.tcpfault import Faults, TcpFault


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """A server that says everything back, and goes when its client has said all."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionResetError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def proxy(echo: int) -> AsyncIterator[TcpFault]:
    async with TcpFault("127.0.0.1", echo) as one:
        yield one


async def say(proxy: TcpFault, data: bytes, *, end: bool = True) -> tuple[bytes, bool]:
    """Send and read to the end; return what came and whether a reset ended it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    heard = b""
    try:
        writer.write(data)
        if end:
            writer.write_eof()
        while more := await reader.read(65_536):
            heard += more
    except ConnectionResetError:
        return heard, True
    finally:
        writer.transport.abort()
    return heard, False


@pytest.mark.parametrize("faults", [Faults(), Faults(split=1000), Faults(bandwidth=3_000_000), Faults(latency_ms=1)])
async def test_bytes_pass_unchanged_and_an_end_is_an_end(proxy: TcpFault, faults: Faults) -> None:
    proxy.up = proxy.down = faults
    data = bytes(range(256)) * 200
    assert (data, False) == await say(proxy, data)
    assert (len(data), len(data)) == (proxy.bytes_up, proxy.bytes_down)


async def test_latency_and_bandwidth_take_their_time(proxy: TcpFault) -> None:
    for faults in (Faults(latency_ms=50), Faults(bandwidth=2000)):
        proxy.down = faults
        begun = time.monotonic()
        assert (b"x" * 100, False) == await say(proxy, b"x" * 100)
        assert time.monotonic() - begun >= 0.049


@pytest.mark.parametrize("end", ["fin", "rst"])
@pytest.mark.parametrize("after", [0, 1, 70_000])
async def test_a_cut_lets_exactly_so_many_bytes_through(proxy: TcpFault, end: str, after: int) -> None:
    proxy.down = Faults(end_after=after, end="rst" if end == "rst" else "fin")
    assert (b"x" * after, end == "rst") == await say(proxy, b"x" * 100_000, end=False)


async def test_a_half_closed_direction_ends_while_the_other_goes_on(proxy: TcpFault) -> None:
    proxy.down = Faults(end_after=3, end="half_close")
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"hello")
    assert b"hel" == await reader.read()
    writer.write(b"still")
    async with asyncio.timeout(5):
        while proxy.bytes_up < 10:  # noqa: ASYNC110 - the counter has no event
            await asyncio.sleep(0.001)
    writer.close()


async def test_a_blackhole_swallows_and_a_change_acts_on_open_connections(proxy: TcpFault) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"one")
    assert b"one" == await reader.readexactly(3)
    proxy.up = Faults(blackhole=True)
    writer.write(b"two")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readexactly(1), 0.05)
    proxy.up = Faults()
    writer.write(b"three")
    assert b"three" == await reader.readexactly(5)
    writer.close()


async def test_open_connections_can_be_dropped_and_the_port_closed(proxy: TcpFault) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"one")
    await reader.readexactly(3)
    assert 1 == proxy.open_connections
    proxy.drop_connections()
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    proxy.close_port()
    with pytest.raises(ConnectionRefusedError):
        await say(proxy, b"x")
    await proxy.open_port()
    assert (b"x", False) == await say(proxy, b"x")
    writer.close()


async def test_a_dead_target_resets_the_client(proxy: TcpFault, echo: int) -> None:
    async with TcpFault("127.0.0.1", proxy.port) as outer:
        proxy.close_port()
        assert (b"", True) == await say(outer, b"x")
