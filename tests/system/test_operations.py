"""Calls that are answered later: `?async=true`, asked for by its id, cancelled, and there after a kill."""

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.daemon import Daemon, daemon
from support.faultup import FaultUpstream, Script
from support.gateway import Running, eventually, running
from support.process import Child, switchgear

ENABLED = "operations = { enabled = true, concurrency = 8 }"
HI = {"role": "user", "content": "Hi"}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "m", "messages": [HI]},
    "/v1/completions": {"model": "m", "prompt": "Hi"},
    "/v1/embeddings": {"model": "e", "input": "Hi"},
    "/v1/messages": {"model": "m", "max_tokens": 9, "messages": [HI]},
    "/v1/responses": {"model": "m", "input": "Hi"},
}


@pytest.fixture
async def gateway(tmp_path, upstream: FaultUpstream):
    async with running(tmp_path, upstream, plugins=ENABLED) as run:
        await run.create("models", id="e", provider_id="p", provider_model="text-embedding-3-small")
        yield run


async def begin(run: Running, path: str = "/v1/chat/completions", headers: Any = None, **body: Any) -> dict[str, Any]:
    answer = await run.http.post(
        f"{path}?async=true", json={**BODIES[path], **body}, headers={**run.auth, **(headers or {})}
    )
    assert 202 == answer.status_code, answer.text
    made = answer.json()
    assert f"/v1/operations/{made['operation_id']}" == answer.headers["location"]
    return made


async def read(run: Running, id: str, auth: Any = None) -> httpx.Response:
    return await run.http.get(f"/v1/operations/{id}", headers=auth or run.auth)


async def ended(run: Running, id: str, within: float = 10.0) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found = (await read(run, id)).json()
        return found if "ended_at" in found else None

    return await eventually(look, within=within)


@pytest.mark.parametrize("path", BODIES)
async def test_an_operation_comes_to_what_the_call_would_have_been_answered(gateway: Running, path: str) -> None:
    made = await begin(gateway, path)
    assert made["status"] in ("pending", "running", "completed")
    done = await ended(gateway, made["operation_id"])
    assert ("completed", 200, path) == (done["status"], done["status_code"], done["endpoint"])
    now = await gateway.http.post(path, json=BODIES[path], headers=gateway.auth)
    assert now.json().keys() == done["result"].keys()
    record = await gateway.usage_of(done["request_id"])
    assert {"operation": done["id"], "operation_try": "1"} == record["labels"]


async def test_what_a_provider_refuses_is_the_operations_error(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(status=400))
    done = await ended(gateway, (await begin(gateway))["id"])
    assert ("failed", 400, "invalid_request_error") == (done["status"], done["status_code"], done["error"]["type"])


@pytest.mark.parametrize("value", ["true", "True", "TRUE"])
async def test_only_async_true_is_meant(gateway: Running, value: str) -> None:
    path = "/v1/chat/completions"
    assert (
        202
        == (await gateway.http.post(f"{path}?x=1&async={value}", json=BODIES[path], headers=gateway.auth)).status_code
    )
    for query in ("async=false", "async=", "notasync=true", "beta=true"):
        answer = await gateway.http.post(f"{path}?{query}", json=BODIES[path], headers=gateway.auth)
        assert 200 == answer.status_code
    refused = await gateway.http.post(f"{path}?async=1", json=BODIES[path], headers=gateway.auth)
    assert (400, "async") == (refused.status_code, refused.json()["error"]["param"])


async def test_what_is_no_request_is_refused_at_once(gateway: Running) -> None:
    path = "/v1/chat/completions?async=true"
    assert 401 == (await gateway.http.post(path, json={})).status_code
    assert 400 == (await gateway.http.post(path, content=b"[]", headers=gateway.auth)).status_code
    assert 400 == (await gateway.http.post(path, json={"model": 7}, headers=gateway.auth)).status_code
    unknown = await gateway.http.post(path, json={"model": "nope"}, headers=gateway.auth)
    assert (404, "model_not_found") == (unknown.status_code, unknown.json()["error"]["code"])
    assert (
        404
        == (await gateway.http.post("/v1/workflows/x/execute?async=true", json={}, headers=gateway.auth)).status_code
    )


async def test_cancelling_gives_up_what_is_asked_of_the_provider(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(hang=True))
    id = (await begin(gateway))["id"]
    [entry] = await eventually(lambda: list(upstream.ledger.entries))
    cancelled = await gateway.http.delete(f"/v1/operations/{id}", headers=gateway.auth)
    assert (200, "cancelled") == (cancelled.status_code, cancelled.json()["status"])
    await eventually(lambda: entry.client_left_early)
    again = await gateway.http.delete(f"/v1/operations/{id}", headers=gateway.auth)
    assert (200, "cancelled") == (again.status_code, again.json()["status"])
    done = await ended(gateway, (await begin(gateway))["id"])
    assert 409 == (await gateway.http.delete(f"/v1/operations/{done['id']}", headers=gateway.auth)).status_code
    assert 1 == len([it for it in upstream.ledger.entries if it.client_left_early])


async def test_nobody_reaches_somebody_elses(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(hang=True))
    mine = (await begin(gateway))["id"]
    _, other = await gateway.new_key()
    theirs = {"authorization": f"Bearer {other}"}
    nothing = await read(gateway, "op-00000000-0000-0000-0000-000000000000", theirs)
    for answer in (
        await read(gateway, mine, theirs),
        await gateway.http.delete(f"/v1/operations/{mine}", headers=theirs),
    ):
        assert (404, "operation_not_found") == (answer.status_code, answer.json()["error"]["code"])
        assert (
            nothing.json()["error"]["message"].replace(nothing.url.path[15:], mine) == answer.json()["error"]["message"]
        )
    for query in (f"?ids={mine}", "", "?limit=100"):
        listed = await gateway.http.get(f"/v1/operations{query}", headers=theirs)
        assert [] == listed.json()["data"]
    assert 404 == (await gateway.http.get(f"/v1/operations?after={mine}", headers=theirs)).status_code
    assert 401 == (await gateway.http.get(f"/v1/operations/{mine}")).status_code
    assert "running" == (await read(gateway, mine)).json()["status"]


async def test_operations_are_listed_newest_first_and_by_their_ids(gateway: Running) -> None:
    ids = [(await begin(gateway))["id"] for _ in range(5)]
    first = (await gateway.http.get("/v1/operations?limit=3", headers=gateway.auth)).json()
    assert (ids[:1:-1], True) == ([it["id"] for it in first["data"]], first["has_more"])
    rest = (await gateway.http.get(f"/v1/operations?limit=3&after={ids[2]}", headers=gateway.auth)).json()
    assert (ids[1::-1], False) == ([it["id"] for it in rest["data"]], rest["has_more"])
    wanted = [ids[3], "op-nope", ids[0], ids[3]]
    some = (await gateway.http.get(f"/v1/operations?ids={','.join(wanted)}", headers=gateway.auth)).json()
    assert [ids[3], ids[0]] == [it["id"] for it in some["data"]]


async def test_an_idempotency_key_makes_one_operation(gateway: Running, upstream: FaultUpstream) -> None:
    key = {"idempotency-key": "once"}
    made = await asyncio.gather(*(begin(gateway, headers=key) for _ in range(8)))
    assert 1 == len({it["id"] for it in made})
    await ended(gateway, made[0]["id"])
    assert made[0]["id"] == (await begin(gateway, headers=key))["id"]
    assert 1 == len(upstream.ledger.entries)
    other = await gateway.http.post(
        "/v1/chat/completions?async=true", json={"model": "m", "messages": []}, headers={**gateway.auth, **key}
    )
    assert (409, "idempotency_key_reused") == (other.status_code, other.json()["error"]["code"])
    _, gateway.key = await gateway.new_key()
    assert made[0]["id"] != (await begin(gateway, headers=key))["id"]


async def test_operations_wait_for_their_keys_limits_instead_of_failing(gateway: Running) -> None:
    _, gateway.key = await gateway.new_key(limits={"concurrent_requests": 1})
    ids = [(await begin(gateway))["id"] for _ in range(6)]
    found = [await ended(gateway, id, within=30) for id in ids]
    assert ["completed"] * 6 == [it["status"] for it in found]


async def test_the_operations_of_a_key_that_was_revoked_come_to_nothing(tmp_path, upstream: FaultUpstream) -> None:
    async with running(tmp_path, upstream, plugins="operations = { enabled = true, concurrency = 1 }") as run:
        upstream.script(Script(hang=True))
        other = (await begin(run))["id"]
        await eventually(lambda: list(upstream.ledger.entries))
        mine = dict(run.auth)
        id, run.key = await run.new_key()
        waiting = (await begin(run))["id"]
        await run.act(f"/api-keys/{id}/revoke")
        await run.http.delete(f"/v1/operations/{other}", headers=mine)

        async def failed() -> Any:
            found = (await run.admin.get(f"/operations/{waiting}")).json()
            return found if found["status"] == "failed" else None

        assert "invalid_api_key" == (await eventually(failed))["error"]["code"]
        assert 1 == len(upstream.ledger.entries)


async def test_too_many_of_one_principal_are_refused(tmp_path, upstream: FaultUpstream) -> None:
    async with running(
        tmp_path, upstream, plugins="operations = { enabled = true, concurrency = 0, most_pending = 2 }"
    ) as run:
        for _ in range(2):
            assert "pending" == (await begin(run))["status"]
        answer = await run.http.post(
            "/v1/chat/completions?async=true", json=BODIES["/v1/chat/completions"], headers=run.auth
        )
        assert (429, "too_many_operations") == (answer.status_code, answer.json()["error"]["code"])


async def test_what_has_expired_is_not_there(tmp_path, upstream: FaultUpstream) -> None:
    async with running(tmp_path, upstream, plugins="operations = { enabled = true, keep_s = 1 }") as run:
        id = (await begin(run))["id"]
        await eventually(lambda: gone(run, id), within=10)


async def gone(run: Running, id: str) -> bool:
    return (await read(run, id)).status_code == 404


async def test_operators_see_and_cancel_everybodys(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(hang=True))
    id = (await begin(gateway))["id"]
    await eventually(lambda: list(upstream.ledger.entries))
    [shown] = (await gateway.admin.get("/operations?status=running")).json()["data"]
    assert (id, "running") == (shown["id"], shown["status"])
    assert "cancelled" == (await gateway.act(f"/operations/{id}/cancel"))["status"]
    assert 409 == (await gateway.admin.post(f"/operations/{id}/cancel")).status_code
    assert [] == (await gateway.admin.get("/operations?status=running")).json()["data"]


async def test_another_process_does_what_this_one_takes(tmp_path: Path, upstream: FaultUpstream) -> None:
    taking = "operations = { enabled = true, concurrency = 0 }"
    async with daemon(tmp_path, upstream, plugins=taking) as run:
        id = (await begin(run))["id"]
        config = tmp_path / "worker.toml"
        config.write_text((tmp_path / "plugins.toml").read_text().replace("concurrency = 0", "concurrency = 4"))
        argv = [switchgear()[0], "worker", "--config", str(config), "--data-dir", str(tmp_path / "data")]
        worker = Child(argv, cwd=tmp_path)
        worker.start()
        try:
            assert "completed" == (await ended(run, id, within=30))["status"]
        finally:
            worker.close()


@pytest.mark.slow
async def test_after_kills_at_random_moments_every_accepted_operation_has_ended_once(
    tmp_path: Path, upstream: FaultUpstream
) -> None:
    chance = random.Random(20261130)
    upstream.default = Script(delay_ms=20)
    accepted: list[str] = []
    plugins = "operations = { enabled = true, concurrency = 4, tries = 20 }"
    async with daemon(tmp_path, upstream, plugins=plugins) as run:
        for _ in range(8):
            await flood(run, accepted, chance)
            run.process.kill()
            await run.restart()
        states = {id: (await ended(run, id, within=120))["status"] for id in accepted}
        assert {"completed": len(accepted)} == Counter(states.values())
        records = (await run.all_usage()).values()
        tries = Counter(
            (it["labels"]["operation"], it["labels"]["operation_try"]) for it in records if "operation" in it["labels"]
        )
        assert {1} == set(tries.values()), "one try is recorded once, and what was begun twice says so"


async def flood(run: Daemon, accepted: list[str], chance: random.Random) -> None:
    """Have operations taken until a random moment comes."""

    async def take() -> None:
        while True:
            accepted.append((await begin(run))["id"])

    tasks = [asyncio.create_task(take()) for _ in range(3)]
    await asyncio.sleep(chance.uniform(0.02, 0.4))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
