"""Decoding that names every bad field, not only the first.

msgspec stops at the first thing that does not fit. Here its verdict is asked member by member, down through nested Structs,
objects and lists, so that one answer shows all there is to mend. A member that no Struct declares is always an error.
"""

import types
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo

from switchgear.contracts.resource import Problem
from switchgear.json_paths import Spot, pointer
from switchgear.phrasing import or_rather
from switchgear.rawjson import what_and_where

T = TypeVar("T")
_MOST_UNKNOWN = 100
"""Members without a field that are named in one object."""


def decode(type_: type[T], value: Any) -> tuple[T | None, list[Problem]]:
    """Convert plain JSON values to `type_`; return it, or every problem there is."""
    problems = list(_problems(type_, value, ()))
    if problems:
        return None, problems
    return msgspec.convert(value, type_, str_keys=True), []


def _problems(type_: Any, value: Any, spot: Spot) -> Iterator[Problem]:
    """Yield what is wrong below a spot; if nothing is wrong below, what is wrong with the whole."""
    below = list(_below(type_, value, spot))
    yield from below
    if not below:
        try:
            msgspec.convert(value, type_, str_keys=True)
        except msgspec.ValidationError as error:
            yield _problem(error, spot, _elsewhere(value) or _choice(type_, value))


def _elsewhere(value: Any) -> str:
    """Say where what looks like `{ env = … }` is read."""
    if isinstance(value, dict) and len(value) == 1 and value.keys() <= {"env", "file"}:
        return "; `env` and `file` are read in files, and there only where a secret stands"
    return ""


def _choice(type_: Any, value: Any) -> str:
    """Return what a word might have been, where it must be one of a few."""
    if get_origin(type_) in (Union, types.UnionType):
        return next((hint for member in get_args(type_) if (hint := _choice(member, value))), "")
    return or_rather(str(value), map(str, get_args(type_))) if get_origin(type_) is Literal else ""


def _problem(error: msgspec.ValidationError, spot: Spot, choice: str = "") -> Problem:
    detail, where = what_and_where(error)
    if not where:
        return Problem(pointer(spot), detail + choice)
    inside = where.replace("[", ".").replace("]", "").replace("...", "*").strip(".")
    return Problem(pointer((*spot, *inside.split("."))), detail)


def _below(type_: Any, value: Any, spot: Spot) -> Iterator[Problem]:
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Annotated:
        yield from _below(arguments[0], value, spot)
    elif origin in (Union, types.UnionType):
        yield from _union(arguments, value, spot)
    elif isinstance(base := origin or type_, type):
        if issubclass(base, msgspec.Struct):
            if isinstance(value, dict):
                yield from _struct(type_, value, spot)
        elif issubclass(base, Mapping) and isinstance(value, dict) and len(arguments) == 2:  # noqa: PLR2004 - key and value
            for name, item in value.items():
                yield from _problems(arguments[1], item, (*spot, name))
        elif issubclass(base, Sequence | AbstractSet) and isinstance(value, list) and _is_uniform(base, arguments):
            for index, item in enumerate(value):
                yield from _problems(arguments[0], item, (*spot, index))


def _is_uniform(base: type, arguments: tuple[Any, ...]) -> bool:
    if base is tuple:
        return len(arguments) == 2 and arguments[1] is Ellipsis  # noqa: PLR2004 - tuple[X, ...]
    return len(arguments) == 1


def _struct(type_: Any, value: dict[str, Any], spot: Spot) -> Iterator[Problem]:
    config = (get_origin(type_) or type_).__struct_config__
    fields = fields_of(type_)
    if config.tag_field is not None and value.get(config.tag_field, config.tag) != config.tag:
        yield Problem(pointer((*spot, config.tag_field)), f"must be {config.tag!r}")
    for name, field in fields.items():
        if name in value:
            yield from _problems(field.type, value[name], (*spot, name))
        elif field.required:
            yield Problem(pointer((*spot, name)), "is required")
    unknown = (name for name in value if name not in fields and name != config.tag_field)
    for count, name in enumerate(unknown):
        if count < _MOST_UNKNOWN:  # each is compared with all that there is
            yield Problem(pointer((*spot, name)), f"there is no such field{or_rather(name, fields)}")


def _union(members: tuple[Any, ...], value: Any, spot: Spot) -> Iterator[Problem]:
    if value is None and types.NoneType in members:
        return
    candidates = [member for member in members if member not in (types.NoneType, msgspec.UnsetType)]
    if len(candidates) == 1:
        yield from _below(candidates[0], value, spot)
        return
    tagged = {config.tag: member for member in candidates if (config := _tagged(member))}
    if not isinstance(value, dict) or not tagged:
        return  # a union of plain types: msgspec's own words name what fits
    field = next(_tagged(member).tag_field for member in tagged.values())
    if field not in value:
        yield Problem(
            pointer((*spot, field)), f"is required: one of {', '.join(f'`{tag}`' for tag in sorted(tagged, key=str))}"
        )
    elif not isinstance(value[field], str | int) or value[field] not in tagged:
        word = str(value[field])[:80]
        yield Problem(pointer((*spot, field)), f"there is no `{word}`{or_rather(word, map(str, tagged))}")
    else:
        yield from _below(tagged[value[field]], value, spot)


def _tagged(member: Any) -> Any:
    config = getattr(get_origin(member) or member, "__struct_config__", None)
    return config if config is not None and config.tag is not None else None


def fields_of(type_: type[msgspec.Struct]) -> Mapping[str, FieldInfo]:
    """Return the fields of a Struct by the name they have in JSON."""
    return _fields(type_)


@lru_cache(1024)
def _fields(type_: type[msgspec.Struct]) -> Mapping[str, FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(type_)}


def no_such_path(type_: type[msgspec.Struct], path: str) -> str | None:
    """Return why a dotted path (`source.values.*`) leads nowhere in a Struct's JSON; None if it leads somewhere."""
    if next(types_at(type_, path), None) is not None:
        return None
    return f"`{type_.__name__}` has nothing there{or_rather(path, fields_of(type_))}"


def types_at(type_: Any, path: str) -> Iterator[Any]:
    """Yield the types that values at a dotted path have; none where there is no such place."""
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Annotated:
        yield from types_at(arguments[0], path)
    elif origin in (Union, types.UnionType):
        for member in arguments:
            yield from types_at(member, path)
    elif not path:
        yield type_
    elif type_ is Any:
        yield Any
    elif isinstance(origin or type_, type):
        head, _, rest = path.partition(".")
        for inside in _inside(type_, origin or type_, arguments, head):
            yield from types_at(inside, rest)


def _inside(type_: Any, base: type, arguments: tuple[Any, ...], name: str) -> Iterator[Any]:
    """Yield the types of what has this name in a value, `*` being every member or item."""
    if issubclass(base, msgspec.Struct):
        yield from (field.type for own, field in fields_of(type_).items() if name in ("*", own))
    elif issubclass(base, Mapping):
        yield arguments[1] if len(arguments) == 2 else Any  # noqa: PLR2004 - key and value
    elif issubclass(base, Sequence | AbstractSet) and not issubclass(base, str | bytes) and name == "*":
        yield arguments[0] if arguments else Any
