"""Tools and their choice, as chats (`nested` under the word for their kind) and responses (flat) have them."""

from typing import Any

from msgspec import Raw

from switchgear.contracts.conversation import Tool, ToolChoice
from switchgear.contracts.provider import Call
from switchgear.wire.faces.common import put, rest
from switchgear.wire.texts import members_of, text_of

_FUNCTION = frozenset({"type", "name", "description", "parameters"})
_MODES = frozenset({"auto", "required", "none"})


def read_function(kind: str, members: dict[str, Raw], inner: dict[str, Raw]) -> Tool:
    """Read a tool; `inner` are the members that describe it."""
    extra = rest(inner, _FUNCTION)
    if inner is not members:
        extra = {**rest(members, frozenset({"type", kind})), **extra}
    name = text_of(inner.get("name")) or kind
    return Tool(name, text_of(inner.get("description")), inner.get("parameters"), kind, extra)


def write_function(tool: Tool, *, nested: bool) -> dict[str, Any]:
    """Write a tool anew."""
    described = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    inner = {name: value for name, value in described.items() if value is not None}
    if not nested:
        return {"type": tool.kind, **inner, **tool.extra}
    strict = {"strict": tool.extra["strict"]} if "strict" in tool.extra else {}
    beside = {name: value for name, value in tool.extra.items() if name != "strict"}
    return {"type": tool.kind, tool.kind: {**inner, **strict}, **beside}


def read_choice(call: Call, *, nested: bool) -> ToolChoice:
    """Read `tool_choice` and `parallel_tool_calls`. A choice that is neither a word nor one tool has no mode here."""
    parallel = call.member("parallel_tool_calls", bool)
    given = call.members.get("tool_choice")
    word = text_of(given)
    if word in _MODES:
        return ToolChoice(word, None, parallel)  # type: ignore[arg-type]  # it is one of them
    members = members_of(given)
    kind = text_of(members.get("type")) or ""
    name = text_of((members_of(members.get(kind)) if nested else members).get("name"))
    return ToolChoice("tool" if name else None, name, parallel)


def write_choice(call: Call, choice: ToolChoice, *, nested: bool) -> None:
    """Write what is new."""
    old = read_choice(call, nested=nested)
    if (choice.mode, choice.name) != (old.mode, old.name):
        made: Any = choice.mode
        if choice.mode == "tool":
            named = {"name": choice.name}
            made = {"type": "function", "function": named} if nested else {"type": "function", **named}
        put(call, "tool_choice", made)
    if choice.parallel != old.parallel:
        put(call, "parallel_tool_calls", choice.parallel)
