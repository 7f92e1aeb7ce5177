"""A hard budget and what four parties say of it: the upstream's bill, the usage rows, the budget, and what clients were told."""

import asyncio
import itertools
import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.daemon import Daemon, daemon
from support.faultup import FaultUpstream, Script
from support.gateway import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
AMOUNT = 60_000
CHEAP, DEAR = {"input": 1_000_000, "output": 5_000_000}, {"input": 3_000_000, "output": 15_000_000}
PRICES = {"up-cheap": CHEAP, "fault-rst": CHEAP, "fault-rst-head": CHEAP, "up-dear": DEAR}
"""By what the upstream calls a model: one that answers, one that is cut, one that breaks before it answers, a dear one."""
CLIENTS = 16


class Load:
    """Clients of all manners: some hear the answer out, some leave, some are sent on to a dearer model."""

    def __init__(self, gateway: Daemon, secret: str) -> None:
        self.told: dict[str, int] = {}
        self.refused = 0
        self.answered = 0
        self._gateway = gateway
        self._headers = {"authorization": f"Bearer {secret}"}
        self._chance = random.Random(5)
        self._names = itertools.count()

    async def run(self, seconds: float, *, until_refused: bool = False) -> None:
        stop = asyncio.Event()
        clients = [asyncio.create_task(self._client(stop, until_refused=until_refused)) for _ in range(CLIENTS)]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*map(asyncio.shield, clients))
        stop.set()
        await asyncio.gather(*clients)

    async def _client(self, stop: asyncio.Event, *, until_refused: bool) -> None:
        refused = 0
        url = f"http://127.0.0.1:{self._gateway.port}/v1/chat/completions"
        async with httpx.AsyncClient(timeout=30) as http:
            while not stop.is_set() and not (until_refused and refused >= 3):
                with suppress(httpx.HTTPError):
                    status = await self._call(http, url)
                    refused += status == 429
                    if status != 200:
                        await asyncio.sleep(0.2)
                    continue
                await asyncio.sleep(0.1)

    async def _call(self, http: httpx.AsyncClient, url: str) -> int:
        name = f"call-{next(self._names)}"
        model = self._chance.choice(["m", "m", "m", "safe", "cut"])
        leaves = self._chance.random() < 0.1
        body = {
            "model": model, "max_tokens": 12, "stream": True, "stream_options": {"include_usage": True},
            "messages": [{"role": "user", "content": name}],
        }  # fmt: skip
        async with http.stream("POST", url, json=body, headers={**self._headers, "x-request-id": name}) as answer:
            if answer.status_code != 200:
                await answer.aread()
                self.refused += answer.status_code == 429
                return answer.status_code
            async for line in answer.aiter_lines():
                if leaves and '"content"' in line:
                    return 200
                usage = json.loads(line[6:]).get("usage") if line.startswith("data: {") else None
                if (
                    usage and model != "safe"
                ):  # the attempt before that one may be billed as well, which its record says
                    self.told[name] = _cost(CHEAP, usage["prompt_tokens"], usage["completion_tokens"])
                if line == "data: [DONE]":
                    self.answered += 1
        return 200


def _cost(price: dict[str, int], read: int, written: int) -> int:
    return (read * price["input"] + written * price["output"]) // 1_000_000


def billed(upstream: FaultUpstream) -> int:
    return sum(
        _cost(PRICES[json.loads(entry.body)["model"]], entry.prompt_tokens, entry.completion_tokens)
        for entry in upstream.ledger
    )


async def records(gateway: Daemon) -> list[dict[str, Any]]:
    return list((await gateway.all_usage()).values())


async def test_what_is_spent_is_what_everybody_says_and_no_more_than_there_is(tmp_path: Path) -> None:
    async with (
        FaultUpstream() as upstream,
        daemon(tmp_path, upstream, plugins="budgets = { enabled = true }") as gateway,
    ):
        upstream.default = Script(chunks=12, prompt_tokens=8, delay_ms=10, chunk_delay_ms=5)
        for id, name in (("m", "up-cheap"), ("cut", "fault-rst"), ("broken", "fault-rst-head"), ("dear", "up-dear")):
            if id == "m":
                await gateway.patch("/models/m", provider_model=name, pricing=CHEAP)
            else:
                await gateway.create("models", id=id, provider_id="p", provider_model=name, pricing=PRICES[name])
        await gateway.create("chains", id="safe", steps=[{"target": "broken"}, {"target": "dear"}])
        await gateway.create("budgets", id="b", scope={"teams": ["red"]}, amount_microusd=AMOUNT, period="total")
        _, secret = await gateway.new_key(team_id="red")
        load = Load(gateway, secret)
        killing = asyncio.create_task(load.run(3.0))
        await asyncio.sleep(1.0)
        gateway.process.kill()
        await asyncio.sleep(0.3)
        gateway.process.start()
        await gateway.ready()
        await killing
        await load.run(60.0, until_refused=True)

        async def is_settled() -> bool:
            found = (await gateway.admin.get("/budgets/b/status")).json()
            rows = sum(it["cost_microusd"] for it in await records(gateway))
            return bool(found["spent_microusd"] == rows)

        await eventually(is_settled)
        assert load.answered > 100, "there was a load"
        assert load.refused >= CLIENTS
        assert billed(upstream) <= AMOUNT, "by the upstream's own bill"
        assert 0.6 * AMOUNT <= billed(upstream), "what was in flight when it was killed is held until its lease ends"
        found = await records(gateway)
        costs = {it["client_request_id"]: it["cost_microusd"] for it in found}
        assert len(costs) == len(found)
        assert {name: costs[name] for name in load.told if name in costs} == {
            name: cost for name, cost in load.told.items() if name in costs
        }, "what clients were told is what is recorded"
        assert len(load.told.keys() - costs.keys()) <= CLIENTS, "only what was in flight when it was killed is not"
        by_team = (await gateway.admin.get("/usage/summary", params={"by": "team_id"})).json()["data"]
        assert sum(costs.values()) == sum(
            it["sums"]["cost_microusd"] or 0 for it in by_team if it["group"]["team_id"] == "red"
        )
