"""What an application does with LiteLLM as a client: it asks, streams, has tools called and is refused.

Arguments: URL KEY NAMES, the last a JSON list of the names of three models each.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import litellm

URL, KEY, NAMES = sys.argv[1:]
TOOLS = {"weather": ("city", "rain in "), "clock": ("zone", "noon in ")}
SCHEMAS = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {member: {"type": "string"}}}},
    }
    for name, (member, _) in TOOLS.items()
]
Q = [{"role": "user", "content": "Say hello"}]


def models(name: str) -> Iterator[dict[str, Any]]:
    yield {"model": f"openai/{name}", "api_base": f"{URL}/v1", "api_key": KEY, "num_retries": 0}
    yield {"model": f"anthropic/{name}", "api_base": URL, "api_key": KEY, "num_retries": 0}
    yield {"model": f"hosted_vllm/{name}", "api_base": f"{URL}/v1", "api_key": KEY, "num_retries": 0}


def called(model: dict[str, Any]) -> str:
    said: list[Any] = list(Q)
    for _ in range(3):
        answer = litellm.completion(**model, messages=said, tools=SCHEMAS).choices[0].message
        said.append(answer)
        if not answer.tool_calls:
            return str(answer.content)
        for call in answer.tool_calls:
            member, told = TOOLS[call.function.name]
            result = told + json.loads(call.function.arguments)[member]
            said.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return "no end"


for text, tools, error in json.loads(NAMES):
    for model in models(text):
        print("said:", litellm.completion(**model, messages=Q).choices[0].message.content)
        chunks = litellm.completion(**model, messages=Q, stream=True)
        print("streamed:", "".join(it.choices[0].delta.content or "" for it in chunks if it.choices))
    for model in models(tools):
        print("called:", called(model))
    for model in models(error):
        try:
            litellm.completion(**model, messages=Q)
        except Exception as refused:  # noqa: BLE001 - it has many
            print("refused:", getattr(refused, "status_code", refused))
