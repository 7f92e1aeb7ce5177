"""Paths of the Responses API beside its main one, and chats asked over it, with OpenAI's own SDK through a whole gateway."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from support.faultup import FaultUpstream, Script
from support.gateway import Running

SOCKET = {
    "connection": "upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture
async def client(gateway: Running, upstream: FaultUpstream) -> AsyncIterator[AsyncOpenAI]:
    """A client; the model `chat` is at a server that speaks chat only."""
    await gateway.create("providers", id="q", type="openai_compatible", base_url=upstream.base_url)
    await gateway.create("models", id="chat", provider_id="q", provider_model="upstream-model")
    async with AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0) as made:
        yield made


async def test_a_websocket_is_refused_by_the_status_after_which_clients_post(client: AsyncOpenAI) -> None:
    url = f"{client.base_url}responses"
    async with httpx.AsyncClient() as http:
        for key in ({}, {"authorization": f"Bearer {client.api_key}"}):
            answer = await http.get(url, headers={**SOCKET, **key})
            assert (426, "upgrade_required") == (answer.status_code, answer.json()["error"]["code"])
        plain = await http.get(url)
    assert (405, "POST", "false") == (plain.status_code, plain.headers["allow"], plain.headers["x-should-retry"])


async def test_a_conversation_is_compacted_and_gone_on_with(client: AsyncOpenAI, upstream: FaultUpstream) -> None:
    upstream.script(Script(content="the summary"))
    compacted = await client.responses.compact(model="chat", input="a long story")
    assert "response.compaction" == compacted.object
    (item,) = compacted.output
    assert "compaction" == item.type
    history: Any = [item.model_dump(exclude_none=True), {"role": "user", "content": "go on"}]
    await client.responses.create(model="chat", input=history)
    sent = json.loads(upstream.ledger.entries[-1].body)
    assert "the summary" in sent["messages"][0]["content"]


async def test_input_tokens_are_counted(client: AsyncOpenAI) -> None:
    counted = await client.responses.input_tokens.count(model="chat", input="hello there")
    assert ("response.input_tokens", True) == (counted.object, counted.input_tokens > 0)


async def test_what_another_provider_compacted_is_refused_in_words(client: AsyncOpenAI) -> None:
    items: Any = [{"type": "compaction", "encrypted_content": "gAAAA"}, {"role": "user", "content": "q"}]
    with pytest.raises(openai.BadRequestError, match="compaction") as caught:
        await client.responses.create(model="chat", input=items)
    assert "input[0]" == caught.value.param


async def test_a_model_that_only_responds_answers_chats(
    gateway: Running, upstream: FaultUpstream, client: AsyncOpenAI
) -> None:
    settings = {"wires": ["chat", "responses"]}
    source = {"backend": "encrypted", "values": {"api_key": "k"}}
    await gateway.create("credentials", id="rc", type="openai_compatible", source=source)
    provider = {"type": "openai_compatible", "base_url": upstream.base_url, "settings": settings, "credential_id": "rc"}
    await gateway.create("providers", id="r", **provider)
    await gateway.create("models", id="only", provider_id="r", provider_model="m", wires=["responses"])
    upstream.script(Script(content="said so"))
    answer = await client.chat.completions.create(model="only", messages=[{"role": "user", "content": "hi"}])
    assert "said so" == answer.choices[0].message.content
    assert answer.usage is not None
    upstream.script(Script(content="said so"))
    stream = await client.chat.completions.create(
        model="only", messages=[{"role": "user", "content": "hi"}], stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "said so" == said
    assert chunks[-1].usage is not None
    assert all(entry.path.endswith("/responses") for entry in upstream.ledger.entries)


async def test_a_coding_agents_question_for_its_catalogue_is_answered_in_its_shape(client: AsyncOpenAI) -> None:
    headers = {"authorization": f"Bearer {client.api_key}"}
    async with httpx.AsyncClient(headers=headers) as http:
        answer = (await http.get(f"{client.base_url}models", params={"client_version": "0.171.0"})).json()
        plain = (await http.get(f"{client.base_url}models")).json()
    assert ([], True) == (answer["models"], bool(answer["data"]))
    assert "models" not in plain
