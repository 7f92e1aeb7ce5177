"""Usage as files, attempts of calls that had several, and spending that is other than usual."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from support.faultup import FaultUpstream, Script
from support.gateway import Running, running
from switchgear.cli import main
from switchgear.testing.ambient import FixedAmbient
from switchgear_plugins.usage.anomalies import Anomaly, Watch, rate
from switchgear_plugins.usage.settings import AnomalySettings

HOUR = 3_600_000_000


@pytest.fixture
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        up.default = Script(chunks=12, prompt_tokens=8)
        yield up


async def ask(run: Running, **members: Any) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}
    return await run.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {run.key}"})


async def export(run: Running, **query: str) -> Any:
    answer = await run.admin.get("/usage/export", params=query)
    assert 200 == answer.status_code, answer.text
    assert "attachment" in answer.headers["content-disposition"]
    return answer


async def test_usage_is_exported_as_files(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with running(tmp_path, upstream) as run:
        await run.patch("/models/m", pricing={"input": 1_000_000, "output": 10_000_000})
        await run.create("models", id="nobody-knows", provider_id="p", provider_model="no-such-price")
        for _ in range(3):
            assert 200 == (await ask(run)).status_code
        assert 404 == (await ask(run, model="=cmd|'/c calc'!A1")).status_code
        records = await run.all_usage()
        plain = (await export(run)).text
        rows = list(csv.DictReader(io.StringIO(plain)))
        assert set(records) == {row["id"] for row in rows}
        assert {"0", "128"} == {row["cost_microusd"] for row in rows}, "who was refused cost nothing"
        assert all(not row["model"].startswith("=") for row in rows), "a spreadsheet works nothing out"
        lines = [json.loads(line) for line in (await export(run, format="ndjson")).text.splitlines()]
        assert {it["id"]: it["status"] for it in lines} == {id: it["status"] for id, it in records.items()}
        focus = list(csv.DictReader(io.StringIO((await export(run, format="focus", outcome="complete")).text)))
        assert ["0.000128"] * 3 == [row["BilledCost"] for row in focus]
        assert {"USD"} == {row["BillingCurrency"] for row in focus}
        assert {"Usage"} == {row["ChargeCategory"] for row in focus}
        assert {"AI and Machine Learning"} == {row["ServiceCategory"] for row in focus}
        assert all(row["ChargePeriodStart"] < row["ChargePeriodEnd"] <= row["BillingPeriodEnd"] for row in focus)
        assert 400 == (await run.admin.get("/usage/export", params={"nonsense": "1"})).status_code
        assert 200 == (await ask(run, model="nobody-knows")).status_code
        [summed] = (await run.admin.get("/usage/summary", params={"by": "model", "model": "nobody-knows"})).json()[
            "data"
        ]
        assert (None, 1) == (summed["sums"]["cost_microusd"], summed["sums"]["unpriced"])
        by_cli = tmp_path / "usage.ndjson"
    place = ["--config", str(tmp_path / "plugins.toml"), "--data-dir", str(tmp_path / "data")]

    async def invoke(*arguments: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, main, ["usage", *arguments, *place])

    said = await invoke("export", "--format", "ndjson", "-o", str(by_cli), "--where", "outcome=complete")
    assert 0 == said.exit_code, said.output
    assert 4 == len(by_cli.read_text().splitlines())
    summed = json.loads((await invoke("summary", "--by", "model,day", "--where", "status=200", "--json")).stdout)
    told = [(it["model"], it["requests"], it["cost_microusd"]) for it in summed]
    assert [("m", 3, 3 * 128), ("nobody-knows", 1, None)] == told
    assert "0.000384, unknown of 1" in (await invoke("summary", "--by", "dialect")).output
    assert " unknown of 1" in (await invoke("summary")).output
    assert (await invoke("summary", "--by", "nonsense")).exit_code


async def test_attempts_of_a_call_that_had_several_are_told_one_by_one(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with FaultUpstream() as second:
        second.default = Script(chunks=12, prompt_tokens=8)
        upstream.default = Script(chunks=12, prompt_tokens=8, cut_at=1, cut_how="rst")
        async with running(tmp_path, upstream) as run:
            await run.add_second(second, pricing={"input": 2_000_000, "output": 2_000_000})
            await run.patch("/models/m", pricing={"input": 1_000_000, "output": 1_000_000})
            await run.create("chains", id="safe", steps=[{"target": "m"}, {"target": "n"}])
            await run.patch(f"/api-keys/{await _key_id(run)}", permissions={"models": ["*"]})
            assert 200 == (await ask(run, model="safe")).status_code
            [record] = [it for it in (await run.all_usage()).values() if it["status"] == 200]
            told = (await run.admin.get("/usage/attempts", params={"request_id": record["id"]})).json()["data"]
            assert [1, 0] == [it["number"] for it in told]
            assert ["n", "m"] == [it["target"] for it in told]
            assert told[1]["cause"] is not None
            assert record["cost_microusd"] == sum(it["cost_microusd"] for it in told)
            assert 40 == told[0]["cost_microusd"]
            assert record["input_tokens"] == sum(it["input_tokens"] or 0 for it in told)


async def _key_id(run: Running) -> str:
    keys = (await run.admin.get("/api-keys")).json()["data"]
    return str(keys[0]["id"])


class Ledger:
    """Records of spending, by hour, team and what was spent; and what was told."""

    def __init__(self) -> None:
        self.spent: list[tuple[int, str, int]] = []
        self.told: dict[str, Anomaly] = {}

    async def summarise(self, query: Any, by: Any, sums: Any) -> Any:
        groups: dict[tuple[str, ...], int] = {}
        for at_us, team, cost in self.spent:
            if query.since_us <= at_us < query.until_us:
                group = (team,) if by else ()
                groups[group] = groups.get(group, 0) + cost
        return [type("Group", (), {"by": by, "sums": (total,)}) for by, total in groups.items()]

    async def scan(self, query: Any) -> Any:
        return [it for it in self.told.values() if it.at_us == query.since_us and it.value == query.equals["value"]]


def watch(ambient: FixedAmbient, ledger: Ledger, events: list[Any]) -> Watch:
    counter = type("Counter", (), {"value": 0})
    context: Any = type("Context", (), {})()
    context.ambient, context.records = ambient, ledger
    context.metrics = type("M", (), {"counter": lambda *_: type("F", (), {"child": lambda _: counter})()})()
    context.log = type("L", (), {"warning": lambda *_, **__: None})()
    context.emit = events.append
    context.record = lambda _, name, __, body: ledger.told.update({name: body})
    return Watch(context, AnomalySettings(least_microusd=1000))


async def test_spending_that_leaves_its_band_is_told_once(ambient: FixedAmbient) -> None:
    hour = ambient.now_us() // HOUR * HOUR
    ledger, events = Ledger(), list[Any]()
    for week in range(1, 9):
        ledger.spent.append((hour - week * 168 * HOUR + 5, "red", 10_000 + 100 * week))
        ledger.spent.append((hour - week * 168 * HOUR + 5, "blue", 500))
    ledger.spent += [(hour + 1, "red", 10_900), (hour + 1, "blue", 400)]
    watching = watch(ambient, ledger, events)
    await watching.look()
    assert [] == events, "an hour like others"
    ledger.spent.append((hour + 2, "red", 30_000))
    for _ in range(2):
        await watching.look()
    await watch(ambient, ledger, events).look()
    names = {(it.data["by"], it.data["value"]) for it in events}
    assert len(events) == len(names)
    assert ("team_id", "red") in names
    assert ("team_id", "blue") not in names
    assert all("usage.anomaly" == it.name and it.data["score"] > 6 for it in events)


async def test_who_has_no_past_weeks_is_held_against_the_mean_hour(ambient: FixedAmbient) -> None:
    hour = ambient.now_us() // HOUR * HOUR
    ledger, events = Ledger(), list[Any]()
    ledger.spent = [(hour - n * HOUR, "red", 2000) for n in range(2, 100)] + [(hour + 1, "red", 9000)]
    await watch(ambient, ledger, events).look()
    assert [] == events
    ledger.spent.append((hour + 1, "red", 5000))
    await watch(ambient, ledger, events).look()
    assert ("team_id", "red") in {(it.data["by"], it.data["value"]) for it in events}


@pytest.mark.parametrize(
    ("spent", "past", "usual", "far"),
    [(5, [], None, None), (5, [1, 1], None, None), (100, [10, 10, 10], 10, True), (10, [10, 10, 10], 10, False)],
)
def test_the_score_is_robust(spent: int, past: list[int], usual: int | None, far: bool | None) -> None:
    found, score = rate(spent, past)
    assert usual == found
    assert far == (None if score is None else score > 6)
