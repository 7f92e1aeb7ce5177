"""Secrets of providers and servers are in nothing that the plugins beside the first keep, say, or send: responses that are kept,
lists of models, PostgreSQL, Redis, resource files.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from support.daemon import Daemon, daemon
from support.faultup import FaultUpstream, Script
from support.gateway import ADMIN_KEY, PROVIDER_KEY
from support.postgres_server import postgres_server
from support.redis_server import RedisServer

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

HEADER = "canary0header0secret"
FILED = "canary0filed0secret"
PROMPT = "canary0prompt"
ARGUMENT = "canary0argument"
PLUGINS = "stored_responses = { enabled = true }\ngitops = { enabled = true }\n"
RESOURCES = """
[credentials.filed]
type = "openai"
source = {{ backend = "encrypted", values = {{ api_key = {{ file = "secret" }} }} }}
[providers.filed]
type = "openai"
base_url = "{url}"
credential_id = "filed"
[models.filed]
provider_id = "filed"
provider_model = "filed"
"""


class Seen:
    """What came out, by where; and which secrets there were."""

    def __init__(self) -> None:
        self.places: dict[str, bytes] = {}
        self.secrets = {PROVIDER_KEY, HEADER, FILED, ADMIN_KEY, "canary0database", "canary0redis"}

    def add(self, place: str, data: bytes | str) -> None:
        self.places[place] = self.places.get(place, b"") + (data.encode() if isinstance(data, str) else data)

    def found(self, *secrets: str) -> list[tuple[str, str]]:
        return [(place, secret) for secret in secrets for place, data in self.places.items() if secret.encode() in data]


async def use(run: Daemon, upstream: FaultUpstream, seen: Seen) -> None:
    """Ask, be answered, be refused, and look at what is kept."""
    made = (await run.http.post("/v1/responses", json={"model": "m", "input": PROMPT}, headers=run.auth)).json()
    again = {"model": "m", "input": "more", "previous_response_id": made["id"]}
    seen.add("client", (await run.http.post("/v1/responses", json=again, headers=run.auth)).text)
    _, other = await run.new_key()
    seen.secrets |= {run.key, other}
    for path in (made["id"], f"{made['id']}/input_items"):
        seen.add("client", (await run.http.get(f"/v1/responses/{path}", headers=run.auth)).text)
        strange = await run.http.get(f"/v1/responses/{path}", headers={"authorization": f"Bearer {other}"})
        assert 404 == strange.status_code
        seen.add("another client", strange.text)
    for model, own in (("m", f"{PROVIDER_KEY} {HEADER}"), ("filed", FILED)):
        echo = {"message": f"not {own}"}
        for script in (
            None,
            Script(status=401, error=echo),
            Script(status=400, error=echo),
            Script(cut_after_chunks=1),
        ):
            for stream in (False, True):
                if script is not None:
                    upstream.script(script)
                body = {"model": model, "input": PROMPT, "stream": stream, "tools": [
                    {"type": "function", "name": "f", "description": ARGUMENT, "parameters": {}}]}  # fmt: skip
                answer = await run.http.post("/v1/responses", json=body, headers=run.auth)
                seen.add("client", answer.text + str(answer.headers.raw))


async def look(run: Daemon, upstream: FaultUpstream, seen: Seen) -> None:
    """Read all that operators can read."""
    for id, own in (("p", f"{PROVIDER_KEY} {HEADER}"), ("filed", FILED)):
        listed = f'{{"data": [{{"id": "x {own}", "object": "model"}}]}}'
        upstream.script(Script(body=listed), Script(status=401, body=own))
        for path in (f"/providers/{id}/models", f"/providers/{id}/models", f"/providers/{id}/versions"):
            seen.add("admin", (await run.admin.get(path)).text)
    for id, own in (("c", f"{PROVIDER_KEY} {HEADER}"), ("filed", FILED)):
        upstream.script(Script(status=401, body=own))
        seen.add("admin", (await run.admin.post(f"/credentials/{id}/test")).text)
    for kind in ("credentials", "providers", "models", "api-keys", "policy-attachments", "targets", "config/version"):
        seen.add("admin", (await run.admin.get(f"/{kind}")).text)
    asked = {"request": {"model": "filed", "messages": [{"role": "user", "content": PROMPT}]}}
    seen.add("admin", (await run.admin.post("/explain", json=asked)).text)
    seen.add("admin", (await run.admin.get("/usage", params={"limit": "500"})).text)
    for path in ("/metrics", "/openapi.json", "/health/detailed"):
        seen.add(path, (await run.http.get(path, headers={"authorization": f"Bearer {ADMIN_KEY}"})).text)


async def command(run: Daemon, seen: Seen, *words: str) -> None:
    """Run a command beside the gateway."""
    place = Path(run.process.argv[run.process.argv.index("--data-dir") + 1])
    argv = [*run.process.argv[: run.process.argv.index("serve")], *words]
    made = await asyncio.create_subprocess_exec(
        *argv,
        cwd=place.parent,
        env={**(run.process._env or {}), "SWITCHGEAR__GATEWAY__DATA_DIR": str(place)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    seen.add(" ".join(words[:2]), (await made.communicate())[0])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seen(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seen]:
    place = tmp_path_factory.mktemp("gateway")
    seen = Seen()
    redis = RedisServer(place)
    with postgres_server() as server:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE ROLE gate LOGIN SUPERUSER PASSWORD 'canary0database'")
        address = server.get_uri().replace("//postgres:@", "//gate:canary0database@", 1)
        redis.start()
        store = f'postgres = {{ enabled = true, url = "{address}" }}\nredis = {{ enabled = true, url = "{redis.url}" }}'
        try:
            async with (
                FaultUpstream() as upstream,
                daemon(
                    place, upstream, gateway='counters = "redis"\nlog_level = "debug"', store=store, plugins=PLUGINS
                ) as run,
            ):
                await run.patch("/providers/p", headers={"x-api-key": HEADER})
                (place / "secret").write_text(FILED)
                (place / "r.toml").write_text(RESOURCES.format(url=upstream.base_url))
                await command(run, seen, "apply", "-f", str(place / "r.toml"))
                assert b"filed" in seen.places["apply -f"], seen.places["apply -f"]
                await use(run, upstream, seen)
                await look(run, upstream, seen)
                for words in (
                    ("config", "show", "--origin"),
                    ("doctor",),
                    ("export",),
                    ("db", "status"),
                    ("explain", "m"),
                ):
                    await command(run, seen, *words)
                keys = {entry.headers.get("authorization") for entry in upstream.ledger}
                assert {f"Bearer {PROVIDER_KEY}", f"Bearer {FILED}"} <= keys, "the secrets were really used"
                run.process.terminate()
                await asyncio.to_thread(run.process.wait)
                seen.add("log", run.process.output())
            with psycopg.connect(server.get_uri()) as connection:
                tables = connection.execute(
                    "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
                ).fetchall()
                for schema, table in tables:
                    seen.add(
                        f"table {table}", str(connection.execute(f'SELECT * FROM "{schema}"."{table}"').fetchall())
                    )
            for file in (place / "data").rglob("*"):
                if file.is_file():
                    seen.add(f"file {file.name}", file.read_bytes())
        finally:
            redis.close()
    yield seen


async def test_no_secret_is_anywhere(seen: Seen) -> None:
    seen.places.pop("file first-api-key", None)
    assert [] == seen.found(*seen.secrets)


async def test_what_was_said_is_where_responses_are_kept_and_nowhere_else(seen: Seen) -> None:
    kept = {place for place, _ in seen.found(PROMPT, ARGUMENT)}
    assert {"client"} < kept
    assert all("response" in place for place in kept - {"client"}), kept


async def test_everything_was_looked_at(seen: Seen) -> None:
    wanted = {
        "client",
        "admin",
        "log",
        "config show",
        "doctor",
        "export",
        "/metrics",
        "/openapi.json",
        "/health/detailed",
    }
    assert wanted <= seen.places.keys()
    assert any(place.startswith("table") and "response" in place for place in seen.places), list(seen.places)
    assert b"filed" in seen.places["admin"]
