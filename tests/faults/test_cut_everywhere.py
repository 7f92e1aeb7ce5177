"""A stream that is cut at any byte is complete only if its end was marked, and client and usage record say the same of it."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from faults.figures import Record
from support.faultup import FaultUpstream, Script
from support.gateway import Running, running
from support.load import Load
from support.soak import usually
from support.wires import WIRES, Wire, provide

LENGTH = 4096
AT_ONCE = 16
FRAMINGS = {
    "chunked": Script(framing="chunked"),
    "close": Script(framing="close"),
    "chunked as if whole": Script(framing="chunked", cut_how="clean"),
}
SAMPLED: int | None = usually(24, soak=None)
"""At how many bytes of a stream it is cut; None: at every one, as every short stream is in tests/system/test_streaming.py."""
END = 48
"""So many bytes at the end are always among those that are sampled: there the end is marked."""


def words(count: int) -> str:
    chance = random.Random(6)
    return "".join(chance.choice(("amber ", "birch\n", "cédar ", '"delta" ', "\\ember ", "😀 ")) for _ in range(count))


async def recorded(wire: Wire, run: Running, up: FaultUpstream) -> tuple[str, bytes]:
    """Find an answer whose stream is about 4 KiB long; return its text and the stream as the upstream sends it."""
    up.keep_answers = True
    count = 1
    while True:
        text = words(count)
        up.default = Script(content=text)
        answer = await run.http.post(wire.path, json=wire.ask("hi"), headers=run.auth)
        assert wire.is_complete(answer.status_code, answer.content), answer.text
        sent = up.ledger.entries[-1].answer
        assert sent is not None
        if len(sent) >= LENGTH:
            up.keep_answers = False
            up.reset()
            return text, sent
        count += 1


@pytest.mark.soak
@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_stream_cut_at_any_byte_is_not_taken_for_whole(
    tmp_path: Path, figure: Record, framing: str, wire: Wire
) -> None:
    async with FaultUpstream() as up, running(tmp_path) as run:
        await provide(run, up)
        text, sent = await recorded(wire, run, up)
        offsets = list(range(len(sent) + 1))
        if SAMPLED is not None:
            offsets = sorted({*random.Random(framing).sample(offsets, SAMPLED), *offsets[-END::4]})
        up.script(*(msgspec.structs.replace(FRAMINGS[framing], content=text, cut_at=at) for at in offsets))
        async with Load(run.port, run.key) as load:
            asks = (wire.ask(f"cut {number}") for number in range(len(offsets)))
            calls = await load.at_once(asks, width=AT_ONCE, path=wire.path)
        records = await run.all_usage()
        cut_at = {number_of(entry.body): entry.body_bytes for entry in up.ledger}
        finished = wire.finished_at(sent)
        assert [] == [call for call in calls if call.number not in cut_at]
        # Who saw the end may be gone before all that was to follow it was sent.
        assert all(at > finished for at in set(offsets) - set(cut_at.values()))
        seen: Counter[str] = Counter()
        for call in calls:
            at = cut_at[call.number]
            complete = wire.is_complete(call.status, call.body)
            outcome = records[call.headers["x-request-id"]]["outcome"]
            where = f"cut at {at} of {len(sent)}, finished at {finished}: {outcome}"
            assert call.whole, where
            assert ("complete" if complete else "upstream_cut") == outcome, where
            if complete:
                assert at >= finished, where
            else:
                assert at < len(sent), where
                assert (call.status, b"error" in call.body) in {(200, True), (502, True)}, where
            seen[outcome] += 1
        if SAMPLED is None:
            row, counts = f"6 {wire.name} cut at every byte, {framing}", f"{seen.total()} offsets of {len(sent)} bytes"
            figure(row, "told complete though it was not", f"0 of {seen['upstream_cut']}, {counts}", "0")
            figure(row, "client and usage record disagree", f"0 of {seen.total()}", "0")
        assert [] == up.failures


def number_of(body: bytes) -> int:
    """Return the number of the call that a request to the upstream comes from."""
    return int(body.partition(b"cut ")[2].partition(b'"')[0])


async def test_a_cut_is_what_breaks_the_framing_and_what_does_not(tmp_path: Path) -> None:
    async with FaultUpstream() as up, running(tmp_path) as run:
        await provide(run, up)
        for wire in WIRES:
            for script in _cuts():
                up.script(script)
                answer = await run.http.post(wire.path, json=wire.ask("hi"), headers=run.auth)
                assert wire.last not in answer.content, (wire.name, script)
                record: dict[str, Any] = await run.usage_of(answer.headers["x-request-id"])
                assert ("upstream_cut", True) == (record["outcome"], record["usage_estimated"]), (wire.name, script)


def _cuts() -> list[Script]:
    return [Script(chunks=8, cut_after_chunks=4, cut_how=how) for how in ("fin", "rst", "clean")]
