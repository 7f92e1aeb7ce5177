"""The description of the admin API (OpenAPI 3.1): concrete schemas for every kind, from the Structs it declares."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import product
from typing import Annotated, Any

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from msgspec import NODEFAULT, UNSET, Meta, Struct, UnsetType

from switchgear import __version__
from switchgear.admin.conditions import JSON, MERGE_PATCH, PREFIX, Restore
from switchgear.admin.described import dialect_paths
from switchgear.admin.problems import MEDIA_TYPE, ProblemDetails
from switchgear.contracts.dialect import Dialect
from switchgear.contracts.resource import ResourceKind
from switchgear.names import id_pattern
from switchgear.resources.engine import MAX_PAGE
from switchgear.resources.shape import fields_of
from switchgear.resources.views import filter_fields

Json = dict[str, Any]
Timestamp = Annotated[datetime, Meta(tz=True)]
_KINDS = "switchgear.kinds"
_REF = "#/components/schemas/{name}"
_IN_PATH = {"in": "path", "required": True}
_PARAMETER = re.compile(r"\{(\w+):\w+\}")
"""A parameter of a route's path with its type, which the description says elsewhere."""


class KindTypes:
    """The request and response types of one kind."""

    def __init__(self, kind: ResourceKind[Any, Any]) -> None:
        self.kind = kind
        name = re.sub(r"\W+", "", kind.title.title() if kind.title.islower() else kind.title)
        self.name = name[:1].upper() + name[1:]
        written, stored = _fields(kind.input or kind.spec), _fields(kind.spec, leave_out=kind.hidden)
        id_ = ("id", str, NODEFAULT if kind.id_prefix is None else UNSET)
        own = [("version", int), ("created_at", Timestamp), ("updated_at", Timestamp), ("owner", str)]
        observed = [] if kind.observed is None else _fields(kind.observed.type)
        view = [("id", str), *stored, *own]
        self.create = self._struct("Create", [id_, *written], f"A {kind.title} to be made.", strict=True)
        self.replace = self._struct("Replace", written, f"Everything a client may say of a {kind.title}.", strict=True)
        self.patch = self._struct(
            "Patch", [_optional(*field) for field in written], "A merge patch (RFC 7396).", strict=True
        )
        self.view = self._struct("", [*view, *observed], (kind.spec.__doc__ or "").strip() or f"A {kind.title}.")
        once = [(field, str, UNSET) for field in kind.once]
        self.shown_once = self._struct("ShownOnce", [*view, *once], "The resource, and what is shown only this time.")
        self.version = self._struct(
            "Version", [*view, ("actor", str), ("deleted", bool)], "A version; deleted ones lack a spec."
        )
        self.page = self._page("Page", self.view)
        self.versions = self._page("Versions", self.version)

    def all(self) -> Iterable[Any]:
        """Return every type."""
        yield from (self.create, self.replace, self.patch, self.view, self.shown_once, self.page)
        yield from (self.version, self.versions)
        yield from (action.input for action in self.kind.actions if action.input is not None)

    def _struct(self, suffix: str, fields: Iterable[Any], doc: str, *, strict: bool = False) -> Any:
        fields = list(fields)
        rename = {field[0]: field[3] for field in fields if len(field) > 3}  # noqa: PLR2004 - the name in JSON comes fourth
        made = msgspec.defstruct(
            f"{self.name}{suffix}",
            [field[:3] for field in fields],
            kw_only=True,
            forbid_unknown_fields=strict,
            rename=rename or None,
            module=f"{_KINDS}.{self.kind.name}",
        )
        made.__doc__ = doc
        return made

    def _page(self, suffix: str, item: Any) -> Any:
        fields = [("data", list[item]), ("next_cursor", str | None, None)]
        return self._struct(suffix, fields, "A piece of a list; with `next_cursor` there may be more.")


def _fields(type_: type[Struct], leave_out: Sequence[str] = ()) -> list[Any]:
    return [
        (field.name, field.type, _default(field), name)
        for name, field in fields_of(type_).items()
        if name not in leave_out
    ]


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return field.default


def _optional(name: str, type_: Any, _: Any, json_name: str) -> tuple[str, Any, Any, str]:
    return (name, type_ | None | UnsetType, UNSET, json_name)


def describe(
    kinds: Mapping[str, ResourceKind[Any, Any]],
    extra_handlers: Sequence[HTTPRouteHandler] = (),
    dialects: Sequence[Dialect] = (),
    root_path: str = "",
) -> Json:
    """Return the whole document: the admin API, and where the clients of each dialect come in."""
    types = [KindTypes(kind) for kind in kinds.values()]
    listed = [type_ for of_kind in types for type_ in of_kind.all()]
    bodies = [body for handler in extra_handlers if (body := handler.opt.get("body")) is not None]
    described = [*listed, Restore, ProblemDetails, *bodies]
    refs, components = _schemas(described)
    extra = _extra(extra_handlers, refs)
    paths: Json = {}
    for of_kind in types:
        paths |= _kind_paths(of_kind, refs)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Switchgear", "version": __version__},
        "servers": [{"url": root_path or "/"}],
        "security": [{"bearer": []}],
        "tags": [{"name": name} for name in dict.fromkeys((*kinds, *(dialect.name for dialect in dialects)))],
        "paths": paths | extra.get("paths", {}) | dialect_paths(dialects),
        "components": {
            "schemas": components | extra.get("components", {}).get("schemas", {}),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "parameters": _PARAMETERS,
            "headers": {"ETag": {"description": 'The version, quoted: `"3"`.', "schema": {"type": "string"}}},
            "responses": {
                "Problem": {
                    "description": "What went wrong and what to do, as problem details (RFC 9457).",
                    "content": {MEDIA_TYPE: {"schema": refs[ProblemDetails]}},
                }
            },
        },
    }


def _schemas(types: Sequence[Any]) -> tuple[dict[Any, Json], Json]:
    """Return the schema of each type, and the components that these refer to.

    Types that share a name get their modules' paths before it, with dots that many generators of clients cannot
    read: the types of kinds keep the name, others are told apart by their packages.
    """
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    plain: dict[str, str] = {}
    for name in sorted(components, key=lambda name: ("." in name, not name.startswith(f"{_KINDS}."), name)):
        *module, last = name.split(".")
        short = last if name.startswith(f"{_KINDS}.") else _camel(module[1:-1]) + last
        plain[name] = short if short not in plain.values() else _camel(module) + last
    named = {plain[name]: schema | {"title": plain[name]} for name, schema in components.items()}
    text = msgspec.json.encode([schemas, named]).decode()
    for name, short in plain.items():
        text = text.replace(f'"{_REF.format(name=name)}"', f'"{_REF.format(name=short)}"')
    schemas, components = msgspec.json.decode(text)
    return dict(zip(types, schemas, strict=True)), components


def _camel(module: Iterable[str]) -> str:
    return "".join(part.title().replace("_", "") for part in module)


_PARAMETERS: Json = {
    "Id": {"name": "id", **_IN_PATH, "schema": {"type": "string", "pattern": id_pattern(slashes=False)}},
    "IdWithSlashes": {
        "name": "id",
        **_IN_PATH,
        "description": "Its slashes are written %2F.",
        "schema": {"type": "string", "pattern": id_pattern(slashes=True)},
    },
    "Version": {"name": "version", **_IN_PATH, "schema": {"type": "integer", "minimum": 1}},
    "Limit": {
        "name": "limit",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 100},
    },
    "Cursor": {
        "name": "cursor",
        "in": "query",
        "description": "`next_cursor` of the page before.",
        "schema": {"type": "string"},
    },
    "Search": {"name": "q", "in": "query", "description": "A word in the id or name.", "schema": {"type": "string"}},
    "Prefix": {
        "name": "prefix",
        "in": "query",
        "description": "What the name begins with. Without another filter the list is then in the order of names, without pages.",
        "schema": {"type": "string"},
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "description": "The ETag that must be current, else 412.",
        "schema": {"type": "string"},
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag already known; 304 if it is current.",
        "schema": {"type": "string"},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same key with the same request gets the same answer and has one effect, for a day.",
        "schema": {"type": "string", "maxLength": 255},
    },
}


def _kind_paths(types: KindTypes, refs: Mapping[Any, Json]) -> Json:
    kind, base = types.kind, f"{PREFIX}/{types.kind.name}"

    def operation(
        verb: str, summary: str, status: int, answer: Any, body: Any = None, *params: str, **more: Any
    ) -> Json:
        described = {
            "operationId": f"{kind.name}.{verb}",
            "tags": [kind.name],
            "summary": summary,
            "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in params],
            "responses": {
                str(status): _response(refs.get(answer), summary),
                "default": {"$ref": "#/components/responses/Problem"},
            },
        }
        if body is not None:
            described["requestBody"] = {
                "required": True,
                "content": {media: {"schema": refs[body]} for media in more.get("media", (JSON,))},
            }
        return described

    title, id = kind.title, "IdWithSlashes" if kind.id_slashes else "Id"
    writes = (id, "IfMatch", "IdempotencyKey")
    search = ("Search",) if kind.named is None else ("Search", "Prefix")
    listing = operation("list", f"List {kind.name}", 200, types.page, None, "Limit", "Cursor", *search)
    taken = {_PARAMETERS[name]["name"] for name in ("Limit", "Cursor", *search)}
    listing["parameters"] += [it for it in _filters(types) if it["name"] not in taken]
    creating = operation("create", f"Create a {title}", 201, types.shown_once, types.create, "IdempotencyKey")
    creating["responses"]["201"]["headers"]["Location"] = {"schema": {"type": "string"}}
    reading = operation("get", f"Get a {title}", 200, types.view, None, id, "IfNoneMatch")
    reading["responses"]["304"] = {"description": "It is still the version you know."}
    one = {
        "get": reading,
        "put": operation("replace", f"Replace a {title}", 200, types.shown_once, types.replace, *writes),
        "patch": operation(
            "patch", f"Change a {title}", 200, types.shown_once, types.patch, *writes, media=(MERGE_PATCH, JSON)
        ),
        "delete": operation("delete", f"Delete a {title}", 204, None, None, *writes),
    }
    versions = operation(
        "versions", f"List the versions of a {title}", 200, types.versions, None, id, "Limit", "Cursor"
    )
    version = operation("version", f"Get a version of a {title}", 200, types.version, None, id, "Version")
    restore = operation("restore", f"Restore a version of a {title}", 200, types.view, Restore, *writes)
    actions = {
        f"{base}/{{id}}/{action.name}": {
            "post": operation(action.name, action.summary, 200, types.shown_once, action.input, *writes)
        }
        for action in kind.actions
    }
    return {
        base: {"get": listing, "post": creating},
        f"{base}/{{id}}": one,
        f"{base}/{{id}}/versions": {"get": versions},
        f"{base}/{{id}}/versions/{{version}}": {"get": version},
        f"{base}/{{id}}/restore": {"post": restore},
        **actions,
    }


def _filters(types: KindTypes) -> list[Json]:
    fields = fields_of(types.kind.spec)
    return [
        {"name": name, "in": "query", "description": f"Exactly this `{name}`.", "schema": {"type": "string"}}
        for name in filter_fields(types.kind)
        if _is_scalar(fields[name].type)
    ]


def _is_scalar(type_: Any) -> bool:
    schema = msgspec.json.schema(type_)
    found = [option.get("type") for option in schema.get("anyOf", [schema])]
    return all(name in ("string", "integer", "number", "boolean", "null") for name in found)


def _response(schema: Json | None, description: str) -> Json:
    if schema is None:
        return {"description": description}
    headers = {"ETag": {"$ref": "#/components/headers/ETag"}}
    return {"description": description, "headers": headers, "content": {JSON: {"schema": schema}}}


def _extra(handlers: Sequence[HTTPRouteHandler], refs: Mapping[Any, Json]) -> Json:
    """Describe the handlers that plugins bring; Litestar reads their signatures.

    One that reads its body itself says what it is in its `opt`.
    """
    if not handlers:
        return {}
    config = OpenAPIConfig(title="", version="")
    found = Litestar(list(handlers), openapi_config=config, logging_config=None).openapi_schema.to_schema()
    for handler in handlers:
        if (body := handler.opt.get("body")) is not None:
            content = {JSON: {"schema": refs[body]}}
            for path, method in product(handler.paths, handler.http_methods):
                plain = _PARAMETER.sub(r"{\1}", path)
                found["paths"][plain][method.lower()]["requestBody"] = {"required": True, "content": content}
    return found
