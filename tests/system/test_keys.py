"""What is done to a key acts on its next request, and on the answers it is being given."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from support.faultup import FaultUpstream, Script
from support.gateway import ADMIN_KEY, Running, eventually, running
from support.http1 import request_bytes
from support.soak import usually
from support.talk import DONE, Talk, call
from switchgear.config import load
from switchgear.contracts.principal import operator
from switchgear.gateway import Gateway
from switchgear.resources.writer import Terms

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENDLESS = Script(chunks=500, chunk_delay_ms=20)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        up.register("endless", ENDLESS)
        up.register("silent", Script(hang=True))
        yield up


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: FaultUpstream) -> AsyncIterator[Running]:
    async with running(tmp_path_factory.mktemp("gateway"), upstream, gateway="failed_credentials = 0") as run:
        for name in ("endless", "silent"):
            await run.create("models", id=name, provider_id="p", provider_model=f"fault-{name}")
        yield run


async def act(gateway: Running, id: str, action: str, **body: object) -> dict[str, str]:
    return await gateway.act(f"/api-keys/{id}/{action}", **body)


async def patch(gateway: Running, id: str, **body: object) -> None:
    await gateway.patch(f"/api-keys/{id}", **body)


async def delete(gateway: Running, id: str) -> None:
    assert 204 == (await gateway.admin.delete(f"/api-keys/{id}")).status_code


async def ask(gateway: Running, secret: str, model: str = "echo") -> tuple[int, str | None]:
    """Call a model; return the status and the error's code."""
    talk = await call(gateway.port, secret, model=model, stream=False)
    return talk.answer.status, None if talk.answer.status == 200 else talk.error["code"]


@asynccontextmanager
async def streaming(gateway: Running, secret: str, model: str = "endless") -> AsyncIterator[Talk]:
    """Hold a stream open that has begun and will not end by itself."""
    with await Talk.begin(gateway.port, secret, model=model) as talk:
        await talk.begun()
        yield talk


async def assert_cut(gateway: Running, talk: Talk, code: str) -> None:
    """Check that a stream ends within a second as a client can understand, and is recorded so."""
    answer = await talk.end(within=1.0)
    assert (200, True) == (answer.status, answer.whole)
    assert DONE not in answer.body
    assert code == talk.error["code"]
    record = await gateway.usage_of(talk.request_id)
    assert ("policy_stop", True) == (record["outcome"], record["output_tokens"] > 0)


async def goes_on(talk: Talk) -> bool:
    """Say whether a stream still brings something."""
    before = len(talk.answer.body)
    await talk.until(b"", within=1)
    await eventually(talk._read, within=1)
    return len(talk.answer.body) > before and not talk.answer.whole


GONE = (401, "invalid_api_key")
HIDDEN = (404, "model_not_found")


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda g, key: act(g, key, "suspend"), GONE),
        (lambda g, key: act(g, key, "revoke"), GONE),
        (lambda g, key: act(g, key, "rotate"), GONE),
        (lambda g, key: patch(g, key, expires_at="2020-01-01T00:00:00Z"), GONE),
        (delete, GONE),
        (lambda g, key: patch(g, key, permissions={"models": ["m", "echo"]}), HIDDEN),
        (lambda g, key: patch(g, key, permissions={"models": []}), HIDDEN),
    ],
    ids=["suspend", "revoke", "rotate", "expire", "delete", "narrow", "nothing"],
)
async def test_what_a_key_may_no_longer_do_is_refused_and_cut(gateway: Running, upstream, change, refusal) -> None:
    id, secret = await gateway.new_key()
    async with streaming(gateway, secret) as cut, streaming(gateway, gateway.key) as other:
        called = len(upstream.ledger)
        await change(gateway, id)
        assert refusal == await ask(gateway, secret, "endless")
        await assert_cut(gateway, cut, refusal[1])
        assert called == len(upstream.ledger), "nobody called on its behalf"
        assert await goes_on(other)


async def test_the_upstream_call_of_a_cut_stream_is_aborted(gateway: Running, upstream: FaultUpstream) -> None:
    id, secret = await gateway.new_key()
    async with streaming(gateway, secret):
        entry = upstream.ledger.entries[-1]
        await act(gateway, id, "revoke")
        await eventually(lambda: entry.client_left_early, within=1)


async def test_a_call_that_waits_for_its_answer_is_refused(gateway: Running, upstream: FaultUpstream) -> None:
    id, secret = await gateway.new_key()
    called = len(upstream.ledger)
    for stream in (True, False):
        with await Talk.begin(gateway.port, secret, model="silent", stream=stream) as talk:
            await upstream.ledger.until(lambda ledger, due=called + 1 + (not stream): len(ledger) == due)
            await act(gateway, id, "suspend")
            answer = await talk.end(within=1)
            assert (401, "invalid_api_key") == (answer.status, talk.error["code"])
            record = await gateway.usage_of(talk.request_id)
            assert ("policy_stop", 401, "authentication_error") == (
                record["outcome"], record["status"], record["cause"],
            )  # fmt: skip
            await act(gateway, id, "activate")


async def test_narrowing_cuts_only_what_is_no_longer_permitted(gateway: Running) -> None:
    id, secret = await gateway.new_key()
    await gateway.create("models", id="endless2", provider_id="p", provider_model="fault-endless")
    async with streaming(gateway, secret) as kept, streaming(gateway, secret, "endless2") as cut:
        await patch(gateway, id, permissions={"models": ["endless"]})
        await assert_cut(gateway, cut, "model_not_found")
        assert await goes_on(kept)
        assert (200, "model_not_found") == (
            (await call(gateway.port, secret, model="endless", max_tokens=1)).answer.status,
            (await ask(gateway, secret))[1],
        )


async def test_what_does_not_concern_a_stream_leaves_it_alone(gateway: Running) -> None:
    id, secret = await gateway.new_key()
    async with streaming(gateway, secret) as talk:
        await patch(gateway, id, name="renamed", tags=["a"], limits={"requests_per_minute": 1000})
        await patch(gateway, id, permissions={"models": ["endless"]})
        assert await goes_on(talk)


async def test_a_suspended_key_is_good_again_once_activated(gateway: Running) -> None:
    id, secret = await gateway.new_key()
    for _ in range(3):
        await act(gateway, id, "suspend")
        assert GONE == await ask(gateway, secret)
        await act(gateway, id, "activate")
        assert (200, None) == await ask(gateway, secret)


async def test_a_rotated_key_with_an_overlap_has_two_secrets_until_it_ends(gateway: Running) -> None:
    id, old = await gateway.new_key()
    async with streaming(gateway, old) as begun_with_old:
        new = (await act(gateway, id, "rotate", overlap_seconds=600))["key"]
        assert [(200, None)] * 2 == [await ask(gateway, secret) for secret in (old, new)]
        assert await goes_on(begun_with_old)
        async with streaming(gateway, new) as begun_with_new:
            newest = (await act(gateway, id, "rotate", overlap_seconds=1))["key"]
            await assert_cut(gateway, begun_with_old, "invalid_api_key")
            assert await goes_on(begun_with_new)
            assert [GONE, (200, None)] == [await ask(gateway, secret) for secret in (old, newest)]

            async def over() -> bool:
                return GONE == await ask(gateway, new)

            await eventually(over, within=3)


async def test_a_key_expires_on_time(gateway: Running) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=1)
    _, secret = await gateway.new_key(expires_at=expires_at.isoformat())
    while True:
        sent_at = datetime.now(UTC)
        answered = await ask(gateway, secret)
        if answered == GONE:
            assert datetime.now(UTC) >= expires_at
            return
        assert (200, None) == answered
        assert sent_at < expires_at


async def test_a_body_still_on_its_way_when_the_key_is_revoked_is_refused(gateway: Running, upstream) -> None:
    id, secret = await gateway.new_key()
    assert (200, None) == await ask(gateway, secret)
    body = {"model": "endless", "messages": [{"role": "user", "content": "x" * 300}], "stream": True}
    request = request_bytes(body, headers={"authorization": f"Bearer {secret}"})
    with Talk(*await asyncio.open_connection("127.0.0.1", gateway.port)) as talk:
        await talk.send(request[:-200])
        metrics = gateway.gateway.kernel.metrics
        assert metrics.expose()  # a turn of the loop or two, so that the head is read
        await ask(gateway, gateway.key)
        called = len(upstream.ledger)
        await act(gateway, id, "revoke")
        await talk.send(request[-200:])
        answer = await talk.end(within=1)
        assert (401, "invalid_api_key") == (answer.status, talk.error["code"])
        assert called == len(upstream.ledger)


async def test_a_revocation_by_another_replica_cuts_within_a_second(gateway: Running) -> None:
    id, secret = await gateway.new_key()
    data = gateway.gateway.settings.data_path
    other = Gateway(
        load(data.parent / "plugins.toml", environ={"ADMIN_KEY": ADMIN_KEY, "SWITCHGEAR__GATEWAY__DATA_DIR": str(data)})
    )
    await other.start()
    try:
        async with streaming(gateway, secret) as talk:
            await other.resources.act("api-keys", id, "revoke", None, Terms(operator("another")))
            await assert_cut(gateway, talk, "invalid_api_key")
            assert GONE == await ask(gateway, secret)
    finally:
        await other.stop()


@pytest.mark.soak
async def test_no_revoked_key_comes_back(gateway: Running) -> None:
    """Twenty keys at a time are revoked in the midst of their calls."""
    revoked: list[str] = []

    async def live_and_die() -> None:
        id, secret = await gateway.new_key()
        over = asyncio.Event()

        async def keep_calling() -> None:
            while not over.is_set():
                assert await ask(gateway, secret) in ((200, None), GONE)

        async with asyncio.TaskGroup() as callers:
            callers.create_task(keep_calling())
            talks = [await Talk.begin(gateway.port, secret, model="endless") for _ in range(2)]
            await talks[0].begun()
            await act(gateway, id, "revoke")
            over.set()
            revoked.append(secret)
            assert [GONE] * 3 == [await ask(gateway, secret) for _ in range(3)]
            for talk in talks:
                await talk.end(within=5)
                assert (False, "invalid_api_key") == (talk.complete, talk.error["code"])

    for _ in range(usually(1, soak=15)):
        async with asyncio.TaskGroup() as lives:
            for _ in range(20):
                lives.create_task(live_and_die())
    assert {GONE} == {await ask(gateway, secret) for secret in revoked}
    await eventually(lambda: gateway.gateway.exchanges_in_flight == 0)


async def test_keys_are_found_by_the_beginning_of_their_name_whatever_else_is_asked(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [(await gateway.new_key(name=f"Find {n}"))[0] for n in range(5)]
    await act(gateway, ids[4], "suspend")

    async def found(query: str) -> list[str]:
        data: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = (await gateway.admin.get(f"/api-keys?{query}{cursor and '&cursor=' + cursor}")).json()
            data += [it["id"] for it in page["data"]]
            cursor = page["next_cursor"]
        return data

    assert ids == await found("prefix=find")
    monkeypatch.setattr("switchgear.resources.engine.MAX_PAGE", 2)
    assert ids[4:] == await found("prefix=find&status=suspended"), "it is not among the first names"
    assert ids[3:4] == await found("prefix=find&q=Find 3")
