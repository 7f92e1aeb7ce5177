"""JSON schemas that hold an answer, in the part of the language that a strict target takes.

Source: platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema limitations"; what the vendor's own SDK
does with the rest is done here as well: closed objects, other keywords told in the description.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct

from switchgear.contracts.provider import Call
from switchgear.wire.members import raw

_UNKNOWN = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
    *("contains", "minContains", "maxContains", "propertyNames", "patternProperties", "dependentRequired", "not"),
    *("if", "then", "else", "dependentSchemas", "unevaluatedProperties", "unevaluatedItems", "prefixItems"),
)
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_MAPS = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "allOf")
_MOST_DEPTH = 64

Schema = dict[str, Any]


def fit_schema(schema: Schema) -> tuple[Schema, list[str], bool]:
    """Return a schema the target takes, the keywords that were taken out of it, and whether an object had to be closed."""
    lost: dict[str, None] = {}
    closed: list[bool] = []
    return _fitted(schema, lost, closed, 0), list(lost), bool(closed)


def is_fit(schema: Schema) -> bool:
    """Say whether a schema is taken as it is."""
    _, lost, closed = fit_schema(schema)
    return not lost and not closed


_JOINED = ("anyOf", "oneOf", "allOf")
_NOT_AT_THE_ROOT = (*_JOINED, "enum", "not")


def fit_root(schema: Schema) -> tuple[Schema, bool]:
    """Return the schema of a tool's arguments as an object at its root, which vendors want, and whether something was lost by it.

    What stood there as alternatives are members that may be given.
    """
    if schema.get("type") == "object" and not any(name in schema for name in _NOT_AT_THE_ROOT):
        return schema, False
    found = {name: value for name, value in schema.items() if name not in _NOT_AT_THE_ROOT}
    found["type"] = "object"
    branches = [it for name in _JOINED for it in _listed(schema.get(name)) if isinstance(it, dict)]
    inner = [it["properties"] for it in branches if isinstance(it.get("properties"), dict)]
    given = found.get("properties")
    members = {name: it for properties in inner for name, it in properties.items()}
    members |= given if isinstance(given, dict) else {}
    if members:
        found["properties"] = members
    return found, any(name in schema for name in _NOT_AT_THE_ROOT)


class _Root(Struct, rename={"any": "anyOf", "one": "oneOf", "all": "allOf", "is_not": "not"}):
    type: Any = UNSET
    any: Any = UNSET
    one: Any = UNSET
    all: Any = UNSET
    enum: Any = UNSET
    is_not: Any = UNSET
    properties: Any = UNSET


class _Function(Struct):
    name: str = ""
    parameters: _Root | None = None
    strict: bool | None = None


class _Tool(Struct):
    function: _Function | None = None


_tools = msgspec.json.Decoder(list[_Tool])
_anything = msgspec.json.Decoder()


def fit_schemas(call: Call, members: dict[str, Raw]) -> dict[str, Raw]:
    """Return a translated chat's members with schemas as the chat's own vendor takes them.

    It holds tools and answers strictly to a schema only if that is closed and wants all its members.
    """
    tools = members.get("tools")
    if tools is not None and _may_not_fit(tools):
        given: list[Any] = _anything.decode(tools)
        found = [tool for place, tool in enumerate(given) if _name(tool) not in map(_name, given[:place])]
        if len(found) < len(given):
            call.drop("tools")  # a call could not say which of them it means
        for tool in found:
            if isinstance(function := tool.get("function"), dict):
                _fit_function(call, function)
        members = {**members, "tools": raw(found)}
    wanted = members.get("response_format")
    if wanted is not None and b'"strict"' in bytes(wanted):
        format: Any = _anything.decode(wanted)
        inner = format.get("json_schema") if isinstance(format, dict) else None
        if isinstance(inner, dict) and inner.get("strict") and not is_closed(inner.get("schema")):
            call.drop("response_format.json_schema.strict")
            del inner["strict"]
            members = {**members, "response_format": raw(format)}
    return members


def _may_not_fit(tools: Raw) -> bool:
    try:
        found = _tools.decode(tools)
    except (msgspec.DecodeError, RecursionError):
        return False
    functions = [tool.function for tool in found if tool.function is not None]
    text = bytes(tools)
    if len({it.name for it in functions}) < len(functions) or text.count(b'"array"') > text.count(b'"items"'):
        return True
    return any(it.strict or (it.parameters is not None and not _is_root(it.parameters)) for it in functions)


def _name(tool: Any) -> Any:
    """Return the name of a function; for another tool itself, which nothing else is."""
    function = tool.get("function") if isinstance(tool, dict) else None
    return function.get("name") if isinstance(function, dict) else tool


def _is_root(root: _Root) -> bool:
    others = (root.any, root.one, root.all, root.enum, root.is_not)
    return root.type == "object" and root.properties is not UNSET and all(value is UNSET for value in others)


def _fit_function(call: Call, function: Schema) -> None:
    parameters = function.get("parameters")
    if isinstance(parameters, dict):
        fitted, lost = fit_root(_with_items(parameters, 0))
        function["parameters"] = {**fitted, "properties": fitted.get("properties") or {}}
        if lost:
            call.change("tools.function.parameters")
    if function.get("strict") and not is_closed(function.get("parameters")):
        call.drop("tools.function.strict")
        del function["strict"]


def _with_items(schema: Any, depth: int) -> Any:
    """Return a schema whose arrays say what is in them, if only that it may be anything."""
    if not isinstance(schema, dict) or depth > _MOST_DEPTH:
        return schema
    found = {name: _with_items(it, depth + 1) if name == "items" else it for name, it in schema.items()}
    for name in _MAPS:
        if isinstance(found.get(name), dict):
            found[name] = {key: _with_items(it, depth + 1) for key, it in found[name].items()}
    for name in _JOINED:
        if name in found:
            found[name] = [_with_items(it, depth + 1) for it in _listed(found[name])]
    if "array" in (found.get("type"), *_listed(found.get("type"))) and "prefixItems" not in found:
        found.setdefault("items", {})
    return found


def is_closed(schema: Any, depth: int = 0) -> bool:
    """Say whether each object in a schema allows no other members than it names, and wants all of those."""
    if not isinstance(schema, dict):
        return True
    if depth > _MOST_DEPTH:
        return False
    properties = schema.get("properties")
    if properties is not None or "object" in (schema.get("type"), *_listed(schema.get("type"))):
        if schema.get("additionalProperties") is not False:
            return False
        if not set(properties or ()) <= {it for it in _listed(schema.get("required")) if isinstance(it, str)}:
            return False
    maps = [inner for name in _MAPS if isinstance(inner := schema.get(name), dict)]
    below = [it for inner in maps for it in inner.values()]
    below += [it for name in _LISTS for it in _listed(schema.get(name))]
    return all(is_closed(it, depth + 1) for it in (*below, schema.get("items")))


def _fitted(schema: Schema, lost: dict[str, None], closed: list[bool], depth: int) -> Schema:
    if depth > _MOST_DEPTH:
        return schema
    found = dict(schema)
    told: list[str] = []

    def take(name: str) -> None:
        lost[name] = None
        value = found.pop(name)
        if isinstance(value, str | int | float | list):
            told.append(f"{name}: {value}")

    for name in _UNKNOWN:
        if name in found:
            take(name)
    if found.get("minItems") not in (None, 0, 1):
        take("minItems")
    if "format" in found and found["format"] not in _FORMATS:
        take("format")
    _fit_inner(found, lost, closed, depth)
    is_object = "properties" in found or "object" in (found.get("type"), *_listed(found.get("type")))
    if is_object and found.get("additionalProperties") is not False:
        closed.append(True)
        found["additionalProperties"] = False
    if told:
        said = found.get("description")
        found["description"] = f"{said} " if isinstance(said, str) and said else ""
        found["description"] += f"({', '.join(told)})"
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _fit_inner(found: Schema, lost: dict[str, None], closed: list[bool], depth: int) -> None:
    if isinstance(found.get("oneOf"), list):
        found.setdefault("anyOf", found.pop("oneOf"))
        lost["oneOf"] = None
    for name in _MAPS:
        if isinstance(found.get(name), dict):
            found[name] = {key: _inner(it, lost, closed, depth) for key, it in found[name].items()}
    for name in _LISTS:
        if isinstance(found.get(name), list):
            found[name] = [_inner(it, lost, closed, depth) for it in found[name]]
    if "items" in found:
        found["items"] = _inner(found["items"], lost, closed, depth)


def _inner(schema: Any, lost: dict[str, None], closed: list[bool], depth: int) -> Any:
    return _fitted(schema, lost, closed, depth + 1) if isinstance(schema, dict) else schema
