"""Texts of legacy completions, whole and in chunks: each choice has one."""

from typing import Any

from switchgear.contracts.filter import EventFace, Texts
from switchgear.wire.pieces.chunks import Chunks, filter_choices
from switchgear.wire.pieces.found import Found, Key, find


class CompletionPieces:
    """The `AnswerFace` of completions."""

    ordered = False

    def whole(self, body: bytes, texts: Texts) -> bytes:
        """Filter a whole answer."""
        return filter_choices(body, texts, _find)

    def stream(self, texts: Texts) -> EventFace:
        """Begin a stream."""
        return Chunks(texts, _find, _tail)


def _find(choice: dict[str, Any], index: int) -> list[Found]:
    found: list[Found] = []
    find(found, (index, "text"), "text", choice, "text")
    return found


def _tail(key: Key, text: str) -> dict[str, Any]:  # noqa: ARG001 - there is only one text
    return {"text": text, "logprobs": None}
