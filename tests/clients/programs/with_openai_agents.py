"""What an application does with openai-agents: it asks, streams, has tools called, gets an object and is refused.

Arguments: URL KEY NAMES, the last a JSON list of the names of four models each.
"""

import asyncio
import json
import sys
from collections.abc import Iterator

from agents import Agent, Model, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool
from agents import set_tracing_disabled as without_traces
from openai import APIStatusError, AsyncOpenAI
from openai.types.responses import ResponseTextDeltaEvent
from pydantic import BaseModel

URL, KEY, NAMES = sys.argv[1:]


class Place(BaseModel):
    city: str
    people: int


@function_tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"rain in {city}"


@function_tool
def clock(zone: str) -> str:
    """Tell the time."""
    return f"noon in {zone}"


client = AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)


def models(name: str) -> Iterator[Model]:
    yield OpenAIChatCompletionsModel(name, client)
    yield OpenAIResponsesModel(name, client)


async def streamed(agent: Agent) -> str:
    events = Runner.run_streamed(agent, "Say hello").stream_events()
    raw = [event.data async for event in events if event.type == "raw_response_event"]
    return "".join(it.delta for it in raw if isinstance(it, ResponseTextDeltaEvent))


async def main() -> None:
    for text, tools, structured, error in json.loads(NAMES):
        for model in models(text):
            agent = Agent("a", model=model)
            print("said:", (await Runner.run(agent, "Say hello")).final_output)
            print("streamed:", await streamed(agent))
        for model in models(tools):
            agent = Agent("a", model=model, tools=[weather, clock])
            print("called:", (await Runner.run(agent, "Weather?")).final_output)
        for model in models(structured):
            print("made:", (await Runner.run(Agent("a", model=model, output_type=Place), "Where?")).final_output)
        for model in models(error):
            try:
                await Runner.run(Agent("a", model=model), "Say hello")
            except APIStatusError as refused:
                print("refused:", refused.status_code)


without_traces(True)
asyncio.run(main())
