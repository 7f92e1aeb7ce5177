"""How the data plane is described in /openapi.json: paths, parameters and media types of every dialect's endpoints and routes."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from switchgear.contracts.dialect import Dialect, InferenceEndpoint, Route, WebSocketRoute
from switchgear.paths import PathPattern

Json = dict[str, Any]
_JSON = "application/json"
_STREAM = "text/event-stream"


def dialect_paths(dialects: Sequence[Dialect]) -> Json:
    """Return the path items."""
    paths: Json = {}
    narrowed: list[tuple[Json, str, Route]] = []
    for dialect in dialects:
        for entry in (*dialect.inference, *dialect.routes):
            pattern = PathPattern(entry.path)
            item = paths.setdefault(pattern.plain, {})
            method = (
                entry.method.lower()
                if isinstance(entry, Route)
                else "get"
                if isinstance(entry, WebSocketRoute)
                else "post"
            )
            if isinstance(entry, Route) and entry.when is not None:
                narrowed.append((item, method, entry))
            else:
                item[method] = _operation(dialect, entry, pattern, method)
    for item, method, entry in narrowed:
        if method in item:
            item[method]["parameters"].append(_narrowing(entry))
    return paths


def _narrowing(entry: Route) -> Json:
    """Describe the parameter of the query by which a request is answered by another."""
    assert entry.when is not None
    name, value = entry.when
    return {"name": name, "in": "query", "schema": {"type": "string", "enum": [value]}, "description": entry.summary}


def _operation(
    dialect: Dialect, entry: InferenceEndpoint | Route | WebSocketRoute, pattern: PathPattern, method: str
) -> Json:
    name = re.sub(r"\W+", "_", f"{method}{pattern.plain}").strip("_")
    described: Json = {
        "operationId": f"{dialect.name}.{name}",
        "tags": [dialect.name],
        "summary": (entry.__doc__ or "").strip().partition("\n")[0],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in pattern.names
        ],
        "responses": {"200": _content((_JSON, _STREAM)), "default": _error(dialect)},
    }
    if isinstance(entry, (Route, WebSocketRoute)):
        described["summary"] = entry.summary or f"{method.upper()} {entry.path}"
        if entry.open_to == "everybody":
            described["security"] = []
    if isinstance(entry, WebSocketRoute):
        switching = {"description": "A WebSocket is opened (RFC 6455)."}
        described["responses"] = {"101": switching, "default": _error(dialect)}
    elif isinstance(entry, Route):
        described["responses"] = {"2XX": _content(entry.gives), "default": _error(dialect)}
        if entry.takes:
            described["requestBody"] = {"required": True, **_content(entry.takes)}
            del described["requestBody"]["description"]
            if entry.body is not None:
                described["requestBody"]["content"][_JSON] = {"schema": _body(entry.body)}
    else:
        described["requestBody"] = {"required": True, "content": {_JSON: {"schema": {"type": "object"}}}}
    return described


def _body(type: type[Struct]) -> Json:
    schemas: dict[str, Json] = msgspec.json.schema_components([type])[1]
    return schemas[type.__name__]


def _content(media_types: Sequence[str]) -> Json:
    return {"description": "The answer.", "content": {media: _schema(media) for media in media_types}}


def _schema(media: str) -> Json:
    if media == _JSON:
        return {"schema": {}}
    return {"schema": {"type": "object"}} if media.startswith("multipart/") else {}


def _error(dialect: Dialect) -> Json:
    return {
        "description": f"What went wrong, as {dialect.name} says it.",
        "content": {_JSON: {"schema": {"type": "object"}}},
    }
