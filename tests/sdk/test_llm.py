"""`llm`, in its process and as a command, with the gateway as the `api_base` of its OpenAI models."""

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import llm
import pytest
import pytest_asyncio
import yaml

from matrix.providers import NAMES
from matrix.scenarios import PIXEL, SAYS, SCHEMA
from sdk.served import WITHOUT_IMAGES, Served

pytestmark = pytest.mark.asyncio(loop_scope="module")

CASES = ("text", "usage", "tools", "image_data", "structured")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def user_path(all_providers: Served, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """Write what a user writes: a YAML file of models and a key."""
    path = tmp_path_factory.mktemp("llm")
    models = [
        {
            "model_id": f"{provider}-{case}",
            "model_name": all_providers.model(provider, case),
            "api_base": all_providers.run.base_url,
            "api_key_name": "gateway",
            "supports_tools": True,
            "supports_schema": True,
            "vision": True,
        }
        for provider in NAMES
        for case in CASES
    ]
    (path / "extra-openai-models.yaml").write_text(yaml.safe_dump(models))
    (path / "keys.json").write_text(json.dumps({"gateway": all_providers.run.key}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLM_USER_PATH", str(path))
        yield path


@pytest.fixture(scope="module")
def models(user_path: Path) -> dict[str, Any]:
    return {model.model_id: model for model in llm.get_async_models()}


async def test_says_text(models: dict[str, Any], provider: str, stream: bool) -> None:
    answer = models[f"{provider}-usage"].prompt("Say hello", system="Be brief.", stream=stream)
    assert SAYS == await answer.text()
    assert 120 == (await answer.usage()).input


async def test_chains_tools(models: dict[str, Any], provider: str, stream: bool, all_providers: Served) -> None:
    def weather(city: str) -> str:
        """Tell the weather."""
        return f"mild in {city}"

    def clock(zone: str) -> str:
        """Tell the time."""
        return f"noon in {zone}"

    chain = models[f"{provider}-tools"].chain("Say hello", tools=[weather, clock], stream=stream)
    said = await chain.text()
    assert "The tools said: " in said
    assert "mild in Paris" in said
    assert ("noon in CET" in said) is all_providers.rows[provider].parallel


async def test_sees_an_image(models: dict[str, Any], provider: str, stream: bool) -> None:
    picture = llm.Attachment(type="image/png", content=base64.b64decode(PIXEL))
    answer = models[f"{provider}-image_data"].prompt("What?", attachments=[picture], stream=stream)
    if provider in WITHOUT_IMAGES:
        with pytest.raises(Exception, match="cannot"):
            await answer.text()
    else:
        assert "I see image/png of 64 bytes." == await answer.text()


async def test_answers_in_a_shape(models: dict[str, Any], provider: str, stream: bool) -> None:
    answer = models[f"{provider}-structured"].prompt("Which city?", schema=SCHEMA, stream=stream)
    assert {"city": "text", "people": 7} == json.loads(await answer.text())


async def run(user_path: Path, *arguments: str) -> str:
    command = Path(sys.executable).with_name("llm")
    environ: Any = {**os.environ, "LLM_USER_PATH": str(user_path)}
    process = await asyncio.create_subprocess_exec(
        command, *arguments, env=environ, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, wrong = await asyncio.wait_for(process.communicate(), 60)
    assert 0 == process.returncode, wrong.decode()
    return said.decode()


async def test_the_command_says_text_and_logs_what_was_used(user_path: Path) -> None:
    assert f"{SAYS}\n" == await run(user_path, "-m", "anthropic-usage", "Say hello")
    assert f"{SAYS}\n" == await run(user_path, "-m", "vertex-usage", "--no-stream", "Say hello")
    logged = json.loads(await run(user_path, "logs", "--json", "-n", "2"))
    assert [("anthropic-usage", SAYS, 120), ("vertex-usage", SAYS, 120)] == [
        (one["model"], one["response"], one["input_tokens"]) for one in logged
    ]
