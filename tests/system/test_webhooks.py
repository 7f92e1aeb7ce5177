"""Webhooks: what happens is told, signed, to whoever wants it, until it is taken; over kills too, and to nobody inside."""

import asyncio
import base64
import hashlib
import hmac
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.daemon import daemon
from support.faultup import FaultUpstream
from support.gateway import Running, eventually, running
from support.web import Asked, Told, Web
from switchgear.contracts.event import Event
from switchgear_plugins.webhooks.signing import signed_headers

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
ENABLED = (
    "webhooks = { enabled = true, timeout = 1.0, retry = 0.05, retry_most = 0.2 }\noperations = { enabled = true }"
)


class Receiver:
    """Takes what it is sent. `status` is what it answers."""

    def __init__(self) -> None:
        self.web = Web(self.answer)
        self.status = 204
        self.headers: dict[str, str] = {}

    def answer(self, asked: Asked) -> Told:
        return Told(self.status, b"noted", self.headers)

    @property
    def names(self) -> list[str]:
        return [it.json["type"] for it in self.web.asked]

    @property
    def url(self) -> str:
        return f"{self.web.url}/hook"


@pytest.fixture
async def receiver():
    made = Receiver()
    async with made.web:
        yield made


@pytest.fixture
async def gateway(tmp_path, upstream: FaultUpstream):
    async with running(tmp_path, upstream, plugins=ENABLED) as run:
        yield run


async def hook(run: Running, url: str, *events: str, id: str = "h", **members: Any) -> dict[str, Any]:
    return await run.create("webhooks", id=id, url=url, events=list(events), **{"secret": SECRET, **members})


def is_signed(asked: Asked, secret: str = SECRET) -> bool:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    said = f"{asked.headers['webhook-id']}.{asked.headers['webhook-timestamp']}.".encode() + asked.body
    expected = base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode()
    return f"v1,{expected}" == asked.headers["webhook-signature"]


async def deliveries(run: Running, **filters: str) -> list[dict[str, Any]]:
    return (await run.admin.get("/webhook-deliveries", params=filters)).json()["data"]


def test_the_signature_is_that_of_the_specification() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")  # the example of github.com/standard-webhooks
    body = b'{"test": 2432232314}'
    made = signed_headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" == made["webhook-signature"]
    with pytest.raises(ValueError, match="without a secret"):
        signed_headers(b"", "m", 1, b"")


async def test_changes_of_resources_are_told_to_who_wants_them(gateway: Running, receiver: Receiver) -> None:
    await hook(gateway, receiver.url, "models.*", "api-keys.created", "api-keys.suspended", "api-keys.revoked")
    await gateway.create("models", id="mine", provider_id="echo", provider_model="x")
    await gateway.patch("/models/mine", enabled=False)
    await gateway.admin.delete("/models/mine")
    id, _ = await gateway.new_key()
    await gateway.act(f"/api-keys/{id}/suspend")
    await gateway.act(f"/api-keys/{id}/revoke")
    expected = ["models.created", "models.changed", "models.deleted"]
    expected += ["api-keys.created", "api-keys.suspended", "api-keys.revoked"]
    await eventually(lambda: not Counter(expected) - Counter(receiver.names), within=15)
    once = {it.headers["webhook-id"]: it.json["type"] for it in receiver.web.asked}  # a slow answer has it sent again
    assert Counter(expected) == Counter(once.values())
    assert all(is_signed(it) for it in receiver.web.asked)
    told = {it.json["type"]: it.json["data"] for it in receiver.web.asked}
    assert ("mine", 1) == (told["models.created"]["id"], told["models.created"]["version"])
    assert id == told["api-keys.revoked"]["id"]


async def test_events_of_plugins_are_told(gateway: Running, receiver: Receiver) -> None:
    await hook(gateway, receiver.url, "operations.finished", "targets.*")
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    made = await gateway.http.post("/v1/chat/completions?async=true", json=body, headers=gateway.auth)
    gateway.gateway.kernel.events.emit(Event("targets.opened", 1, {"provider": "p"}))
    gateway.gateway.kernel.events.emit(Event("event_loop.blocked", 1, {}))
    await eventually(lambda: len(receiver.names) >= 2)
    assert {"operations.finished", "targets.opened"} == set(receiver.names)
    [done] = [it.json["data"] for it in receiver.web.asked if it.json["type"] == "operations.finished"]
    assert (made.json()["id"], "completed") == (done["id"], done["status"])


async def test_what_is_not_taken_is_sent_again_under_its_id_and_dies_in_the_end(
    gateway: Running, receiver: Receiver
) -> None:
    receiver.status = 503
    await hook(gateway, receiver.url, "models.created", retries=3)
    await gateway.create("models", id="mine", provider_id="echo", provider_model="x")
    [dead] = await eventually(lambda: deliveries(gateway, state="dead"))
    assert (4, 503, "noted", "models.created") == (dead["tries"], dead["status"], dead["answer"], dead["name"])
    assert 1 == len({it.headers["webhook-id"] for it in receiver.web.asked})
    assert 4 == len(receiver.web.asked)
    receiver.status = 200
    again = await gateway.act(f"/webhook-deliveries/{dead['id']}/redeliver")
    assert (dead["id"], "pending") == (again["again_of"], again["state"])
    await eventually(lambda: deliveries(gateway, state="delivered"))
    assert 1 == len({it.headers["webhook-id"] for it in receiver.web.asked})
    shown = (await gateway.admin.get(f"/webhook-deliveries/{dead['id']}")).json()
    assert ("dead", "models.created") == (shown["state"], shown["body"]["type"])


async def test_a_receiver_that_is_gone_is_not_asked_again(gateway: Running, receiver: Receiver) -> None:
    receiver.status = 410
    await hook(gateway, receiver.url, "models.created")
    await gateway.create("models", id="mine", provider_id="echo", provider_model="x")
    [dead] = await eventually(lambda: deliveries(gateway, state="dead"))
    assert (1, 410) == (dead["tries"], dead["status"])


async def test_redirects_are_not_followed(gateway: Running, receiver: Receiver) -> None:
    receiver.status = 307
    receiver.headers = {"location": f"{receiver.web.url}/elsewhere"}
    await hook(gateway, receiver.url, "models.created", retries=0)
    await gateway.create("models", id="mine", provider_id="echo", provider_model="x")
    await eventually(lambda: deliveries(gateway, state="dead"))
    assert ["/hook"] == [it.path for it in receiver.web.asked]


async def test_a_receiver_that_is_slow_delays_nobody_else(gateway: Running, receiver: Receiver) -> None:
    silent = await asyncio.start_server(lambda reader, writer: asyncio.sleep(60), "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        await hook(gateway, f"http://127.0.0.1:{port}/", "models.created", id="slow", retries=0)
        await hook(gateway, receiver.url, "models.created", id="quick")
        for number in range(20):
            await gateway.create("models", id=f"n{number}", provider_id="echo", provider_model="x")
        await eventually(lambda: len(receiver.names) >= 20)
        assert [] == await deliveries(gateway, webhook="slow", state="delivered")
        assert len(await deliveries(gateway, webhook="slow", state="dead")) < 20
        await gateway.admin.delete("/webhooks/slow")
        await eventually(lambda: all_dead(gateway), within=15)


async def all_dead(run: Running) -> bool:
    return {"dead"} == {it["state"] for it in await deliveries(run, webhook="slow")}


async def test_a_test_event_is_sent_at_once_and_its_outcome_shown(gateway: Running, receiver: Receiver) -> None:
    await hook(gateway, receiver.url, "models.created", enabled=False)
    good = await gateway.act("/webhooks/h/test")
    assert ("delivered", 204, "webhooks.test") == (good["state"], good["status"], good["body"]["type"])
    assert is_signed(receiver.web.asked[0])
    receiver.status = 500
    bad = await gateway.act("/webhooks/h/test")
    assert ("dead", 500) == (bad["state"], bad["status"])
    assert 404 == (await gateway.admin.post("/webhooks/nope/test")).status_code


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"secret": ""}, "/secret"),
        ({"secret": "whsec_"}, "/secret"),
        ({"secret": "whsec_c2hvcnQ="}, "/secret"),
        ({"secret": "x" * 40}, "/secret"),
        ({"url": "ftp://example.com/"}, "/url"),
        ({"url": "https://user:word@example.com/"}, "/url"),
        ({"url": "https:///x"}, "/url"),
        ({"events": []}, "/events"),
        ({"events": ["operations.finishd"]}, "/events/0"),
        ({"events": ["nothing"]}, "/events/0"),
    ],
)
async def test_a_webhook_that_cannot_work_is_refused(gateway: Running, members: dict[str, Any], pointer: str) -> None:
    body = {"id": "h", "url": "https://example.com/", "events": ["models.created"], "secret": SECRET, **members}
    answer = await gateway.admin.post("/webhooks", json=body)
    assert 422 == answer.status_code, answer.text
    assert pointer in {it["pointer"] for it in answer.json()["errors"]}


async def test_a_secret_is_made_shown_once_and_used(gateway: Running, receiver: Receiver) -> None:
    made = await gateway.create("webhooks", id="h", url=receiver.url, events=["models.created"])
    assert made["secret"].startswith("whsec_")
    shown = (await gateway.admin.get("/webhooks/h")).json()
    assert made["secret"] != shown["secret"]
    await gateway.patch("/webhooks/h", description="kept")
    await gateway.act("/webhooks/h/test")
    assert is_signed(receiver.web.asked[0], made["secret"])


INSIDE = [
    "http://169.254.169.254/latest/meta-data/",
    "http://[::1]:80/",
    "http://10.0.0.1/",
    "http://192.168.1.1/",
    "http://172.16.0.1/",
    "http://0.0.0.0/",
    "http://[fd00::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://100.64.0.1/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://metadata.google.internal/",
    "http://localhost/",
    "http://127.0.0.1/",
]


async def test_nobody_inside_is_reached(tmp_path) -> None:
    async with running(tmp_path, plugins=ENABLED, environ={"SWITCHGEAR__GATEWAY__EGRESS__ALLOW": "[]"}) as run:
        for number, url in enumerate(INSIDE):
            answer = await run.admin.post(
                "/webhooks", json={"id": f"h{number}", "url": url, "events": ["models.created"]}
            )
            if answer.status_code != 422:
                tried = await run.act(f"/webhooks/h{number}/test")
                assert ("dead", None) == (tried["state"], tried["status"]), tried


async def test_the_list_of_events_has_those_of_kernel_and_plugins(gateway: Running) -> None:
    names = {it["name"] for it in (await gateway.admin.get("/webhook-events")).json()["data"]}
    assert {
        "KIND.changed",
        "targets.opened",
        "credentials.failing",
        "operations.finished",
        "api-keys.expiring",
    } <= names


async def test_keys_that_will_end_are_told_of_once(gateway: Running, receiver: Receiver) -> None:
    await hook(gateway, receiver.url, "api-keys.expiring")
    await gateway.new_key(expires_at="2999-01-01T00:00:00Z")
    soon = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    id, _ = await gateway.new_key(expires_at=soon)
    follower = next(it.plugin for it in gateway.gateway.kernel.plugins if it.installed.name == "webhooks").follower
    for _ in range(2):
        await follower.expiring()
    await eventually(lambda: receiver.names)
    assert [id] == [it.json["data"]["id"] for it in receiver.web.asked]


@pytest.mark.slow
async def test_after_kills_every_change_has_been_told_and_nothing_after_its_death(
    tmp_path: Path, receiver: Receiver
) -> None:
    chance = random.Random(7)
    plugins = "webhooks = { enabled = true, timeout = 1.0, retry = 0.05, retry_most = 0.2 }"
    async with daemon(tmp_path, plugins=plugins) as run:
        await hook(run, receiver.url, "models.created")
        made: list[str] = []
        for _ in range(8):
            task = asyncio.create_task(make_models(run, made))
            await asyncio.sleep(chance.uniform(0.05, 0.5))
            run.process.kill()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await run.restart()
        await eventually(lambda: set(made) <= {it.json["data"]["id"] for it in receiver.web.asked}, within=60)
        by_id = {it.json["data"]["id"]: it.headers["webhook-id"] for it in receiver.web.asked}
        assert len(by_id) == len({it.headers["webhook-id"] for it in receiver.web.asked})


async def make_models(run: Running, made: list[str]) -> None:
    while True:
        id = f"k{len(made)}-{random.getrandbits(40):x}"
        await run.create("models", id=id, provider_id="echo", provider_model="x")
        made.append(id)
