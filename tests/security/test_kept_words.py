"""What a client or an operator says stays what it was and where it belongs: other models, other spellings, masks, echoes."""

import asyncio
import base64
import json
from typing import Any

import pytest

from support.faultup import FaultUpstream, Script
from support.gateway import PROVIDER_KEY, SOURCE, Running
from support.shared import gateway, shared_upstream, upstream

__all__ = ["gateway", "shared_upstream", "upstream"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = {"messages": [{"role": "user", "content": "x"}]}
OTHERS: dict[str, Any] = {
    "models": ["secret"],
    "route": "fallback",
    "fallbacks": ["secret"],
    "preset": "secret",
    "providerOptions": {"gateway": {"models": ["secret"], "order": ["a"]}},
}


@pytest.mark.parametrize("type", ["openai", "openai_compatible", "anthropic"])
async def test_members_that_name_other_models_are_left_out_and_named(
    gateway: Running, upstream: FaultUpstream, type: str
) -> None:
    base_url = upstream.base_url.removesuffix("/v1") if type == "anthropic" else upstream.base_url
    await gateway.create("credentials", id=type, type=type, source=SOURCE)
    await gateway.create("providers", id=type, type=type, base_url=base_url, credential_id=type)
    await gateway.create("models", id=f"mine-{type}", provider_id=type, provider_model="claude-mine")
    path = "/v1/messages" if type == "anthropic" else "/v1/chat/completions"
    others = {name: value for name, value in OTHERS.items() if type != "anthropic" or name != "providerOptions"}
    body = {"model": f"mine-{type}", "max_tokens": 9, **CHAT, **others}
    answer = await gateway.http.post(path, json=body, headers=gateway.auth)
    assert 200 == answer.status_code, answer.text
    sent = upstream.ledger.entries[-1].body
    assert b"secret" not in sent
    assert b"fallback" not in sent
    dropped = set(answer.headers["x-switchgear-dropped"].split(", "))
    assert {"models", "route", "fallbacks", "preset"} <= dropped
    assert ("providerOptions" in others) == ("providerOptions.gateway.models" in dropped)
    strict = {**gateway.auth, "x-switchgear-strict": "true"}
    assert 400 == (await gateway.http.post(path, json=body, headers=strict)).status_code


@pytest.mark.parametrize(
    "path",
    [
        "/%76%31/models", "/v1/%6dodels", "/v1%2Fmodels", "//v1/models", "/v1//models", "/v1/models/", "/v1/./models",
        "/v1/x/../models", "/V1/models", "/v1/models;x", "/v1/models%00", "/v1/%6dodels/echo", "/v1/models%2Fecho",
    ],
)  # fmt: skip
async def test_a_route_of_the_data_plane_has_one_spelling(gateway: Running, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = f"GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {gateway.key}\r\nconnection: close\r\n\r\n"
    writer.write(head.encode())
    answer = await reader.read(-1)
    writer.close()
    assert b"404" == answer[9:12], answer[:200]


async def test_names_in_a_path_may_be_escaped(gateway: Running) -> None:
    await gateway.create("aliases", id="acme/llama3:8b", target="echo")
    for path in ("acme/llama3:8b", "acme%2Fllama3%3A8b", "acme%2fllam%613:8b"):
        found = await gateway.http.get(f"/v1/models/{path}", headers=gateway.auth)
        assert (200, "acme/llama3:8b") == (found.status_code, found.json().get("id")), path


async def test_a_mask_is_no_value_wherever_it_stands(gateway: Running) -> None:
    made = await gateway.create(
        "providers",
        id="h",
        type="openai_compatible",
        base_url="http://127.0.0.1:1",
        headers={"x-api-key": PROVIDER_KEY},
    )
    mask = made["headers"]["x-api-key"]
    assert PROVIDER_KEY not in mask
    merge = {"content-type": "application/merge-patch+json"}
    for patch in ({"headers": {"x-plain": mask}}, {"settings": {"models_path": mask}}):
        answer = await gateway.admin.patch("/providers/h", json=patch, headers=merge)
        assert (422, True) == (answer.status_code, "mask of another secret" in answer.text)
    assert (
        200
        == (await gateway.admin.patch("/providers/h", json={"headers": {"x-api-key": mask}}, headers=merge)).status_code
    )


@pytest.mark.parametrize(
    "echo",
    [
        PROVIDER_KEY,
        base64.b64encode(PROVIDER_KEY.encode()).decode(),
        base64.b64encode(f"Bearer {PROVIDER_KEY}".encode()).decode(),
        base64.urlsafe_b64encode(f"x{PROVIDER_KEY}y".encode()).decode(),
    ],
    ids=["plain", "base64", "base64 of the header", "base64 within"],
)
async def test_an_echoed_key_is_recognised_in_other_clothes(
    gateway: Running, upstream: FaultUpstream, echo: str
) -> None:
    upstream.script(Script(status=400, error={"message": f"You sent {echo} to us."}))
    answer = await gateway.chat()
    assert 400 == answer.status_code
    for at in range(0, len(echo) - 16, 4):
        assert echo[at : at + 16] not in answer.text


async def test_a_list_of_models_shows_no_secret(gateway: Running, upstream: FaultUpstream) -> None:
    listed = {"object": "list", "data": [{"id": f"named {PROVIDER_KEY}", "object": "model", "owned_by": PROVIDER_KEY}]}
    upstream.script(Script(body=json.dumps(listed)))
    answer = await gateway.admin.get("/providers/p/models")
    assert (200, False) == (answer.status_code, PROVIDER_KEY in answer.text), answer.text


async def test_a_key_in_the_place_of_a_model_is_not_written_down(gateway: Running) -> None:
    answer = await gateway.chat(model=gateway.key)
    assert 404 == answer.status_code
    record = await gateway.usage_of(answer.headers["x-request-id"])
    assert "***" == record["model"]


@pytest.mark.parametrize("id", ["admin-key", "cli", "first-run"])
async def test_a_key_has_no_name_of_the_gateways_own(gateway: Running, id: str) -> None:
    answer = await gateway.admin.post("/api-keys", json={"id": id, "name": "x"})
    assert (422, True) == (answer.status_code, "is the gateway's own" in answer.text)


ANSWERS = {
    "/v1/messages": '{"id":"x","type":"message","role":"assistant","model":"x","content":[],"stop_reason":"end_turn","usage":{}}',
    "/v1/responses": '{"id":"x","object":"response","status":"completed","model":"x","output":[]}',
}
TOOLS: dict[str, tuple[str, dict[str, Any]]] = {
    "an adviser": ("/v1/messages", {"type": "advisor_20260301", "name": "advisor", "model": "secret"}),
    "pictures": ("/v1/responses", {"type": "image_generation", "model": "secret"}),
    "a fusion": ("/v1/chat/completions", {"type": "openrouter:fusion", "parameters": {"models": ["secret", "m"]}}),
    "escaped": ("/v1/responses", {"type": "image_generation", "mod\\u0065l": "secret"}),
}


@pytest.mark.parametrize("what", list(TOOLS))
async def test_models_of_tools_are_those_that_the_key_may_use(
    gateway: Running, upstream: FaultUpstream, what: str
) -> None:
    path, tool = TOOLS[what]
    mine = what.replace(" ", "-")
    type, base_url = "openai_compatible", upstream.base_url
    settings: dict[str, Any] = {"settings": {"wires": ["chat", "responses"]}}
    if path == "/v1/messages":
        type, base_url, settings = "anthropic", upstream.base_url.removesuffix("/v1"), {}
    await gateway.create("credentials", id=mine, type=type, source=SOURCE)
    await gateway.create("providers", id=mine, type=type, base_url=base_url, credential_id=mine, **settings)
    await gateway.create("models", id=mine, provider_id=mine, provider_model="claude-mine")
    said = {"input": "x"} if path == "/v1/responses" else {"max_tokens": 9, **CHAT}
    body = json.dumps({"model": mine, **said, "tools": [tool]}).replace("\\\\u0065", "\\u0065").encode()

    async def ask(models: list[str]) -> tuple[bytes, str]:
        _, key = await gateway.new_key(permissions={"models": models})
        upstream.script(Script(body=ANSWERS.get(path)))
        answer = await gateway.http.post(path, content=body, headers={"authorization": f"Bearer {key}"})
        assert 200 == answer.status_code, answer.text
        return upstream.ledger.entries[-1].body, answer.headers.get("x-switchgear-dropped", "")

    sent, dropped = await ask([mine])
    assert (False, True) == (b"secret" in sent, "model" in dropped), (sent, dropped)
    for models in ([mine, "secret", "m"], ["*"]):
        sent, dropped = await ask(models)
        assert (True, "") == (b"secret" in sent, dropped)


async def test_a_schema_that_has_a_model_in_it_names_none(gateway: Running, upstream: FaultUpstream) -> None:
    _, key = await gateway.new_key(permissions={"models": ["m"]})
    schema = {"type": "object", "properties": {"model": {"type": "string", "enum": ["secret"]}}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    body = {"model": "m", **CHAT, "tools": tools, "extra_body": {"model": "other", "models": ["other"], "a": 1}}
    answer = await gateway.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
    sent = json.loads(upstream.ledger.entries[-1].body)
    assert (tools, {"a": 1}) == (sent["tools"], sent["extra_body"])
    assert "extra_body.model, extra_body.models" == answer.headers["x-switchgear-dropped"]
