"""A stream that falls silent ends as an error after the idle timeout, and never as if it were whole."""

from collections import Counter
from pathlib import Path

import pytest

from faults.figures import Record
from support.faultup import FaultUpstream, Script
from support.fleet import fleet
from support.gateway import eventually, running
from support.load import Load, ms, percentile
from support.soak import SOAK, usually
from support.wires import WIRES, Wire, provide

IDLE = 0.2
CHUNKS = 8
ROUNDS = usually(4, soak=371)
AT_ONCE = 100


PATIENT = {"SWITCHGEAR__GATEWAY__TIMEOUTS__CONNECT": "30", "SWITCHGEAR__GATEWAY__TIMEOUTS__FIRST_BYTE": "30"}
"""Hundreds connect at once, to a provider that shares their loop."""


@pytest.mark.soak
@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
async def test_a_stream_that_falls_silent_after_any_chunk_is_an_error(
    tmp_path: Path, figure: Record, wire: Wire
) -> None:
    async with (
        FaultUpstream() as up,
        running(tmp_path, idle=IDLE, environ=PATIENT) as run,
        Load(run.port, run.key) as load,
    ):
        await provide(run, up)
        scripts = [Script(chunks=CHUNKS, stall_after_chunks=after) for after in range(CHUNKS + 1)]
        up.script(*scripts, times=ROUNDS)
        total = ROUNDS * (CHUNKS + 1)
        calls = await load.at_once((wire.ask(f"{n}") for n in range(total)), width=AT_ONCE, path=wire.path)
        records = await run.all_usage()
        false = [call for call in calls if wire.is_complete(call.status, call.body)]
        assert [] == false
        # Before its first content a stream is not begun, so that its error has a status.
        assert Counter({200: ROUNDS * CHUNKS, 504: ROUNDS}) == Counter(call.status for call in calls)
        assert {(True, True)} == {(call.whole, b"idle_timeout" in call.body) for call in calls}
        of_calls = [records[call.headers["x-request-id"]] for call in calls]
        assert {("upstream_stall", "idle_timeout", True)} == {
            (record["outcome"], record["cause"], record["usage_estimated"]) for record in of_calls
        }
        assert all(record["output_tokens"] > 0 for record in of_calls if record["status"] == 200)
        assert total == len(up.ledger), (
            "after its first content a stream is not tried again, nor a silent target before it"
        )
        await eventually(lambda: up.open_connections == 0)
        assert min(silences(up)) > IDLE * 0.9
        if SOAK:
            row = f"4 {wire.name} stalls after every chunk"
            figure(row, "told complete though it stalled", f"{len(false)} of {total}", "0")


def silences(up: FaultUpstream) -> list[float]:
    """Return how long, in seconds, each stream was silent until the gateway left it; what came before took no time."""
    found = [it.client_closed_at - it.first_byte_at for it in up.ledger if it.client_closed_at and it.first_byte_at]
    assert len(found) == len(up.ledger)
    return found


@pytest.mark.slow
async def test_a_stream_that_falls_silent_is_left_when_its_time_is_up(tmp_path: Path, figure: Record) -> None:
    idle = 1.0
    async with FaultUpstream() as up, running(tmp_path, up, idle=idle) as run, Load(run.port, run.key) as load:
        up.default = Script(chunks=CHUNKS, stall_after_chunks=3)
        calls = await load.offer(40, 200, stream=True)
        assert {(200, True)} == {(call.status, b"idle_timeout" in call.body) for call in calls}
        await eventually(lambda: up.open_connections == 0)
        assert min(silences(up)) > idle * 0.9
        for part in (50, 99):
            row, bar = f"4 stall in a stream, {idle:.0f} s allowed", "1000 ms ± 10 %"
            figure(row, f"left after a silence of, p{part}", ms(percentile(silences(up), part)), bar)


async def test_only_before_its_first_content_does_another_target_answer_for_one_that_stalls(tmp_path: Path) -> None:
    async with fleet(tmp_path, 2, idle=IDLE) as it, Load(it.run.port, it.run.key) as load:
        it.ups[0].script(*(Script(stall_after_chunks=after) for after in range(5)))
        calls = [(await load.at_once([{"model": "c", "stream": True}], width=1))[0] for _ in range(5)]
        assert ["m1", "m0", "m0", "m0", "m0"] == [call.model for call in calls]
        assert [True, False, False, False, False] == [b"[DONE]" in call.body for call in calls]
        assert 1 == len(it.ups[1].ledger)
