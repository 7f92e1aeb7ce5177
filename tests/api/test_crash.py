import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

TESTS = Path(__file__).parents[1]
SEND: dict[str, Any] = {"json": {"name": "ci"}, "headers": {"idempotency-key": "once", "authorization": "Bearer root"}}


@contextlib.asynccontextmanager
async def server(directory: Path, mode: str) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(TESTS / "api" / "served.py"),
        str(directory),
        mode,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    try:
        assert process.stdout is not None
        port = int(await asyncio.wait_for(process.stdout.readline(), 30))
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def test_a_retry_after_a_crash_between_commit_and_reply_gets_the_answer_that_was_lost(tmp_path: Path) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        async with server(tmp_path, "dies") as url:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.post(f"{url}/admin/v1/tickets", **SEND)
        async with server(tmp_path, "lives") as url:
            first = await client.post(f"{url}/admin/v1/tickets", **SEND)
            again = await client.post(f"{url}/admin/v1/tickets", **SEND)
            stored = (await client.get(f"{url}/admin/v1/tickets", headers=SEND["headers"])).json()["data"]
    assert (201, "true", first.content) == (first.status_code, first.headers["idempotency-replayed"], again.content)
    assert first.json()["key"].startswith("tk_")
    assert [first.json()["id"]] == [it["id"] for it in stored]
    assert first.json()["updated_at"] == stored[0]["updated_at"]
