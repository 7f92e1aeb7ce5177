"""Changes of configuration under constant load: no call fails, none sees a mixture, nothing is left behind."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import pytest

from faults.figures import Record
from support.daemon import Daemon, daemon
from support.faultup import FaultUpstream
from support.gateway import eventually
from support.soak import usually
from support.talk import call
from switchgear.testing.upstream.ledger import Entry

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(1200)]
CHANGES = usually(300, soak=10_000)
CALLERS = 2
BREATH_S = 0.01
"""What a caller waits between two calls: they are there to be disturbed, not to keep the changes from being made."""
NAMES = ("m", "safe")  # the model that changes, and a chain that leads to it


@pytest.fixture
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        yield up


@pytest.fixture
async def replicas(tmp_path: Path, upstream: FaultUpstream) -> AsyncIterator[tuple[Daemon, Daemon]]:
    """Two processes on one store."""
    async with daemon(tmp_path, upstream) as first:
        await first.create("chains", id="safe", steps=[{"target": "m"}])
        await first.patch("/models/m", **version(0))
        async with daemon(tmp_path, upstream) as second:
            second.key = first.key
            yield first, second


def version(number: int) -> dict[str, object]:
    """Return what one change sets, all of which the provider must see together."""
    return {"provider_model": f"v-{number}", "config": {"seed": number, "max_tokens": number + 1}}


class Load:
    """Callers that call on and on. `asked` is when each call began, by its mark, and at which replica."""

    def __init__(self, *replicas: Daemon) -> None:
        self.asked: dict[str, tuple[float, int]] = {}
        self.failed: list[str] = []
        self._replicas = replicas
        self._over = asyncio.Event()
        self._callers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._callers = [
            asyncio.create_task(self._keep_calling(replica, number))
            for replica in range(len(self._replicas))
            for number in range(CALLERS)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await asyncio.gather(*self._callers)

    async def _keep_calling(self, replica: int, number: int) -> None:
        gateway = self._replicas[replica]
        while not self._over.is_set():
            mark = f"{replica}-{number}-{len(self.asked)}"
            self.asked[mark] = (time.monotonic(), replica)
            name = NAMES[number % len(NAMES)]
            talk = await call(gateway.port, gateway.key, model=name, user=mark, stream=len(self.asked) % 2 == 0)
            if not talk.complete:
                self.failed.append(f"{name}: {talk.answer.raw!r}")
            await asyncio.sleep(BREATH_S)


async def test_changes_under_load(replicas: tuple[Daemon, Daemon], upstream: FaultUpstream, figure: Record):
    first, second = replicas
    begun: list[float] = [0.0]
    live: list[float] = [0.0]
    memory: dict[int, tuple[int, int]] = {}
    began = time.monotonic()
    async with Load(first, second) as load:
        for number in range(1, CHANGES + 1):
            begun.append(time.monotonic())
            await first.patch("/models/m", **version(number))
            live.append(time.monotonic())
            if number in (CHANGES // 5, CHANGES):
                memory[number] = (first.process.rss_bytes(), second.process.rss_bytes())
        took = time.monotonic() - began
        calls = len(load.asked)
        # Calls of the end see the last change everywhere.
        await eventually(lambda: len(load.asked) > calls + 4 * CALLERS)
    assert [] == load.failed
    stale = [_staleness(entry, load, begun, live) for entry in upstream.ledger]
    assert len(load.asked) == len(stale)
    own, other = (sorted(late for replica, late in stale if replica == number) for number in (0, 1))
    assert 0.0 == own[-1]  # where it was made, a change is live before it is answered
    assert other[-1] < 5.0
    [(own_then, other_then), (own_now, other_now)] = memory.values()
    fault = f"25 {CHANGES:,} changes under load"
    figure(fault, "calls that failed or saw a mixture", f"0 of {len(stale):,}", "0")
    figure(fault, "changes a second", f"{CHANGES / took:.0f}")
    figure(fault, "old configuration at the other replica, p50 / p99 / max", _quantiles(other), "< 1 s")
    figure(
        fault,
        "memory from a fifth of them to the last, both replicas",
        f"{_mib(own_now - own_then)}, {_mib(other_now - other_then)}",
        "flat",
    )
    for then, now in ((own_then, own_now), (other_then, other_now)):
        assert now - then < 16 << 20, memory


def _staleness(entry: Entry, load: Load, begun: list[float], live: list[float]) -> tuple[int, float]:
    """Check that a call saw one configuration whole, and not one yet to come; return how old it was, and where."""
    seen = json.loads(entry.body)
    number = seen["seed"]
    assert (f"v-{number}", number + 1) == (seen["model"], seen["max_completion_tokens"])
    assert begun[number] <= entry.arrived_at
    asked_at, replica = load.asked[seen["user"]]
    replaced_at = live[number + 1] if number + 1 < len(live) else asked_at
    return replica, max(0.0, asked_at - replaced_at)


def _quantiles(values: list[float]) -> str:
    return (
        " / ".join(f"{values[min(len(values) - 1, int(len(values) * part))] * 1e3:.0f}" for part in (0.5, 0.99, 1.0))
        + " ms"
    )


def _mib(size: int) -> str:
    return f"{size / (1 << 20):+.1f} MiB"
