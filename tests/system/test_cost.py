"""What a request cost, to the microdollar: what providers bill is what the record says, and the header of a whole answer."""

import asyncio
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from support.distributions import installed
from support.faultup import Entry, FaultUpstream, Script
from support.gateway import Running, eventually, running

PRICING = {"input": 2_500_000, "output": 10_000_001, "cached_input": 1_250_000, "cache_write": 3_125_000}
OTHER = {"input": 150_000, "output": 600_000, "reasoning": 700_000, "request": 3_000_000_000}


@pytest.fixture
async def other() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        yield up


@pytest.fixture
async def gateway(tmp_path: Path, upstream: FaultUpstream, other: FaultUpstream) -> AsyncIterator[Running]:
    """The model `m` has `PRICING`, `n` at `other` has `OTHER`; the chain `c` asks `m`, then `n`; `free` has no price."""
    async with running(tmp_path, upstream, first_byte=1.5, idle=1.5) as run:
        await run.patch("/models/m", pricing=PRICING)
        await run.add_second(other, pricing=OTHER)
        await run.create("chains", id="c", steps=[{"target": "m"}, {"target": "n"}])
        await run.create("models", id="free", provider_id="p", provider_model="somebody")
        yield run


def price(prices: dict[str, int], **units: int) -> int:
    """Return what units cost, exactly and then rounded half up, which an attempt's cost is once."""
    exact = sum((Fraction(prices[unit] * count, 10**6) for unit, count in units.items()), Fraction(0))
    return int(exact + Fraction(1, 2))


def bill(entry: Entry, prices: dict[str, int] = PRICING, **units: int) -> int:
    read = entry.prompt_tokens - sum(units.get(unit, 0) for unit in ("cached_input", "cache_write"))
    written = entry.completion_tokens - units.get("reasoning", 0)
    return price(prices, input=read, output=written, **units)


async def recorded(gateway: Running, **members: Any) -> tuple[dict[str, Any], str | None]:
    """Ask; return the record and the cost that the headers told."""
    answer = await gateway.chat(**members)
    return await gateway.usage_of(answer.headers["x-request-id"]), answer.headers.get("x-switchgear-cost")


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_costs_what_its_units_do(gateway: Running, upstream: FaultUpstream, stream: bool) -> None:
    upstream.script(Script(chunks=7, prompt_tokens=1003, cached_tokens=400, cache_write_tokens=11))
    record, told = await recorded(gateway, stream=stream)
    [entry] = upstream.ledger
    cost = bill(entry, cached_input=400, cache_write=11)
    assert (cost, False) == (record["cost_microusd"], record["usage_estimated"])
    assert (None if stream else str(cost)) == told
    assert (1003, 7, 400, 11) == tuple(
        record[f"{name}_tokens"] for name in ("input", "output", "cached_input", "cache_write")
    )


async def test_reasoning_and_the_request_itself_may_have_a_price(gateway: Running, other: FaultUpstream) -> None:
    other.script(Script(reasoning="one two three", chunks=2))
    record, told = await recorded(gateway, model="n")
    [entry] = other.ledger
    assert bill(entry, OTHER, reasoning=3, request=1) == record["cost_microusd"] == int(told or "")
    assert 3 == record["reasoning_tokens"]


async def test_a_stream_that_was_cut_costs_what_went_by(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(chunks=9, cut_after_chunks=4))
    record, _ = await recorded(gateway, stream=True)
    assert ("upstream_cut", True) == (record["outcome"], record["usage_estimated"])
    cost = price(PRICING, input=record["input_tokens"], output=record["output_tokens"])
    assert cost == record["cost_microusd"]
    assert record["output_tokens"] > 0


async def test_a_stream_that_its_client_left_costs_what_went_by(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(chunks=100, chunk_delay_ms=30))
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    async with gateway.http.stream("POST", "/v1/chat/completions", json=body, headers=gateway.auth) as answer:
        async for _ in answer.aiter_bytes():
            break
    [record] = await eventually(gateway.usage)
    assert ("client_gone", True) == (record["outcome"], record["usage_estimated"])
    assert price(PRICING, input=record["input_tokens"], output=record["output_tokens"]) == record["cost_microusd"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failed_attempt_that_may_be_billed_is_in_the_sum(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream, stream: bool
) -> None:
    upstream.script(Script(hang=True))
    other.script(Script(chunks=3))
    record, told = await recorded(gateway, model="c", stream=stream)
    [answered] = other.ledger
    assert ("complete", 2, "n", True) == (
        record["outcome"], record["attempts"], record["target"], record["usage_estimated"],
    )  # fmt: skip
    asked = record["input_tokens"] - answered.prompt_tokens
    assert asked > 0, "what the first target was asked, estimated"
    assert answered.completion_tokens == record["output_tokens"], "it said nothing"
    cost = price(PRICING, input=asked) + bill(answered, OTHER, request=1)
    assert cost == record["cost_microusd"]
    assert (None if stream else str(cost)) == told


async def test_what_a_buffered_stream_lost_is_in_the_sum(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    await gateway.create("chains", id="b", steps=[{"target": "m"}, {"target": "n"}], recovery="buffer")
    upstream.script(Script(content="word " * 40, chunks=40, cut_after_chunks=20))
    other.script(Script(chunks=3))
    record, _ = await recorded(gateway, model="b", stream=True)
    [answered] = other.ledger
    read, written = (
        record["input_tokens"] - answered.prompt_tokens, record["output_tokens"] - answered.completion_tokens,
    )  # fmt: skip
    assert ("complete", 2) == (record["outcome"], record["attempts"])
    assert written > 0, "what the first target had written when it was cut"
    assert price(PRICING, input=read, output=written) + bill(answered, OTHER, request=1) == record["cost_microusd"]


@pytest.mark.parametrize("cause", ["server", "overloaded", "rate_limit", "auth"])
async def test_a_refusal_of_a_provider_costs_nothing(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream, cause: Any
) -> None:
    upstream.script(Script(cause=cause))
    record, _ = await recorded(gateway, model="c")
    [answered] = other.ledger
    assert (2, bill(answered, OTHER, request=1), False) == (
        record["attempts"], record["cost_microusd"], record["usage_estimated"],
    )  # fmt: skip
    upstream.script(Script(cause=cause))
    alone, told = await recorded(gateway)
    assert (0, "0", None) == (alone["cost_microusd"], told, alone["input_tokens"])


async def test_without_a_price_the_cost_is_unknown(gateway: Running, upstream: FaultUpstream) -> None:
    record, told = await recorded(gateway, model="free")
    assert (None, None) == (record["cost_microusd"], told)
    assert record["input_tokens"] > 0
    upstream.script(Script(status=500))
    refused, _ = await recorded(gateway, model="free")
    assert 0 == refused["cost_microusd"], "of nothing it is known what it costs"
    await gateway.patch("/models/free", pricing={"output": 1_000_000})
    half, _ = await recorded(gateway, model="free")
    assert None is half["cost_microusd"]
    metrics = (await gateway.http.get("/metrics", headers=gateway.admin.headers)).text
    assert 'switchgear_unpriced_attempts_total{model="free",provider="p"} 2' in metrics


async def test_one_unknown_attempt_makes_the_sum_unknown(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    await gateway.create("chains", id="u", steps=[{"target": "free"}, {"target": "n"}])
    upstream.script(Script(hang=True))
    record, _ = await recorded(gateway, model="u")
    assert ("complete", None) == (record["outcome"], record["cost_microusd"])


async def test_what_no_provider_was_asked_for_costs_nothing(gateway: Running) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
    count = await gateway.http.post("/v1/messages/count_tokens", json=body, headers=gateway.auth)
    assert (200, "0") == (count.status_code, count.headers["x-switchgear-cost"])
    record = await gateway.usage_of(count.headers["x-request-id"])
    assert (0, 0) == (record["attempts"], record["cost_microusd"])
    unknown = await gateway.chat(model="nobody")
    assert 0 == (await gateway.usage_of(unknown.headers["x-request-id"]))["cost_microusd"]


async def test_further_units_are_in_a_member_of_their_own(gateway: Running, upstream: FaultUpstream) -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 2, "prompt_tokens_details": {"audio_tokens": 15}}
    upstream.script(Script(usage=usage))
    record, _ = await recorded(gateway)
    assert {"audio_input": 15} == record["units"]
    assert price(PRICING, input=20, output=2) == record["cost_microusd"], "like the input that it is"
    await gateway.patch("/models/m", pricing={**PRICING, "audio_input": 40_000_000})
    upstream.script(Script(usage=usage))
    record, _ = await recorded(gateway)
    assert price({**PRICING, "audio_input": 40_000_000}, input=5, audio_input=15, output=2) == record["cost_microusd"]
    plain, _ = await recorded(gateway)
    assert not plain.get("units")


async def test_pricing_takes_units_and_no_nonsense(gateway: Running) -> None:
    async def said(pricing: Any) -> int:
        body = {"id": f"x{len(str(pricing))}", "provider_id": "p", "provider_model": "y", "pricing": pricing}
        return (await gateway.admin.post("/models", json=body)).status_code

    assert 201 == await said({"input": 0, "video_output": 5, "cache_write_1h": 4_000_000})
    for nonsense in (
        {},
        {"page_2x": 5},
        {"input": -1},
        {"Input": 1},
        {"input": 1.5},
        {"input": "1"},
        {"a b": 1},
        {"input": None},
        5,
    ):
        assert 422 == await said(nonsense), nonsense


BOOKS = """
    from switchgear import Offer
    from switchgear.contracts.usage import Pricing

    ASKED = []

    class Book:
        def price(self, provider_type, provider_model, at_us, host):
            ASKED.append((provider_type, provider_model, at_us > 10**15))
            return Pricing({"input": 1_000_000, "output": 2_000_000}, "acme 2026-11") if provider_model != "echo" else None

    class Acme(switchgear.Plugin):
        api = 1

        def switchgear_price_books(self):
            return [Offer("acme", Book), Offer("second", Book)]
"""


async def test_a_price_book_is_asked_once_for_what_has_no_price_of_its_own(
    tmp_path: Path, upstream: FaultUpstream
) -> None:
    with installed(tmp_path / "site") as site:
        site.add("acme", {"acme": "Acme"}, BOOKS)
        async with running(tmp_path, upstream, memory=" }\nacme = { enabled = true") as run:
            import acme  # noqa: PLC0415 - exists while the test's site does

            await run.create("models", id="own", provider_id="p", provider_model="mine", pricing=PRICING)
            answers = [await run.chat(), *await asyncio.gather(*(run.chat(model="own") for _ in range(3)))]
            records = [await run.usage_of(it.headers["x-request-id"]) for it in answers]
            first = upstream.ledger[0]
            assert first.prompt_tokens + 2 * first.completion_tokens == records[0]["cost_microusd"]
            assert [bill(entry) for entry in list(upstream.ledger)[1:]] == [it["cost_microusd"] for it in records[1:]]
            direct = await run.chat(model="p/any")
            assert (await run.usage_of(direct.headers["x-request-id"]))["cost_microusd"] > 0
            echo = await run.usage_of((await run.chat(model="echo")).headers["x-request-id"])
            assert None is echo["cost_microusd"]
            assert ("openai", "upstream-model", True) in acme.ASKED
            assert "mine" not in {model for _, model, _ in acme.ASKED}
            before = len(acme.ASKED)
            await run.chat()
            assert before == len(acme.ASKED), "nobody is asked while a request is answered"
