"""JSON objects taken apart no further than their top level, and put together again.

What goes upstream is always encoded anew from the members, never the client's bytes: two parsers may read duplicate keys
or odd white space differently, and what the gateway checked must be what the provider sees.
"""

import re
from codecs import getincrementaldecoder
from collections.abc import Generator, Iterable, Mapping
from io import BytesIO
from typing import TypeVar

import msgspec
from msgspec import Raw

from switchgear.errors import InvalidRequest
from switchgear.rawjson import PIECE, crowd_in_steps, drained
from switchgear.rawjson import member as member  # noqa: PLC0414 - here is where plugins take both from
from switchgear.rawjson import what_and_where as what_and_where  # noqa: PLC0414

T = TypeVar("T")
_BACKSLASH = ord("\\")
_ITEM = re.compile(rb"\[[ \t\r\n]*[^] \t\r\n]")
"""How an array that holds something begins."""

_object = msgspec.json.Decoder(dict[str, Raw])
_array = msgspec.json.Decoder(list[Raw])
_encoder = msgspec.json.Encoder()


def whole_characters(body: bytes) -> bytes:
    """Write U+FFFD for halves of characters: a text that was cut between two of them is no reason to end a conversation.

    They stand in JSON as escapes (`\\ud83d`); one behind a backslash that is itself escaped is text.
    """
    return _HALVES.sub(_replaced, body) if has_half(body) else body


def has_half(body: bytes) -> bool:
    """Say whether there may be a half of a character in JSON."""
    return _HALF.search(body) is not None


_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_HALVES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\.", re.DOTALL
)
_WHOLE, _ESCAPE = 12, 2
_REPLACEMENT = b"\\ufffd"


def _replaced(found: re.Match[bytes]) -> bytes:
    text = found[0]
    return text if len(text) in (_WHOLE, _ESCAPE) else _REPLACEMENT


class LongMembers(dict[str, Raw]):
    """The members of a body so long that it is not to be copied."""

    __slots__ = ()


def parse_object(body: bytes) -> dict[str, Raw]:
    """Split a JSON object into raw members, the last of duplicate keys winning. Raises `InvalidRequest`.

    A long one is refused before anything is made of it where it has more members, arrays and objects, or items than any
    request needs: each costs a hundred bytes of memory and a microsecond that everybody waits.
    """
    if len(body) > VERY_LONG:
        return drained(parse_in_steps(body))
    try:
        if not body.isascii():
            body.decode()
        # A byte is looked for many times faster than two, and as a number than as bytes.
        if _BACKSLASH in body:
            body = whole_characters(body)
        return _object.decode(body) if len(body) <= _LONG else _few_members(body)
    except BROKEN as error:
        raise _no_object(error) from None


def parse_in_steps(body: bytes) -> Generator[None, None, dict[str, Raw]]:
    """Do what `parse_object` does, in steps of a millisecond or two between which others may have their turn."""
    try:
        if not body.isascii():
            characters = getincrementaldecoder("utf-8")()
            for at in range(0, len(body), PIECE):
                characters.decode(body[at : at + PIECE], at + PIECE >= len(body))
                yield
        if (too_many := (yield from crowd_in_steps(body, MOST_CONTAINERS, MOST_ITEMS))) is not None:
            raise _crowded(too_many)
        yield
        if _BACKSLASH in body and has_half(body):
            body = yield from _whole_characters_in_steps(body)
        yield
        return LongMembers(_few_members(body))
    except BROKEN as error:
        raise _no_object(error) from None


def _whole_characters_in_steps(body: bytes) -> Generator[None, None, bytes]:
    written, done = BytesIO(), 0
    for count, found in enumerate(_HALVES.finditer(body)):
        start, done_at = found.span()
        if done_at - start not in (_WHOLE, _ESCAPE):
            written.write(memoryview(body)[done:start])
            written.write(_REPLACEMENT)
            done = done_at
        if count % _ESCAPES_AT_ONCE == 0:
            yield
    if not done:
        return body
    written.write(memoryview(body)[done:])
    return written.getvalue()


_ESCAPES_AT_ONCE = 4096


def _no_object(error: Exception) -> InvalidRequest:
    if isinstance(error, RecursionError):
        return InvalidRequest("The request body is nested too deeply.", code="invalid_json")
    if isinstance(error, UnicodeDecodeError):
        return InvalidRequest("The request body is not valid UTF-8.", code="invalid_json")
    return InvalidRequest(f"The request body must be a JSON object: {error}.", code="invalid_json")


_LONG = 64 * 1024
"""Bytes up to which a body cannot hold so many members that it matters."""
VERY_LONG = 512 * 1024
"""And so many items; a longer one is better parsed in steps."""
MOST_MEMBERS = 1000
MOST_CONTAINERS = 50_000
"""Arrays and objects of one request, which are messages, parts of messages and tools: OpenAI takes 2,048 messages."""
MOST_ITEMS = 500_000
"""What stands between commas: the tokens of a request for embeddings are at most 300,000."""


class _Name(str):
    __slots__ = ()


class _Few:
    """Makes names of members, so many."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MOST_MEMBERS

    def __call__(self, _type: type, name: str) -> _Name:
        self.left -= 1
        if self.left < 0:
            raise ValueError
        return _Name(name)


def _few_members(body: bytes) -> dict[str, Raw]:
    few = _Few()
    try:
        found = msgspec.json.decode(body, type=dict[_Name, Raw], dec_hook=few)
    except msgspec.ValidationError:
        if few.left >= 0:
            raise
        raise _crowded(f"{MOST_MEMBERS} members") from None
    return {str(name): value for name, value in found.items()}


def _crowded(most: str) -> InvalidRequest:
    return InvalidRequest(f"The request body has more than {most}.", code="too_many_items")


def holds_items(members: Mapping[str, Raw], name: str) -> bool:
    """Say whether a member is an array with something in it, looking no further. Raises `InvalidRequest` for no array."""
    value = members.get(name)
    if value is None:
        return False
    if _ITEM.match(value) is not None:
        return True
    return bool(member(members, name, list[Raw]))


def decode_text(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """Decode, also holding what is passed over to be UTF-8. Raises `DecodeError`, `UnicodeDecodeError`, `RecursionError`."""
    if not data.isascii():
        data.decode()
    return decoder.decode(data)


def decode_whole(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """Decode as `decode_text` does; halves of characters are passed over."""
    try:
        return decode_text(decoder, data)
    except BROKEN:
        if not has_half(data):
            raise
    return decode_text(decoder, whole_characters(data))


BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding somebody else's bytes may raise."""


def prune(members: Mapping[str, Raw], paths: Iterable[str]) -> tuple[dict[str, Raw], list[str]]:
    """Leave members out by their dotted paths, which lead through arrays (`messages.content.cache_control`).

    Returns the members and which of the paths led to something. What is on no path stays as it was, byte by byte.
    """
    left = dict(members)
    found = []
    for path in paths:
        name, _, rest = path.partition(".")
        value = left.get(name)
        if value is None:
            continue
        if not rest:
            del left[name]
            found.append(path)
        elif (pruned := _without(value, rest.split("."))) is not None:
            left[name] = pruned
            found.append(path)
    return left, found


def _without(value: Raw, path: list[str]) -> Raw | None:
    """Return the value without what the path leads to; None if that is nothing."""
    data = bytes(value)
    if path[-1].encode() not in data and b"\\u00" not in data:
        return None
    if data[:1] == b"[":
        items = _array.decode(data)
        pruned = [_without(item, path) for item in items]
        if all(item is None for item in pruned):
            return None
        return raw([old if new is None else new for old, new in zip(items, pruned, strict=True)])
    if data[:1] != b"{":
        return None
    inner = _object.decode(data)
    name, *rest = path
    if name not in inner:
        return None
    if not rest:
        del inner[name]
    elif (below := _without(inner[name], rest)) is not None:
        inner[name] = below
    else:
        return None
    return raw(inner)


def splice(members: Mapping[str, Raw], replace: Mapping[str, Raw], defaults: Mapping[str, Raw]) -> bytes:
    """Encode an object: `defaults` where the client left a member out, then its members, then `replace` over them."""
    return _encoder.encode({**defaults, **members, **replace} if defaults else {**members, **replace})


def splice_pieces(
    members: Mapping[str, Raw], replace: Mapping[str, Raw], defaults: Mapping[str, Raw]
) -> tuple[bytes | Raw, ...]:
    """Do what `splice` does, but return pieces, of which the long ones are the members themselves and no copies."""
    pieces: list[bytes | Raw] = []
    short = bytearray(b"{")
    for name, value in {**defaults, **members, **replace}.items():
        short += b"%b:" % _encoder.encode(name)
        if len(value) <= _LONG:
            short += b"%b," % value
        else:
            pieces += bytes(short), value
            short = bytearray(b",")
    short[-1:] = b"}"
    return (*pieces, bytes(short))


def raw(value: object) -> Raw:
    """Encode a value as a raw member."""
    return Raw(_encoder.encode(value))
