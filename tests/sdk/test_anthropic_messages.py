"""Anthropic's SDK over Messages and the count of tokens, at every provider."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest
import pytest_asyncio
from anthropic import AsyncAnthropic
from anthropic.types import Message
from pydantic import BaseModel, ConfigDict

from matrix.scenarios import PIXEL, SAYS, THINKS, TOOLS
from sdk.served import WITHOUT_IMAGES, Served

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELLO: Any = [{"role": "user", "content": "Say hello"}]
FUNCTIONS: Any = [
    {"name": name, "description": f"Tells the {name}.", "input_schema": schema} for name, schema in TOOLS.items()
]
COUNTS = ("anthropic", "bedrock", "vertex", "vertex_claude", "ai_studio", "gigachat")
"""Whose vendor counts; for the others the gateway estimates."""


class Place(BaseModel):
    """What structured answers are read as."""

    model_config = ConfigDict(extra="forbid")
    city: str
    people: int


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(all_providers: Served) -> AsyncIterator[AsyncAnthropic]:
    run = all_providers.run
    async with AsyncAnthropic(base_url=run.url, api_key=run.key, max_retries=0) as made:
        yield made


async def ask(client: AsyncAnthropic, stream: bool, **members: Any) -> Message:
    """Ask, by the stream helper if it is to be streamed."""
    members = {"max_tokens": 4000, **members}
    if not stream:
        answer: Message = await client.messages.create(**members)
        return answer
    async with client.messages.stream(**members) as events:
        return await events.get_final_message()


def said(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


async def test_says_text(all_providers: Served, client: AsyncAnthropic, provider: str, stream: bool) -> None:
    answer = await ask(client, stream, model=all_providers.model(provider, "text"), system="Be brief.", messages=HELLO)
    assert (SAYS, "end_turn", "message") == (said(answer), answer.stop_reason, answer.type)
    assert answer.id
    assert stream or answer._request_id


async def test_tells_the_text_piece_by_piece(all_providers: Served, client: AsyncAnthropic, provider: str) -> None:
    model = all_providers.model(provider, "text")
    async with client.messages.stream(model=model, max_tokens=4000, messages=HELLO) as stream:
        pieces = [piece async for piece in stream.text_stream]
    assert SAYS == "".join(pieces)
    assert len(pieces) > 1


async def test_says_what_was_used(all_providers: Served, client: AsyncAnthropic, provider: str, stream: bool) -> None:
    answer = await ask(client, stream, model=all_providers.model(provider, "usage"), messages=HELLO)
    assert (20, 100) == (answer.usage.input_tokens, answer.usage.cache_read_input_tokens)
    assert answer.usage.output_tokens > 0


async def test_says_that_it_stopped_short(
    all_providers: Served, client: AsyncAnthropic, provider: str, stream: bool
) -> None:
    model = all_providers.model(provider, "length")
    answer = await ask(client, stream, model=model, messages=HELLO, max_tokens=16)
    assert ("max_tokens", "word " * 16) == (answer.stop_reason, said(answer))


async def go_round(
    served: Served, client: AsyncAnthropic, provider: str, stream: bool, case: str, **members: Any
) -> tuple[Message, Message]:
    """Have tools called, say what they answered, and return both answers."""
    members = {"model": served.model(provider, case), "tools": FUNCTIONS, **members}
    asked = await ask(client, stream, messages=HELLO, **members)
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": f"mild {block.name}"}
        for block in asked.content
        if block.type == "tool_use"
    ]
    turns: Any = [*HELLO, {"role": "assistant", "content": asked.content}, {"role": "user", "content": results}]
    return asked, await ask(client, stream, messages=turns, **members)


async def test_a_round_of_tools(all_providers: Served, client: AsyncAnthropic, provider: str, stream: bool) -> None:
    asked, told = await go_round(all_providers, client, provider, stream, "tools")
    names = ["weather", "clock"] if all_providers.rows[provider].parallel else ["weather"]
    calls = [block for block in asked.content if block.type == "tool_use"]
    assert (names, "tool_use") == ([call.name for call in calls], asked.stop_reason)
    assert {"city": "Paris"} == calls[0].input
    assert len(names) == len({call.id for call in calls})
    assert said(told).startswith("The tools said: ")
    assert [True] * len(names) == [f"mild {name}" in said(told) for name in names]
    assert "end_turn" == told.stop_reason


async def test_a_round_of_tools_with_reasoning(
    all_providers: Served, client: AsyncAnthropic, provider: str, stream: bool
) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    asked, told = await go_round(all_providers, client, provider, stream, "reasoning_tools", thinking=thinking)
    if "messages" in all_providers.rows[provider].shows:
        thoughts = [block for block in asked.content if block.type == "thinking"]
        assert THINKS == "".join(thought.thinking for thought in thoughts)
    assert said(told).startswith("The tools said: ")


async def test_sees_an_image(all_providers: Served, client: AsyncAnthropic, provider: str, stream: bool) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image", "source": source}]
    model = all_providers.model(provider, "image_data")
    asked = ask(client, stream, model=model, messages=[{"role": "user", "content": parts}])
    if provider in WITHOUT_IMAGES:
        with pytest.raises(anthropic.BadRequestError) as caught:
            await asked
        assert "unsupported_capability" == caught.value.error_code
    else:
        assert "I see image/png of 64 bytes." == said(await asked)


async def test_answers_in_a_shape(all_providers: Served, client: AsyncAnthropic, provider: str, stream: bool) -> None:
    members: Any = {"model": all_providers.model(provider, "structured"), "messages": HELLO, "max_tokens": 4000}
    if stream:
        async with client.messages.stream(**members, output_format=Place) as events:
            answer: Any = await events.get_final_message()
    else:
        answer = await client.messages.parse(**members, output_format=Place)
    assert Place(city="text", people=7) == answer.parsed_output


@pytest.mark.parametrize(
    ("case", "raised", "status", "type"),
    [
        ("invalid_request", anthropic.BadRequestError, 400, "invalid_request_error"),
        ("context_length", anthropic.BadRequestError, 400, "invalid_request_error"),
        ("rate_limit", anthropic.RateLimitError, 429, "rate_limit_error"),
        ("overloaded", anthropic.InternalServerError, 503, "overloaded_error"),
        ("server", anthropic.InternalServerError, 502, "api_error"),
        ("auth", anthropic.InternalServerError, 502, "api_error"),
        ("not_found", anthropic.NotFoundError, 404, "not_found_error"),
    ],
)
async def test_failures_raise_what_the_sdk_has_for_them(
    all_providers: Served, client: AsyncAnthropic, provider: str, stream: bool, case: str, raised: Any, status: int,
    type: str,
) -> None:  # fmt: skip
    with pytest.raises(raised) as caught:
        await ask(client, stream, model=all_providers.model(provider, f"error_{case}"), messages=HELLO)
    error = caught.value
    assert (status, type) == (error.status_code, error.type)
    assert error.request_id == error.response.headers["x-request-id"]


@pytest.mark.parametrize("case", ["cut", "fails_late"])
async def test_a_stream_that_breaks_raises(
    all_providers: Served, client: AsyncAnthropic, provider: str, case: str
) -> None:
    seen = ""
    model = all_providers.model(provider, case)
    with pytest.raises(anthropic.APIStatusError) as caught:  # noqa: PT012 - what came before the error is kept
        async with client.messages.stream(model=model, max_tokens=4000, messages=HELLO) as stream:
            async for piece in stream.text_stream:
                seen += piece
    assert "Hello there, " == seen
    assert caught.value.type in {"api_error", "overloaded_error", "rate_limit_error"}


async def test_counts_tokens(all_providers: Served, client: AsyncAnthropic, provider: str) -> None:
    raw = await client.messages.with_raw_response.count_tokens(
        model=all_providers.model(provider, "text"), messages=HELLO, tools=FUNCTIONS, system="Be brief."
    )
    counted = (await raw.parse()).input_tokens
    assert (None if provider in COUNTS else "true") == raw.headers.get("x-switchgear-estimated")
    exact = provider in COUNTS and provider != "gigachat"  # whose upstream counts the words it was sent
    assert counted == 40 if exact else 1 <= counted <= 200
