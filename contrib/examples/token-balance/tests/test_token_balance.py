import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from switchgear_token_balance import Books, TokenBalance

from support.faultup import FaultUpstream, Script
from support.gateway import Running, eventually, running
from switchgear.contracts.policy import Policy
from switchgear.contracts.principal import Principal
from switchgear.testing.policy_suite import PolicySuite, WatchedCounters


class NoBooks:
    """Covers everything; what is held is not the counters'."""

    async def hold(self, *_: Any) -> bool:
        return True

    async def close(self, *_: Any) -> None:
        return


class TestTokenBalance(PolicySuite):
    principal = Principal("key_1", "key", labels={"key": "key_1"})

    def make(self, counters: WatchedCounters) -> Policy:
        return TokenBalance("key", NoBooks())  # type: ignore[arg-type]  # all that it uses

    async def test_who_refuses_holds_nothing_and_gives_a_client_error(self) -> None:  # type: ignore[override]
        """It asks no counters."""


@pytest.fixture
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        up.default = Script(chunks=12, prompt_tokens=8, delay_ms=20)
        yield up


@pytest.fixture
async def gateway(tmp_path: Path, upstream: FaultUpstream) -> AsyncIterator[Running]:
    async with running(tmp_path, upstream, plugins='token_balance = { enabled = true, by = "key" }') as run:
        yield run


def books_of(run: Running) -> Books:
    plugin = next(it.plugin for it in run.gateway.kernel.plugins if it.installed.name == "token_balance")
    return plugin.books()  # type: ignore[attr-defined, no-any-return]


async def ask(run: Running, secret: str, **members: Any) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 12, **members}
    return await run.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {secret}"})


async def read(run: Running, key: str) -> Any:
    return (await run.admin.get(f"/token-balances/{key}")).json()


async def test_of_two_hundred_debits_at_once_exactly_as_many_win_as_there_is_balance_for(gateway: Running) -> None:
    books = books_of(gateway)
    await books.grant("a", "first", 1005)
    won = await asyncio.gather(*(books.hold("a", f"call-{n}", 10) for n in range(200)))
    assert 100 == sum(won)
    assert 5 == (await read(gateway, "a"))["balance"]
    await asyncio.gather(
        *(books.close(f"call-{n}", 7) for n in range(200)), *(books.close("call-1", 7) for n in range(9))
    )
    assert 1005 - 100 * 7 == (await read(gateway, "a"))["balance"]


async def test_two_hundred_calls_at_once_use_exactly_what_was_told(gateway: Running, upstream: FaultUpstream) -> None:
    key, secret = await gateway.new_key()
    await gateway.act(f"/token-balances/{key}/grant", reference="first", tokens=1000)
    answers = await asyncio.gather(*(ask(gateway, secret) for _ in range(200)))
    codes = Counter(answer.status_code for answer in answers)
    assert {200, 402} == set(codes)
    assert codes[200] == len(upstream.ledger)
    used = sum(entry.prompt_tokens + entry.completion_tokens for entry in upstream.ledger)
    found = await read(gateway, key)
    assert (1000 - used, found["balance"]) == (found["balance"], sum(it["tokens"] for it in found["transactions"]))
    assert 1 + codes[200] == len(found["transactions"])


async def test_a_call_without_balance_is_refused_before_anybody_is_asked(
    gateway: Running, upstream: FaultUpstream
) -> None:
    key, secret = await gateway.new_key()
    for _ in range(2):
        answer = await ask(gateway, secret)
        assert (402, "insufficient_balance") == (answer.status_code, answer.json()["error"]["code"])
        await gateway.act(f"/token-balances/{key}/grant", reference="little", tokens=3)
    assert 3 == (await read(gateway, key))["balance"], "one reference is granted once"
    answer = await ask(gateway, secret, max_tokens=None)
    assert (400, "unbounded") == (answer.status_code, answer.json()["error"]["code"])
    assert 0 == len(upstream.ledger)


@pytest.mark.parametrize("script", [Script(status=500), Script(cut_at=0), Script(hang=True)])
async def test_a_call_that_fails_or_whose_client_leaves_gives_back_what_it_held(
    gateway: Running, upstream: FaultUpstream, script: Script
) -> None:
    key, secret = await gateway.new_key()
    await gateway.act(f"/token-balances/{key}/grant", reference="first", tokens=100)
    upstream.default = script
    asking = asyncio.ensure_future(ask(gateway, secret))
    await eventually(lambda: len(upstream.ledger) == 1)
    if script.hang:
        asking.cancel()
    await asyncio.wait([asking])

    async def closed() -> bool:
        return len((await read(gateway, key))["transactions"]) == 2

    await eventually(closed)
    [record] = await gateway.usage(key_id=key)
    used = (record["input_tokens"] or 0) + (record["output_tokens"] or 0)
    assert 100 - used == (await read(gateway, key))["balance"]


async def test_what_a_gateway_that_died_held_is_given_back_after_a_day(gateway: Running) -> None:
    books = books_of(gateway)
    await books.grant("a", "first", 10)
    assert await books.hold("a", "lost", 10)
    await books.give_back()
    assert 0 == (await read(gateway, "a"))["balance"]
    tomorrow = SimpleNamespace(now_us=lambda: time.time_ns() // 1000 + 86_401_000_000)
    await Books(books.tables, tomorrow).give_back()  # type: ignore[arg-type]  # all that it uses
    assert 10 == (await read(gateway, "a"))["balance"]


async def test_a_grant_that_makes_no_sense_is_refused(gateway: Running) -> None:
    for body in ({}, {"reference": "x", "tokens": -1}, {"reference": "x", "tokens": 1, "and": 2}):
        answer = await gateway.admin.post("/token-balances/a/grant", json=body)
        assert 400 <= answer.status_code < 500, answer.text
    assert 404 == (await gateway.admin.get("/token-balances/a")).status_code
