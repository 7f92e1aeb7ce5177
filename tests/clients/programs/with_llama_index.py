"""What an application does with LlamaIndex: it asks, streams, has tools called and is refused.

Arguments: URL KEY NAMES, the last a JSON list of the names of three models each.
"""

import json
import sys

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from openai import APIStatusError

URL, KEY, NAMES = sys.argv[1:]


def weather(city: str) -> str:
    """Tell the weather."""
    return f"rain in {city}"


def clock(zone: str) -> str:
    """Tell the time."""
    return f"noon in {zone}"


def model(name: str) -> OpenAILike:
    return OpenAILike(
        model=name,
        api_base=f"{URL}/v1",
        api_key=KEY,
        is_chat_model=True,
        is_function_calling_model=True,
        context_window=128_000,
        max_retries=0,
    )


def called(llm: OpenAILike) -> str:
    tools = {"weather": weather, "clock": clock}
    offered = [FunctionTool.from_defaults(it) for it in tools.values()]
    said = [ChatMessage("Weather?")]
    for _ in range(3):
        answer = llm.chat_with_tools(offered, chat_history=said)
        said.append(answer.message)
        calls = llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
        if not calls:
            return str(answer.message.content)
        for call in calls:
            result = tools[call.tool_name](**call.tool_kwargs)
            said.append(ChatMessage(result, role="tool", additional_kwargs={"tool_call_id": call.tool_id}))
    return "no end"


for text, tools, error in json.loads(NAMES):
    print("said:", model(text).chat([ChatMessage("Say hello")]).message.content)
    print("streamed:", "".join(it.delta or "" for it in model(text).stream_chat([ChatMessage("Say hello")])))
    print("called:", called(model(tools)))
    try:
        model(error).chat([ChatMessage("Say hello")])
    except APIStatusError as refused:
        print("refused:", refused.status_code)
