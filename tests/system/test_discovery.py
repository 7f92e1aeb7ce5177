"""What providers say when the gateway asks them which models they have, and whether a credential is good."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from matrix.providers import NAMES
from sdk.served import Served, served
from support.faultup import Script
from support.ports import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOUND = {
    "openai": ["gpt-4o", "gpt-4o-mini", "text-embedding-3-small"],
    "openai_compatible": ["gpt-4o", "gpt-4o-mini", "text-embedding-3-small"],
    "azure_openai": ["gpt-4o", "gpt-4o-mini"],
    "anthropic": ["claude-sonnet-4-5", "claude-opus-4-5", "claude-haiku-4-5"],
    "bedrock": [
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "amazon.titan-embed-text-v2:0",
        *(f"{where}.anthropic.claude-sonnet-4-5-20250929-v1:0" for where in ("us", "eu", "global")),
    ],
    "vertex": ["gemini-2.5-flash", "gemini-2.5-pro", "gemini-3-pro"],
    "vertex_claude": ["gemini-2.5-flash", "gemini-2.5-pro", "gemini-3-pro"],
    "ai_studio": ["gemini-2.5-flash", "gemini-2.5-pro", "gemini-3-pro"],
    "gigachat": ["GigaChat-2", "GigaChat-2-Max"],
}
PAGES = {"anthropic": 2, "bedrock": 3, "vertex": 2, "vertex_claude": 2, "ai_studio": 2}
BAD = "wr0ng-canary-key-0123456789"
WRONG: dict[str, tuple[dict[str, str], str, str, int | None]] = {
    "openai": ({"api_key": BAD}, "call", "auth", 401),
    "openai_compatible": ({"api_key": BAD}, "call", "auth", 401),
    "azure_openai": ({"api_key": BAD}, "call", "auth", 401),
    "anthropic": ({"api_key": BAD}, "call", "auth", 401),
    "bedrock": ({"access_key_id": "AKIAIOSFODNN7WRONGID", "secret_access_key": BAD}, "call", "auth", 403),
    "ai_studio": ({"api_key": BAD}, "call", "auth", 400),
    "gigachat": ({"access_token": BAD}, "call", "auth", 401),
}
"""For each type a credential that is not good: how far its test gets, and what comes of it."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def all_providers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with served(tmp_path_factory.mktemp("gateway")) as made:
        made.upstream.named.clear()  # they would all be on the lists of models
        made.upstream.desk.bad_keys.add(BAD)
        yield made


async def tried(served: Served, id: str) -> dict[str, Any]:
    answer = await served.run.admin.post(f"/credentials/{id}/test")
    assert 200 == answer.status_code, answer.text
    found: dict[str, Any] = answer.json()
    return found


def problem(answer: httpx.Response) -> str:
    """Return the word for what is wrong."""
    kind: str = answer.json()["type"]
    return kind.removeprefix("urn:switchgear:problem:")


async def make(served: Served, id: str, type: str, source: dict[str, Any], **members: Any) -> None:
    await served.run.create("credentials", id=id, type=type, source=source)
    await served.run.create("providers", id=id, type=type, credential_id=id, **members)


@pytest.mark.parametrize("provider", NAMES)
async def test_lists_every_page_of_a_providers_models(all_providers: Served, provider: str) -> None:
    run, row = all_providers.run, all_providers.rows[provider]
    name = FOUND[provider][-1]
    await run.create("models", id=f"known-{provider}", provider_id=provider, provider_model=name)
    before = len(all_providers.upstream.ledger)
    answer = await run.admin.get(f"/providers/{provider}/models")
    assert 200 == answer.status_code, answer.text
    found = answer.json()["data"]
    assert FOUND[provider] == [model["name"] for model in found]
    assert [[]] * (len(found) - 1) + [[f"known-{provider}"]] == [model["model_ids"] for model in found]
    asked = [one for one in all_providers.upstream.ledger.entries[before:] if one.method == "GET"]
    assert PAGES.get(provider, 1) == len(asked)
    assert [] == [value for value in row.secret.values() if len(value) > 8 and value in answer.text]


@pytest.mark.parametrize("provider", NAMES)
async def test_finds_a_good_credential_good(all_providers: Served, provider: str) -> None:
    found = await tried(all_providers, provider)
    assert (True, None, None) == (found["ok"], found["step"], found["cause"])
    assert found["latency_ms"] >= 0
    assert provider == found["provider"]


@pytest.mark.parametrize("type", WRONG)
async def test_says_that_a_key_is_refused(all_providers: Served, type: str) -> None:
    row = all_providers.rows[type]
    secret, step, cause, status = WRONG[type]
    url = f"{all_providers.upstream.url}{row.base}"
    source = {"backend": "encrypted", "values": secret}
    await make(all_providers, f"wrong-{type}", row.type, source, base_url=url, settings=row.settings)
    found = await tried(all_providers, f"wrong-{type}")
    assert (False, step, cause, status) == (found["ok"], found["step"], found["cause"], found["status"])
    assert f"wrong-{type}" == found["provider"]
    assert found["detail"]
    listed = await all_providers.run.admin.get(f"/providers/wrong-{type}/models")
    assert (502, "upstream_auth") == (listed.status_code, problem(listed))
    assert [] == [value for value in secret.values() if value in json.dumps(found) + listed.text]


async def test_says_that_a_service_accounts_token_is_refused(all_providers: Served) -> None:
    row = all_providers.rows["vertex"]
    account = json.loads(row.secret["service_account"]) | {"client_email": "nobody@project.iam.gserviceaccount.com"}
    source = {"backend": "encrypted", "values": {"service_account": json.dumps(account)}}
    url = all_providers.upstream.url
    await make(all_providers, "wrong-account", "vertex", source, base_url=url, settings=row.settings)
    found = await tried(all_providers, "wrong-account")
    assert (False, "secret", "credential") == (found["ok"], found["step"], found["cause"])
    assert "token of provider wrong-account" in found["detail"]
    assert "auth" in found["detail"]
    listed = await all_providers.run.admin.get("/providers/wrong-account/models")
    assert (503, "credential_unavailable") == (listed.status_code, problem(listed))
    assert account["private_key"].splitlines()[3] not in json.dumps(found) + listed.text


@pytest.mark.parametrize("provider", NAMES)
async def test_says_which_variable_is_not_set(all_providers: Served, provider: str) -> None:
    row = all_providers.rows[provider]
    source = {"backend": "env", "variables": {"api_key": "VARIABLE_THAT_IS_NOT_SET"}}
    url = f"{all_providers.upstream.url}{row.base}"
    await make(all_providers, f"unset-{provider}", row.type, source, base_url=url, settings=row.settings)
    found = await tried(all_providers, f"unset-{provider}")
    assert (False, "secret", "credential") == (found["ok"], found["step"], found["cause"])
    assert "VARIABLE_THAT_IS_NOT_SET is not set" in found["detail"]


@pytest.mark.parametrize("provider", NAMES)
async def test_says_that_a_provider_cannot_be_reached(all_providers: Served, provider: str) -> None:
    row = all_providers.rows[provider]
    source = {"backend": "encrypted", "values": row.secret}
    base_url = f"http://127.0.0.1:{free_port()}{row.base}"
    await make(all_providers, f"away-{provider}", row.type, source, base_url=base_url, settings=row.settings)
    found = await tried(all_providers, f"away-{provider}")
    assert (False, "call", "connect") == (found["ok"], found["step"], found["cause"])
    listed = await all_providers.run.admin.get(f"/providers/away-{provider}/models")
    assert (502, "upstream_connect") == (listed.status_code, problem(listed))


async def test_says_that_nobody_can_be_asked(all_providers: Served) -> None:
    source = {"backend": "encrypted", "values": {"api_key": "k"}}
    await all_providers.run.create("credentials", id="idle", type="azure_openai", source=source)
    found = await tried(all_providers, "idle")
    assert (False, "provider", "provider") == (found["ok"], found["step"], found["cause"])
    assert "base_url" in found["detail"]


async def test_a_type_that_cannot_be_asked_is_a_conflict(all_providers: Served) -> None:
    answer = await all_providers.run.admin.get("/providers/echo/models")
    assert (409, "not_supported") == (answer.status_code, problem(answer))


async def test_what_is_not_there_is_not_found(all_providers: Served) -> None:
    run = all_providers.run
    assert 404 == (await run.admin.get("/providers/nobody/models")).status_code
    assert 404 == (await run.admin.post("/credentials/nobody/test")).status_code


@pytest.mark.parametrize("provider", ["openai", "openai_compatible"])
@pytest.mark.parametrize(
    ("script", "cause"),
    [
        (Script(status=500), "server"),
        (Script(status=429, headers={"retry-after": "7"}), "rate_limit"),
        (Script(body="<html>Not me</html>"), "protocol"),
        (Script(body='{"data": 7}'), "protocol"),
        (Script(cut_at=10), "connection"),
    ],
    ids=["500", "429", "html", "types", "cut"],
)
async def test_says_how_a_provider_fails(all_providers: Served, provider: str, script: Script, cause: str) -> None:
    path = "/models"
    all_providers.upstream.script(script, path=path)
    found = await tried(all_providers, provider)
    assert (False, "call", cause) == (found["ok"], found["step"], found["cause"])
    all_providers.upstream.script(script, path=path)
    assert (await all_providers.run.admin.get(f"/providers/{provider}/models")).status_code in {429, 502}
