"""What an application does with pydantic-ai: it asks, streams, has tools called and is refused.

Arguments: URL KEY NAMES, the last a JSON list of the names of three models each.
"""

import json
import sys
from collections.abc import Iterator

from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

URL, KEY, NAMES = sys.argv[1:]


def models(name: str) -> Iterator[Model]:
    provider = OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY)
    yield OpenAIChatModel(name, provider=provider)
    yield OpenAIResponsesModel(name, provider=provider)
    yield AnthropicModel(name, provider=AnthropicProvider(base_url=URL, api_key=KEY))


def weather(city: str) -> str:
    """Tell the weather."""
    return f"rain in {city}"


def clock(zone: str) -> str:
    """Tell the time."""
    return f"noon in {zone}"


for text, tools, error in json.loads(NAMES):
    for model in models(text):
        print("said:", Agent(model).run_sync("Say hello").output)
        with Agent(model).run_stream_sync("Say hello") as stream:
            print("streamed:", stream.get_output())
    for model in models(tools):
        print("called:", Agent(model, tools=[weather, clock]).run_sync("Weather?").output)
    for model in models(error):
        try:
            Agent(model).run_sync("Say hello")
        except ModelHTTPError as refused:
            print("refused:", refused.status_code)
