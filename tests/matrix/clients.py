"""The clients: what each inbound dialect writes for a wish, and what it reads of an answer. No product code is used."""

import json
from typing import Any, Protocol

from msgspec import Struct

from matrix.scenarios import OPTIONS, PIXEL, SCHEMA, TOOLS, Wish
from support.faultup import ToolCall

SYSTEM = "Be brief."
USER = "What is it?"
URL = "https://example.com/a.png"
DATA = f"data:image/png;base64,{PIXEL}"
RESULTS = ("mild", "noon")
Body = dict[str, Any]


class Seen(Struct):
    """What a client saw, whatever the dialect."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    refusal: str = ""
    finish: str = ""
    usage: tuple[int, int, int, int] = (0, 0, 0, 0)  # input, of it cached, of it written, output
    answers: int = 1
    broken: bool = False  # the stream ended with an error, or without its end


class Client(Protocol):
    """One dialect."""

    path: str

    def ask(self, model: str, wish: Wish, *, stream: bool) -> Body | None:
        """Write the request; None if the dialect has no words for the wish."""
        ...

    def whole(self, stream: str) -> tuple[Body, bool]:
        """Add a stream up to the whole answer it stands for, and say whether it broke off."""
        ...

    def read(self, answer: Body) -> Seen:
        """Read a whole answer."""
        ...

    def go_on(self, asked: Body, answer: Body) -> Body:
        """Write the request that brings the results of the tools that were called."""
        ...

    def options(self, wish: Wish) -> dict[str, Any]:
        """Say which odd values the request has, by the member's name."""
        ...


def events(stream: str) -> list[Any]:
    """Return the data of every event."""
    data = [line[6:] for line in stream.splitlines() if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in data]


class Chat:
    """OpenAI's chat completions."""

    path = "/v1/chat/completions"

    def ask(self, model: str, wish: Wish, *, stream: bool) -> Body | None:
        content: Any = USER
        if wish.image != "none":
            url = DATA if wish.image == "data" else URL
            content = [{"type": "text", "text": USER}, {"type": "image_url", "image_url": {"url": url}}]
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": content}]
        body: Body = {"model": model, "messages": messages, **self.options(wish)}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if wish.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {"name": name, "description": f"Tells the {name}.", "parameters": schema},
                }
                for name, schema in TOOLS.items()
            ]
        if wish.choice:
            named = {"type": "function", "function": {"name": "weather"}}
            body["tool_choice"] = named if wish.choice == "named" else wish.choice
        if wish.schema:
            held = {"name": "answer", "schema": SCHEMA, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": held}
        if wish.effort:
            body["reasoning_effort"] = wish.effort
        if wish.limit:
            body["max_completion_tokens"] = wish.limit
        if wish.several:
            body["n"] = 2
        return body

    def options(self, wish: Wish) -> dict[str, Any]:
        return {("max_tokens" if name == "limit" else name): v for name, v in OPTIONS.items()} if wish.options else {}

    def whole(self, stream: str) -> tuple[Body, bool]:
        told = events(stream)
        choices: dict[int, Body] = {}
        answer: Body = {}
        for event in told:
            if event == "[DONE]" or "error" in event:
                continue
            if event.get("usage"):
                answer["usage"] = event["usage"]
            for piece in event["choices"]:
                choice = choices.setdefault(piece["index"], {"message": {"role": "assistant"}, "finish_reason": None})
                _add(choice["message"], piece["delta"])
                choice["finish_reason"] = piece["finish_reason"] or choice["finish_reason"]
        answer["choices"] = list(choices.values())
        return answer, not told or told[-1] != "[DONE]"

    def read(self, answer: Body) -> Seen:
        choice = answer["choices"][0]
        message = choice["message"]
        calls = [call["function"] for call in message.get("tool_calls") or ()]
        usage = answer.get("usage") or {}
        return Seen(
            text=message.get("content") or "",
            calls=tuple(ToolCall(call["name"], _compact(call["arguments"])) for call in calls),
            reasoning=message.get("reasoning_content") or "",
            refusal=message.get("refusal") or "",
            finish=choice["finish_reason"] or "",
            usage=_openai_usage(usage, "prompt_tokens", "completion_tokens"),
            answers=len(answer["choices"]),
        )

    def go_on(self, asked: Body, answer: Body) -> Body:
        message = {name: value for name, value in answer["choices"][0]["message"].items() if value is not None}
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": result}
            for call, result in zip(message.get("tool_calls", ()), RESULTS, strict=False)
        ]
        return {**asked, "messages": [*asked["messages"], message, *results]}


def _add(message: Body, delta: Body) -> None:
    for name in ("content", "refusal", "reasoning_content"):
        if delta.get(name):
            message[name] = message.get(name, "") + delta[name]
    message.setdefault("reasoning_details", []).extend(delta.get("reasoning_details") or ())
    if not message["reasoning_details"]:
        del message["reasoning_details"]
    for piece in delta.get("tool_calls") or ():
        calls = message.setdefault("tool_calls", [])
        if piece["index"] == len(calls):
            calls.append({"id": piece["id"], "type": "function", "function": {"name": "", "arguments": ""}})
        function = calls[piece["index"]]["function"]
        function["name"] += piece["function"].get("name") or ""
        function["arguments"] += piece["function"].get("arguments") or ""


def _openai_usage(usage: Body, given: str, made: str) -> tuple[int, int, int, int]:
    details = usage.get(f"{given}_details") or {}
    cached, written = details.get("cached_tokens", 0), details.get("cache_write_tokens", 0)
    return usage.get(given, 0), cached, written, usage.get(made, 0)


def _compact(arguments: str) -> str:
    return json.dumps(json.loads(arguments), separators=(",", ":")) if arguments else arguments


class Completions:
    """OpenAI's legacy text completions."""

    path = "/v1/completions"

    def ask(self, model: str, wish: Wish, *, stream: bool) -> Body | None:
        if wish.image != "none" or wish.tools or wish.schema or wish.effort:
            return None
        body: Body = {"model": model, "prompt": f"{SYSTEM} {USER}", **self.options(wish)}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if wish.limit:
            body["max_tokens"] = wish.limit
        if wish.several:
            body["n"] = 2
        return body

    def options(self, wish: Wish) -> dict[str, Any]:
        names = {name: ("max_tokens" if name == "limit" else name) for name in OPTIONS if name != "metadata"}
        return {new: OPTIONS[name] for name, new in names.items()} if wish.options else {}

    def whole(self, stream: str) -> tuple[Body, bool]:
        told = events(stream)
        choices: dict[int, Body] = {}
        answer: Body = {}
        for event in told:
            if event == "[DONE]" or "error" in event:
                continue
            answer["usage"] = event.get("usage") or answer.get("usage")
            for piece in event["choices"]:
                choice = choices.setdefault(piece["index"], {"text": "", "finish_reason": None})
                choice["text"] += piece["text"]
                choice["finish_reason"] = piece["finish_reason"] or choice["finish_reason"]
        answer["choices"] = list(choices.values())
        return answer, not told or told[-1] != "[DONE]"

    def read(self, answer: Body) -> Seen:
        choice = answer["choices"][0]
        usage = _openai_usage(answer.get("usage") or {}, "prompt_tokens", "completion_tokens")
        return Seen(
            text=choice["text"], finish=choice["finish_reason"] or "", usage=usage, answers=len(answer["choices"])
        )

    def go_on(self, asked: Body, answer: Body) -> Body:
        raise AssertionError("completions have no tools")


class Responses:
    """OpenAI's Responses API."""

    path = "/v1/responses"

    def ask(self, model: str, wish: Wish, *, stream: bool) -> Body | None:
        if wish.several:
            return None
        content: list[Body] = [{"type": "input_text", "text": USER}]
        if wish.image != "none":
            url = DATA if wish.image == "data" else URL
            content.append({"type": "input_image", "image_url": url, "detail": "auto"})
        item = {"type": "message", "role": "user", "content": content}
        body: Body = {"model": model, "instructions": SYSTEM, "input": [item], **self.options(wish)}
        if stream:
            body["stream"] = True
        if wish.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "name": name,
                    "description": f"Tells the {name}.",
                    "parameters": schema,
                    "strict": False,
                }
                for name, schema in TOOLS.items()
            ]
        if wish.choice:
            body["tool_choice"] = {"type": "function", "name": "weather"} if wish.choice == "named" else wish.choice
        if wish.schema:
            body["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}}
        if wish.effort:
            body["reasoning"] = {"effort": wish.effort, "summary": "auto"}
            body["include"] = ["reasoning.encrypted_content"]
        if wish.limit:
            body["max_output_tokens"] = wish.limit
        return body

    def options(self, wish: Wish) -> dict[str, Any]:
        names = {"temperature": "temperature", "top_p": "top_p", "limit": "max_output_tokens", "user": "user"}
        names["metadata"] = "metadata"
        return {new: OPTIONS[name] for name, new in names.items()} if wish.options else {}

    def whole(self, stream: str) -> tuple[Body, bool]:
        told = events(stream)
        last = told[-1] if told else {}
        if last.get("type") in {"response.completed", "response.incomplete"}:
            return last["response"], False
        text = "".join(event["delta"] for event in told if event.get("type") == "response.output_text.delta")
        part = {"type": "output_text", "text": text}
        return {"status": "failed", "output": [{"type": "message", "content": [part]}]}, True

    def read(self, answer: Body) -> Seen:
        seen = Seen(usage=_openai_usage(answer.get("usage") or {}, "input_tokens", "output_tokens"))
        for item in answer["output"]:
            if item["type"] == "function_call":
                seen.calls = (*seen.calls, ToolCall(item["name"], _compact(item["arguments"])))
            for part in item.get("summary", ()):
                seen.reasoning += part["text"]
            for part in (item.get("content") or ()) if item["type"] == "message" else ():
                seen.text += part.get("text", "")
                seen.refusal += part.get("refusal", "")
        reason = (answer.get("incomplete_details") or {}).get("reason")
        done = "tool_calls" if seen.calls else "stop"
        seen.finish = {"max_output_tokens": "length"}.get(reason, reason) or (
            done if answer["status"] == "completed" else ""
        )
        return seen

    def go_on(self, asked: Body, answer: Body) -> Body:
        calls = [item for item in answer["output"] if item["type"] == "function_call"]
        results = [
            {"type": "function_call_output", "call_id": call["call_id"], "output": result}
            for call, result in zip(calls, RESULTS, strict=False)
        ]
        return {**asked, "input": [*asked["input"], *answer["output"], *results]}


class Messages:
    """Anthropic's Messages."""

    path = "/v1/messages"

    def ask(self, model: str, wish: Wish, *, stream: bool) -> Body | None:
        if wish.several:
            return None
        content: list[Body] = [{"type": "text", "text": USER}]
        if wish.image == "data":
            content.append({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}})
        if wish.image == "url":
            content.append({"type": "image", "source": {"type": "url", "url": URL}})
        body: Body = {"model": model, "max_tokens": wish.limit or 4000, "system": SYSTEM}
        body |= {"messages": [{"role": "user", "content": content}], **self.options(wish)}
        if stream:
            body["stream"] = True
        if wish.tools:
            body["tools"] = [
                {"name": name, "description": f"Tells the {name}.", "input_schema": schema}
                for name, schema in TOOLS.items()
            ]
        if wish.choice:
            names = {
                "required": {"type": "any"},
                "named": {"type": "tool", "name": "weather"},
                "none": {"type": "none"},
            }
            body["tool_choice"] = names[wish.choice]
        if wish.schema:
            body["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        if wish.effort:
            body["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        return body

    def options(self, wish: Wish) -> dict[str, Any]:
        told = {"temperature": 0.37, "max_tokens": 77, "stop_sequences": ["HALT"], "top_k": 47}
        return {**told, "metadata": {"user_id": "user-4711"}} if wish.options else {}

    def whole(self, stream: str) -> tuple[Body, bool]:
        told = events(stream)
        answer: Body = {"content": [], "stop_reason": None, "usage": {}}
        for event in told:
            match event["type"]:
                case "message_start":
                    answer |= {"usage": {**event["message"]["usage"]}}
                case "content_block_start":
                    answer["content"].append({**event["content_block"]})
                case "content_block_delta":
                    _add_block(answer["content"][event["index"]], event["delta"])
                case "message_delta":
                    answer |= event["delta"]
                    answer["usage"] |= {name: value for name, value in event["usage"].items() if value is not None}
        for block in answer["content"]:
            if isinstance(block.get("input"), str):
                block["input"] = json.loads(block["input"] or "{}")
        return answer, not told or told[-1]["type"] != "message_stop"

    def read(self, answer: Body) -> Seen:
        usage = answer["usage"]
        cached, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
        given = usage.get("input_tokens", 0) + cached + written
        seen = Seen(usage=(given, cached, written, usage.get("output_tokens", 0)))
        refused = answer["stop_reason"] == "refusal"
        for block in answer["content"]:
            match block["type"]:
                case "text" if refused:
                    seen.refusal += block["text"]
                case "text":
                    seen.text += block["text"]
                case "thinking":
                    seen.reasoning += block["thinking"]
                case "tool_use":
                    seen.calls = (
                        *seen.calls,
                        ToolCall(block["name"], json.dumps(block["input"], separators=(",", ":"))),
                    )
        names = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls", "refusal": "content_filter"}
        seen.finish = names.get(answer["stop_reason"], answer["stop_reason"] or "")
        return seen

    def go_on(self, asked: Body, answer: Body) -> Body:
        calls = [block for block in answer["content"] if block["type"] == "tool_use"]
        results = [
            {"type": "tool_result", "tool_use_id": call["id"], "content": result}
            for call, result in zip(calls, RESULTS, strict=False)
        ]
        turns = [{"role": "assistant", "content": answer["content"]}, {"role": "user", "content": results}]
        return {**asked, "messages": [*asked["messages"], *turns]}


def _add_block(block: Body, delta: Body) -> None:
    match delta["type"]:
        case "input_json_delta":
            block["input"] = (block["input"] or "") + delta["partial_json"]
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] = block.get("signature", "") + delta["signature"]


CLIENTS: dict[str, Client] = {
    "chat": Chat(),
    "completions": Completions(),
    "responses": Responses(),
    "messages": Messages(),
}
