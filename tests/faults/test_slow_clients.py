"""Clients that read slowly or not at all: the upstream is held back, others notice little, and nobody else is blamed."""

import asyncio
import contextlib
import json
import socket
import time
from collections import Counter
from pathlib import Path

import pytest

from faults.figures import Record
from support.daemon import Daemon, daemon
from support.faultup import FaultProcess, FaultUpstream, Script
from support.files import open_files
from support.gateway import SOURCE, eventually, running
from support.http1 import Answer, request_bytes
from support.probe import measured, probing
from support.soak import usually

ROW = "8 slow reader"
KIB = 1024
STALLED = usually(200, soak=500)
WRITE_TIMEOUT_S = usually(20.0, soak=40.0)
PIECE = json.dumps({"choices": [{"index": 0, "delta": {"content": "x" * 15_000}, "finish_reason": None}]})
ENDLESS = Script(events=(f"data: {PIECE}\n\n",) * 100)
ASK = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
STREAM = {**ASK, "model": "endless", "stream": True}


async def deaf(port: int, key: str) -> socket.socket:
    """Ask for a stream over a socket that takes in next to nothing, and do not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KIB)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    await loop.sock_sendall(sock, request_bytes(STREAM, headers={"authorization": f"Bearer {key}"}))
    return sock


async def test_a_reader_that_pauses_for_long_is_not_the_upstreams_fault(tmp_path: Path) -> None:
    async with FaultUpstream() as upstream, running(tmp_path, upstream, idle=0.5) as gateway:
        await gateway.create("models", id="endless", provider_id="p", provider_model="fault-endless")
        done = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        upstream.register("endless", Script(events=(*ENDLESS.events, done)))
        sock = await deaf(gateway.port, gateway.key)
        with sock:
            await upstream.ledger.until(lambda ledger: len(ledger) == 1)
            began = time.monotonic()
            answer = Answer()
            loop = asyncio.get_running_loop()
            while not answer.whole:
                data = await loop.sock_recv(sock, 65_536)
                assert data, "it was cut"
                answer.feed(data)
                if time.monotonic() - began < 1.1:
                    await asyncio.sleep(1.2)  # longer than the upstream may be silent: the fault itself
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024 * KIB)
        assert answer.body.endswith(b"data: [DONE]\n\n"), answer.body[-200:]
        record = await gateway.usage_of(answer.headers["x-request-id"])
        assert "complete" == record["outcome"]


def queued(port: int, upstream_port: int) -> tuple[int, int]:
    """Return the bytes the kernel holds for a gateway: not yet taken by its clients, and not yet read from its upstream."""
    unsent = unread = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        to_send, to_read = (int(part, 16) for part in queues.split(":"))
        if int(local.rpartition(":")[2], 16) == port:
            unsent += to_send
        if int(remote.rpartition(":")[2], 16) == upstream_port:
            unread += to_read
    return unsent, unread


async def stalled(gateway: Daemon, upstream: FaultProcess, within: float) -> tuple[int, int]:
    """Wait until nothing moves any more; return the bytes the kernel holds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    seen = -1, -1
    while (now := queued(gateway.port, upstream.port)) != seen:
        assert loop.time() < deadline, f"still moving: {now} bytes"
        seen = now
        await asyncio.sleep(0.5)
    return seen


async def refused(gateway: Daemon, code: str) -> int:
    """Return how often the edge cut a client for this reason."""
    for line in (await gateway.http.get("/metrics")).text.splitlines():
        if line.startswith(f'switchgear_edge_refused_total{{code="{code}"}}'):
            return int(float(line.split()[-1]))
    return 0


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(240)
async def test_stalled_readers_hold_little_and_are_cut_in_time(tmp_path: Path, figure: Record) -> None:
    edge = f"edge = {{ write_timeout = {WRITE_TIMEOUT_S} }}"
    with open_files(4 * STALLED), FaultProcess() as upstream, contextlib.ExitStack() as socks:
        async with daemon(tmp_path, gateway=edge) as gateway:
            await gateway.create("credentials", id="c", type="openai", source=SOURCE)
            await gateway.create("providers", id="p", type="openai", base_url=upstream.base_url, credential_id="c")
            await gateway.create("models", id="endless", provider_id="p", provider_model="fault-endless")
            upstream.register("endless", ENDLESS)
            before = await measured(gateway.port, gateway.key, ASK, count=600)
            at_rest = gateway.process.rss_bytes()
            async with probing(gateway.port, gateway.key, ASK) as filling:
                for number in range(STALLED):
                    socks.enter_context(await deaf(gateway.port, gateway.key))
                    if number % 50 == 49:
                        await eventually(lambda seen=number + 1: _streams(gateway, seen), within=10)
                first_at = time.monotonic()
                unsent, unread = await stalled(gateway, upstream, within=30)
            memory = gateway.process.rss_bytes() - at_rest
            during = await measured(gateway.port, gateway.key, ASK, count=600)
            assert STALLED <= await _in_flight(gateway), "they were all still there"
            await eventually(lambda: _is_alone(gateway), within=WRITE_TIMEOUT_S + 15)
            gone_s = time.monotonic() - first_at
            after = await measured(gateway.port, gateway.key, ASK, count=600)
            assert STALLED == await refused(gateway, "write_timeout")
            found = [it for it in (await gateway.all_usage()).values() if it["model"] == "endless"]
            assert Counter(client_gone=STALLED) == Counter(record["outcome"] for record in found)
            assert all(record["output_tokens"] > 0 for record in found), "what was sent is kept"
            detail = (await gateway.http.get("/health/detailed", headers=gateway.admin.headers)).json()
            assert {"closed"} == {target["breaker"]["state"] for target in detail["targets"]}
            assert {200} == {*before.statuses, *filling.statuses, *during.statuses, *after.statuses}
    each = memory / STALLED / KIB
    assert each <= 256
    figure(ROW, f"{STALLED} stalled streams: memory of the gateway for each", f"{each:.0f} KiB", "<= 256 KiB")
    kernel = f"{unsent / STALLED / KIB:.0f} KiB unsent, {unread / STALLED / KIB:.0f} KiB unread"
    figure(ROW, f"{STALLED} stalled streams: held by the kernel for each besides", kernel)
    figure(ROW, "write deadline: all gone after the last one began", f"{gone_s:.1f} s", f"{WRITE_TIMEOUT_S:.0f} s")
    p99s = f"{before.p99_ms:.1f}, {filling.p99_ms:.1f}, {during.p99_ms:.1f}, {after.p99_ms:.1f} ms"
    figure(ROW, "p99 of others before, while they fill, while they stall, after", p99s)
    p50s = f"{before.p50_ms:.1f}, {filling.p50_ms:.1f}, {during.p50_ms:.1f}, {after.p50_ms:.1f} ms"
    figure(ROW, "p50 of others before, while they fill, while they stall, after", p50s)


async def _in_flight(gateway: Daemon) -> int:
    detail = (await gateway.http.get("/health/detailed", headers=gateway.admin.headers)).json()
    count: int = detail["exchanges_in_flight"]
    return count


async def _streams(gateway: Daemon, count: int) -> bool:
    return await _in_flight(gateway) >= count


async def _is_alone(gateway: Daemon) -> bool:
    return await _in_flight(gateway) == 0
