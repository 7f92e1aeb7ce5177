"""Budgets over a whole gateway and an upstream that keeps its own bill."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.faultup import FaultUpstream, Script
from support.gateway import Running, eventually, running

PRICES = {"input": 1_000_000, "output": 10_000_000}
"""A token read costs a microdollar, a token written ten."""
PLUGINS = "budgets = { enabled = true }"
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 12}


@pytest.fixture
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        up.default = Script(chunks=12, prompt_tokens=8, delay_ms=20)
        yield up


@pytest.fixture
async def run(tmp_path: Path, upstream: FaultUpstream) -> AsyncIterator[Running]:
    async with running(tmp_path, upstream, plugins=PLUGINS) as run:
        await run.patch("/models/m", pricing=PRICES)
        yield run


async def ask(run: Running, secret: str, **members: Any) -> Any:
    body = {name: value for name, value in {**QUESTION, **members}.items() if value is not None}
    return await run.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {secret}"})


async def status(run: Running, budget: str, **query: str) -> Any:
    answer = await run.admin.get(f"/budgets/{budget}/status", params=query)
    assert 200 == answer.status_code, answer.text
    return answer.json()


async def until_refused(run: Running, secret: str, **members: Any) -> AsyncIterator[Any]:
    """Ask one call after the other; the last that is given is the refusal."""
    while True:
        answer = await ask(run, secret, **members)
        yield answer
        if answer.status_code != 200:
            return


def billed(upstream: FaultUpstream) -> int:
    return sum(entry.prompt_tokens + 10 * entry.completion_tokens for entry in upstream.ledger)


async def test_two_hundred_at_once_spend_all_of_it_and_no_more(run: Running, upstream: FaultUpstream) -> None:
    key, secret = await run.new_key()
    await run.create("budgets", id="b", scope={"keys": [key]}, amount_microusd=10_000, period="day")
    answers = await asyncio.gather(*(ask(run, secret) for _ in range(200)))
    answers += [answer async for answer in until_refused(run, secret)]
    codes = Counter(answer.status_code for answer in answers)
    assert {200, 429} == set(codes)
    refused = answers[-1]
    assert "budget_exceeded" == refused.json()["error"]["code"]
    assert int(refused.headers["retry-after"]) > 0
    assert codes[200] == len(upstream.ledger), "who was refused was not asked for"
    assert 9_500 <= billed(upstream) <= 10_000
    found = await status(run, "b")
    assert (billed(upstream), 0) == (found["spent_microusd"], found["reserved_microusd"])
    assert 10_000 - billed(upstream) == found["left_microusd"]
    _, other = await run.new_key()
    assert 200 == (await ask(run, other)).status_code


async def test_what_nobody_bounds_is_bounded_by_what_is_left(run: Running, upstream: FaultUpstream) -> None:
    key, secret = await run.new_key()
    await run.create("budgets", id="b", scope={"keys": [key]}, amount_microusd=1000)
    assert 200 == (await ask(run, secret, max_tokens=None)).status_code
    [entry] = upstream.ledger
    assert b'"max_tokens":' in entry.body
    assert int(entry.body.partition(b'"max_tokens":')[2].partition(b",")[0].strip(b"}")) <= 100


async def test_a_call_whose_cost_cannot_be_known_is_refused_before_anybody_is_asked(
    run: Running, upstream: FaultUpstream
) -> None:
    key, secret = await run.new_key()
    await run.patch("/models/m", pricing=None)
    await run.create("budgets", id="b", scope={"keys": [key]}, amount_microusd=1_000_000)
    answer = await ask(run, secret)
    assert (403, "price_unknown") == (answer.status_code, answer.json()["error"]["code"])
    await run.patch("/budgets/b", mode="soft")
    assert 200 == (await ask(run, secret)).status_code
    assert 1 == len(upstream.ledger)


async def test_a_soft_budget_counts_and_refuses_nothing(run: Running) -> None:
    key, secret = await run.new_key()
    await run.create("budgets", id="b", scope={"keys": [key]}, amount_microusd=200, mode="soft")
    assert [200] * 5 == [(await ask(run, secret)).status_code for _ in range(5)]
    found = await status(run, "b")
    assert (5 * 128, 0, 0) == (found["spent_microusd"], found["left_microusd"], found["reserved_microusd"])


async def test_each_value_of_a_label_has_a_budget_from_its_first_call(run: Running) -> None:
    await run.create("budgets", id="b", scope={"each": "team"}, amount_microusd=600)
    secrets = [(await run.new_key(team_id=team))[1] for team in ("red", "red", "blue")]
    answers = [answer async for answer in until_refused(run, secrets[0])]
    assert "`b` of red" in answers[-1].json()["error"]["message"]
    assert 429 == (await ask(run, secrets[1])).status_code
    assert 200 == (await ask(run, secrets[2])).status_code
    _, teamless = await run.new_key()
    assert 200 == (await ask(run, teamless)).status_code
    found = await status(run, "b")
    assert {"red": 128 * (len(answers) - 1), "blue": 128} == {it["whose"]: it["spent_microusd"] for it in found["data"]}
    assert 600 - 128 == (await status(run, "b", whose="blue"))["left_microusd"]


async def test_a_budget_of_a_label_and_one_of_models(run: Running) -> None:
    await run.create("models", id="n", provider_id="p", provider_model="upstream-model", pricing=PRICES)
    await run.create("budgets", id="team-a", scope={"labels": {"team": "a"}, "models": ["n"]}, amount_microusd=0)
    _, ours = await run.new_key(team_id="a")
    _, theirs = await run.new_key(team_id="b")
    assert [429, 200, 200] == [
        (await ask(run, ours, model="n")).status_code,
        (await ask(run, ours)).status_code,
        (await ask(run, theirs, model="n")).status_code,
    ]


async def test_a_spent_budget_sends_calls_to_another_model(run: Running, upstream: FaultUpstream) -> None:
    await run.create(
        "models", id="cheap", provider_id="p", provider_model="cheap-model", pricing={"input": 1, "output": 1}
    )
    key, secret = await run.new_key()
    await run.create(
        "budgets", id="b", scope={"keys": [key]}, amount_microusd=700, on_exhaust={"model": "cheap"}
    )  # fmt: skip
    answers = [await ask(run, secret) for _ in range(8)]
    assert [200] * 8 == [answer.status_code for answer in answers]
    asked = [b"cheap-model" in entry.body for entry in upstream.ledger]
    assert [*sorted(asked)] == asked
    assert {False, True} == set(asked)
    refusal = await run.admin.delete("/models/cheap")
    assert 409 == refusal.status_code


async def test_after_a_restart_what_was_spent_stays_spent(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with running(tmp_path, upstream, plugins=PLUGINS) as run:
        await run.patch("/models/m", pricing=PRICES)
        key, secret = await run.new_key()
        await run.create("budgets", id="b", scope={"keys": [key]}, amount_microusd=10_000, period="week")
        assert [200] * 20 == [(await ask(run, secret)).status_code for _ in range(20)]
    async with running(tmp_path, upstream, plugins=PLUGINS) as run:
        answers = await asyncio.gather(*(ask(run, secret) for _ in range(200)))
        answers += [answer async for answer in until_refused(run, secret)]
        assert {200, 429} == {answer.status_code for answer in answers}
        assert 9_500 <= billed(upstream) <= 10_000


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"scope": {}}, "/scope"),
        ({"scope": {"all": True, "keys": ["k"]}}, "/scope/all"),
        ({"time_zone": "Nowhere/Atall"}, "/time_zone"),
        ({"time_zone": "../../etc/passwd"}, "/time_zone"),
        ({"period": "total", "rolling": True}, "/rolling"),
        ({"mode": "soft", "on_exhaust": {"model": "m"}}, "/on_exhaust"),
        ({"amount_microusd": -1}, "/amount_microusd"),
        ({"period": "year"}, "/period"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_field(run: Running, wrong: dict[str, Any], pointer: str) -> None:
    body = {"id": "b", "scope": {"all": True}, "amount_microusd": 1, **wrong}
    answer = await run.admin.post("/budgets", json=body)
    assert answer.status_code in (400, 422), answer.text
    assert pointer in answer.text


async def test_thresholds_are_announced_once(run: Running) -> None:
    key, secret = await run.new_key()
    await run.create("budgets", id="b", scope={"keys": [key]}, amount_microusd=1000, thresholds=[10, 50, 100])
    async for _ in until_refused(run, secret):
        pass

    def crossed() -> bool:
        told = run.gateway.kernel.metrics.expose().decode().splitlines()
        lines = [line for line in told if line.startswith("switchgear_budgets_thresholds_total{")]
        found = {line.partition('percent="')[2].partition('"')[0]: float(line.split()[-1]) for line in lines}
        return {"10": 1.0, "50": 1.0} == found

    await eventually(crossed)
