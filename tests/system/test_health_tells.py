"""Health and readiness tell what a call, or a write, would meet; they are cheap, and there is one way to write where they are."""

import asyncio
import socket
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from support.daemon import daemon
from support.gateway import ADMIN_KEY, Running, eventually, running

ADMIN = {"authorization": f"Bearer {ADMIN_KEY}"}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as run:
        yield run


async def test_a_store_that_cannot_be_written_is_told(gateway: Running) -> None:
    assert 200 == (await gateway.http.get("/health")).status_code
    path = gateway.gateway.settings.data_path / "sqlite" / "switchgear.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def is_degraded() -> bool:
        return 503 == (await gateway.http.get("/health")).status_code

    await eventually(is_degraded)
    told = (await gateway.http.get("/health/detailed", headers=ADMIN)).json()
    assert "did not get through" in told["store"] or "lock" in told["store"]
    assert 200 == (await gateway.http.get("/ready")).status_code, "calls go on, and their records into the journal"
    other.execute("ROLLBACK")
    other.close()

    async def is_well() -> bool:
        return 200 == (await gateway.http.get("/health")).status_code

    await eventually(is_well, within=10.0)


async def test_a_journal_without_room_is_not_ready(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.gateway._system._journal, "has_room", False)
    answer = await gateway.http.get("/ready")
    assert (503, {"status": "journal full"}) == (answer.status_code, answer.json())
    assert 503 == (await gateway.chat(model="echo")).status_code, "as every call would find"


async def test_a_resource_that_cannot_be_used_is_no_health(tmp_path: Path) -> None:
    async with running(tmp_path, plugins="gigachat = { enabled = true }") as gateway:
        await gateway.create("providers", id="g", type="gigachat")
    async with running(tmp_path) as gateway:
        assert 503 == (await gateway.http.get("/health")).status_code


async def test_asking_often_costs_little(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    metrics, expose = gateway.gateway.kernel.metrics, gateway.gateway._system._exposed._make

    def slowly() -> bytes:
        nonlocal made
        made += 1
        time.sleep(0.05)
        return expose()

    monkeypatch.setattr(gateway.gateway._system._exposed, "_make", slowly)
    began = time.monotonic()
    for _ in range(50):
        assert b"switchgear" in (await gateway.http.get("/metrics")).content
    assert made <= 2 + (time.monotonic() - began) / 0.5
    assert metrics is gateway.gateway.kernel.metrics


async def test_head_is_get_without_a_body(gateway: Running) -> None:
    for path in (
        "/live", "/ready", "/health", "/health/detailed", "/metrics", "/openapi.json", "/docs", "/admin/v1/models",
    ):  # fmt: skip
        got = await gateway.http.get(path, headers=ADMIN)
        headed = await gateway.http.head(path, headers=ADMIN)
        assert (got.status_code, b"") == (headed.status_code, headed.content), path
        assert got.headers["content-type"] == headed.headers["content-type"], path
        assert "content-length" in headed.headers, path


async def test_the_type_of_metrics_says_its_charset_once(gateway: Running) -> None:
    said = (await gateway.http.get("/metrics")).headers["content-type"]
    assert (1, True) == (said.count("charset"), said.startswith("text/plain; version=0.0.4"))


SPELLINGS = [
    "//metrics", "/%6detrics", "/metrics/", "/metrics%2f", "/health/detailed/", "//health/detailed",
    "/health//detailed", "/health/%64etailed", "/%61dmin/v1/models", "//admin/v1/models", "/admin//v1/models",
    "/admin/v1/models/", "/admin/v1/%6dodels", "/admin/./v1/models", "/x/../admin/v1/models", "/x/%2e%2e/metrics",
    "/metrics;x",
]  # fmt: skip


async def test_a_route_has_one_spelling(gateway: Running) -> None:
    async def answer(path: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        head = f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN_KEY}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode())
        said = await reader.read(-1)
        writer.close()
        return said[:12]

    assert dict.fromkeys(SPELLINGS, b"HTTP/1.1 404") == {path: await answer(path) for path in SPELLINGS}


async def test_ids_may_be_escaped(gateway: Running) -> None:
    await gateway.create("aliases", id="acme/echo", target="echo")
    for path in ("/aliases/acme%2Fecho", "/aliases/acme%2fech%6f"):
        assert 200 == (await gateway.admin.get(path)).status_code, path


async def test_who_does_not_read_holds_no_copy(tmp_path: Path) -> None:
    clients: list[socket.socket] = []
    async with daemon(tmp_path) as gateway:
        assert 800_000 < len((await gateway.http.get("/docs/rapidoc-min.js")).content)
        before = gateway.process.rss_bytes()
        for _ in range(150):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.connect(("127.0.0.1", gateway.port))
            client.sendall(b"GET /docs/rapidoc-min.js HTTP/1.1\r\nhost: x\r\n\r\n")
            clients.append(client)
        async with httpx.AsyncClient() as http:
            for _ in range(20):
                assert 200 == (await http.get(f"{gateway.url}/live")).status_code
        grown = gateway.process.rss_bytes() - before
        for client in clients:
            client.close()
        assert grown < 60e6, "150 copies are 128 MB"
