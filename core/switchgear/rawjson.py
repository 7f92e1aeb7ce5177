"""JSON objects taken apart no further than their top level, and what msgspec says of what does not fit."""

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from switchgear.errors import InvalidRequest

T = TypeVar("T")


@cache
def _decoder(type: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type | None)


def member(members: Mapping[str, Raw], name: str, type: type[T]) -> T | None:
    """Decode one member; None if it is absent or null. Raises `InvalidRequest` naming it."""
    raw = members.get(name)
    if raw is None:
        return None
    try:
        found: T | None = _decoder(type).decode(raw)  # type: ignore[arg-type]  # a type is hashable
    except (msgspec.DecodeError, RecursionError) as error:
        detail, _ = what_and_where(error)
        raise InvalidRequest(f"`{name}` is invalid: {detail}.", param=name, code="invalid_value") from None
    return found


def what_and_where(error: Exception) -> tuple[str, str]:
    """Take an error of msgspec's decoders apart: what is wrong, and where below the value (`.messages[0].role`, "" for itself).

    An index that msgspec does not know is `[...]`.
    """
    text = str(error)
    detail, found, where = text.rpartition(" - at `")
    if not found or not text.endswith("`"):
        return text, ""
    return detail, where.rpartition("$")[2].removesuffix("`")
