"""Anthropic's Messages API, count_tokens and models, and Claude on Vertex AI, which is the same with the model in the URL.

Wire: docs.anthropic.com/en/api/messages, /messages-streaming, /messages-count-tokens, /models-list, /errors, and
/build-with-claude/extended-thinking for the rules of thinking blocks;
docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude for rawPredict.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from msgspec import UNSET

from support.faultup.dialects import common
from support.faultup.dialects.common import Asked, Block, Heard, Refused, Said, json_answer, require, sse, words
from support.faultup.dialects.messages_body import (
    Adaptive,
    AnyPart,
    AnyTool,
    Base64,
    Counted,
    Create,
    Document,
    Enabled,
    Image,
    Message,
    NoTool,
    OneTool,
    Redacted,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Url,
    VertexCounted,
    VertexCreate,
)
from switchgear.testing.upstream.reply import Piece, Reply
from switchgear.testing.upstream.script import Script

STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
ERRORS = {
    "invalid_request": (400, "invalid_request_error", "Bad request."),
    "context_length": (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
    "content_filter": (400, "invalid_request_error", "Output blocked by content filtering policy"),
    "not_found": (404, "not_found_error", "model: no-such-model"),
    "auth": (401, "authentication_error", "invalid x-api-key"),
    "permission": (403, "permission_error", "Your API key does not have permission to use this model."),
    "quota": (402, "billing_error", "Your credit balance is too low to access the Anthropic API."),
    "rate_limit": (429, "rate_limit_error", "This request would exceed your account's rate limit."),
    "overloaded": (529, "overloaded_error", "Overloaded"),
    "server": (500, "api_error", "Internal server error"),
}


class Messages:
    """`POST /v1/messages`; with `vertex`, `…/publishers/anthropic/models/{model}:rawPredict` and `:streamRawPredict`."""

    def __init__(self, *, vertex: bool = False, count: bool = False) -> None:
        self.vertex, self.count = vertex, count

    def hear(self, heard: Heard) -> Asked:
        if self.vertex:
            require(
                heard.desk.knows(common.bearer(heard)), "Request had invalid authentication credentials.", None, "auth"
            )
        else:
            require(
                heard.headers.get("x-api-key") or common.bearer(heard), "x-api-key header is required", None, "auth"
            )
            require(common.refused_key(heard) is None, "invalid x-api-key", None, "auth")
            require("anthropic-version" in heard.headers, "anthropic-version: header is required")
        kinds: dict[tuple[bool, bool], type[Counted]] = {
            (False, False): Create,
            (False, True): Counted,
            (True, False): VertexCreate,
            (True, True): VertexCounted,
        }
        body = common.read(heard.body, kinds[self.vertex, self.count])
        if self.vertex and not self.count:
            require(body.model is UNSET, "model: Extra inputs are not permitted")
            body.model = heard.names[0]
        _order(body.messages)
        _system_turns(body.messages, str(body.model))
        asked = _asked(body)
        if isinstance(body, Create):
            _thinking(body)
            asked.cap = body.max_tokens
            asked.stream = body.stream is True
            if self.vertex:
                wanted = heard.path.endswith(":streamRawPredict")
                require(asked.stream == wanted, "stream: does not match the method")
        return asked

    def speak(self, said: Said, heard: Heard) -> Reply:
        if self.count:
            return json_answer({"input_tokens": said.prompt})
        if said.asked.stream:
            failure = sse(_error("overloaded", None, heard.id), "error")
            return said.stream(_events(said, heard), failure)
        content = [_block(block) for block in said.blocks]
        return said.whole({**_message(said, heard), "content": content, **_stop(said), "usage": _usage(said)})

    def refuse(self, refused: Refused, heard: Heard, script: Script) -> Reply:
        status = ERRORS[refused.cause][0]
        return json_answer(_error(refused.cause, refused.message, heard.id), status, {"request-id": heard.id})


def _order(messages: list[Message]) -> None:
    """Check what the API says of the order of messages and of tool results."""
    spoken = [message for message in messages if message.role != "system"]
    require(spoken and spoken[0].role == "user", "messages: first message must use the user role")
    merged: list[tuple[str, list[AnyPart]]] = []
    for place, message in enumerate(spoken):
        last = place == len(spoken) - 1
        require(message.parts or (last and message.role == "assistant"), f"messages.{place}: content must be non-empty")
        for part in message.parts:
            if isinstance(part, Text):
                require(part.text.strip(), f"messages.{place}: text content blocks must contain non-whitespace text")
            if isinstance(part, Image | Document) and isinstance(part.source, Base64):
                common.unpacked(part.source.data)
            if isinstance(part, ToolUse | Thinking | Redacted):
                require(message.role == "assistant", f"messages.{place}: `{type(part).__name__}` is the assistant's")
            if isinstance(part, ToolResult):
                require(
                    message.role == "user", f"messages.{place}: `tool_result` blocks can only be in `user` messages"
                )
        if merged and merged[-1][0] == message.role:
            merged[-1][1].extend(message.parts)
        else:
            merged.append((message.role, list(message.parts)))
    for place, (_, parts) in enumerate(merged):
        calls = {part.id for part in parts if isinstance(part, ToolUse)}
        following = merged[place + 1][1] if place + 1 < len(merged) else []
        answered = [part.tool_use_id for part in following if isinstance(part, ToolResult)]
        if calls and following:
            text = "`tool_use` ids were found without `tool_result` blocks immediately after"
            require(calls == set(answered), f"messages.{place}: {text}: {sorted(calls)}")
        require(len(answered) == len(set(answered)), f"messages.{place + 1}: each tool_use must have a single result")
        require(set(answered) <= calls, f"messages.{place + 1}: unexpected `tool_use_id` found in `tool_result` blocks")
        kinds = [isinstance(part, ToolResult) for part in parts]
        require(kinds == sorted(kinds, reverse=True), f"messages.{place}: `tool_result` blocks must come first")
    first_results = [part for part in merged[0][1] if isinstance(part, ToolResult)]
    require(not first_results, "messages.0: unexpected `tool_use_id` found in `tool_result` blocks")


def _system_turns(messages: list[Message], model: str) -> None:
    """Check where turns of the system may be."""
    old = re.search(r"sonnet|haiku|opus-4-[0-7]|claude-3", model)
    roles = [message.role for message in messages]
    for place in (place for place, role in enumerate(roles) if role == "system"):
        require(place > 0, "messages.0: use the top-level 'system' parameter for the initial system prompt")
        require(old is None, "role 'system' is not supported on this model")
        behind = roles[place + 1 : place + 2]
        require(
            roles[place - 1] == "user" and behind in ([], ["assistant"]), f"messages.{place}: not after a user turn"
        )


def _thinking(body: Create) -> None:
    """Check the rules of extended thinking."""
    for message in body.messages:
        for part in message.parts:
            if isinstance(part, Thinking):
                good = part.signature in {common.signature(part.thinking), common.signature("")}
                require(good, "messages: Invalid `signature` in `thinking` block")
            if isinstance(part, Redacted):
                require(common.is_sealed(part.data), "messages: Invalid `data` in `redacted_thinking` block")
    if not isinstance(body.thinking, Enabled | Adaptive):
        clears = "clear_thinking" in str(getattr(body, "context_management", ""))
        require(not clears, "`clear_thinking_20251015` strategy requires `thinking` to be enabled or adaptive")
        return
    if isinstance(body.thinking, Enabled):
        require(
            body.thinking.budget_tokens < body.max_tokens, "`max_tokens` must be greater than `thinking.budget_tokens`"
        )
        calling = [m for m in body.messages if m.role == "assistant" and any(isinstance(p, ToolUse) for p in m.parts)]
        last = [message for message in body.messages if message.role != "system"][-1]
        if calling and isinstance(last.parts[0], ToolResult):
            found = isinstance(calling[-1].parts[0], Thinking | Redacted)
            require(found, "Expected `thinking` or `redacted_thinking`, but found `tool_use`")
    require(body.temperature in {UNSET, 1}, "`temperature` may only be set to 1 when thinking is enabled")
    require(body.top_k is UNSET, "`top_k` must be unset when thinking is enabled")
    forced = isinstance(body.tool_choice, AnyTool | OneTool)
    require(not forced, "Thinking may not be enabled when tool_choice forces tool use.")


def _asked(body: Counted) -> Asked:
    asked = Asked(model=body.model, prompt=0, thinks=isinstance(body.thinking, Enabled | Adaptive))
    asked.hidden = asked.thinks
    asked.shows = not (isinstance(body.thinking, Enabled | Adaptive) and body.thinking.display == "omitted")
    system = body.system if isinstance(body.system, list) else [Text(text=body.system)] if body.system else []
    asked.prompt += words(*(part.text for part in system)) + len(body.messages)
    for place, message in enumerate(body.messages):
        for part in message.parts:
            match part:
                case Text():
                    asked.prompt += words(part.text)
                case Image():
                    asked.images.append(_sight(part))
                case ToolResult():
                    said = [Text(text=part.content)] if isinstance(part.content, str) else part.content or []
                    texts = [piece.text for piece in said if isinstance(piece, Text)]
                    asked.images.extend(_sight(piece) for piece in said if isinstance(piece, Image))
                    asked.prompt += words(*texts)
                    if place == len(body.messages) - 1:
                        asked.results.append(" ".join(texts))
                case _:
                    asked.prompt += 1
    if not isinstance(body.tool_choice, NoTool):
        asked.tools = {it.name: it.input_schema for it in body.tools or [] if it.type in (None, "custom")}
    if isinstance(body.tool_choice, OneTool):
        require(body.tool_choice.name in asked.tools, f"Tool '{body.tool_choice.name}' not found in provided tools")
        asked.forced = body.tool_choice.name
    require(body.tool_choice is UNSET or body.tools, "tool_choice may only be specified while providing tools.")
    if body.output_config and body.output_config.format:
        asked.schema = body.output_config.format.schema
    return asked


def _sight(part: Image) -> tuple[str, int]:
    if isinstance(part.source, Url):
        return part.source.url, 0
    return part.source.media_type, len(common.unpacked(part.source.data))


def _message(said: Said, heard: Heard) -> dict[str, Any]:
    return {
        "id": f"msg_{heard.id}",
        "type": "message",
        "role": "assistant",
        "model": said.script.model or said.asked.model,
    }


def _usage(said: Said, output: int | None = None) -> dict[str, Any]:
    cached, written = said.script.cached_tokens, said.script.cache_write_tokens
    usage: dict[str, Any] = {
        "input_tokens": said.prompt - cached - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": said.tokens if output is None else output,
    }
    if output is None and said.reasoning:
        usage["output_tokens_details"] = {"thinking_tokens": said.reasoning}
    return usage


def _stop(said: Said) -> dict[str, Any]:
    refused = any(block.kind == "refusal" for block in said.blocks)
    reason = "refusal" if refused else STOPS[said.finish]
    words = "This request was declined."
    details = {"type": "refusal", "category": None, "explanation": words} if reason == "refusal" else None
    return {"stop_reason": reason, "stop_sequence": None, "stop_details": details}


def _block(block: Block) -> dict[str, Any]:
    match block.kind:
        case "thinking":
            return {"type": "thinking", "thinking": block.text, "signature": common.signature(block.text)}
        case "redacted":
            return {"type": "redacted_thinking", "data": block.text}
        case "tool":
            return {"type": "tool_use", "id": f"toolu_{block.id}", "name": block.name, "input": json.loads(block.text)}
        case _:
            return {"type": "text", "text": block.text}


def _events(said: Said, heard: Heard) -> Iterator[Piece]:
    opening = {**_message(said, heard), "content": [], "stop_reason": None, "stop_sequence": None}
    yield _event("message_start", message={**opening, "usage": _usage(said, output=1)})
    yield _event("ping")
    for index, block in enumerate(said.blocks):
        start = _block(block)
        member = {"thinking": "thinking", "tool": "partial_json"}.get(block.kind, "text")
        kind = {"thinking": "thinking_delta", "tool": "input_json_delta"}.get(block.kind, "text_delta")
        match block.kind:
            case "thinking":
                start |= {"thinking": "", "signature": ""}
            case "tool":
                start["input"] = {}
            case "redacted":
                pass
            case _:
                start["text"] = ""
        yield _event("content_block_start", index=index, content_block=start)
        for text, tokens in block.pieces if block.kind != "redacted" else ():
            if text or tokens:
                delta = {"type": kind, member: text}
                yield _event("content_block_delta", tokens, content=True, index=index, delta=delta)
        if block.kind == "thinking":
            delta = {"type": "signature_delta", "signature": common.signature(block.text)}
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    yield _event("message_delta", delta=_stop(said), usage=_usage(said))
    yield _event("message_stop")


def _event(kind: str, tokens: int = 0, *, content: bool = False, **members: Any) -> Piece:
    return sse({"type": kind, **members}, kind, tokens, content=content)


def _error(cause: str, message: str | None, request_id: str) -> dict[str, Any]:
    _, kind, standard = ERRORS[cause]
    return {"type": "error", "error": {"type": kind, "message": message or standard}, "request_id": request_id}


def models(heard: Heard) -> Reply:
    """Answer `GET /v1/models` (platform.claude.com/docs/en/api/models-list): pages begin after an id."""
    if common.refused_key(heard):
        return Messages().refuse(Refused("auth", f"invalid x-api-key: {common.refused_key(heard)}"), heard, Script())
    names = ["claude-sonnet-4-5", "claude-opus-4-5", "claude-haiku-4-5"]
    cards = [
        {"type": "model", "id": name, "display_name": name.title(), "created_at": "2025-09-29T00:00:00Z"}
        for name in names
    ]
    if heard.query.get("after_id") in names:
        cards = cards[names.index(heard.query["after_id"]) + 1 :]
    cards, more = common.page(cards, heard, None)
    ends = {"first_id": cards[0]["id"] if cards else None, "last_id": cards[-1]["id"] if cards else None}
    return json_answer({"data": cards, "has_more": bool(more), **ends})
