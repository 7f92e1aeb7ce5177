"""`switchgear db copy`: everything from one engine to another and back, and refused where something would be lost."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from support.gateway import SQLITE, Running, configure, eventually, running
from support.postgres_server import new_database, postgres_url

pytestmark = pytest.mark.slow

PROGRAM = str(Path(sys.executable).with_name("switchgear"))
PLUGINS = "stored_responses = { enabled = true }"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres_url() as found, new_database(found) as database:
        yield database


def config(directory: Path, store: str) -> Path:
    directory.mkdir(exist_ok=True)
    return configure(directory, "", store, "", PLUGINS, first_byte=5.0, idle=5.0, total=10.0)


def copied(source: Path, target: Path, data: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    argv = [PROGRAM, "db", "copy", "-c", str(source), "--to", str(target), "--data-dir", str(data), *flags]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, env={**os.environ})


def content(file: Path) -> dict[str, Any]:
    """Return all that a SQLite store holds, but for what is its own."""
    with sqlite3.connect(file) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = {*names} - {"schema_migrations", "leases", "record_rollups", "record_hours", "sqlite_stat1"}
        return {name: sorted(map(repr, connection.execute(f'SELECT * FROM "{name}"'))) for name in tables}


async def used(run: Running) -> None:
    """Leave something of everything behind."""
    id, key = await run.new_key(tags=["ä", "b"])
    await run.patch(f"/api-keys/{id}", name='another " name')
    await run.create("limits", id="all", scope={"all": True}, requests_per_minute=5)
    await run.admin.delete("/limits/all")
    body = {"model": "echo", "input": "Grüße \u0000 \\u0000", "store": True}
    headers = {"authorization": f"Bearer {key}"}
    assert 200 == (await run.http.post("/v1/responses", json=body, headers=headers)).status_code

    async def is_recorded() -> bool:
        return len(await run.all_usage()) >= 1

    await eventually(is_recorded)


async def test_what_went_to_another_engine_and_back_is_what_it_was(tmp_path: Path, url: str) -> None:
    async with running(tmp_path, plugins=PLUGINS) as run:
        await used(run)
        key = run.key
        before_us = len(await run.all_usage())
    data = tmp_path / "data"
    file = data / "sqlite" / "switchgear.db"
    here = config(tmp_path / "here", f'sqlite = {{ enabled = true, path = "{file}" }}')
    there = config(tmp_path / "there", f'postgres = {{ enabled = true, url = "{url}" }}')
    back = config(tmp_path / "back", f'sqlite = {{ enabled = true, path = "{tmp_path}/back.db" }}')
    before = content(file)
    assert {"versions", "documents", "records", "jobs", "stored_responses_items"} <= {*before}, sorted(before)
    first = copied(here, there, data, "--json")
    assert 0 == first.returncode, first.stderr
    assert len(before["versions"]) == json.loads(first.stdout)["versions"]
    again = copied(here, there, data)
    assert 1 == again.returncode
    assert "holds something already" in again.stderr
    async with running(
        tmp_path / "there", store=f'postgres = {{ enabled = true, url = "{url}" }}', plugins=PLUGINS
    ) as run:
        answer = await run.http.get("/v1/models", headers={"authorization": f"Bearer {key}"})
        assert 200 == answer.status_code
        assert before_us <= len(await run.all_usage())
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM versions WHERE deleted").fetchone() == (1,)
    second = copied(there, back, data)
    assert 0 == second.returncode, second.stderr
    after = content(tmp_path / "back.db")
    for name in before:
        assert {*before[name]} <= {*after[name]}, name


def test_where_to_must_be_said_and_exist(tmp_path: Path) -> None:
    here = config(tmp_path / "here", SQLITE)
    run = subprocess.run(
        [PROGRAM, "db", "copy", "-c", str(here)], capture_output=True, text=True, timeout=60, check=False
    )
    assert 2 == run.returncode
    assert "Say where to" in run.stderr
