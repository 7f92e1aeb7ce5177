"""What is shown of a resource: its spec without secrets and hidden fields, and where it stands."""

from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from switchgear import json_paths as paths
from switchgear.contracts.resource import ResourceKind
from switchgear.contracts.store import Document
from switchgear.contracts.times import timestamp
from switchgear.errors import InvalidRequest
from switchgear.phrasing import or_rather
from switchgear.resources import sealing
from switchgear.resources.shape import fields_of

OWN_FIELDS = frozenset({"id", "version", "created_at", "updated_at", "owner", "deleted", "actor"})
"""Members of every view, which no spec may have."""


class Written(Struct, frozen=True):
    """What a write came to: the resource as shown (None: deleted) and what is shown once and never again."""

    id: str
    version: int
    view: dict[str, Any] | None
    once: dict[str, Any] = {}


class Page(Struct, frozen=True):
    """A piece of a list; with `next_cursor` there may be more."""

    data: list[dict[str, Any]]
    next_cursor: str | None = None


def view(kind: ResourceKind[Any, Any], document: Document) -> dict[str, Any]:
    """Return a resource as it is shown."""
    spec = sealing.masked(msgspec.json.decode(document.spec)) if document.spec else {}
    for path in kind.hidden:
        for spot, _ in list(paths.spots(spec, path)):
            paths.drop(spec, spot)
    return {
        "id": document.id,
        **(kind.shown(spec) if spec else spec),
        "version": document.version,
        "created_at": timestamp(document.created_us),
        "updated_at": timestamp(document.updated_us),
        "owner": document.owner,
    }


async def with_observed(kind: ResourceKind[Any, Any], views: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return views with what is seen of their resources besides."""
    if kind.observed is None or not views:
        return list(views)
    found = await kind.observed.read([it["id"] for it in views])
    nothing = kind.observed.type()
    return [{**it, **msgspec.to_builtins(found.get(it["id"], nothing))} for it in views]


def version_view(kind: ResourceKind[Any, Any], document: Document) -> dict[str, Any]:
    """Return one version as it is shown; of one that deleted the resource there is no spec."""
    return {**view(kind, document), "actor": document.actor, "deleted": document.deleted}


def filter_fields(kind: ResourceKind[Any, Any]) -> list[str]:
    """Return the fields a list may be filtered by: those that neither are nor hold something secret or hidden."""
    secrets = () if callable(kind.secrets) else kind.secrets
    closed = {path.split(".")[0] for path in (*secrets, *kind.hidden)}
    return [name for name in fields_of(kind.spec) if name not in closed]


class Filter:
    """Which resources of a list are wanted: exact values of top-level scalar fields, an item of a list (`tags=x`), a member of
    an object (`metadata.team=x`), and a word in the id or name.
    """

    def __init__(
        self, kind: ResourceKind[Any, Any], equals: dict[str, str], word: str | None, prefix: str | None = None
    ) -> None:
        if prefix is not None and kind.named is None:
            raise _refused("prefix", f"{kind.name} cannot be searched by `prefix`; `q` is a word in the id or name")
        known = {"owner", *filter_fields(kind)}
        types = fields_of(kind.spec)
        for name, value in equals.items():
            top, dot, member = name.partition(".")
            if top not in known or (dot and not member):
                raise _refused(name, f"{kind.name} cannot be filtered by `{name[:80]}`{or_rather(name, known)}")
            shape = _shape(types[top].type) if top in types else "scalar"
            if shape == "object" and not dot:
                raise _refused(name, f"`{top}` is an object: filter by a member of it, as `{top}.NAME=…`")
            if shape != "object" and dot:
                raise _refused(name, f"`{top}` has no members to filter by")
            if shape == "bool" and value not in ("true", "false"):
                raise _refused(name, f"`{top}` is `true` or `false`")
        self.equals = equals
        self.word = word
        self.prefix = prefix

    def __bool__(self) -> bool:
        return bool(self.equals or self.word or self.prefix)

    def __call__(self, view: dict[str, Any]) -> bool:
        """Say whether a view is wanted."""
        if self.word and not any(self.word.casefold() in str(view.get(name, "")).casefold() for name in ("id", "name")):
            return False
        if self.prefix and not str(view.get("name", "")).casefold().startswith(self.prefix.casefold()):
            return False
        return all(_has(view, name, value) for name, value in self.equals.items())


def _refused(name: str, why: str) -> InvalidRequest:
    return InvalidRequest(why, code="bad_filter", param=name)


def _shape(type: Any) -> str:
    """Say what a field of this type is to a filter: `object`, `bool` or `scalar`; a list is as its items are."""
    inner = [item for item in get_args(type) if item is not NoneType and item is not Ellipsis]
    origin = get_origin(type)
    if origin is Annotated:
        return _shape(inner[0])
    if origin in (dict, Mapping):
        return "object"
    if origin in (Union, UnionType):
        shapes = {_shape(item) for item in inner}
        return shapes.pop() if len(shapes) == 1 else "scalar"
    if isinstance(type, _TYPE) and issubclass(type, Struct):
        return "object"
    return "bool" if type is bool else "scalar"


_TYPE = type


def _has(view: dict[str, Any], name: str, value: str) -> bool:
    top, dot, member = name.partition(".")
    found = view.get(top)
    if dot:
        found = found.get(member) if isinstance(found, dict) else None
    if isinstance(found, list):
        return any(_text(item) == value for item in found)
    return _text(found) == value


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    return None if isinstance(value, dict | list) else msgspec.json.encode(value).decode()
