"""Codex at work over a gateway: it reads, edits and runs in several turns, whatever stands behind."""

import asyncio
import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from clients.relay import Relay, assert_cached, assert_texts, assert_told, bodies, said
from sdk.served import Served
from support.faultup import Script, ToolCall
from support.web import Asked, Told, Web

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

PROVIDERS = ("responses", "chat", "openai_compatible", "anthropic", "bedrock", "vertex", "ai_studio", "vertex_claude")
"""Providers of the matrix; `responses` and `chat` are OpenAI's, asked over that wire."""
WORK = (
    {"cmd": "cat notes.txt"},
    {"cmd": "sed -i s/old/new/ notes.txt"},
    {"cmd": "wc -w notes.txt && printf '\\360\\237\\230\\200'"},
)
CONFIG = """
model = "{model}"
model_provider = "gateway"
{top}
[model_providers.gateway]
name = "Gateway"
base_url = "{url}/v1"
env_key = "GATEWAY_KEY"
wire_api = "responses"
{provider}
"""


class Bench:
    """A directory with a file to work on, and an agent over a gateway."""

    def __init__(self, codex: Path, directory: Path, served: Served) -> None:
        self.codex = codex
        self.home = directory / "home"
        self.work = directory / "work"
        self.run = served.run
        for made in (self.home, self.work):
            made.mkdir()
        (self.work / "notes.txt").write_text("an old note\n")

    async def ask(
        self, prompt: str, *arguments: str, model: str, provider: str = "", top: str = "", url: str = ""
    ) -> str:
        config = CONFIG.format(model=model, url=url or self.run.url, provider=provider, top=top)
        (self.home / "config.toml").write_text(config)
        process = await asyncio.create_subprocess_exec(
            self.codex,
            "exec",
            *arguments,
            "--skip-git-repo-check",
            "--dangerously-bypass-approvals-and-sandbox",
            prompt,
            cwd=self.work,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "CODEX_HOME": str(self.home), "GATEWAY_KEY": self.run.key},
        )
        out, errors = await asyncio.wait_for(process.communicate(), 120)
        assert 0 == process.returncode, errors.decode()[-3000:]
        return out.decode()

    async def records(self, model: str) -> list[dict[str, Any]]:
        return await self.run.usage(model=model)


@pytest.fixture
def bench(codex: Path, tmp_path: Path, all_providers: Served) -> Bench:
    return Bench(codex, tmp_path, all_providers)


def turns(*, reasoning: str = "") -> list[Script]:
    """Say what the model does: a tool a turn, then an answer."""
    called = [
        Script(reasoning=reasoning, goes_on=True, tool_calls=(ToolCall("exec_command", json.dumps(it)),)) for it in WORK
    ]
    return [*called, Script(content="All done.", goes_on=True)]


async def model_at(served: Served, provider: str) -> str:
    """Return the name of a model at a provider, which is made where only a model resource says how it is asked."""
    if provider not in ("chat", "responses"):
        return f"{provider}/{served.rows[provider].prefix}codex"
    name = f"{served.rows['openai'].prefix}codex"
    members = {"id": f"over-{provider}", "provider_id": "openai", "provider_model": name, "wires": [provider]}
    await served.run.create("models", **members)
    return f"over-{provider}"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_task_is_done_in_several_turns(
    bench: Bench, all_providers: Served, relay: Relay, provider: str
) -> None:
    upstream = all_providers.upstream
    model = await model_at(all_providers, provider)
    before = len(upstream.ledger.entries)
    upstream.script(*turns(reasoning="Let me see."))
    told = await bench.ask("Renew my notes.", model=model, top='model_reasoning_effort = "low"', url=relay.url)
    assert "All done." in told
    assert "an new note\n" == (bench.work / "notes.txt").read_text()
    records = await bench.records(model)
    assert [200] * 4 == [record["status"] for record in records]
    assert {1} == {record["attempts"] for record in records}, [record.get("why") for record in records]
    assert_told(relay, upstream.ledger.entries[before:])
    asked = bodies(upstream.ledger.entries[before:])
    assert_cached(asked)
    assert "3 notes.txt" in json.dumps(asked[-1])
    if provider == "openai_compatible":
        assert_texts(asked)


async def test_a_session_is_gone_on_with_at_other_vendors(bench: Bench, all_providers: Served) -> None:
    upstream = all_providers.upstream
    for number, provider in enumerate(("anthropic", "openai_compatible", "ai_studio", "bedrock", "anthropic")):
        model = f"{provider}/{all_providers.rows[provider].prefix}session"
        upstream.script(*turns(reasoning="Let me see."))
        resumed = ("resume", "--last") if number else ()
        told = await bench.ask("Go on.", *resumed, model=model, top='model_reasoning_effort = "low"')
        assert "All done." in told
        assert {200} == {record["status"] for record in await bench.records(model)}


async def test_a_chain_leaves_a_vendor_in_the_middle_of_a_task(
    bench: Bench, all_providers: Served, relay: Relay
) -> None:
    upstream, run = all_providers.upstream, all_providers.run
    names = ("anthropic", "openai_compatible", "ai_studio")
    steps = [{"target": f"{name}/{all_providers.rows[name].prefix}chained"} for name in names]
    await run.create("chains", id="codex-chain", steps=steps)
    before = len(upstream.ledger.entries)
    first, second, third, done = turns(reasoning="Let me see.")
    overloaded = Script(status=529)
    upstream.script(first, overloaded, second, overloaded, overloaded, third, done)
    top = 'model_reasoning_effort = "low"'
    assert "All done." in await bench.ask("Renew my notes.", model="codex-chain", top=top, url=relay.url)
    records = await bench.records("codex-chain")
    assert [200] * 4 == [record["status"] for record in records]
    assert {1, 2, 3} == {record["attempts"] for record in records}
    assert_told(relay, upstream.ledger.entries[before:])


async def test_a_long_conversation_is_put_in_short(bench: Bench, all_providers: Served) -> None:
    upstream = all_providers.upstream
    model = f"openai_compatible/{all_providers.rows['openai_compatible'].prefix}short"
    first, *others = turns()
    upstream.script(
        Script(tool_calls=first.tool_calls, prompt_tokens=900_000),
        Script(content="The notes are old.", goes_on=True),
        *others,
    )
    told = await bench.ask("Renew my notes.", model=model, top="model_auto_compact_token_limit = 100000")
    assert "All done." in told
    assert {200} == {record["status"] for record in await bench.records(model)}
    assert any("The notes are old." in json.dumps(said(it)) for it in bodies(upstream.ledger.entries))


async def test_it_speaks_its_own_wire_to_a_provider_that_has_it(bench: Bench, all_providers: Served) -> None:
    """Tools of all its kinds go through, over HTTP at once where a WebSocket is tried first."""
    asked: list[Any] = []
    script = iter([*WORK, None])

    def answer(request: Asked) -> Told:
        asked.append(request.json)
        step = next(script)
        item: dict[str, Any] = {"type": "function_call", "id": f"fc_{len(asked)}", "call_id": f"c{len(asked)}"}
        item |= {"name": "exec_command", "arguments": json.dumps(step), "status": "completed"}
        if step is None:
            content = [{"type": "output_text", "text": "All done.", "annotations": []}]
            item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}
        thought = {
            "type": "reasoning",
            "id": f"rs_{len(asked)}",
            "summary": [],
            "encrypted_content": f"gAAA{len(asked)}",
        }
        response = {
            "id": f"resp_{len(asked)}",
            "object": "response",
            "status": "completed",
            "model": "gpt-5",
            "output": [],
        }
        usage = {"input_tokens": 10, "output_tokens": 1, "total_tokens": 11}
        events = [
            {"type": "response.created", "response": {**response, "status": "in_progress"}},
            {"type": "response.output_item.done", "output_index": 0, "item": thought},
            {"type": "response.output_item.done", "output_index": 1, "item": item},
            {"type": "response.completed", "response": {**response, "output": [thought, item], "usage": usage}},
        ]
        body = b"".join(f"event: {it['type']}\ndata: {json.dumps(it)}\n\n".encode() for it in events)
        return Told(body=body, headers={"content-type": "text/event-stream"})

    async with Web(answer) as web:
        source = {"backend": "encrypted", "values": {"api_key": "k"}}
        await bench.run.create("credentials", id="own", type="openai", source=source)
        await bench.run.create("providers", id="own", type="openai", base_url=f"{web.url}/v1", credential_id="own")
        told = await bench.ask("Renew my notes.", model="own/gpt-5.5", provider="supports_websockets = true")
    assert "All done." in told
    assert "an new note\n" == (bench.work / "notes.txt").read_text()
    assert [200] * 4 == [record["status"] for record in await bench.records("own/gpt-5.5")]
    kinds = {tool["type"] for tool in asked[0]["tools"]}
    assert {"function", "namespace", "custom", "web_search"} & kinds > {"function"}
    sealed = [item["encrypted_content"] for item in asked[-1]["input"] if item["type"] == "reasoning"]
    assert ["gAAA1", "gAAA2", "gAAA3"] == sealed
    for earlier, later in pairwise(asked):
        assert earlier["input"] == later["input"][: len(earlier["input"])]
