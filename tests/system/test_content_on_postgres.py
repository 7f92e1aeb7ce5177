"""Operations and webhooks on a PostgreSQL that several processes share: killed at random, each thing is done once."""

import asyncio
import base64
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support.daemon import Daemon, daemon
from support.faultup import FaultUpstream, Script
from support.gateway import Running, eventually, running
from support.postgres_server import new_database, postgres_url
from support.process import Child, switchgear
from support.web import Asked, Told, Web

pytestmark = pytest.mark.slow

HI = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
KEY = {"SWITCHGEAR_MASTER_KEY": base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()}
PLUGINS = """operations = {{ enabled = true, concurrency = {at_once}, tries = 20 }}
webhooks = {{ enabled = true, timeout = 2.0, retry = 0.05, retry_most = 0.2 }}
postgres = {{ enabled = true, url = "{url}" }}"""


@pytest.fixture
def url():
    with postgres_url() as server, new_database(server) as made:
        yield made


async def begin(run: Running) -> str:
    answer = await run.http.post("/v1/chat/completions?async=true", json=HI, headers=run.auth)
    assert 202 == answer.status_code, answer.text
    return answer.json()["id"]


async def states(run: Running, ids: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for place in range(0, len(ids), 100):
        asked = ",".join(ids[place : place + 100])
        answer = await run.http.get(f"/v1/operations?ids={asked}", headers=run.auth)
        found |= {it["id"]: it["status"] for it in answer.json()["data"]}
    return found


async def all_ended(run: Running, ids: list[str]) -> bool:
    found = await states(run, ids)
    return len(found) == len(ids) and set(found.values()) <= {"completed", "failed", "cancelled"}


async def test_operations_and_webhooks_work_as_on_the_other_store(
    tmp_path: Path, upstream: FaultUpstream, url: str
) -> None:
    async with (
        Web(lambda asked: Told(204, b"")) as web,
        running(tmp_path, upstream, store="", plugins=PLUGINS.format(at_once=4, url=url)) as run,
    ):
        await run.create("webhooks", id="h", url=f"{web.url}/", events=["operations.finished", "models.*"])
        headers = {**run.auth, "idempotency-key": "once"}
        path = "/v1/chat/completions?async=true"
        made = await asyncio.gather(*(run.http.post(path, json=HI, headers=headers) for _ in range(4)))
        assert 1 == len({it.json()["id"] for it in made})
        ids = [made[0].json()["id"], *[await begin(run) for _ in range(5)]]
        await eventually(lambda: all_ended(run, ids), within=20)
        upstream.script(Script(hang=True))
        hanging = await begin(run)
        await eventually(lambda: any(it.finish == "open" for it in upstream.ledger.entries), within=10)
        cancelled = await run.http.delete(f"/v1/operations/{hanging}", headers=run.auth)
        assert "cancelled" == cancelled.json()["status"]
        listed = await run.http.get("/v1/operations?limit=3", headers=run.auth)
        assert (3, True) == (len(listed.json()["data"]), listed.json()["has_more"])
        assert hanging == (await run.admin.get("/operations?status=cancelled")).json()["data"][0]["id"]
        await run.create("models", id="mine", provider_id="p", provider_model="x")
        told = {*ids, hanging, "mine"}
        await eventually(lambda: told <= {it.json["data"]["id"] for it in web.asked}, within=20)
        delivered = (await run.admin.get("/webhook-deliveries?webhook=h&state=delivered")).json()["data"]
        again = await run.act(f"/webhook-deliveries/{delivered[0]['id']}/redeliver")
        assert delivered[0]["event"] == again["event"]


async def test_of_several_workers_that_are_killed_none_loses_an_operation_or_an_event(
    tmp_path: Path, upstream: FaultUpstream, url: str
) -> None:
    chance = random.Random(20261130)
    upstream.default = Script(delay_ms=20)
    told: list[Asked] = []

    def answer(asked: Asked) -> Told:
        told.append(asked)
        return Told(204, b"")

    plugins = PLUGINS.format(at_once=0, url=url)
    async with Web(answer) as web, daemon(tmp_path, upstream, plugins=plugins, store="", environ=KEY) as run:
        await run.create("webhooks", id="h", url=f"{web.url}/", events=["operations.finished"])
        config = tmp_path / "worker.toml"
        config.write_text((tmp_path / "plugins.toml").read_text().replace("concurrency = 0", "concurrency = 4"))
        workers = [Worker(tmp_path, config, number) for number in range(2)]
        ids: list[str] = []
        try:
            for _ in range(6):
                ids += await asyncio.gather(*(begin(run) for _ in range(20)))
                await asyncio.sleep(chance.uniform(0.1, 1.0))
                chance.choice(workers).restart()
            await eventually(lambda: all_ended(run, ids), within=120)
            assert {"completed": len(ids)} == Counter((await states(run, ids)).values())
            await eventually(lambda: set(ids) <= {it.json["data"]["id"] for it in told}, within=60)
            by_event = {it.headers["webhook-id"]: it.json["data"]["id"] for it in told}
            assert len(by_event) == len(set(by_event.values())), "told again under the same id"
            await eventually(lambda: once_a_try(run, ids), within=30)
        finally:
            for worker in workers:
                worker.child.close()


async def once_a_try(run: Daemon, ids: list[str]) -> bool:
    labels = [it["labels"] for it in (await run.all_usage()).values() if "operation" in it["labels"]]
    tries = Counter((it["operation"], it["operation_try"]) for it in labels)
    return {1} == set(tries.values()) and set(ids) <= {it["operation"] for it in labels}


class Worker:
    """`switchgear worker` over a directory of its own."""

    def __init__(self, directory: Path, config: Path, number: int) -> None:
        data = directory / f"worker{number}"
        argv = [switchgear()[0], "worker", "--config", str(config), "--data-dir", str(data)]
        self.child = Child(argv, cwd=directory, env={**os.environ, **KEY})
        self.child.start()

    def restart(self) -> None:
        """Kill it and start it again."""
        self.child.close()
        self.child.start()
