"""JSON schemas that hold an answer, in the part of the language that a strict target takes.

Source: platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema limitations"; what the vendor's own SDK
does with the rest is done here as well: closed objects, other keywords told in the description.
"""

from typing import Any

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
