"""Answers without end, lines without end, heads without end, bombs: refused, and no more is held of them than the caps say."""

import asyncio
import json
from pathlib import Path

import pytest

from faults.figures import Record
from support.daemon import daemon
from support.faultup import FaultProcess, Script
from support.gateway import SOURCE, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROW = "7 hostile bodies"
MIB = 1024 * 1024
CAP = 4 * MIB
AT_ONCE = 8
EMPTY = json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": None}], "filler": "x" * 60_000})

WHOLE = {
    "10 GiB body": Script(huge_body=10 * 1024 * MIB),
    "gzip bomb of 32 MiB": Script(huge_body=32 * MIB, gzip=True, framing="chunked"),
    "16 MiB header": Script(huge_header=16 * MIB),
    "10,000 header lines": Script(headers={f"x-{number}": "a" for number in range(10_000)}),
    "32 MiB error": Script(status=500, body="x" * 32 * MIB),
}
STREAMED = {
    "10 GiB event": Script(huge_body=10 * 1024 * MIB),
    "64 MiB line": Script(huge_line=64 * MIB),
    "5 MiB line in drips": Script(huge_line=5 * MIB, drip_bytes=16_384, drip_ms=0),
    "16 MiB header": Script(huge_header=16 * MIB),
    "endless events without content": Script(events=(f"data: {EMPTY}\n\n",) * 2000),
}
CASES = [(name, script, False) for name, script in WHOLE.items()] + [
    (name, script, True) for name, script in STREAMED.items()
]
CODES = {"upstream_too_large", "upstream_protocol", "upstream_error"}


async def test_memory_stays_within_the_caps_and_every_client_is_told(tmp_path: Path, figure: Record) -> None:
    with FaultProcess() as upstream:
        async with daemon(tmp_path, gateway=f"edge = {{ body_bytes = {CAP} }}") as gateway:
            await gateway.create("credentials", id="c", type="openai", source=SOURCE)
            await gateway.create("providers", id="p", type="openai", base_url=upstream.base_url, credential_id="c")
            for number in range(len(CASES)):
                await gateway.create("models", id=f"m{number}", provider_id="p", provider_model=f"fault-{number}")
            await gateway.create("models", id="m", provider_id="p", provider_model="fault-ok")
            for stream in (False, True):
                warm = await asyncio.gather(*(gateway.chat(stream=stream) for _ in range(5 * AT_ONCE)))
                assert {200} == {answer.status_code for answer in warm}
            worst = 0
            at_rest = gateway.process.rss_bytes()  # once: what one case leaves with the allocator counts in the next
            for number, (name, script, stream) in enumerate(CASES):
                upstream.register(str(number), script)
                gateway.process.forget_peak()
                answers = await asyncio.gather(
                    *(gateway.chat(model=f"m{number}", stream=stream) for _ in range(AT_ONCE))
                )
                grown = gateway.process.peak_bytes() - at_rest
                worst = max(worst, grown)
                for answer in answers:
                    if answer.status_code == 200:  # what was shown before the cap was passed cannot be taken back
                        assert stream
                        assert "[DONE]" not in answer.text
                        assert any(f'"code":"{code}"' in answer.text for code in CODES), answer.text[-300:]
                    else:
                        assert 502 == answer.status_code, name
                        assert answer.json()["error"]["code"] in CODES
                    record = await gateway.usage_of(answer.headers["x-request-id"])
                    assert "upstream_error" == record["outcome"]
                assert grown <= 4 * CAP * AT_ONCE, name
                way = "stream" if stream else "whole"
                figure(ROW, f"{name}, {way}: memory above that at rest, {AT_ONCE} at once", f"{grown / MIB:.1f} MiB")
                await eventually(lambda: not upstream.state().open)
            assert 200 == (await gateway.chat()).status_code
    figure(
        ROW, f"the most of all, cap {CAP // MIB} MiB", f"{worst / MIB:.1f} MiB", f"<= {2 * CAP * AT_ONCE // MIB} MiB"
    )
