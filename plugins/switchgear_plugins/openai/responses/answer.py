"""Responses and their output items, made of canonical answers.

Wire: developers.openai.com/api/reference/resources/responses. Ids are made from the provider's id, so that the same answer has
the same ids whenever it is told.
"""

import hashlib
from typing import Any

import msgspec
from msgspec import Raw

from switchgear.contracts.provider import Answer, Call
from switchgear.contracts.usage import Usage
from switchgear.errors import ApiError, InvalidRequest, RateLimited
from switchgear.wire.canonical import ReasoningDetail
from switchgear.wire.chunks import SaidChoice, read_completion
from switchgear_plugins.openai.frames import NULL
from switchgear_plugins.openai.logprobs import TokenLogprob, read_logprobs
from switchgear_plugins.openai.responses.reasoning import join, pack, words
from switchgear_plugins.openai.responses.request import wants_summary

_encode = msgspec.json.Encoder().encode
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ECHOED: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "prompt_cache_options": None,
    "prompt_cache_retention": None,
    "safety_identifier": None,
    "service_tier": None,
    "temperature": None,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": None,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""What a response says again of its request, and what it says where the client said nothing."""


def stem(id: str) -> str:
    """Make what the ids of one response have in common: short, of plain letters, whatever the provider's id looks like."""
    return hashlib.blake2b(id.encode("utf-8", "replace"), digest_size=16).hexdigest()


def response(call: Call, *, id: str, created: int, model: str) -> dict[str, Any]:
    """Make a response in progress; `id` is the provider's, `created` is seconds."""
    members = call.members
    echoed = {name: default if members.get(name, NULL) == NULL else members[name] for name, default in _ECHOED.items()}
    text = call.member("text", dict[str, Raw]) or {}
    reasoning = call.member("reasoning", dict[str, Raw]) or {}
    return {
        "id": f"resp_{stem(id)}",
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "model": model or call.model,
        "output": [],
        "usage": None,
        "store": False,
        "text": {"format": {"type": "text"}, **text},
        "reasoning": {"effort": None, "summary": None, **reasoning},
        **echoed,
    }


def finished(
    begun: dict[str, Any], output: list[dict[str, Any]], finish_reason: str | None, usage: Usage | None
) -> dict[str, Any]:
    """End a response: `completed`, or `incomplete` and why."""
    reason = _INCOMPLETE.get(finish_reason or "")
    return {
        **begun,
        "status": "completed" if reason is None else "incomplete",
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": output,
        "usage": None if usage is None else _usage(usage),
    }


def failed(begun: dict[str, Any], output: list[dict[str, Any]], error: ApiError) -> dict[str, Any]:
    """End a response that failed. Its error codes are a closed list, of which these are the nearest."""
    code = "server_error"
    if isinstance(error, RateLimited):
        code = "rate_limit_exceeded"
    elif isinstance(error, InvalidRequest):
        code = "invalid_prompt"
    return {**begun, "status": "failed", "output": output, "error": {"code": code, "message": error.message}}


def item_status(finish_reason: str | None, *, last: bool) -> str:
    """Say whether an item is whole: what an incomplete response ends in is not."""
    return "incomplete" if last and finish_reason in _INCOMPLETE else "completed"


def text_part(text: str, logprobs: list[TokenLogprob]) -> dict[str, Any]:
    """Make a part that says something."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": with_bytes(logprobs)}


def refusal_part(text: str) -> dict[str, Any]:
    """Make a part that refuses."""
    return {"type": "refusal", "refusal": text}


def message_item(id: str, content: list[dict[str, Any]], status: str) -> dict[str, Any]:
    """Make a message."""
    return {"id": id, "type": "message", "role": "assistant", "status": status, "content": content}


def call_item(id: str, call_id: str, name: str, arguments: str, status: str) -> dict[str, Any]:
    """Make a function call."""
    return {
        "id": id,
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def reasoning_item(id: str, text: str, details: list[ReasoningDetail], *, summarised: bool) -> dict[str, Any]:
    """Make a reasoning item: its text as a summary if one was asked for, and what must come back packed."""
    item: dict[str, Any] = {"id": id, "type": "reasoning", "summary": []}
    if text and summarised:
        item["summary"] = [{"type": "summary_text", "text": text}]
    elif text:
        item["content"] = [{"type": "reasoning_text", "text": text}]
    packed = pack(join(details))
    if packed is not None:
        item["encrypted_content"] = packed
    return item


def with_bytes(logprobs: list[TokenLogprob]) -> list[TokenLogprob]:
    """Fill in the bytes of tokens, which this wire always has and a chat may leave null."""
    for token in logprobs:
        for one in (token, *(token.top_logprobs or ())):
            if one.bytes is None:
                one.bytes = list(one.token.encode("utf-8", "replace"))
        token.top_logprobs = token.top_logprobs or []
    return logprobs


def encode_answer(call: Call, answer: Answer) -> bytes:
    """Make a response of a whole canonical answer."""
    found = read_completion(answer.body)
    choice = next((one for one in found.choices if one.index == 0), None)
    begun = response(call, id=found.id, created=found.created, model=found.model)
    output = [] if choice is None else _output(choice, stem(found.id), summarised=wants_summary(call))
    finish = choice.finish_reason if choice is not None else None
    return _encode(finished(begun, output, finish, answer.usage))


def _output(choice: SaidChoice, stem: str, *, summarised: bool) -> list[dict[str, Any]]:
    said = choice.message
    finish = choice.finish_reason
    output: list[dict[str, Any]] = []
    details = said.reasoning_details or []
    if said.thought or details:
        text = said.thought or words(details)
        output.append(reasoning_item(f"rs_{stem}00", text, details, summarised=summarised))
    content = [text_part(said.content, read_logprobs(choice.logprobs))] if said.content else []
    content += [refusal_part(said.refusal)] if said.refusal else []
    calls = said.tool_calls or []
    if content:
        status = item_status(finish, last=not calls)
        output.append(message_item(f"msg_{stem}{len(output):02x}", content, status))
    for place, call in enumerate(calls):
        status = item_status(finish, last=place == len(calls) - 1)
        id = f"{stem}{len(output):02x}"
        name, arguments = call.function.name, call.function.arguments
        output.append(call_item(f"fc_{id}", call.id or f"call_{id}", name, arguments, status))
    return output


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
