"""What an application does with LangChain: it asks, streams, has tools called, gets an object and is refused.

Arguments: URL KEY NAMES, the last a JSON list of the names of four models each.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

URL, KEY, NAMES = sys.argv[1:]


class Place(BaseModel):
    city: str
    people: int


def weather(city: str) -> str:
    """Tell the weather."""
    return f"rain in {city}"


def clock(zone: str) -> str:
    """Tell the time."""
    return f"noon in {zone}"


TOOLS = {"weather": weather, "clock": clock}


def models(name: str) -> Iterator[BaseChatModel]:
    open: dict[str, Any] = {"model": name, "base_url": f"{URL}/v1", "api_key": KEY, "max_retries": 0}
    yield ChatOpenAI(**open)
    yield ChatOpenAI(**open, use_responses_api=True)
    yield ChatAnthropic(model_name=name, base_url=URL, api_key=KEY, max_retries=0)


def called(model: BaseChatModel) -> str:
    said: list[BaseMessage] = [HumanMessage("Weather?")]
    bound = model.bind_tools(list(TOOLS.values()))
    for _ in range(3):
        answer = bound.invoke(said)
        said.append(answer)
        if not answer.tool_calls:
            return answer.text
        said += [ToolMessage(TOOLS[it["name"]](**it["args"]), tool_call_id=it["id"]) for it in answer.tool_calls]
    return "no end"


for text, tools, structured, error in json.loads(NAMES):
    for model in models(text):
        print("said:", model.invoke("Say hello").text)
        print("streamed:", "".join(chunk.text for chunk in model.stream("Say hello")))
    for model in models(tools):
        print("called:", called(model))
    for model in models(structured):
        print("made:", model.with_structured_output(Place, method="json_schema").invoke("Where?"))
    for model in models(error):
        try:
            model.invoke("Say hello")
        except Exception as refused:  # noqa: BLE001 - each vendor's SDK has its own
            print("refused:", getattr(refused, "status_code", refused))
