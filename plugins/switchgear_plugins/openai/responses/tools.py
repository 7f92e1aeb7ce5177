"""Tools and their choice: flat here, nested in chat; only functions have a chat's equivalent."""

from typing import Any

from msgspec import Raw

from switchgear.contracts.provider import Call
from switchgear.errors import InvalidRequest
from switchgear.wire.members import raw

_FUNCTION = ("name", "description", "parameters", "strict")


def add_tools(call: Call, made: Call) -> None:
    """Carry `tools` and `tool_choice` into a chat. Raises `InvalidRequest` naming the tool that cannot be."""
    tools = [_tool(tool, place, made) for place, tool in enumerate(call.member("tools", list[dict[str, Any]]) or ())]
    choice, tools = _choice(call, tools)
    if tools:
        made.members["tools"] = raw(tools)
    if choice is not None:
        made.members["tool_choice"] = choice


def _tool(tool: dict[str, Any], place: int, made: Call) -> dict[str, Any]:
    where = f"tools[{place}]"
    if tool.get("type") != "function":
        kind = str(tool.get("type"))[:40]
        message = (
            f"`{where}` is of type `{kind}`, which OpenAI runs or reads itself; this model's provider takes function tools. "
            "Leave it out, or use a model whose provider speaks this API."
        )
        raise InvalidRequest(message, param=where, code="unsupported_tool")
    if not isinstance(tool.get("name"), str):
        raise InvalidRequest(f"`{where}.name` must be a text.", param=f"{where}.name", code="invalid_value")
    for name, value in tool.items():
        if name not in ("type", *_FUNCTION) and value not in (None, False, ["direct"]):
            made.drop(f"{where}.{name}")
    return {"type": "function", "function": {name: tool[name] for name in _FUNCTION if tool.get(name) is not None}}


def _choice(call: Call, tools: list[dict[str, Any]]) -> tuple[Raw | None, list[dict[str, Any]]]:
    """Return the choice and the tools it leaves: only some being allowed is said by giving only those."""
    choice = call.member("tool_choice", str | dict[str, Any])  # type: ignore[arg-type]  # a union is a type here
    if choice is None:
        return None, tools
    if isinstance(choice, str):
        if choice not in ("auto", "none", "required"):
            raise _bad_choice(choice)
        return raw(choice), tools
    if choice.get("type") == "function" and isinstance(choice.get("name"), str):
        return raw({"type": "function", "function": {"name": choice["name"]}}), tools
    if choice.get("type") == "allowed_tools" and choice.get("mode", "auto") in ("auto", "required"):
        allowed = choice.get("tools")
        names = {_allowed(tool, place) for place, tool in enumerate(allowed if isinstance(allowed, list) else ())}
        left = [tool for tool in tools if tool["function"]["name"] in names]
        if not names or names != {tool["function"]["name"] for tool in left}:
            message = "`tool_choice.tools` must name functions that are in `tools`."
            raise InvalidRequest(message, param="tool_choice.tools", code="invalid_value")
        return raw(choice.get("mode", "auto")), left
    raise _bad_choice(str(choice.get("type")))


def _allowed(tool: Any, place: int) -> str:
    if isinstance(tool, dict) and tool.get("type") == "function" and isinstance(tool.get("name"), str):
        return str(tool["name"])
    where = f"tool_choice.tools[{place}]"
    message = f"`{where}` is not a function; this model's provider takes function tools."
    raise InvalidRequest(message, param=where, code="unsupported_tool")


def _bad_choice(kind: str) -> InvalidRequest:
    message = (
        f"`tool_choice` cannot be `{kind[:40]}` with this model's provider; it can be `auto`, `none`, `required`, a function "
        "or `allowed_tools`."
    )
    return InvalidRequest(message, param="tool_choice", code="unsupported_value")
