"""Tools and their choice: nested in a chat, flat in this wire."""

from typing import Any

from msgspec import Raw

from switchgear.contracts.provider import Call
from switchgear.errors import InvalidRequest
from switchgear.wire import web_search
from switchgear.wire.members import raw


def add_tools(call: Call, made: dict[str, Raw]) -> None:
    """Carry tools, the choice among them and whether several may be called at once.

    The old `functions` and `function_call` are tools and a choice. Without tools there is nothing to choose: neither goes out.
    Raises `InvalidRequest` naming a tool that is none.
    """
    tools = [
        _tool(tool, f"tools[{place}]") for place, tool in enumerate(call.member("tools", list[dict[str, Any]]) or ())
    ]
    tools += [
        _function(it, f"functions[{n}]") for n, it in enumerate(call.member("functions", list[dict[str, Any]]) or ())
    ]
    searches = call.member(web_search.MEMBER, dict[str, Any])
    searching = [] if searches is None else [web_search.responses_tool(searches)]
    if tools or searching:
        made["tools"] = raw([*tools, *searching])
    if not tools:
        return
    choice = _choice(call)
    if choice is not None:
        made["tool_choice"] = raw(choice)
    parallel = call.member("parallel_tool_calls", bool)
    if parallel is not None:
        made["parallel_tool_calls"] = raw(parallel)
    if call.members.get("tools") is not None:
        marked = call.member("tools", list[dict[str, Any]]) or ()
        if any("cache_control" in tool for tool in marked):
            call.drop("tools.cache_control")


def _tool(tool: dict[str, Any], where: str) -> dict[str, Any]:
    kind = tool.get("type", "function")
    inner = tool.get(kind) if isinstance(kind, str) else None
    if kind == "function" and isinstance(inner, dict):
        return _function(inner, f"{where}.function")
    if kind == "custom" and isinstance(inner, dict):
        return {"type": "custom", **inner, **_format(inner.get("format"))}
    message = f"`{where}` is of type `{str(kind)[:40]}`; this model's provider takes functions and custom tools."
    raise InvalidRequest(message, param=where, code="unsupported_tool")


def _function(function: dict[str, Any], where: str) -> dict[str, Any]:
    if not isinstance(function.get("name"), str):
        raise InvalidRequest(f"`{where}.name` must be a text.", param=f"{where}.name", code="invalid_value")
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    # This wire is strict unless told otherwise; a chat is not.
    found = {
        "type": "function",
        "strict": bool(function.get("strict")),
        "name": function["name"],
        "parameters": parameters,
    }
    if function.get("description") is not None:
        found["description"] = function["description"]
    return found


def _format(format: Any) -> dict[str, Any]:
    """Flatten the grammar of a custom tool."""
    if not isinstance(format, dict) or not isinstance(format.get("grammar"), dict):
        return {}
    return {"format": {"type": "grammar", **format["grammar"]}}


def _choice(call: Call) -> str | dict[str, Any] | None:
    choice: Any = call.member("tool_choice", str | dict[str, Any])  # type: ignore[arg-type]  # a union is a type here
    if choice is None:
        old: Any = call.member("function_call", str | dict[str, Any])  # type: ignore[arg-type]  # likewise
        return old if not isinstance(old, dict) else {"type": "function", "name": old.get("name")}
    if isinstance(choice, str):
        return choice
    kind = choice.get("type")
    inner = choice.get(kind) if isinstance(kind, str) else None
    if kind in ("function", "custom") and isinstance(inner, dict):
        return {"type": kind, "name": inner.get("name")}
    if kind == "allowed_tools" and isinstance(inner, dict):
        allowed = [_named(tool) for tool in inner.get("tools") or () if isinstance(tool, dict)]
        return {"type": kind, "mode": inner.get("mode", "auto"), "tools": allowed}
    message = "`tool_choice` can be `auto`, `none`, `required`, a tool or `allowed_tools`."
    raise InvalidRequest(message, param="tool_choice", code="unsupported_value")


def _named(tool: dict[str, Any]) -> dict[str, Any]:
    kind = tool.get("type", "function")
    inner = tool.get(kind)
    return {"type": kind, "name": inner.get("name")} if isinstance(inner, dict) else tool
