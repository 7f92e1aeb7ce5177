"""Storms of cancelled calls: nothing leaks, and the peer hears of each."""

import asyncio
import random

import pytest

from kernel.upstream.conftest import Connect, post
from kernel.upstream.peer import Line, Peer, hangs, until
from support.soak import usually
from switchgear.contracts.upstream import Connection

CAP = 1 << 20


async def sometimes(line: Line) -> None:
    """Answer what asks for it, stall in the body when told, hang otherwise."""
    while True:
        request = await line.request()
        if request.body == b"hang":
            await line.gone()
            return
        if request.body == b"stall":
            await line.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
            await line.gone()
            return
        await line.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


async def storm(connection: Connection, url: str, calls: int, *, kinds: list[bytes], at_once: int) -> None:
    """Make calls and cancel each at a random moment."""
    dice = random.Random(7)
    gate = asyncio.Semaphore(at_once)

    async def call(kind: bytes) -> None:
        response = await connection.send(post(url, kind))
        try:
            while await response.read() is not None:
                pass
        finally:
            await response.close()

    async def one() -> None:
        async with gate:
            task = asyncio.ensure_future(call(dice.choice(kinds)))
            for _ in range(dice.randrange(12)):
                await asyncio.sleep(0)
            if dice.random() < 0.5:
                await asyncio.sleep(dice.random() * 0.003)
            task.cancel()
            await asyncio.wait((task,))

    await asyncio.gather(*(one() for _ in range(calls)))


async def test_a_call_cancelled_before_its_head_reaches_the_peer_at_once(connect: Connect) -> None:
    async with Peer(hangs) as peer:
        connection = connect(max_connections=4)
        calls = [asyncio.ensure_future(connection.send(post(peer.url))) for _ in range(4)]
        await until(lambda: len(peer.requests) == 4)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        assert await until(lambda: peer.open == 0) < 1


async def test_after_a_storm_of_cancelled_calls_normal_calls_work_and_nothing_stays_open(connect: Connect) -> None:
    calls = 1000
    async with Peer(sometimes) as peer:
        connection = connect(max_connections=8, connect_timeout=5.0)
        await storm(connection, peer.url, calls, kinds=[b"hang", b"stall", b"answer"], at_once=20)
        for _ in range(30):
            assert b"ok" == await (await connection.send(post(peer.url, b"answer"))).body(CAP)
        results = await asyncio.gather(*(connection.send(post(peer.url, b"answer")) for _ in range(8)))
        assert [b"ok"] * 8 == [await result.body(CAP) for result in results]
        assert peer.accepted > 8  # the storm did reach it
        await connection.close()
        await until(lambda: peer.open == 0)


@pytest.mark.slow
@pytest.mark.soak
async def test_cancelled_calls_by_the_thousand_leak_no_slot(connect: Connect) -> None:
    async with Peer(sometimes) as peer:
        connection = connect(max_connections=16, connect_timeout=30.0)
        for _ in range(usually(1, soak=10)):
            await storm(connection, peer.url, 5000, kinds=[b"hang", b"stall", b"answer"], at_once=40)
        results = await asyncio.gather(*(connection.send(post(peer.url, b"answer")) for _ in range(16)))
        assert [b"ok"] * 16 == [await result.body(CAP) for result in results]
        await connection.close()
        await until(lambda: peer.open == 0)
