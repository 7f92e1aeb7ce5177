"""Test cases at real sockets: run over the admin API, compared, and in CI."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import pytest_asyncio
from click.testing import CliRunner

from support.daemon import daemon
from support.faultup import FaultUpstream, Script
from support.gateway import Running, eventually, running
from switchgear.cli import main

pytestmark = pytest.mark.asyncio(loop_scope="module")
PLUGINS = (
    "test_cases = { enabled = true, most_calls = 20 }\nprompts = { enabled = true }\nworkflows = { enabled = true }"
)
PRICE = {"input": 1_000_000, "output": 2_000_000}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        up.register("slow", Script(hang=True))
        up.register("broken", Script(status=500))
        yield up


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: FaultUpstream) -> AsyncIterator[Running]:
    async with running(tmp_path_factory.mktemp("gateway"), upstream, plugins=PLUGINS) as run:
        for name in ("slow", "broken"):
            await run.create("models", id=name, provider_id="p", provider_model=f"fault-{name}")
        await run.create("models", id="priced", provider_id="echo", provider_model="echo", pricing=PRICE)
        await run.create("prompts", id="greet", content="Say hello to ${var:name}.")
        await run.patch("/prompts/greet", content="Say goodbye to ${var:name}.")
        for id, model in (("says", "priced"), ("breaks", "broken")):
            inputs = {"user_message": "${request:text}"}
            step = {"name": "a", "type": "chat_completion", "settings": {"model_id": model}, "inputs": inputs}
            await run.create("workflows", id=id, steps=[step])
        yield run


async def case(run: Running, id: str, *assertions: dict[str, Any], **members: Any) -> str:
    made = {"model": "priced", "content": "hello there", **members} if "workflow" not in members else members
    await run.create("test-cases", id=id, assertions=list(assertions), **made)
    return id


def contains(value: str) -> dict[str, Any]:
    return {"type": "contains", "value": value}


async def begin(run: Running, path: str = "/test-runs", **body: Any) -> str:
    answer = await run.admin.post(path, json=body if path == "/test-runs" else None)
    assert 202 == answer.status_code, answer.text
    return str(answer.json()["id"])


async def ended(run: Running, id: str) -> dict[str, Any]:
    async def over() -> dict[str, Any] | None:
        found = (await run.admin.get(f"/test-runs/{id}")).json()
        return found if found["state"] in {"done", "failed", "cancelled"} else None

    found = await eventually(over, within=20.0)
    assert found is not None
    return found


async def test_a_case_is_run_and_every_assertion_looked_at(gateway: Running) -> None:
    every = [
        contains("hello"), {"type": "not_contains", "value": "bye"}, {"type": "equals", "value": '{"a": "hello"}'},
        {"type": "regex", "pattern": '"a": *"h.l+o"'}, {"type": "json_path", "path": "$.a", "equals": "hello"},
        {"type": "length", "max": 50}, {"type": "json_schema", "schema": {"required": ["a"]}},
        {"type": "latency", "max_ms": 60_000}, {"type": "cost", "max_microusd": 10_000},
    ]  # fmt: skip
    await case(gateway, "every", *every, content='{"a": "hello"}', system="Be brief.", parameters={"temperature": 0})
    found = await ended(gateway, await begin(gateway, "/test-cases/every/run"))
    assert ("done", {"done": 1, "total": 1}) == (found["state"], found["progress"])
    [result] = found["results"]
    assert [True] * 9 == [it["passed"] for it in result["verdicts"]], result
    assert ("passed", "new", "priced", '{"a": "hello"}') == tuple(
        result[it] for it in ("status", "change", "subject", "text")
    )
    record = await gateway.usage_of(result["request_id"])
    assert {"test_case": "every", "test_run": found["id"]}.items() <= record["labels"].items()
    assert record["cost_microusd"] == result["cost_microusd"] == found["totals"]["cost_microusd"] > 0
    assert ("admin-key", []) == (found["by"], found["comparison"])


async def test_what_fails_and_what_has_no_answer_are_told_apart(gateway: Running) -> None:
    await case(gateway, "fails", contains("nowhere"))
    await case(gateway, "errs", contains("x"), model="broken")
    found = await ended(gateway, await begin(gateway, cases=["fails", "errs"]))
    results = {it["case"]: it for it in found["results"]}
    assert "is not in it" in results["fails"]["verdicts"][0]["detail"]
    assert ("failed", "error") == (results["fails"]["status"], results["errs"]["status"])
    assert "upstream" in results["errs"]["error"]
    assert (0, 1, 1) == tuple(found["totals"][it] for it in ("passed", "failed", "errors"))


async def test_history_says_what_changed_and_how(gateway: Running) -> None:
    await case(gateway, "changes", contains("one"), content="one\ntwo")
    first = await begin(gateway, cases=["changes"])
    await ended(gateway, first)
    await gateway.patch("/test-cases/changes", content="none\ntwo\nthree", assertions=[contains("four")])
    broken = (await ended(gateway, await begin(gateway, cases=["changes"])))["results"][0]
    assert ("broken", first) == (broken["change"], broken["previous_run"])
    assert ["-one", "+none", " two", "+three"] == broken["diff"].split("\n")[3:]
    await gateway.patch("/test-cases/changes", assertions=[contains("three")])
    fixed = await ended(gateway, await begin(gateway, cases=["changes"]))
    assert ("fixed", "") == (fixed["results"][0]["change"], fixed["results"][0]["diff"])
    assert 1 == fixed["totals"]["fixed"]
    history = (await gateway.admin.get("/test-cases/changes/history?limit=2")).json()
    assert ["fixed", "broken"] == [it["change"] for it in history["data"]]
    assert [3, 2] == [it["case_version"] for it in history["data"]]
    rest = await gateway.admin.get("/test-cases/changes/history", params={"cursor": history["next_cursor"]})
    assert ["new"] == [it["change"] for it in rest.json()["data"]]
    runs = (await gateway.admin.get("/test-runs?limit=1")).json()
    assert fixed["id"] == runs["data"][0]["id"]
    more = (await gateway.admin.get("/test-runs", params={"limit": 1, "cursor": runs["next_cursor"]})).json()
    assert (broken["run"], {"failed": 1}) == (more["data"][0]["id"], more["data"][0]["counts"])


async def test_models_are_compared_side_by_side(gateway: Running, upstream: FaultUpstream) -> None:
    await case(gateway, "compared", contains("hello"))
    upstream.script(Script(content="something else"))
    variants = [{"name": "echo", "model": "priced"}, {"name": "other", "model": "m", "parameters": {"seed": 1}}]
    found = await ended(gateway, await begin(gateway, cases=["compared"], variants=variants))
    [row] = found["comparison"]
    assert ("passed", "failed") == (row["variants"]["echo"]["status"], row["variants"]["other"]["status"])
    assert ("hello there", "something else") == tuple(row["variants"][it]["text"] for it in ("echo", "other"))
    assert 1 == json.loads(upstream.ledger.entries[-1].body)["seed"]


async def test_versions_of_a_prompt_are_compared_side_by_side(gateway: Running) -> None:
    reference = {"prompt_id": "greet", "variables": {"name": "${var:name}"}}
    await case(gateway, "prompted", contains("hello to ${var:name}"), content=None, **reference)
    variants = [{"name": "old", "prompt_version": 1}, {"name": "new"}]
    found = await ended(gateway, await begin(gateway, cases=["prompted"], variants=variants))
    shown = found["comparison"][0]["variants"]
    assert ("Say hello to ${var:name}.", "Say goodbye to ${var:name}.") == (shown["old"]["text"], shown["new"]["text"])
    assert ("passed", "failed") == (shown["old"]["status"], shown["new"]["status"])


async def test_a_workflow_is_tried_by_its_input(gateway: Running) -> None:
    path = {"type": "json_path", "path": "$.content", "equals": "hi ${request:text}"}
    await case(gateway, "flow", path, workflow="says", input={"text": "hi ${request:text}"})
    await case(gateway, "bad-flow", path, workflow="breaks", input={"text": "hi"})
    found = await ended(gateway, await begin(gateway, cases=["flow", "bad-flow"]))
    results = {it["case"]: it for it in found["results"]}
    assert ("passed", "says") == (results["flow"]["status"], results["flow"]["subject"]), results["flow"]
    assert results["flow"]["cost_microusd"] > 0
    assert ("error", True) == (results["bad-flow"]["status"], bool(results["bad-flow"]["error"]))
    missing = {"id": "x", "workflow": "nobody", "assertions": [path]}
    assert "/workflow" in (await gateway.admin.post("/test-cases", json=missing)).text


@pytest.mark.slow
async def test_a_run_can_be_stopped(gateway: Running, upstream: FaultUpstream) -> None:
    before = len(upstream.ledger.entries)
    for number in range(6):
        await case(gateway, f"slow-{number}", contains("x"), model="slow", tags=["slow"])
    id = await begin(gateway, tags=["slow"])
    await eventually(lambda: len(upstream.ledger.entries) >= before + 4)
    await gateway.act(f"/test-runs/{id}/cancel")
    found = await ended(gateway, id)
    entries = upstream.ledger.entries[before:]
    await eventually(lambda: all(it.client_left_early for it in entries), within=20.0)
    assert ("cancelled", 6) == (found["state"], found["progress"]["total"])
    for number in range(6):
        await gateway.admin.delete(f"/test-cases/slow-{number}")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"cases": [], "tags": ["none"]}, "/cases"), ({"colour": 1}, "/colour"),
        ({"cases": ["every"], "variants": [{"name": str(n)} for n in range(20)] + [{"name": "x"}]}, "/variants"),
        ({"cases": ["every"], "variants": [{"name": "a"}, {"name": "a"}]}, "/variants/1/name"),
        ({"cases": ["every"], "variants": [{"name": "a", "model": "nobody"}]}, "/variants/0/model"),
        ({"variants": [{"name": str(n)} for n in range(20)]}, "/cases"),
    ],
)  # fmt: skip
async def test_a_run_that_makes_no_sense_is_refused(gateway: Running, body: Any, pointer: str) -> None:
    answer = await gateway.admin.post("/test-runs", json=body)
    assert answer.status_code in {400, 422}, answer.text
    assert pointer in [it["pointer"] for it in answer.json()["errors"]]


async def test_what_is_not_there_is_not_found_and_not_for_keys(gateway: Running) -> None:
    for method, path in (
        ("POST", "/test-cases/nobody/run"), ("GET", "/test-runs/nobody"), ("POST", "/test-runs/nobody/cancel"),
        ("GET", "/test-runs/%00"),
    ):  # fmt: skip
        assert 404 == (await gateway.admin.request(method, path)).status_code, path
        refused = await gateway.http.request(method, f"/admin/v1{path}", headers=gateway.auth)
        assert refused.status_code in {401, 403}
    described = (await gateway.http.get("/openapi.json")).json()["paths"]
    assert {"/admin/v1/test-runs", "/admin/v1/test-cases/{id}/history", "/admin/v1/test-cases"} <= described.keys()


async def test_a_model_that_cases_name_cannot_be_deleted(gateway: Running) -> None:
    await case(gateway, "names-it", contains("x"))
    assert 409 == (await gateway.admin.delete("/models/priced")).status_code


@pytest.mark.slow
async def test_it_runs_in_ci(tmp_path: Path) -> None:
    plugins = "test_cases = { enabled = true }"
    async with running(tmp_path, plugins=plugins) as run:
        await case(run, "good", contains("hello"), model="echo")
        await case(run, "bad", {"type": "regex", "pattern": "^bye"}, model="echo", tags=["second"])
        await case(run, "off", contains("x"), model="echo", enabled=False)

    def command(*arguments: str) -> Any:
        argv = [
            "test",
            "run",
            *arguments,
            "--config",
            str(tmp_path / "plugins.toml"),
            "--data-dir",
            str(tmp_path / "data"),
        ]
        return CliRunner().invoke(main, argv, env={"ADMIN_KEY": "admin-key-of-the-tests"})

    async def invoke(*arguments: str) -> Any:
        return await asyncio.to_thread(command, *arguments)

    file = tmp_path / "junit.xml"
    both = await invoke("--junit", str(file))
    assert 1 == both.exit_code, both.output
    assert "ok   good [echo]" in both.output
    assert "regex: the pattern is not found in it" in both.output
    suite = ET.parse(file).getroot()[0]
    assert ("2", "1") == (suite.attrib["tests"], suite.attrib["failures"])
    good = await invoke("good", "--json")
    assert 0 == good.exit_code, good.output
    assert "same" == json.loads(good.stdout)["results"][0]["change"]
    assert 1 == (await invoke("--tag", "second")).exit_code
    assert 2 == (await invoke("--tag", "none")).exit_code
    missing = await invoke("nobody")
    assert missing.exit_code != 0
    async with running(tmp_path, plugins=plugins) as run:
        assert 3 == len((await run.admin.get("/test-cases/bad/history")).json()["data"]) + 1


@pytest.mark.slow
async def test_a_run_goes_on_after_a_kill_and_does_nothing_twice(tmp_path: Path) -> None:
    async with daemon(tmp_path, plugins="test_cases = { enabled = true, concurrency = 1 }") as run:
        for number in range(30):
            await case(run, f"c-{number}", contains("hello"), model="echo", parameters={"echo": {"first_ms": 20}})
        id = await begin(run)

        async def some() -> bool:
            return (await run.admin.get(f"/test-runs/{id}")).json()["progress"]["done"] >= 3

        await eventually(some, within=20.0)
        run.process.kill()
        await run.restart()

        async def done() -> dict[str, Any] | None:
            found = (await run.admin.get(f"/test-runs/{id}")).json()
            return found if found["state"] == "done" else None

        found = await eventually(done, within=100.0)
        assert found is not None
        assert (30, 30) == (len(found["results"]), found["totals"]["passed"])
        assert 30 == len({it["case"] for it in found["results"]})


async def test_odd_names_and_answers_are_kept(gateway: Running) -> None:
    text = "\u2028 \U0001f600 </x> \ue000" + "é" * 20_000
    id = "c" * 50
    await case(gateway, id, contains("\u2028"), content=text)
    variants = [{"name": "\U0001f600" * 64}, {"name": "x" * 64}]
    found = await ended(gateway, await begin(gateway, cases=[id], variants=variants))
    assert ("done", 2) == (found["state"], found["totals"]["passed"]), found["error"]
    assert all(it["text"].startswith(text[:100]) for it in found["results"])
    refused = await gateway.admin.post("/test-runs", json={"cases": [id], "variants": [{"name": "a\x00"}]})
    assert "/variants/0/name" in refused.text
