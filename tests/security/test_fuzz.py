"""Whatever comes in is answered, and not by a failure of the gateway's own. Seeds are in `corpus/`: add what broke something."""

import asyncio
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.faultup import FaultUpstream
from support.gateway import SOURCE, Running, running
from support.mutate import corpus, mutations
from switchgear.errors import ConfigError
from switchgear_plugins.gitops.files import Allowed, read_files

HERE = Path(__file__).parent / "corpus"
ROUNDS = int(os.environ.get("SWITCHGEAR_FUZZ", "12" if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else "6"))
V1, ADMIN, EDGE, FILES = (corpus(HERE / part) for part in ("v1", "admin", "edge", "files"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
async def gateway(tmp_path: Path, upstream: FaultUpstream) -> Any:
    async with running(tmp_path, upstream) as run:
        await run.create("credentials", id="a", type="anthropic", source=SOURCE)
        url = upstream.base_url.removesuffix("/v1")
        await run.create("providers", id="a", type="anthropic", base_url=url, credential_id="a")
        await run.create("models", id="claude", provider_id="a", provider_model="claude-sonnet-4-5")
        yield run


async def is_alive(gateway: Running) -> None:
    assert 200 == (await gateway.http.get("/live")).status_code
    assert 200 == (await gateway.chat(model="echo")).status_code
    assert [] == await gateway.usage(outcome="error")
    assert 0 == gateway.gateway.exchanges_in_flight


@pytest.mark.parametrize("model", ["echo", "m", "claude"])
async def test_calls(gateway: Running, model: str) -> None:
    for seed, data in V1.items():
        path = f"/v1/{Path(seed).parent.as_posix()}"
        for body in mutations(data.replace(b"MODEL", model.encode()), ROUNDS, len(model)):
            headers = {**gateway.auth, "content-type": "application/json"}
            answer = await gateway.http.post(path, content=body, headers=headers)
            assert answer.status_code not in (405, 500), body
            assert b"internal_error" not in answer.content, body
    await is_alive(gateway)


async def test_the_admin_side(gateway: Running) -> None:
    for seed, data in ADMIN.items():
        kind = Path(seed).parent.as_posix()
        is_kind = kind not in ("explain", "targets/reset")
        ways = [("POST", f"/{kind}"), ("PUT", f"/{kind}/fuzzed"), ("PATCH", f"/{kind}/fuzzed")]
        for turn, body in enumerate(mutations(data.replace(b"ID", b"fuzzed"), 3 * ROUNDS, 1)):
            for method, path in ways if is_kind else ways[:1]:
                merge = "application/merge-patch+json" if method == "PATCH" else "application/json"
                answer = await gateway.admin.request(method, path, content=body, headers={"content-type": merge})
                assert answer.status_code < 500, (method, body, answer.text)
            if is_kind and turn % 4 == 3:
                await gateway.admin.delete(f"/{kind}/fuzzed")
        if is_kind:
            assert 200 == (await gateway.admin.get(f"/{kind}")).status_code
    await is_alive(gateway)


async def test_the_wire(gateway: Running) -> None:
    failures: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))

    async def talk(data: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        try:
            writer.write(data)
            writer.write_eof()
            async with asyncio.timeout(10):
                answers = await reader.read(-1)
        except ConnectionError:
            return
        finally:
            writer.transport.abort()
        assert b"HTTP/1.1 500" not in answers, data
        assert answers == b"" or answers.startswith(b"HTTP/1.1 "), data

    for seed in EDGE.values():
        for data in mutations(seed.replace(b"KEY", gateway.key.encode()), 6 * ROUNDS, 2):
            await talk(data)
    assert [] == failures
    await is_alive(gateway)


async def test_files(gateway: Running, tmp_path: Path) -> None:
    """They are read, or what is wrong with them is said, at once and without a word of what they hold."""
    kinds = gateway.gateway._system._resources.kinds
    folder = tmp_path / "resources"
    folder.mkdir()
    (folder / "key.txt").write_text("sk-secret-of-a-file")
    allowed = Allowed(environ={"A_KEY": "sk-secret-of-a-variable"})
    for seed, data in FILES.items():
        for number, text in enumerate(mutations(data, 12 * ROUNDS, 3)):
            file = folder / f"{number}{Path(seed).suffix}"
            file.write_bytes(text)
            said = ""
            try:
                read_files([file], kinds, allowed=allowed)
            except ConfigError as error:
                said = str(error)
            assert "sk-secret" not in said
            file.unlink()


async def test_many_at_once(gateway: Running) -> None:
    """What one does to its own call, it does to no other."""
    bodies = [
        body
        for number, seed in enumerate(V1.values())
        for body in mutations(seed.replace(b"MODEL", b"echo"), max(ROUNDS // 3, 1), number)
    ]

    async def ask(body: bytes) -> httpx.Response:
        return await gateway.http.post("/v1/chat/completions", content=body, headers=gateway.auth)

    good = [asyncio.create_task(gateway.chat(model="echo", content=f"number {number}")) for number in range(40)]
    answers = await asyncio.gather(*map(ask, bodies))
    assert 500 not in {answer.status_code for answer in answers}
    for number, answer in enumerate(await asyncio.gather(*good)):
        assert f"number {number}" == answer.json()["choices"][0]["message"]["content"]
    await is_alive(gateway)
