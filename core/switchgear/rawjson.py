"""JSON objects taken apart no further than their top level, and what msgspec says of what does not fit."""

from collections.abc import Generator, Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from switchgear.errors import InvalidRequest

T = TypeVar("T")
_OUT_OF_TEXTS = bytes(set(range(256)) - set(b'"[{,'))


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


def crowd(body: bytes, containers: int, items: int) -> str | None:
    """Say what there is more of in JSON than so many arrays and objects, or so much between commas; None if neither."""
    return drained(crowd_in_steps(body, containers, items))


def crowd_in_steps(body: bytes, containers: int, items: int) -> Generator[None, None, str | None]:
    """Do what `crowd` does, in steps of a millisecond. No object is made of what is counted.

    Texts hold the same characters, so they are left out where there are many: whether a piece begins in one is known from
    those before it.
    """
    marks = 0
    for at in range(0, len(body), PIECE):
        marks += len(body[at : at + PIECE].translate(None, _OUT_OF_TEXTS))
        yield
    if marks <= min(containers, items):
        return None
    commas = opened = quotes = 0
    in_text, escape = False, b""
    for at in range(0, len(body), PIECE):
        piece = body[at : at + PIECE]
        if escape or b"\\" in piece:
            piece = (escape + piece).replace(rb"\\", b"").replace(rb"\"", b"")
            escape = b"\\" if piece.endswith(b"\\") else b""
        found = piece.translate(None, _OUT_OF_TEXTS).split(b'"')
        outside = b"".join(found[in_text::2])
        in_text ^= len(found) % 2 == 0
        quotes += len(found) - 1
        commas += outside.count(b",")
        opened += outside.count(b"{") + outside.count(b"[")
        if quotes > 4 * items or commas >= items:
            return f"{items} items"
        if opened > containers:
            return f"{containers} arrays and objects"
        yield
    return None


def drained(steps: Generator[None, None, T]) -> T:
    """Return what a generator does in the end, all steps taken at once."""
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            found: T = ended.value
            return found


PIECE = 256 * 1024
"""Bytes that are looked at in one go: half a millisecond, and what is made of them meanwhile stays small."""


def what_and_where(error: Exception) -> tuple[str, str]:
    """Take an error of msgspec's decoders apart: what is wrong, and where below the value (`.messages[0].role`, "" for itself).

    An index that msgspec does not know is `[...]`.
    """
    text = str(error)
    detail, found, where = text.rpartition(" - at `")
    if not found or not text.endswith("`"):
        return text, ""
    return detail, where.rpartition("$")[2].removesuffix("`")


_SHORT = 4096
_MOST_MARKS = 64
_MARK = b"_"


def holds(body: bytes, word: bytes) -> bool:
    """Say whether a body holds a word. In a long one its rarest byte is looked for first, which takes a tenth of the time."""
    ahead = word.find(_MARK)
    if len(body) <= _SHORT or ahead < 0:
        return body.find(word) >= 0  # `in` tries whether it is a number first, and costs four times as much
    at = -1
    for _ in range(_MOST_MARKS):
        at = body.find(_MARK, at + 1)
        if at < 0:
            return False
        if body.startswith(word, max(0, at - ahead)):
            return True
    return body.find(word, at - ahead) >= 0
