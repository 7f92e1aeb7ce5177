"""A log that nobody reads holds up nobody: calls, probes and the end of the process go on."""

import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from support.gateway import ADMIN_KEY
from support.ports import free_port
from support.process import switchgear

pytestmark = pytest.mark.slow

CALLS, CLIENTS = 10_000, 8


async def serving(url: str) -> None:
    async with httpx.AsyncClient() as http:
        for _ in range(600):
            try:
                if (await http.get(f"{url}/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)
    raise AssertionError("it does not serve")


async def test_ten_thousand_lines_that_nobody_reads(tmp_path: Path) -> None:
    port, (read, write) = free_port(), os.pipe()
    url = f"http://127.0.0.1:{port}"
    argv = [part.replace("{port}", str(port)) for part in switchgear("--data-dir", str(tmp_path / "data"))]
    environ = {**os.environ, "ADMIN_KEY": ADMIN_KEY}
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=write, cwd=tmp_path, env=environ)  # noqa: ASYNC220
    os.close(write)
    try:
        await serving(url)
        key = (tmp_path / "data" / "first-api-key").read_text().strip()
        await unknown_models(url, key)
        async with httpx.AsyncClient() as http:
            assert 200 == (await http.get(f"{url}/live", timeout=1)).status_code
            assert b"switchgear_log_lines_dropped_total 0.0" not in (await http.get(f"{url}/metrics")).content
        process.send_signal(signal.SIGTERM)
        assert 0 == await asyncio.to_thread(process.wait, 10)
    finally:
        process.kill()
        os.close(read)


async def unknown_models(url: str, key: str) -> None:
    """Make the gateway write a line for each call."""
    body = json.dumps({"model": "no-such-model-" + "x" * 400, "messages": [{"role": "user", "content": "hi"}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        for _ in range(CALLS // CLIENTS):
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 404"), answer
            length = next(line for line in answer.lower().splitlines() if line.startswith(b"content-length"))
            await reader.readexactly(int(length.partition(b":")[2]))
        writer.close()

    await asyncio.wait_for(asyncio.gather(*(ask() for _ in range(CLIENTS))), 120)
