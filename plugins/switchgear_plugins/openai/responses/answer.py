"""Responses and their output items, made of canonical answers.

Wire: developers.openai.com/api/reference/resources/responses. Ids are made from those of the call and of the provider, so that
an answer to one call has the same ids whenever it is told.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

from switchgear.contracts.provider import Answer, Call
from switchgear.contracts.usage import Usage
from switchgear.errors import ApiError, InvalidRequest, RateLimited
from switchgear.wire.canonical import ReasoningDetail
from switchgear.wire.chunks import SaidChoice, read_completion
from switchgear.wire.compaction import compaction_item
from switchgear.wire.members import raw
from switchgear.wire.packed_reasoning import join, pack, words
from switchgear_plugins.openai.frames import NULL
from switchgear_plugins.openai.logprobs import TokenLogprob, read_logprobs
from switchgear_plugins.openai.responses.request import compacts, wants_summary
from switchgear_plugins.openai.responses.toolbox import CUSTOM, SEARCH, SHELL, Origin, Toolbox, read_object, read_text

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
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "service_tier": "default",
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""What a response says again of its request, and what it says where the client said nothing."""


def stem(call: Call, id: str) -> str:
    """Make what the ids of one response have in common, of the provider's id: short, of plain letters, and this call's alone.

    Some servers call all their answers the same.
    """
    return hashlib.blake2b(id.encode("utf-8", "replace"), digest_size=16, key=call.id.encode()[:64]).hexdigest()


def response(call: Call, *, id: str, created: int, model: str) -> dict[str, Any]:
    """Make a response in progress; `id` is the provider's, `created` is seconds."""
    members = call.members
    if "tools" in members and members["tools"] != NULL:
        members = {**members, "tools": raw([_shown(tool) for tool in call.member("tools", list[dict[str, Any]]) or ()])}
    echoed = {name: default if members.get(name, NULL) == NULL else members[name] for name, default in _ECHOED.items()}
    text = call.member("text", dict[str, Raw]) or {}
    reasoning = call.member("reasoning", dict[str, Raw]) or {}
    return {
        "id": f"resp_{stem(call, id)}",
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "model": model or call.model,
        "output": [],
        "usage": None,
        "store": "store" in call.handled,
        "text": {"format": {"type": "text"}, **text},
        "reasoning": {"effort": None, "summary": None, **reasoning},
        **echoed,
    }


def _shown(tool: dict[str, Any]) -> dict[str, Any]:
    """Say a tool again, with the members that its schema wants."""
    if tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": None, "strict": False, **tool}


def finished(
    begun: dict[str, Any], output: list[dict[str, Any]], finish_reason: str | None, usage: Usage | None
) -> dict[str, Any]:
    """End a response: `completed`, or `incomplete` and why."""
    reason = _INCOMPLETE.get(finish_reason or "")
    return {
        **begun,
        "status": "completed" if reason is None else "incomplete",
        "completed_at": begun["created_at"] if reason is None else None,
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


def text_part(text: str, logprobs: list[TokenLogprob], notes: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
    """Make a part that says something, with a chat's citations of web pages."""
    cited = [
        {"type": "url_citation", **note["url_citation"]} for note in notes if isinstance(note.get("url_citation"), dict)
    ]
    return {"type": "output_text", "text": text, "annotations": cited, "logprobs": with_bytes(logprobs)}


def refusal_part(text: str) -> dict[str, Any]:
    """Make a part that refuses."""
    return {"type": "refusal", "refusal": text}


def message_item(id: str, content: list[dict[str, Any]], status: str) -> dict[str, Any]:
    """Make a message."""
    return {"id": id, "type": "message", "role": "assistant", "status": status, "content": content}


def call_item(id: str, call_id: str, origin: Origin, arguments: str, status: str) -> dict[str, Any]:
    """Make the call of a tool, as the client calls it and knows its kind; `id` is what the ids of items end in."""
    item: dict[str, Any] = {"status": status, "call_id": call_id}
    if origin.namespace is not None:
        item["namespace"] = origin.namespace
    if origin.kind == CUSTOM:
        text = read_text(arguments) if arguments else ""
        return {"id": f"ctc_{id}", "type": "custom_tool_call", **item, "name": origin.name, "input": text}
    if origin.kind == SEARCH:
        sought = read_object(arguments)
        return {"id": f"tsc_{id}", "type": "tool_search_call", "execution": "client", **item, "arguments": sought}
    if origin.kind == SHELL:
        action = {"type": "exec", "command": [], "env": {}, **read_object(arguments)}
        return {"id": f"lsh_{id}", "type": "local_shell_call", **item, "action": action}
    return {"id": f"fc_{id}", "type": "function_call", **item, "name": origin.name, "arguments": arguments}


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
    output = [] if choice is None else _output(call, choice, stem(call, found.id))
    finish = choice.finish_reason if choice is not None else None
    return _encode(finished(begun, output, finish, answer.usage))


def encode_compaction(call: Call, answer: Answer) -> bytes:
    """Make a compacted response of the answer to a call that asks for a summary."""
    found = read_completion(answer.body)
    choice = next((one for one in found.choices if one.index == 0), None)
    output = [] if choice is None else _output(call, choice, stem(call, found.id))
    usage = _usage(answer.usage or Usage())
    head = {"id": f"resp_{stem(call, found.id)}", "object": "response.compaction", "created_at": found.created}
    return _encode({**head, "output": output, "usage": usage})


def _output(call: Call, choice: SaidChoice, stem: str) -> list[dict[str, Any]]:
    said = choice.message
    if compacts(call):
        return [compaction_item(stem, said.content or "")]
    finish = choice.finish_reason
    output: list[dict[str, Any]] = []
    details = said.reasoning_details or []
    if said.thought or details:
        text = said.thought or words(details)
        output.append(reasoning_item(f"rs_{stem}00", text, details, summarised=wants_summary(call)))
    content = [text_part(said.content, read_logprobs(choice.logprobs), said.annotations or ())] if said.content else []
    content += [text_part(image.named(), []) for image in said.images or ()]
    content += [refusal_part(said.refusal)] if said.refusal else []
    calls = said.tool_calls or []
    if content:
        status = item_status(finish, last=not calls)
        output.append(message_item(f"msg_{stem}{len(output):02x}", content, status))
    toolbox = Toolbox(call) if calls else None
    for place, called in enumerate(calls):
        assert toolbox is not None
        status = item_status(finish, last=place == len(calls) - 1)
        id = f"{stem}{len(output):02x}"
        origin = toolbox.origin(called.function.name)
        output.append(call_item(id, called.id or f"call_{id}", origin, called.function.arguments, status))
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
