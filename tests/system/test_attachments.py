"""Policies that run where they are attached: by model, principal, label, tag and dialect; a cache of answers of a third party."""

import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from support.distributions import installed
from support.faultup import FaultUpstream
from support.gateway import Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
EXAMPLE = Path(__file__).parents[2] / "contrib" / "examples" / "answer-cache"
ENABLED = " }\nanswer_cache = { enabled = true }\ntagger = { enabled = true"
TAGGER = """
from switchgear.contracts.policy import Policy

class Tagger(Policy):
    order = 10  # after the renamer
    attachable = True
    def settle(self, x):
        x.labels["tagged"] = "yes"

class Renamer(Policy):
    def prepare(self, x):
        if x.call.model == "renamed":
            x.call.model = "echo"

class Plugin(switchgear.Plugin):
    api = 1
    def switchgear_policies(self):
        return [switchgear.Offer("tagger", Tagger), switchgear.Offer("renamer", Renamer)]
"""
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        yield up


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: FaultUpstream) -> AsyncIterator[Running]:
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]["switchgear.plugins"]
    with installed(tmp_path_factory.mktemp("site")) as site:
        source = (EXAMPLE / "switchgear_answer_cache.py").read_text()
        site.add("answer-cache", points, source, module="switchgear_answer_cache")
        site.add("tagger", {"tagger": "Plugin"}, TAGGER)
        async with running(tmp_path_factory.mktemp("gateway"), upstream, memory=ENABLED) as run:
            price = {"input": 1_000_000, "output": 2_000_000}
            await run.create("models", id="priced", provider_id="p", provider_model="priced", pricing=price)
            await run.create("models", id="other", provider_id="p", provider_model="other", pricing=price)
            yield run


async def ask(
    gateway: Running, secret: str, model: str, content: str = "hi", dialect: str = "openai", **members: Any
) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": 9, **members}
    answer = await gateway.http.post(PATHS[dialect], json=body, headers={"authorization": f"Bearer {secret}"})
    assert 200 == answer.status_code, answer.text
    return answer


@pytest_asyncio.fixture(loop_scope="module")
async def attach(gateway: Running) -> AsyncIterator[Any]:
    made: list[str] = []

    async def attach(id: str, policy: str, selector: dict[str, Any], **members: Any) -> None:
        await gateway.create("policy-attachments", id=id, policy=policy, selector=selector, **members)
        made.append(id)

    yield attach
    for id in made:
        assert 204 == (await gateway.admin.delete(f"/policy-attachments/{id}")).status_code


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_cached_answer_asks_nobody_and_costs_nothing(
    gateway: Running, upstream: FaultUpstream, attach: Any, dialect: str, stream: bool
) -> None:
    await attach("cached", "answer_cache", {"models": ["pri*"]})
    id, secret = await gateway.new_key()
    asked = {"model": "priced", "content": f"{dialect} {stream}", "dialect": dialect, "stream": stream}
    first = await ask(gateway, secret, **asked)
    before = len(upstream.ledger.entries)
    again = await ask(gateway, secret, **asked)
    assert ["miss", "hit"] == [it.headers["x-switchgear-cache"] for it in (first, again)]
    assert first.text == again.text
    assert before == len(upstream.ledger.entries)
    costs = {it["request_id"]: it["cost_microusd"] for it in await gateway.usage(key_id=id)}
    assert costs[first.headers["x-request-id"]] > 0 == costs[again.headers["x-request-id"]]
    other = await ask(gateway, secret, **{**asked, "model": "other"})
    assert "bypass" == other.headers["x-switchgear-cache"]
    assert before + 1 == len(upstream.ledger.entries)


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        ({}, True),
        ({"models": ["echo"]}, True),
        ({"models": ["m", "ec*"]}, True),
        ({"models": ["m"]}, False),
        ({"principals": ["SELF"]}, True),
        ({"principals": ["key_0*"]}, True),
        ({"principals": ["key_other"]}, False),
        ({"labels": {"team": ["blue", "red"]}}, True),
        ({"labels": {"team": ["blue"]}}, False),
        ({"labels": {"user": ["*"]}}, False),
        ({"labels": {"team": ["red"]}, "models": ["m"]}, False),
        ({"tags": ["gold", "night"]}, True),
        ({"tags": ["silver"]}, False),
        ({"dialects": ["openai"]}, True),
        ({"dialects": ["anthropic"]}, False),
    ],
    ids=str,
)
async def test_a_selector_means_what_fits_all_its_members(
    gateway: Running, attach: Any, selector: dict[str, Any], selects: bool
) -> None:
    id, secret = await gateway.new_key(team_id="red", tags=["night"])
    if selector.get("principals") == ["SELF"]:
        selector = {"principals": [id]}
    await attach("tagged", "tagger", selector)
    answer = await ask(gateway, secret, "echo")
    record = await gateway.usage_of(answer.headers["x-request-id"])
    assert selects == ("tagged" in record["labels"])
    question = {"request": {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}, "principal": id}
    told = (await gateway.admin.post("/explain", json=question)).json()
    [view] = told["attachments"]
    assert ("tagged", "tagger", selects) == (view["id"], view["policy"], view["selects"])
    assert (view["why"] == "selected") == selects
    assert selects == ("tagger" in [policy["name"] for policy in told["policies"]])


async def test_where_the_model_is_rewritten_the_new_one_counts(gateway: Running, attach: Any) -> None:
    _, secret = await gateway.new_key()
    await attach("of-echo", "tagger", {"models": ["echo"]})
    answer = await ask(gateway, secret, "renamed")
    assert "tagged" in (await gateway.usage_of(answer.headers["x-request-id"]))["labels"]
    await gateway.patch("/policy-attachments/of-echo", selector={"models": ["renamed"]})
    answer = await ask(gateway, secret, "renamed")
    assert "tagged" not in (await gateway.usage_of(answer.headers["x-request-id"]))["labels"]


async def test_an_attachment_can_be_switched_off_and_its_settings_are_its_own(gateway: Running, attach: Any) -> None:
    _, secret = await gateway.new_key()
    _, second = await gateway.new_key()
    await attach("cached", "answer_cache", {}, settings={"shared": True})
    found = [await ask(gateway, who, "priced", "shared?") for who in (secret, second)]
    assert ["miss", "hit"] == [it.headers["x-switchgear-cache"] for it in found]
    await gateway.patch("/policy-attachments/cached", enabled=False)
    assert "bypass" == (await ask(gateway, secret, "priced", "shared?")).headers["x-switchgear-cache"]
    await gateway.patch("/policy-attachments/cached", enabled=True, settings={"shared": False})
    assert "miss" == (await ask(gateway, secret, "priced", "shared?")).headers["x-switchgear-cache"]


@pytest.mark.parametrize(
    ("wrong", "pointer", "says"),
    [
        ({"policy": "absent"}, "/policy", "enabled: `answer_cache`, `tagger`"),
        ({"policy": "limits"}, "/policy", "runs in every exchange"),
        ({"policy": "answer_cache", "settings": {"ttl": 1}}, "/settings/ttl", "there is no such field"),
        ({"policy": "answer_cache", "settings": {"ttl_s": "x"}}, "/settings/ttl_s", "Expected"),
        ({"policy": "tagger", "selector": {"model": ["m"]}}, "/selector/model", ""),
        ({"policy": "tagger", "selector": {"labels": {"team": []}}}, "/selector/labels/team", "no value"),
    ],
    ids=str,
)
async def test_what_is_wrong_is_named(gateway: Running, wrong: dict[str, Any], pointer: str, says: str) -> None:
    answer = await gateway.admin.post("/policy-attachments", json={"id": "wrong", **wrong})
    assert 422 == answer.status_code, answer.text
    [problem] = answer.json()["errors"]
    assert pointer == problem["pointer"]
    assert says in problem["detail"]
