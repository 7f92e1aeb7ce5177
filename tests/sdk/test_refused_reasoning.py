"""Reasoning that its vendor does not know for its own any more ends no session: it is asked once more without it."""

import base64
import json
from typing import Any

import pytest

from matrix.clients import CLIENTS
from matrix.scenarios import CASES
from sdk.served import Served

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEALED = ("signature", "data", "encrypted_content")
MARKS = ("switchgear.v1.", "sg1.")
ROUND = CASES["reasoning_tools"]


def spoiled(value: Any) -> Any:
    """Return a conversation whose signatures and encrypted reasoning are not what their makers made."""
    if isinstance(value, list):
        return [spoiled(it) for it in value]
    if isinstance(value, dict):
        return {
            name: other(it) if name in SEALED and isinstance(it, str) else spoiled(it) for name, it in value.items()
        }
    return value


def other(sealed: str) -> str:
    for mark in MARKS:
        if sealed.startswith(mark):
            inner = json.loads(base64.urlsafe_b64decode(sealed[len(mark) :]))
            return mark + base64.urlsafe_b64encode(json.dumps(spoiled(inner)).encode()).decode()
    return base64.b64encode(b"another's").decode()


@pytest.mark.parametrize("dialect", ["chat", "messages", "responses"])
async def test_a_session_goes_on_without_reasoning_that_is_refused(
    all_providers: Served, provider: str, dialect: str, stream: bool
) -> None:
    run, client = all_providers.run, CLIENTS[dialect]
    headers = {**run.auth, "anthropic-version": "2023-06-01"}
    asked = client.ask(all_providers.model(provider, "reasoning_tools"), ROUND.wish, stream=False)
    assert asked is not None
    if dialect == "responses":
        asked["include"] = ["reasoning.encrypted_content"]
    answer = (await run.http.post(client.path, json=asked, headers=headers)).json()
    second = client.go_on(asked, answer)
    bad = spoiled(second)
    if stream:
        bad["stream"] = True
    told = await run.http.post(client.path, json=bad, headers=headers)
    assert 200 == told.status_code, told.text
    seen = client.read(client.whole(told.text)[0] if stream else told.json())
    assert seen.text.startswith("The tools said: ")
    if bad == second:
        return  # it shows nothing that comes back
    record = await run.usage_of(told.headers["x-request-id"])
    assert record["attempts"] <= 2
    if record["attempts"] == 2:
        assert "asked again without it" in " ".join(record["why"])
        assert told.headers["x-switchgear-dropped"]
    if (provider, dialect) in {("anthropic", "messages"), ("anthropic", "chat"), ("azure_openai", "responses")}:
        assert 2 == record["attempts"]


async def test_a_strict_client_is_told_of_the_refusal(all_providers: Served) -> None:
    run, client = all_providers.run, CLIENTS["messages"]
    headers = {**run.auth, "anthropic-version": "2023-06-01"}
    asked = client.ask(all_providers.model("anthropic", "reasoning_tools"), ROUND.wish, stream=False)
    assert asked is not None
    answer = (await run.http.post(client.path, json=asked, headers=headers)).json()
    body = spoiled(client.go_on(asked, answer))
    told = await run.http.post(client.path, json=body, headers={**headers, "x-switchgear-strict": "true"})
    assert (400, "1") == (told.status_code, told.headers["x-switchgear-attempts"])
    assert "signature" in told.json()["error"]["message"]
