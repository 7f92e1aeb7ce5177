"""OpenAI's SDK over chat completions and embeddings, at every provider."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion
from pydantic import BaseModel, ConfigDict

from matrix.clients import DATA
from matrix.scenarios import SAYS, THINKS, TOOLS
from sdk.served import WITHOUT_EMBEDDINGS, WITHOUT_IMAGES, Served

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELLO: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hello"}]
FUNCTIONS: Any = [
    {"type": "function", "function": {"name": name, "description": f"Tells the {name}.", "parameters": schema}}
    for name, schema in TOOLS.items()
]


LATE = {"upstream_error", "service_unavailable", "rate_limit_error"}
WITHOUT_QUOTA = ("azure_openai", "vertex", "ai_studio")
"""Whose vendor tells a quota that is used up as it tells a rate that is too high."""


class Place(BaseModel):
    """What structured answers are read as."""

    model_config = ConfigDict(extra="forbid")
    city: str
    people: int


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(all_providers: Served) -> AsyncIterator[AsyncOpenAI]:
    run = all_providers.run
    async with AsyncOpenAI(base_url=run.base_url, api_key=run.key, max_retries=0) as made:
        yield made


async def ask(client: AsyncOpenAI, stream: bool, **members: Any) -> ChatCompletion:
    """Ask, by the stream helper if it is to be streamed."""
    if not stream:
        answer: ChatCompletion = await client.chat.completions.create(**members)
        return answer
    async with client.chat.completions.stream(**members, stream_options={"include_usage": True}) as events:
        return await events.get_final_completion()


async def test_says_text(all_providers: Served, client: AsyncOpenAI, provider: str, stream: bool) -> None:
    answer = await ask(client, stream, model=all_providers.model(provider, "text"), messages=HELLO)
    [choice] = answer.choices
    assert (SAYS, "stop", "assistant") == (choice.message.content, choice.finish_reason, choice.message.role)
    assert answer.object == "chat.completion"
    assert answer.id
    assert answer.created > 0


async def test_tells_the_text_piece_by_piece(all_providers: Served, client: AsyncOpenAI, provider: str) -> None:
    model = all_providers.model(provider, "text")
    chunks = [c async for c in await client.chat.completions.create(model=model, messages=HELLO, stream=True)]
    assert SAYS == "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert 1 == len({chunk.id for chunk in chunks if chunk.choices})
    assert [] == [chunk.usage for chunk in chunks if chunk.usage], "nobody asked for it"


async def test_says_what_was_used(all_providers: Served, client: AsyncOpenAI, provider: str, stream: bool) -> None:
    answer = await ask(client, stream, model=all_providers.model(provider, "usage"), messages=HELLO)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert (120, 100) == (answer.usage.prompt_tokens, answer.usage.prompt_tokens_details.cached_tokens)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.completion_tokens > 0


def turn(message: Any) -> Any:
    """Write what the assistant said as it is sent back: as it came, without what the stream helper adds."""
    said = message.model_dump(exclude_none=True)
    for call in said.get("tool_calls", ()):
        call.pop("index", None)
    return said


async def go_round(
    served: Served, client: AsyncOpenAI, provider: str, stream: bool, case: str, **members: Any
) -> tuple[ChatCompletion, ChatCompletion]:
    """Have tools called, say what they answered, and return both answers."""
    members = {"model": served.model(provider, case), "tools": FUNCTIONS, **members}
    asked = await ask(client, stream, messages=HELLO, **members)
    message = asked.choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"mild {call.function.name}"}  # type: ignore[union-attr]
        for call in message.tool_calls or ()
    ]
    turns: Any = [*HELLO, turn(message), *results]
    return asked, await ask(client, stream, messages=turns, **members)


async def test_a_round_of_tools(all_providers: Served, client: AsyncOpenAI, provider: str, stream: bool) -> None:
    asked, told = await go_round(all_providers, client, provider, stream, "tools")
    names = ["weather", "clock"] if all_providers.rows[provider].parallel else ["weather"]
    [choice] = asked.choices
    calls: Any = choice.message.tool_calls
    assert (names, "tool_calls") == ([call.function.name for call in calls], choice.finish_reason)
    assert len(names) == len({call.id for call in calls})
    said = told.choices[0].message.content or ""
    assert said.startswith("The tools said: ")
    assert [True] * len(names) == [f"mild {name}" in said for name in names]
    assert "stop" == told.choices[0].finish_reason


async def test_a_round_of_tools_with_reasoning(
    all_providers: Served, client: AsyncOpenAI, provider: str, stream: bool
) -> None:
    asked, told = await go_round(all_providers, client, provider, stream, "reasoning_tools", reasoning_effort="low")
    if "chat" in all_providers.rows[provider].shows:
        assert THINKS == asked.choices[0].message.to_dict()["reasoning_content"]
    assert (told.choices[0].message.content or "").startswith("The tools said: ")


async def test_sees_an_image(all_providers: Served, client: AsyncOpenAI, provider: str, stream: bool) -> None:
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": DATA}}]
    asked = ask(
        client,
        stream,
        model=all_providers.model(provider, "image_data"),
        messages=[{"role": "user", "content": parts}],
    )
    if provider in WITHOUT_IMAGES:
        with pytest.raises(openai.BadRequestError) as caught:
            await asked
        assert ("messages[0].content[1]", "unsupported_capability") == (caught.value.param, caught.value.code)
    else:
        assert "I see image/png of 64 bytes." == (await asked).choices[0].message.content


async def test_answers_in_a_shape(all_providers: Served, client: AsyncOpenAI, provider: str, stream: bool) -> None:
    members: Any = {"model": all_providers.model(provider, "structured"), "messages": HELLO, "response_format": Place}
    if stream:
        async with client.chat.completions.stream(**members) as events:
            answer: Any = await events.get_final_completion()
    else:
        answer = await client.chat.completions.parse(**members)
    assert Place(city="text", people=7) == answer.choices[0].message.parsed


@pytest.mark.parametrize(
    ("case", "raised", "status", "code"),
    [
        ("invalid_request", openai.BadRequestError, 400, None),
        ("context_length", openai.BadRequestError, 400, "context_length_exceeded"),
        ("content_filter", openai.BadRequestError, 400, None),
        ("rate_limit", openai.RateLimitError, 429, "rate_limit_exceeded"),
        ("quota", openai.RateLimitError, 429, "insufficient_quota"),
        ("overloaded", openai.InternalServerError, 503, "overloaded"),
        ("server", openai.InternalServerError, 502, "upstream_error"),
        ("auth", openai.InternalServerError, 502, "upstream_auth"),
        ("permission", openai.InternalServerError, 502, "upstream_auth"),
        ("not_found", openai.NotFoundError, 404, "model_not_found"),
    ],
)
async def test_failures_raise_what_the_sdk_has_for_them(
    all_providers: Served, client: AsyncOpenAI, provider: str, stream: bool, case: str, raised: Any, status: int,
    code: str | None,
) -> None:  # fmt: skip
    with pytest.raises(raised) as caught:
        await ask(client, stream, model=all_providers.model(provider, f"error_{case}"), messages=HELLO)
    error = caught.value
    assert status == error.status_code
    if case == "quota" and provider in WITHOUT_QUOTA:
        code = "rate_limit_exceeded"
    if code is not None:
        assert code == error.code
    assert error.request_id


@pytest.mark.parametrize("case", ["cut", "fails_late"])
async def test_a_stream_that_breaks_raises(
    all_providers: Served, client: AsyncOpenAI, provider: str, case: str
) -> None:
    seen = ""
    with pytest.raises(openai.APIError) as caught:  # noqa: PT012 - what came before the error is kept
        model = all_providers.model(provider, case)
        async for chunk in await client.chat.completions.create(model=model, messages=HELLO, stream=True):
            seen += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    assert "Hello there, " == seen
    assert caught.value.type in LATE


async def test_embeds(all_providers: Served, client: AsyncOpenAI, provider: str) -> None:
    row = all_providers.rows[provider]
    texts = ["two words", "three more words"]
    if provider in WITHOUT_EMBEDDINGS:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.embeddings.create(model=all_providers.model(provider, "text"), input=texts)
        assert "unsupported_operation" == caught.value.code
        return
    model = f"{provider}/{row.vectors}fault-vectors"
    packed = await client.embeddings.create(model=model, input=texts)  # the SDK asks for base64 and unpacks it
    plain = await client.embeddings.create(model=model, input=texts, encoding_format="float")
    assert [0, 1] == [one.index for one in packed.data]
    for one, other in zip(packed.data, plain.data, strict=True):
        assert pytest.approx(other.embedding, abs=1e-6) == one.embedding
        assert len(one.embedding) >= 8
    assert packed.data[0].embedding != packed.data[1].embedding
