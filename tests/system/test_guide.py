"""The chapters of the plugin guide are true: their plugins run in a gateway, their tests pass, their vendor is served."""

import ast
import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import websockets
from click.testing import CliRunner
from openai import OpenAI

from support.distributions import Site, installed
from support.environments import CHECKOUT, Environment
from support.gateway import Running, eventually, running
from support.guide import CHAPTERS, DOCS, blocks, files, write
from support.process import Server
from switchgear.cli import main

PAGES = sorted([*DOCS.glob("*.md"), *CHAPTERS.glob("*.md")])
WITH_PLUGINS = [page for page in PAGES if page.parent == CHAPTERS and page.stem != "provider" and files(page)]
MOST_LINES = 100


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_code_can_be_parsed(page: Path) -> None:
    for language, text in blocks(page):
        if language == "python":
            ast.parse(text)
        if language == "json" and not text.startswith("//"):
            json.loads(text)


def test_every_chapter_is_in_the_guide() -> None:
    guide = (DOCS / "plugins.md").read_text()
    assert [] == [page.name for page in CHAPTERS.glob("*.md") if f"plugins/{page.name}" not in guide]


@pytest.mark.slow
def test_the_tests_in_the_chapters_pass(tmp_path: Path) -> None:
    for page in WITH_PLUGINS:
        write(page, tmp_path)
    assert list(tmp_path.glob("test_*.py"))
    flags = ("-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--import-mode=importlib", "-o", "asyncio_mode=auto")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *flags, str(tmp_path)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert 0 == done.returncode, done.stdout
    assert "skipped" not in done.stdout


@pytest.fixture
def site(tmp_path: Path) -> AsyncIterator[Site]:
    with installed(tmp_path / "site") as found:
        yield found


def add(site: Site, chapter: str) -> list[str]:
    """Install the plugins of a chapter; return their names."""
    page = CHAPTERS / f"{chapter}.md"
    write(page, site.root)
    names = []
    for name, text in files(page).items():
        if name.endswith(".py") and not name.startswith("test"):
            module = name.removesuffix(".py")
            [plugin] = re.findall(r"^class (\w+)\(Plugin\[", text, re.MULTILINE)
            site.add(f"guide-{module}", {module: plugin}, text, module=module)
            names.append(module)
    return names


@asynccontextmanager
async def chapter(site: Site, tmp_path: Path, name: str) -> AsyncIterator[Running]:
    plugins = "\n".join(f"{it} = {{ enabled = true }}" for it in add(site, name))
    async with running(tmp_path, plugins=plugins) as run:
        yield run


def said(answer: httpx.Response) -> str:
    assert 200 == answer.status_code, answer.text
    return answer.json()["choices"][0]["message"]["content"]


async def test_policies(site: Site, tmp_path: Path) -> None:
    async with chapter(site, tmp_path, "policies") as run:
        assert "Call ###." == said(await run.chat("Call 555.", model="echo"))
        streamed = (await run.chat("Call 555.", model="echo", stream=True)).text
        assert "#" in streamed
        assert "5" not in "".join(re.findall(r'"content":"([^"]*)"', streamed))
        refused = await run.chat("Hi", model="echo", max_tokens=1001)
        assert (400, "too_long") == (refused.status_code, refused.json()["error"]["code"])
        assert "house" in {record["labels"].get("rules") for record in await run.usage()}


async def test_counters(site: Site, tmp_path: Path) -> None:
    async with chapter(site, tmp_path, "counters") as run:
        answers = await asyncio.gather(*(run.chat("Hi", model="echo") for _ in range(8)))
        assert {200, 429} >= {it.status_code for it in answers}
        assert 200 == (await run.chat("Hi", model="echo")).status_code, "what was held is given back"


async def test_credentials(site: Site, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("sk-of-a-file\n")
    async with chapter(site, tmp_path, "credentials") as run:
        source = {"backend": "file_secrets", "files": {"api_key": str(tmp_path / "secret")}}
        await run.create("credentials", id="f", type="openai", source=source)
        shown = (await run.admin.get("/credentials/f")).text
        assert "sk-of-a-file" not in shown


async def test_dialects(site: Site, tmp_path: Path) -> None:
    async with chapter(site, tmp_path, "dialects") as run:
        assert {"pong": True} == (await run.http.get("/polls/ping")).json()
        asked = {"question": "Tea?", "models": ["echo"]}
        assert {"echo": "Tea?"} == (await run.http.post("/polls", json=asked, headers=run.auth)).json()
        assert 401 == (await run.http.post("/polls", json=asked)).status_code
        assert {"forgot": "p1"} == (await run.http.delete("/polls/p1", headers=run.auth)).json()
        wrong = await run.http.post("/polls", json={"question": 1}, headers=run.auth)
        assert (400, {"problem", "message"}) == (wrong.status_code, set(wrong.json()))
        assert {"poll", "chat"} <= {record["operation"] for record in await run.usage()}
        url = run.url.replace("http", "ws") + "/polls/live"
        async with websockets.connect(url, additional_headers=run.auth) as socket:
            await socket.send("there?")
            assert "there?" == await socket.recv()


async def test_kinds(site: Site, tmp_path: Path) -> None:
    async with chapter(site, tmp_path, "kinds") as run:
        made = await run.create("tenants", id="acme", title="Acme", webhook_secret="s3cret-s3cret", model="echo")
        assert "s3cret-s3cret" not in json.dumps(made)
        nobody = await run.admin.post("/tenants", json={"id": "b", "title": "B", "webhook_secret": "x", "model": "no"})
        assert 400 <= nobody.status_code < 500
        assert (
            422 == (await run.admin.post("/tenants", json={"id": "c", "title": " ", "webhook_secret": "x"})).status_code
        )
        assert (await run.act("/tenants/acme/suspend"))["suspended"]
        await run.chat("Hi", model="echo")
        assert "Acme" in {record["labels"].get("tenant") for record in await run.usage()}


async def test_records(site: Site, tmp_path: Path) -> None:
    async with chapter(site, tmp_path, "records") as run:
        assert 404 == (await run.chat("Hi", model="nobody")).status_code
        file = tmp_path / "data" / "refusals" / "refusals.jsonl"
        await eventually(lambda: file.exists() and "nobody" in file.read_text(), within=20.0)


async def test_tables(site: Site, tmp_path: Path) -> None:
    async with chapter(site, tmp_path, "tables") as run:
        await run.create("models", id="twice", provider_id="echo", provider_model="echo")
        await run.patch("/models/twice", provider_model="other")

        async def counted() -> bool:
            return 2 == (await run.admin.get("/change-counts")).json().get("twice")

        await eventually(counted, within=20.0)


async def test_pages(site: Site, tmp_path: Path) -> None:
    async with chapter(site, tmp_path, "pages") as run:
        [page] = [it for it in (await run.admin.get("/pages")).json()["data"] if it["plugin"] == "models_page"]
        assert ("glance", "Resources") == (page["slug"], page["group"])
        text = (await run.http.get(page["module"])).text
        kit = (Path(__file__).parents[2] / "plugins/switchgear_plugins/ui/assets/kit.js").read_text()
        assert 'from "../ui/kit.js"' in text
        assert "export const page =" in kit


async def test_commands(site: Site, tmp_path: Path) -> None:
    async with chapter(site, tmp_path, "commands") as run:
        [page] = [it for it in (await run.admin.get("/pages")).json()["data"] if it["plugin"] == "counting"]
        assert "export async function show" in (await run.http.get(page["module"])).text
    words = [
        "--config",
        str(tmp_path / "plugins.toml"),
        "count-resources",
        "--data-dir",
        str(tmp_path / "data"),
        "--json",
    ]
    done = await asyncio.to_thread(CliRunner().invoke, main, words)
    assert {"kind": "models", "count": 1} == json.loads(done.stdout), done.output


async def test_authority(site: Site, tmp_path: Path) -> None:
    async with chapter(site, tmp_path, "authority") as run:
        guest = {"authorization": "Bearer come-in"}
        body = {"model": "echo", "messages": [{"role": "user", "content": "Hi"}]}
        assert "Hi" == said(await run.http.post("/v1/chat/completions", json=body, headers=guest))
        assert 200 == (await run.http.get("/admin/v1/models", headers=guest)).status_code
        assert 403 == (await run.http.get("/admin/v1/providers", headers=guest)).status_code


async def test_offers(site: Site, tmp_path: Path) -> None:
    async with chapter(site, tmp_path, "offers") as run:
        [reports] = [it.plugin for it in run.gateway.kernel.plugins if it.installed.name == "reports"]
        assert ["1;b"] == reports.report("csv", [{"a": 1, "b": "b"}])
        await run.chat("Hi there", model="echo")
        assert all(record["cost_microusd"] for record in await run.usage())


@asynccontextmanager
async def acme() -> AsyncIterator[str]:
    """Serve the vendor of the guide: it says what it was told, and that it costs."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked = json.loads(await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head)[1])))
        assert b"Bearer sk-acme" in head
        text, end = asked["turns"][-1]["text"], {"why": "done", "cost": {"in": 2, "out": 3}}
        if asked["live"]:
            pieces = [{"say": word} for word in re.findall(r"\S+\s*", text)]
            body = b"".join(b"data: %b\n\n" % json.dumps(it).encode() for it in [*pieces, end]) + b"data: [DONE]\n\n"
        else:
            body = json.dumps({"say": text, **end}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.slow
async def test_from_an_empty_directory_to_a_streamed_answer(tmp_path: Path) -> None:
    page = CHAPTERS / "provider.md"
    own = [line for text in files(page).values() for line in text.splitlines() if line.strip()]
    assert len(own) <= MOST_LINES, "what the author writes"
    made = await asyncio.to_thread(Environment, tmp_path / "venv")
    await asyncio.to_thread(made.install, CHECKOUT)
    made.run("switchgear", "plugins", "new", "acme", cwd=tmp_path)
    project = tmp_path / "switchgear-acme"
    for golden in (project / "tests" / "exchanges").glob("*.json"):
        golden.unlink()
    write(page, project)
    await asyncio.to_thread(made.install, project)
    flags = ("-q", "-p", "no:xdist", "-p", "no:cacheprovider")
    await asyncio.to_thread(written, [made.bin / "python", "-m", "pytest", *flags, project], tmp_path)
    assert "passed" in made.run("python", "-m", "pytest", *flags, str(project), cwd=tmp_path)
    golden = json.loads((project / "tests" / "exchanges" / "text.json").read_text())
    assert ["seed"] == golden["dropped"]
    made.run("switchgear", "plugins", "enable", "acme", cwd=tmp_path)
    async with acme() as vendor:
        await asyncio.to_thread(ask, made, tmp_path, vendor)


def written(command: list[Path | str], directory: Path) -> None:
    """Have the golden exchanges written; the tests of those that were not there yet fail once."""
    environ = {"SWITCHGEAR_GOLDEN": "write"}
    subprocess.run(command, cwd=directory, env=environ, capture_output=True, check=False, timeout=120)


def ask(made: Environment, directory: Path, vendor: str) -> None:
    """Serve, provision, and ask with OpenAI's SDK."""
    program = str(made.bin / "switchgear")
    argv = [program, "serve", "--host", "127.0.0.1", "--port", "{port}", "--data-dir", str(directory / "data")]
    environ = {"ADMIN_KEY": "the-admin-key", "SWITCHGEAR__GATEWAY__EGRESS__ALLOW": '["127.0.0.0/8"]'}
    with Server(argv, env=environ, cwd=directory) as server:
        server.wait_ready()
        admin = {"authorization": "Bearer the-admin-key"}
        with httpx.Client(base_url=f"{server.url}/admin/v1", headers=admin, timeout=60) as http:
            source = {"backend": "encrypted", "values": {"api_key": "sk-acme"}}
            for kind, body in (
                ("credentials", {"id": "acme", "type": "acme", "source": source}),
                ("providers", {"id": "acme", "type": "acme", "base_url": vendor, "credential_id": "acme"}),
                ("models", {"id": "acme-large", "provider_id": "acme", "provider_model": "large"}),
            ):
                assert 201 == http.post(f"/{kind}", json=body).status_code
            key = http.post("/api-keys", json={"name": "k", "permissions": {"models": ["acme-large"]}}).json()["key"]
        client = OpenAI(base_url=f"{server.url}/v1", api_key=key)
        asked = {"model": "acme-large", "messages": [{"role": "user", "content": "Hello from nowhere"}]}
        chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
        assert "Hello from nowhere" == "".join(it.choices[0].delta.content or "" for it in chunks if it.choices)
        assert 3 < len(chunks)
        assert 5 == chunks[-1].usage.total_tokens
        assert "Hello from nowhere" == client.chat.completions.create(**asked).choices[0].message.content
        server.terminate()
        assert 0 == server.wait(), server.output()
