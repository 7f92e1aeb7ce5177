"""A gateway told to stop finishes the answers it can, says so in those it cannot, and records all of them."""

import asyncio
import socket
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.daemon import Daemon, daemon
from support.faultup import FaultUpstream, Script
from support.gateway import eventually
from support.http1 import Answer, request_bytes
from support.talk import DONE, Talk

pytestmark = pytest.mark.slow

STREAMS = 20


def grace(seconds: float) -> dict[str, str]:
    return {"SWITCHGEAR__GATEWAY__DRAIN_GRACE": str(seconds)}


async def begin(gateway: Daemon, stack: ExitStack, count: int, **members: object) -> list[Talk]:
    """Return streams that have begun."""
    talks = [stack.enter_context(await Talk.begin(gateway.port, gateway.key, **members)) for _ in range(count)]
    for talk in talks:
        await talk.begun()
    return talks


async def refused(gateway: Daemon) -> bool:
    """Say whether new connections are."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    except (ConnectionRefusedError, ConnectionResetError):  # the latter while the listener is being closed
        return True
    writer.transport.abort()
    return False


async def stop(gateway: Daemon, within: float) -> float:
    """Wait for the process to end as it should; return how long that took."""
    began = asyncio.get_running_loop().time()
    assert 0 == await asyncio.to_thread(gateway.process.wait, within), gateway.process.output()
    return asyncio.get_running_loop().time() - began


async def outcomes(gateway: Daemon, talks: list[Talk]) -> Counter[str]:
    """Start the gateway again and say how the exchanges were recorded; each must be there once."""
    await gateway.restart()
    found = await gateway.usage()
    assert sorted(talk.request_id for talk in talks) == sorted(record["request_id"] for record in found)
    return Counter(record["outcome"] for record in found)


async def test_what_ends_within_the_grace_period_is_whole(tmp_path: Path) -> None:
    async with FaultUpstream() as upstream, daemon(tmp_path, upstream, environ=grace(10)) as gateway:
        with ExitStack() as stack:
            upstream.default = Script(chunks=40, chunk_delay_ms=40)
            talks = await begin(gateway, stack, STREAMS)
            upstream.default = Script(delay_ms=1500)
            whole = stack.enter_context(await Talk.begin(gateway.port, gateway.key, stream=False))
            await upstream.ledger.until(lambda ledger: len(ledger) == STREAMS + 1)
            probe = stack.enter_context(Talk(*await asyncio.open_connection("127.0.0.1", gateway.port)))
            ready = request_bytes(None, path="/ready", method="GET")
            await probe.send(ready[:10])
            await gateway.http.get("/live")  # what was sent before it has been read
            gateway.process.terminate()
            ending = asyncio.create_task(stop(gateway, 12))
            await eventually(lambda: refused(gateway), within=1)
            await probe.send(ready[10:])
            answer = await probe.end()
            assert (503, {"status": "draining"}, "close") == (answer.status, answer.json, answer.headers["connection"])
            for talk in [*talks, whole]:
                await talk.end()
                assert talk.complete
            assert await ending < 8, "it does not wait for the end of the grace period"
        assert Counter(complete=STREAMS + 1) == await outcomes(gateway, [*talks, whole])


async def test_what_outlasts_the_grace_period_is_told_so(tmp_path: Path) -> None:
    async with FaultUpstream() as upstream, daemon(tmp_path, upstream, environ=grace(1)) as gateway:
        upstream.default = Script(chunks=1000, chunk_delay_ms=30)
        with ExitStack() as stack:
            talks = await begin(gateway, stack, STREAMS // 2)
            upstream.default = Script(chunks=20, chunk_delay_ms=20)
            short = await begin(gateway, stack, STREAMS // 2)
            upstream.default = Script(hang=True)
            waiting = stack.enter_context(await Talk.begin(gateway.port, gateway.key, stream=False))
            await upstream.ledger.until(lambda ledger: len(ledger) == STREAMS + 1)
            gateway.process.terminate()
            ending = asyncio.create_task(stop(gateway, 3))
            for talk in short:
                await talk.end()
                assert talk.complete
            for talk in talks:
                answer = await talk.end()
                assert (True, "server_draining") == (answer.whole, talk.error["code"])
                assert DONE not in answer.body
            answer = await waiting.end()
            assert (503, "server_draining", "1") == (
                answer.status, waiting.error["code"], answer.headers["retry-after"],
            )  # fmt: skip
            assert 1 <= await ending <= 3
        assert Counter(draining=STREAMS // 2 + 1, complete=STREAMS // 2) == await outcomes(
            gateway, [*talks, *short, waiting]
        )
        assert all(entry.client_left_early for entry in upstream.ledger if entry.finish != "complete")


async def test_a_client_that_does_not_read_cannot_hold_it_up(tmp_path: Path) -> None:
    async with FaultUpstream() as upstream, daemon(tmp_path, upstream, environ=grace(0.5)) as gateway:
        upstream.default = Script(huge_body=64 * 1024 * 1024)
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", gateway.port))
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        deaf.sendall(request_bytes(body, headers={"authorization": f"Bearer {gateway.key}"}))
        await upstream.ledger.until(lambda ledger: len(ledger) == 1)
        first = Answer()
        first.feed(await asyncio.to_thread(deaf.recv, 4096))
        gateway.process.terminate()
        assert await stop(gateway, 4) >= 0.5
        deaf.close()
        await gateway.restart()
        assert (await gateway.usage_of(first.headers["x-request-id"]))["outcome"] == "draining"
