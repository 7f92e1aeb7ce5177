"""Targets that say they have had enough, and credentials that are refused: what is asked next, and what is left alone."""

import asyncio
import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from support.faultup import FaultUpstream, Script
from support.gateway import Running, eventually, running
from support.stopwatch import Stopwatch

STEPS = [{"target": "m"}, {"target": "n"}]


@pytest.fixture
async def gateway(tmp_path: Path, upstream: FaultUpstream, other: FaultUpstream) -> AsyncIterator[Running]:
    """The chain `c` asks `m` at `upstream`, then `n` at `other`."""
    async with running(tmp_path, upstream, retries=1) as run:
        await run.add_second(other)
        await run.create("chains", id="c", steps=STEPS)
        yield run


async def detailed(gateway: Running, section: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await gateway.http.get("/health/detailed", headers=gateway.admin.headers)).json()[
        section
    ]
    return found


async def test_a_sole_target_gets_its_pause_and_then_answers(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(cause="rate_limit", headers={"retry-after": "1"}))
    answers = await asyncio.gather(*(gateway.chat() for _ in range(3)))
    assert {200} == {answer.status_code for answer in answers}
    first, *rest = [entry.arrived_at for entry in upstream.ledger.entries if entry.status == 429] + [
        entry.arrived_at for entry in upstream.ledger.entries if entry.status == 200
    ]
    later = [at for at in rest if at > first + 0.2]  # those on their way already are not stopped
    assert later
    assert min(later) >= first + 0.95


async def test_a_pause_too_long_to_wait_for_is_told_at_once(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(cause="rate_limit", headers={"retry-after": "20"}))
    assert 429 == (await gateway.chat()).status_code
    took = Stopwatch()
    answer = await gateway.chat()
    assert took.s < 1
    assert (429, "rate_limit_exceeded", "provider") == (
        answer.status_code, answer.json()["error"]["code"], answer.headers["x-switchgear-error-source"]
    )  # fmt: skip
    assert 15 <= int(answer.headers["retry-after"]) <= 20
    assert 1 == len(upstream.ledger.entries), "it is not asked"


async def test_whoever_is_paced_is_left_for_another_at_once(gateway: Running, upstream: FaultUpstream) -> None:
    await gateway.create("chains", id="patient", steps=[{"target": "m", "max_retries": 2}, {"target": "n"}])
    upstream.script(Script(cause="rate_limit"), times=2)
    assert ("n", "2") == told(await gateway.chat(model="patient")), "its own pace refuses, and that is no try"
    assert 1 == len(upstream.ledger.entries)


async def test_of_several_that_want_a_pause_the_shortest_is_told(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    upstream.script(Script(cause="rate_limit", headers={"retry-after": "9"}))
    other.script(Script(cause="rate_limit", headers={"retry-after": "20"}))
    for _ in range(2):
        answer = await gateway.chat(model="c")
        assert (429, True) == (answer.status_code, int(answer.headers["retry-after"]) <= 9)


async def test_a_pause_until_a_date_is_kept(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(cause="rate_limit", headers={"retry-after": formatdate(time.time() + 30, usegmt=True)}))
    answer = await gateway.chat()
    assert 429 == answer.status_code
    assert 25 <= int(answer.headers["retry-after"]) <= 31
    assert 1 == len(upstream.ledger.entries)


async def test_one_that_says_it_is_of_no_use_is_not_tried_again(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(cause="overloaded", headers={"x-should-retry": "false"}))
    answer = await gateway.chat()
    assert (503, "1") == (answer.status_code, answer.headers["x-switchgear-attempts"])
    upstream.script(Script(cause="overloaded"))
    assert 200 == (await gateway.chat()).status_code


async def test_a_credential_that_is_refused_is_told_and_spared(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(cause="auth"))
    assert ("n", "2") == told(await gateway.chat(model="c"))
    [state] = [it for it in await detailed(gateway, "credentials") if it["credential_id"] == "c"]
    assert ("refused", "the provider p refuses it (status 401)") == (state["status"], state["why"])
    assert 503 == (await gateway.http.get("/health")).status_code
    assert ("n", "1") == told(await gateway.chat(model="c")), "others are asked first"
    [target] = [it for it in await detailed(gateway, "targets") if it["provider_id"] == "p"]
    assert "closed" == target["breaker"]["state"], "the model is not to blame"
    await gateway.patch("/credentials/c", source={"backend": "encrypted", "values": {"api_key": "sk-another-one-4242"}})

    async def answers_again() -> bool:
        return told(await gateway.chat(model="c")) == ("m", "1")

    await eventually(answers_again)


async def test_a_credential_that_is_taken_again_is_good(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(cause="auth"))
    assert 401 <= (await gateway.chat()).status_code
    assert 200 == (await gateway.chat()).status_code, "the last target is asked whatever it was"
    [state] = [it for it in await detailed(gateway, "credentials") if it["credential_id"] == "c"]
    assert "good" == state["status"]


async def test_what_is_forbidden_is_told_and_spares_nothing(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(cause="permission"))
    assert ("n", "2") == told(await gateway.chat(model="c"))
    [state] = [it for it in await detailed(gateway, "credentials") if it["credential_id"] == "c"]
    assert "forbidden" == state["status"]
    assert 200 == (await gateway.http.get("/health")).status_code
    assert ("m", "1") == told(await gateway.chat(model="c")), "a client can make a provider say so"


async def test_a_model_is_asked_no_more_than_so_many_at_once(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    await gateway.patch("/providers/p", concurrency={"upstream-model": 2})
    upstream.script(Script(delay_ms=500), times=20)
    answers = await asyncio.gather(*(gateway.chat() for _ in range(6)))
    assert {200} == {answer.status_code for answer in answers}, "they wait for their turn"
    assert 2 == most_at_once(upstream)
    answers = await asyncio.gather(*(gateway.chat(model="c") for _ in range(6)))
    assert {("m", "1"), ("n", "1")} == {told(answer) for answer in answers}, "others are asked instead of waiting"
    await gateway.patch("/providers/p", concurrency={"*": 6, "upstream-model": None})
    upstream.ledger.entries.clear()
    await asyncio.gather(*(gateway.chat() for _ in range(6)))
    assert 6 == most_at_once(upstream)


async def test_who_waits_too_long_for_a_place_is_told_when_to_come_back(tmp_path: Path) -> None:
    async with (
        FaultUpstream() as upstream,
        running(tmp_path, upstream, routing="queue = 0.2") as run,
    ):
        await run.patch("/providers/p", concurrency={"*": 1})
        upstream.script(Script(delay_ms=1000))
        first = asyncio.create_task(run.chat())
        await eventually(lambda: upstream.ledger.entries)
        refused = await run.chat()
        assert (503, "target_busy") == (refused.status_code, refused.json()["error"]["code"])
        assert "retry-after" in refused.headers
        assert 200 == (await first).status_code


def told(answer: Any) -> tuple[str, str]:
    return answer.headers["x-switchgear-model"], answer.headers["x-switchgear-attempts"]


def most_at_once(upstream: FaultUpstream) -> int:
    moves = [(entry.arrived_at, 1) for entry in upstream.ledger.entries]
    moves += [(entry.finished_at or 1e18, -1) for entry in upstream.ledger.entries]
    now = most = 0
    for _, step in sorted(moves):
        now += step
        most = max(most, now)
    return most


@pytest.mark.parametrize("name", ["retry-after", "date"])
async def test_a_date_beyond_all_clocks_is_a_refusal_like_others(
    gateway: Running, upstream: FaultUpstream, name: str
) -> None:
    headers = {"retry-after": "Tue, 14 Nov 2023 22:14:20 GMT", name: "Tue, 14 Nov 99999999999 22:14:20 GMT"}
    upstream.script(Script(cause="rate_limit", headers=headers))
    answer = await gateway.chat(model="c")
    assert (200, "n") == (answer.status_code, answer.headers.get("x-switchgear-model"))
    upstream.script(Script(cause="server", headers=headers), times=2)
    answer = await gateway.chat()
    assert (502, "provider") == (answer.status_code, answer.headers["x-switchgear-error-source"])
