"""Claude Code at work over a gateway: it reads, edits and runs in several turns, whatever stands behind."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from clients.relay import Relay, assert_cached, assert_texts, assert_told, bodies
from sdk.served import Served
from support.faultup import Script, ToolCall

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

PROVIDERS = ("anthropic", "openai", "responses", "openai_compatible", "bedrock", "ai_studio")
"""Providers of the matrix; `responses` is OpenAI's, asked over that wire."""


class Bench:
    """A directory with a file to work on, and an agent over a gateway."""

    def __init__(self, claude: Path, directory: Path, served: Served) -> None:
        self.claude = claude
        self.home = directory / "home"
        self.work = directory / "work"
        self.run = served.run
        for made in (self.home, self.work):
            made.mkdir()
        self.notes = self.work / "notes.txt"
        self.notes.write_text("an old note\n")

    def turns(self, *, reasoning: str = "") -> list[Script]:
        """Say what the model does: a tool a turn, then an answer."""
        path = str(self.notes)
        edit = {"file_path": path, "old_string": "old", "new_string": "new"}
        calls = (
            ToolCall("Read", json.dumps({"file_path": path})),
            ToolCall("Edit", json.dumps(edit)),
            ToolCall("Bash", json.dumps({"command": "wc -w notes.txt", "description": "Counts the words"})),
        )
        called = [Script(reasoning=reasoning, goes_on=True, tool_calls=(call,)) for call in calls]
        return [*called, Script(content="All done.", goes_on=True)]

    async def ask(self, prompt: str, *arguments: str, model: str, **environment: str) -> str:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "ANTHROPIC_BASE_URL": self.run.url,
            "ANTHROPIC_AUTH_TOKEN": self.run.key,
            "ANTHROPIC_MODEL": model,
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": model,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": "1",
            "DISABLE_AUTOUPDATER": "1",
            **environment,
        }
        process = await asyncio.create_subprocess_exec(
            self.claude,
            "-p",
            prompt,
            "--allowedTools",
            "Read,Edit,Bash",
            "--permission-mode",
            "acceptEdits",
            *arguments,
            cwd=self.work,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environ,
        )
        try:
            out, errors = await asyncio.wait_for(process.communicate(), 120)
        finally:
            if process.returncode is None:
                process.kill()
        assert 0 == process.returncode, (out.decode()[-2000:], errors.decode()[-2000:])
        return out.decode()

    async def records(self, model: str) -> list[dict[str, Any]]:
        return await self.run.usage(model=model)


@pytest.fixture
def bench(claude: Path, tmp_path: Path, all_providers: Served) -> Bench:
    return Bench(claude, tmp_path, all_providers)


async def model_at(served: Served, provider: str) -> str:
    """Return the name of a model at a provider, which is made where only a model resource says how it is asked."""
    if provider != "responses":
        return f"{provider}/{served.rows[provider].prefix}claude-code"
    name = f"{served.rows['openai'].prefix}claude-code"
    members = {"id": "over-responses", "provider_id": "openai", "provider_model": name, "wires": ["responses"]}
    await served.run.create("models", **members)
    return "over-responses"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_task_is_done_in_several_turns(
    bench: Bench, all_providers: Served, relay: Relay, provider: str
) -> None:
    upstream = all_providers.upstream
    model = await model_at(all_providers, provider)
    before = len(upstream.ledger.entries)
    upstream.script(*bench.turns(reasoning="Let me see."))
    assert "All done." in await bench.ask("Renew my notes.", model=model, ANTHROPIC_BASE_URL=relay.url)
    assert "an new note\n" == bench.notes.read_text()
    records = await bench.records(model)
    assert [200] * 4 == [record["status"] for record in records]
    assert {1} == {record["attempts"] for record in records}, [record.get("why") for record in records]
    assert_told(relay, upstream.ledger.entries[before:])
    asked = bodies(upstream.ledger.entries[before:])
    assert_cached(asked)
    assert "3 notes.txt" in json.dumps(asked[-1])
    if provider == "openai_compatible":
        assert_texts(asked)


async def test_a_chain_leaves_a_vendor_in_the_middle_of_a_task(
    bench: Bench, all_providers: Served, relay: Relay
) -> None:
    upstream, run = all_providers.upstream, all_providers.run
    names = ("anthropic", "openai", "bedrock")
    steps = [{"target": f"{name}/{all_providers.rows[name].prefix}claude-chained"} for name in names]
    await run.create("chains", id="claude-chain", steps=steps)
    before = len(upstream.ledger.entries)
    first, second, third, done = bench.turns(reasoning="Let me see.")
    overloaded = Script(status=529)
    upstream.script(first, overloaded, second, overloaded, overloaded, third, done)
    assert "All done." in await bench.ask("Renew my notes.", model="claude-chain", ANTHROPIC_BASE_URL=relay.url)
    assert "an new note\n" == bench.notes.read_text()
    records = await bench.records("claude-chain")
    assert [200] * 4 == [record["status"] for record in records]
    assert {1, 2, 3} == {record["attempts"] for record in records}
    assert_told(relay, upstream.ledger.entries[before:])


@pytest.mark.parametrize("provider", ["anthropic", "openai", "bedrock", "ai_studio"])
async def test_tools_that_it_finds_later_are_called(bench: Bench, all_providers: Served, provider: str) -> None:
    model = f"{provider}/{all_providers.rows[provider].prefix}claude-search"
    book = bench.work / "book.ipynb"
    book.write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    cell = {"notebook_path": str(book), "new_source": "1 + 1", "cell_type": "code", "edit_mode": "insert"}
    calls = (
        ToolCall("ToolSearch", json.dumps({"query": "select:NotebookEdit"})),
        ToolCall("Read", json.dumps({"file_path": str(book)})),
        ToolCall("NotebookEdit", json.dumps(cell)),
    )
    all_providers.upstream.script(
        *(Script(goes_on=True, tool_calls=(call,)) for call in calls), Script(content="All done.", goes_on=True)
    )
    told = await bench.ask("Add a cell.", "--allowedTools", "Read,NotebookEdit,ToolSearch", model=model)
    assert "All done." in told
    assert "1 + 1" in book.read_text()
    assert [200] * 4 == [record["status"] for record in await bench.records(model)]


async def test_a_session_is_gone_on_with_at_other_vendors(bench: Bench, all_providers: Served) -> None:
    upstream = all_providers.upstream
    for number, provider in enumerate(("anthropic", "openai", "ai_studio", "anthropic")):
        bench.notes.write_text("an old note\n")
        model = f"{provider}/{all_providers.rows[provider].prefix}claude-session"
        upstream.script(*bench.turns(reasoning="Let me see."))
        resumed = ("--continue",) if number else ()
        assert "All done." in await bench.ask("Go on.", *resumed, model=model)
        assert {200} == {record["status"] for record in await bench.records(model)}


async def test_its_own_token_goes_to_its_vendor_beside_the_gateways_key(bench: Bench, all_providers: Served) -> None:
    upstream, run = all_providers.upstream, all_providers.run
    base = f"{upstream.url}{all_providers.rows['anthropic'].base}"
    await run.create("providers", id="own", type="anthropic", base_url=base, auth="client")
    upstream.script(Script(content="All done."))
    own = {"ANTHROPIC_AUTH_TOKEN": "oat-of-my-own-4242", "ANTHROPIC_CUSTOM_HEADERS": f"x-switchgear-key: {run.key}"}
    assert "All done." in await bench.ask("Hello", model="own/claude-own", **own)
    assert "Bearer oat-of-my-own-4242" == dict(upstream.ledger.entries[-1].headers)["authorization"]
    assert run.key not in str(upstream.ledger.entries[-1].headers)


async def test_a_wrong_key_ends_it_at_once(bench: Bench) -> None:
    with pytest.raises(AssertionError, match="401"):
        await bench.ask("Hello", model="m", ANTHROPIC_AUTH_TOKEN="sg_live_nobodys", CLAUDE_CODE_MAX_RETRIES="10")
