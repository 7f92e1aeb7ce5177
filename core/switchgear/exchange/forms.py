"""Forms at inference endpoints that take them: to the engine they are the JSON object that they say the same as.

A field is a member, a string; several of one name, or of a name that ends in `[]`, are an array. A file is an object of
`filename`, `media_type` and `data` (base64).
"""

import asyncio
from collections.abc import Callable
from io import BytesIO
from typing import Any

import msgspec
from multipart import MultipartSegment

from switchgear.exchange.inbound import Converted, Inbound
from switchgear.exchange.pieces import parts_of, pieces_of, too_large

_ITS_OWN = frozenset((b"content-type", b"content-length", b"content-encoding"))


class FormRequest(Converted):
    """A request whose form is read as JSON, once it is asked for; `most` bytes of it."""

    def __init__(self, request: Inbound, most: int) -> None:
        as_json = [(name, value) for name, value in request.headers if name not in _ITS_OWN]
        as_json.append((b"content-type", b"application/json"))
        vars(self).update(_request=request, _most=most, headers=as_json, fields=dict(as_json))

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["_request"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(vars(self)["_request"], name, value)

    def whole_body(self) -> None:
        """Return None: it is yet to be read."""

    async def read(self) -> bytes | None:
        """Return nothing: it is converted as a whole."""
        return None

    async def converted(self, hold: Callable[[int], None]) -> bytes:
        """Return the JSON that says what the form does. Of what came nothing is held after that."""
        mine = vars(self)
        request: Inbound = mine["_request"]
        headers = request.fields
        found: dict[str, list[Any]] = {}
        segment: Any = None
        data, size = BytesIO(), 0
        async for event in parts_of(headers, pieces_of(request, headers, mine["_most"])):
            if isinstance(event, MultipartSegment):
                segment, data = event, BytesIO()
            elif event is not None:
                hold(len(event))
                size += len(event)
                data.write(event)
            else:
                found.setdefault(segment.name, []).append((segment, data.getvalue()))
        del data
        hold(size // 3)
        encoded = await asyncio.to_thread(_encoded, found)
        if len(encoded) > mine["_most"]:
            raise too_large(mine["_most"])
        hold(len(encoded) - size - size // 3)
        return encoded


def is_form(request: Inbound) -> bool:
    """Say whether its body is a form."""
    return any(
        name == b"content-type" and value.lower().startswith(b"multipart/form-data") for name, value in request.headers
    )


def _encoded(found: dict[str, list[tuple[Any, bytes]]]) -> bytes:
    members: dict[str, Any] = {}
    for name, parts in found.items():
        values = [_value(segment, data) for segment, data in parts]
        members[name.removesuffix("[]")] = values if len(values) > 1 or name.endswith("[]") else values[0]
    return msgspec.json.encode(members)


def _value(segment: Any, data: bytes) -> Any:
    if segment.filename is None:
        return data.decode(errors="replace")
    media_type = segment.content_type or "application/octet-stream"
    return {"filename": segment.filename, "media_type": media_type, "data": data}  # which is written as base64
