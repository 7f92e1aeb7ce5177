"""Workflows: every type of step, references and decisions, at real sockets; what they may do, cost and keep."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from support.faultup import FaultUpstream, Script
from support.gateway import Running, eventually, running
from support.web import Asked, Told, Web
from switchgear_plugins.workflows.templates import needs, templates

ENABLED = """budgets = { enabled = true }
workflows = { enabled = true }
external_apis = { enabled = true }
operations = { enabled = true }
prompts = { enabled = true }
webhooks = { enabled = true }"""


@pytest.fixture
async def gateway(tmp_path, upstream: FaultUpstream):
    async with running(tmp_path, upstream, plugins=ENABLED) as run:
        yield run


def chat(name: str = "answer", **members: Any) -> dict[str, Any]:
    inputs = {"user_message": "${request:message:hi}"}
    return {"name": name, "type": "chat_completion", "settings": {"model_id": "m"}, "inputs": inputs, **members}


def decide(name: str, *conditions: dict[str, Any], default: Any = None) -> dict[str, Any]:
    inputs: dict[str, Any] = {"conditions": list(conditions)}
    return {"name": name, "type": "conditional", "inputs": inputs | ({"default_action": default} if default else {})}


async def make(run: Running, *steps: dict[str, Any], id: str = "w", **members: Any) -> None:
    await run.create("workflows", id=id, steps=list(steps), **members)


async def execute(run: Running, id: str = "w", query: str = "", **input: Any) -> httpx.Response:
    return await run.http.post(f"/v1/workflows/{id}/execute{query}", json={"input": input}, headers=run.auth)


async def done(run: Running, id: str = "w", **input: Any) -> dict[str, Any]:
    answer = await execute(run, id, **input)
    assert 200 == answer.status_code, answer.text
    return answer.json()


def sent(upstream: FaultUpstream, place: int = -1) -> Any:
    return json.loads(upstream.ledger.entries[place].body)


async def test_of_a_workflow_its_calls_are_what_a_hard_budget_pays_for(
    gateway: Running, upstream: FaultUpstream
) -> None:
    await gateway.patch("/models/m", pricing={"input": 1_000_000, "output": 1_000_000})
    await gateway.create("budgets", id="b", scope={"all": True}, amount_microusd=10_000, period="day")
    await make(gateway, chat(inputs={"user_message": "hi", "max_tokens": "${request:n:5}"}))
    assert 200 == (await execute(gateway)).status_code
    refused = await execute(gateway, n=1_000_000)
    assert (429, "budget_exceeded") == (refused.status_code, refused.json()["error"]["code"])
    assert 1 == len(upstream.ledger)


async def test_a_chat_step_asks_its_model_and_the_run_says_what_it_used(
    gateway: Running, upstream: FaultUpstream
) -> None:
    await gateway.create("prompts", id="greet", content="Speak to ${var:name}.")
    settings = {"model_id": "m", "prompt_id": "greet"}
    inputs = {
        "user_message": "${request:message}",
        "variables": {"name": "${request:who:Ann}"},
        "max_tokens": "${request:n:5}",
    }
    await make(gateway, chat(settings=settings, inputs=inputs))
    upstream.script(Script(content="Hello there"))
    made = await done(gateway, message={"a": 1})
    assert ("completed", "Hello there") == (made["status"], made["output"]["content"])
    assert [{"role": "system", "content": "Speak to Ann."}, {"role": "user", "content": '{"a":1}'}] == sent(upstream)[
        "messages"
    ]
    assert 5 == sent(upstream).get("max_tokens", sent(upstream).get("max_completion_tokens"))
    [step] = made["steps"]
    assert ("answer", "completed", 1) == (step["name"], step["status"], step["tries"])
    assert made["usage"]["output_tokens"] == step["output_tokens"] > 0
    inner = [it for it in await gateway.usage() if it["labels"].get("workflow") == "w"]
    assert [{"parent": made["id"], "workflow": "w", "step": "answer", "prompt": "greet", "prompt_version": "1"}] == [
        it["labels"] for it in inner
    ]


async def test_an_answer_that_does_not_fit_its_schema_is_asked_for_again(
    gateway: Running, upstream: FaultUpstream
) -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    await make(
        gateway, chat(settings={"model_id": "m", "response_schema": schema}, retries=2), output="${step:answer:json.n}"
    )
    upstream.script(Script(content="no"), Script(content='{"n": "x"}'), Script(content='{"n": 7}'))
    made = await done(gateway)
    assert (7, 3) == (made["output"], made["steps"][0]["tries"])
    upstream.default = Script(content="no")
    failed = await execute(gateway)
    assert (502, "no_json") == (failed.status_code, failed.json()["error"]["code"])
    assert "The step `answer` failed" in failed.json()["error"]["message"]


async def test_decisions_go_on_jump_and_end(gateway: Running) -> None:
    steps = [
        decide(
            "first",
            {"field": "${request:n}", "operator": "gt", "value": 5, "action": "go_to_step", "step": "last"},
            {
                "field": "${request:n}",
                "operator": "eq",
                "value": 0,
                "action": "end_workflow",
                "output": ["zero", "${request:n}"],
            },
        ),
        chat("between"),
        decide("last"),
    ]
    await make(gateway, *steps)
    assert ["first", "last"] == [it["name"] for it in (await done(gateway, n=9))["steps"]]
    assert ["first", "between", "last"] == [it["name"] for it in (await done(gateway, n=2))["steps"]]
    ended = await done(gateway, n=0)
    assert (["zero", 0], 1) == (ended["output"], len(ended["steps"]))


async def test_a_loop_ends_by_its_budget_of_steps(gateway: Running, upstream: FaultUpstream) -> None:
    again = {"field": "${request:stop:no}", "operator": "ne", "value": "yes", "action": "go_to_step", "step": "answer"}
    await make(gateway, chat(), decide("again", again), most_steps=7)
    failed = await execute(gateway)
    assert (400, "too_many_steps") == (failed.status_code, failed.json()["error"]["code"])
    assert 4 == len(upstream.ledger.entries)
    assert 2 == len((await done(gateway, stop="yes"))["steps"])


async def test_branches_run_at_the_same_time(gateway: Running, upstream: FaultUpstream) -> None:
    branches = {name: [chat(f"{name}-chat")] for name in ("a", "b", "c")}
    await make(gateway, {"name": "all", "type": "parallel", "settings": {"branches": branches}})
    upstream.script(Script(hang=True), Script(hang=True), Script(hang=True))
    asking = asyncio.create_task(execute(gateway))
    await eventually(lambda: len(upstream.ledger.entries) == 3)
    asking.cancel()
    await eventually(lambda: all(it.client_left_early for it in upstream.ledger.entries))
    made = await done(gateway)
    assert {"a", "b", "c"} == made["output"].keys()
    upstream.script(Script(status=400), Script(hang=True), Script(hang=True))
    assert 400 == (await execute(gateway)).status_code
    await eventually(lambda: all(it.finish != "open" for it in upstream.ledger.entries))


async def test_a_list_is_gone_through_in_order(gateway: Running, upstream: FaultUpstream) -> None:
    inner = chat("each", inputs={"user_message": "${index}: ${item:text} of ${request:of}"})
    last = decide("said", default="continue")
    steps = {
        "name": "all",
        "type": "map",
        "settings": {"steps": [inner, last], "most": 5},
        "inputs": {"items": "${request:items}"},
    }
    await make(gateway, steps)
    made = await done(gateway, items=[{"text": "x"}, {"text": "y"}, {"text": "z"}], of="it")
    assert [{"matched": None, "action": "continue"}] * 3 == made["output"]
    said = {sent(upstream, n)["messages"][0]["content"] for n in range(3)}
    assert {"0: x of it", "1: y of it", "2: z of it"} == said
    for items in (list(range(6)), "no list"):
        failed = await execute(gateway, items=items)
        assert (400, "invalid_step_input") == (failed.status_code, failed.json()["error"]["code"])


async def test_documents_are_graded_by_their_scores_or_by_a_model(gateway: Running, upstream: FaultUpstream) -> None:
    for strategy in ("threshold", "llm", "hybrid"):
        settings = {"strategy": strategy, "model_id": "m", "threshold": 0.5, "margin": 0.1}
        inputs = {"input_documents": "${request:docs}", "query": "q?"}
        await make(gateway, {"name": "g", "type": "crag_scoring", "settings": settings, "inputs": inputs}, id=strategy)
    docs = [{"text": "good", "score": 0.9}, {"text": "bad", "score": 0.1}, {"text": "near", "score": 0.45}]
    plain = (await done(gateway, "threshold", docs=docs))["output"]
    assert (["good"], "correct", 0.9) == ([it["text"] for it in plain["documents"]], plain["grade"], plain["best"])
    upstream.script(Script(content='Sure: {"score": 0.8, "reason": "fits"}'))
    hybrid = (await done(gateway, "hybrid", docs=docs))["output"]
    assert ["good", "near"] == [it["text"] for it in hybrid["documents"]]
    assert 1 == len(upstream.ledger.entries)
    upstream.default = Script(content='{"score": 0.3, "reason": "meh"}')
    graded = (await done(gateway, "llm", docs=["one", "two"]))["output"]
    assert ([], "ambiguous", 2) == (graded["documents"], graded["grade"], len(graded["dropped"]))
    upstream.default = Script(content="no idea")
    assert "no_grade" == (await execute(gateway, "llm", docs=["one"])).json()["error"]["code"]
    assert "invalid_step_input" == (await execute(gateway, "threshold", docs=["one"])).json()["error"]["code"]


@pytest.fixture
async def web():
    def answer(asked: Asked) -> Told:
        if asked.path == "/base/broken":
            return Told(500, {"oh": "no"})
        return Told(200, {"items": [{"id": 7}], "saw": asked.headers.get("authorization"), "path": asked.path})

    async with Web(answer) as made:
        yield made


def request(**members: Any) -> dict[str, Any]:
    settings = {"external_api_id": "api", **members.pop("settings", {})}
    return {"name": "get", "type": "http_request", "settings": settings, "inputs": members.pop("inputs", {}), **members}


async def test_a_request_goes_below_its_base_with_its_credential(gateway: Running, web: Web) -> None:
    source = {"backend": "encrypted", "values": {"api_key": "s3cret-of-the-api"}}
    await gateway.create("credentials", id="k", type="openai_compatible", source=source)
    await gateway.create(
        "external-apis", id="api", base_url=f"{web.url}/base", credential_id="k", base_headers={"x-base": "1"}
    )
    inputs = {
        "path": "users/${request:user}",
        "query": {"q": "${request:q:}"},
        "headers": {"x-mine": "2"},
        "body": {"a": "${request:user}"},
    }
    await make(gateway, request(settings={"method": "POST", "extract": "$.items[0].id"}, inputs=inputs))
    made = await done(gateway, user="7/8", q="a&b")
    assert (200, 7, "Bearer s3cret-of-the-api") == (
        made["output"]["status"], made["output"]["extracted"], made["output"]["body"]["saw"],
    )  # fmt: skip
    [asked] = web.asked
    assert ("POST", "/base/users/7/8?q=a%26b", {"a": "7/8"}) == (asked.method, asked.target, asked.json)
    assert ("1", "2") == (asked.headers["x-base"], asked.headers["x-mine"])
    for user in ("../admin", "..", "a\r\nb"):
        refused = await execute(gateway, user=user)
        assert (400, "path_leaves_base") == (refused.status_code, refused.json()["error"]["code"])
    assert 1 == len(web.asked)
    bound = await gateway.admin.patch(
        "/external-apis/api",
        json={"base_url": "http://127.0.0.1:1/"},
        headers={"content-type": "application/merge-patch+json"},
    )
    assert (422, "/base_url") == (bound.status_code, bound.json()["errors"][0]["pointer"])


async def test_what_an_api_refuses_fails_the_step_or_is_passed_over(gateway: Running, web: Web) -> None:
    await gateway.create("external-apis", id="api", base_url=f"{web.url}/base")
    await make(gateway, request(inputs={"path": "broken"}))
    failed = await execute(gateway)
    assert (502, "external_api_refused") == (failed.status_code, failed.json()["error"]["code"])
    await make(gateway, request(settings={"extract": "$.items[*].id"}), id="all", output="${step:get:extracted}")
    assert [7] == (await done(gateway, "all"))["output"]
    await make(gateway, request(inputs={"path": "broken"}, settings={"fails_on_error": False}), id="kept")
    assert 500 == (await done(gateway, "kept"))["output"]["status"]
    steps = [request(inputs={"path": "broken"}, on_error="skip_step", retries=1), decide("end")]
    await make(gateway, *steps, id="skips", output="${step:get:status:nothing}")
    made = await done(gateway, "skips")
    assert ("nothing", "skipped", 2) == (made["output"], made["steps"][0]["status"], made["steps"][0]["tries"])


async def test_an_api_is_tried_as_a_step_would_call_it(gateway: Running, web: Web) -> None:
    await gateway.create("external-apis", id="api", base_url=f"{web.url}/base")

    async def tried(**asked: Any) -> Any:
        return await gateway.admin.post("/external-apis/api/try", json=asked)

    found = (await tried(path="users", query={"q": "a&b"}, extract="$.items[*].id")).json()
    assert (200, [7]) == (found["status"], found["extracted"])
    assert "/base/users?q=a%26b" == web.asked[0].target
    assert 500 == (await tried(path="broken")).json()["status"], "what it answered is told, not that it failed"
    wrong = await tried(extract="$[")
    assert (422, "/extract") == (wrong.status_code, wrong.json()["errors"][0]["pointer"])
    assert 400 == (await tried(path="../x")).status_code
    assert 404 == (await gateway.admin.post("/external-apis/none/try", json={})).status_code
    assert 2 == len(web.asked)


async def test_no_inside_address_is_called(tmp_path) -> None:
    addresses = [
        "http://169.254.169.254",
        "http://10.0.0.1",
        "http://[::1]",
        "http://localhost",
        "http://0x7f.1",
        "http://127.0.0.1",
    ]
    environ = {"SWITCHGEAR__GATEWAY__EGRESS__ALLOW": "[]"}
    async with running(tmp_path, plugins=ENABLED, environ=environ) as run:
        for number, url in enumerate(addresses):
            await run.create("external-apis", id="api" if not number else f"api{number}", base_url=url, timeout=3)
            await make(
                run, request(settings={"external_api_id": "api" if not number else f"api{number}"}), id=f"w{number}"
            )
            answer = await execute(run, f"w{number}")
            assert (502, "external_api_unreachable") == (answer.status_code, answer.json()["error"]["code"])


async def test_a_step_that_takes_too_long_is_given_up(gateway: Running, upstream: FaultUpstream) -> None:
    await make(gateway, chat(timeout_s=0.3, retries=1))
    upstream.script(Script(hang=True), Script(content="late"))
    made = await done(gateway)
    assert ("late", 2) == (made["output"]["content"], made["steps"][0]["tries"])
    assert upstream.ledger.entries[0].client_left_early
    await make(gateway, chat(timeout_s=0.3), id="once")
    upstream.script(Script(hang=True))
    answer = await execute(gateway, "once")
    assert (504, "step_timeout") == (answer.status_code, answer.json()["error"]["code"])


async def test_an_input_is_held_to_its_schema(gateway: Running, upstream: FaultUpstream) -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer", "maximum": 5}}}
    await make(gateway, chat(), input_schema=schema)
    for input, where in (({}, "input"), ({"n": 9}, "input.n"), ({"n": "x"}, "input.n")):
        answer = await execute(gateway, **input)
        assert (400, "invalid_input", where) == (
            answer.status_code,
            answer.json()["error"]["code"],
            answer.json()["error"]["param"],
        )
    assert not upstream.ledger.entries
    await done(gateway, n=5)


def within(step: dict[str, Any]) -> dict[str, Any]:
    return {"name": f"{step['name']}s", "type": "map", "settings": {"steps": [step]}, "inputs": {"items": [1]}}


INNER = "/settings/steps/0"
QUERY = {"query": "q"}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"steps": []}, "/steps"),
    ({"steps": [chat(), chat()]}, "/steps/0/name"),
    ({"steps": [chat(type="nope")]}, "/steps/0/type"),
    ({"steps": [chat(settings={})]}, "/steps/0/settings/model_id"),
    ({"steps": [chat(settings={"model_id": "${request:m}"})]}, "/steps/0/settings/model_id"),
    ({"steps": [request(settings={"external_api_id": "${request:a}"})]}, "/steps/0/settings/external_api_id"),
    ({"steps": [chat(settings={"model_id": "m", "response_schema": {"title": "${request:m}"}})]}, "/steps/0/settings"),
    ({"steps": [chat(settings={"model_id": "nope"})]}, "/steps/0/settings/model_id"),
    ({"steps": [chat(settings={"model_id": "m", "prompt_id": "nope"})]}, "/steps/0/settings/prompt_id"),
    ({"steps": [request(settings={"external_api_id": "nope"})]}, "/steps/0/settings/external_api_id"),
    ({"steps": [chat(inputs={"user_mesage": "x"})]}, "/steps/0/inputs/user_mesage"),
    ({"steps": [chat(inputs={"max_tokens": 0, "user_message": "${request:x}"})]}, "/steps/0/inputs/max_tokens"),
    ({"steps": [chat(inputs={"user_message": "${step:later:x}"}), chat("later")]}, "/steps/0/inputs/user_message"),
    ({"steps": [chat(inputs={"user_message": "${step:nope}"})]}, "/steps/0/inputs/user_message"),
    ({"steps": [chat(inputs={"user_message": "${item}"})]}, "/steps/0/inputs/user_message"),
    ({"steps": [chat(inputs={"user_message": "${request:x"})]}, "/steps/0/inputs"),
    ({"steps": [decide("d", default={"action": "go_to_step", "step": "nope"})]}, "/steps/0/inputs/default_action"),
    ({"steps": [chat(), decide("d", default={"action": "go_to_step", "step": "answer"})]}, "/steps/0"),
    ({"steps": [decide("d", {"field": "${request:a}", "operator": "like", "value": 1})]}, "/steps/0/inputs/conditions"),
    ({"steps": [decide("d", default="stop")]}, "/steps/0/inputs/default_action"),
    (
        {"steps": [decide("d", {"field": "${request:a}", "operator": "eq", "action": "go_to_step", "step": "${request:b}"})]},
        "/steps/0/inputs/conditions/0",
    ),
    ({"steps": [chat()], "input_schema": {"type": "nope"}}, "/input_schema"),
    ({"steps": [chat()], "input_schema": {"$ref": "http://127.0.0.1/x"}}, "/input_schema"),
    ({"steps": [chat()], "output": "${step:nope}"}, "/output"),
    (
        {"steps": [{"name": "s", "type": "knowledge_base_search", "settings": {"knowledge_base_id": "k"}, "inputs": QUERY}]},
        "/steps/0/settings/knowledge_base_id",
    ),
    ({"steps": [within(within(chat(settings={"model_id": "nope"})))]}, f"/steps/0{2 * INNER}/settings/model_id"),
    ({"steps": [within(within(within(within(chat()))))]}, f"/steps/0{3 * INNER}/settings/steps"),
    (
        {"steps": [{"name": "p", "type": "parallel", "settings": {"branches": {"a": [chat("p")]}}}]},
        "/steps/0/name",
    ),
    (
        {"steps": [{"name": "p", "type": "parallel", "settings": {"branches": {"a": [chat(settings={"model_id": "nope"})]}}}]},
        "/steps/0/settings/branches/a/0/settings/model_id",
    ),
]  # fmt: skip


async def test_what_cannot_work_is_refused_when_it_is_written(gateway: Running) -> None:
    for body, pointer in WRONG:
        answer = await gateway.admin.post("/workflows", json={"id": "w", **body})
        assert answer.status_code in (409, 422), (body, answer.text)
        told = {it["pointer"] for it in answer.json().get("errors", [])}
        assert pointer in told, (body, answer.text)
    searching = next(body for body, pointer in WRONG if pointer.endswith("/knowledge_base_id"))
    answer = await gateway.admin.post("/workflows", json={"id": "w", **searching})
    assert "knowledge-bases" in answer.text


async def test_a_workflow_is_a_model_in_every_dialect(gateway: Running, upstream: FaultUpstream) -> None:
    await make(gateway, chat(inputs={"messages": "${request:messages}", "system_message": "Be brief."}), id="helper")
    upstream.default = Script(content="Hello there")
    async with AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "Hi"}]
        whole = await client.chat.completions.create(model="helper", messages=messages)
        assert ("Hello there", "helper") == (whole.choices[0].message.content, whole.model)
        stream = await client.chat.completions.create(model="helper", messages=messages, stream=True)
        assert "Hello there" == "".join([it.choices[0].delta.content or "" async for it in stream if it.choices])
        response = await client.responses.create(model="helper", input="Hi")
        assert "Hello there" == response.output_text
        assert "helper" in {it.id async for it in client.models.list()}
    body = {"model": "helper", "max_tokens": 9, "messages": messages}
    answer = await gateway.http.post("/v1/messages", json=body, headers=gateway.auth)
    assert "Hello there" == answer.json()["content"][0]["text"]
    streamed = await gateway.http.post("/v1/messages", json={**body, "stream": True}, headers=gateway.auth)
    assert whole.usage is not None
    used = whole.usage.prompt_tokens, whole.usage.completion_tokens
    assert min(used) > 0
    assert used == tuple(answer.json()["usage"][name] for name in ("input_tokens", "output_tokens"))
    assert f'"output_tokens":{used[1]}' in streamed.text
    assert {(0, 0)} == {(it["input_tokens"], it["output_tokens"]) for it in await gateway.usage(model="helper")}
    assert {"role": "system", "content": "Be brief."} == sent(upstream)["messages"][0]


async def test_events_of_steps_are_streamed(gateway: Running, upstream: FaultUpstream) -> None:
    await make(gateway, chat(), decide("end", default={"action": "end_workflow", "output": "${step:answer:content}"}))
    upstream.script(Script(content="said"))
    body = {"input": {}, "stream": True}
    answer = await gateway.http.post("/v1/workflows/w/execute", json=body, headers=gateway.auth)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [dict(line.split(": ", 1) for line in block.splitlines()) for block in answer.text.strip().split("\n\n")]
    expected = ["workflow.started", *["step.started", "step.completed"] * 2, "workflow.completed"]
    assert expected == [it["event"] for it in events]
    assert "said" == json.loads(events[-1]["data"])["output"]
    upstream.script(Script(status=400))
    broken = await gateway.http.post("/v1/workflows/w/execute", json=body, headers=gateway.auth)
    assert "event: error" in broken.text or broken.status_code == 400
    assert "workflow.completed" not in broken.text


async def test_an_operation_may_be_a_workflow(gateway: Running) -> None:
    await make(gateway, chat())
    made = (await execute(gateway, query="?async=true", message="hi")).json()

    async def ended() -> Any:
        found = (await gateway.http.get(f"/v1/operations/{made['id']}", headers=gateway.auth)).json()
        return found if "ended_at" in found else None

    found = await eventually(ended)
    assert ("completed", "w", "workflow.run") == (found["status"], found["model"], found["result"]["object"])


async def test_calls_within_need_no_second_slot_and_no_more_than_their_caller_may(gateway: Running) -> None:
    branches = {name: [chat(f"{name}-chat")] for name in ("a", "b")}
    await make(gateway, {"name": "all", "type": "parallel", "settings": {"branches": branches}})
    _, gateway.key = await gateway.new_key(limits={"concurrent_requests": 1})
    await done(gateway)
    _, gateway.key = await gateway.new_key(permissions={"models": ["w"]})
    refused = await execute(gateway)
    assert (404, "model_not_found") == (refused.status_code, refused.json()["error"]["code"])
    _, gateway.key = await gateway.new_key(permissions={"models": ["m"]})
    unknown = await execute(gateway)
    assert (404, "model_not_found") == (unknown.status_code, unknown.json()["error"]["code"])
    assert 404 == (await execute(gateway, "m")).status_code


async def test_workflows_that_would_call_each_other_are_refused(gateway: Running) -> None:
    await make(gateway, chat())
    await make(gateway, chat(settings={"model_id": "w"}), id="outer")
    merge = {"content-type": "application/merge-patch+json"}
    body = {"steps": [chat(settings={"model_id": "outer"})]}
    assert 422 == (await gateway.admin.patch("/workflows/w", json=body, headers=merge)).status_code
    made = await done(gateway, "outer")
    assert "completed" == made["status"]


async def test_runs_are_kept_and_shown_to_operators(gateway: Running, upstream: FaultUpstream) -> None:
    await make(gateway, chat())
    good = await done(gateway, message="hi")
    upstream.script(Script(status=400))
    await execute(gateway)
    listed = (await gateway.admin.get("/workflow-runs?workflow=w")).json()["data"]
    assert ["failed", "completed"] == [it["status"] for it in listed]
    assert "input" not in listed[1]
    one = (await gateway.admin.get(f"/workflow-runs/{good['id']}")).json()
    assert {"message": "hi"} == one["input"]
    assert "hi" == one["steps"][0]["input"]["user_message"]
    assert 404 == (await gateway.admin.get("/workflow-runs/nope")).status_code
    page = (await gateway.admin.get("/workflow-runs?limit=1")).json()
    rest = (await gateway.admin.get(f"/workflow-runs?limit=1&cursor={page['next_cursor']}")).json()
    assert [good["id"]] == [it["id"] for it in rest["data"]]


async def test_operators_run_try_and_clone(gateway: Running, upstream: FaultUpstream) -> None:
    await gateway.create("external-apis", id="api", base_url="https://api.example.com")
    await make(gateway, request(), chat(), name="Mine")
    tried = await gateway.act(
        "/workflows/w/test", input={"message": "hi"}, outputs={"get": {"x": 1}, "answer": {"content": "mock"}}
    )
    assert ("completed", {"content": "mock"}) == (tried["status"], tried["output"])
    half = await gateway.act("/workflows/w/test", outputs={"get": 1})
    assert ("failed", "no_output_given") == (half["status"], half["error"]["code"])
    other = await gateway.act("/workflows/w/test", outputs={"answer": 1})
    assert ("failed", "no_output_given") == (other["status"], other["error"]["code"])
    assert 400 == (await gateway.admin.post("/workflows/w/test", json={"outputs": {"nope": 1}})).status_code
    assert not upstream.ledger.entries
    cloned = await gateway.admin.post("/workflows/w/clone", json={"id": "w2"})
    assert (201, "Mine (copy)") == (cloned.status_code, cloned.json()["name"])
    await make(gateway, chat(), id="only")
    made = await gateway.act("/workflows/only/execute", input={"message": "hi"})
    assert "completed" == made["status"]
    assert {"admin"} == {it["labels"].get("by") for it in await gateway.usage(model="only")}
    assert 404 == (await gateway.admin.post("/workflows/nope/execute", json={})).status_code


async def test_templates_become_workflows(gateway: Running, upstream: FaultUpstream) -> None:
    assert 7 == len(templates())
    await gateway.create("external-apis", id="api", base_url="https://api.example.com")
    for id, body in templates().items():
        given = {"model": "m", "external_api": "api", "knowledge_base": "k"}
        answer = await gateway.admin.post(
            f"/workflows/templates/{id}", json={"id": id, **{name: given[name] for name in needs(body)}}
        )
        if "knowledge_base" in needs(body):
            assert {"/settings/knowledge_base_id"} == {it["pointer"][8:] for it in answer.json()["errors"]}, answer.text
        else:
            assert 201 == answer.status_code, answer.text
    upstream.default = Script(content='{"label": "question"}')
    made = await done(gateway, "classify-and-route", message="Why?")
    assert "question" == made["output"]["label"]
    summary = await done(gateway, "summarize-document", parts=["a", "b"])
    assert 4 == len(summary["steps"])
    assert 400 == (await gateway.admin.post("/workflows/templates/basic-chat", json={"id": "x"})).status_code
    assert 404 == (await gateway.admin.post("/workflows/templates/nope", json={"id": "x"})).status_code


async def test_the_types_of_steps_are_described(gateway: Running) -> None:
    found = {it["type"]: it for it in (await gateway.admin.get("/workflow-steps")).json()["data"]}
    expected = {
        "chat_completion",
        "knowledge_base_search",
        "crag_scoring",
        "conditional",
        "http_request",
        "parallel",
        "map",
    }
    assert expected == found.keys()
    assert "external_apis" == found["http_request"]["plugin"]
