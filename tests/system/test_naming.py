"""Models that are called as `provider/model`, and the providers that keys in the environment make at the first run."""

import json
from pathlib import Path

import httpx
import pytest

from support.faultup import FaultUpstream, Script
from support.gateway import Running
from support.process import serving, switchgear

HELLO = [{"role": "user", "content": "hi"}]


async def ask(gateway: Running, model: str, key: str) -> httpx.Response:
    body = {"model": model, "messages": HELLO}
    return await gateway.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})


async def test_a_providers_model_is_called_by_both_names(gateway: Running, upstream: FaultUpstream) -> None:
    answer = await ask(gateway, "p/nobody-made-this", gateway.key)
    assert 200 == answer.status_code, answer.text
    assert ("p/nobody-made-this", "p") == (
        answer.headers["x-switchgear-model"],
        answer.headers["x-switchgear-provider"],
    )
    assert "nobody-made-this" == json.loads(upstream.ledger.entries[-1].body)["model"]
    record = await gateway.usage_of(answer.headers["x-request-id"])
    assert ("p/nobody-made-this", "nobody-made-this") == (record["model"], record["provider_model"])


async def test_a_key_may_use_all_models_of_one_provider(gateway: Running, upstream: FaultUpstream) -> None:
    await gateway.create(
        "credentials", id="other", type="openai", source={"backend": "encrypted", "values": {"api_key": "k" * 9}}
    )
    await gateway.create("providers", id="other", type="openai", base_url=upstream.base_url, credential_id="other")
    _, key = await gateway.new_key(permissions={"models": ["p/*"]})
    assert 200 == (await ask(gateway, "p/any/model:of-it", key)).status_code
    before = len(upstream.ledger)
    for model in ("other/any", "m", "echo", "p", "pp/any", "P/any", "p/", "p/../other/any\n"):
        refused = await ask(gateway, model, key)
        assert (404, "model_not_found") == (refused.status_code, refused.json()["error"]["code"]), model
    assert before == len(upstream.ledger)


async def test_names_that_clients_make_up_are_one_label(gateway: Running, upstream: FaultUpstream) -> None:
    for number in range(5):
        upstream.script(Script(content="one two"))
        assert 200 == (await ask(gateway, f"p/made-up-{number}", gateway.key)).status_code
    headers = {"authorization": gateway.admin.headers["authorization"]}
    metrics = (await gateway.http.get("/metrics", headers=headers)).text
    assert 'model="p/*"' in metrics
    assert "made-up" not in metrics


KEYS = {
    "OPENAI_API_KEY": ("openai", "openai"),
    "ANTHROPIC_API_KEY": ("anthropic", "anthropic"),
    "GEMINI_API_KEY": ("gemini", "vertex"),
    "GROQ_API_KEY": ("groq", "openai_compatible"),
    "MISTRAL_API_KEY": ("mistral", "openai_compatible"),
}


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KEYS, "GOOGLE_API_KEY", "DEEPSEEK_API_KEY", "TOGETHER_API_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_keys_in_the_environment_make_providers_at_the_first_run(tmp_path: Path, alone: None) -> None:
    canaries = {name: f"canary-{name.lower()}-0123456789" for name in KEYS}
    argv = switchgear("--data-dir", str(tmp_path / "data"))
    with serving(argv, cwd=tmp_path, env={**canaries, "ADMIN_KEY": "admin-key-of-the-tests"}) as gateway:
        gateway.until(lambda: "curl " in gateway.output(), 10, "the welcome")
        admin = httpx.Client(
            base_url=f"{gateway.url}/admin/v1", headers={"authorization": "Bearer admin-key-of-the-tests"}
        )
        said = gateway.output()
        found = {one["id"]: one for one in admin.get("/providers").json()["data"]}
        held = {one["id"]: one for one in admin.get("/credentials").json()["data"]}
        for name, (id, type) in KEYS.items():
            assert id in said
            assert (type, f"{id}-env") == (found[id]["type"], found[id]["credential_id"])
            assert {"backend": "env", "variables": {"api_key": name}} == held[f"{id}-env"]["source"]
        key = (tmp_path / "data" / "first-api-key").read_text().strip()
        refused = httpx.post(
            f"{gateway.url}/v1/chat/completions",
            json={"model": "openai/", "messages": HELLO},
            headers={"authorization": f"Bearer {key}"},
        )
        assert 404 == refused.status_code
        everything = gateway.output() + json.dumps(found) + json.dumps(held)
    assert [] == [value for value in canaries.values() if value in everything]
