"""Dialogs at real sockets: what a model is told, what is kept, whose it is, and what becomes of it when somebody leaves."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from support.dialogs import Client, chunks
from support.faultup import FaultUpstream, Script, ToolCall
from support.gateway import Running, eventually, running
from support.postgres_server import postgres_server

pytestmark = pytest.mark.asyncio(loop_scope="module")
PLUGINS = (
    "agents = { enabled = true }\n"
    "dialogs = { enabled = true, most_per_owner = 40, most_messages = 60, most_bytes = 300000, message_bytes = 100000 }"
)
PRICE = {"input": 1_000_000, "output": 2_000_000}
TOOL: Any = {"type": "function", "function": {"name": "go", "parameters": {"type": "object", "properties": {}}}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        up.register("slow", Script(chunks=300, chunk_delay_ms=20))
        up.register("silent", Script(hang=True))
        yield up


async def provision(run: Running) -> None:
    for name in ("slow", "silent"):
        await run.create("models", id=name, provider_id="p", provider_model=f"fault-{name}", context_window=100_000)
    await run.create(
        "models", id="small", provider_id="p", provider_model="small", context_window=400, max_output_tokens=50
    )
    await run.create("models", id="priced", provider_id="echo", provider_model="echo", pricing=PRICE)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "postgres"])
async def gateway(
    tmp_path_factory: pytest.TempPathFactory, upstream: FaultUpstream, request: pytest.FixtureRequest
) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        more = {}
        if request.param == "postgres":
            server = stack.enter_context(postgres_server())
            more = {"store": f'postgres = {{ enabled = true, url = "{server.get_uri()}" }}'}
        directory = tmp_path_factory.mktemp("gateway")
        run = await stack.enter_async_context(running(directory, upstream, plugins=PLUGINS, **more))
        await provision(run)
        yield run


@pytest_asyncio.fixture(loop_scope="module")
async def client(gateway: Running) -> Client:
    return await Client.new(gateway)


def sent(upstream: FaultUpstream) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = json.loads(upstream.ledger.entries[-1].body)["messages"]
    return messages


async def test_a_model_is_told_what_went_before(client: Client, upstream: FaultUpstream) -> None:
    id = await client.begin(system="Be brief.", title="First", parameters={"temperature": 0.5}, metadata={"a": "b"})
    upstream.script(Script(content="one"))
    answer = await client.say(id, "first")
    assert 200 == answer.status_code, answer.text
    body = answer.json()
    assert ("chat.completion", "one") == (body["object"], body["choices"][0]["message"]["content"])
    assert (id, "complete") == (body["dialog"]["id"], body["dialog"]["status"])
    upstream.script(Script(content="two"))
    await client.say(id, "second", parameters={"temperature": 0.1})
    assert [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "one"},
        {"role": "user", "content": "second"},
    ] == sent(upstream)
    assert 0.1 == json.loads(upstream.ledger.entries[-1].body)["temperature"]
    found = await client.read(id)
    assert ("First", "Be brief.", {"a": "b"}, 4) == (
        found["title"], found["system"], found["metadata"], found["message_count"],
    )  # fmt: skip
    assert [1, 2, 3, 4] == [it["number"] for it in found["messages"]]
    last = found["messages"][-1]
    assert ("stop", "complete") == (last["finish_reason"], last["status"])
    assert last["usage"]["output_tokens"] > 0
    assert last["request_id"] in {it["request_id"] for it in await client.run.usage(**{"labels.dialog": id})}


async def test_a_model_that_its_client_may_not_call_is_refused_at_once(client: Client) -> None:
    id = await client.begin()
    for answer in (
        await client.ask("POST", "", {"model": "nope"}),
        await client.ask("PATCH", f"/{id}", {"model": "nope"}),
    ):
        assert (404, "model_not_found") == (answer.status_code, answer.json()["error"]["code"])


async def test_a_stream_has_the_shape_of_a_chat_and_is_kept_before_it_ends(
    client: Client, upstream: FaultUpstream
) -> None:
    id = await client.begin()
    upstream.script(Script(content="Hello to you", reasoning="so"))
    answer = await client.say(id, "hi", stream=True)
    assert 200 == answer.status_code
    assert "text/event-stream; charset=utf-8" == answer.headers["content-type"]
    *told, last, end = chunks(answer.text)
    assert "[DONE]" == end
    assert "Hello to you" == "".join(it["choices"][0]["delta"].get("content") or "" for it in told)
    assert [] == last["choices"]
    assert last["usage"]["completion_tokens"] > 0
    [_, kept] = (await client.read(id))["messages"]
    assert last["dialog"]["message_id"] == kept["id"]
    assert {"role": "assistant", "content": "Hello to you", "reasoning_content": "so"} == kept["message"]


async def test_openais_own_client_reads_both(client: Client, upstream: FaultUpstream) -> None:
    id = await client.begin()
    token = client.headers["authorization"].removeprefix("Bearer ")
    async with AsyncOpenAI(base_url=client.run.base_url, api_key=token, max_retries=0) as sdk:
        upstream.script(Script(content="one"), Script(content="two"))
        whole = await sdk.post(f"/dialogs/{id}/messages", body={"content": "a"}, cast_to=ChatCompletion)
        assert "one" == whole.choices[0].message.content
        stream = await sdk.post(
            f"/dialogs/{id}/messages",
            body={"content": "b", "stream": True},
            cast_to=ChatCompletionChunk,
            stream=True,
            stream_cls=AsyncStream[ChatCompletionChunk],
        )
        found = [chunk async for chunk in stream]
    assert "two" == "".join(it.choices[0].delta.content or "" for it in found if it.choices)
    assert ["user: a", "assistant: one", "user: b", "assistant: two"] == await client.texts(id)


async def test_what_does_not_fit_falls_out_at_the_front(client: Client, upstream: FaultUpstream) -> None:
    id = await client.begin("small", system="Stay.")
    for number in range(12):
        answer = await client.say(id, f"{number} " + "word " * 40)
        assert 200 == answer.status_code, answer.text
    told = sent(upstream)
    assert ("system", "user") == (told[0]["role"], told[1]["role"])
    assert told[-1]["content"].startswith("11 ")
    assert 3 < len(told) < 20
    assert len(json.dumps(told)) / 4 < 400
    huge = await client.say(id, "word " * 2000)
    assert 200 == huge.status_code, "the provider decides on what is too long alone"
    assert ["system", "user"] == [it["role"] for it in sent(upstream)]


async def test_a_model_that_was_told_too_much_is_told_less(client: Client, upstream: FaultUpstream) -> None:
    id = await client.begin()
    for number in range(4):
        await client.say(id, f"{number} " + "word " * 4000)
    before = len(upstream.ledger.entries)
    upstream.script(Script(cause="context_length"))
    answer = await client.say(id, "last")
    assert 200 == answer.status_code, answer.text
    first, second = (json.loads(it.body)["messages"] for it in upstream.ledger.entries[before:])
    assert len(second) < len(first)
    assert "last" == second[-1]["content"]


async def test_what_falls_out_is_summed_up_where_that_is_wanted(client: Client, upstream: FaultUpstream) -> None:
    id = await client.begin("small", summarise=True)
    for number in range(8):
        assert 200 == (await client.say(id, f"fact {number} " + "word " * 40)).status_code
    records = await client.run.usage(**{"labels.dialog": id})
    made = [it for it in records if it["labels"].get("step") == "summary"]
    assert 0 < len(made) < 8, "not every turn has something to sum up"
    assert {client.key_id} == {it["key_id"] for it in records}
    told = sent(upstream)
    assert told[0]["content"].startswith("Summary of the conversation so far")
    assert "user" == told[0]["role"], "strangers' words are not the system's"
    total = (await client.read(id))["usage"]
    assert sum(it["input_tokens"] for it in records) == total["input_tokens"]
    # A summary that fails ends nothing.
    await client.ask("PATCH", f"/{id}", {"model": "echo", "context_tokens": 256})
    assert 200 == (await client.say(id, "go " * 100)).status_code


async def test_tools_are_called_and_answered(client: Client, upstream: FaultUpstream) -> None:
    id = await client.begin(parameters={"tools": [TOOL]})
    upstream.script(Script(tool_calls=(ToolCall("go", "{}"), ToolCall("go", "{}"))))
    asked = (await client.say(id, "go", stream=True)).text
    [_, kept] = (await client.read(id))["messages"]
    calls = [it["id"] for it in kept["message"]["tool_calls"]]
    assert 2 == len(calls), asked
    stray = await client.ask("POST", f"/{id}/messages", {"messages": [result("call_unknown")]})
    assert (400, "unknown_tool_call") == (stray.status_code, stray.json()["error"]["code"])
    upstream.script(Script(content="done", goes_on=True))
    answer = await client.ask("POST", f"/{id}/messages", {"messages": [result(it) for it in calls]})
    assert "done" == answer.json()["choices"][0]["message"]["content"]
    assert ["user", "assistant", "tool", "tool"] == [it["role"] for it in sent(upstream)]
    again = await client.ask("POST", f"/{id}/messages", {"messages": [result(calls[0])]})
    assert 400 == again.status_code


def result(call: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call, "content": "gone"}


async def test_a_dialog_is_renamed_listed_and_deleted(client: Client) -> None:
    ids = [await client.begin(title=f"d{number}") for number in range(5)]
    renamed = await client.ask("PATCH", f"/{ids[0]}", {"title": "Renamed", "system": "s"})
    assert ("Renamed", "s") == (renamed.json()["title"], renamed.json()["system"])
    assert (await client.ask("PATCH", f"/{ids[0]}", {"system": None})).json()["system"] is None
    listed: list[str] = []
    cursor = ""
    while True:
        page = (await client.ask("GET", f"?limit=2{cursor}")).json()
        listed += [it["id"] for it in page["data"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [ids[0], *reversed(ids[1:])] == listed, "what was touched last is in front"
    assert {"id": ids[1], "object": "dialog", "deleted": True} == (await client.ask("DELETE", f"/{ids[1]}")).json()
    assert 404 == (await client.ask("GET", f"/{ids[1]}")).status_code
    assert 404 == (await client.ask("DELETE", f"/{ids[1]}")).status_code


async def test_long_dialogs_are_read_by_pages(client: Client) -> None:
    id = await client.begin("echo")
    for number in range(4):
        await client.say(id, f"say {number}")
    page = await client.read(id, "?limit=3")
    assert ([6, 7, 8], True) == ([it["number"] for it in page["messages"]], page["has_more"])
    page = await client.read(id, "?limit=100&before=6")
    assert ([1, 2, 3, 4, 5], False) == ([it["number"] for it in page["messages"]], page["has_more"])


async def test_what_a_dialog_costs_is_what_its_calls_cost(client: Client) -> None:
    id = await client.begin("priced")
    for stream in (False, True):
        assert 200 == (await client.say(id, "some words to pay for", stream=stream)).status_code
    found = await client.read(id)
    records = await client.run.usage(**{"labels.dialog": id})
    cost = sum(it["cost_microusd"] for it in records)
    assert (cost, 0) == (found["cost_microusd"], found["unpriced"])
    assert cost == sum(it["cost_microusd"] for it in found["messages"] if it["message"]["role"] == "assistant") > 0
    summed = await client.run.admin.get("/usage/summary", params={"by": "labels.dialog", "key_id": client.key_id})
    assert cost == summed.json()["data"][0]["sums"]["cost_microusd"]
    listed = (await client.run.admin.get("/dialogs", params={"owner": f"key:{client.key_id}"})).json()["data"]
    assert [(id, cost, 4)] == [(it["id"], it["cost_microusd"], it["message_count"]) for it in listed]
    assert "words" not in json.dumps(listed)


async def test_nobody_reaches_a_dialog_of_somebody_else(client: Client, gateway: Running) -> None:
    id = await client.begin()
    other = await Client.new(gateway)
    missing = "dlg_" + "0" * 32
    for method, path, body in (
        ("GET", "", None), ("PATCH", "", {"title": "mine"}), ("DELETE", "", None), ("POST", "/messages", {"content": "hi"}),
        ("GET", "?limit=3", None),
    ):  # fmt: skip
        theirs = await other.ask(method, f"/{id}{path}", body)
        nobodys = await other.ask(method, f"/{missing}{path}", body)
        assert (404, "dialog_not_found") == (theirs.status_code, theirs.json()["error"]["code"]), method
        assert theirs.text.replace(id, missing).partition("request_id")[0] == nobodys.text.partition("request_id")[0]
    assert [] == (await other.ask("GET", "")).json()["data"]
    cursor = (await client.ask("GET", "?limit=1")).json()["next_cursor"]
    await client.begin()
    cursor = (await client.ask("GET", "?limit=1")).json()["next_cursor"] or cursor
    assert [] == (await other.ask("GET", f"?cursor={cursor}")).json()["data"]
    assert 401 == (await gateway.http.get(f"/v1/dialogs/{id}")).status_code
    for path in ("/dialogs", f"/dialogs/{id}"):
        refused = await gateway.http.request(
            "GET" if path == "/dialogs" else "DELETE", f"/admin/v1{path}", headers=other.headers
        )
        assert refused.status_code in {401, 403}
    assert "" == (await client.read(id))["title"]


async def test_a_key_may_use_no_more_by_a_dialog_than_without(gateway: Running) -> None:
    client = await Client.new(gateway)
    id = await client.begin("m")
    await gateway.patch(f"/api-keys/{client.key_id}", permissions={"models": ["echo"]})
    answer = await client.say(id)
    assert (404, "model_not_found") == (answer.status_code, answer.json()["error"]["code"])
    assert [] == await client.texts(id), "what was refused is not in it"


async def test_a_key_with_one_slot_and_few_requests_holds_dialogs(gateway: Running) -> None:
    client = await Client.new(gateway, limits={"concurrent_requests": 1, "requests_per_minute": 2})
    id = await client.begin("echo")
    codes = [(await client.say(id, stream=stream)).status_code for stream in (False, True, False)]
    assert [200, 200, 429] == codes
    assert 4 == (await client.read(id))["message_count"]


@pytest.mark.parametrize("stream", [False, True])
async def test_what_fails_leaves_the_dialog_as_it_was(client: Client, upstream: FaultUpstream, stream: bool) -> None:
    id = await client.begin()
    upstream.script(Script(status=500))
    failed = await client.say(id, "lost", stream=stream)
    assert 502 == failed.status_code
    assert [] == await client.texts(id)
    upstream.script(Script(content="yes"))
    assert 200 == (await client.say(id, "again", stream=stream)).status_code
    assert ["user: again", "assistant: yes"] == await client.texts(id)


async def test_a_stream_that_breaks_is_told_and_kept_as_far_as_it_came(client: Client, upstream: FaultUpstream) -> None:
    id = await client.begin()
    upstream.script(Script(content="one two three four", chunks=4, cut_after_chunks=2))
    told = chunks((await client.say(id, "go", stream=True)).text)
    assert "error" in told[-1]
    assert "[DONE]" not in told
    [_, kept] = (await client.read(id))["messages"]
    assert ("partial", "one two ") == (kept["status"], kept["message"]["content"])
    upstream.script(Script(content="whole"))
    assert 200 == (await client.say(id, "again")).status_code
    assert ["user", "assistant", "user"] == [it["role"] for it in sent(upstream)]


async def test_who_leaves_a_stream_finds_what_was_said_until_then(client: Client, upstream: FaultUpstream) -> None:
    id = await client.begin("slow")
    sending = client.run.http.stream(
        "POST", f"/v1/dialogs/{id}/messages", json={"content": "go", "stream": True}, headers=client.headers
    )
    async with sending as answer:
        heard = ""
        async for text in answer.aiter_text():
            heard += text
            if heard.count('"content":') > 3:
                break
        busy = await client.say(id, "me too")
        assert (409, "dialog_busy") == (busy.status_code, busy.json()["error"]["code"])
        assert "retry-after" in busy.headers

    async def is_kept() -> bool:
        return len((await client.read(id))["messages"]) == 2

    await eventually(is_kept)
    [said, kept] = (await client.read(id))["messages"]
    assert ("go", "partial") == (said["message"]["content"], kept["status"])
    first = "".join(
        it["choices"][0]["delta"].get("content") or "" for it in chunks(heard.rpartition("\n\n")[0]) if it["choices"]
    )
    assert kept["message"]["content"].startswith(first)
    assert upstream.ledger.entries[-1].client_left_early
    assert kept["usage"]["output_tokens"] > 0
    await client.ask("PATCH", f"/{id}", {"model": "echo"})
    assert 200 == (await client.say(id, "again")).status_code


@pytest.mark.parametrize("stream", [False, True])
async def test_who_leaves_before_the_answer_may_have_it_later(
    client: Client, upstream: FaultUpstream, stream: bool
) -> None:
    id = await client.begin("silent")
    before = len(upstream.ledger.entries)
    asking = asyncio.ensure_future(client.say(id, "hello?", stream=stream))
    await eventually(lambda: len(upstream.ledger.entries) > before)
    asking.cancel()
    await asyncio.wait({asking})
    await client.ask("PATCH", f"/{id}", {"model": "echo"})

    async def answered() -> bool:
        answer = await client.ask("POST", f"/{id}/messages", {"stream": stream})
        assert answer.status_code in {200, 409}, answer.text
        return answer.status_code == 200

    await eventually(answered)
    assert ["user: hello?", "assistant: hello?"] == await client.texts(id)
    nothing = await client.ask("POST", f"/{id}/messages", {})
    assert (400, "missing_field") == (nothing.status_code, nothing.json()["error"]["code"])


async def test_of_many_messages_at_once_each_is_answered_or_refused(client: Client) -> None:
    id = await client.begin("echo")
    answers = await asyncio.gather(*(client.say(id, f"say {n}", stream=bool(n % 2)) for n in range(20)))
    codes = [it.status_code for it in answers]
    assert {200, 409} >= set(codes)
    texts = await client.texts(id)
    assert 2 * codes.count(200) == len(texts)
    assert all(b == a.replace("user", "assistant") for a, b in zip(texts[::2], texts[1::2], strict=True))
    found = await client.read(id)
    assert len(texts) == found["message_count"]


async def test_a_message_that_is_sent_again_under_its_key_is_answered_once(
    client: Client, upstream: FaultUpstream
) -> None:
    id = await client.begin()
    path, body = f"/{id}/messages", {"content": "once"}
    upstream.script(Script(content="the answer"))
    first = await client.ask("POST", path, body, idempotency_key="k1")
    asked = len(upstream.ledger.entries)
    again = await client.ask("POST", path, body, idempotency_key="k1")
    streamed = await client.ask("POST", path, {**body, "stream": True}, idempotency_key="k1")
    assert ("true", "true") == (again.headers["idempotent-replayed"], streamed.headers["idempotent-replayed"])
    assert first.json()["dialog"]["message_id"] == again.json()["dialog"]["message_id"]
    assert "the answer" == again.json()["choices"][0]["message"]["content"]
    assert "the answer" == chunks(streamed.text)[0]["choices"][0]["delta"]["content"]
    assert asked == len(upstream.ledger.entries)
    other = await client.ask("POST", path, {"content": "else"}, idempotency_key="k1")
    assert (409, "idempotency_key_reused") == (other.status_code, other.json()["error"]["code"])
    assert 2 == len(await client.texts(id))


async def test_a_dialog_that_is_deleted_while_it_is_answered_stays_deleted(client: Client) -> None:
    id = await client.begin("slow")
    asking = asyncio.ensure_future(client.say(id, "go", stream=True, parameters={"max_tokens": 20}))

    async def is_begun() -> bool:
        return (await client.read(id))["message_count"] == 1

    await eventually(is_begun)
    assert 200 == (await client.ask("DELETE", f"/{id}")).status_code
    assert "dialog_gone" in (await asking).text
    assert 404 == (await client.ask("GET", f"/{id}")).status_code


async def test_bounds_hold(gateway: Running) -> None:
    client = await Client.new(gateway)
    ids = [await client.begin("echo") for _ in range(40)]
    over = await client.ask("POST", "", {"model": "echo"})
    assert (409, "too_many_dialogs") == (over.status_code, over.json()["error"]["code"])
    large = await client.say(ids[0], "x" * 100_001)
    assert (400, "too_large") == (large.status_code, large.json()["error"]["code"])
    assert 200 == (await client.say(ids[0], "x" * 90_000)).status_code
    assert 200 == (await client.say(ids[0], "x" * 90_000)).status_code
    full = await client.say(ids[0], "x")
    assert (409, "dialog_full") == (full.status_code, full.json()["error"]["code"])
    for _ in range(30):
        assert 200 == (await client.say(ids[1], "x")).status_code
    assert (409, "dialog_full") == ((found := await client.say(ids[1], "x")).status_code, found.json()["error"]["code"])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "model"),
        ({"model": ""}, "model"),
        ({"model": "m", "colour": 1}, None),
        ({"model": "m", "parameters": {"messages": []}}, "parameters.messages"),
        ({"model": "m", "parameters": {"n": 2}}, "parameters.n"),
        ({"model": "m", "title": "x" * 513}, "title"),
        ({"model": "m", "metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"model": "m", "context_tokens": 1}, "context_tokens"),
    ],
)
async def test_what_makes_no_dialog_is_refused(client: Client, body: Any, param: str | None) -> None:
    answer = await client.ask("POST", "", body)
    assert 400 == answer.status_code, answer.text
    if param is not None:
        assert param in answer.text


@pytest.mark.parametrize(
    "body",
    [
        {"content": ""}, {"content": []}, {"content": [1]}, {"content": [{"text": "no type"}]}, {"messages": []},
        {"content": "a", "messages": [{"role": "user", "content": "b"}]}, {"messages": [{"role": "system", "content": "b"}]},
        {"messages": [{"role": "assistant", "content": "b"}]}, {"messages": [{"role": "user", "content": "b", "x": 1}]},
        {"messages": [{"role": "tool", "content": "b"}]}, {"content": "a", "parameters": {"model": "x"}},
        {"content": "a", "model": "x"}, {"messages": [{}]}, {"messages": [{"role": 5}]}, {"content": "a", "stream": "yes"}, [],
        {"messages": [{"role": ["user"], "content": "b"}]},
    ],
)  # fmt: skip
async def test_what_is_no_message_is_refused(client: Client, body: Any) -> None:
    id = await client.begin("echo")
    answer = await client.ask("POST", f"/{id}/messages", body)
    assert 400 == answer.status_code, answer.text
    assert 0 == (await client.read(id))["message_count"]


@pytest.mark.parametrize("path", ["/dlg_%00", "/..%2f..", "/%F0%9F%98%80", "/dlg_" + "0" * 33, "/' OR 1=1 --"])
async def test_an_odd_id_is_not_there(client: Client, path: str) -> None:
    for method in ("GET", "DELETE", "PATCH"):
        assert 404 == (await client.ask(method, path, {} if method == "PATCH" else None)).status_code
    assert 404 == (await client.ask("POST", f"{path}/messages", {"content": "a"})).status_code


@pytest.mark.parametrize(
    "query", ["?limit=0", "?limit=501", "?limit=x", "?cursor=%00", "?cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5Og"]
)
async def test_an_odd_query_is_refused(client: Client, query: str) -> None:
    assert 400 == (await client.ask("GET", query)).status_code


async def test_odd_texts_come_back_as_they_were(client: Client) -> None:
    text = "\x00 \u2028 \U0001f600 ${var:x} {{7*7}} </script> \u202e" + "é" * 100
    id = await client.begin("echo", title=text)
    for stream in (False, True):
        assert 200 == (await client.say(id, text, stream=stream)).status_code
    found = await client.read(id)
    assert text == found["title"]
    assert {text} == {it["message"]["content"] for it in found["messages"]}


async def test_an_agent_is_the_model_of_a_dialog(client: Client, upstream: FaultUpstream) -> None:
    if (await client.run.admin.get("/agents/pirate")).status_code == 404:
        await client.run.create("agents", id="pirate", model="m", system="Talk like a pirate.")
    id = await client.begin("pirate", system="Be brief.")
    await client.say(id, "hello")
    assert [
        {"role": "system", "content": "Talk like a pirate.\n\nBe brief."},
        {"role": "user", "content": "hello"},
    ] == sent(upstream)


async def test_operators_delete_what_somebody_wants_forgotten(client: Client) -> None:
    id = await client.begin("echo")
    await client.say(id, "secret")
    assert 204 == (await client.run.admin.delete(f"/dialogs/{id}")).status_code
    assert 404 == (await client.ask("GET", f"/{id}")).status_code
    assert 404 == (await client.run.admin.delete(f"/dialogs/{id}")).status_code
    described = (await client.run.http.get("/openapi.json", headers={})).json()["paths"]
    assert {"get", "patch", "delete"} <= described["/v1/dialogs/{dialog_id}"].keys()
    assert "/admin/v1/dialogs" in described
    said = described["/v1/dialogs/{dialog_id}/messages"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"content", "messages", "parameters", "stream"} == said["properties"].keys()


async def test_dialogs_are_forgotten_that_nobody_touched(tmp_path: Path) -> None:
    async with running(tmp_path, plugins="dialogs = { enabled = true, days = 1 }") as run:
        client = await Client.new(run)
        id = await client.begin("echo")
        plugin: Any = next(it.plugin for it in run.gateway.kernel.plugins if it.installed.name == "dialogs")
        await plugin.shelf.purge()
        assert 0 == (await client.read(id))["message_count"]
        now_us = plugin.context.ambient.now_us()
        plugin.shelf._ambient = type("Later", (), {"now_us": staticmethod(lambda: now_us + 2 * 86_400_000_000)})()
        await plugin.shelf.purge()
        assert 404 == (await client.ask("GET", f"/{id}")).status_code


async def test_what_somebody_may_keep_is_bounded_in_all(tmp_path: Path) -> None:
    async with running(tmp_path, plugins="dialogs = { enabled = true, bytes_per_owner = 50000 }") as run:
        client = await Client.new(run)
        first, second = await client.begin("echo"), await client.begin("echo", system="x" * 20_000)
        assert 200 == (await client.say(first, "x" * 12_000)).status_code
        over = await client.say(second, "x" * 9_000)
        assert (409, "too_many_dialogs") == (over.status_code, over.json()["error"]["code"])
        assert 409 == (await client.ask("PATCH", f"/{first}", {"system": "x" * 9_000})).status_code
        assert 409 == (await client.ask("POST", "", {"model": "echo", "system": "x" * 9_000})).status_code
        assert 200 == (await client.ask("PATCH", f"/{second}", {"system": None})).status_code
        assert 200 == (await client.say(second, "x" * 9_000)).status_code
        other = await Client.new(run)
        assert 200 == (await other.say(await other.begin("echo"), "x" * 9_000)).status_code


async def test_changes_at_once_are_all_in_it(client: Client) -> None:
    id = await client.begin("echo")
    patches: list[dict[str, Any]] = [
        {"title": "t"},
        {"system": "s"},
        {"metadata": {"a": "b"}},
        {"parameters": {"seed": 1}},
    ]
    await asyncio.gather(*(client.ask("PATCH", f"/{id}", it) for it in patches))
    found = await client.read(id)
    assert all(found[name] == value for it in patches for name, value in it.items())
