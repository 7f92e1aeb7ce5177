"""No secret and no word of a conversation is found where it has no business: logs, metrics, records, errors, exports, disks."""

import asyncio
import base64
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from support.daemon import Daemon, daemon
from support.faultup import FaultUpstream, Script
from support.gateway import ADMIN_KEY, PROVIDER_KEY
from support.talk import Talk

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

CANARIES = {
    "provider key, sealed": PROVIDER_KEY,
    "provider key, sealed later": "canary2sealed0later7f3a",
    "provider key, of the environment": "canary3environment91bc",
    "provider header": "canary4provider0header55",
    "admin key": ADMIN_KEY,
    "own API key": "canary6own0api0key8d21",
    "wrong API key": "canary7wrong0key44e0",
    "wrong admin key": "canary8wrong0admin0key",
    "client header": "canary9client0header03",
    "client cookie": "canary10cookie77aa",
    "query string": "canary11query0string",
    "prompt": "canary12prompt0words",
    "answer": "canary13answer0words",
    "tool": "canary14tool0arguments",
    "unfinished body": "canary15unfinished0body",
    "bad admin body": "canary16bad0admin0body",
    "address": "canary17address0password",
}
SPOKEN = ("prompt", "answer", "tool", "query string")
"""What a client said or was told may be in what it is told in turn, never anywhere else."""


class Seen:
    """Everything that came out of the gateway, by where."""

    def __init__(self) -> None:
        self.places: dict[str, bytes] = {}
        self.generated: list[str] = []
        self.data = Path()

    def add(self, place: str, data: bytes | str) -> None:
        self.places[place] = self.places.get(place, b"") + (data.encode() if isinstance(data, str) else data)

    def answer(self, place: str, answer: httpx.Response) -> httpx.Response:
        """Keep an answer: `error` with what it echoes, or anything else."""
        self.add(place, str(answer.status_code) + str(answer.headers.raw) + answer.text)
        return answer

    def hits(self, but: tuple[str, ...] = ()) -> list[tuple[str, str]]:
        """Name the secrets that were found, and where."""
        secrets = CANARIES | {f"generated {number}": secret for number, secret in enumerate(self.generated)}
        found = []
        for name, secret in secrets.items():
            raw = secret.encode()
            forms = {
                raw,
                raw.hex().encode(),
                base64.b64encode(raw).rstrip(b"="),
                base64.urlsafe_b64encode(raw).rstrip(b"="),
            }
            found += [
                (place, name)
                for place, data in self.places.items()
                if not (place == "client" and name in but) and any(form in data for form in forms)
            ]
        return found


async def converse(gateway: Daemon, upstream: FaultUpstream, seen: Seen) -> None:
    """Have good and failing conversations."""
    leak = {
        "message": f"Incorrect API key provided: {PROVIDER_KEY} ({CANARIES['provider header']})",
        "param": PROVIDER_KEY,
    }
    echo = {"www-authenticate": f"Bearer {PROVIDER_KEY}", "x-echo": CANARIES["provider header"], "retry-after": "1"}
    headers = gateway.auth | {
        "x-custom": CANARIES["client header"],
        "cookie": f"session={CANARIES['client cookie']}",
    }
    tools = [{"type": "function", "function": {"name": "f", "description": CANARIES["tool"], "parameters": {}}}]
    prompt = CANARIES["prompt"]
    body = {"messages": [{"role": "user", "content": prompt}], "tools": tools}
    scripts = [
        Script(content=CANARIES["answer"]),
        Script(content=f"{CANARIES['answer']} more words", cut_after_chunks=2),
        Script(content=CANARIES["answer"], garbage="json"),
        Script(status=200, body=f'{{"choices": "{CANARIES["answer"]}"}}'),
        Script(status=200, body=f"<html>{PROVIDER_KEY}</html>"),
        Script(content=f"{CANARIES['answer']} more words", error_event_after=1, error=leak),
        *(Script(status=status, error=leak, headers=echo) for status in (400, 401, 403, 404, 429, 500, 503)),
        Script(status=400, body=f"key={PROVIDER_KEY}; prompt={CANARIES['prompt']}"),
    ]
    for model in ("m", "by-environment", "by-later"):
        for stream in (False, True):
            for script in scripts:
                upstream.script(script)
                answer = await gateway.http.post(
                    "/v1/chat/completions", json=body | {"model": model, "stream": stream}, headers=headers
                )
                seen.answer("client", answer)
    for bad in (
        {"model": "m", "messages": CANARIES["prompt"]},
        {"model": "m", "messages": [{"role": "user"}], "stream": CANARIES["prompt"]},
        {"model": "m", "messages": [], "max_tokens": CANARIES["prompt"]},
        {"model": "m" * 100, **body},
        {"messages": [CANARIES["prompt"]]},
    ):
        seen.answer("client", await gateway.http.post("/v1/chat/completions", json=bad, headers=headers))
    raw = f'{{"model": "m", "messages": [{{"content": "{prompt}", '.encode()
    for kind in ("application/json", f"text/{CANARIES['client header']}"):
        seen.answer(
            "client",
            await gateway.http.post("/v1/chat/completions", content=raw, headers=headers | {"content-type": kind}),
        )
    for key in (CANARIES["wrong API key"], f"sg_live_{CANARIES['wrong API key']}"):
        for carrier in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}):
            seen.answer("client", await gateway.http.post("/v1/chat/completions", json=body, headers=carrier))
    secret_query = {"key": CANARIES["query string"], "api_key": CANARIES["wrong API key"]}
    for path in ("/v1/models", "/v1/nothing", "/live", "/nothing"):
        seen.answer("client", await gateway.http.get(path, params=secret_query, headers=headers))
    talk = await Talk.open(gateway.port, body | {"model": "m"}, headers)
    talk.close()
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key}\r\ncontent-length: 900\r\n"
    writer.write(f"{head}\r\n{CANARIES['unfinished body']}".encode())
    writer.write_eof()
    await asyncio.sleep(0)
    writer.close()


async def administer(gateway: Daemon, upstream: FaultUpstream, seen: Seen) -> None:
    """Make what the conversations need, and ask for what is refused."""
    admin = gateway.admin
    await gateway.create(
        "credentials", id="by-environment", type="openai",
        source={"backend": "env", "variables": {"api_key": "PROVIDER_SECRET"}},
    )  # fmt: skip
    await gateway.create(
        "credentials",
        id="by-later",
        type="openai",
        source={"backend": "encrypted", "values": {"api_key": "first-of-all-keys"}},
    )
    later = {"source": {"values": {"api_key": CANARIES["provider key, sealed later"]}}}
    merge = {"content-type": "application/merge-patch+json"}
    seen.answer("admin", await admin.patch("/credentials/by-later", json=later, headers=merge))
    for name in ("by-environment", "by-later"):
        provider = {"id": name, "type": "openai", "base_url": upstream.base_url, "credential_id": name}
        headers = {"x-api-key": CANARIES["provider header"], "x-plain": "plain"}
        seen.answer("admin", await admin.post("/providers", json=provider | {"headers": headers}))
        await gateway.create("models", id=name, provider_id=name, provider_model="upstream-model")
    secret_header = {"headers": {"x-api-key": CANARIES["provider header"]}}
    seen.answer("admin", await admin.patch("/providers/p", json=secret_header, headers=merge))
    own = {"name": "own", "key": CANARIES["own API key"], "permissions": {"models": ["*"]}}
    seen.answer("admin", await admin.post("/api-keys", json=own))
    seen.answer("admin", await admin.post("/api-keys", json=own))
    again = {"idempotency-key": "one"}
    for _ in range(2):
        made = await admin.post("/api-keys", json={"name": "shown once"}, headers=again)
        seen.generated.append(made.json()["key"])
    renewed = await admin.post(f"/api-keys/{made.json()['id']}/rotate")
    seen.generated.append(renewed.json()["key"])
    bad = CANARIES["bad admin body"]
    url = f"http://user:{CANARIES['address']}@127.0.0.1/v1"
    for kind, body in (
        (
            "credentials",
            {"id": "x", "type": "openai", "source": {"backend": "encrypted", "values": {"api_key": [bad]}}},
        ),
        ("credentials", {"id": "x", "type": "openai", "source": {"backend": "encrypted", "values": bad}}),
        ("credentials", {"id": "x", "type": "openai", "source": {"backend": "encrypted", "value": {"api_key": bad}}}),
        ("credentials", {"id": "x", "type": "none", "source": {"backend": "none", "values": {"api_key": bad}}}),
        ("credentials", {"id": "x", "type": "openai", "source": bad}),
        (
            "credentials",
            {"id": "x", "type": "openai", "source": {"backend": "env", "variables": {"api_key": bad + "-"}}},
        ),
        ("credentials", {"id": "x", "type": "openai", "api_key": bad}),
        ("providers", {"id": "x", "type": "openai", "base_url": url}),
        ("providers", {"id": "x", "type": "openai", "proxy": url}),
        ("providers", {"id": "x", "type": "openai", "headers": {"authorization": bad + "\r\nx: y"}}),
        ("providers", {"id": "x", "type": "openai", "headers": {"authorization": [bad]}}),
        ("api-keys", {"name": "x", "key": bad + " ", "secret": bad}),
        ("api-keys", {"name": ["x"], "key": bad}),
    ):
        answer = seen.answer("admin", await admin.post(f"/{kind}", json=body))
        assert answer.status_code == 422, answer.text
    for content in (f'{{"source": "{bad}', f'["{bad}"]', f'"{bad}"', f'{{"a": "{bad}", "a": 1}}'):
        seen.answer(
            "admin", await admin.post("/credentials", content=content, headers={"content-type": "application/json"})
        )
    for authorization in (f"Bearer {CANARIES['wrong admin key']}", f"Basic {CANARIES['wrong admin key']}"):
        wrong = {"authorization": authorization, "cookie": f"a={CANARIES['client cookie']}"}
        seen.answer("admin", await admin.get("/models", headers=wrong))
    seen.answer("admin", await admin.get("/models", params={"token": bad}))


async def look_around(gateway: Daemon, seen: Seen) -> None:
    """Read whatever can be read."""
    for kind in ("credentials", "providers", "models", "api-keys"):
        listed = seen.answer("exports", await gateway.admin.get(f"/{kind}")).json()["data"]
        for one in listed:
            seen.answer("exports", await gateway.admin.get(f"/{kind}/{one['id']}"))
            versions = seen.answer("exports", await gateway.admin.get(f"/{kind}/{one['id']}/versions")).json()["data"]
            for version in versions:
                path = f"/{kind}/{one['id']}/versions/{version['version']}"
                seen.answer("exports", await gateway.admin.get(path))
    seen.answer("usage", await gateway.admin.get("/usage", params={"limit": 500}))
    for by in ("model,outcome,cause", "status,key_id", "request_id"):
        seen.answer("usage", await gateway.admin.get("/usage/summary", params={"by": by}))
    for path in ("/metrics", "/openapi.json", "/health/detailed", "/docs"):
        headers = {"authorization": f"Bearer {ADMIN_KEY}"}
        seen.answer(path, await gateway.http.get(path, headers=headers))


def files_of(data: Path) -> dict[str, bytes]:
    return {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*") if path.is_file()}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seen(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seen]:
    directory = tmp_path_factory.mktemp("gateway")
    environ = {"PROVIDER_SECRET": CANARIES["provider key, of the environment"], "LOG_LEVEL": "debug"}
    found = Seen()
    found.data = directory / "data"
    async with FaultUpstream() as upstream, daemon(directory, upstream, environ=environ, patience=2.0) as gateway:
        found.generated.append(gateway.key)
        await administer(gateway, upstream, found)
        await converse(gateway, upstream, found)
        await look_around(gateway, found)
        keys_that_arrived = {entry.headers.get("authorization", "") for entry in upstream.ledger}
        for name in ("provider key, sealed", "provider key, sealed later", "provider key, of the environment"):
            assert f"Bearer {CANARIES[name]}" in keys_that_arrived, "the secrets were really used"
        assert CANARIES["provider header"] in {entry.headers.get("x-api-key") for entry in upstream.ledger}
        assert any(CANARIES["prompt"].encode() in entry.body for entry in upstream.ledger)
        assert not any(
            CANARIES[name] in str(entry.headers)
            for name in ("client header", "client cookie", "own API key", "admin key")
            for entry in upstream.ledger
        ), "nothing of the client's head travels on"
        gateway.process.kill()
        for name, data in files_of(found.data).items():
            found.add(f"file {name}", data)
        found.add("logs", gateway.process.output())
        await gateway.restart()
        gateway.process.terminate()
        await asyncio.to_thread(gateway.process.wait)
        for name, data in files_of(found.data).items():
            found.add(f"file {name}", data)
        found.add("logs", gateway.process.output())
    found.places.pop("file first-api-key", None)
    yield found


async def test_nothing_is_found_where_it_has_no_business(seen: Seen) -> None:
    assert [] == seen.hits(but=SPOKEN)


async def test_the_search_would_find_them(seen: Seen) -> None:
    for place in (
        "client",
        "admin",
        "exports",
        "usage",
        "logs",
        "/metrics",
        "/openapi.json",
        "file sqlite/switchgear.db",
    ):
        assert len(seen.places[place]) > 100, place
    assert "canary13answer0words" in seen.places["client"].decode()
    assert b"request failed" in seen.places["logs"] or b'"level":"' in seen.places["logs"]
    other = Seen()
    other.add("here", json.dumps({"a": CANARIES["prompt"]}))
    other.add("there", base64.b64encode(b"xyz" + CANARIES["admin key"].encode()))
    assert [("here", "prompt"), ("there", "admin key")] == sorted(other.hits())


async def test_the_database_holds_only_hashes_and_seals(seen: Seen) -> None:
    with closing(sqlite3.connect(seen.data / "sqlite" / "switchgear.db")) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = str([row for name in tables for row in connection.execute(f'SELECT * FROM "{name}"')])
    assert "$sealed" in rows
    assert [] == [name for name, secret in CANARIES.items() if secret in rows]
