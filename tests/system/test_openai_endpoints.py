"""OpenAI's own SDK against the endpoints beyond chat, on providers that speak chat only."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from support.faultup import FaultUpstream, Script, ToolCall
from support.gateway import Running

WEATHER: Any = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True}


@pytest.fixture
async def client(gateway: Running, upstream: FaultUpstream) -> AsyncIterator[AsyncOpenAI]:
    """A client; the model `chat` is at a server that speaks chat only."""
    await gateway.create("providers", id="q", type="openai_compatible", base_url=upstream.base_url)
    await gateway.create("models", id="chat", provider_id="q", provider_model="upstream-model")
    async with AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0) as made:
        yield made


def last_body(upstream: FaultUpstream) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(upstream.ledger.entries[-1].body)
    return body


async def test_responds(client: AsyncOpenAI) -> None:
    answer = await client.responses.create(model="echo", input="Say hello", instructions="Be brief.")
    assert ("Say hello", "completed", "Be brief.") == (answer.output_text, answer.status, answer.instructions)
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0


async def test_responds_in_pieces(client: AsyncOpenAI) -> None:
    stream = await client.responses.create(model="echo", input="one two three", stream=True)
    events = [event async for event in stream]
    assert "one two three" == "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert ["response.created", "response.in_progress"] == [e.type for e in events[:2]]
    last = events[-1]
    assert last.type == "response.completed"
    assert "one two three" == last.response.output_text
    assert last.response.usage is not None
    assert last.response.usage.total_tokens > 0


async def test_tools_and_reasoning_go_both_ways(client: AsyncOpenAI, upstream: FaultUpstream) -> None:
    calls = (
        ToolCall(name="weather", arguments='{"city":"Oslo"}'),
        ToolCall(name="weather", arguments='{"city":"Rome"}'),
    )
    upstream.script(Script(tool_calls=calls, reasoning="two calls "))
    asked: list[Any] = [{"role": "user", "content": "Weather?"}]
    async with client.responses.stream(model="chat", input=asked, tools=[WEATHER]) as stream:
        async for _ in stream:
            pass
        first = await stream.get_final_response()
    made = [item for item in first.output if item.type == "function_call"]
    assert [call.arguments for call in calls] == [item.arguments for item in made]
    results: list[Any] = [{"type": "function_call_output", "call_id": item.call_id, "output": "rain"} for item in made]
    given = [item.to_dict() for item in first.output]
    for item in given:
        item.pop("parsed_arguments", None)
    upstream.script(Script(content="Rain in both."))
    second = await client.responses.create(model="chat", input=[*asked, *given, *results], tools=[WEATHER])
    assert "Rain in both." == second.output_text
    _, assistant, *tools = last_body(upstream)["messages"]
    assert "two calls " == assistant["reasoning_content"]
    ids = [item.call_id for item in made]
    assert ids == [call["id"] for call in assistant["tool_calls"]] == [tool["tool_call_id"] for tool in tools]


async def test_a_cut_stream_raises_and_is_never_complete(client: AsyncOpenAI, upstream: FaultUpstream) -> None:
    upstream.script(Script(content="one two three", cut_after_chunks=2))
    seen = []
    stream = await client.responses.create(model="chat", input="hi", stream=True)
    with pytest.raises(openai.APIError) as caught:  # noqa: PT012 - the stream is what raises
        async for event in stream:
            seen.append(event.type)  # noqa: PERF401 - a comprehension would lose what came before the error
    assert "upstream_cut" == caught.value.code
    assert "response.completed" not in seen


async def test_a_failure_before_the_first_word_is_an_http_error(client: AsyncOpenAI, upstream: FaultUpstream) -> None:
    upstream.script(Script(status=429))
    with pytest.raises(openai.RateLimitError):
        await client.responses.create(model="chat", input="hi", stream=True)


async def test_what_cannot_be_carried_is_named(client: AsyncOpenAI) -> None:
    tools: Any = [{"type": "code_interpreter", "container": {"type": "auto"}}]
    answer = await client.responses.with_raw_response.create(model="echo", input="hi", tools=tools)
    assert "tools[0].code_interpreter" == answer.headers["x-switchgear-dropped"]
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model="echo", input="hi", previous_response_id="resp_1")
    assert "previous_response_id" == caught.value.param


async def test_completes_text(client: AsyncOpenAI) -> None:
    answer = await client.completions.create(model="echo", prompt="Say hello", echo=True)
    assert ("text_completion", "Say helloSay hello", "stop") == (
        answer.object,
        answer.choices[0].text,
        answer.choices[0].finish_reason,
    )
    assert answer.usage is not None


async def test_completes_text_in_pieces(client: AsyncOpenAI) -> None:
    stream = await client.completions.create(
        model="echo", prompt="one two three", stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "one two three" == "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    assert [chunk.usage is not None for chunk in chunks][-2:] == [False, True]


async def test_several_prompts_are_refused_through_chat(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.completions.create(model="echo", prompt=["a", "b"])
    assert "prompt" == caught.value.param


async def test_an_embedding_of_nothing_is_refused(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.embeddings.create(model="echo", input=[])
    assert "input" == caught.value.param
