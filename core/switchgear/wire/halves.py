"""Halves of characters (`\\ud83d` without its other half), which some servers cut a text between: put together, or U+FFFD."""

import json
from typing import Any, TypeVar

import msgspec

from switchgear.wire.members import BROKEN, decode_text, has_half

T = TypeVar("T")


class Halves:
    """Puts halves of characters together that came in two pieces of one text, and says U+FFFD for one that stays alone."""

    __slots__ = ("_half",)

    def __init__(self) -> None:
        self._half: dict[tuple[int, str], str] = {}

    def whole(self, place: tuple[int, str], text: str) -> str:
        """Return the next piece of a text without a half at its end, which waits for the other one."""
        text = self._half.pop(place, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._half[place], text = text[-1], text[:-1]
        return whole_text(text)

    def decode(self, decoder: "msgspec.json.Decoder[T]", payload: bytes) -> tuple[T, bytes]:
        """Decode an event whose `delta` is a text or holds texts, and return it with its bytes; halves in it find each other.

        Raises as `members.decode_text` does.
        """
        if not self._half:
            try:
                return decode_text(decoder, payload), payload
            except BROKEN:
                if not has_half(payload):
                    raise
        payload = self._joined(payload)
        return decode_text(decoder, payload), payload

    def _joined(self, payload: bytes) -> bytes:
        try:
            found = json.loads(payload)
        except ValueError:
            return payload
        if not isinstance(found, dict):
            return payload
        place = found.get("index", found.get("output_index"))
        place = place if isinstance(place, int) else 0
        delta = found.get("delta")
        if isinstance(delta, str):
            found["delta"] = self.whole((place, "delta"), delta)
        elif isinstance(delta, dict):
            found["delta"] = {n: self.whole((place, n), v) if isinstance(v, str) else v for n, v in delta.items()}
        return msgspec.json.encode(clean(found))


def whole_text(text: str) -> str:
    """Join the halves of characters, those that have no other half as U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clean(value: Any) -> Any:
    """Return a value of JSON whose texts hold no halves of characters."""
    if isinstance(value, str):
        return whole_text(value) if not value.isascii() else value
    if isinstance(value, list):
        return [clean(it) for it in value]
    if isinstance(value, dict):
        return {clean(name): clean(it) for name, it in value.items()}
    return value
