"""Configuration that changes under load drops nothing: what runs keeps what it began with, what is new is new at once."""

import asyncio
import json
import os
import random
import signal
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import pytest
import pytest_asyncio
import trustme

from support.daemon import Daemon, daemon
from support.faultup import FaultUpstream, Script
from support.gateway import ADMIN_KEY, PROVIDER_KEY, Running, eventually, running
from support.process import switchgear
from support.soak import usually
from support.talk import Talk, call

pytestmark = pytest.mark.asyncio(loop_scope="module")
CLIENTS = 20


class Load:
    """Clients that stream and call without pause. `found` counts what their calls came to, by model."""

    def __init__(self, gateway: Running, *models: str) -> None:
        self.found: Counter[tuple[str, int, str]] = Counter()
        self._gateway = gateway
        self._models = models
        self._over = asyncio.Event()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        for number in range(CLIENTS):
            model = self._models[number % len(self._models)]
            group.create_task(self._keep_calling(model, stream=number % 4 < 2))
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._over.set()
        await self._stack.__aexit__(*failure)  # type: ignore[arg-type]

    async def _keep_calling(self, model: str, *, stream: bool) -> None:
        while not self._over.is_set():
            talk = await call(self._gateway.port, self._gateway.key, model=model, stream=stream)
            said = "" if talk.complete else str(talk.error["code"])
            self.found[model, talk.answer.status, said] += 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstreams() -> AsyncIterator[list[FaultUpstream]]:
    async with FaultUpstream() as first, FaultUpstream(seed=1) as second:
        for up in (first, second):
            up.default = Script(chunks=10, chunk_delay_ms=5)
            up.register("long", Script(chunks=60, chunk_delay_ms=20))
        yield [first, second]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, upstreams: list[FaultUpstream]) -> AsyncIterator[Running]:
    async with running(tmp_path_factory.mktemp("gateway"), upstreams[0]) as run:
        for name in ("steady", "toggled"):
            await run.create("models", id=name, provider_id="p", provider_model="x")
        await run.create("models", id="long", provider_id="p", provider_model="fault-long")
        yield run


async def change(gateway: Running, upstreams: list[FaultUpstream], number: int) -> None:
    """Make one of many changes."""
    chance = random.Random(number)
    source = {"backend": "encrypted", "values": {"api_key": PROVIDER_KEY}}
    match number % 8:
        case 0:
            await gateway.patch("/models/toggled", enabled=False)
        case 1:
            await gateway.patch("/models/toggled", enabled=True)
        case 2:
            await gateway.patch("/models/steady", config={"temperature": chance.random()})
        case 3:
            await gateway.move(chance.choice(upstreams).base_url)
        case 4:
            model = {"provider_id": "p", "provider_model": f"x-{number}", "tags": [str(number)]}
            assert 200 == (await gateway.admin.put("/models/steady", json=model)).status_code
        case 5:
            await gateway.patch("/credentials/c", source=source, metadata={"n": str(number)})
        case 6:
            await gateway.create("models", id=f"made-{number}", provider_id="p", provider_model="x")
            assert 200 == (await call(gateway.port, gateway.key, model=f"made-{number}")).answer.status
        case 7:
            assert 204 == (await gateway.admin.delete(f"/models/made-{number - 1}")).status_code
            assert 404 == (await call(gateway.port, gateway.key, model=f"made-{number - 1}")).answer.status


@pytest.mark.soak
async def test_changes_under_load_fail_nothing(gateway: Running, upstreams: list[FaultUpstream]) -> None:
    async with Load(gateway, "steady", "toggled", "m") as load:
        for number in range(usually(40, soak=200)):
            await change(gateway, upstreams, number)
    found = load.found
    assert {("steady", 200, ""), ("m", 200, ""), ("toggled", 200, ""), ("toggled", 404, "model_not_found")} == set(
        found
    )
    assert min(found.values()) >= 5, found
    summary = (await gateway.admin.get("/usage/summary", params={"by": "outcome"})).json()["data"]
    outcomes = {group["group"]["outcome"]: group["requests"] for group in summary}
    assert {"complete", "rejected"} == outcomes.keys()
    assert outcomes["complete"] == sum(len(up.ledger) for up in upstreams)
    assert all(len(up.ledger) for up in upstreams)
    for up in upstreams:
        assert {"complete"} == {entry.finish for entry in up.ledger}
    assert {f"Bearer {PROVIDER_KEY}"} == {entry.headers["authorization"] for up in upstreams for entry in up.ledger}


async def test_a_changed_provider_keeps_its_connections(gateway: Running, upstreams: list[FaultUpstream]) -> None:
    await gateway.move(upstreams[0].base_url)
    before = upstreams[0].connections_ever
    async with Load(gateway, "steady", "m"):
        for number in range(20):
            await gateway.patch("/providers/p", metadata={"n": str(number)})
            await gateway.patch("/credentials/c", metadata={"n": str(number)})
    assert upstreams[0].connections_ever <= before + CLIENTS


async def test_a_stream_outlives_all_it_came_from(gateway: Running, upstreams: list[FaultUpstream]) -> None:
    await gateway.move(upstreams[0].base_url)
    with await Talk.begin(gateway.port, gateway.key, model="long") as talk:
        await talk.begun()
        upstream_key = {"backend": "encrypted", "values": {"api_key": "sk-another-key-0123456789"}}
        await gateway.create("providers", id="other", type="openai", base_url=upstreams[1].base_url)
        await gateway.patch("/models/long", provider_id="other", enabled=False)
        await gateway.move(upstreams[1].base_url, enabled=False)
        await gateway.patch("/credentials/c", source=upstream_key)
        assert 204 == (await gateway.admin.delete("/models/long")).status_code
        assert 404 == (await call(gateway.port, gateway.key, model="long")).answer.status
        await talk.end()
        assert talk.complete
        assert 60 == sum(
            bool(json.loads(line[6:])["choices"][0]["delta"].get("content"))
            for line in talk.answer.body.decode().splitlines()
            if line.startswith('data: {"') and json.loads(line[6:])["choices"]
        )
    await gateway.move(upstreams[0].base_url, enabled=True)
    await gateway.patch("/credentials/c", source={"backend": "encrypted", "values": {"api_key": PROVIDER_KEY}})


async def test_a_bad_change_is_refused_and_the_old_stays(gateway: Running) -> None:
    merge = {"content-type": "application/merge-patch+json"}
    before = {path: (await gateway.admin.get(path)).text for path in ("/providers/p", "/models/m", "/credentials/c")}
    async with Load(gateway, "m", "steady") as load:
        for path, patch in (
            ("/providers/p", {"type": "none"}),
            ("/providers/p", {"base_url": "file:///etc/passwd"}),
            ("/providers/p", {"credential_id": "absent"}),
            ("/providers/p", {"ca_bundle": "/absent.pem"}),
            ("/providers/p", {"timeouts": {"total": "x"}}),
            ("/models/m", {"provider_id": "absent"}),
            ("/models/m", {"colour": "red"}),
            ("/models/m", {"config": {"temperature": "hot"}}),
            ("/credentials/c", {"source": {"backend": "none"}}),
        ):
            answer = await gateway.admin.patch(path, json=patch, headers=merge)
            assert 422 == answer.status_code, (path, patch, answer.text)
        for path in ("/providers/p", "/credentials/c"):
            assert 409 == (await gateway.admin.delete(path)).status_code, "it is in use"
    assert {("m", 200, ""), ("steady", 200, "")} == set(load.found)
    assert before == {path: (await gateway.admin.get(path)).text for path in before}


@pytest_asyncio.fixture(loop_scope="module")
async def replica(gateway: Running) -> AsyncIterator[Daemon]:
    async with daemon(gateway.gateway.settings.data_path.parent) as run:
        yield run


async def test_what_another_process_writes_is_seen_within_a_second(gateway: Running, replica: Daemon) -> None:
    clock = asyncio.get_running_loop().time
    longest = 0.0

    async def until(status: int) -> None:
        nonlocal longest
        wrote = clock()

        async def so() -> bool:
            return status == (await call(gateway.port, gateway.key, model="elsewhere")).answer.status

        await eventually(so, within=1.5)
        longest = max(longest, clock() - wrote)

    for _ in range(3):
        await replica.create("models", id="elsewhere", provider_id="echo", provider_model="echo")
        await until(200)
        await replica.patch("/models/elsewhere", enabled=False)
        await until(404)
        assert 204 == (await replica.admin.delete("/models/elsewhere")).status_code
    assert longest < 1.0


async def keys_command(gateway: Running, *arguments: str) -> str:
    """Run `switchgear keys` on the gateway's data; return what it printed."""
    argv = [switchgear()[0], "keys", *arguments, "--data-dir", str(gateway.gateway.settings.data_path)]
    process = await asyncio.create_subprocess_exec(*argv, stdout=PIPE, cwd=gateway.gateway.settings.data_path.parent)
    printed, _ = await process.communicate()
    assert 0 == process.returncode
    return printed.decode()


async def test_a_key_made_on_the_command_line_is_good_at_once(gateway: Running) -> None:
    key = json.loads(await keys_command(gateway, "create", "by-hand", "--json"))
    assert 200 == (await call(gateway.port, key["key"], model="echo")).answer.status
    await keys_command(gateway, "revoke", key["id"])

    async def refused() -> bool:
        return 401 == (await call(gateway.port, key["key"], model="echo")).answer.status

    await eventually(refused, within=1.0)


async def test_a_provider_that_no_longer_compiles_keeps_nobody_else_from_starting(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(bundle)
    async with daemon(tmp_path) as gateway:
        await gateway.create(
            "providers", id="private", type="openai", base_url="https://10.0.0.1", ca_bundle=str(bundle)
        )
        await gateway.create("models", id="inner", provider_id="private", provider_model="x")
        bundle.unlink()
        await gateway.restart()
        assert 200 == (await call(gateway.port, gateway.key, model="echo")).answer.status
        assert 503 == (await call(gateway.port, gateway.key, model="inner")).answer.status
        assert 503 == (await call(gateway.port, gateway.key, model="private/any")).answer.status
        assert 404 == (await call(gateway.port, gateway.key, model="nobody")).answer.status
        admin = {"authorization": f"Bearer {ADMIN_KEY}"}
        broken = (await gateway.http.get("/health/detailed", headers=admin)).json()["broken_resources"]
        assert {("providers", "private"), ("models", "inner")} == {(one["kind"], one["id"]) for one in broken}
        assert str(bundle) in str(broken)
        trustme.CA().cert_pem.write_to_path(bundle)
        answer = (await gateway.http.post("/admin/v1/config/reload", headers=admin)).json()
        assert [] == answer["refused"]
        assert "egress_denied" in (await call(gateway.port, gateway.key, model="inner")).answer.body.decode()


async def test_what_failed_at_the_start_is_tried_again_on_a_hangup(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(bundle)
    async with daemon(tmp_path) as gateway:
        members = {"type": "openai", "base_url": "https://10.0.0.1", "ca_bundle": str(bundle)}
        await gateway.create("providers", id="private", **members)
        bundle.unlink()
        await gateway.restart()
        assert 503 == (await call(gateway.port, gateway.key, model="private/x")).answer.status
        trustme.CA().cert_pem.write_to_path(bundle)
        os.kill(gateway.process.pid, signal.SIGHUP)

        async def is_asked() -> bool:
            return 502 == (await call(gateway.port, gateway.key, model="private/x")).answer.status

        await eventually(is_asked, within=5.0)
