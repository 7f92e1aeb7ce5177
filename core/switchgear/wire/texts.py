"""Texts inside JSON that is otherwise left as it is: objects taken apart a level at a time, and strings read and written."""

from typing import Any

import msgspec
from msgspec import Raw

NULL = Raw(b"null")
_object = msgspec.json.Decoder(dict[str, Raw])
_array = msgspec.json.Decoder(list[Raw])
_text = msgspec.json.Decoder(str)
_number = msgspec.json.Decoder(int)
_encoder = msgspec.json.Encoder()


def first(value: Raw | bytes) -> bytes:
    """Return the first byte of a JSON value: `"` for a text, `{`, `[`, or that of a number or a word."""
    return bytes(memoryview(value)[:1])


def members_of(value: Raw | bytes | None) -> dict[str, Raw]:
    """Split an object; empty for whatever is none."""
    return _object.decode(value) if value is not None and first(value) == b"{" else {}


def items_of(value: Raw | bytes | None) -> list[Raw]:
    """Split an array; empty for whatever is none."""
    return _array.decode(value) if value is not None and first(value) == b"[" else []


def text_of(value: Raw | bytes | None) -> str | None:
    """Read a string; None for whatever is none."""
    return _text.decode(value) if value is not None and first(value) == b'"' else None


def number_of(value: Raw | bytes | None) -> int:
    """Read a whole number; 0 for whatever is none."""
    try:
        return 0 if value is None else _number.decode(value)
    except msgspec.DecodeError:
        return 0


def write(value: Any) -> Raw:
    """Write a value; raw members of objects and arrays stay as they are."""
    return Raw(_encoder.encode(value))


def write_object(text: str) -> Raw:
    """Take the text of a JSON object for what it is. Raises ValueError for another text."""
    try:
        _object.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        message = f"what became of a tool call's arguments is not the text of a JSON object: {error}"
        raise ValueError(message) from None
    return Raw(text.encode())
