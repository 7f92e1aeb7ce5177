"""A wall clock that jumps: durations, windows, breakers and credentials do not notice, and no record is lost for it."""

import asyncio
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import structlog

from faults.figures import Record
from support.faultup import FaultUpstream, Script
from support.gateway import Running, eventually, running
from support.talk import Talk
from switchgear.contracts.credential import Secret
from switchgear.credentials import SecretKeeper
from switchgear.telemetry.metrics import Metrics
from switchgear.testing.ambient import Ahead

ROW = "21 clock"
HOUR = 3600.0
JUMPS = [HOUR, -HOUR, 1.0, -1.0]


class Jumpy(Ahead):
    """The system's clocks: `jump` moves the wall clock alone, `skip` both."""

    def __init__(self) -> None:
        super().__init__()
        self._wall_s = 0.0

    def jump(self, seconds: float) -> None:
        self._wall_s += seconds

    def now_s(self) -> float:
        return super().now_s() + self._wall_s

    def new_id(self) -> str:
        return f"{self.now_us() // 1000:012x}{super().new_id()[12:]}"


@pytest.fixture
def ambient() -> Jumpy:
    return Jumpy()


@pytest.fixture
async def gateway(tmp_path: Path, upstream: FaultUpstream, ambient: Jumpy) -> AsyncIterator[Running]:
    async with running(tmp_path, upstream, ambient=ambient, retries=1) as run:
        yield run


async def test_windows_of_limits_hold_no_more_and_no_less(gateway: Running, ambient: Jumpy, figure: Record) -> None:
    wrong = 0
    for jump in JUMPS:
        _, secret = await gateway.new_key(limits={"requests_per_minute": 5})
        gateway.key = secret
        before = [(await gateway.chat(model="echo")).status_code for _ in range(3)]
        ambient.jump(jump)
        after = [await gateway.chat(model="echo") for _ in range(4)]
        statuses = [*before, *(answer.status_code for answer in after)]
        wrong += sum(got != due for got, due in zip(statuses, [200] * 5 + [429] * 2, strict=True))
        assert 1 <= int(after[-1].headers["retry-after"]) <= 60
        ambient.skip(61)
        assert 200 == (await gateway.chat(model="echo")).status_code, "the window is over"
    assert 0 == wrong
    figure(ROW, "jumps of ±1 h, ±1 s within a window: wrong refusals or admissions", f"{wrong} of 28", "0")


async def test_what_runs_meanwhile_takes_as_long_as_it_takes(
    gateway: Running, upstream: FaultUpstream, ambient: Jumpy, figure: Record
) -> None:
    upstream.default = Script(chunks=10, chunk_delay_ms=20)
    longest = 0.0
    for jump in JUMPS:
        talk = await Talk.begin(gateway.port, gateway.key)
        await talk.begun()
        began_us = ambient.now_us()
        ambient.jump(jump)
        await talk.end()
        assert talk.complete, "no deadline passed"
        record = await gateway.usage_of(talk.request_id)
        longest = max(longest, record["latency_us"] / 1e6)
        assert 0 < record["ttft_us"] <= record["latency_us"] < 5_000_000
        assert abs(record["at_us"] - began_us) < 5_000_000, "when it began, by the clock of then"
        total = talk.answer.headers["server-timing"].rpartition("total;dur=")[2]
        assert 0 < float(total) < 5000
    figure(ROW, "longest recorded latency of a stream of 0.2 s with a jump of ±1 h in it", f"{longest:.2f} s", "< 5 s")


async def test_records_keep_their_order_and_none_is_lost(gateway: Running, ambient: Jumpy, figure: Record) -> None:
    asked = []
    for jump in (0.0, HOUR, -HOUR, -HOUR, HOUR, 1.0, -1.0, -1.0, 1.0):
        ambient.jump(jump)
        for _ in range(5):
            answer = await gateway.chat(model="echo")
            asked.append((ambient.now_us(), answer.headers["x-request-id"]))
    found = await gateway.usage()
    assert len(asked) == len({id for _, id in asked}), "ids made twice at one time differ"
    assert sorted(id for _, id in asked) == sorted(record["request_id"] for record in found)
    times = [record["at_us"] for record in found]
    assert sorted(times, reverse=True) == times, "newest first by their own time"
    paged: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await gateway.admin.get("/usage", params={"limit": "7", **cursor})).json()
        paged += [record["request_id"] for record in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert [record["request_id"] for record in found] == paged, "pages neither skip nor repeat"
    figure(ROW, "usage rows after 8 jumps", f"{len(found)} of {len(asked)}", "all, once")


@pytest.mark.parametrize("jump", JUMPS)
async def test_breakers_and_pauses_last_as_long_as_they_were_to(
    gateway: Running, upstream: FaultUpstream, ambient: Jumpy, jump: float
) -> None:
    await gateway.create("chains", id="c", steps=[{"target": "m"}, {"target": "echo"}])

    async def who() -> str:
        return (await gateway.chat(model="c")).headers["x-switchgear-model"]

    upstream.script(Script(cause="rate_limit", headers={"retry-after": "20"}))
    assert "echo" == await who()
    ambient.jump(jump)
    assert "echo" == await who(), "it asked for 20 seconds"
    ambient.skip(21)
    assert "m" == await who()
    upstream.script(Script(cause="server"), times=1000)
    await eventually(lambda: _is_spared(gateway, upstream))
    ambient.jump(jump)
    assert await _is_spared(gateway, upstream), "the breaker is open still"
    upstream.reset()
    ambient.jump(jump)
    ambient.skip(10)
    assert "m" == await who(), "a probe was due, and it closed the breaker"
    assert "m" == await who()


async def _is_spared(gateway: Running, upstream: FaultUpstream) -> bool:
    """Say whether a request of the chain is answered without asking the upstream."""
    before = len(upstream.ledger)
    assert 200 == (await gateway.chat(model="c")).status_code
    return len(upstream.ledger) == before


async def test_retries_wait_no_longer(gateway: Running, upstream: FaultUpstream, ambient: Jumpy) -> None:
    for jump in JUMPS:
        upstream.script(Script(cause="server"), Script())
        asking = asyncio.create_task(gateway.chat())
        await upstream.ledger.until(lambda ledger: len(ledger) >= 1)
        ambient.jump(jump)
        async with asyncio.timeout(3):
            answer = await asking
        assert (200, "2") == (answer.status_code, answer.headers["x-switchgear-attempts"])
        upstream.ledger.clear()
        ambient.skip(61)  # so that the budget of retries is whole again


async def test_changes_are_seen_and_ordered_whatever_the_clock_says(gateway: Running, ambient: Jumpy) -> None:
    for number, jump in enumerate(JUMPS):
        ambient.jump(jump)
        await gateway.patch("/models/echo", metadata={"number": str(number)})
        await gateway.create("aliases", id=f"a{number}", target="echo")
        assert 200 == (await gateway.chat(model=f"a{number}")).status_code
    model = (await gateway.admin.get("/models/echo")).json()
    assert "3" == model["metadata"]["number"]
    answer = await gateway.http.get("/live")
    ambient.jump(HOUR)

    async def told() -> bool:
        date = (await gateway.http.get("/live")).headers["date"]
        return 0 <= abs(parsedate_to_datetime(date).timestamp() - ambient.now_us() / 1e6) <= 3

    assert answer.headers["date"]
    await eventually(told)


async def test_a_key_that_ends_is_judged_by_the_clock_of_now(gateway: Running, ambient: Jumpy) -> None:
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ambient.now_us() / 1e6 + HOUR / 2))
    endless = gateway.key
    _, gateway.key = await gateway.new_key(expires_at=expires)
    seen = []
    for jump in (0.0, -HOUR, HOUR, HOUR, -HOUR):
        ambient.jump(jump)
        seen.append((await gateway.chat(model="echo")).status_code)
    assert [200, 200, 200, 401, 200] == seen
    gateway.key = endless
    ambient.jump(24 * HOUR)
    assert 200 == (await gateway.chat(model="echo")).status_code


class Tokens:
    """A credential backend whose secrets are good for an hour of the wall clock."""

    def __init__(self, ambient: Ahead) -> None:
        self.fetches = 0
        self._ambient = ambient

    async def fetch(self, credential_id: str, source: object) -> Secret:
        self.fetches += 1
        return Secret({"api_key": f"k{self.fetches}"}, expires_us=self._ambient.now_us() + 3_600_000_000)


@pytest.mark.parametrize("jump", JUMPS)
async def test_credentials_are_renewed_by_the_time_that_passed(ambient: Jumpy, jump: float, figure: Record) -> None:
    tokens = Tokens(ambient)
    keeper = SecretKeeper(ambient, Metrics("test"), structlog.get_logger())
    try:
        handle = keeper.handle("c", tokens, "source")
        assert "k1" == (await handle.get())["api_key"]
        ambient.jump(jump)
        for _ in range(100):
            assert "k1" == (await handle.get())["api_key"]
        assert 1 == tokens.fetches, "a jump alone makes nothing old"
        ambient.skip(0.85 * HOUR)
        handle.peek()
        await eventually(lambda: tokens.fetches == 2)
        assert "k2" == (await handle.get())["api_key"]
    finally:
        await keeper.close()
    figure(ROW, f"credential fetches caused by a jump of {jump:+.0f} s", str(tokens.fetches - 2), "0")
