"""GigaChat's chat completions and embeddings: OpenAI's shape of some years ago, with functions and its own errors.

Wire: developers.sber.ru/docs/ru/gigachat/api/reference/rest (post-chat, post-embeddings, get-models).
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from support.faultup.dialects import common
from support.faultup.dialects.common import Asked, Block, Heard, Refused, Said, json_answer, require, sse, words
from switchgear.testing.upstream.reply import CREATED, Piece, Reply
from switchgear.testing.upstream.script import Script


class FunctionCall(Struct, forbid_unknown_fields=True):
    name: str
    arguments: dict[str, Any]  # an object, not JSON text


class Message(Struct, forbid_unknown_fields=True):
    role: Literal["system", "user", "assistant", "function"]
    content: str | UnsetType = UNSET
    function_call: FunctionCall | UnsetType = UNSET
    name: str | UnsetType = UNSET
    attachments: list[str] | UnsetType = UNSET
    functions_state_id: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET


class Function(Struct, forbid_unknown_fields=True):
    name: str
    parameters: dict[str, Any]
    description: str | UnsetType = UNSET
    few_shot_examples: list[Any] | UnsetType = UNSET
    return_parameters: dict[str, Any] | UnsetType = UNSET


class OneFunction(Struct, forbid_unknown_fields=True):
    name: str
    partial_arguments: dict[str, Any] | UnsetType = UNSET


class Format(Struct, forbid_unknown_fields=True):
    type: Literal["json_schema", "json_object", "text"]
    schema: dict[str, Any] | UnsetType = UNSET
    strict: bool | UnsetType = UNSET


class Create(Struct, forbid_unknown_fields=True):
    """The body of a chat completion."""

    model: str
    messages: Annotated[list[Message], Meta(min_length=1)]
    function_call: Literal["auto", "none"] | OneFunction | UnsetType = UNSET
    functions: list[Function] | UnsetType = UNSET
    temperature: Annotated[float, Meta(ge=0, le=2)] | UnsetType = UNSET
    top_p: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    stream: bool | UnsetType = UNSET
    max_tokens: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    repetition_penalty: Annotated[float, Meta(gt=0)] | UnsetType = UNSET
    update_interval: float | UnsetType = UNSET
    profanity_check: bool | UnsetType = UNSET
    response_format: Format | UnsetType = UNSET
    reasoning_effort: Literal["low", "medium", "high"] | UnsetType = UNSET
    function_ranker: dict[str, Any] | UnsetType = UNSET
    flags: list[str] | UnsetType = UNSET


class Embed(Struct, forbid_unknown_fields=True):
    """The body of embeddings."""

    model: str
    input: str | list[str]


STOPS = {"stop": "stop", "length": "length", "tool_calls": "function_call", "content_filter": "blacklist"}
ERRORS = {
    "invalid_request": (422, "Invalid params: bad request"),
    "context_length": (413, "Payload too large"),
    "content_filter": (400, "Request was blocked"),
    "not_found": (404, "No such model"),
    "auth": (401, "Token has expired"),
    "permission": (403, "Permission denied"),
    "quota": (402, "Payment Required"),
    "rate_limit": (429, "Too Many Requests"),
    "overloaded": (503, "Service Unavailable"),
    "server": (500, "Internal Server Error"),
}


class GigaChat:
    """`POST /api/v1/chat/completions`. A token must come from `/api/v2/oauth`."""

    def hear(self, heard: Heard) -> Asked:
        token = common.bearer(heard)
        require(token in heard.desk.issued and heard.desk.knows(token), "Token has expired", None, "auth")
        if heard.path.endswith("/embeddings"):
            embed = common.read(heard.body, Embed)
            return Asked(
                model=embed.model, prompt=words(*([embed.input] if isinstance(embed.input, str) else embed.input))
            )
        body = common.read(heard.body, Create)
        asked = Asked(
            model=body.model, stream=body.stream is True, prompt=len(body.messages), cap=body.max_tokens or None
        )
        asked.thinks = body.reasoning_effort is not UNSET
        _order(body.messages)
        for message in body.messages:
            asked.prompt += words(message.content or "")
            asked.images.extend((name, 0) for name in message.attachments or ())
            asked.results = [*asked.results, message.content or ""] if message.role == "function" else []
        if body.function_call != "none":
            asked.tools = {function.name: function.parameters for function in body.functions or ()}
        if isinstance(body.function_call, OneFunction):
            asked.forced = body.function_call.name
            require(asked.forced in asked.tools, f"function_call: no function named {asked.forced}")
        if body.response_format and body.response_format.type == "json_schema":
            require(body.response_format.schema is not UNSET, "response_format.schema is required")
            asked.schema = body.response_format.schema
        return asked

    def speak(self, said: Said, heard: Heard) -> Reply:
        if heard.path.endswith("/embeddings"):
            return _vectors(said, heard)
        _only_one(said)
        headers = {"x-request-id": heard.id, "x-session-id": heard.id}
        if said.asked.stream:
            return said.stream(
                _events(said), sse({"status": 500, "message": ERRORS["server"][1]}), {**common.SSE, **headers}
            )
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        for block in said.blocks:
            message |= _members(block, block.text)
        choice = {"message": message, "index": 0, "finish_reason": _stop(said)}
        return said.whole(
            {**_head(said), "object": "chat.completion", "choices": [choice], "usage": _usage(said)}, headers
        )

    def refuse(self, refused: Refused, heard: Heard, script: Script) -> Reply:
        status, text = ERRORS[refused.cause]
        message = f"Invalid params: {refused.message}" if refused.message and status == 422 else refused.message or text
        return json_answer({"status": status, "message": message}, status, {"x-request-id": heard.id})


def _order(messages: list[Message]) -> None:
    for place, message in enumerate(messages):
        require(message.role != "system" or place == 0, "system message must be the first message")
        if message.role == "function":
            require(message.name, "function message must have name")
            called = messages[place - 1].function_call if place else UNSET
            require(called and called.name == message.name, "function message must follow its function_call")
            try:
                json.loads(message.content or "")
            except ValueError:
                raise Refused("invalid_request", "function result must be valid JSON") from None
        elif message.function_call:
            require(message.role == "assistant", "function_call is the assistant's")
            answered = place + 1 < len(messages) and messages[place + 1].role == "function"
            require(answered, "function_call must be answered by a function message")
        else:
            require(message.content is not UNSET, "content is required")


def _only_one(said: Said) -> None:
    """This model calls one function at a time."""
    calls = [block for block in said.blocks if block.kind == "tool"]
    said.blocks = [block for block in said.blocks if block not in calls[1:]]
    said.tokens -= sum(tokens for block in calls[1:] for _, tokens in block.pieces)


def _stop(said: Said) -> str:
    return "blacklist" if any(block.kind == "refusal" for block in said.blocks) else STOPS[said.finish]


def _head(said: Said) -> dict[str, Any]:
    return {"created": CREATED, "model": said.script.model or f"{said.asked.model}:2.0.28.2"}


def _usage(said: Said) -> dict[str, int]:
    cached = said.script.cached_tokens
    return {
        "prompt_tokens": said.prompt - cached,  # those served from the cache are counted beside it
        "completion_tokens": said.tokens,
        "total_tokens": said.prompt - cached + said.tokens,
        "precached_prompt_tokens": cached,
    }


def _members(block: Block, text: str) -> dict[str, Any]:
    match block.kind:
        case "tool":
            call = {"name": block.name, "arguments": json.loads(block.text)}
            return {"content": "", "function_call": call, "functions_state_id": str(UUID(hex=f"{block.id:0>32}"))}
        case "thinking":
            return {"reasoning_content": text}
        case "redacted":
            return {}
        case _:
            return {"content": text}


def _events(said: Said) -> Iterator[Piece]:
    head = {**_head(said), "object": "chat.completion"}
    first = True
    for block in said.blocks:
        whole = block.kind == "tool"
        pieces = [("", sum(tokens for _, tokens in block.pieces))] if whole else block.pieces
        for text, tokens in pieces:
            delta = {**({"role": "assistant"} if first else {}), **_members(block, text)}
            first = False
            yield sse({**head, "choices": [{"delta": delta, "index": 0}]}, None, tokens, content=True)
    last = {"delta": {"content": ""}, "index": 0, "finish_reason": _stop(said)}
    yield sse({**head, "choices": [last], "usage": _usage(said)})
    yield Piece(b"data: [DONE]\n\n")


def _vectors(said: Said, heard: Heard) -> Reply:
    embed = common.read(heard.body, Embed)
    texts = [embed.input] if isinstance(embed.input, str) else embed.input
    data = [
        {"object": "embedding", "embedding": vector, "index": index, "usage": {"prompt_tokens": words(texts[index])}}
        for index, vector in enumerate(common.numbers(list(texts), heard.seed, 8))
    ]
    reply = json_answer({"object": "list", "data": data, "model": embed.model})
    reply.prompt_tokens = said.prompt
    return reply


class Count(Struct, forbid_unknown_fields=True):
    """The body of tokens/count."""

    model: str
    input: list[str]


def count(heard: Heard) -> Reply:
    """Answer `POST /api/v1/tokens/count`."""
    if not heard.desk.knows(common.bearer(heard)):
        return GigaChat().refuse(Refused("auth", ""), heard, Script())
    try:
        texts = common.read(heard.body, Count).input
    except Refused as refused:
        return GigaChat().refuse(refused, heard, Script())
    return json_answer([{"object": "tokens", "tokens": words(text), "characters": len(text)} for text in texts])


def models(heard: Heard) -> Reply:
    """Answer `GET /api/v1/models`."""
    if common.bearer(heard) not in heard.desk.issued or not heard.desk.knows(common.bearer(heard)):
        return GigaChat().refuse(Refused("auth", ""), heard, Script())
    cards = [{"id": name, "object": "model", "owned_by": "salutedevices"} for name in ("GigaChat-2", "GigaChat-2-Max")]
    return json_answer({"object": "list", "data": cards})
