"""Requests are spread as weights say, and those that belong together stay together, whatever comes, goes or restarts."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from faults.figures import Record
from support.daemon import Daemon, daemon
from support.gateway import running
from support.load import Called, Load, percent, share

PARTS = {"a": 0.7, "b": 0.2, "c": 0.1}
SESSIONS = 150
STICKY = ("session", "prompt_prefix")


@pytest.mark.slow
async def test_a_split_by_weight_is_as_the_weights_say(tmp_path: Path, figure: Record) -> None:
    count = 10_000
    async with running(tmp_path) as run, Load(run.port, run.key) as load:
        for name in PARTS:
            await run.create("models", id=name, provider_id="echo", provider_model="echo")
        targets = [{"model": name, "weight": part * 100} for name, part in PARTS.items()]
        await run.create("pools", id="pool", targets=targets)
        calls = await load.at_once([{"model": "pool"}] * count, width=8)
        assert 1.0 == share(calls, 200)
        found = Counter(call.model for call in calls)
        for name, part in PARTS.items():
            figure(
                "weighted split of 10,000 requests",
                f"weight {part * 100:.0f} of 100",
                percent(found[name] / count),
                "± 2 %",
            )
            assert abs(found[name] / count - part) < 0.02
        records = await run.all_usage()
        assert found == Counter(record["target"] for record in records.values())


async def provide(gateway: Daemon) -> None:
    """Make a pool for each kind of stickiness, of the same four targets of different weights."""
    targets = [{"model": name, "weight": weight} for name, weight in (("a", 4), ("b", 3), ("c", 2), ("d", 1))]
    for target in targets:
        await gateway.create("models", id=target["model"], provider_id="echo", provider_model="echo")
    for sticky in (*STICKY, "key"):
        await gateway.create("pools", id=sticky.replace("_", "-"), targets=targets, sticky=sticky)


def asking(sticky: str, number: int) -> Mapping[str, Any]:
    """Return a request of one of many sessions or conversations."""
    said = f"question {number}" if sticky == "prompt_prefix" else "hi"
    more = {"user": f"user {number}"} if sticky == "session" else {}
    return {"model": sticky.replace("_", "-"), "messages": [{"role": "user", "content": said}], **more}


async def by_session(gateway: Daemon, sticky: str) -> dict[int, str]:
    """Say which target each session goes to."""
    async with Load(gateway.port, gateway.key) as load:
        return _targets(await load.at_once([asking(sticky, number) for number in range(SESSIONS)], width=8))


async def by_key(gateway: Daemon, keys: list[str]) -> dict[int, str]:
    """Say which target each key goes to."""
    found: dict[int, str] = {}
    for number, key in enumerate(keys):
        async with Load(gateway.port, key) as load:
            found[number] = _targets(await load.at_once([{"model": "key"}], width=1))[0]
    return found


def _targets(calls: list[Called]) -> dict[int, str]:
    assert 1.0 == share(calls, 200)
    return {call.number: call.model for call in calls}


@pytest.mark.slow
async def test_what_belongs_together_stays_together_over_restarts_and_when_a_target_leaves(
    tmp_path: Path, figure: Record
) -> None:
    async with daemon(tmp_path) as gateway:
        await provide(gateway)
        keys = [(await gateway.new_key(name=f"key {number}"))[1] for number in range(60)]

        async def mapped() -> dict[str, dict[int, str]]:
            found = {sticky: await by_session(gateway, sticky) for sticky in STICKY}
            return {**found, "key": await by_key(gateway, keys)}

        before = await mapped()
        assert before == await mapped()
        for sticky, targets in before.items():
            assert {"a", "b", "c", "d"} == set(targets.values()), sticky
        await gateway.restart()
        after = await mapped()
        assert before == after

        for sticky in before:
            pool = (await gateway.admin.get(f"/pools/{sticky.replace('_', '-')}")).json()
            without = [target for target in pool["targets"] if target["model"] != "b"]
            await gateway.patch(f"/pools/{pool['id']}", targets=without)
        left = await mapped()
        for sticky, targets in before.items():
            moved = {number for number, target in targets.items() if left[sticky][number] != target}
            assert {number for number, target in targets.items() if target == "b"} == moved, "only its share moves"
            row, had = "a target with 3 of 10 shares leaves a sticky pool", f"{len(moved)} of {len(targets)} moved"
            figure(row, f"sticky by {sticky}: moved though their target stayed", f"0, {had}", "0")
        figure(
            "gateway killed and started again", "sticky mappings that changed", f"0 of {2 * SESSIONS + len(keys)}", "0"
        )
