import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from switchgear_monthly_cap import MonthlyCap, Settings, month_of

from support.faultup import FaultUpstream, Script
from support.gateway import Running, running
from switchgear.contracts.counters import Room
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.policy_suite import PolicySuite, WatchedCounters, make_exchange

CAP = 10_000
PRICES = {"input": 1_000_000, "output": 10_000_000}


class NoRecords:
    async def summarise(self, *_: Any) -> list[Any]:
        return []


class TestMonthlyCap(PolicySuite):
    def make(self, counters: WatchedCounters) -> MonthlyCap:
        context = SimpleNamespace(ambient=FixedAmbient(), counters=counters, records=NoRecords())
        return MonthlyCap(Settings(by="id", cap=1000), context)  # type: ignore[arg-type]  # all that it uses

    async def test_counters_that_lost_the_month_are_seeded_again(self) -> None:
        policy, x = self.make(WatchedCounters()), make_exchange(self.principal)
        first = policy.reserve(x)
        assert not isinstance(first, tuple)
        assert await first == policy.reserve(x)
        assert (503, "budget_unknown") == _said(policy.refused(x, 0, Room(0, 1.0, seeded=False), 1.0))
        again = policy.reserve(x)
        assert not isinstance(again, tuple)
        await again


def _said(error: Any) -> tuple[int, str]:
    return error.status, error.code


@pytest.mark.parametrize(
    ("moment", "begin", "end"),
    [("2026-11-30T23:59:59", "2026-11-01", "2026-12-01"), ("2026-12-01T00:00:00", "2026-12-01", "2027-01-01")],
)
def test_a_month_is_the_calendars(moment: str, begin: str, end: str) -> None:
    at, *month = (
        int(datetime.fromisoformat(it).replace(tzinfo=UTC).timestamp()) * 1_000_000 for it in (moment, begin, end)
    )
    assert tuple(month) == month_of(at + 999_999)


@pytest.fixture
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        up.default = Script(chunks=12, prompt_tokens=8, delay_ms=20)
        yield up


async def serve(directory: Path, upstream: FaultUpstream, by: str = "key") -> Any:
    return running(directory, upstream, plugins=f'monthly_cap = {{ enabled = true, by = "{by}", cap = {CAP} }}')


async def ask(run: Running, secret: str, **members: Any) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 12, **members}
    return await run.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {secret}"})


async def spent(run: Running, key: str) -> int:
    return sum(record["cost_microusd"] or 0 for record in (await run.all_usage()).values() if record["key_id"] == key)


async def test_two_hundred_at_once_spend_all_of_it_and_no_more(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with await serve(tmp_path, upstream) as run:
        await run.patch("/models/m", pricing=PRICES)
        key, secret = await run.new_key()
        answers = await asyncio.gather(*(ask(run, secret) for _ in range(200)))
        while answers[-1].status_code == 200:
            answers.append(await ask(run, secret))
        codes = Counter(answer.status_code for answer in answers)
        assert {200, 429} == set(codes)
        assert 0.95 * CAP <= await spent(run, key) <= CAP
        assert codes[200] == len(upstream.ledger), "who was refused was not asked for"
        refused = answers[-1]
        assert "budget_exceeded" == refused.json()["error"]["code"]
        assert str(CAP) == refused.headers["x-monthly-cap-limit-microusd"]
        assert CAP - await spent(run, key) == int(refused.headers["x-monthly-cap-remaining-microusd"])
        assert int(refused.headers["retry-after"]) > 0
        _, other = await run.new_key()
        assert 200 == (await ask(run, other)).status_code


async def test_after_a_restart_what_was_spent_stays_spent(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with await serve(tmp_path, upstream) as run:
        await run.patch("/models/m", pricing=PRICES)
        key, secret = await run.new_key()
        for _ in range(20):
            assert 200 == (await ask(run, secret)).status_code
        before = await spent(run, key)
        assert before > 0
    async with await serve(tmp_path, upstream) as run:
        answers = await asyncio.gather(*(ask(run, secret) for _ in range(200)))
        assert {200, 429} == {answer.status_code for answer in answers}
        assert before < await spent(run, key) <= CAP


async def test_what_cannot_be_known_before_is_refused(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with await serve(tmp_path, upstream) as run:
        _, secret = await run.new_key()
        answer = await ask(run, secret)
        assert (403, "price_unknown") == (answer.status_code, answer.json()["error"]["code"])
        await run.patch("/models/m", pricing=PRICES)
        answer = await ask(run, secret, max_tokens=None)
        assert (400, "unbounded") == (answer.status_code, answer.json()["error"]["code"])
        assert 0 == len(upstream.ledger)


async def test_a_team_shares_one_cap(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with await serve(tmp_path, upstream, by="team") as run:
        await run.patch("/models/m", pricing=PRICES)
        secrets = [(await run.new_key(team_id="red"))[1] for _ in range(2)]
        first = await ask(run, secrets[0])
        second = await ask(run, secrets[1])
        left = [int(it.headers["x-monthly-cap-remaining-microusd"]) for it in (first, second)]
        assert left[1] < left[0] < CAP
        _, alone = await run.new_key()
        assert "x-monthly-cap-limit-microusd" not in (await ask(run, alone)).headers


async def test_operators_are_told_what_is_left(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with await serve(tmp_path, upstream) as run:
        await run.patch("/models/m", pricing=PRICES)
        key, secret = await run.new_key()
        left = int((await ask(run, secret)).headers["x-monthly-cap-remaining-microusd"])
        question = {
            "request": {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1},
            "principal": key,
        }
        policies = (await run.act("/explain", **question))["policies"]
        [said] = [it["says"] for it in policies if it["name"] == "monthly_cap"]
        assert (CAP, True) == (said["limit_microusd"], left <= said["remaining_microusd"] < CAP)
