"""The tools of a request as functions, and what a call of such a function is in this API.

A function of a namespace becomes one of a longer name; a tool of free text one with a single text; the client's shell and its
search for tools become functions too. What only the API's own vendor runs is left out, by name. Wire:
developers.openai.com/api/reference/resources/responses (tools), and `additional_tools` and `tool_search_output` of its input.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Call
from switchgear.errors import InvalidRequest
from switchgear.wire import web_search
from switchgear.wire.members import member

LONGEST = 64
"""Characters of a function's name that every provider takes."""
FUNCTION, CUSTOM, SEARCH, SHELL = "function", "custom", "tool_search", "local_shell"

_FUNCTION = ("name", "description", "parameters", "strict")
_HASH = 8
_NOTHING = {"type": "object", "properties": {}}
_FREE_TEXT = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The whole input of the tool, as plain text."}},
    "required": ["input"],
    "additionalProperties": False,
}
_COMMAND = {
    "type": "object",
    "properties": {
        "command": {"type": "array", "items": {"type": "string"}},
        "working_directory": {"type": "string"},
        "timeout_ms": {"type": "integer"},
    },
    "required": ["command"],
}
_QUERY = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}


class Origin(Struct, frozen=True):
    """What the client calls a tool, and of which kind it is there."""

    kind: str
    name: str
    namespace: str | None = None


class Toolbox:
    """The tools of one request. `functions` are those of a chat, `origins` lead from their names to the client's.

    `left_out` names those that cannot be carried, `kinds_left_out` are the types of those that are no functions; `search` names
    the one that searches the web, which is asked for with `search_options`. Raises `InvalidRequest` naming a tool that
    is none.
    """

    def __init__(self, call: Call) -> None:
        self.functions: list[dict[str, Any]] = []
        self.origins: dict[str, Origin] = {}
        self.left_out: list[str] = []
        self.kinds_left_out: set[str] = set()
        self.search: str | None = None
        self.search_options: dict[str, Any] = {}
        self._flat: dict[tuple[str | None, str], str] = {}
        self._add_all(call.member("tools", list[dict[str, Any]]) or (), "tools")
        for place, item in enumerate(_items(call)):
            if item.type in ("additional_tools", "tool_search_output"):
                self._add_all(item.tools or (), f"input[{place}].tools")

    def flat(self, namespace: str | None, name: str) -> str:
        """Return the name under which a tool goes out; the same for a tool that was there in an earlier turn only."""
        known = self._flat.get((namespace, name))
        return known if known is not None else self._free(namespace, name)

    def origin(self, name: str) -> Origin:
        """Return what the client calls the function of a name; a function it does not know is one of that name."""
        return self.origins.get(name) or Origin(FUNCTION, name)

    def _add_all(self, tools: Iterable[dict[str, Any]], where: str, namespace: str | None = None) -> None:
        for place, tool in enumerate(tools):
            self._add(tool, f"{where}[{place}]", namespace)

    def _add(self, tool: dict[str, Any], where: str, namespace: str | None) -> None:
        kind = tool.get("type")
        if kind == "namespace" and namespace is None:
            self._add_namespace(tool, where)
        elif kind == FUNCTION:
            self._note(tool, where, _FUNCTION)
            function = {name: tool[name] for name in _FUNCTION if tool.get(name) is not None}
            self._put(Origin(FUNCTION, _named(tool, where), namespace), function)
        elif kind == CUSTOM:
            self._note(tool, where, ("name", "description", "format"))
            function = {"description": _free_text(tool), "parameters": _FREE_TEXT}
            self._put(Origin(CUSTOM, _named(tool, where), namespace), function)
        elif kind == SHELL:
            function = {"description": "Runs a command on the user's machine.", "parameters": _COMMAND}
            self._put(Origin(SHELL, SHELL), function)
        elif kind == SEARCH and tool.get("execution") == "client":
            function = {"parameters": tool.get("parameters") or _QUERY}
            if tool.get("description"):
                function["description"] = tool["description"]
            self._put(Origin(SEARCH, SEARCH), function)
        else:
            name = f"{where}.{str(kind)[:40]}"
            self.kinds_left_out.add(str(kind))
            if str(kind).startswith(web_search.TOOL):
                self.search = name
                self.search_options, lost = web_search.options_of(tool)
                self.left_out += [f"{name}.{member}" for member in lost]
            else:
                self.left_out.append(name)

    def _add_namespace(self, tool: dict[str, Any], where: str) -> None:
        """Add the tools of a namespace; what is said of all of them is told with the first."""
        name, inner, said = _named(tool, where), tool.get("tools"), tool.get("description")
        first = len(self.functions)
        self._add_all(inner if isinstance(inner, list) else (), f"{where}.tools", name)
        if isinstance(said, str) and len(self.functions) > first:
            function = self.functions[first]["function"]
            of_all = f"Of all tools whose names begin with `{_prefix(name)}`: {said}"
            function["description"] = "\n\n".join(filter(None, (function.get("description"), of_all)))
        self._note(tool, where, ("name", "tools", "description"))

    def _note(self, tool: dict[str, Any], where: str, known: tuple[str, ...]) -> None:
        self.left_out += [
            f"{where}.{name}"
            for name, value in tool.items()
            if name not in ("type", *known) and value not in (None, False, ["direct"])
        ]

    def _put(self, origin: Origin, function: dict[str, Any]) -> None:
        key = (origin.namespace, origin.name)
        if key in self._flat:
            return  # given again, as tools that were found before are
        name = self._flat[key] = self._free(*key)
        self.origins[name] = origin
        self.functions.append({"type": "function", "function": {**function, "name": name}})

    def _free(self, namespace: str | None, name: str) -> str:
        if namespace is None:
            wanted = name
            if wanted not in self.origins:
                return wanted
        else:
            wanted = _prefix(namespace) + name
            if len(wanted) <= LONGEST and wanted not in self.origins:
                return wanted
        mark = hashlib.blake2b(f"{namespace}\0{name}".encode("utf-8", "replace"), digest_size=_HASH // 2).hexdigest()
        return f"{wanted[: LONGEST - _HASH - 1]}_{mark}"


class _Item(Struct):
    type: str | None = None
    tools: list[dict[str, Any]] | None = None


_item = msgspec.json.Decoder(_Item)


def _items(call: Call) -> list[_Item]:
    """Return the input items as far as they may hold tools."""
    given = call.members.get("input")
    if given is None or not any(kind in bytes(given) for kind in (b"additional_tools", b"tool_search_output")):
        return []
    items: Any = member(call.members, "input", str | list[Raw])  # type: ignore[arg-type]  # a union is a type here
    found = []
    for place, item in enumerate(items if isinstance(items, list) else ()):
        try:
            found.append(_item.decode(item))
        except (msgspec.DecodeError, RecursionError) as error:
            where = f"input[{place}]"
            detail = str(error).partition(" - at ")[0]
            raise InvalidRequest(f"`{where}` is invalid: {detail}.", param=where, code="invalid_value") from None
    return found


def _prefix(namespace: str) -> str:
    return namespace if namespace.endswith("__") else f"{namespace}__"


def _named(tool: dict[str, Any], where: str) -> str:
    name = tool.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidRequest(f"`{where}.name` must be a text.", param=f"{where}.name", code="invalid_value")
    return name


def _free_text(tool: dict[str, Any]) -> str:
    """Describe a tool of free text: the grammar that its input is held to is said in words, since nothing else holds it."""
    said = [str(tool["description"])] if tool.get("description") else []
    format = tool.get("format")
    if isinstance(format, dict) and format.get("definition"):
        syntax = str(format.get("syntax") or "grammar")
        said.append(f"The input must match this {syntax} grammar:\n{format['definition']}")
    return "\n\n".join(said)


def write_text(text: str) -> str:
    """Write the input of a tool of free text as the arguments of its function."""
    return msgspec.json.encode({"input": text}).decode()


def read_text(arguments: str) -> str:
    """Read it again; arguments that are of another form are the input themselves."""
    try:
        found = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return arguments
    if isinstance(found, dict) and isinstance(found.get("input"), str):
        return str(found["input"])
    return found if isinstance(found, str) else arguments


def read_object(arguments: str) -> dict[str, Any]:
    """Read arguments as an object; empty for whatever is none."""
    try:
        found = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
