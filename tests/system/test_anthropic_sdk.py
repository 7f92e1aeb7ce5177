"""Anthropic's own SDK against the gateway, whose models are spoken to in another wire format."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest
import pytest_asyncio
from anthropic import Anthropic, AsyncAnthropic
from anthropic.types import Message
from anthropic.types.shared import ErrorResponse

from support.faultup import FaultUpstream, Script, ToolCall
from support.gateway import PROVIDER_KEY, Running
from support.shared import gateway, shared_upstream, upstream

__all__ = ["gateway", "shared_upstream", "upstream"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELLO: Any = [{"role": "user", "content": "Say hello"}]
TOOLS: Any = [{"name": name, "input_schema": {"type": "object"}} for name in ("weather", "time")]
CALLS = (ToolCall(name="weather", arguments='{"city":"Oslo"}'), ToolCall(name="time", arguments='{"zone":"CET"}'))


@pytest_asyncio.fixture(loop_scope="module")
async def client(gateway: Running) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as made:
        yield made


def last_body(upstream: FaultUpstream) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(upstream.ledger.entries[-1].body)
    return body


def said(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


async def test_answers(client: AsyncAnthropic, upstream: FaultUpstream) -> None:
    upstream.script(Script(content="Hello there", cached_tokens=2))
    answer = await client.messages.create(model="m", max_tokens=50, messages=HELLO, system="Be brief.")
    assert ("Hello there", "end_turn", "assistant") == (said(answer), answer.stop_reason, answer.role)
    assert answer.id.startswith("msg_")
    billed = upstream.ledger.entries[-1]
    assert (billed.prompt_tokens - 2, 2, 2) == (
        answer.usage.input_tokens,
        answer.usage.cache_read_input_tokens,
        answer.usage.output_tokens,
    )
    body = last_body(upstream)
    assert [{"role": "system", "content": "Be brief."}, *HELLO] == body["messages"]
    assert body["model"].startswith("upstream-")


async def test_answers_a_client_that_waits(gateway: Running) -> None:
    def ask() -> str:
        with Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client:
            return said(client.messages.create(model="echo", max_tokens=50, messages=HELLO))

    assert "Say hello" == await asyncio.to_thread(ask)


async def test_streams(client: AsyncAnthropic, upstream: FaultUpstream) -> None:
    upstream.script(Script(content="one two three"))
    async with client.messages.stream(model="m", max_tokens=50, messages=HELLO) as stream:
        pieces = [piece async for piece in stream.text_stream]
        final = await stream.get_final_message()
    assert ["one ", "two ", "three"] == pieces
    assert ("one two three", "end_turn") == (said(final), final.stop_reason)
    billed = upstream.ledger.entries[-1]
    assert (billed.prompt_tokens, 3) == (final.usage.input_tokens, final.usage.output_tokens)
    assert last_body(upstream)["stream"] is True


async def test_streams_from_the_echo(client: AsyncAnthropic) -> None:
    stream = await client.messages.create(model="echo", max_tokens=50, messages=HELLO, stream=True)
    events = [event async for event in stream]
    assert "Say hello" == "".join(
        e.delta.text for e in events if e.type == "content_block_delta" and e.delta.type == "text_delta"
    )
    assert ("message_start", "message_stop") == (events[0].type, events[-1].type)


async def test_streams_hostile_text_whole(client: AsyncAnthropic, upstream: FaultUpstream) -> None:
    words = 'a\n\nevent: message_stop\rdata: {"type":"message_stop"}\r\n\r\nb\u2028c\x85 "d" \\ e'
    upstream.script(Script(content=words))
    async with client.messages.stream(model="m", max_tokens=50, messages=HELLO) as stream:
        assert words == said(await stream.get_final_message())


async def test_a_round_of_tools(client: AsyncAnthropic, upstream: FaultUpstream) -> None:
    upstream.script(Script(tool_calls=CALLS, content="I look."), times=2)
    answer = await client.messages.create(
        model="m", max_tokens=50, messages=HELLO, tools=TOOLS, tool_choice={"type": "any"}
    )
    async with client.messages.stream(model="m", max_tokens=50, messages=HELLO, tools=TOOLS) as stream:
        streamed = await stream.get_final_message()
    for one in (answer, streamed):
        assert "tool_use" == one.stop_reason
        assert [(call.name, json.loads(call.arguments)) for call in CALLS] == [
            (block.name, block.input) for block in one.content if block.type == "tool_use"
        ]
    results: Any = [
        {"type": "tool_result", "tool_use_id": block.id, "content": f"{block.name}: fine"}
        for block in answer.content
        if block.type == "tool_use"
    ]
    upstream.script(Script(content="All is fine."))
    turns: Any = [*HELLO, {"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
    last = await client.messages.create(model="m", max_tokens=50, messages=turns, tools=TOOLS)
    assert "All is fine." == said(last)
    asked, called, *told = last_body(upstream)["messages"]
    assert HELLO == [asked]
    assert [(call.name, json.loads(call.arguments)) for call in CALLS] == [
        (call["function"]["name"], json.loads(call["function"]["arguments"])) for call in called["tool_calls"]
    ]
    assert ["function", "function"] == [call["type"] for call in called["tool_calls"]]
    assert [("tool", call["id"]) for call in called["tool_calls"]] == [
        (one["role"], one["tool_call_id"]) for one in told
    ]
    assert ["weather: fine", "time: fine"] == [one["content"] for one in told]


async def test_reasoning_is_thinking(client: AsyncAnthropic, upstream: FaultUpstream) -> None:
    upstream.script(Script(content="Yes.", reasoning="hm well"), times=2)
    answer = await client.messages.create(model="m", max_tokens=50, messages=HELLO)
    async with client.messages.stream(model="m", max_tokens=50, messages=HELLO) as stream:
        streamed = await stream.get_final_message()
    for one in (answer, streamed):
        assert [("thinking", "hm well"), ("text", "Yes.")] == [
            (block.type, block.thinking if block.type == "thinking" else getattr(block, "text", None))
            for block in one.content
        ]
        assert one.usage.output_tokens_details is not None
        assert 2 == one.usage.output_tokens_details.thinking_tokens


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (Script(content="one two three four"), "max_tokens"),
        (Script(refusal="No."), "refusal"),
        (Script(content="It is", finish_reason="content_filter"), "refusal"),
    ],
    ids=["bound", "refusal", "filter"],
)
async def test_why_it_stopped(client: AsyncAnthropic, upstream: FaultUpstream, script: Script, reason: str) -> None:
    upstream.script(script, times=2)
    answer = await client.messages.create(model="m", max_tokens=3, messages=HELLO)
    assert reason == answer.stop_reason
    async with client.messages.stream(model="m", max_tokens=3, messages=HELLO) as stream:
        final = await stream.get_final_message()
    assert (said(answer), reason) == (said(final), final.stop_reason)


async def test_structured_output_is_asked_for(client: AsyncAnthropic, upstream: FaultUpstream) -> None:
    upstream.script(Script(content='{"a": 1}'))
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    await client.messages.create(
        model="m", max_tokens=9, messages=HELLO, output_config={"format": {"type": "json_schema", "schema": schema}}
    )
    asked = last_body(upstream)["response_format"]
    assert ("json_schema", schema, True) == (
        asked["type"],
        asked["json_schema"]["schema"],
        asked["json_schema"]["strict"],
    )


@pytest.mark.parametrize(
    ("script", "error", "type"),
    [
        (Script(status=400), anthropic.BadRequestError, "invalid_request_error"),
        (Script(status=401), anthropic.InternalServerError, "api_error"),
        (Script(status=404), anthropic.NotFoundError, "not_found_error"),
        (Script(status=429), anthropic.RateLimitError, "rate_limit_error"),
        (Script(status=500), anthropic.InternalServerError, "api_error"),
        (Script(status=529), anthropic.InternalServerError, "overloaded_error"),
        (Script(status=504), anthropic.InternalServerError, "timeout_error"),
        (Script(garbage="html"), anthropic.InternalServerError, "api_error"),
        (Script(tool_calls=(ToolCall(name="f", arguments="{"),)), anthropic.InternalServerError, "api_error"),
    ],
    ids=["400", "401", "404", "429", "500", "529", "504", "html", "bad arguments"],
)
async def test_the_providers_failures_raise_what_the_sdk_has_for_them(
    client: AsyncAnthropic, upstream: FaultUpstream, script: Script, error: type[anthropic.APIStatusError], type: str
) -> None:
    upstream.script(script)
    with pytest.raises(error) as caught:
        await client.messages.create(model="m", max_tokens=50, messages=HELLO)
    assert type == caught.value.type
    body = ErrorResponse.model_validate(caught.value.body)
    assert caught.value.response.headers["x-request-id"] == body.request_id
    assert PROVIDER_KEY not in str(caught.value.body)


async def test_a_wrong_key(gateway: Running) -> None:
    async with AsyncAnthropic(base_url=gateway.url, api_key="sg_live_wrong", max_retries=0) as client:
        with pytest.raises(anthropic.AuthenticationError) as caught:
            await client.messages.create(model="m", max_tokens=50, messages=HELLO)
        assert ("authentication_error", "invalid_api_key") == (caught.value.type, caught.value.error_code)


@pytest.mark.parametrize(
    ("body", "error", "code"),
    [
        ({"model": "nowhere"}, anthropic.NotFoundError, "model_not_found"),
        ({"extra_body": {"max_tokens": None}}, anthropic.BadRequestError, "missing_field"),
        ({"messages": []}, anthropic.BadRequestError, "invalid_messages"),
    ],
    ids=["model", "max_tokens", "messages"],
)
async def test_the_clients_mistakes_raise_what_the_sdk_has_for_them(
    client: AsyncAnthropic, upstream: FaultUpstream, body: Any, error: type[anthropic.APIStatusError], code: str
) -> None:
    with pytest.raises(error) as caught:
        await client.messages.create(**{"model": "m", "max_tokens": 5, "messages": HELLO, **body})
    assert code == caught.value.error_code
    assert 0 == len(upstream.ledger)


async def test_the_wrong_method_is_answered_in_the_same_shape(gateway: Running) -> None:
    answer = await gateway.http.get("/v1/messages", headers=gateway.auth)
    assert (405, "error", "invalid_request_error") == (
        answer.status_code,
        answer.json()["type"],
        answer.json()["error"]["type"],
    )


@pytest.mark.parametrize(
    "script",
    [Script(cut_after_chunks=2), Script(error_event_after=2, chunk_delay_ms=20), Script(omit=("finish", "done"))],
    ids=["cut", "error event", "no end"],
)
async def test_a_stream_that_breaks_raises(client: AsyncAnthropic, upstream: FaultUpstream, script: Script) -> None:
    upstream.script(script)
    seen = []

    async def read() -> None:
        async for event in await client.messages.create(model="m", max_tokens=50, messages=HELLO, stream=True):
            seen.append(event.type)  # noqa: PERF401 - what came before the error is kept

    with pytest.raises(anthropic.APIStatusError) as caught:
        await read()
    assert "api_error" == caught.value.type
    assert "message_start" == seen[0]
    assert "message_stop" not in seen


async def test_the_stream_is_framed_and_recorded(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(content="one two"))
    body = {"model": "m", "max_tokens": 9, "messages": HELLO, "stream": True}
    answer = await gateway.http.post("/v1/messages", json=body, headers={"x-api-key": gateway.key})
    assert "text/event-stream; charset=utf-8" == answer.headers["content-type"]
    assert answer.text.startswith("event: message_start\ndata: {")
    assert answer.text.endswith('event: message_stop\ndata: {"type":"message_stop"}\n\n')
    record = await gateway.usage_of(answer.headers["x-request-id"])
    assert ("complete", 2) == (record["outcome"], record["output_tokens"])


async def test_lists_the_models_the_key_may_use(client: AsyncAnthropic) -> None:
    listed = await client.models.list()
    assert [("echo", "model"), ("m", "model")] == [(model.id, model.type) for model in listed.data]
    assert (False, "echo", "m") == (listed.has_more, listed.first_id, listed.last_id)
    found = await client.models.retrieve("m")
    assert ("m", True) == (found.display_name, found.created_at.year > 2000)
