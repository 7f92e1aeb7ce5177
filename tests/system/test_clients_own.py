"""Providers that are asked with what each client has there itself: it goes there and nowhere else."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from matrix.providers import rows
from support.faultup import FaultUpstream, Script
from support.gateway import PROVIDER_KEY, Running, running

OWN = "oat-of-my-own-4242"
KEY = "x-switchgear-key"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[tuple[Running, FaultUpstream]]:
    """The models `own` and `mine` take what is the client's, in two forms; the chain `c` goes from `own` to `m`."""
    async with FaultUpstream() as upstream, running(tmp_path, upstream) as run:
        await run.create("providers", id="own", type="openai", base_url=upstream.base_url, auth="client")
        await run.create("models", id="own", provider_id="own", provider_model="own-model")
        base = f"{upstream.url}{rows(upstream)['anthropic'].base}"
        await run.create("providers", id="mine", type="anthropic", base_url=base, auth="client")
        await run.create("models", id="mine", provider_id="mine", provider_model="claude-sonnet-4-5")
        await run.create("chains", id="c", steps=[{"target": "own"}, {"target": "m"}])
        yield run, upstream


async def ask(run: Running, model: str, **headers: str) -> httpx.Response:
    body: dict[str, Any] = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": "q"}]}
    path = "/v1/messages" if model == "mine" else "/v1/chat/completions"
    return await run.http.post(path, json=body, headers={name.replace("_", "-"): it for name, it in headers.items()})


async def test_what_is_the_clients_own_goes_to_its_provider_alone(gateway: tuple[Running, FaultUpstream]) -> None:
    run, upstream = gateway
    for model in ("own", "mine"):
        answer = await ask(run, model, x_switchgear_key=run.key, authorization=f"Bearer {OWN}")
        assert 200 == answer.status_code, answer.text
        sent = dict(upstream.ledger.entries[-1].headers)
        assert f"Bearer {OWN}" == sent["authorization"]
        assert run.key not in str(sent)
        assert OWN not in str(await run.usage_of(answer.headers["x-request-id"]))
    await ask(run, "mine", x_switchgear_key=run.key, x_api_key=OWN)
    assert OWN == dict(upstream.ledger.entries[-1].headers)["x-api-key"]
    upstream.script(Script(cause="rate_limit"))
    answer = await ask(run, "c", x_switchgear_key=run.key, authorization=f"Bearer {OWN}")
    assert (200, "m") == (answer.status_code, answer.headers["x-switchgear-model"])
    assert f"Bearer {PROVIDER_KEY}" == dict(upstream.ledger.entries[-1].headers)["authorization"]


async def test_who_brings_nothing_is_told_how_and_other_targets_are_asked(
    gateway: tuple[Running, FaultUpstream],
) -> None:
    run, upstream = gateway
    refused = await ask(run, "own", authorization=f"Bearer {run.key}")
    assert (400, "no_credentials") == (refused.status_code, refused.json()["error"]["code"])
    assert [] == list(upstream.ledger.entries), "the gateway's key is nobody's own"
    assert "m" == (await ask(run, "c", authorization=f"Bearer {run.key}")).headers["x-switchgear-model"]


async def test_who_is_refused_is_told_so_in_words_that_are_not_the_providers(
    gateway: tuple[Running, FaultUpstream],
) -> None:
    run, upstream = gateway
    upstream.script(Script(cause="auth", error={"message": f"bad key {OWN}"}))
    answer = await ask(run, "own", x_switchgear_key=run.key, authorization=f"Bearer {OWN}")
    assert (401, "provider") == (answer.status_code, answer.headers["x-switchgear-error-source"])
    assert OWN not in answer.text
    assert 200 == (await ask(run, "own", x_switchgear_key=run.key, authorization=f"Bearer {OWN}")).status_code


async def test_such_a_provider_has_no_credential(gateway: tuple[Running, FaultUpstream]) -> None:
    run, _ = gateway
    refused = await run.admin.post(
        "/providers", json={"id": "x", "type": "openai", "auth": "client", "credential_id": "c"}
    )
    assert 422 == refused.status_code
    assert "/credential_id" in refused.text
