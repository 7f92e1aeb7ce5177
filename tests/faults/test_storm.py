"""Limits that are passed and outages of everything: nobody is asked in vain more than it must be, and clients learn why."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from faults.figures import Record
from support.faultup import Bucket, FaultUpstream, Script
from support.fleet import fleet
from support.load import Called, Load, ms, percent, percentile, share
from support.soak import usually

RATE = 200
LIMIT = 50
SECONDS = usually(7, soak=14)
SETTLED = SECONDS - 4
"""Seconds after which a limited target is no longer asked for more than it gives."""
INSENSITIVE = "[gateway.routing.breaker]\nrate = 1.0\nleast = 1000000\nin_a_row = 1000000\n"

Said = Callable[[float], Mapping[str, str]]


def _in_seconds(_: float) -> Mapping[str, str]:
    return {"retry-after": "1"}


def _date(_: float) -> Mapping[str, str]:
    now = datetime.now(UTC)
    return {"date": format_datetime(now, usegmt=True), "retry-after": format_datetime(now + timedelta(seconds=2), True)}


def _zero(_: float) -> Mapping[str, str]:
    return {"retry-after": "0"}


def _nothing(_: float) -> Mapping[str, str]:
    return {}


FORMS = [_in_seconds, _date, _zero, _nothing]


class Storm:
    """What a limited upstream saw, of which the clients' `calls` came."""

    def __init__(self, up: FaultUpstream, calls: list[Called], began: float) -> None:
        self.calls = calls
        self.asked = len(up.ledger)
        self.answered = sum(entry.status == 200 for entry in up.ledger)
        late = [entry for entry in up.ledger if entry.arrived_at > began + SETTLED]
        self.refused_late = sum(entry.status == 429 for entry in late) / max(1, len(late))


async def storm(load: Load, up: FaultUpstream, model: str, said: Said) -> Storm:
    """Offer four times what an upstream takes, which says so."""
    up.bucket = Bucket(LIMIT, LIMIT, said)
    began = time.monotonic()
    return Storm(up, await load.offer(RATE, RATE * SECONDS, model=model), began)


def keep(figure: Record, row: str, it: Storm) -> None:
    figure(row, f"429s of what it was asked after {SETTLED} s", percent(it.refused_late), "< 5 %")
    figure(row, "success", percent(share(it.calls, 200)), "")
    figure(row, f"answered a second, of {LIMIT} it would", f"{it.answered / SECONDS:.1f}", "")
    figure(row, "asked, of all requests", f"{it.asked / len(it.calls):.2f}", "")
    figure(row, "p99 of all requests", ms(percentile([call.latency_s for call in it.calls], 99)), "")


@pytest.mark.slow
@pytest.mark.parametrize("said", FORMS, ids=lambda it: it.__name__.strip("_"))
async def test_what_a_limited_target_refuses_another_answers(tmp_path: Path, figure: Record, said: Said) -> None:
    async with fleet(tmp_path, 2) as it, Load(it.run.port, it.run.key) as load:
        seen = await storm(load, it.ups[0], "c", said)
        keep(figure, f"30 storm of 429 beside a healthy target, Retry-After {said.__name__.strip('_')}", seen)
        assert 1.0 == share(seen.calls, 200)
        assert seen.asked < len(seen.calls), "it is not asked again by the same request"
        assert {1, 2} == {call.attempts for call in seen.calls}
        assert seen.refused_late < 0.2
        assert seen.answered > LIMIT * SECONDS / 4, "what it does give is taken"


@pytest.mark.slow
@pytest.mark.parametrize("said", FORMS, ids=lambda it: it.__name__.strip("_"))
async def test_a_limited_target_that_is_alone_is_asked_for_no_more_than_it_gives(
    tmp_path: Path, figure: Record, said: Said
) -> None:
    async with fleet(tmp_path, 1) as it, Load(it.run.port, it.run.key) as load:
        seen = await storm(load, it.ups[0], "m0", said)
        keep(figure, f"30 storm of 429, no other target, Retry-After {said.__name__.strip('_')}", seen)
        assert {200, 429} == {call.status for call in seen.calls}
        assert all("retry-after" in call.headers for call in seen.calls if call.status == 429)
        assert max(call.attempts for call in seen.calls) <= 2
        assert seen.refused_late < 0.2
        assert seen.answered > LIMIT * SECONDS / 4, "what it does give is taken"


async def test_a_target_that_is_alone_and_wants_a_pause_gets_it_but_for_one_probe(tmp_path: Path) -> None:
    pause = 2.0
    async with fleet(tmp_path, 1, retries=0) as it, Load(it.run.port, it.run.key) as load:
        it.ups[0].default = Script(cause="rate_limit", headers={"retry-after": f"{pause:g}"})
        assert 429 == (await it.run.chat(model="m0")).status_code
        calls = await load.offer(50, 80, model="m0")
        assert {(429, True)} == {(call.status, "retry-after" in call.headers) for call in calls}
        first, *others = (entry.arrived_at for entry in it.ups[0].ledger)
        assert len([at for at in others if at < first + pause]) <= 1


@pytest.mark.parametrize("stream", [False, True])
async def test_while_a_target_wants_a_pause_another_answers_and_it_is_not_asked(tmp_path: Path, stream: bool) -> None:
    pause = 1.0
    async with fleet(tmp_path, 2) as it, Load(it.run.port, it.run.key) as load:
        it.ups[0].default = Script(cause="rate_limit", headers={"retry-after": f"{pause:g}"})
        assert "m1" == (await it.run.chat(model="c")).headers["x-switchgear-model"]
        [first] = await it.ups[0].ledger.settled()
        calls = await load.offer(100, 120, model="c", stream=stream)
        assert (1.0, {"m1"}) == (share(calls, 200), {call.model for call in calls})
        times = [entry.arrived_at for entry in it.ups[0].ledger]
        assert [] == [at for at in times[1:] if at < first.arrived_at + pause]


async def test_when_all_are_limited_the_client_is_told_for_how_long(tmp_path: Path) -> None:
    async with fleet(tmp_path, 2) as it:
        it.all_do(Script(cause="rate_limit", headers={"retry-after": "30"}))
        answer = await it.run.chat(model="c")
        assert (429, "30") == (answer.status_code, answer.headers["retry-after"])
        assert "rate_limit_exceeded" == answer.json()["error"]["code"]


@pytest.mark.slow
@pytest.mark.parametrize(("targets", "breakers"), [(1, True), (3, True), (1, False), (3, False)])
async def test_a_total_outage_is_not_multiplied(tmp_path: Path, figure: Record, targets: int, breakers: bool) -> None:
    async with fleet(tmp_path, targets, routing="" if breakers else INSENSITIVE) as it:
        it.all_do(Script(status=503))
        async with Load(it.run.port, it.run.key) as load:
            calls = await load.offer(RATE, RATE * 5, model="c")
        assert {503} == {call.status for call in calls}, Counter(call.status for call in calls)
        assert sum(call.attempts for call in calls) == it.asked, "what the client is told is what happened"
        late = [call for call in calls if call.due_s > 2.0]
        planned = 1 if breakers else targets
        a_request = sum(call.attempts for call in late) / len(late)
        row = f"31 all of {targets} answer 503, breakers {'on' if breakers else 'insensitive'}"
        figure(row, "attempts a request, of all", f"{it.asked / len(calls):.3f}", f"<= {targets} + 0.2")
        figure(row, "attempts a request, after 2 s", f"{a_request:.3f}", f"<= {planned} + 0.2")
        figure(row, "p99 of the answer", ms(percentile([call.latency_s for call in calls], 99)), "")
        assert it.asked <= (targets + 0.2) * len(calls) + 3
        assert a_request <= planned + 0.25, "the retries of two seconds before are in the same window"
        assert it.asked >= len(calls), "the last target is never ejected"
