"""Bounds of a plan hold whatever is waited for: an answer, a place, a pause, a second try."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.faultup import FaultUpstream, Script
from support.gateway import Running, eventually, running
from support.stopwatch import Stopwatch

LATE_S = 1.5
"""How much later than its bound a request may end: much less than anything that is waited for here."""


@pytest.fixture
async def gateway(tmp_path: Path, upstream: FaultUpstream) -> AsyncIterator[Running]:
    """The chain `c` leads to `m` alone and is to have a first token within half a second."""
    async with running(tmp_path, upstream, first_byte=4.0, idle=4.0, retries=1) as run:
        await run.create("chains", id="c", steps=[{"target": "m"}], budget={"seconds": 0.5})
        yield run


@pytest.mark.parametrize("stream", [False, True])
async def test_a_silent_target_is_left_when_the_plan_has_no_more_seconds(
    gateway: Running, upstream: FaultUpstream, stream: bool
) -> None:
    upstream.script(Script(hang=True))
    took = Stopwatch()
    answer = await gateway.chat(model="c", stream=stream)
    assert (504, "first_byte_timeout") == (answer.status_code, answer.json()["error"]["code"])
    assert took.s < 0.5 + LATE_S


async def test_an_answer_that_began_in_time_may_take_longer(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(chunk_delay_ms=200, chunks=5))
    answer = await gateway.chat(model="c", stream=True)
    assert answer.text.rstrip().endswith("data: [DONE]")


async def test_no_place_and_no_pause_is_waited_for_longer(gateway: Running, upstream: FaultUpstream) -> None:
    await gateway.patch("/providers/p", concurrency={"*": 1})
    upstream.script(Script(delay_ms=2500))
    busy = asyncio.create_task(gateway.chat(model="m"))
    await eventually(lambda: upstream.ledger.entries)
    took = Stopwatch()
    answer = await gateway.chat(model="c")
    assert (503, "target_busy") == (answer.status_code, answer.json()["error"]["code"])
    assert took.s < 0.5 + LATE_S
    assert 200 == (await busy).status_code
    upstream.script(Script(cause="rate_limit", headers={"retry-after": "2"}))
    for _ in range(2):  # to be told of the pause, and to find it
        took = Stopwatch()
        assert 429 == (await gateway.chat(model="c")).status_code
        assert took.s < 0.5 + LATE_S


async def test_the_total_of_a_target_counts_while_a_place_is_waited_for(
    gateway: Running, upstream: FaultUpstream
) -> None:
    upstream.script(Script(delay_ms=2500))
    await gateway.patch("/providers/p", concurrency={"*": 1})
    busy = asyncio.create_task(gateway.chat(model="m"))
    await eventually(lambda: upstream.ledger.entries)
    timeouts = {"connect": 1.0, "first_byte": 4.0, "idle": 4.0, "total": 0.5}
    await gateway.patch("/providers/p", timeouts=timeouts)
    took = Stopwatch()
    answer = await gateway.chat(model="m")
    assert (504, "total_timeout") == (answer.status_code, answer.json()["error"]["code"])
    assert took.s < 0.5 + LATE_S
    assert 200 == (await busy).status_code


@pytest.mark.parametrize("stream", [False, True])
async def test_a_target_for_which_no_time_was_left_is_not_blamed(
    gateway: Running, upstream: FaultUpstream, stream: bool
) -> None:
    await gateway.create("models", id="n", provider_id="p", provider_model="innocent")
    await gateway.create("chains", id="two", steps=[{"target": "m"}, {"target": "n"}], budget={"seconds": 0.5})
    upstream.script(Script(delay_ms=300, cause="server"))
    upstream.script(Script(hang=True))
    took = Stopwatch()
    answer = await gateway.chat(model="two", stream=stream)
    assert (504, "total_timeout") == (answer.status_code, answer.json()["error"]["code"])
    assert took.s < 0.5 + LATE_S
    found = (await gateway.admin.get("/targets", params={"provider_model": "innocent"})).json()["data"]
    assert [0] == [it["breaker"]["failures"] for it in found]
