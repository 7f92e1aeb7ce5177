"""The canonical chat request as the body of Converse, ConverseStream and CountTokens.

Wire: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, …/API_runtime_CountTokens.html.
"""

import re
from typing import Any

import msgspec

from switchgear.contracts.capability import JSON_SCHEMA
from switchgear.contracts.provider import Call, TargetModel
from switchgear.errors import InvalidRequest
from switchgear.wire.canonical import JSON_ONLY, ChatRequest, drop_others, wants_json
from switchgear.wire.fit.request import read_fitted
from switchgear.wire.fit.results import BEGINNING
from switchgear.wire.fit.schema import fit_root, fit_schema, is_fit
from switchgear.wire.messages.fit import unfit_sampling
from switchgear_plugins.bedrock.content import Block, Writer, refuse
from switchgear_plugins.bedrock.families import Family
from switchgear_plugins.bedrock.reasoning import reasoning_members
from switchgear_plugins.bedrock.settings import BedrockSettings

_encode = msgspec.json.Encoder().encode
_CARRIED = frozenset(
    {
        "tools", "tool_choice", "parallel_tool_calls", "response_format", "stop", "temperature", "top_p", "top_k", "n",
        "reasoning_effort", "thinking", "metadata", "service_tier",
    }
)  # fmt: skip
_METADATA_TEXT = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,\-.]{0,256}")
_MOST_METADATA = 16
_TIERS = {"default", "flex", "priority", "reserved"}
_ANY_OBJECT = {"type": "object", "properties": {}}


def converse_body(call: Call, model: TargetModel, family: Family, settings: BedrockSettings) -> bytes:
    """Write the body of a chat. Raises `InvalidRequest` naming what cannot be said here."""
    chat = read_fitted(call, model, takes_errors=True)
    body = _prompt(call, chat, family)
    if wants_json(chat):
        body["system"] = [*body.get("system", ()), {"text": JSON_ONLY}]
    if chat.n is not None and chat.n > 1:
        raise InvalidRequest(
            "`n` is more than 1; this model's provider gives one answer.", param="n", code="unsupported"
        )
    fields = _additional(call, chat, family, settings)
    _sampling(call, chat, family, fields)
    _put(body, "inferenceConfig", _inference(chat))
    _put(body, "additionalModelRequestFields", fields)
    _put(body, "outputConfig", _output(call, chat))
    _put(body, "requestMetadata", _metadata(call, chat))
    _put(body, "serviceTier", _tier(call, chat, settings))
    if settings.latency is not None:
        body["performanceConfig"] = {"latency": settings.latency}
    if settings.guardrail is not None:
        guardrail = {
            "guardrailIdentifier": settings.guardrail.identifier,
            "guardrailVersion": settings.guardrail.version,
        }
        if call.stream and settings.guardrail.stream_mode is not None:
            guardrail["streamProcessingMode"] = settings.guardrail.stream_mode
        body["guardrailConfig"] = guardrail
    drop_others(call, _CARRIED if chat.logprobs else _CARRIED | {"logprobs"})
    return _encode(body)


def count_body(call: Call, model: TargetModel, family: Family, settings: BedrockSettings) -> bytes:
    """Write the body that asks for the input tokens of a chat; what is no input is left out of it."""
    chat = read_fitted(call, model, takes_errors=True)
    body = _prompt(call, chat, family)
    _put(body, "additionalModelRequestFields", _additional(call, chat, family, settings))
    return _encode({"input": {"converse": body}})


def _put(body: dict[str, Any], name: str, value: object) -> None:
    if value:
        body[name] = value


def _prompt(call: Call, chat: ChatRequest, family: Family) -> dict[str, Any]:
    """Write messages, system and tools. Messages of one role in a row are joined: Converse wants them to alternate."""
    writer = Writer(call, caches=family.caches)
    system: list[Block] = []
    messages: list[dict[str, Any]] = []
    for place, message in enumerate(chat.messages):
        where = f"messages[{place}]"
        if message.name is not None and message.role != "tool":
            call.drop("messages.name")
        match message.role:
            case "system" | "developer":
                system += writer.system(message, where)
                continue
            case "user":
                role, blocks = "user", writer.user(message, where)
            case "assistant":
                role, blocks = "assistant", writer.assistant(message, where)
            case "tool":
                role, blocks = "user", writer.tool(message, where)
            case _:
                raise refuse(where, "has the role `function`; answer tool calls with the role `tool`.")
        if not blocks:
            if role == "user" and len(chat.messages) == 1:
                raise refuse(where, "is empty.", "invalid_messages")
            continue
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": role, "content": blocks})
    body: dict[str, Any] = {"messages": _begun(call, messages)}
    _put(body, "system", system)
    _put(body, "toolConfig", _tools(call, chat, family, writer))
    return body


def _begun(call: Call, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not messages or messages[0]["role"] == "user":
        return messages
    call.change("messages")
    return [{"role": "user", "content": [{"text": BEGINNING}]}, *messages]


def _tools(call: Call, chat: ChatRequest, family: Family, writer: Writer) -> dict[str, Any] | None:
    tools = _specifications(call, chat, family, writer)
    if chat.parallel_tool_calls is False and tools:
        call.drop("parallel_tool_calls")
    if chat.tool_choice == "none":
        # There is no such choice here: tools are left out, unless the conversation has used some and they must be there.
        if not writer.tools_used:
            return None
        call.drop("tool_choice")
    if not tools:
        # A conversation with tool blocks is refused without the tools they name, which the client need not send again.
        tools = [{"toolSpec": {"name": name, "inputSchema": {"json": _ANY_OBJECT}}} for name in writer.tools_used]
    config: dict[str, Any] = {"tools": tools}
    if family.rules is not None and not family.rules.forced_tools and chat.tool_choice not in (None, "auto", "none"):
        call.drop("tool_choice")
        chat.tool_choice = "auto"
    _put(config, "toolChoice", _choice(chat))
    return config if tools else None


def _specifications(call: Call, chat: ChatRequest, family: Family, writer: Writer) -> list[Block]:
    tools: list[Block] = []
    for function, mark in chat.functions():
        schema, lost = fit_root(function.parameters) if function.parameters else (_ANY_OBJECT, False)
        if lost:
            call.change("tools.function.parameters")
        spec: dict[str, Any] = {"name": function.name, "inputSchema": {"json": schema}}
        _put(spec, "description", function.description)
        if function.strict:
            if JSON_SCHEMA in family.capabilities and is_fit(function.parameters or _ANY_OBJECT):
                spec["strict"] = True
            else:
                call.drop("tools.function.strict")
        tools.append({"toolSpec": spec})
        writer.mark(tools, mark, "tools.cache_control")
    return tools


def _choice(chat: ChatRequest) -> dict[str, Any] | None:
    choice = chat.tool_choice
    if choice is None or choice == "none":
        return None
    if isinstance(choice, str):
        return {"auto": {}} if choice == "auto" else {"any": {}}
    if choice.function is None:
        raise refuse("tool_choice", "does not name a function.", "invalid_value")
    return {"tool": {"name": choice.function.name}}


def _sampling(call: Call, chat: ChatRequest, family: Family, fields: dict[str, Any]) -> None:
    """Leave out what the model does not take, as it is known of Claude's generations and of others by their families."""
    given: dict[str, Any] = {
        name: value for name in ("temperature", "top_p", "top_k") if (value := getattr(chat, name)) is not None
    }
    thinking = fields.get("thinking")
    thinks = isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive")
    lost: list[str] = []
    if family.rules is not None:
        lost = unfit_sampling(given, family.rules, thinks=thinks)
    elif not family.sampling:
        lost = [*given, *(["stop"] if chat.stops else [])]
    config = fields.get("reasoningConfig")
    if isinstance(config, dict) and config.get("maxReasoningEffort") == "high":
        lost = [*given, *(["max_completion_tokens"] if chat.limit is not None else [])]
    for name in lost:
        if given.get(name) != 1:
            call.drop(
                *(it for it in ((name, "max_tokens") if name not in call.members else (name,)) if it in call.members)
            )
        setattr(chat, name, None)
        if name == "max_completion_tokens":
            chat.max_tokens = None
        if name == "top_k":
            _take_top_k(fields, family)


def _take_top_k(fields: dict[str, Any], family: Family) -> None:
    *outer, name = family.top_k
    place = fields
    for step in outer:
        place = place.get(step) or {}
    place.pop(name, None)


def _inference(chat: ChatRequest) -> dict[str, Any]:
    values = {
        "maxTokens": chat.limit,
        "temperature": chat.temperature,
        "topP": chat.top_p,
        "stopSequences": chat.stops or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _additional(call: Call, chat: ChatRequest, family: Family, settings: BedrockSettings) -> dict[str, Any]:
    fields = {**settings.additional_model_request_fields, **reasoning_members(call, chat, family)}
    if chat.top_k is not None:
        if not family.top_k:
            call.drop("top_k")
        else:
            *outer, name = family.top_k
            place = fields
            for step in outer:
                place[step] = place = dict(place.get(step) or {})
            place[name] = chat.top_k
    return fields


def _output(call: Call, chat: ChatRequest) -> dict[str, Any] | None:
    wanted = chat.response_format
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type != "json_schema":
        call.drop("response_format")
        return None
    schema = wanted.json_schema
    if schema is None or schema.schema is None:
        raise refuse("response_format.json_schema.schema", "is missing.", "missing_field")
    fitted, lost, closed = fit_schema(schema.schema)
    call.drop(*(f"response_format.{name}" for name in lost))
    if closed:
        call.change("response_format")
    definition = {"schema": _encode(fitted).decode(), "name": schema.name}
    _put(definition, "description", schema.description)
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": definition}}}


def _metadata(call: Call, chat: ChatRequest) -> dict[str, str]:
    carried: dict[str, str] = {}
    for name, value in (chat.metadata or {}).items():
        fits = isinstance(value, str) and _METADATA_TEXT.fullmatch(value) and name and _METADATA_TEXT.fullmatch(name)
        if fits and len(carried) < _MOST_METADATA:
            carried[name] = value
        else:
            call.drop(f"metadata.{name[:64]}")
    return carried


def _tier(call: Call, chat: ChatRequest, settings: BedrockSettings) -> dict[str, str] | None:
    wanted = chat.service_tier
    if wanted is not None and wanted != "auto":
        if wanted in _TIERS:
            return {"type": wanted}
        call.drop("service_tier")
    return None if settings.service_tier is None else {"type": settings.service_tier}
