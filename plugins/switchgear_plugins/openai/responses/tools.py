"""The choice among tools, as a chat says it; the tools themselves are in the toolbox."""

from typing import Any

from msgspec import Raw

from switchgear.contracts.provider import Call
from switchgear.errors import InvalidRequest
from switchgear.wire import web_search
from switchgear.wire.members import raw
from switchgear_plugins.openai.responses.toolbox import CUSTOM, FUNCTION, SEARCH, SHELL, Toolbox

_CARRIED = (FUNCTION, CUSTOM, SEARCH, SHELL)


def add_tools(call: Call, made: Call, toolbox: Toolbox) -> None:
    """Carry `tools` and `tool_choice` into a chat.

    What cannot be carried is left out by name, together with a choice that wants it: without tools there is nothing to choose.
    Raises `InvalidRequest` for a choice that is none.
    """
    made.drop(*toolbox.left_out)
    if toolbox.search is not None:
        made.members[web_search.MEMBER] = raw(toolbox.search_options)
    choice, tools = _choice(call, toolbox)
    if tools:
        made.members["tools"] = raw(tools)
        if choice is not None:
            made.members["tool_choice"] = choice
        return
    made.members.pop("parallel_tool_calls", None)
    if choice is not None and bytes(choice) not in (b'"auto"', b'"none"'):
        made.drop("tool_choice")


def _choice(call: Call, toolbox: Toolbox) -> tuple[Raw | None, list[dict[str, Any]]]:
    """Return the choice and the tools it leaves: only some being allowed is said by giving only those."""
    tools = toolbox.functions
    choice: Any = call.member("tool_choice", str | dict[str, Any])  # type: ignore[arg-type]  # a union is a type here
    if choice is None:
        return None, tools
    if isinstance(choice, str):
        if choice not in ("auto", "none", "required"):
            raise _bad_choice(choice)
        return raw(choice), tools
    kind = choice.get("type")
    if kind in _CARRIED:
        return raw({"type": "function", "function": {"name": _function_of(choice, toolbox)}}), tools
    if kind == "allowed_tools" and choice.get("mode", "auto") in ("auto", "required"):
        return _allowed(choice, toolbox)
    if kind in toolbox.kinds_left_out:
        return raw("required"), []
    raise _bad_choice(str(kind))


def _allowed(choice: dict[str, Any], toolbox: Toolbox) -> tuple[Raw, list[dict[str, Any]]]:
    allowed = choice.get("tools")
    named = [tool for tool in allowed if isinstance(tool, dict)] if isinstance(allowed, list) else []
    names = {_function_of(tool, toolbox) for tool in named if tool.get("type") in _CARRIED}
    left = [tool for tool in toolbox.functions if tool["function"]["name"] in names]
    others = {str(tool.get("type")) for tool in named if tool.get("type") not in _CARRIED}
    if not named or len(left) != len(names) or not others <= toolbox.kinds_left_out:
        message = "`tool_choice.tools` must name functions that are in `tools`."
        raise InvalidRequest(message, param="tool_choice.tools", code="invalid_value")
    return raw(choice.get("mode", "auto")), left


def _function_of(tool: dict[str, Any], toolbox: Toolbox) -> str:
    kind = str(tool["type"])
    name, namespace = tool.get("name"), tool.get("namespace")
    if kind in (SEARCH, SHELL):
        name = kind
    if not isinstance(name, str):
        raise InvalidRequest("`tool_choice.name` is missing.", param="tool_choice.name", code="missing_field")
    return toolbox.flat(namespace if isinstance(namespace, str) else None, name)


def _bad_choice(kind: str) -> InvalidRequest:
    message = (
        f"`tool_choice` cannot be `{kind[:40]}` with this model's provider; it can be `auto`, `none`, `required`, one of `tools` "
        "or `allowed_tools`."
    )
    return InvalidRequest(message, param="tool_choice", code="unsupported_value")
