"""A model tried over the admin API, at real sockets."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from support.dialogs import chunks
from support.faultup import FaultUpstream, Script
from support.gateway import Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
PRICE = {"input": 1_000_000, "output": 2_000_000}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        yield up


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: FaultUpstream) -> AsyncIterator[Running]:
    plugins = "execution = { enabled = true }\nprompts = { enabled = true }"
    async with running(tmp_path_factory.mktemp("gateway"), upstream, plugins=plugins) as run:
        await run.patch("/models/m", pricing=PRICE)
        await run.create("prompts", id="greet", content="Greet ${var:name} in ${var:language:English}.")
        await run.create("aliases", id="a/b", target="m")
        yield run


async def execute(run: Running, model: str = "m", **body: Any) -> httpx.Response:
    return await run.admin.post(f"/models/{model}/execute", json=body)


async def test_the_answer_comes_with_what_it_took(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(content="Hello to you"))
    answer = await execute(
        gateway, content="hi", system="Be brief.", temperature=0.5, max_tokens=20, parameters={"seed": 1}
    )
    assert 200 == answer.status_code, answer.text
    found = answer.json()
    assert ("Hello to you", "stop") == (found["text"], found["finish_reason"])
    assert found["message"]["role"] == "assistant"
    sent = json.loads(upstream.ledger.entries[-1].body)
    assert (0.5, 20, 1) == (sent["temperature"], sent["max_tokens"], sent["seed"])
    assert ["system", "user"] == [it["role"] for it in sent["messages"]]
    record = await gateway.usage_of(found["request_id"])
    assert ("execute", "complete") == (record["labels"]["origin"], record["outcome"])
    assert record["cost_microusd"] == found["cost_microusd"] > 0
    assert (record["input_tokens"], record["output_tokens"]) == tuple(found["usage"].values())


async def test_it_is_streamed_in_a_chats_shape(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(content="Hello to you"))
    answer = await execute(gateway, content="hi", stream=True)
    *told, last, end = chunks(answer.text)
    assert "Hello to you" == "".join(it["choices"][0]["delta"].get("content") or "" for it in told)
    assert "[DONE]" == end
    assert last["cost_microusd"] == (await gateway.usage_of(last["request_id"]))["cost_microusd"]
    upstream.script(Script(content="one two three", chunks=3, cut_after_chunks=1))
    broken = chunks((await execute(gateway, content="hi", stream=True)).text)
    assert "error" in broken[-1]


async def test_a_prompt_is_tried_with_its_variables(gateway: Running, upstream: FaultUpstream) -> None:
    answer = await execute(gateway, prompt_id="greet", variables={"name": "${var:language}"})
    assert 200 == answer.status_code, answer.text
    sent = json.loads(upstream.ledger.entries[-1].body)["messages"]
    assert [{"role": "user", "content": "Greet ${var:language} in English."}] == sent
    await execute(gateway, prompt_id="greet", variables={"name": "Ann", "language": "Latin"}, content="now")
    sent = json.loads(upstream.ledger.entries[-1].body)["messages"]
    assert [("system", "Greet Ann in Latin."), ("user", "now")] == [(it["role"], it["content"]) for it in sent]
    lacking = await execute(gateway, prompt_id="greet")
    assert 400 == lacking.status_code
    assert "`name`" in lacking.json()["detail"]


async def test_any_callable_name_can_be_tried(gateway: Running) -> None:
    assert 200 == (await execute(gateway, "a%2Fb", content="hi")).status_code
    assert 404 == (await execute(gateway, "nobody", content="hi")).status_code


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/content"), ({"content": "a", "messages": [{}]}, "/messages"), ({"content": "a", "version": 1}, "/prompt_id"),
        ({"prompt_id": "nope"}, "/prompt_id"), ({"content": "a", "parameters": {"model": "x"}}, "/parameters/model"),
        ({"content": "a", "max_tokens": 0}, "/max_tokens"), ({"content": "a", "colour": 1}, "/colour"),
    ],
)  # fmt: skip
async def test_what_cannot_be_asked_is_refused_where_it_is_wrong(gateway: Running, body: Any, pointer: str) -> None:
    answer = await execute(gateway, **body)
    assert answer.status_code in {400, 422}, answer.text
    assert pointer in [it["pointer"] for it in answer.json()["errors"]]


async def test_what_its_provider_refuses_is_told(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(status=500))
    answer = await execute(gateway, content="hi")
    assert (502, "application/problem+json") == (answer.status_code, answer.headers["content-type"])


async def test_only_who_may_execute_does(gateway: Running) -> None:
    refused = await gateway.http.post("/admin/v1/models/m/execute", json={"content": "hi"}, headers=gateway.auth)
    assert refused.status_code in {401, 403}
    described = (await gateway.http.get("/openapi.json")).json()["paths"]
    assert "/admin/v1/models/{id}/execute" in described


async def test_whoever_leaves_ends_the_call(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(chunks=500, chunk_delay_ms=20))
    sending = gateway.admin.stream("POST", "/models/m/execute", json={"content": "hi", "stream": True})
    async with sending as answer:
        async for _ in answer.aiter_bytes():
            break
    entry = upstream.ledger.entries[-1]
    [settled] = [it for it in await upstream.ledger.settled() if it is entry]
    assert settled.client_left_early
