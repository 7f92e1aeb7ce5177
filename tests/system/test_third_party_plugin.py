"""A plugin of a distribution of its own, installed by pip into an environment of its own, works like a builtin."""

import asyncio
import json
import re
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from support.environments import CHECKOUT, Environment

pytestmark = pytest.mark.slow
ADMIN = {"authorization": "Bearer the-admin-key"}
WORDS = {"heard": 1, "said": 2}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment(tmp_path_factory.mktemp("environment"))
    made.install(CHECKOUT, CHECKOUT / "contrib" / "example-provider")
    return made


@asynccontextmanager
async def talking() -> AsyncIterator[tuple[str, list[dict]]]:
    """Serve the example's made-up wire; give the URL and what it heard."""
    heard: list[dict] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
        heard.append(json.loads(await reader.readexactly(length)))
        body = json.dumps({"says": "Hello there", "ended": "complete", "words": WORDS}).encode()
        if heard[-1].get("live"):
            pieces = [{"says": "Hello "}, {"says": "there"}, {"ended": "complete", "words": WORDS}]
            body = b"".join(b"data: %b\n\n" % json.dumps(piece).encode() for piece in pieces)
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heard


@asynccontextmanager
async def serving(environment: Environment, directory: Path) -> AsyncIterator[str]:
    """Serve from the environment; give the URL."""
    flags = ("--port", "0", "--data-dir", str(directory / "data"))
    environ = {"ADMIN_KEY": "the-admin-key", "SWITCHGEAR__GATEWAY__EGRESS__ALLOW": '["127.0.0.0/8"]'}
    program = str(environment.bin / "switchgear")
    process = await asyncio.create_subprocess_exec(program, "serve", *flags, cwd=directory, env=environ, stdout=PIPE)
    try:
        async with asyncio.timeout(30):
            line = (await process.stdout.readline()).decode()
        yield re.search(r"http://[\d.:]+", line)[0]
    finally:
        process.terminate()
        async with asyncio.timeout(30):
            await process.wait()


def test_its_plugin_is_listed_under_its_own_distribution_and_switched_on(environment: Environment, tmp_path: Path):
    def listed() -> dict:
        rows = json.loads(environment.run("switchgear", "plugins", "list", "--json", cwd=tmp_path))["plugins"]
        return next(row for row in rows if row["name"] == "example")

    found = {
        "name": "example",
        "distribution": "switchgear-example-provider",
        "version": "1.0.0",
        "waiting": [],
        "warnings": [],
    }
    assert {**found, "enabled": False, "brings": {}} == listed()
    environment.run("switchgear", "plugins", "enable", "example", cwd=tmp_path)
    environment.run("switchgear", "config", "check", cwd=tmp_path)
    assert {**found, "enabled": True, "brings": {"providers": ["example"]}} == listed()


async def test_its_model_answers_whole_and_as_a_stream(environment: Environment, tmp_path: Path):
    environment.run("switchgear", "plugins", "enable", "example", cwd=tmp_path)
    async with (
        talking() as (upstream, heard),
        serving(environment, tmp_path) as url,
        httpx.AsyncClient(base_url=url) as http,
    ):
        provider = {"id": "p", "type": "example", "base_url": upstream, "settings": {"accent": "north"}}
        model = {"id": "m", "provider_id": "p", "provider_model": "voice-1"}
        for kind, body in (("providers", provider), ("models", model)):
            made = await http.post(f"/admin/v1/{kind}", json=body, headers=ADMIN)
            assert 201 == made.status_code, made.text
        made = await http.post(
            "/admin/v1/api-keys", json={"name": "k", "permissions": {"models": ["*"]}}, headers=ADMIN
        )
        key = {"authorization": f"Bearer {made.json()['key']}"}
        chat = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
        whole = (await http.post("/v1/chat/completions", json=chat, headers=key)).json()
        assert "Hello there" == whole["choices"][0]["message"]["content"]
        assert 3 == whole["usage"]["total_tokens"]
        stream = await http.post("/v1/chat/completions", json=chat | {"stream": True}, headers=key)
        events = [line.removeprefix("data: ") for line in stream.text.splitlines() if line]
        assert "[DONE]" == events.pop()
        deltas = [choice["delta"].get("content", "") for event in events for choice in json.loads(event)["choices"]]
        assert "Hello there" == "".join(deltas)
    said = {"voice": "voice-1", "lines": [{"who": "user", "says": "Hi"}], "accent": "north"}
    assert [said, {**said, "live": True}] == heard


def test_a_new_plugin_is_written_installed_and_passes_its_tests(environment: Environment, tmp_path: Path):
    environment.run("switchgear", "plugins", "new", "mine", cwd=tmp_path)
    environment.install(tmp_path / "switchgear-mine")
    assert "passed" in environment.run("switchgear", "plugins", "test", "mine", cwd=tmp_path)
    environment.run("switchgear", "plugins", "enable", "mine", cwd=tmp_path)
    assert "mine" in environment.run("switchgear", "config", "check", cwd=tmp_path)


def test_without_its_distribution_the_gateway_refuses_to_boot_and_says_why(tmp_path: Path):
    environment = Environment(tmp_path / "environment")
    environment.install(CHECKOUT, CHECKOUT / "contrib" / "example-provider")
    environment.run("switchgear", "plugins", "enable", "example", cwd=tmp_path)
    environment.pip("uninstall", "--yes", "switchgear-example-provider")
    for command in (("config", "check"), ("serve", "--port", "0", "--data-dir", str(tmp_path / "data"))):
        words = environment.refusal("switchgear", *command, cwd=tmp_path)
        assert "plugins.toml:" in words
        assert "no installed distribution brings a plugin `example`" in words
    assert not (tmp_path / "data").exists()
    environment.run("switchgear", "plugins", "disable", "example", cwd=tmp_path)
    environment.run("switchgear", "config", "check", cwd=tmp_path)
