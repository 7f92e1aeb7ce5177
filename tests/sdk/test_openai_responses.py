"""OpenAI's SDK over the Responses API, at every provider."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from openai.types.responses import Response
from pydantic import BaseModel, ConfigDict

from matrix.clients import DATA
from matrix.scenarios import SAYS, THINKS, TOOLS
from sdk.served import WITHOUT_IMAGES, Served

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELLO: Any = [{"role": "user", "content": "Say hello"}]
FUNCTIONS: Any = [
    {"type": "function", "name": name, "description": f"Tells the {name}.", "parameters": schema, "strict": False}
    for name, schema in TOOLS.items()
]


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


async def ask(client: AsyncOpenAI, stream: bool, **members: Any) -> Response:
    """Ask, by the stream helper if it is to be streamed."""
    if not stream:
        answer: Response = await client.responses.create(**members)
        return answer
    async with client.responses.stream(**members) as events:
        return await events.get_final_response()


async def test_says_text(all_providers: Served, client: AsyncOpenAI, provider: str, stream: bool) -> None:
    answer = await ask(
        client, stream, model=all_providers.model(provider, "text"), instructions="Be brief.", input="Say hello"
    )
    assert (SAYS, "completed", "response") == (answer.output_text, answer.status, answer.object)
    assert answer.id
    assert answer.error is None


async def test_tells_the_text_piece_by_piece(all_providers: Served, client: AsyncOpenAI, provider: str) -> None:
    stream = await client.responses.create(model=all_providers.model(provider, "text"), input=HELLO, stream=True)
    events = [event async for event in stream]
    assert SAYS == "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert ("response.created", "response.completed") == (events[0].type, events[-1].type)
    numbers = [event.sequence_number for event in events]
    assert sorted(set(numbers)) == numbers


async def test_says_what_was_used(all_providers: Served, client: AsyncOpenAI, provider: str, stream: bool) -> None:
    answer = await ask(client, stream, model=all_providers.model(provider, "usage"), input=HELLO)
    assert answer.usage is not None
    assert (120, 100) == (answer.usage.input_tokens, answer.usage.input_tokens_details.cached_tokens)
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.usage.output_tokens > 0


async def test_says_that_it_stopped_short(
    all_providers: Served, client: AsyncOpenAI, provider: str, stream: bool
) -> None:
    members: Any = {"model": all_providers.model(provider, "length"), "input": HELLO, "max_output_tokens": 16}
    if stream:  # the stream helper has no final response for one that is incomplete
        events = [event async for event in await client.responses.create(**members, stream=True)]
        assert "response.incomplete" == events[-1].type
        answer = events[-1].response
    else:
        answer = await client.responses.create(**members)
    assert answer.incomplete_details is not None
    assert ("incomplete", "max_output_tokens") == (answer.status, answer.incomplete_details.reason)
    assert "word " * 16 == answer.output_text


async def go_round(
    served: Served, client: AsyncOpenAI, provider: str, stream: bool, case: str, **members: Any
) -> tuple[Response, Response]:
    """Have tools called, say what they answered, and return both answers."""
    members = {"model": served.model(provider, case), "tools": FUNCTIONS, "store": False, **members}
    asked = await ask(client, stream, input=HELLO, **members)
    results = [
        {"type": "function_call_output", "call_id": item.call_id, "output": f"mild {item.name}"}
        for item in asked.output
        if item.type == "function_call"
    ]
    turns: Any = [*HELLO, *[item.model_dump(exclude_none=True) for item in asked.output], *results]
    return asked, await ask(client, stream, input=turns, **members)


async def test_a_round_of_tools(all_providers: Served, client: AsyncOpenAI, provider: str, stream: bool) -> None:
    asked, told = await go_round(all_providers, client, provider, stream, "tools")
    names = ["weather", "clock"] if all_providers.rows[provider].parallel else ["weather"]
    calls: Any = [item for item in asked.output if item.type == "function_call"]
    assert (names, "completed") == ([call.name for call in calls], asked.status)
    assert len(names) == len({call.call_id for call in calls})
    assert told.output_text.startswith("The tools said: ")
    assert [True] * len(names) == [f"mild {name}" in told.output_text for name in names]


async def test_a_round_of_tools_with_reasoning(
    all_providers: Served, client: AsyncOpenAI, provider: str, stream: bool
) -> None:
    asked, told = await go_round(
        all_providers,
        client,
        provider,
        stream,
        "reasoning_tools",
        reasoning={"effort": "low", "summary": "auto"},
        include=["reasoning.encrypted_content"],
    )
    if "responses" in all_providers.rows[provider].shows:
        thoughts = [part.text for item in asked.output if item.type == "reasoning" for part in item.summary]
        assert THINKS == "".join(thoughts)
    assert told.output_text.startswith("The tools said: ")


async def test_sees_an_image(all_providers: Served, client: AsyncOpenAI, provider: str, stream: bool) -> None:
    parts = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": DATA, "detail": "auto"},
    ]
    model = all_providers.model(provider, "image_data")
    asked = ask(client, stream, model=model, input=[{"role": "user", "content": parts}])
    if provider in WITHOUT_IMAGES:
        with pytest.raises(openai.BadRequestError) as caught:
            await asked
        assert "unsupported_capability" == caught.value.code
    else:
        assert "I see image/png of 64 bytes." == (await asked).output_text


async def test_answers_in_a_shape(all_providers: Served, client: AsyncOpenAI, provider: str, stream: bool) -> None:
    members: Any = {"model": all_providers.model(provider, "structured"), "input": HELLO, "text_format": Place}
    if stream:
        async with client.responses.stream(**members) as events:
            answer: Any = await events.get_final_response()
    else:
        answer = await client.responses.parse(**members)
    assert Place(city="text", people=7) == answer.output_parsed


@pytest.mark.parametrize(
    ("case", "raised", "status", "code"),
    [
        ("invalid_request", openai.BadRequestError, 400, None),
        ("context_length", openai.BadRequestError, 400, "context_length_exceeded"),
        ("rate_limit", openai.RateLimitError, 429, "rate_limit_exceeded"),
        ("overloaded", openai.InternalServerError, 503, "overloaded"),
        ("auth", openai.InternalServerError, 502, "upstream_auth"),
        ("not_found", openai.NotFoundError, 404, "model_not_found"),
    ],
)
async def test_failures_raise_what_the_sdk_has_for_them(
    all_providers: Served, client: AsyncOpenAI, provider: str, stream: bool, case: str, raised: Any, status: int,
    code: str | None,
) -> None:  # fmt: skip
    with pytest.raises(raised) as caught:
        await ask(client, stream, model=all_providers.model(provider, f"error_{case}"), input=HELLO)
    error = caught.value
    assert status == error.status_code
    if code is not None:
        assert code == error.code
    assert error.request_id


@pytest.mark.parametrize("case", ["cut", "fails_late"])
async def test_a_stream_that_breaks_is_never_complete(
    all_providers: Served, client: AsyncOpenAI, provider: str, case: str
) -> None:
    model = all_providers.model(provider, case)
    events: list[Any] = []
    try:
        async for event in await client.responses.create(model=model, input=HELLO, stream=True):
            events.append(event)  # noqa: PERF401 - what came before the error is kept
    except openai.APIError as error:
        assert error.code  # noqa: PT017 - either is right: the error as an exception, or as the last event
    else:
        assert "response.failed" == events[-1].type
        assert events[-1].response.error.code
    assert "Hello there, " == "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert "response.completed" not in [event.type for event in events]
