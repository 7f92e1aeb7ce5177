"""A key's limits over HTTP: exact under any rush, told to the client, and every slot comes back."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from support.faultup import FaultUpstream, Script
from support.gateway import Running, eventually, running
from support.ports import free_port
from support.talk import Talk, call

pytestmark = pytest.mark.asyncio(loop_scope="module")
SLOW = {"endless", "silent", "slow"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        up.register("endless", Script(chunks=500, chunk_delay_ms=20))
        up.register("silent", Script(hang=True))
        yield up


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: FaultUpstream) -> AsyncIterator[Running]:
    async with running(tmp_path_factory.mktemp("gateway"), upstream, first_byte=1.0, idle=1.0) as run:
        for name in upstream.named:
            await run.create("models", id=name, provider_id="p", provider_model=f"fault-{name}")
        yield run


async def limited(gateway: Running, **limits: int) -> tuple[str, str]:
    return await gateway.new_key(limits=limits)


async def status(gateway: Running, secret: str, model: str = "echo", **members: object) -> int:
    return (await call(gateway.port, secret, model=model, **members)).answer.status


async def test_the_sdk_is_told_when_to_come_back(gateway: Running, upstream: FaultUpstream) -> None:
    _, secret = await limited(gateway, requests_per_minute=3)
    async with AsyncOpenAI(base_url=gateway.base_url, api_key=secret, max_retries=0) as client:
        create = client.chat.completions.with_raw_response.create
        for left in (2, 1, 0):
            answer = await create(model="m", messages=[{"role": "user", "content": "hi"}])
            shown = {name: answer.headers[f"x-ratelimit-{name}"] for name in ("limit-requests", "remaining-requests")}
            assert {"limit-requests": "3", "remaining-requests": str(left)} == shown
            assert answer.headers["x-ratelimit-reset-requests"]
        called = len(upstream.ledger)
        with pytest.raises(openai.RateLimitError) as caught:
            await create(model="m", messages=[{"role": "user", "content": "hi"}])
        error = caught.value
        assert ("rate_limit_exceeded", "rate_limit_error") == (error.code, error.type)
        assert 1 <= int(error.response.headers["retry-after"]) <= 60
        assert "0" == error.response.headers["x-ratelimit-remaining-requests"]
        assert "client" == error.response.headers["x-switchgear-error-source"]
        assert called == len(upstream.ledger), "a refused request is nobody else's business"
        record = await gateway.usage_of(error.response.headers["x-request-id"])
        assert ("rejected", 429, None, 0) == (record["outcome"], record["status"], record["target"], record["attempts"])


@pytest.mark.parametrize("limits", [{"requests_per_minute": 17}, {"concurrent_requests": 17}])
async def test_of_two_hundred_at_once_exactly_as_many_as_allowed_get_through(gateway: Running, limits) -> None:
    _, secret = await limited(gateway, **limits)
    talks = [await Talk.begin(gateway.port, secret, model="endless") for _ in range(200)]

    async def answered(talk: Talk) -> int:
        while not talk.answer.status:
            assert await talk._read()
        return talk.answer.status

    found = Counter(await asyncio.gather(*map(answered, talks)))
    assert Counter({200: 17, 429: 183}) == found
    for talk in talks:
        talk.close()
    await eventually(lambda: gateway.gateway.exchanges_in_flight == 0)
    after = Counter([await status(gateway, secret) for _ in range(20)])
    assert Counter({429: 20} if "requests_per_minute" in limits else {200: 20}) == after


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_whatever_an_answer_comes_to_its_slot_comes_back(gateway: Running, upstream, stream: bool) -> None:
    _, secret = await limited(gateway, concurrent_requests=1)
    outcomes = Counter[int]()
    for name in ("echo", "m", "absent", *(name for name in upstream.named if name not in SLOW)):
        outcomes[await status(gateway, secret, name, stream=stream)] += 1
        assert 200 == await status(gateway, secret), f"after {name}"
    assert {200, 400, 404, 429, 502, 503, 504} <= set(outcomes), "there was something of everything"


async def test_a_provider_out_of_reach_or_without_credential_gives_it_back(gateway: Running) -> None:
    _, secret = await limited(gateway, concurrent_requests=1)
    source = {"backend": "env", "variables": {"api_key": "NOT_SET_ANYWHERE"}}
    await gateway.create("credentials", id="none", type="openai", source=source)
    for name, members in (
        ("unreachable", {"base_url": f"http://127.0.0.1:{free_port()}/v1"}),
        ("forbidden", {"base_url": "http://10.0.0.1/v1"}),
        ("keyless", {"credential_id": "none"}),
    ):
        await gateway.create("providers", id=name, type="openai", **members)
        await gateway.create("models", id=name, provider_id=name, provider_model="x")
        for stream in (True, False):
            assert await status(gateway, secret, name, stream=stream) in (502, 503)
            assert 200 == await status(gateway, secret), f"after {name}"


@pytest.mark.parametrize(("model", "stream"), [("endless", True), ("silent", True), ("silent", False)])
async def test_a_client_that_leaves_gives_it_back(gateway: Running, upstream: FaultUpstream, model, stream) -> None:
    _, secret = await limited(gateway, concurrent_requests=1)
    for _ in range(5):
        called = len(upstream.ledger)
        with await Talk.begin(gateway.port, secret, model=model, stream=stream):
            await upstream.ledger.until(lambda ledger, due=called + 1: len(ledger) == due)
            assert 429 == await status(gateway, secret), "it is taken meanwhile"

        async def free() -> bool:
            return 200 == await status(gateway, secret)

        await eventually(free, within=1)


async def test_a_stream_cut_because_its_key_was_suspended_gives_it_back(gateway: Running) -> None:
    id, secret = await limited(gateway, concurrent_requests=1)
    with await Talk.begin(gateway.port, secret, model="endless") as talk:
        await talk.begun()
        await gateway.act(f"/api-keys/{id}/suspend")
        await talk.end(within=1)
    await gateway.act(f"/api-keys/{id}/activate")
    assert 200 == await status(gateway, secret)


async def test_tokens_per_minute_are_reserved_before_and_settled_after(gateway: Running) -> None:
    _, secret = await limited(gateway, tokens_per_minute=300)
    used = 0
    while True:
        answer = (await call(gateway.port, secret, model="m", stream=False, max_tokens=100)).answer
        if answer.status != 200:
            break
        assert "300" == answer.headers["x-ratelimit-limit-tokens"]
        assert 300 - used - 100 > int(answer.headers["x-ratelimit-remaining-tokens"])
        used += answer.json["usage"]["total_tokens"]
    assert (429, "rate_limit_exceeded") == (answer.status, answer.json["error"]["code"])
    assert 150 < used <= 300
    assert 300 - used == int(answer.headers["x-ratelimit-remaining-tokens"])


async def test_new_limits_hold_from_the_next_request(gateway: Running) -> None:
    id, secret = await limited(gateway, requests_per_minute=1)
    assert [200, 429] == [await status(gateway, secret) for _ in range(2)]
    await gateway.patch(f"/api-keys/{id}", limits={"requests_per_minute": 3})
    assert [200, 200, 429] == [await status(gateway, secret) for _ in range(3)]
    await gateway.patch(f"/api-keys/{id}", limits={"requests_per_minute": None})
    assert [200] * 5 == [await status(gateway, secret) for _ in range(5)]


async def test_a_new_secret_does_not_bring_new_limits(gateway: Running) -> None:
    id, secret = await limited(gateway, requests_per_minute=2)
    assert 200 == await status(gateway, secret)
    new = (await gateway.act(f"/api-keys/{id}/rotate", overlap_seconds=600))["key"]
    assert [200, 429, 429] == [await status(gateway, one) for one in (new, secret, new)]
    _, other = await limited(gateway, requests_per_minute=2)
    assert 200 == await status(gateway, other), "another key has its own"
