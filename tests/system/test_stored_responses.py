"""Responses that are kept: gone on with, read, listed and deleted by OpenAI's own SDK, wherever they were made."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from support.faultup import FaultUpstream, Script, ToolCall
from support.gateway import SOURCE, Running, running
from support.web import Asked, Told, Web

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENABLED = "stored_responses = { enabled = true, most_per_owner = 40 }"
GO: Any = {"type": "function", "name": "go", "parameters": {"type": "object", "properties": {}}, "strict": False}


class Vendor:
    """A provider that keeps responses. What it is asked for by an id that it does not have, it refuses as its API does."""

    def __init__(self) -> None:
        self.web = Web(self.answer)
        self.kept: dict[str, dict[str, Any]] = {}
        self.number = 0

    def answer(self, asked: Asked) -> Told:
        if asked.path == "/v1/responses":
            return self.create(asked.json)
        id, _, rest = asked.path.removeprefix("/v1/responses/").partition("/")
        if id not in self.kept:
            return refused(404, f"Response with id '{id}' not found.", None)
        if asked.method == "DELETE":
            del self.kept[id]
            return Told(body={"id": id, "object": "response", "deleted": True})
        if rest == "cancel":
            if not self.kept[id]["background"]:
                return refused(400, "Only background responses can be cancelled.", None)
            self.kept[id]["status"] = "cancelled"
        if rest == "input_items":
            page: dict[str, Any] = {"object": "list", "data": [], "has_more": False, "first_id": "a", "last_id": "b"}
            return Told(body=page)
        return Told(body=self.kept[id])

    def create(self, body: dict[str, Any]) -> Told:
        previous = body.get("previous_response_id")
        if previous is not None and previous not in self.kept:
            words = f"Previous response with id '{previous}' not found."
            return refused(400, words, "previous_response_not_found")
        self.number += 1
        item = {
            "id": f"msg_v{self.number}",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": f"said {self.number}", "annotations": [], "logprobs": []}],
        }
        made = {
            "id": f"resp_v{self.number}",
            "object": "response",
            "created_at": 1,
            "status": "queued" if body.get("background") else "completed",
            "background": bool(body.get("background")),
            "model": body["model"],
            "output": [] if body.get("background") else [item],
            "store": body.get("store", True),
            "previous_response_id": previous,
            "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
        }
        if made["store"]:
            self.kept[str(made["id"])] = made
        return Told(body=made)

    def finish(self, id: str) -> None:
        done = self.kept[id]
        content = [{"type": "output_text", "text": "done behind", "annotations": [], "logprobs": []}]
        item = {"id": "msg_b", "type": "message", "role": "assistant", "status": "completed", "content": content}
        self.kept[id] = {**done, "status": "completed", "output": [item]}

    @property
    def last(self) -> Any:
        return [it.json for it in self.web.asked if it.path == "/v1/responses"][-1]


def refused(status: int, message: str, code: str | None) -> Told:
    return Told(status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        yield up


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vendor() -> AsyncIterator[Vendor]:
    made = Vendor()
    async with made.web:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(
    tmp_path_factory: pytest.TempPathFactory, upstream: FaultUpstream, vendor: Vendor
) -> AsyncIterator[Running]:
    """The model `chat` is at a server of chats, `kept` at a vendor that keeps responses."""
    async with running(tmp_path_factory.mktemp("gateway"), plugins=ENABLED) as run:
        await run.create("providers", id="q", type="openai_compatible", base_url=upstream.base_url)
        await run.create("models", id="chat", provider_id="q", provider_model="upstream-model")
        await run.create("credentials", id="a", type="anthropic", source=SOURCE)
        await run.create("providers", id="a", type="anthropic", base_url=upstream.url, credential_id="a")
        await run.create("models", id="claude", provider_id="a", provider_model="claude-opus-4-5")
        await run.create("credentials", id="v", type="openai", source=SOURCE)
        await run.create("providers", id="v", type="openai", base_url=f"{vendor.web.url}/v1", credential_id="v")
        await run.create("models", id="kept", provider_id="v", provider_model="gpt-5")
        await run.create("chains", id="either", steps=[{"target": "kept"}, {"target": "chat"}])
        yield run


@pytest_asyncio.fixture(loop_scope="module")
async def client(gateway: Running) -> AsyncIterator[AsyncOpenAI]:
    _, key = await gateway.new_key()
    async with AsyncOpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as made:
        yield made


def sent(upstream: FaultUpstream) -> Any:
    return json.loads(upstream.ledger.entries[-1].body)


async def final(client: AsyncOpenAI, *, stream: bool, **members: Any) -> Any:
    if not stream:
        return await client.responses.create(**members)
    async with client.responses.stream(**members) as events:
        return await events.get_final_response()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation_goes_on_where_nobody_keeps_it(
    client: AsyncOpenAI, upstream: FaultUpstream, stream: bool
) -> None:
    upstream.script(Script(content="one", reasoning="thought so"))
    first = await final(client, stream=stream, model="chat", input="first", instructions="not again")
    assert first.store is True
    upstream.script(Script(content="two"))
    second = await final(client, stream=stream, model="chat", input="second", previous_response_id=first.id)
    assert first.id == second.previous_response_id
    upstream.script(Script(content="three"))
    await final(
        client, stream=stream, model="chat", input=[{"role": "user", "content": "3rd"}], previous_response_id=second.id
    )
    said = [(it["role"], it["content"]) for it in sent(upstream)["messages"]]
    assert [("user", "first"), ("assistant", "one"), ("user", "second"), ("assistant", "two"), ("user", "3rd")] == said
    assert "thought so" == sent(upstream)["messages"][1]["reasoning_content"].strip()
    again = await client.responses.retrieve(second.id)
    assert (second.id, "two", second.usage) == (again.id, again.output_text, again.usage)
    assert (True, first.id, second.output[0].id) == (again.store, again.previous_response_id, again.output[0].id)


async def test_tools_are_answered_by_what_they_were_called_with(client: AsyncOpenAI, upstream: FaultUpstream) -> None:
    upstream.script(Script(tool_calls=(ToolCall("go", '{"a":1}'),)))
    asked = await client.responses.create(model="chat", input="go", tools=[GO])
    call: Any = next(item for item in asked.output if item.type == "function_call")
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "gone"}
    await client.responses.create(model="chat", input=[result], previous_response_id=asked.id, tools=[GO])
    roles = [it["role"] for it in sent(upstream)["messages"]]
    assert ["user", "assistant", "tool"] == roles
    reference: Any = {"type": "item_reference", "id": call.id}
    await client.responses.create(
        model="chat", input=[{"role": "user", "content": "go"}, reference, result], tools=[GO]
    )
    assert roles == [it["role"] for it in sent(upstream)["messages"]]
    assert call.call_id == sent(upstream)["messages"][1]["tool_calls"][0]["id"]


@pytest.mark.parametrize("stream", [False, True])
async def test_what_was_reasoned_goes_back_to_its_maker(
    gateway: Running, client: AsyncOpenAI, upstream: FaultUpstream, stream: bool
) -> None:
    """The vendor refuses a turn of tools whose thinking is missing or was changed."""
    upstream.script(Script(reasoning="Let me see.", redacted="hidden", tool_calls=(ToolCall("go", "{}"),)))
    members: Any = {"model": "claude", "tools": [GO], "reasoning": {"effort": "low"}}
    asked = await final(client, stream=stream, input="go", **members)
    call: Any = next(item for item in asked.output if item.type == "function_call")
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "gone"}
    told = await final(client, stream=stream, input=[result], previous_response_id=asked.id, **members)
    assert "The tools said: gone" == told.output_text
    kinds = [block["type"] for block in sent(upstream)["messages"][1]["content"]]
    assert ["thinking", "redacted_thinking", "tool_use"] == kinds
    assert {1} == {record["attempts"] for record in await gateway.usage(model="claude")}


async def test_input_items_are_listed_page_by_page(client: AsyncOpenAI) -> None:
    first = await client.responses.create(model="chat", input="first")
    second = await client.responses.create(model="chat", input="second", previous_response_id=first.id)
    newest = [item async for item in client.responses.input_items.list(second.id, limit=2)]
    oldest = [item async for item in client.responses.input_items.list(second.id, order="asc", limit=1)]
    assert newest == oldest[::-1]
    assert ["user", "assistant", "user"] == [item.role for item in oldest]  # type: ignore[union-attr]
    texts = [item.content[0].text for item in oldest]  # type: ignore[union-attr]
    assert ("first", "second") == (texts[0], texts[2])
    assert oldest[1].id == first.output[0].id
    assert 3 == len({item.id for item in oldest})
    for wrong in ({"limit": 0}, {"limit": 101}, {"after": "x"}, {"order": "up"}):
        with pytest.raises(openai.BadRequestError):
            await client.responses.input_items.list(second.id, **wrong)  # type: ignore[arg-type]


async def test_what_was_deleted_or_never_kept_is_not_gone_on_with(client: AsyncOpenAI) -> None:
    kept = await client.responses.create(model="chat", input="hi")
    after = await client.responses.create(model="chat", input="hi", previous_response_id=kept.id)
    not_kept = await client.responses.create(model="chat", input="hi", store=False)
    assert not_kept.store is False
    await client.responses.delete(kept.id)
    for id in (kept.id, not_kept.id, "resp_nobody", after.id):
        with pytest.raises(openai.BadRequestError) as caught:
            await client.responses.create(model="chat", input="hi", previous_response_id=id)
        assert ("previous_response_not_found", "previous_response_id") == (caught.value.code, caught.value.param)
        if id != after.id:
            with pytest.raises(openai.NotFoundError):
                await client.responses.retrieve(id)
            with pytest.raises(openai.NotFoundError):
                await client.responses.delete(id)
    with pytest.raises(openai.BadRequestError, match="item_9"):
        await client.responses.create(model="chat", input=[{"type": "item_reference", "id": "item_9"}])


@pytest.mark.parametrize("model", ["chat", "kept"])
async def test_nobody_gets_at_what_is_somebody_elses(
    gateway: Running, client: AsyncOpenAI, vendor: Vendor, model: str
) -> None:
    mine = await client.responses.create(model=model, input="secret")
    item: Any = {"type": "item_reference", "id": mine.output[0].id}
    _, key = await gateway.new_key()
    asked = len(vendor.web.asked)
    async with AsyncOpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as other:
        for ask in (other.responses.retrieve, other.responses.delete, other.responses.cancel):
            with pytest.raises(openai.NotFoundError) as told:
                await ask(mine.id)
            with pytest.raises(openai.NotFoundError) as unknown:
                await ask("resp_unknown")
            assert str(told.value.body).replace(mine.id, "resp_unknown") == str(unknown.value.body)
        with pytest.raises(openai.NotFoundError):
            await other.responses.input_items.list(mine.id)
        with pytest.raises(openai.BadRequestError):
            await other.responses.create(model=model, input="hi", previous_response_id=mine.id)
        with pytest.raises(openai.BadRequestError):
            await other.responses.create(model=model, input=[item])
    assert asked == len(vendor.web.asked), "nobody asks the provider for another's"
    assert mine.id == (await client.responses.retrieve(mine.id)).id


async def test_a_provider_that_keeps_responses_is_told_their_ids(client: AsyncOpenAI, vendor: Vendor) -> None:
    first = await client.responses.create(model="kept", input="first")
    second = await client.responses.create(model="kept", input="second", previous_response_id=first.id)
    assert (first.id, "second") == (vendor.last["previous_response_id"], vendor.last["input"])
    reference: Any = {"type": "item_reference", "id": first.output[0].id}
    await client.responses.create(model="kept", input=[reference])
    assert [reference] == vendor.last["input"]
    assert second.id == (await client.responses.retrieve(second.id)).id
    assert f"/v1/responses/{second.id}" == vendor.web.asked[-1].path
    assert [] == (await client.responses.input_items.list(second.id, limit=5)).data
    assert {"limit": "5"} == vendor.web.asked[-1].query
    await client.responses.delete(second.id)
    assert second.id not in vendor.kept
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(second.id)
    with pytest.raises(openai.BadRequestError, match="background"):
        await client.responses.cancel(first.id)
    del vendor.kept[first.id]
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(first.id)
    await client.responses.delete(first.id)


async def test_a_conversation_goes_on_at_another_provider_and_comes_back(
    client: AsyncOpenAI, vendor: Vendor, upstream: FaultUpstream
) -> None:
    first = await client.responses.create(model="kept", input="first")
    upstream.script(Script(content="from another"))
    second = await client.responses.create(model="chat", input="second", previous_response_id=first.id)
    said = [it["content"] for it in sent(upstream)["messages"]]
    assert ["first", first.output_text, "second"] == said
    third = await client.responses.create(model="kept", input="third", previous_response_id=second.id)
    assert "previous_response_id" not in vendor.last
    texts = [
        it["content"] if isinstance(it["content"], str) else it["content"][0]["text"] for it in vendor.last["input"]
    ]
    assert ["first", first.output_text, "second", "from another", "third"] == texts
    await client.responses.create(model="either", input="fourth", previous_response_id=third.id)
    assert 7 == len(vendor.last["input"]), "a chain that may leave the keeper is told the whole"
    await client.responses.create(model="kept", input="fifth", previous_response_id=third.id)
    assert (third.id, "fifth") == (vendor.last["previous_response_id"], vendor.last["input"])


async def test_what_is_made_in_the_background_is_asked_for_until_it_is_done(
    client: AsyncOpenAI, vendor: Vendor, upstream: FaultUpstream
) -> None:
    made = await client.responses.create(model="kept", input="slowly", background=True)
    assert "queued" == (await client.responses.retrieve(made.id)).status
    with pytest.raises(openai.BadRequestError) as early:
        await client.responses.create(model="chat", input="and", previous_response_id=made.id)
    assert "previous_response_not_found" == early.value.code
    vendor.finish(made.id)
    done = await client.responses.retrieve(made.id)
    assert ("completed", "done behind") == (done.status, done.output_text)
    await client.responses.create(model="chat", input="and", previous_response_id=made.id)
    assert ["slowly", "done behind", "and"] == [it["content"] for it in sent(upstream)["messages"]]
    other = await client.responses.create(model="kept", input="never", background=True)
    assert "cancelled" == (await client.responses.cancel(other.id)).status
    with pytest.raises(openai.BadRequestError) as refusal:
        await client.responses.create(model="chat", input="x", background=True)
    assert "background" == refusal.value.param


async def test_tokens_and_summaries_are_of_the_whole_conversation(client: AsyncOpenAI, upstream: FaultUpstream) -> None:
    long = await client.responses.create(model="chat", input="word " * 200)
    alone = await client.responses.input_tokens.count(model="chat", input="hi")
    whole = await client.responses.input_tokens.count(model="chat", input="hi", previous_response_id=long.id)
    assert whole.input_tokens > alone.input_tokens + 150
    await client.responses.compact(model="chat", input="hi", previous_response_id=long.id)
    assert ["user", "assistant", "user", "user"] == [it["role"] for it in sent(upstream)["messages"]]


async def test_the_oldest_go_where_an_owner_has_too_many(client: AsyncOpenAI) -> None:
    first = await client.responses.create(model="echo", input="1")
    for _ in range(40):
        last = await client.responses.create(model="echo", input="2")
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(first.id)
    assert last.id == (await client.responses.retrieve(last.id)).id
