"""Frameworks' clients over a gateway, each in an environment of its own: what they ask, stream, have called and are refused."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from matrix.scenarios import SAYS
from sdk.served import Served

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

PROGRAMS = Path(__file__).parent / "programs"
PROVIDERS = ("openai", "openai_compatible", "anthropic", "bedrock", "ai_studio")


def python(name: str, *packages: str) -> list[str]:
    """Return what runs a program in an environment that has these packages."""
    root = Path(os.environ["SWITCHGEAR_CLIENTS"]) / name
    interpreter = root / "bin" / "python"
    if not interpreter.exists():
        subprocess.run([sys.executable, "-m", "venv", root], check=True)
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", *packages], check=True, timeout=600)
    return [str(interpreter), str(PROGRAMS / f"{name}.py")]


def node(name: str, *packages: str) -> list[str]:
    """The same for a program of Node. What it imports is looked for beside it."""
    root = Path(os.environ["SWITCHGEAR_CLIENTS"])
    if not (root / "node_modules" / packages[0]).exists():
        root.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(root), *packages]
        subprocess.run(command, check=True, timeout=600, capture_output=True)
    return ["node", shutil.copy(PROGRAMS / f"{name}.mjs", root)]


async def ran(command: list[str], served: Served, *cases: str) -> list[str]:
    """Return what a program said of the models that play these cases, at all providers."""
    names = [[served.model(provider, case) for case in cases] for provider in PROVIDERS]
    process = await asyncio.create_subprocess_exec(
        *command,
        served.run.url,
        served.run.key,
        json.dumps(names),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await asyncio.wait_for(process.communicate(), 180)
    assert 0 == process.returncode, errors.decode()[-3000:]
    return out.decode().splitlines()


def check(lines: list[str], ways: int, **expected: str) -> None:
    """Compare what was said of each model in several ways; what a tool said may be told in more words."""
    told = {word: [line.partition(": ")[2] for line in lines if line.startswith(f"{word}:")] for word in expected}
    assert {word: ways * len(PROVIDERS) for word in expected} == {word: len(found) for word, found in told.items()}
    for word, found in told.items():
        assert all(expected[word] in one for one in found), (word, found)


async def test_pydantic_ai(all_providers: Served) -> None:
    command = python("with_pydantic_ai", "pydantic-ai-slim[openai,anthropic]")
    said = await ran(command, all_providers, "text", "tools_results", "error_context_length")
    check(said, 3, said=SAYS, streamed=SAYS, called="rain in Paris", refused="400")


async def test_instructor(all_providers: Served) -> None:
    command = python("with_instructor", "instructor")
    said = await ran(command, all_providers, "structured", "text", "error_context_length")
    check(said, 2, said="city='text' people=7", streamed="city='text' people=7", refused="True")


async def test_openai_agents(all_providers: Served) -> None:
    said = await ran(
        python("with_openai_agents", "openai-agents"),
        all_providers,
        "text",
        "tools_results",
        "structured",
        "error_rate_limit",
    )
    check(said, 2, said=SAYS, streamed=SAYS, called="rain in Paris", made="city='text' people=7", refused="429")


async def test_langchain(all_providers: Served) -> None:
    packages = ("langchain-openai", "langchain-anthropic")
    said = await ran(
        python("with_langchain", *packages), all_providers, "text", "tools_results", "structured", "error_rate_limit"
    )
    check(said, 3, said=SAYS, streamed=SAYS, called="rain in Paris", made="city='text' people=7", refused="429")


async def test_litellm(all_providers: Served) -> None:
    said = await ran(python("with_litellm", "litellm"), all_providers, "text", "tools_results", "error_rate_limit")
    check(said, 3, said=SAYS, streamed=SAYS, called="rain in Paris", refused="429")


async def test_dspy(all_providers: Served) -> None:
    said = await ran(python("with_dspy", "dspy"), all_providers, "text", "error_rate_limit")
    check([line for line in said if line.startswith("said:")], 2, said=SAYS)
    check(said, 1, refused="limiting the rate")


async def test_llama_index(all_providers: Served) -> None:
    packages = ("llama-index-llms-openai-like",)
    said = await ran(python("with_llama_index", *packages), all_providers, "text", "tools_results", "error_rate_limit")
    check(said, 1, said=SAYS, streamed=SAYS, called="rain in Paris", refused="429")


async def test_the_ai_sdk(all_providers: Served) -> None:
    packages = ("ai", "@ai-sdk/openai", "@ai-sdk/anthropic", "@ai-sdk/openai-compatible", "zod")
    said = await ran(node("with_ai_sdk", *packages), all_providers, "text", "tools_results", "error_rate_limit")
    check(said, 4, said=SAYS, streamed=SAYS, called="rain in Paris", refused="429")
