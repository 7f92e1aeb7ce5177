"""A Messages request in the canonical form.

Wire: platform.claude.com/docs/en/api/messages, /build-with-claude/thinking, /build-with-claude/effort and
/build-with-claude/structured-outputs. What the canonical form cannot say is dropped by name, unless the answer would then not
be the one that was asked for: then the request is refused.
"""

from typing import Any

import msgspec
from msgspec import Raw

from switchgear.contracts.provider import Call
from switchgear.errors import InvalidRequest
from switchgear.wire import web_search
from switchgear.wire.canonical import CacheControl
from switchgear.wire.members import raw
from switchgear_plugins.anthropic.inbound.blocks import (
    CustomTool,
    Metadata,
    OutputConfig,
    Reader,
    ThinkingConfig,
    ToolChoice,
    bad,
)
from switchgear_plugins.anthropic.inbound.conversation import mark_last, read_system, read_turns

_AS_THEY_ARE = ("stream", "max_tokens", "temperature", "top_p", "top_k")
_READ = frozenset(
    {
        *_AS_THEY_ARE, "model", "messages", "system", "cache_control", "tools", "tool_choice", "stop_sequences", "metadata",
        "thinking", "output_config", "output_format", "service_tier",
    }
)  # fmt: skip
_REFUSED = {
    "container": "a container lives at its vendor",
    "inference_geo": "no other provider can be held to it",
    "mcp_servers": "no other provider calls these servers",
    "thread": "a thread lives at its vendor",
}
"""Members without which the answer would be another one, or given where it may not be."""
THREADS = "thread_unsupported_request"
"""The vendor's code for a request whose thread is not kept: its SDKs then go on without one."""
_NAMES = {
    "stop": "stop_sequences",
    "user": "metadata.user_id",
    "response_format": "output_config.format",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "reasoning_effort": "thinking",
}
"""What this form calls canonical members. An effort is told as thinking where the client spoke of that."""
_NAMES_WITHOUT_THINKING = {**_NAMES, "reasoning_effort": "output_config.effort"}
_SERVICE_TIERS = {"auto": "auto", "standard_only": "default"}
_EFFORT_OF_ADAPTIVE = "high"
"""What the vendor takes for the effort of a model that decides for itself, unless the client says otherwise."""
_BUDGETS = ((4096, "low"), (16384, "medium"))
_NULL = Raw(b"null")
_NO_LIST = Raw(b"[]")
_CUSTOM = Raw(b'"custom"')


def to_canonical(call: Call, operation: str, wire: str) -> Call:
    """Translate a call. Raises `InvalidRequest` naming what is wrong, or what cannot be carried and matters.

    The effort is the client's `output_config.effort`; else `none` where thinking is disabled, `high` where it is adaptive, and
    for a budget `low` below 4096 tokens, `medium` below 16384, `high` from there. A budget stays beside it as `thinking`, for
    providers that have budgets.
    """
    reader = Reader()
    for name, why in _REFUSED.items():
        if call.members.get(name, _NULL) not in (_NULL, _NO_LIST):
            message = f"`{name}` cannot be carried to this model's provider: {why}."
            raise InvalidRequest(message, param=name, code=THREADS if name == "thread" else "unsupported_parameter")
    if call.max_tokens == 0:
        message = "`max_tokens` of 0 warms a cache; this model's provider has no such request."
        raise InvalidRequest(message, param="max_tokens", code="unsupported_parameter")
    members = {name: call.members[name] for name in _AS_THEY_ARE if call.members.get(name, _NULL) != _NULL}
    members["messages"] = _messages(call, reader)
    _tools(call, reader, members)
    _output(call, reader, members)
    _rest(call, reader, members)
    made = call.translated(operation, wire, members)
    unread = (name for name in call.members if name not in _READ and name not in _REFUSED)
    asked = ("anthropic-beta",) if "anthropic-beta" in call.headers else ()
    made.drop(*asked, *reader.drops, *(name for name in unread if call.members[name] != _NULL))
    made.names = _NAMES if "thinking" in call.members else _NAMES_WITHOUT_THINKING
    if reader.search is not None:
        made.names = {**made.names, web_search.MEMBER: reader.search}
    return made


def _messages(call: Call, reader: Reader) -> Raw:
    messages = []
    system: Any = call.member("system", str | list[Raw])  # type: ignore[arg-type]  # a union is a type to decode to
    if system:
        messages.append(read_system(reader, system))
    messages += read_turns(reader, call.member("messages", list[Raw]) or [])
    marker = call.member("cache_control", CacheControl)
    if marker is not None and not mark_last(messages, marker):
        reader.drops["cache_control"] = None
    return raw(messages)


def _tools(call: Call, reader: Reader, members: dict[str, Raw]) -> None:
    tools = call.member("tools", list[Raw])
    if tools:
        made = [_tool(reader, tool, f"tools[{place}]", members) for place, tool in enumerate(tools)]
        if kept := [tool for tool in made if tool is not None]:
            members["tools"] = raw(kept)
    given = call.members.get("tool_choice", _NULL)
    if given == _NULL:
        return
    choice = reader.read(given, ToolChoice, "tool_choice", "tool_choice")
    if choice.type == "tool":
        if not choice.name:
            raise bad("tool_choice.name", "it must name the tool")
        if choice.name in reader.left_out:
            reader.drops["tool_choice"] = None
            return
        members["tool_choice"] = raw({"type": "function", "function": {"name": choice.name}})
    elif choice.type in _CHOICES:
        members["tool_choice"] = raw(_CHOICES[choice.type])
    else:
        raise bad("tool_choice.type", "it must be `auto`, `any`, `tool` or `none`")
    if choice.disable_parallel_tool_use:
        members["parallel_tool_calls"] = raw(False)


_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def _tool(reader: Reader, given: Raw, where: str, members: dict[str, Raw]) -> dict[str, Any] | None:
    """Translate a tool; one that only its vendor runs is left out by name, which a strict client does not allow.

    Searching the web is what others do as well: a chat asks for it in a member of its own.
    """
    said = reader.members(given, where)
    kind = said.get("type", _NULL)
    if kind not in (_NULL, _CUSTOM):
        name = bytes(kind).decode("utf-8", "replace").strip('"')[:60]
        if name.startswith(f"{web_search.TOOL}_"):
            options, lost = web_search.options_of({key: msgspec.json.decode(value) for key, value in said.items()})
            members[web_search.MEMBER] = raw(options)
            reader.drops |= {f"tools.{name}.{member}": None for member in lost}
            reader.left_out.add(web_search.TOOL)
            reader.search = f"tools.{name}"
            return None
        reader.drops[f"tools.{name}" if name.replace("_", "").isalnum() else "tools.type"] = None
        if (called := reader.text(said.get("name", _NULL))) is not None:
            reader.left_out.add(called)
        return None
    tool = reader.read(given, CustomTool, where, "tools")
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.input_schema
    if tool.strict is not None:
        function["strict"] = tool.strict
    found: dict[str, Any] = {"type": "function", "function": function}
    if tool.cache_control is not None:
        found["cache_control"] = tool.cache_control
    return found


def _output(call: Call, reader: Reader, members: dict[str, Raw]) -> None:
    """Say how hard to think, and in which form to answer."""
    config = OutputConfig()
    given = call.members.get("output_config", _NULL)
    if given != _NULL:
        config = reader.read(given, OutputConfig, "output_config", "output_config")
    effort = config.effort
    given = call.members.get("thinking", _NULL)
    if given != _NULL:
        thinking = reader.read(given, ThinkingConfig, "thinking", "thinking")
        effort = _effort(thinking, effort)
        if thinking.type not in ("disabled", "adaptive") or thinking.display is not None:
            members["thinking"] = given
    if effort is not None:
        members["reasoning_effort"] = raw(effort)
    form = config.format
    given = call.members.get("output_format", _NULL)
    if form is None and given != _NULL:
        form = reader.read(raw({"format": given}), OutputConfig, "output_format", "output_format").format
    if form is not None:
        if form.type != "json_schema":
            raise bad("output_config.format.type", "it must be `json_schema`")
        # This wire holds every answer to its schema; in the canonical form that has to be asked for.
        schema = {"name": "answer", "schema": form.schema, "strict": True}
        members["response_format"] = raw({"type": "json_schema", "json_schema": schema})


def _effort(thinking: ThinkingConfig, asked: str | None) -> str | None:
    if thinking.type == "disabled":
        return "none"
    if asked is not None:
        return asked
    if thinking.type == "adaptive":
        return _EFFORT_OF_ADAPTIVE
    if thinking.budget_tokens is None:
        return None
    return next((effort for below, effort in _BUDGETS if thinking.budget_tokens < below), "high")


def _rest(call: Call, reader: Reader, members: dict[str, Raw]) -> None:
    if stops := call.member("stop_sequences", list[str]):
        members["stop"] = raw(stops)
    given = call.members.get("metadata", _NULL)
    if given != _NULL:
        metadata = reader.read(given, Metadata, "metadata", "metadata")
        if metadata.user_id is not None:
            members["user"] = raw(metadata.user_id)
    tier = call.member("service_tier", str)
    if tier is not None:
        members["service_tier"] = raw(_SERVICE_TIERS.get(tier, tier))
