"""Agents at real sockets: what the model is told through every API, and through whatever leads to the agent."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from support.faultup import FaultUpstream, Script
from support.gateway import SOURCE, Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
PROMPT = "You are a pirate."
HI = [{"role": "user", "content": "hi"}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        yield up


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: FaultUpstream) -> AsyncIterator[Running]:
    async with running(tmp_path_factory.mktemp("gateway"), upstream, plugins="agents = { enabled = true }") as run:
        await run.create("credentials", id="a", type="anthropic", source=SOURCE)
        await run.create("providers", id="a", type="anthropic", base_url=upstream.url, credential_id="a")
        await run.create("models", id="claude", provider_id="a", provider_model="claude-opus-4-5")
        await run.create("agents", id="pirate", model="m", system=PROMPT, config={"temperature": 0.25})
        await run.create("agents", id="claude-pirate", model="claude", system=PROMPT)
        await run.create("agents", id="old-pirate", model="pirate", system="You are old.")
        await run.create("aliases", id="captain", target="pirate")
        await run.create("chains", id="crew", steps=[{"target": "m"}, {"target": "claude-pirate"}])
        yield run


async def ask(run: Running, path: str, **body: Any) -> Any:
    answer = await run.http.post(path, json=body, headers=run.auth)
    assert 200 == answer.status_code, answer.text
    return answer


def sent(upstream: FaultUpstream) -> Any:
    return json.loads(upstream.ledger.entries[-1].body)


@pytest.mark.parametrize("name", ["pirate", "captain"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat_with_an_agent_begins_with_its_prompt(
    gateway: Running, upstream: FaultUpstream, name: str, stream: bool
) -> None:
    await ask(gateway, "/v1/chat/completions", model=name, messages=HI, stream=stream)
    assert [{"role": "system", "content": PROMPT}, *HI] == sent(upstream)["messages"]
    assert 0.25 == sent(upstream)["temperature"]
    system = {"role": "system", "content": "Be brief."}
    await ask(gateway, "/v1/chat/completions", model=name, messages=[system, *HI], temperature=1.0)
    assert f"{PROMPT}\n\nBe brief." == sent(upstream)["messages"][0]["content"]
    assert 1.0 == sent(upstream)["temperature"]


async def test_every_api_tells_it(gateway: Running, upstream: FaultUpstream) -> None:
    await ask(gateway, "/v1/messages", model="pirate", messages=HI, max_tokens=50)
    assert {"role": "system", "content": PROMPT} == sent(upstream)["messages"][0]
    await ask(gateway, "/v1/messages", model="claude-pirate", messages=HI, max_tokens=50, system="Be brief.")
    assert f"{PROMPT}\n\nBe brief." == sent(upstream)["system"]
    await ask(gateway, "/v1/responses", model="pirate", input="hi", instructions="Be brief.")
    assert PROMPT in upstream.ledger.entries[-1].body.decode()
    await ask(gateway, "/v1/completions", model="pirate", prompt="hi")
    assert [{"role": "system", "content": PROMPT}, *HI] == sent(upstream)["messages"]
    counted = await ask(gateway, "/v1/messages/count_tokens", model="claude-pirate", messages=HI)
    plain = await ask(gateway, "/v1/messages/count_tokens", model="claude", messages=HI)
    assert counted.json()["input_tokens"] > plain.json()["input_tokens"]


async def test_agents_of_agents_say_both(gateway: Running, upstream: FaultUpstream) -> None:
    await ask(gateway, "/v1/chat/completions", model="old-pirate", messages=HI)
    assert f"You are old.\n\n{PROMPT}" == sent(upstream)["messages"][0]["content"]


async def test_in_a_chain_only_the_agents_step_tells_it(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(status=500))
    await ask(gateway, "/v1/chat/completions", model="crew", messages=HI)
    first, second = upstream.ledger.entries[-2:]
    assert PROMPT not in first.body.decode()
    assert [{"type": "text", "text": PROMPT}] == json.loads(second.body)["system"]


async def test_a_key_needs_leave_for_the_agent_alone(gateway: Running) -> None:
    _, secret = await gateway.new_key(permissions={"models": ["pirate"]})
    headers = {"authorization": f"Bearer {secret}"}
    body = {"model": "pirate", "messages": HI}
    assert 200 == (await gateway.http.post("/v1/chat/completions", json=body, headers=headers)).status_code
    body["model"] = "m"
    assert 404 == (await gateway.http.post("/v1/chat/completions", json=body, headers=headers)).status_code
    listed = await gateway.http.get("/v1/models", headers=headers)
    assert ["pirate"] == [it["id"] for it in listed.json()["data"]]


async def test_a_change_of_the_prompt_is_in_force_at_once(gateway: Running, upstream: FaultUpstream) -> None:
    await gateway.create("agents", id="clerk", model="m", system="One.")
    await ask(gateway, "/v1/chat/completions", model="clerk", messages=HI)
    await gateway.patch("/agents/clerk", system="Two.")
    await ask(gateway, "/v1/chat/completions", model="clerk", messages=HI)
    assert "Two." == sent(upstream)["messages"][0]["content"]
    explained = await gateway.admin.post("/explain", json={"request": {"model": "clerk", "messages": HI}})
    assert any("clerk is an agent of m" in why for why in explained.json()["why"])


async def test_an_agent_that_makes_no_sense_is_refused(gateway: Running) -> None:
    for body in (
        {"id": "x", "model": "nobody", "system": "s"}, {"id": "x", "model": "m"}, {"id": "x", "model": "m", "system": ""},
        {"id": "x", "model": "x", "system": "s"}, {"id": "m", "model": "echo", "system": "s"},
    ):  # fmt: skip
        answer = await gateway.admin.post("/agents", json=body)
        assert answer.status_code in {400, 409, 422}, answer.text
    used = await gateway.admin.delete("/agents/pirate")
    assert 409 == used.status_code
