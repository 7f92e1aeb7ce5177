"""Targets that refuse, fail, hang or reset under load, while another could answer: it does, and nobody is asked in vain."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from faults.figures import Record
from support.faultup import FaultUpstream, Script
from support.fleet import fleet
from support.gateway import eventually
from support.load import Called, Load, ms, percent, percentile, share

RATE = 200
SILENT_S = 2.0
"""How long a target may say nothing; one that answers does so in time, whatever else the machine does."""
RESET = Script(cut_at=0, cut_of="raw", cut_how="rst")


async def refuse(up: FaultUpstream) -> None:
    up.close_port()
    await up.drop_connections()


async def fail(up: FaultUpstream) -> None:
    up.default = Script(cause="server")


async def hang(up: FaultUpstream) -> None:
    up.default = Script(hang=True)


ROWS = {refuse: "1 two of three refuse", fail: "1 two of three answer 500", hang: "3 two of three hang before headers"}


@pytest.mark.slow
@pytest.mark.parametrize("broken", [refuse, fail, hang], ids=lambda it: it.__name__)
async def test_one_healthy_target_of_three_answers_everything(
    tmp_path: Path, figure: Record, broken: Callable[[FaultUpstream], Awaitable[None]]
) -> None:
    row = ROWS[broken]
    # What waits for targets that hang comes to the others all at once, in the loop that is everybody's here.
    rate = RATE // 4 if broken is hang else RATE
    async with fleet(tmp_path, 3, first_byte=SILENT_S) as it, Load(it.run.port, it.run.key) as load:
        await load.offer(rate, rate, model="m2")
        healthy = await load.offer(rate, rate * 2, model="m2")
        for up in it.ups[:2]:
            await broken(up)
        calls = await load.offer(rate, rate * 9, model="c")
        opened = [call for call in calls if call.due_s > 2 * SILENT_S + 2]  # two breakers, one after the other
        assert 1.0 == share(calls, 200), Counter(call.status for call in calls)
        assert {"m2"} == {call.model for call in calls}
        settled = sum(call.attempts for call in opened) / len(opened)
        assert settled <= 1.1
        added = percentile(latencies(opened), 99) - percentile(latencies(healthy), 99)
        figure(row, f"success of {len(calls):,} requests", percent(share(calls, 200)), ">= 99.99 %")
        figure(row, "attempts a request, breakers open", f"{settled:.3f}", "<= 1.1")
        figure(row, "added p50, breakers open", ms(_median(opened) - _median(healthy)), "")
        figure(row, "added p99, breakers open", ms(added), "< 50 ms")
        figure(row, "worst request of all", ms(max(latencies(calls))), "")
        if broken is hang:
            await eventually(lambda: all(up.open_connections == 0 for up in it.ups[:2]))


def latencies(calls: list[Called]) -> list[float]:
    return [call.latency_s for call in calls]


def _median(calls: list[Called]) -> float:
    return percentile(latencies(calls), 50)


@pytest.mark.slow
@pytest.mark.parametrize(("part", "budget"), [(0.05, 0.2), (1.0, 0.1)])
async def test_a_reset_before_headers_is_tried_again_within_the_budget(
    tmp_path: Path, figure: Record, part: float, budget: float
) -> None:
    row = f"2 RST before headers of {part:.0%}, retry budget {budget:.0%}"
    floor = 3
    settings = f"[gateway.routing.retry]\nbudget_share = {budget}\nbudget_floor = {floor}\nbase = 0.01\n"
    async with fleet(tmp_path, 1, routing=settings) as it, Load(it.run.port, it.run.key) as load:
        [up] = it.ups
        chance = random.Random(2)
        up.script(*(RESET if chance.random() < part else Script() for _ in range(2000)))
        calls = await load.offer(RATE, 1000, model="m0")
        twice = duplicates(up)
        figure(row, "success of 1,000 requests", percent(share(calls, 200)), "")
        figure(row, "executed more than once", percent(twice / len(calls)), f"<= {budget:.0%} + {floor}")
        assert sum(call.attempts for call in calls) == len(up.ledger), "what the client is told is what happened"
        assert {1, 2} == {call.attempts for call in calls}
        assert 2 == max(executions(up).values())
        assert twice <= budget * len(calls) + floor
        assert {200, 502} >= {call.status for call in calls}


def executions(up: FaultUpstream) -> Counter[bytes]:
    """Count how often each request came; what clients ask differs."""
    return Counter(entry.body for entry in up.ledger)


def duplicates(up: FaultUpstream) -> int:
    return sum(count - 1 for count in executions(up).values())


async def test_a_reset_before_headers_leads_on_where_others_wait(tmp_path: Path) -> None:
    async with fleet(tmp_path, 2) as it, Load(it.run.port, it.run.key) as load:
        it.ups[0].default = RESET
        calls = await load.offer(RATE, 40, model="c")
        assert (1.0, {"m1"}) == (share(calls, 200), {call.model for call in calls})
        assert 1 == max(executions(it.ups[0]).values())
        assert [1] * 40 == list(executions(it.ups[1]).values())


async def test_what_may_have_been_executed_twice_is_recorded_as_such(tmp_path: Path) -> None:
    async with fleet(tmp_path, 2) as it, Load(it.run.port, it.run.key) as load:
        for model, scripts, expected in (
            ("m0", [RESET, Script()], True),  # again at the same target
            ("c", [RESET], True),  # and at another
            ("m0", [RESET, RESET], True),
            ("m0", [Script(cause="server"), Script()], False),  # it said itself that it did not
            ("m0", [], False),
        ):
            it.ups[0].script(*scripts)
            [call] = await load.at_once([{"model": model}], width=1)
            record = await it.run.usage_of(call.headers["x-request-id"])
            assert expected == record.get("possible_duplicate", False), (model, scripts)
        await refuse(it.ups[0])
        [call] = await load.at_once([{"model": "c"}], width=1)
        record = await it.run.usage_of(call.headers["x-request-id"])
        assert (2, False) == (call.attempts, record.get("possible_duplicate", False)), "nothing was sent"


async def test_a_silent_target_is_asked_once_however_often_its_step_says(tmp_path: Path) -> None:
    async with fleet(tmp_path, 2, first_byte=0.1) as it, Load(it.run.port, it.run.key) as load:
        steps = [{"target": "m0", "max_retries": 3}, {"target": "m1"}]
        await it.run.create("chains", id="stubborn", steps=steps)
        await hang(it.ups[0])
        calls = await load.at_once([{"model": "stubborn"}] * 4, width=4)
        assert [2, 2, 2, 2] == [call.attempts for call in calls]
        assert [1, 1, 1, 1] == list(executions(it.ups[0]).values())
        await eventually(lambda: it.ups[0].open_connections == 0)


async def test_the_total_deadline_wins_over_whoever_might_still_answer(tmp_path: Path, figure: Record) -> None:
    total, count = 1.5, 40
    insensitive = "[gateway.routing.breaker]\nin_a_row = 1000\nleast = 1000\n"
    async with (
        fleet(tmp_path, 3, first_byte=0.6, total=total, routing=insensitive) as it,
        Load(it.run.port, it.run.key) as load,
    ):
        it.all_do(Script(hang=True))
        calls = await load.offer(100, count, model="c")
        assert {504} == {call.status for call in calls}
        assert {"total_timeout"} == {call.json["error"]["code"] for call in calls}
        assert 2 * count < it.asked <= 3 * count, "the third has no more than what is left"
        over = [call.latency_s - total for call in calls]
        assert min(over) > -0.05, "not before its time"
        figure("3 all three hang before headers", "overrun of the total deadline, p50", ms(percentile(over, 50)), "")
        figure("3 all three hang before headers", "overrun of the total deadline, worst", ms(max(over)), "< 100 ms")
        await eventually(lambda: all(up.open_connections == 0 for up in it.ups))
        it.all_do(Script())
        assert 200 == (await it.run.chat(model="c")).status_code


async def test_bytes_that_drip_do_not_put_the_total_deadline_off(tmp_path: Path, figure: Record) -> None:
    async with fleet(tmp_path, 1, total=0.6) as it, Load(it.run.port, it.run.key) as load:
        it.all_do(Script(chunks=1000, chunk_delay_ms=20))
        began = asyncio.get_running_loop().time()
        calls = await load.at_once([{"model": "m0", "stream": True}] * 30, width=30)
        assert {True} == {b'"total_timeout"' in call.body and b"[DONE]" not in call.body for call in calls}
        over = [call.latency_s - 0.6 for call in calls]
        assert asyncio.get_running_loop().time() - began < 15
        figure("3 streams that drip for ever", "overrun of the total deadline, worst", ms(max(over)), "< 100 ms")
        await eventually(lambda: it.ups[0].open_connections == 0)
