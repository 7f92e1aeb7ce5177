"""The price catalogue over a whole gateway: models without a price of their own, and the command that replaces it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from support.faultup import FaultUpstream, Script
from support.gateway import Running, running
from switchgear.cli import main
from switchgear_plugins.prices import book
from switchgear_plugins.prices.book import decode
from switchgear_plugins.prices.plugin import PricesPlugin

PLUGINS = "prices = { enabled = true }"


@pytest.fixture
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        up.default = Script(chunks=1000, prompt_tokens=1000)
        yield up


async def ask(run: Running, **members: Any) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}
    answer = await run.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {run.key}"})
    assert 200 == answer.status_code, answer.text
    return answer


async def test_a_model_without_a_price_has_that_of_the_catalogue(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with running(tmp_path, upstream, plugins=PLUGINS) as run:
        await run.create(
            "credentials", id="known", type="openai", source={"backend": "encrypted", "values": {"api_key": "k"}}
        )
        await run.create("providers", id="known", type="openai", credential_id="known")
        await run.create("models", id="g", provider_id="known", provider_model="gpt-4o")
        listed = (await run.admin.get("/prices")).json()
        found = {it["model"]: it for it in listed["data"]}
        assert {"input": 2_500_000, "output": 10_000_000} == {it: found["g"]["units"][it] for it in ("input", "output")}
        assert listed["book"] == found["g"]["version"]
        assert "MIT" in listed["notice"]
        assert None is found["m"]["units"], "its provider speaks as OpenAI does, and is none the less another"
        without = (await run.admin.get("/prices", params={"unpriced": "true"})).json()["data"]
        assert "m" in [it["model"] for it in without]

        await ask(run)
        misspelt = await run.admin.patch("/models/m", json={"pricing": {"inptu": 1, "output": 2}})
        [wrong] = misspelt.json()["errors"]
        assert (422, "/pricing/inptu") == (misspelt.status_code, wrong["pointer"])
        assert "Did you mean `input`? Units are `audio_input`," in wrong["detail"]
        await run.patch("/models/m", pricing={"input": 2_000_000, "output": 8_000_000})
        await ask(run)
        records = sorted((await run.all_usage()).values(), key=lambda it: it["at_us"])
        assert [None, 10_000] == [it["cost_microusd"] for it in records]
        assert None is records[0]["price_version"]
        assert records[1]["price_version"].startswith("model ")
        said = (await run.admin.post("/prices/reprice", json={})).json()
        assert (2, 10_000, 20_000, 1, 0, True) == (
            said["requests"], said["recorded_microusd"], said["repriced_microusd"], said["unknown"], said["unpriced"],
            said["complete"],
        )  # fmt: skip
        half = (await run.admin.post("/prices/reprice", json={"most": 1})).json()
        assert (1, False) == (half["requests"], half["complete"])
        assert [None, 10_000] == [
            it["cost_microusd"] for it in sorted((await run.all_usage()).values(), key=lambda it: it["at_us"])
        ], "nothing is changed by asking"


BOOK = {
    "source": "ours", "date": "2026-11-30",
    "providers": {"openai": {"hosts": ["127.0.0.1"], "models": [{"id": "upstream-model", "prices": [{
        "units": {"input": 1_000_000, "output": 1_000_000},
        "services": {"priority": {"units": {"input": 2_000_000, "output": 3_000_000}}},
        "tiers": [{"above": 2000, "units": {"input": 5_000_000}}],
    }]}]}},
}  # fmt: skip


async def test_another_service_tier_and_a_longer_call_cost_otherwise(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with running(tmp_path, upstream, plugins=PLUGINS) as run:
        [plugin] = [it.plugin for it in run.gateway.kernel.plugins if it.installed.name == "prices"]
        assert isinstance(plugin, PricesPlugin)
        await plugin.take(decode(json.dumps(BOOK).encode()))
        await ask(run)
    async with running(tmp_path, upstream, plugins=PLUGINS) as run:
        await ask(run)
        await ask(run, service_tier="priority")
        await ask(run, service_tier="auto")
        upstream.default = Script(chunks=1000, prompt_tokens=2001)
        await ask(run)
        records = sorted((await run.all_usage()).values(), key=lambda it: it["at_us"])
        assert [None, 2000, 5000, 2000, 5 * 2001 + 1000] == [it["cost_microusd"] for it in records]
        assert "ours 2026-11-30" == records[-1]["price_version"]


async def invoke(directory: Path, *arguments: str) -> Any:
    place = ["--config", str(directory / "plugins.toml"), "--data-dir", str(directory / "data")]
    return await asyncio.to_thread(CliRunner().invoke, main, ["catalogue", *arguments, *place])


async def test_a_catalogue_is_taken_over_shown_and_refused(tmp_path: Path) -> None:
    async with running(tmp_path, plugins=PLUGINS):
        pass
    shipped = json.loads((Path(book.__file__).parent / "book.json").read_text())
    for model in shipped["providers"]["openai"]["models"]:
        if "gpt-4o" == model["id"]:
            model["prices"][-1]["units"]["input"] += 1
    (tmp_path / "newer.json").write_text(json.dumps({**shipped, "date": "2030-01-01"}))
    (tmp_path / "small.json").write_text(json.dumps(BOOK))
    said = await invoke(tmp_path, "sync", str(tmp_path / "newer.json"), "--dry-run", "--json")
    assert 0 == said.exit_code, said.output
    assert ["openai/gpt-4o"] == json.loads(said.stdout)["changed"]
    assert shipped["date"] == json.loads((await invoke(tmp_path, "show", "--json")).stdout)["date"]
    assert 0 == (await invoke(tmp_path, "sync", str(tmp_path / "newer.json"))).exit_code
    assert "2030-01-01" == json.loads((await invoke(tmp_path, "show", "--json")).stdout)["date"]
    assert "2500001" in (await invoke(tmp_path, "show", "openai/gpt-4o")).output
    for source, why in (
        (str(tmp_path / "small.json"), "not taken"),
        (str(tmp_path / "missing.json"), "missing.json"),
        ("http://127.0.0.1:1/x", "cannot be fetched"),
        (str(tmp_path / "plugins.toml"), "neither"),
    ):
        refused = await invoke(tmp_path, "sync", source)
        assert refused.exit_code
        assert why in refused.output + str(refused.exception)
