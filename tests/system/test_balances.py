"""Token balances over a whole gateway."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.faultup import FaultUpstream, Script
from support.gateway import Running, running


@pytest.fixture
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        up.default = Script(chunks=12, prompt_tokens=8)
        yield up


@pytest.fixture
async def run(tmp_path: Path, upstream: FaultUpstream) -> AsyncIterator[Running]:
    plugins = 'balances = { enabled = true, by = "team", required = true }'
    async with running(tmp_path, upstream, plugins=plugins) as run:
        yield run


async def ask(run: Running, secret: str, **members: Any) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 12, **members}
    return await run.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {secret}"})


async def test_a_call_without_a_balance_is_refused_before_anybody_is_asked(
    run: Running, upstream: FaultUpstream
) -> None:
    _, secret = await run.new_key(team_id="red")
    refused = await ask(run, secret)
    assert (402, "insufficient_balance") == (refused.status_code, refused.json()["error"]["code"])
    assert 0 == len(upstream.ledger)
    _, free = await run.new_key()
    assert 200 == (await ask(run, free)).status_code, "a call without the label pays nothing"

    granted = await run.act("/balances/red/grant", tokens=1000, reference="invoice-1")
    assert (1000, 1000) == (granted["balance"], granted["available"])
    assert 1000 == (await run.act("/balances/red/grant", tokens=1000, reference="invoice-1"))["balance"]
    answers = await asyncio.gather(*(ask(run, secret) for _ in range(100)))
    codes = Counter(answer.status_code for answer in answers)
    assert {200, 402} >= set(codes)
    found = (await run.admin.get("/balances/red")).json()
    assert (1000 - 20 * codes[200], 0) == (found["balance"], found["held"])
    lines = (await run.admin.get("/balances/red/transactions", params={"limit": 1})).json()
    [line] = lines["data"]
    assert ("call", -20, found["balance"]) == (line["kind"], line["tokens"], line["balance"])
    assert line["reference"] in {record["id"] for record in (await run.all_usage()).values()}
    older = await run.admin.get("/balances/red/transactions", params={"before": lines["next_before"], "limit": 500})
    assert "grant" == older.json()["data"][-1]["kind"]


async def test_every_answer_is_held_for_whose_length_nobody_bounds(run: Running, upstream: FaultUpstream) -> None:
    _, secret = await run.new_key(team_id="red")
    await run.act("/balances/red/grant", tokens=5000, reference="r")
    assert [200, 402] == [(await ask(run, secret, max_tokens=None, n=n)).status_code for n in (1, 2)]


@pytest.mark.parametrize("body", [b"[" * 2000, b'{"tokens": 1, "tokens": 2}', b'{"reference": "\\u0000"}', b"\xff"])
async def test_a_body_that_a_handler_takes_as_data_is_held_to_what_bodies_may_be(run: Running, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = await run.admin.post("/balances/red/grant", content=body, headers=headers)
    assert answer.status_code in (400, 422), answer.text


async def test_an_administrator_corrects_a_balance_with_a_reason(run: Running) -> None:
    await run.act("/balances/red/grant", tokens=10, reference="r")
    without = await run.admin.post("/balances/red/adjustment", json={"tokens": -5, "reference": "x"})
    assert without.status_code in (400, 422)
    assert (
        -10 == (await run.act("/balances/red/adjustment", tokens=-20, reference="x", reason="charged twice"))["balance"]
    )
    refused = await run.admin.post("/balances/red/debit", json={"tokens": 1, "reference": "y"})
    assert 402 == refused.status_code
    lines = (await run.admin.get("/balances/red/transactions")).json()["data"]
    assert ("charged twice", "admin-key", -20) == (lines[0]["reason"], lines[0]["actor"], lines[0]["tokens"])
    assert 404 == (await run.admin.get("/balances/blue")).status_code
    assert ["red"] == [it["id"] for it in (await run.admin.get("/balances")).json()["data"]]
    key = await run.http.get("/admin/v1/balances/red", headers={"authorization": f"Bearer {run.key}"})
    assert key.status_code in (403, 404)
