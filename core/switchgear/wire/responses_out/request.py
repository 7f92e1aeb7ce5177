"""A chat as the members of a Responses request. Wire: developers.openai.com/api/reference/resources/responses/methods/create."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from switchgear.contracts.provider import Call
from switchgear.errors import InvalidRequest
from switchgear.wire import web_search
from switchgear.wire.fit.responses import LEAST_OUTPUT
from switchgear.wire.members import raw
from switchgear.wire.responses_out.items import Items, bad
from switchgear.wire.responses_out.tools import add_tools

_NULL = Raw(b"null")
_AS_THEY_ARE = frozenset(
    {
        "stream", "temperature", "top_p", "top_logprobs", "user", "metadata", "service_tier", "safety_identifier",
        "prompt_cache_key", "prompt_cache_retention", "store",
    }
)  # fmt: skip
_READ = frozenset(
    {
        "model", "messages", "stream_options", "max_tokens", "max_completion_tokens", "tools", "tool_choice", "functions",
        "function_call", "parallel_tool_calls", "response_format", "verbosity", "reasoning_effort", "logprobs", "n",
        "modalities", "audio", web_search.MEMBER,
    }
)  # fmt: skip
_MEANINGLESS: Mapping[str, tuple[bytes, ...]] = {
    "presence_penalty": (b"0", b"0.0"),
    "frequency_penalty": (b"0", b"0.0"),
    "stop": (b"[]",),
    "logit_bias": (b"{}",),
}
"""What says the same as nothing, and so loses nothing where it is left out."""


def to_responses(call: Call, *, encrypted: bool = False) -> dict[str, Raw]:
    """Write the members of a canonical call in this wire. What it cannot say is dropped from the call by name.

    `encrypted` asks for reasoning in a form that can come back, which only models that reason may be asked for. Raises
    `InvalidRequest` for what dropping would falsify: several choices, spoken answers, a message nobody can read.
    """
    given = {name: value for name, value in call.members.items() if value != _NULL}
    made = {name: value for name, value in given.items() if name in _AS_THEY_ARE}
    _refuse(call)
    items = Items(call)
    for place, message in enumerate(call.member("messages", list[dict[str, Any]]) or ()):
        items.add(message, f"messages[{place}]")
    made["input"] = raw(items.items)
    _add_bound(call, made)
    add_tools(call, made)
    _add_text(call, made)
    if "reasoning_effort" in given:
        made["reasoning"] = raw({"effort": given["reasoning_effort"]})
    include = ["reasoning.encrypted_content"] if encrypted else []
    if call.member("logprobs", bool):
        include.append("message.output_text.logprobs")
    else:
        made.pop("top_logprobs", None)
    if include:
        made["include"] = raw(include)
    made.setdefault("store", raw(False))
    others = (name for name in given if name not in _READ and name not in _AS_THEY_ARE)
    call.drop(*(name for name in others if bytes(given[name]) not in _MEANINGLESS.get(name, ())))
    return made


def _refuse(call: Call) -> None:
    if (call.member("n", int) or 1) > 1:
        message = "`n` cannot be carried: this model gives one answer a request. Ask again for another."
        raise InvalidRequest(message, param="n", code="unsupported_parameter")
    if "audio" in (call.member("modalities", list[str]) or ()):
        message = "`modalities` cannot hold `audio`: this model answers in text."
        raise InvalidRequest(message, param="modalities", code="unsupported_parameter")


def _add_bound(call: Call, made: dict[str, Raw]) -> None:
    for name in ("max_completion_tokens", "max_tokens"):
        bound = call.member(name, int)
        if bound is not None:
            if bound < LEAST_OUTPUT:
                call.change(name)
            made["max_output_tokens"] = raw(max(bound, LEAST_OUTPUT))
            return


def _add_text(call: Call, made: dict[str, Raw]) -> None:
    text: dict[str, Any] = {}
    wanted = call.member("response_format", dict[str, Any]) or {}
    match wanted.get("type"):
        case "json_schema":
            schema = wanted.get("json_schema")
            if not isinstance(schema, dict):
                raise bad("response_format.json_schema", "it must be an object with the schema")
            # This wire is strict unless told otherwise; a chat is not.
            format = {"type": "json_schema", "name": "answer", "strict": False, **schema}
            text["format"] = {name: value for name, value in format.items() if value is not None}
        case "json_object":
            text["format"] = {"type": "json_object"}
        case None | "text":
            pass
        case _:
            raise bad("response_format.type", "it must be `text`, `json_object` or `json_schema`")
    verbosity = call.member("verbosity", str)
    if verbosity is not None:
        text["verbosity"] = verbosity
    if text:
        made["text"] = Raw(msgspec.json.encode(text))
