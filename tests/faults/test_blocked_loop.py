"""A policy that blocks the event loop is found out while it does, and named: in the log, in metrics, in health, to listeners."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from faults.figures import Record
from support.daemon import Daemon, daemon
from support.distributions import installed
from support.gateway import eventually

PLUGIN = """
    import json, re, time
    from pathlib import Path
    from switchgear import Offer
    from switchgear.contracts.policy import Policy

    class Waits(Policy):
        def admit(self, x):
            getattr(self, x.call.model, lambda: None)()

        def sleeping(self):
            time.sleep(1.2)

        def spinning(self):
            until = time.monotonic() + 1.2
            while time.monotonic() < until:
                pass

        def matching(self):
            took, length = 0.0, 20
            while took < 1.5:
                began = time.monotonic()
                re.match("(a+)+$", "a" * length + "b")
                took = time.monotonic() - began
                length += 1

    class Blocking(switchgear.Plugin):
        api = 1
        names = frozenset({"event_loop.blocked"})

        def switchgear_policies(self):
            return [Offer("waits", Waits)]

        def switchgear_event_handlers(self):
            return [self]

        def handle(self, event):
            with Path("events").open("a") as file:
                file.write(json.dumps(event.data) + "\\n")
"""


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Daemon]:
    with installed(tmp_path / "site") as site:
        site.add("blocking-policies", {"blocking": "Blocking"}, PLUGIN)
    environ = {"PYTHONPATH": str(tmp_path / "site")}
    async with daemon(tmp_path, plugins="blocking = { enabled = true }", environ=environ) as run:
        yield run


async def found(gateway: Daemon, how: str, words: str) -> float:
    """Have the policy block; return the seconds until stderr matches the words, which it must while it blocks."""
    await gateway.create("models", id=how, provider_id="echo", provider_model="echo")
    began = time.monotonic()
    call = asyncio.create_task(gateway.chat(model=how))
    await eventually(lambda: re.search(words, gateway.process.output()) or call.done(), within=60)
    seconds = time.monotonic() - began
    assert re.search(words, gateway.process.output())
    assert 200 == (await call).status_code
    return seconds


@pytest.mark.parametrize("how", ["sleeping", "spinning"])
async def test_a_policy_that_blocks_is_named_while_it_does(gateway: Daemon, tmp_path: Path, figure: Record, how: str):
    seconds = await found(gateway, how, '"event loop blocked"')
    figure("24 a policy blocks the loop", f"until the log names it, {how}", f"{seconds * 1e3:.0f} ms", "< 1 s")
    [line] = [line for line in gateway.process.output().splitlines() if '"event loop blocked"' in line]
    logged = json.loads(line)
    assert ("blocking", "warning") == (logged["plugin"], logged["level"])
    assert f"in {how}" in logged["stack"]
    await named(gateway, tmp_path)


@pytest.mark.slow
async def test_a_regular_expression_that_holds_the_interpreter_is_shown_while_it_does_and_named_after(
    gateway: Daemon, tmp_path: Path, figure: Record
):
    seconds = await found(gateway, "matching", r"line \d+ in matching")
    figure("24 a policy blocks the loop", "until stderr shows where, a regular expression", f"{seconds:.1f} s")
    await eventually(lambda: '"event loop blocked"' in gateway.process.output())
    await named(gateway, tmp_path)


async def named(gateway: Daemon, directory: Path) -> None:
    metrics = (await gateway.http.get("/metrics")).text
    assert 'switchgear_event_loop_stalls_total{plugin="blocking"} ' in metrics
    health = await gateway.http.get("/health/detailed", headers=gateway.admin.headers)
    assert health.json()["event_loop_stalls"]["blocking"] >= 1
    await eventually((directory / "events").exists)
    assert {"plugin": "blocking"} == json.loads((directory / "events").read_text().splitlines()[0])
