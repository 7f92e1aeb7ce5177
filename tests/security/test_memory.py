"""What anybody can make the gateway hold, and for how long nobody else is answered meanwhile."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from support.attackers import all_send, bearing, head, sink
from support.daemon import Daemon, daemon
from support.faultup import FaultUpstream
from support.gateway import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MOST_MIB = 300
MIB = 1024 * 1024
ASK = b'{"model":"m","messages":[{"role":"user","content":"x"}],'
LIST = b'{"model":"m","messages":['
POOR = {"permissions": {"models": []}, "limits": {"requests_per_minute": 1, "concurrent_requests": 1}}


def members() -> bytes:
    return ASK + b",".join(b'"%x":1' % number for number in range(2_900_000)) + b"}"


def lists() -> bytes:
    return LIST + b",".join([b"[]"] * 8_000_000) + b"]}"


def messages() -> bytes:
    return LIST + b",".join([b'{"role":"user","content":"x"}'] * 900_000) + b"]}"


@pytest.fixture
async def gateway(tmp_path: Path, upstream: FaultUpstream) -> AsyncIterator[Daemon]:
    async with daemon(tmp_path, upstream) as run:
        yield run


@pytest.mark.parametrize(("count", "size"), [(6, 30_000_000), (60, 4 * MIB), (1000, 200_000)])
async def test_who_may_do_nothing_costs_nothing(gateway: Daemon, count: int, size: int) -> None:
    _, key = await gateway.new_key(**POOR)
    async with bearing(gateway, 150):
        answers = await all_send(gateway, key, members()[: size - 1] + b"}", count)
    assert {"403 not_permitted", "429 rate_limit_exceeded"} == answers.keys()
    assert 1 == answers["403 not_permitted"]
    assert 200 == (await gateway.chat()).status_code


@pytest.mark.parametrize("what", ["text", "escapes"])
async def test_long_bodies_of_those_who_may_send_them_exist_once(gateway: Daemon, what: str) -> None:
    """Four of the longest are in flight at a time, on their way through; and a minute later nothing of it is left."""
    async with sink(0.5) as url:
        await gateway.create("providers", id="sink", type="openai_compatible", base_url=url)
        await gateway.create("models", id="heavy", provider_id="sink", provider_model="heavy")
        keys = [(await gateway.new_key())[1] for _ in range(20)]
        filling = {"text": b"x", "escapes": "€\\n".encode()}[what]
        start = b'{"model":"heavy","messages":[{"role":"user","content":"'
        body = start + filling * ((32 * MIB - len(start) - 4) // len(filling)) + b'"}]}'
        await gateway.chat(model="heavy")
        before = gateway.process.rss_bytes()
        async with bearing(gateway, MOST_MIB, live_within_s=3.0):  # who sends takes the cores
            answers = await all_send(gateway, keys, body, 40)
        assert {"200", "503 overloaded"} == answers.keys()
        assert answers["200"] >= 4
        await eventually(lambda: gateway.process.rss_bytes() < before * 1.1, within=60)
        assert 200 == (await gateway.chat(model="heavy")).status_code


@pytest.mark.parametrize("make", [members, lists, messages])
async def test_what_no_request_needs_is_refused_before_anything_is_made_of_it(
    gateway: Daemon, make: Callable[[], bytes]
) -> None:
    async with bearing(gateway, MOST_MIB):
        answers = await all_send(gateway, gateway.key, make(), 12)
    assert {"400 too_many_items"} <= answers.keys() <= {"400 too_many_items", "429 body_bytes_exceeded"}


async def test_bodies_that_do_not_end_are_bounded_all_together(gateway: Daemon) -> None:
    """Half of what is held of everybody is the most that one key's are; the rest is there for others."""
    body = b"x" * (3 * MIB)
    held: list[socket.socket] = []
    async with bearing(gateway, MOST_MIB):
        for _ in range(60):
            sock = socket.create_connection(("127.0.0.1", gateway.port))
            sock.settimeout(30)
            sock.sendall(head(gateway.key, 32 * MIB - 1))
            try:
                await asyncio.to_thread(sock.sendall, body)
            except ConnectionError:
                sock.close()  # it was refused, and closed when it went on
                continue
            held.append(sock)
        _, other = await gateway.new_key()
        answer = await gateway.http.post(
            "/v1/chat/completions",
            content=ASK + b'"stop":"' + b"y" * MIB + b'"}',
            headers={"authorization": f"Bearer {other}"},
        )
        assert 200 == answer.status_code
    for sock in held:
        sock.close()


async def test_refused_calls_fill_no_disk(gateway: Daemon) -> None:
    _, key = await gateway.new_key(permissions={"models": ["none-of-these"]})
    data = gateway.process.argv[gateway.process.argv.index("--data-dir") + 1]

    def size() -> int:
        return sum(file.stat().st_blocks * 512 for file in Path(data).rglob("*") if file.is_file())

    body = b'{"model":"' + b"z" * 40_000 + b'","messages":[{"role":"user","content":"x"}]}'
    before = size()
    answers = await all_send(gateway, key, body, 1500)
    assert {"404 model_not_found"} == answers.keys()
    told = await eventually(lambda: _unrecorded(gateway))
    assert size() - before < 2 * MIB
    records = await gateway.usage(outcome="rejected")
    assert told + len(records) >= 1500 or len(records) == 500
    assert max(len(record["model"]) for record in records) <= 256
    assert len((await gateway.admin.get("/usage", params={"limit": "500"})).content) < MIB


async def _unrecorded(gateway: Daemon) -> int:
    lines = (await gateway.http.get("/metrics")).text.splitlines()
    [count] = [line.split()[-1] for line in lines if line.startswith("switchgear_usage_refusals_unrecorded_total")]
    return int(float(count))


@pytest.mark.parametrize("path", ["/docs/rapidoc-min.js", "/openapi.json"])
async def test_who_does_not_read_holds_little(gateway: Daemon, path: str) -> None:
    clients: list[socket.socket] = []
    assert len((await gateway.http.get(path)).content) > 100_000
    before = gateway.process.rss_bytes()
    async with bearing(gateway, MOST_MIB):
        for _ in range(300):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.connect(("127.0.0.1", gateway.port))
            client.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            clients.append(client)
        assert 200 == (await gateway.http.get("/live")).status_code
    grown = gateway.process.rss_bytes() - before
    for client in clients:
        client.close()
    assert grown < 300 * 128 * 1024
