"""What operators ask about routing: it is what a request would meet, and asking changes nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.faultup import FaultUpstream, Script
from support.gateway import ADMIN_KEY, SOURCE, Running, running
from support.process import switchgear

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


@pytest.fixture
async def gateway(tmp_path: Path, upstream: FaultUpstream) -> AsyncIterator[Running]:
    """The model `m` at `p`; `blunt` is at `p` too, has no tools and a price; the key `limited` may use `fast` alone."""
    async with running(tmp_path, upstream, gateway='model_prefix = "corp"') as run:
        pricing = {"input": 2_000_000, "output": 8_000_000}
        await run.create(
            "models",
            id="blunt",
            provider_id="p",
            provider_model="blunt-model",
            capabilities={"tools": False},
            pricing=pricing,
        )
        yield run


async def asked(gateway: Running, model: str, **question: Any) -> dict[str, Any]:
    """Explain a request for a model; what is in `request` goes into it."""
    request = {"model": model, "messages": [{"role": "user", "content": "hi"}], **question.pop("request", {})}
    answer = await gateway.admin.post("/explain", json={"request": request, **question})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def refused(gateway: Running, **question: Any) -> dict[str, str]:
    answer = await gateway.admin.post("/explain", json=question)
    assert answer.status_code == 422, answer.text
    return {error["pointer"]: error["detail"] for error in answer.json()["errors"]}


def obstacles(target: dict[str, Any]) -> list[str]:
    return [obstacle["reason"] for obstacle in target["obstacles"]]


async def test_a_name_is_followed_step_by_step(gateway: Running, upstream: FaultUpstream) -> None:
    await gateway.create("pools", id="both", targets=[{"model": "m"}, {"model": "echo"}], strategy="round_robin")
    steps = [{"target": "both", "max_latency_ms": 1500, "max_retries": 2, "on": ["429"]}, {"target": "p/direct"}]
    await gateway.create("chains", id="safe", steps=steps, budget={"attempts": 3}, recovery="buffer")
    await gateway.create("aliases", id="acme/best", target="safe")
    found = await asked(gateway, "corp/acme/best")
    assert ("corp/acme/best", "acme/best", True, None) == tuple(
        found[name] for name in ("written", "model", "enabled", "refused")
    )
    assert [
        ("acme/best", "alias", ["safe"]),
        ("safe", "chain", ["both", "p/direct"]),
        ("both", "pool", ["m", "echo"]),
        ("m", "model", []),
        ("echo", "model", []),
        ("p/direct", "provider/model", []),
    ] == [(name["name"], name["kind"], name["leads_to"]) for name in found["names"]]
    assert [("m", "p"), ("echo", "echo"), ("p/direct", "p")] == [
        (target["model"], target["provider"]) for target in found["targets"]
    ]
    first, second, last = found["targets"]
    assert (2, 1.5, True) == (first["retries"], first["first_token_s"], first["eligible"])
    assert ["rate_limit"] == second["on"]
    assert (None, None, None) == (last["retries"], last["first_token_s"], last["on"])
    assert (3, None, "buffer") == (found["attempts"], found["seconds"], found["recovery"])
    assert "acme/best is an alias of safe" == found["why"][0]
    assert "closed" == first["health"]["breaker"]["state"]
    assert 0 == len(upstream.ledger)
    assert [] == await gateway.usage()


async def test_a_pool_has_drawn_once(gateway: Running) -> None:
    await gateway.create("pools", id="turns", targets=[{"model": "m"}, {"model": "echo"}], strategy="round_robin")
    said = (await asked(gateway, "turns"))["targets"][0]["model"]
    answered = (await gateway.chat(model="turns")).headers["x-switchgear-model"]
    assert ["m", "echo"] == [said, answered]


async def test_names_that_providers_share_lead_to_each(gateway: Running) -> None:
    await gateway.patch("/providers/p", model_mapping={"gpt": "gpt-1"})
    await gateway.create("providers", id="e", type="echo", model_mapping={"gpt": "echo"}, weight=0)
    found = await asked(gateway, "gpt")
    assert ("shared", ["e/echo", "p/gpt-1"]) == (found["names"][0]["kind"], found["names"][0]["leads_to"])
    assert ["p/gpt-1", "e/echo"] == [target["model"] for target in found["targets"]]


async def test_an_unknown_name_says_so(gateway: Running) -> None:
    found = await asked(gateway, "nobody")
    assert ("unknown", "model_not_found", "model") == tuple(
        found["refused"][name] for name in ("reason", "code", "param")
    )
    assert ([], "unknown") == (found["targets"], found["names"][0]["kind"])


async def test_disabled_names_and_what_is_made_of_them(gateway: Running) -> None:
    await gateway.create("pools", id="both", targets=[{"model": "m"}, {"model": "echo"}])
    await gateway.patch("/models/m", enabled=False)
    assert "disabled" == (await asked(gateway, "m"))["refused"]["reason"]
    found = await asked(gateway, "both")
    assert {"both": True, "m": False, "echo": True} == {name["name"]: name["enabled"] for name in found["names"]}
    assert ["echo"] == [target["model"] for target in found["targets"]]
    await gateway.patch("/models/echo", enabled=False)
    assert "disabled" == (await asked(gateway, "both"))["refused"]["reason"]


async def test_whether_a_key_may_use_it(gateway: Running) -> None:
    await gateway.create("aliases", id="fast", target="m")
    id, _ = await gateway.new_key(permissions={"models": ["fast"]})
    assert id == (await asked(gateway, "fast", principal=id))["key_id"]
    assert (await asked(gateway, "fast", key_id=id))["refused"] is None
    found = await asked(gateway, "m", key_id=id)
    assert ("not_permitted", "model_not_found") == (found["refused"]["reason"], found["refused"]["code"])
    assert ["m"] == [target["model"] for target in found["targets"]], "where it would go is said all the same"
    await gateway.act(f"/api-keys/{id}/suspend")
    assert "key_suspended" == (await asked(gateway, "fast", key_id=id))["refused"]["reason"]
    await gateway.act(f"/api-keys/{id}/activate")
    await gateway.patch(f"/api-keys/{id}", expires_at="2020-01-01T00:00:00Z")
    assert "key_expired" == (await asked(gateway, "fast", key_id=id))["refused"]["reason"]
    await gateway.act(f"/api-keys/{id}/revoke")
    assert "key_revoked" == (await asked(gateway, "fast", key_id=id))["refused"]["reason"]


async def test_what_is_left_of_limits_and_asking_takes_none_of_it(gateway: Running) -> None:
    id, gateway.key = await gateway.new_key(limits={"requests_per_minute": 3, "concurrent_requests": 2})
    assert 200 == (await gateway.chat()).status_code
    for _ in range(5):
        found = await asked(gateway, "m", key_id=id)
        [limits] = [policy for policy in found["policies"] if policy["name"] == "limits"]
        assert ["reserve"] == limits["phases"]
        said = limits["says"]
        assert {"limit": 2, "remaining": 2} == said["concurrent_requests"]
        assert (3, 2) == (said["requests_per_minute"]["limit"], said["requests_per_minute"]["remaining"])
        assert 0 < said["requests_per_minute"]["reset_s"] <= 60
    assert [200, 200, 429] == [(await gateway.chat()).status_code for _ in range(3)]
    assert (await asked(gateway, "m"))["policies"][0]["says"] is None, "nobody asks, so there are no limits"


async def test_a_target_that_cannot_take_the_request(gateway: Running, upstream: FaultUpstream) -> None:
    steps = [{"target": "blunt"}, {"target": "m"}]
    await gateway.create("chains", id="c", steps=steps)
    blunt, able = (await asked(gateway, "c", request={"tools": TOOLS}))["targets"]
    assert (False, True) == (blunt["eligible"], able["eligible"])
    [obstacle] = blunt["obstacles"]
    assert ("unfit", "unsupported_capability", "tools") == (obstacle["reason"], obstacle["code"], obstacle["param"])
    found = await asked(gateway, "blunt", request={"tools": TOOLS})
    told = (await gateway.chat(model="blunt", tools=TOOLS)).json()["error"]
    assert ("unfit", told["code"], told["param"], told["message"]) == tuple(
        found["refused"][name] for name in ("reason", "code", "param", "detail")
    )
    assert 0 == len(upstream.ledger)


async def test_what_is_lost_on_the_way_is_what_the_answer_would_say(gateway: Running, upstream: FaultUpstream) -> None:
    await gateway.create("credentials", id="a", type="anthropic", source=SOURCE)
    await gateway.create("providers", id="a", type="anthropic", base_url=upstream.url, credential_id="a")
    await gateway.create("models", id="other", provider_id="a", provider_model="claude-x", max_output_tokens=50)
    request = {"seed": 7, "logit_bias": {"1": 1}}
    [target] = (await asked(gateway, "other", request=request))["targets"]
    answer = await gateway.chat(model="other", **request)
    assert 200 == answer.status_code, answer.text
    assert answer.headers["x-switchgear-dropped"] == ", ".join(target["dropped"])
    assert {"seed", "logit_bias"} == set(target["dropped"])
    strict = await asked(gateway, "other", request=request, strict=True)
    assert ("unfit", "unsupported_parameter") == (strict["refused"]["reason"], strict["refused"]["code"])


async def test_what_it_may_cost(gateway: Running) -> None:
    [target] = (await asked(gateway, "blunt", request={"max_tokens": 100, "n": 2}))["targets"]
    estimate = target["estimate"]
    read = estimate["input_tokens"]
    assert read > 0
    assert (200, 2 * read, 2 * read + 1600) == (
        estimate["output_tokens"],
        estimate["input_microusd"],
        estimate["most_microusd"],
    )
    [unbounded] = (await asked(gateway, "blunt"))["targets"]
    assert (None, None) == (unbounded["estimate"]["output_tokens"], unbounded["estimate"]["most_microusd"])
    [unpriced] = (await asked(gateway, "m", request={"max_tokens": 2**62}))["targets"]
    assert (2**53, None) == (unpriced["estimate"]["output_tokens"], unpriced["estimate"]["input_microusd"])


async def test_an_open_breaker_and_closing_it_by_hand(gateway: Running, upstream: FaultUpstream) -> None:
    await gateway.create("chains", id="c", steps=[{"target": "m"}, {"target": "echo"}])
    upstream.default = Script(status=500)
    for _ in range(10):
        await gateway.chat(model="c")
    first, second = (await asked(gateway, "c"))["targets"]
    assert (("echo", True), ("m", False)) == (
        (first["model"], first["eligible"]),
        (second["model"], second["eligible"]),
    )
    assert ["open"] == obstacles(second)
    assert "10 server" in second["obstacles"][0]["detail"]
    which = {"provider_id": "p", "provider_model": "upstream-model"}
    [listed] = (await gateway.admin.get("/targets", params=which)).json()["data"]
    detailed = (await gateway.http.get("/health/detailed", headers={"authorization": f"Bearer {ADMIN_KEY}"})).json()
    [shown] = [it for it in detailed["targets"] if it["provider_model"] == "upstream-model"]
    assert shown.keys() == listed.keys()
    assert "open" == listed["breaker"]["state"]
    reset = await gateway.act("/targets/reset", **which)
    assert ("closed", 0) == (reset["breaker"]["state"], reset["breaker"]["failures"])
    assert ["m", "echo"] == [target["model"] for target in (await asked(gateway, "c"))["targets"]]
    upstream.default = Script()
    assert "m" == (await gateway.chat(model="c")).headers["x-switchgear-model"]


async def test_a_target_that_asked_for_a_pause_and_ending_it_by_hand(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(status=429, headers={"retry-after": "30"}))
    assert 429 == (await gateway.chat()).status_code
    [target] = (await asked(gateway, "m"))["targets"]
    assert ["cooling"] == obstacles(target)
    await gateway.act("/targets/reset", provider_id="p", provider_model="upstream-model")
    [target] = (await asked(gateway, "m"))["targets"]
    assert [] == obstacles(target)


async def test_a_target_nothing_leads_to_cannot_be_reset(gateway: Running) -> None:
    answer = await gateway.admin.post("/targets/reset", json={"provider_id": "p", "provider_model": "x"})
    assert 404 == answer.status_code
    assert 422 == (await gateway.admin.post("/targets/reset", json={"provider_id": "p"})).status_code


async def test_a_credential_that_cannot_be_used(gateway: Running) -> None:
    source = {"backend": "env", "variables": {"api_key": "NOT_SET_ANYWHERE"}}
    await gateway.create("credentials", id="none", type="openai", source=source)
    await gateway.create("providers", id="q", type="openai", credential_id="none")
    await gateway.create("models", id="n", provider_id="q", provider_model="n")
    [target] = (await asked(gateway, "n"))["targets"]
    assert ("unused", True) == (target["credential"], target["eligible"]), "it is fetched when it is needed"
    assert 503 == (await gateway.chat(model="n")).status_code
    [target] = (await asked(gateway, "n"))["targets"]
    assert ("unavailable", ["credential"]) == (target["credential"], obstacles(target))
    assert "NOT_SET_ANYWHERE" in target["obstacles"][0]["detail"]


async def test_other_endpoints_and_names_alone(gateway: Running) -> None:
    request = {"request": {"model": "m", "input": "x"}, "path": "/v1/embeddings"}
    answer = await gateway.admin.post("/explain", json=request)
    assert "unfit" == answer.json()["refused"]["reason"]
    alone = await gateway.admin.post("/explain", json={"request": {"model": "m"}})
    [target] = alone.json()["targets"]
    assert (None, True, None) == (alone.json()["refused"], target["eligible"], target["estimate"])


async def test_a_question_that_is_none_names_what_is_wrong(gateway: Running) -> None:
    good = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    assert {"/request", "/colour"} == set(await refused(gateway, colour=1))
    assert {"/request/messages"} == set(await refused(gateway, request={"model": "m", "messages": 1}))
    assert {"/request/model"} == set(await refused(gateway, request={"model": 1}))
    assert {"/request/model"} == set(await refused(gateway, request={"messages": good["messages"]}))
    assert {"/path"} == set(await refused(gateway, request=good, path="/v1/nothing"))
    assert {"/key_id"} == set(await refused(gateway, request=good, key_id="nobody"))
    assert {"/key_id"} == set(await refused(gateway, request=good, key_id=""))
    assert {"/principal"} == set(await refused(gateway, request=good, principal="nobody"))
    assert {"/principal"} == set(await refused(gateway, request=good, principal="a", key_id="a"))
    assert {""} == set(await refused_body(gateway, "[]"))
    half = json.dumps({"request": {**good, "user": "\ud800"}})
    assert {"/request/user"} == set(await refused_body(gateway, half))


async def refused_body(gateway: Running, body: str) -> dict[str, str]:
    answer = await gateway.admin.post("/explain", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    return {error["pointer"]: error["detail"] for error in answer.json()["errors"]}


async def test_only_operators_may_ask(gateway: Running) -> None:
    asking = {"GET": ("/targets", "/config/version"), "POST": ("/explain", "/targets/reset", "/config/reload")}
    for method, path in ((method, path) for method, paths in asking.items() for path in paths):
        answer = await gateway.http.request(method, f"/admin/v1{path}", headers=gateway.auth)
        assert 403 == answer.status_code, path


async def test_the_description_has_the_bodies(gateway: Running) -> None:
    described = (await gateway.http.get("/openapi.json")).json()
    schema = described["paths"]["/admin/v1/explain"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    question = described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    assert ["request"] == question["required"]
    assert question["additionalProperties"] is False
    answer = described["paths"]["/admin/v1/explain"]["post"]["responses"]["200"]["content"]["application/json"]
    assert "Explanation" in answer["schema"]["$ref"]


@pytest.mark.slow
async def test_the_command_says_the_same(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with running(tmp_path, upstream) as gateway:
        pricing = {"input": 1_000_000, "output": 1_000_000}
        await gateway.patch("/models/m", capabilities={"tools": False}, pricing=pricing)
        await gateway.create("chains", id="safe", steps=[{"target": "m"}, {"target": "p/direct"}])
        id, _ = await gateway.new_key(limits={"requests_per_minute": 5})
        request = {"messages": [{"role": "user", "content": "hi"}], "tools": TOOLS, "max_tokens": 10}
        api = await asked(gateway, "safe", key_id=id, request=request)
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"model": "m", **request}))
    asking = ["safe", "--key", id, "--request", str(file)]
    shown = await command(tmp_path, *asking, "--json")
    assert api["targets"][0]["obstacles"] == json.loads(shown)["targets"][0]["obstacles"]
    assert api.keys() == json.loads(shown).keys()
    lines = (await command(tmp_path, *asking)).splitlines()
    assert [
        "safe is enabled",
        f"  the key {id} may use it",
        "  1. upstream-model at p, with a credential",
        "     not asked (unfit): The model `safe` cannot call tools. Leave `tools` out or use another model.",
        "  2. direct at p, with a credential",
    ] == lines[:5]
    assert "tokens to read, 10 to write at most" in lines[5]
    assert "  policy limits: reserve (requests_per_minute 5)" in lines
    assert "  because safe is a chain: m, then p/direct" in lines


async def command(directory: Path, *arguments: str) -> str:
    place = ["--config", str(directory / "plugins.toml"), "--data-dir", str(directory / "data")]
    argv = [switchgear()[0], "explain", *arguments, *place]
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    said = (await process.communicate())[0].decode()
    assert 0 == process.returncode, said
    return said


async def test_a_key_is_told_what_is_left_to_it(gateway: Running) -> None:
    await gateway.create("aliases", id="fast", target="m")
    key, secret = await gateway.new_key(limits={"requests_per_minute": 5}, permissions={"models": ["fast"]})
    path = f"/api-keys/{key}/standing"
    found = (await gateway.admin.get(path)).json()
    assert "fast" == found["model"]
    said = {it["name"]: it["says"] for it in found["policies"]}
    assert {"limit": 5, "remaining": 5} == {k: said["limits"]["requests_per_minute"][k] for k in ("limit", "remaining")}
    assert 404 == (await gateway.admin.get("/api-keys/none/standing")).status_code
    by_itself = await gateway.http.get(f"/admin/v1{path}", headers={"authorization": f"Bearer {secret}"})
    assert 403 == by_itself.status_code
