"""Many who write the same thing at once: one wins, the others learn it, and a repeated request has one effect."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from support.daemon import Daemon, daemon
from support.gateway import Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
RACERS = 200
MODEL = {"provider_id": "echo", "provider_model": "echo"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with running(tmp_path_factory.mktemp("gateway")) as run:
        yield run


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replica(gateway: Running) -> AsyncIterator[Daemon]:
    """Another process over the same store."""
    directory = gateway.gateway.settings.data_path.parent
    async with daemon(directory) as run:
        yield run


async def race(*requests: "asyncio.Future[httpx.Response]") -> Counter[int]:
    """Let them all go at once; count the answers by status."""
    return Counter(answer.status_code for answer in await asyncio.gather(*requests))


async def test_of_two_hundred_who_create_one_thing_one_does(gateway: Running, replica: Daemon) -> None:
    admins = [gateway.admin, replica.admin]
    body = {"id": "wanted", **MODEL}
    found = await race(*(admins[n % 2].post("/models", json=body | {"tags": [str(n)]}) for n in range(RACERS)))
    assert Counter({201: 1, 409: RACERS - 1}) == found
    [shown] = {(await admin.get("/models/wanted")).text for admin in admins}
    assert '"version":1' in shown


async def test_a_secret_of_ones_own_is_one_keys_only(gateway: Running, replica: Daemon) -> None:
    admins = [gateway.admin, replica.admin]
    body = {"name": "own", "key": "a-secret-from-another-proxy"}
    assert Counter({201: 1, 409: 49}) == await race(*(admins[n % 2].post("/api-keys", json=body) for n in range(50)))


async def test_of_those_who_change_the_version_they_read_one_does(gateway: Running, replica: Daemon) -> None:
    admins = [gateway.admin, replica.admin]
    await gateway.create("models", id="changed", **MODEL)
    for version in (1, 2, 3):
        seen = {"if-match": f'"{version}"'}
        writes = (
            admins[n % 2].put("/models/changed", json=MODEL | {"tags": [f"{version}-{n}"]}, headers=seen)
            for n in range(40)
        )
        assert Counter({200: 1, 412: 39}) == await race(*writes)
    stale = await gateway.admin.patch(
        "/models/changed",
        json={"tags": []},
        headers={"if-match": '"1"', "content-type": "application/merge-patch+json"},
    )
    assert (412, "urn:switchgear:problem:stale") == (stale.status_code, stale.json()["type"])
    assert 412 == (await gateway.admin.delete("/models/changed", headers={"if-match": '"3"'})).status_code
    assert 204 == (await gateway.admin.delete("/models/changed", headers={"if-match": '"4"'})).status_code


async def test_a_repeated_request_has_one_effect_and_one_answer(gateway: Running, replica: Daemon) -> None:
    admins = [gateway.admin, replica.admin]
    once = {"idempotency-key": "so-that-it-happens-once"}
    body = {"name": "once"}
    posts = [admins[n % 2].post("/api-keys", json=body, headers=once) for n in range(50)]
    answers = await asyncio.gather(*posts)
    assert {201} == {answer.status_code for answer in answers}
    assert 1 == len({answer.text for answer in answers}), "the secret too is the same"
    assert 49 == sum(answer.headers.get("idempotency-replayed") == "true" for answer in answers)
    listed = (await gateway.admin.get("/api-keys", params={"name": "once"})).json()["data"]
    assert [answers[0].json()["id"]] == [key["id"] for key in listed]
    other = await gateway.admin.post("/api-keys", json={"name": "another"}, headers=once)
    assert (409, "urn:switchgear:problem:idempotency_key_reused") == (other.status_code, other.json()["type"])


async def test_a_repeated_request_after_a_crash_gets_the_answer_of_the_first(gateway: Running, replica: Daemon) -> None:
    once = {"idempotency-key": "across-a-crash"}
    first = await replica.admin.post("/api-keys", json={"name": "crash"}, headers=once)
    replica.process.kill()
    await replica.restart()
    for run in (replica, gateway):
        again = await run.admin.post("/api-keys", json={"name": "crash"}, headers=once)
        assert (201, first.text, "true") == (again.status_code, again.text, again.headers["idempotency-replayed"])


async def test_creating_and_deleting_at_once_leaves_one_state_on_all(gateway: Running, replica: Daemon) -> None:
    admins = [gateway.admin, replica.admin]
    writes = []
    for n in range(60):
        admin = admins[n % 2]
        writes.append(admin.delete("/models/blink") if n % 3 else admin.post("/models", json={"id": "blink", **MODEL}))
    found = await race(*writes)
    assert {201, 204, 404, 409} >= found.keys()
    assert found[201] - found[204] in (0, 1)
    states = {(await admin.get("/models/blink")).status_code for admin in admins}
    assert {200 if found[201] > found[204] else 404} == states
