"""A gateway that is killed at any moment loses no usage record of an answer whose end its client saw, and doubles none."""

import asyncio
import itertools
import json
import random
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from support.daemon import Daemon, daemon
from support.faultup import FaultUpstream, Script
from support.gateway import eventually
from support.soak import usually
from support.talk import Talk
from switchgear.testing.upstream.ledger import Entry

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(3600)]
CLIENTS = 12
BUSY = Script(chunks=6, delay_ms=5, chunk_delay_ms=3)


class Load:
    """Clients that call until the gateway is gone. What each call came to is in `talks`, by the client's own id of it."""

    def __init__(self, gateway: Daemon, seed: int) -> None:
        self.talks: dict[str, Talk] = {}
        self._gateway = gateway
        self._chance = random.Random(seed)
        self._names = (f"call-{number}" for number in itertools.count())

    async def until_killed(self, after_s: float) -> None:
        """Let the clients call, and kill the gateway in the midst of it."""
        clients = [asyncio.create_task(self._call_on()) for _ in range(CLIENTS)]
        await asyncio.sleep(after_s)
        self._gateway.process.kill()
        await asyncio.gather(*clients)

    async def _call_on(self) -> None:
        while self._gateway.process.running:
            with suppress(ConnectionError):
                await self._call(next(self._names))

    async def _call(self, name: str) -> None:
        headers = {"authorization": f"Bearer {self._gateway.key}", "x-request-id": name}
        messages = [{"role": "user", "content": name}]
        body = {"model": "m", "messages": messages, "stream": self._chance.random() < 0.6}
        talk = self.talks[name] = await Talk.open(self._gateway.port, body, headers)
        await talk.end()

    @property
    def acknowledged(self) -> dict[str, Talk]:
        return {name: talk for name, talk in self.talks.items() if talk.complete}


async def records(gateway: Daemon) -> list[dict[str, Any]]:
    """Return every usage record there is."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await gateway.admin.get("/usage", params={"limit": "500", **cursor})).json()
        found += page["data"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def kept(gateway: Daemon, load: Load) -> list[dict[str, Any]]:
    """Wait until what the dead process left in its journal is in the store; return all records."""

    async def all_there() -> list[dict[str, Any]]:
        found = await records(gateway)
        return found if load.acknowledged.keys() <= {record["client_request_id"] for record in found} else []

    return await eventually(all_there, within=30)


def name_of(entry: Entry) -> str:
    name: str = json.loads(entry.body)["messages"][0]["content"]
    return name


def reconcile(load: Load, found: list[dict[str, Any]], upstream: FaultUpstream, kills: int) -> None:
    """Compare what clients saw, what was recorded and what the upstream billed, call by call."""
    by_name = {record["client_request_id"]: record for record in found}
    billed = {name_of(entry): entry for entry in upstream.ledger}
    assert len(found) == len(by_name), "a call has one record"
    assert len(upstream.ledger) == len(billed), "a call reached the provider once"
    named = Counter(id for record in found if (id := record["upstream_request_id"]) is not None)
    assert {1} == set(named.values())
    for name, talk in load.acknowledged.items():
        record, bill = by_name[name], billed[name]
        assert (talk.request_id, bill.id) == (record["request_id"], record["upstream_request_id"])
        assert ("complete", 200, False) == (record["outcome"], record["status"], record["usage_estimated"])
        assert (bill.prompt_tokens, bill.completion_tokens) == (record["input_tokens"], record["output_tokens"])
    assert by_name.keys() <= billed.keys(), "what is recorded was billed"
    lost = billed.keys() - by_name.keys()
    assert not lost & load.acknowledged.keys()
    assert len(lost) <= kills * CLIENTS, "only what was in flight when it was killed"


async def live_and_die(tmp_path: Path, *, kills: int, seed: int, environ: dict[str, str]) -> None:
    chance = random.Random(seed)
    async with FaultUpstream() as upstream, daemon(tmp_path, upstream, environ=environ) as gateway:
        upstream.default = BUSY
        load = Load(gateway, seed)
        for kill in range(kills):
            await load.until_killed(chance.uniform(0.05, 1.0))
            if kill % 5 == 4:
                # Killed once more while it starts, with the dead one's journal to take over.
                gateway.process.close()
                gateway.process.start()
                await asyncio.sleep(chance.uniform(0.2, 1.2))
                gateway.process.kill()
            await gateway.restart()
            # Most lives have the next one's load beside what the dead left; every fifth time all books are read.
            if kill % 5 == 4:
                found = await kept(gateway, load)
                reconcile(load, found, upstream, kill + 1)
        counts = f"{len(load.talks)} calls, {len(load.acknowledged)} acknowledged, {len(found)} recorded"
        sys.stdout.write(f"{kills} kills: {counts}\n")
        assert len(load.acknowledged) > 5 * kills, "there was a load"
        assert [] == list((tmp_path / "data" / "journal").glob("bad/*"))
        assert (await gateway.chat()).status_code == 200


async def test_nothing_acknowledged_is_lost_or_doubled(tmp_path: Path) -> None:
    await live_and_die(tmp_path, kills=usually(10, soak=500), seed=20, environ={})


async def test_nothing_acknowledged_is_lost_with_full_durability(tmp_path: Path) -> None:
    environ = {"SWITCHGEAR__GATEWAY__JOURNAL__DURABILITY": "full"}
    await live_and_die(tmp_path, kills=5, seed=21, environ=environ)
