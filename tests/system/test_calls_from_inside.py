"""Calls from inside: whole exchanges, counted and ended with whoever asked. A third party's workflow makes them, over sockets."""

import asyncio
import json
import random
import tomllib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from support.distributions import installed
from support.faultup import FaultUpstream, Script
from support.gateway import Running, eventually, running
from support.talk import Talk
from switchgear.contracts.inside import MOST_DEEP, CallInside
from switchgear.contracts.principal import USE, Grant, Principal
from switchgear.contracts.provider import StreamEvent
from switchgear.errors import InvalidRequest, NotFound, Unavailable
from switchgear.testing.policy_suite import make_exchange
from switchgear.testing.provider_suite import text_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
EXAMPLE = Path(__file__).parents[2] / "contrib" / "examples" / "two-step-workflow"
ENABLED = " }\ntwo_step_workflow = { enabled = true"
ANYBODY = Principal("p1", "key", grants=(Grant(USE, "models", ("*",)),))
HI = [{"role": "user", "content": "hi"}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        up.register("endless", Script(chunks=500, chunk_delay_ms=20))
        up.register("silent", Script(hang=True))
        yield up


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: FaultUpstream) -> AsyncIterator[Running]:
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]["switchgear.plugins"]
    with installed(tmp_path_factory.mktemp("site")) as site:
        source = (EXAMPLE / "switchgear_two_step_workflow.py").read_text()
        site.add("two-step", points, source, module="switchgear_two_step_workflow")
        async with running(tmp_path_factory.mktemp("gateway"), upstream, memory=ENABLED) as run:
            price = {"input": 1_000_000, "output": 2_000_000}
            await run.create("models", id="priced", provider_id="echo", provider_model="echo", pricing=price)
            for name in ("endless", "silent"):
                await run.create("models", id=name, provider_id="p", provider_model=f"fault-{name}")
            await run.create(
                "models", id="vectors", provider_id="p", provider_model="vectors", capabilities={"embeddings": True}
            )
            await workflow(run, "careful", "priced", "priced")
            await workflow(run, "late", "echo", "silent")
            await workflow(run, "long", "echo", "endless")
            await workflow(run, "endless-loop", "endless-loop", "echo")
            await workflow(run, "nobody's", "absent", "echo")
            yield run


async def workflow(run: Running, id: str, draft: str, revise: str) -> None:
    settings = {"draft": draft, "revise": revise, "instructions": "Revised:"}
    id = id.replace("'", "")
    await run.create("providers", id=id, type="two_step_workflow", settings=settings)
    await run.create("models", id=id, provider_id=id, provider_model="workflow", pricing={"input": 0, "output": 0})


async def ask(
    gateway: Running, secret: str, model: str, path: str = "/v1/chat/completions", **members: Any
) -> httpx.Response:
    body = {"model": model, "messages": HI, **members}
    return await gateway.http.post(path, json=body, headers={"authorization": f"Bearer {secret}"})


def calls(gateway: Running) -> CallInside:
    """Return what a plugin calls with."""
    return next(it.context.call for it in gateway.gateway.kernel.plugins if it.installed.name == "echo")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_a_workflow_under_one_slot_does_not_refuse_itself(gateway: Running, path: str, stream: bool) -> None:
    id, secret = await gateway.new_key(limits={"concurrent_requests": 1})
    answer = await ask(gateway, secret, "careful", path, stream=stream, max_tokens=100)
    assert 200 == answer.status_code, answer.text
    assert "Revised:" in answer.text
    records = {it["labels"].get("step", "workflow"): it for it in await gateway.usage(key_id=id)}
    assert {"workflow", "draft", "revise"} == records.keys()
    whole = records.pop("workflow")
    assert "parent" not in whole["labels"]
    assert [whole["request_id"]] * 2 == [it["labels"]["parent"] for it in records.values()]
    assert ["complete"] * 3 == [it["outcome"] for it in (whole, *records.values())]
    assert 0 == whole["cost_microusd"]
    assert answer.headers["x-request-id"] == whole["request_id"]
    spent = sum(it["input_tokens"] + 2 * it["output_tokens"] for it in records.values())
    assert spent == sum(it["cost_microusd"] for it in records.values()) > 0
    summed = await gateway.admin.get("/usage/summary", params={"by": "labels.parent", "key_id": id})
    sums = {it["group"]["labels.parent"]: it["sums"] for it in summed.json()["data"]}
    assert spent == sums[whole["request_id"]]["cost_microusd"]


async def test_what_a_step_is_refused_for_its_client_is_told(gateway: Running) -> None:
    _, secret = await gateway.new_key(limits={"requests_per_minute": 2})
    answer = await ask(gateway, secret, "careful")
    assert (429, "rate_limit_exceeded") == (answer.status_code, answer.json()["error"]["code"])
    assert "retry-after" in answer.headers


async def test_nobody_may_use_more_inside_than_outside(gateway: Running) -> None:
    id, secret = await gateway.new_key(permissions={"models": ["careful"]})
    answer = await ask(gateway, secret, "careful")
    assert (404, "model_not_found") == (answer.status_code, answer.json()["error"]["code"])
    outcomes = Counter(it["outcome"] for it in await gateway.usage(key_id=id))
    assert Counter(rejected=2) == outcomes


async def test_what_calls_itself_ends(gateway: Running) -> None:
    id, secret = await gateway.new_key()
    answer = await ask(gateway, secret, "endless-loop")
    assert (400, "calls_too_deep") == (answer.status_code, answer.json()["error"]["code"])
    assert MOST_DEEP == len(await gateway.usage(key_id=id))


@pytest.mark.parametrize("model", ["late", "long"])
async def test_who_leaves_takes_the_steps_along(gateway: Running, upstream: FaultUpstream, model: str) -> None:
    id, secret = await gateway.new_key(limits={"concurrent_requests": 1})
    before = len(upstream.ledger.entries)
    talk = await Talk.begin(gateway.port, secret, model=model, stream=model == "long")
    if model == "long":
        while not talk.answer.status:
            assert await talk._read()
    else:
        await eventually(lambda: len(upstream.ledger.entries) > before)
    talk.close()
    await eventually(lambda: upstream.ledger.entries[-1].client_left_early, within=1.0)
    await eventually(lambda: gateway.gateway.exchanges_in_flight == 0)
    found = await eventually(lambda: gateway.usage(key_id=id, outcome="client_gone"))
    assert {None, "revise"} == {it["labels"].get("step") for it in found}
    assert 200 == (await ask(gateway, secret, "echo")).status_code


async def test_a_plugin_calls_in_a_dialect_of_its_choice(gateway: Running) -> None:
    call = calls(gateway)
    body = {"messages": HI, "max_tokens": 50}
    answer = await call("messages", body, principal=ANYBODY, model="priced", labels={"why": "test"})
    assert "hi" == json.loads(answer.body)["content"][0]["text"]
    assert answer.usage is not None
    assert answer.cost_microusd == answer.usage.input_tokens + 2 * answer.usage.output_tokens
    record = await gateway.usage_of(answer.id)
    assert {"why": "test"} == record["labels"]
    events = await call("/v1/messages", body, principal=ANYBODY, model="priced", stream=True)
    names = [event.name async for event in events]
    assert (b"message_start", b"message_stop") == (names[0], names[-1])


async def test_a_plugin_has_texts_embedded(gateway: Running) -> None:
    answer = await calls(gateway)("embedding", b'{"input":["a","b"]}', principal=ANYBODY, model="vectors")
    assert 2 == len(json.loads(answer.body)["data"])


async def test_a_stream_says_what_a_providers_does(gateway: Running) -> None:
    call = calls(gateway)
    body = {"messages": HI, "echo": {"text": "one two three"}, "stream": False}
    stream = await call("chat", body, principal=ANYBODY, model="priced", stream=True)
    events = [event async for event in stream]
    assert ("one two three", True) == (text_of([it for it in events if it.data]), events[-1].last)
    assert sum(event.content for event in events) > 0
    assert stream.usage is not None
    assert stream.cost_microusd == stream.usage.input_tokens + 2 * stream.usage.output_tokens


@pytest.mark.parametrize("how", ["close", "cancel", "forget"])
async def test_a_stream_that_nobody_reads_ends(gateway: Running, upstream: FaultUpstream, how: str) -> None:
    stream = await calls(gateway)("chat", {"messages": HI}, principal=ANYBODY, model="endless", stream=True)
    await anext(aiter(stream))
    id = stream.id
    if how == "close":
        await stream.aclose()
    elif how == "cancel":

        async def read(events: AsyncIterator[StreamEvent]) -> None:
            async for _ in events:
                pass

        reading = asyncio.create_task(read(stream))
        await asyncio.sleep(0.05)
        reading.cancel()
        await asyncio.wait({reading})
        assert reading.cancelled()
    del stream
    await eventually(lambda: upstream.ledger.entries[-1].client_left_early, within=1.0)
    record = await eventually(lambda: gateway.usage(request_id=id))
    assert "client_gone" == record[0]["outcome"]


async def test_who_is_cancelled_takes_its_call_along(gateway: Running, upstream: FaultUpstream) -> None:
    before = len(upstream.ledger.entries)
    waiting = asyncio.create_task(calls(gateway)("chat", {"messages": HI}, principal=ANYBODY, model="silent"))  # type: ignore[arg-type]
    await eventually(lambda: len(upstream.ledger.entries) > before)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    assert 0 == gateway.gateway.exchanges_in_flight
    await eventually(lambda: upstream.ledger.entries[-1].client_left_early, within=1.0)


async def test_errors_are_those_of_clients(gateway: Running) -> None:
    call = calls(gateway)
    for stream in (False, True):
        with pytest.raises(NotFound) as absent:
            await call("chat", {"messages": HI}, principal=ANYBODY, model="absent", stream=stream)  # type: ignore[call-overload]
        assert "model_not_found" == absent.value.code
    with pytest.raises(InvalidRequest) as wrong:
        await call("chat", {"messages": []}, principal=ANYBODY, model="echo")
    assert "messages" == wrong.value.param
    with pytest.raises(Unavailable) as unknown:
        await call("chatter", {}, principal=ANYBODY)
    assert "unknown_operation" == unknown.value.code
    broken = {"messages": HI, "echo": {"size": 9, "chunks": 3, "fault": "server", "fault_after": 2}}
    stream = await call("chat", broken, principal=ANYBODY, model="echo", stream=True)
    with pytest.raises(Exception, match="failed with status 500"):
        _ = [event async for event in stream]


async def test_the_trace_goes_on(gateway: Running, upstream: FaultUpstream) -> None:
    x = make_exchange(ANYBODY, id="outer")
    x.trace = f"00-{'a' * 32}-{'b' * 16}-01"
    await calls(gateway)("chat", {"messages": HI}, principal=ANYBODY, parent=x, model="m")
    assert x.trace == dict(upstream.ledger.entries[-1].headers)["traceparent"]


async def test_many_that_leave_at_any_moment_leave_nothing_behind(gateway: Running, upstream: FaultUpstream) -> None:
    id, secret = await gateway.new_key(limits={"concurrent_requests": 100})
    chance = random.Random(7)

    async def one() -> None:
        model = chance.choice(("careful", "long", "late", "endless-loop"))
        talk = await Talk.begin(gateway.port, secret, model=model, stream=chance.random() < 0.5)
        await asyncio.sleep(chance.random() * 0.2)
        talk.close()

    await asyncio.gather(*(one() for _ in range(80)))
    await eventually(lambda: gateway.gateway.exchanges_in_flight == 0)
    await eventually(lambda: not gateway.gateway._inside._running)
    records = (await gateway.admin.get("/usage", params={"limit": "500", "key_id": id})).json()["data"]
    assert {"complete", "client_gone"} <= {it["outcome"] for it in records} <= {"complete", "client_gone", "rejected"}
    ids = {it["request_id"] for it in records}
    assert {it["labels"]["parent"] for it in records if it["labels"].get("parent")} <= ids, "who asked is recorded too"
    _, alone = await gateway.new_key(limits={"concurrent_requests": 1})
    assert 200 == (await ask(gateway, alone, "careful")).status_code
