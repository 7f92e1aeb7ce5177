"""The recorded exchanges of the plugin `anthropic`, and how a stream of chunks adds up to a message."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from switchgear.contracts.provider import StreamEvent

GOLDEN = Path(__file__).parents[1] / "plugins" / "anthropic" / "golden"
REQUESTS = {path.stem: json.loads(path.read_text()) for path in sorted((GOLDEN / "requests").glob("*.json"))}
ANSWERS = {path.stem: json.loads(path.read_text()) for path in sorted((GOLDEN / "answers").glob("*.json"))}
STREAMS = {path.stem: path.read_bytes() for path in sorted((GOLDEN / "streams").glob("*.sse"))}


def recorded(name: str) -> bytes:
    """Return an answer as it comes over the wire."""
    return json.dumps(ANSWERS[name]["answer"], ensure_ascii=False, separators=(",", ":")).encode()


def added_up(events: Sequence[StreamEvent]) -> tuple[dict[str, Any], str | None]:
    """Add canonical chunks up to a message and its finish reason, as a client would."""
    message: dict[str, Any] = {"role": None, "content": None, "refusal": None}
    finish = None
    for event in events:
        for choice in json.loads(event.data)["choices"] if event.data else ():
            delta = choice["delta"]
            finish = choice["finish_reason"] or finish
            message["role"] = delta.get("role") or message["role"]
            for name in ("content", "refusal", "reasoning_content"):
                if delta.get(name):
                    message[name] = (message.get(name) or "") + delta[name]
            for note in delta.get("annotations") or ():
                message.setdefault("annotations", []).append({n: it for n, it in note.items() if n != "index"})
            if delta.get("reasoning_details"):
                details = message.setdefault("reasoning_details", [])
                for detail in delta["reasoning_details"]:
                    assert len(details) == detail.pop("index")
                    details.append(detail)
            for call in delta.get("tool_calls", ()):
                calls = message.setdefault("tool_calls", [])
                if call["index"] == len(calls):
                    function = {"name": call["function"]["name"], "arguments": ""}
                    calls.append({"id": call["id"], "type": call["type"], "function": function})
                calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
    return message, finish
