"""A second target asked while the first is silent: one answer, one winner, nothing left running."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.faultup import FaultUpstream, Script
from support.gateway import Running, eventually, running


@pytest.fixture
def slow(upstream: FaultUpstream) -> FaultUpstream:
    return upstream


@pytest.fixture
def quick(other: FaultUpstream) -> FaultUpstream:
    return other


@pytest.fixture
async def gateway(tmp_path: Path, slow: FaultUpstream, quick: FaultUpstream) -> AsyncIterator[Running]:
    """The chain `h` asks `m` at `slow`, and after 150 ms `n` at `quick` as well."""
    async with running(tmp_path, slow, first_byte=3.0, idle=3.0) as run:
        await run.add_second(quick)
        await run.create("chains", id="h", steps=[{"target": "m"}, {"target": "n"}], hedge_after_ms=150)
        yield run


@pytest.mark.parametrize("stream", [False, True])
async def test_the_second_answers_for_a_first_that_is_slow(
    gateway: Running, slow: FaultUpstream, quick: FaultUpstream, stream: bool
) -> None:
    slow.script(Script(delay_ms=2500))
    answer = await gateway.chat(model="h", stream=stream)
    assert (200, "n", "2") == (
        answer.status_code, answer.headers["x-switchgear-model"], answer.headers["x-switchgear-attempts"]
    )  # fmt: skip
    assert not stream or answer.text.rstrip().endswith("data: [DONE]")
    [left] = await eventually(lambda: [it for it in slow.ledger.entries if it.client_left_early])
    assert 0 == left.completion_tokens, "the loser was stopped"
    record = await gateway.usage_of(answer.headers["x-request-id"])
    [won] = quick.ledger.entries
    assert ("n", "complete", 2, won.completion_tokens, True) == (
        record["target"], record["outcome"], record["attempts"], record["output_tokens"], record["usage_estimated"]
    )  # fmt: skip
    assert record["input_tokens"] > won.prompt_tokens, "the loser was asked too, and may charge for it"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_first_that_answers_in_time_is_alone(
    gateway: Running, slow: FaultUpstream, quick: FaultUpstream, stream: bool
) -> None:
    answer = await gateway.chat(model="h", stream=stream)
    assert ("m", "1") == (answer.headers["x-switchgear-model"], answer.headers["x-switchgear-attempts"])
    assert [] == quick.ledger.entries


async def test_a_first_that_has_begun_to_answer_is_alone(
    gateway: Running, slow: FaultUpstream, quick: FaultUpstream
) -> None:
    slow.script(Script(chunk_delay_ms=100, chunks=5))
    answer = await gateway.chat(model="h", stream=True)
    assert "m" == answer.headers["x-switchgear-model"]
    assert [] == quick.ledger.entries


@pytest.mark.parametrize("stream", [False, True])
async def test_the_first_may_still_win(
    gateway: Running, slow: FaultUpstream, quick: FaultUpstream, stream: bool
) -> None:
    slow.script(Script(delay_ms=400))
    quick.script(Script(hang=True))
    answer = await gateway.chat(model="h", stream=stream)
    assert ("m", "2") == (answer.headers["x-switchgear-model"], answer.headers["x-switchgear-attempts"])
    assert "m" == (await gateway.usage_of(answer.headers["x-request-id"]))["target"]
    await eventually(lambda: [it for it in quick.ledger.entries if it.client_left_early])


async def test_one_that_fails_leaves_it_to_the_other(
    gateway: Running, slow: FaultUpstream, quick: FaultUpstream
) -> None:
    slow.script(Script(delay_ms=400))
    quick.script(Script(cause="server"))
    assert "m" == (await gateway.chat(model="h")).headers["x-switchgear-model"]
    slow.script(Script(delay_ms=300, status=500))
    quick.script(Script(delay_ms=300))
    assert "n" == (await gateway.chat(model="h")).headers["x-switchgear-model"]


async def test_two_that_fail_are_one_failure_with_both_causes(
    gateway: Running, slow: FaultUpstream, quick: FaultUpstream
) -> None:
    slow.script(Script(delay_ms=300, status=500))
    quick.script(Script(delay_ms=300, cause="rate_limit"))
    answer = await gateway.chat(model="h")
    assert 502 == answer.status_code
    assert {"p=server", "q=rate_limit"} == set(answer.headers["x-switchgear-causes"].split(", "))


async def test_a_client_that_leaves_stops_both(gateway: Running, slow: FaultUpstream, quick: FaultUpstream) -> None:
    for up in (slow, quick):
        up.script(Script(hang=True))
    asking = asyncio.create_task(gateway.chat(model="h"))
    await eventually(lambda: slow.ledger.entries and quick.ledger.entries)
    asking.cancel()
    for up in (slow, quick):
        await eventually(lambda up=up: [it for it in up.ledger.entries if it.client_left_early])
    [record] = await eventually(gateway.usage)
    assert ("client_gone", 2, True) == (record["outcome"], record["attempts"], record["possible_duplicate"])


async def test_hedging_is_bounded(gateway: Running, slow: FaultUpstream, quick: FaultUpstream) -> None:
    slow.script(Script(delay_ms=400), times=40)
    answers = await asyncio.gather(*(gateway.chat(model="h") for _ in range(40)))
    assert {200} == {answer.status_code for answer in answers}
    assert len(quick.ledger.entries) <= 8, "a fifth of the requests"


async def test_no_more_are_asked_than_the_budget_of_a_chain_allows(
    gateway: Running, slow: FaultUpstream, quick: FaultUpstream
) -> None:
    steps = [{"target": "m"}, {"target": "n"}]
    await gateway.create("chains", id="one", steps=steps, hedge_after_ms=50, budget={"attempts": 1})
    slow.script(Script(delay_ms=300))
    answer = await gateway.chat(model="one")
    assert ("m", "1") == (answer.headers["x-switchgear-model"], answer.headers["x-switchgear-attempts"])


TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


async def test_a_second_that_cannot_take_the_request_leaves_the_first_alone(
    gateway: Running, slow: FaultUpstream, quick: FaultUpstream
) -> None:
    await gateway.patch("/models/n", capabilities={"tools": False})
    steps = [{"target": "m"}, {"target": "n", "on": ["5xx"]}]
    await gateway.create("chains", id="tools", steps=steps, hedge_after_ms=100)
    slow.script(Script(delay_ms=400))
    answer = await gateway.chat(model="tools", tools=TOOLS)
    assert (200, "m") == (answer.status_code, answer.headers.get("x-switchgear-model")), answer.text
    slow.script(Script(delay_ms=400, cause="server"))
    answer = await gateway.chat(model="tools", tools=TOOLS)
    assert 502 == answer.status_code, "that the second is not made for it tells less than that the first failed"
    assert [] == quick.ledger.entries


async def test_each_runner_leads_on_as_its_own_step_says(
    gateway: Running, slow: FaultUpstream, quick: FaultUpstream
) -> None:
    steps = [{"target": "m", "on": ["429"]}, {"target": "n", "on": ["5xx"]}, {"target": "echo"}]
    await gateway.create("chains", id="own", steps=steps, hedge_after_ms=100)
    slow.script(Script(delay_ms=400, cause="rate_limit"))
    quick.script(Script(delay_ms=400, cause="server"))
    answer = await gateway.chat(model="own")
    assert (200, "echo") == (answer.status_code, answer.headers.get("x-switchgear-model")), answer.text


async def test_the_failure_that_is_told_is_of_the_target_that_is_named(
    gateway: Running, slow: FaultUpstream, quick: FaultUpstream
) -> None:
    slow.script(Script(delay_ms=400, cause="invalid_request"))
    quick.script(Script(hang=True))
    answer = await gateway.chat(model="h")
    assert (400, "m", "400") == (
        answer.status_code, answer.headers["x-switchgear-model"], answer.headers["x-switchgear-upstream-status"]
    )  # fmt: skip
    record = await gateway.usage_of(answer.headers["x-request-id"])
    assert ("m", True, 0) == (record["target"], record["usage_estimated"], record["output_tokens"])
    assert record["input_tokens"] > 0, "the other was asked, and refused nothing"


async def test_a_deadline_between_two_tries_is_a_timeout(
    gateway: Running, slow: FaultUpstream, quick: FaultUpstream
) -> None:
    timeouts = {"connect": 1.0, "first_byte": 3.0, "idle": 3.0, "total": 0.4}
    await gateway.patch("/providers/p", timeouts=timeouts)
    steps = [{"target": "m", "max_retries": 1}, {"target": "n"}]
    await gateway.create("chains", id="late", steps=steps, hedge_after_ms=5000)
    slow.script(Script(cause="overloaded", headers={"retry-after": "1"}))
    answer = await gateway.chat(model="late")
    assert (504, "total_timeout") == (answer.status_code, answer.json()["error"]["code"])


@pytest.mark.parametrize("most", [1, 2])
async def test_hedging_keeps_to_the_attempts_of_the_plan(
    gateway: Running, slow: FaultUpstream, quick: FaultUpstream, most: int
) -> None:
    steps = [{"target": "m", "max_retries": 3}, {"target": "n", "max_retries": 3}]
    await gateway.create("chains", id="few", steps=steps, hedge_after_ms=100, budget={"attempts": most})
    for up in (slow, quick):
        up.script(Script(delay_ms=300, cause="server"), times=10)
    assert 502 == (await gateway.chat(model="few")).status_code
    assert most == len(slow.ledger.entries) + len(quick.ledger.entries)


async def test_a_client_that_leaves_is_recorded_also_where_the_second_could_not_be_asked(
    gateway: Running, slow: FaultUpstream, quick: FaultUpstream
) -> None:
    await gateway.patch("/models/n", capabilities={"tools": False})
    slow.script(Script(hang=True))
    asking = asyncio.create_task(gateway.chat(model="h", tools=TOOLS))
    await eventually(lambda: slow.ledger.entries)
    await asyncio.sleep(0.3)  # the second has come and gone
    asking.cancel()
    [record] = await eventually(gateway.usage)
    assert ("client_gone", "m", 1, True) == (
        record["outcome"], record["target"], record["attempts"], record["usage_estimated"]
    )  # fmt: skip
    assert [] == quick.ledger.entries
