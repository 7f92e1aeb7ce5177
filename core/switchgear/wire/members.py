"""JSON objects taken apart no further than their top level, and put together again.

What goes upstream is always encoded anew from the members, never the client's bytes: two parsers may read duplicate keys
or odd white space differently, and what the gateway checked must be what the provider sees.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Raw

from switchgear.errors import InvalidRequest

T = TypeVar("T")

_object = msgspec.json.Decoder(dict[str, Raw])
_encoder = msgspec.json.Encoder()


@cache
def _decoder(type: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type | None)


def parse_object(body: bytes) -> dict[str, Raw]:
    """Split a JSON object into raw members, the last of duplicate keys winning. Raises `InvalidRequest`."""
    try:
        if not body.isascii():
            body.decode()
        return _object.decode(body)
    except RecursionError:
        raise InvalidRequest("The request body is nested too deeply.", code="invalid_json") from None
    except UnicodeDecodeError:
        raise InvalidRequest("The request body is not valid UTF-8.", code="invalid_json") from None
    except msgspec.DecodeError as error:
        message = f"The request body must be a JSON object: {error}."
        raise InvalidRequest(message, code="invalid_json") from None


def member(members: Mapping[str, Raw], name: str, type: type[T]) -> T | None:
    """Decode one member; None if it is absent or null. Raises `InvalidRequest` naming it."""
    raw = members.get(name)
    if raw is None:
        return None
    try:
        found: T | None = _decoder(cast("Any", type)).decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        detail = str(error).partition(" - at ")[0]
        raise InvalidRequest(f"`{name}` is invalid: {detail}.", param=name, code="invalid_value") from None
    return found


def splice(members: Mapping[str, Raw], replace: Mapping[str, Raw], defaults: Mapping[str, Raw]) -> bytes:
    """Encode an object: `defaults` where the client left a member out, then its members, then `replace` over them."""
    return _encoder.encode({**defaults, **members, **replace} if defaults else {**members, **replace})


def raw(value: object) -> Raw:
    """Encode a value as a raw member."""
    return Raw(_encoder.encode(value))
