"""LangChain's ChatOpenAI with the gateway as its base URL, at every provider."""

import asyncio
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, ConfigDict

from matrix.scenarios import SAYS
from sdk.served import WITHOUT_EMBEDDINGS, Served

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Place(BaseModel):
    """What structured answers are read as."""

    model_config = ConfigDict(extra="forbid")
    city: str
    people: int


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"mild in {city}"


@tool
def clock(zone: str) -> str:
    """Tell the time."""
    return f"noon in {zone}"


def chat(served: Served, provider: str, case: str, **members: Any) -> ChatOpenAI:
    run = served.run
    model = served.model(provider, case)
    return ChatOpenAI(model=model, base_url=run.base_url, api_key=run.key, max_retries=0, **members)


async def add_up(stream: Any) -> AIMessageChunk:
    whole: Any = None
    async for chunk in stream:
        whole = chunk if whole is None else whole + chunk
    assert isinstance(whole, AIMessageChunk)
    return whole


@pytest.mark.parametrize("responses", [False, True], ids=["chat", "responses"])
async def test_invokes(all_providers: Served, provider: str, responses: bool) -> None:
    answer = await chat(all_providers, provider, "usage", use_responses_api=responses).ainvoke("Say hello")
    assert SAYS == answer.text
    assert answer.usage_metadata is not None
    assert (120, 100) == (
        answer.usage_metadata["input_tokens"],
        answer.usage_metadata["input_token_details"]["cache_read"],
    )


@pytest.mark.parametrize("responses", [False, True], ids=["chat", "responses"])
async def test_streams(all_providers: Served, provider: str, responses: bool) -> None:
    model = chat(all_providers, provider, "usage", use_responses_api=responses, stream_usage=True)
    answer = await add_up(model.astream("Say hello"))
    assert SAYS == answer.text
    assert answer.usage_metadata is not None
    assert 120 == answer.usage_metadata["input_tokens"]


@pytest.mark.parametrize("responses", [False, True], ids=["chat", "responses"])
async def test_binds_tools(all_providers: Served, provider: str, stream: bool, responses: bool) -> None:
    tools = {made.name: made for made in (weather, clock)}
    model = chat(all_providers, provider, "tools", use_responses_api=responses).bind_tools(list(tools.values()))
    turns: list[Any] = [HumanMessage("Say hello")]
    asked = await (add_up(model.astream(turns)) if stream else model.ainvoke(turns))
    names = ["weather", "clock"] if all_providers.rows[provider].parallel else ["weather"]
    assert names == [call["name"] for call in asked.tool_calls]
    assert {"city": "Paris"} == asked.tool_calls[0]["args"]
    results = [await tools[call["name"]].ainvoke(call) for call in asked.tool_calls]
    assert all(isinstance(result, ToolMessage) for result in results)
    told = await model.ainvoke([*turns, asked, *results])
    assert "The tools said: " in told.text
    assert "mild in Paris" in told.text


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
async def test_answers_in_a_shape(all_providers: Served, provider: str, method: Any) -> None:
    model = chat(all_providers, provider, "structured").with_structured_output(Place, method=method)
    assert Place(city="text", people=7) == await model.ainvoke("Which city?")


async def test_raises_what_the_sdk_raises(all_providers: Served, provider: str) -> None:
    with pytest.raises(openai.RateLimitError):
        await chat(all_providers, provider, "error_rate_limit").ainvoke("Say hello")
    with pytest.raises(openai.BadRequestError) as caught:
        await chat(all_providers, provider, "error_context_length").ainvoke("Say hello")
    assert "context_length_exceeded" == caught.value.code


async def test_embeds(all_providers: Served, provider: str) -> None:
    if provider in WITHOUT_EMBEDDINGS:
        return
    run = all_providers.run
    model = f"{provider}/{all_providers.rows[provider].vectors}fault-vectors"
    embeddings = OpenAIEmbeddings(
        model=model, base_url=run.base_url, api_key=run.key, check_embedding_ctx_length=False, max_retries=0
    )
    [one, other] = await embeddings.aembed_documents(["two words", "three more words"])
    assert len(one) == len(other) >= 8
    assert one != other


async def test_clients_that_wait(all_providers: Served) -> None:
    model = chat(all_providers, "anthropic", "text")
    assert SAYS == (await asyncio.to_thread(model.invoke, "Say hello")).text
    assert SAYS == "".join(await asyncio.to_thread(lambda: [chunk.text for chunk in model.stream("Say hello")]))
