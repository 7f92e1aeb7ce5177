"""Canonical chat requests in the Messages form.

Wire: docs.anthropic.com/en/api/messages, …/build-with-claude/thinking, …/effort, …/structured-outputs,
…/agents-and-tools/tool-use, …/api/service-tiers.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw

from switchgear.contracts.provider import Call, TargetModel
from switchgear.errors import InvalidRequest
from switchgear.wire import web_search
from switchgear.wire.canonical import JSON_ONLY, ChatRequest, NamedTool, drop_others, wants_json
from switchgear.wire.fit.names import NameRule, fit_user
from switchgear.wire.fit.request import read_fitted
from switchgear.wire.fit.schema import fit_root, fit_schema, is_fit
from switchgear.wire.messages.models import Rules
from switchgear.wire.messages.thinking import fit_thinking, lacks_thinking
from switchgear.wire.messages.turns import Body, marker, write_turns

NAMES = NameRule(128)
Display = Literal["summarized", "omitted"]

_PASSED_ON = ("cache_control", "container", "context_management", "inference_geo", "mcp_servers", "speed")
"""Members of the form that nothing canonical is like: a client that sends one means it."""
_CARRIED = (
    *("tools", "tool_choice", "parallel_tool_calls", "response_format", "stop", "temperature", "top_p", "top_k", "n"),
    *("reasoning_effort", "thinking", "user", "service_tier", web_search.MEMBER, *_PASSED_ON),
)
_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 32_768, "max": 32_768}
_LEAST_BUDGET = 1024
_MOST_USER = 256
_LEAST_TOP_P_WHILE_THINKING = 0.95


def write_request(call: Call, model: TargetModel, rules: Rules, reasoning: str, display: Display | None = None) -> Body:
    """Translate a canonical call; what cannot be carried is dropped by name. Raises `InvalidRequest`.

    `reasoning` is the `format` of the reasoning that is the provider's own; `display` is sent with the thinking that
    `reasoning_effort` asks for.
    """
    chat = read_fitted(call, model, NAMES, takes_errors=True)
    if chat.n is not None and chat.n > 1:
        message = "`n` must be 1: this model's provider gives one answer to a request."
        raise InvalidRequest(message, param="n", code="unsupported_value")
    drop_others(call, _CARRIED)
    limit = rules.max_tokens if model.max_output_tokens is None else model.max_output_tokens
    limit = limit if chat.limit is None else chat.limit
    system, turns = write_turns(call, chat.messages, None if rules.thinking == "none" else reasoning)
    if wants_json(chat):
        system = [*system, {"type": "text", "text": JSON_ONLY}]
    body: Body = {"model": model.name_json, "max_tokens": limit, "messages": turns}
    if system:
        body["system"] = system
    if call.stream:
        body["stream"] = True
    if tools := [*_tools(call, chat, rules), *_search(call, chat)]:
        body["tools"] = tools
    forced = _tool_choice(call, chat, rules, body)
    config = _output_config(call, chat)
    thinks = _thinking(call, chat, rules, body, config, forced=forced, display=display)
    if config:
        body["output_config"] = config
    _sampling(call, chat, rules, body, thinks=thinks)
    _others(call, chat, model, body)
    return body


def _drop(call: Call, name: str) -> None:
    """Drop a member, which may as well be a default of the model that the client knows nothing of."""
    if name in call.members:
        call.drop(name)


def _tools(call: Call, chat: ChatRequest, rules: Rules) -> list[Body]:
    tools = []
    for function, mark in chat.functions():
        tool: Body = {"name": function.name}
        if function.description is not None:
            tool["description"] = function.description
        tool["input_schema"], lost = fit_root(function.parameters or {})
        if lost:
            call.change("tools.function.parameters")
        if function.strict is not None:
            fits = not function.strict or is_fit(tool["input_schema"])
            if rules.json_schema and fits:
                tool["strict"] = function.strict
            elif function.strict:
                call.drop("tools.function.strict")
        if mark is not None:
            tool["cache_control"] = marker(mark)
        tools.append(tool)
    return tools


def _search(call: Call, chat: ChatRequest) -> list[Body]:
    """Write the tool that searches the web, unless the client has one of its name."""
    options = chat.web_search_options
    if options is None:
        return []
    if any(function.name == web_search.TOOL for function, _ in chat.functions()):
        _drop(call, web_search.MEMBER)
        return []
    if "search_context_size" in options:
        call.drop(f"{web_search.MEMBER}.search_context_size")
    return [web_search.messages_tool(options)]


def _tool_choice(call: Call, chat: ChatRequest, rules: Rules, body: Body) -> bool:
    """Write which tool is to be called; return whether one must be."""
    wanted = chat.tool_choice
    choice: Body = {"type": "auto"}
    if isinstance(wanted, NamedTool):
        if wanted.function is None:
            message = "`tool_choice` must name a function: this model's provider takes function tools."
            raise InvalidRequest(message, param="tool_choice", code="unsupported_tool")
        choice = {"type": "tool", "name": wanted.function.name}
    elif wanted is not None:
        choice = {"type": "any" if wanted == "required" else wanted}
    forced = choice["type"] in ("any", "tool")
    if forced and not rules.forced_tools:
        _drop(call, "tool_choice")
        choice, forced, wanted = {"type": "auto"}, False, None
    if chat.parallel_tool_calls is False and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    if forced or ("tools" in body and (wanted is not None or len(choice) > 1)):
        body["tool_choice"] = choice
    return forced


def _output_config(call: Call, chat: ChatRequest) -> Body:
    """Write the schema the answer is held to. JSON of any shape can only be asked for in words."""
    wanted = chat.response_format
    if wanted is None or wanted.type == "text":
        return {}
    if wanted.type == "json_schema" and wanted.json_schema is not None and wanted.json_schema.schema is not None:
        schema, lost, closed = fit_schema(wanted.json_schema.schema)
        if "response_format" in call.members:
            call.drop(*(f"response_format.{name}" for name in lost))
            if closed:
                call.change("response_format")
        return {"format": {"type": "json_schema", "schema": schema}}
    _drop(call, "response_format")
    return {}


def _thinking(
    call: Call, chat: ChatRequest, rules: Rules, body: Body, config: Body, *, forced: bool, display: Display | None
) -> bool:
    """Write how the model is to think; return whether it does so because the request says it."""
    effort = chat.reasoning_effort
    if chat.thinking is not UNSET and chat.thinking != _NULL:
        thinking, effort = fit_thinking(_members_of(chat.thinking), effort, rules, body["max_tokens"])
        if thinking is None or _cannot_think(thinking, body):
            _drop(call, "thinking")
            return False
        body["thinking"] = thinking
        kind = thinking.get("type")
        if kind == "adaptive" and effort is not None and (level := rules.effort(effort)) is not None:
            config["effort"] = level
        return kind in ("adaptive", "enabled")
    if effort is None:
        return False
    if rules.thinking == "adaptive" and (level := rules.effort(effort)) is not None:
        config["effort"] = level
    wish = _wish(effort, rules, body["max_tokens"], forced=forced)
    if wish is None or _cannot_think(wish, body):
        if "effort" not in config and not (effort == "none" and rules.thinking != "adaptive"):
            _drop(call, "reasoning_effort")
        return False
    thinks = wish["type"] in ("adaptive", "enabled")
    if thinks and display is not None:
        wish["display"] = display
    body["thinking"] = wish
    return thinks


def _cannot_think(wish: Body, body: Body) -> bool:
    """With a budget, a turn of the model's that is not over has to begin with what it thought."""
    return wish.get("type") == "enabled" and lacks_thinking(body["messages"])


def _wish(effort: str, rules: Rules, limit: int, *, forced: bool) -> Body | None:
    """Return what to say about thinking for an effort, None for nothing. A forced tool and thinking exclude each other."""
    if effort == "none":
        # Where budgets are given, a model does not think unless told to.
        return {"type": rules.off} if rules.thinking == "adaptive" and rules.off is not None else None
    if forced or rules.thinking == "none":
        return None
    if rules.thinking == "adaptive":
        return {"type": "adaptive"} if rules.effort(effort) is not None else None
    budget = min(_BUDGETS.get(effort, 0), limit // 2)
    return {"type": "enabled", "budget_tokens": budget} if budget >= _LEAST_BUDGET else None


def _sampling(call: Call, chat: ChatRequest, rules: Rules, body: Body, *, thinks: bool) -> None:
    """Write temperature (0 to 1 in the form), top_p and top_k. A value that changes nothing is carried by leaving it out."""
    if chat.temperature is not None:
        if rules.sampling and chat.temperature <= 1 and (not thinks or chat.temperature == 1):
            body["temperature"] = chat.temperature
        elif chat.temperature != 1:
            _drop(call, "temperature")
    if chat.top_p is not None:
        least = _LEAST_TOP_P_WHILE_THINKING if thinks else 0
        if rules.sampling and chat.top_p >= least and not (rules.one_sampling and "temperature" in body):
            body["top_p"] = chat.top_p
        elif chat.top_p != 1:
            _drop(call, "top_p")
    if chat.top_k is not None:
        if rules.sampling and not thinks:
            body["top_k"] = chat.top_k
        else:
            _drop(call, "top_k")


def _others(call: Call, chat: ChatRequest, model: TargetModel, body: Body) -> None:
    stops = [stop for stop in chat.stops if stop.strip()]
    if len(stops) < len(chat.stops):
        _drop(call, "stop")  # the form refuses stop sequences of white space alone
    if stops:
        body["stop_sequences"] = stops
    if chat.user is not None:
        user = fit_user(chat.user, _MOST_USER)
        if user != chat.user and "user" in call.members:
            call.change("user")
        body["metadata"] = {"user_id": user}
    if chat.service_tier is not None:
        if chat.service_tier in _TIERS:
            body["service_tier"] = _TIERS[chat.service_tier]
        else:
            _drop(call, "service_tier")
    for name in _PASSED_ON:
        value = call.members.get(name, model.defaults.get(name))
        if value is not None and value != _NULL:
            body[name] = value


_NULL = Raw(b"null")
_type_decoder = msgspec.json.Decoder(dict[str, Any])


def _members_of(thinking: Raw) -> Body:
    try:
        return _type_decoder.decode(thinking)
    except (msgspec.DecodeError, RecursionError):
        message = '`thinking` must be an object, as {"type": "adaptive"}.'
        raise InvalidRequest(message, param="thinking", code="invalid_value") from None
