"""Ways into JSON values: the dotted paths that kinds declare, the JSON pointers (RFC 6901) that answers use.

A dotted path (`source.values.*`) is a pattern, `*` being every member or item; a `Spot` is one place it matches.
"""

from collections.abc import Iterator
from typing import Any

Spot = tuple[str | int, ...]


def spots(value: Any, path: str) -> Iterator[tuple[Spot, Any]]:
    """Yield every place in `value` that `path` matches, with what is there."""
    yield from _descend(value, path.split("."), ())


def _descend(value: Any, parts: list[str], at: Spot) -> Iterator[tuple[Spot, Any]]:
    if not parts:
        yield at, value
        return
    head, rest = parts[0], parts[1:]
    if isinstance(value, dict):
        for name in list(value) if head == "*" else [head] if head in value else []:
            yield from _descend(value[name], rest, (*at, name))
    elif isinstance(value, list) and head == "*":
        for index, item in enumerate(value):
            yield from _descend(item, rest, (*at, index))


def at(value: Any, spot: Spot) -> Any:
    """Return what is at a spot, None if the way there is broken."""
    for part in spot:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value


def put(value: Any, spot: Spot, new: Any) -> None:
    """Replace what is at a spot that exists."""
    for part in spot[:-1]:
        value = value[part]
    value[spot[-1]] = new


def drop(value: Any, spot: Spot) -> None:
    """Take out what is at a spot that exists."""
    for part in spot[:-1]:
        value = value[part]
    del value[spot[-1]]


def dotted(spot: Spot) -> str:
    """Write a spot as a dotted path."""
    return ".".join(map(str, spot))


def pointer(spot: Spot) -> str:
    """Write a spot as a JSON pointer."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in spot)
