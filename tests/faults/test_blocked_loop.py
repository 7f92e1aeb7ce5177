"""A policy that blocks the event loop is found out while it does, and named: in the log, in metrics, in health, to listeners."""

import asyncio
import json
import re
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from faults.figures import Record
from support.daemon import Daemon, daemon
from support.distributions import installed
from support.gateway import eventually
from support.load import ms

pytestmark = pytest.mark.slow

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

        def hanging(self):
            Path("hangs").touch()
            re.match("(a+)+$", "a" * 64 + "b")

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


@pytest.mark.parametrize("how", ["sleeping", "spinning"])
async def test_a_policy_that_blocks_is_named_while_it_does(gateway: Daemon, tmp_path: Path, figure: Record, how: str):
    call, began = await blocked(gateway, how), time.monotonic()
    await eventually(lambda: logged(gateway) or call.done())
    figure("24 a policy blocks the loop", f"until the log names it, {how}", ms(time.monotonic() - began), "< 1 s")
    assert not call.done()
    assert 200 == (await call).status_code
    [line] = logged(gateway)
    assert ("blocking", "warning") == (line["plugin"], line["level"])
    assert f"in {how}" in line["stack"]
    await named(gateway, tmp_path)


async def test_a_policy_that_holds_the_interpreter_is_named_as_soon_as_it_lets_go(gateway: Daemon, tmp_path: Path):
    call = await blocked(gateway, "matching")
    assert 200 == (await call).status_code
    await eventually(lambda: logged(gateway))
    assert "in matching" in logged(gateway)[-1]["stack"]
    await named(gateway, tmp_path)


async def test_where_it_hangs_is_shown_to_whoever_aborts_it(gateway: Daemon, tmp_path: Path):
    call = await blocked(gateway, "hanging")
    await eventually((tmp_path / "hangs").exists)
    gateway.process.process.send_signal(signal.SIGABRT)
    assert -signal.SIGABRT == await asyncio.to_thread(gateway.process.wait)
    assert re.search(r"line \d+ in hanging", gateway.process.output())
    with pytest.raises(httpx.HTTPError):
        await call


async def blocked(gateway: Daemon, how: str) -> asyncio.Task[httpx.Response]:
    """Have the policy block in one of its ways."""
    await gateway.create("models", id=how, provider_id="echo", provider_model="echo")
    return asyncio.create_task(gateway.chat(model=how))


def logged(gateway: Daemon) -> list[dict[str, Any]]:
    """Return what the log says of the policy; the kernel itself is late as well on a machine with much to do."""
    lines = gateway.process.output().splitlines()
    found = [json.loads(line) for line in lines if '"event loop blocked"' in line]
    return [line for line in found if line["plugin"] == "blocking"]


async def named(gateway: Daemon, directory: Path) -> None:
    metrics = (await gateway.http.get("/metrics")).text
    assert 'switchgear_event_loop_stalls_total{plugin="blocking"} ' in metrics
    health = await gateway.http.get("/health/detailed", headers=gateway.admin.headers)
    assert health.json()["event_loop_stalls"]["blocking"] >= 1
    events = directory / "events"
    await eventually(lambda: events.exists() and '{"plugin": "blocking"}' in events.read_text().splitlines())
