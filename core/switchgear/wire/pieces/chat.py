"""Texts of chat completions, whole and in chunks.

A chat has no order between a choice's reasoning, text and tool calls, so each of its texts lasts until the choice is finished.
Where the chunks are then told in a wire that has one (`ordered`), a text is over when the next begins.
"""

from collections.abc import Callable
from typing import Any

from switchgear.contracts.filter import EventFace, Texts
from switchgear.wire.pieces.chunks import Chunks, filter_choices
from switchgear.wire.pieces.found import Found, Key, find, opened
from switchgear.wire.texts import items_of, members_of, number_of, text_of

_DETAILS = {"reasoning.summary": "summary"}


class ChatPieces:
    """The `AnswerFace` of chat completions."""

    def __init__(self, *, ordered: bool = False) -> None:
        self.ordered = ordered

    def whole(self, body: bytes, texts: Texts) -> bytes:
        """Filter a whole answer."""
        return filter_choices(body, texts, lambda choice, index: _in(choice, "message", index))

    def stream(self, texts: Texts) -> EventFace:
        """Begin a stream."""
        return Chunks(texts, lambda choice, index: _in(choice, "delta", index), _tail, ordered=self.ordered)


def _in(choice: dict[str, Any], name: str, index: int) -> list[Found]:
    found: list[Found] = []
    said: dict[str, Any] = dict(members_of(choice.get(name)))
    if not said:
        return found
    choice[name] = said
    for member, look in _LOOK.items():
        if member in said:
            look(found, said, index)
    return found


def _find_reasoning(found: list[Found], said: dict[str, Any], index: int) -> None:
    find(found, (index, "reasoning"), "reasoning", said, "reasoning")


def _find_reasoning_content(found: list[Found], said: dict[str, Any], index: int) -> None:
    find(found, (index, "reasoning_content"), "reasoning", said, "reasoning_content")


def _find_refusal(found: list[Found], said: dict[str, Any], index: int) -> None:
    find(found, (index, "refusal"), "refusal", said, "refusal")


def _find_transcript(found: list[Found], said: dict[str, Any], index: int) -> None:
    if audio := members_of(said["audio"]):
        said["audio"] = audio
        find(found, (index, "audio"), "text", audio, "transcript")


def _find_calls(found: list[Found], said: dict[str, Any], index: int) -> None:
    if calls := items_of(said["tool_calls"]):
        said["tool_calls"] = split = [opened(call) for call in calls]
        for place, call in enumerate(split):
            if isinstance(call, dict):
                number = number_of(call["index"]) if "index" in call else place
                for kind in ("function", "custom"):
                    _find_call(found, call, kind, (index, "tool_calls", number))


def _find_function(found: list[Found], said: dict[str, Any], index: int) -> None:
    _find_call(found, said, "function_call", (index, "function_call"))


def _find_call(found: list[Found], holder: dict[str, Any], name: str, key: Key) -> None:
    function = members_of(holder.get(name))
    if function:
        holder[name] = function
        call_id = text_of(holder.get("id"))
        find(found, (*key, "name"), "tool_name", function, "name", is_whole=True, call_id=call_id)
        find(found, (*key, "arguments"), "tool_arguments", function, "arguments")
        find(found, (*key, "input"), "tool_arguments", function, "input")


def _find_content(found: list[Found], said: dict[str, Any], index: int) -> None:
    """Find what a content says: a text, or a list of parts, as some servers have it."""
    parts = items_of(said.get("content"))
    if not parts:
        find(found, (index, "content"), "text", said, "content")
        return
    said["content"] = split = [opened(part) for part in parts]
    for part in split:
        if isinstance(part, dict):
            find(found, (index, "content", "text"), "text", part, "text")
            find(found, (index, "content", "refusal"), "refusal", part, "refusal")
            if thoughts := items_of(part.get("thinking")):
                part["thinking"] = inner = [opened(thought) for thought in thoughts]
                for thought in inner:
                    if isinstance(thought, dict):
                        find(found, (index, "content", "thinking"), "reasoning", thought, "text")


def _find_details(found: list[Found], said: dict[str, Any], index: int) -> None:
    """Find the words of reasoning that must come back. Nothing follows one that is signed, or has no number."""
    details = items_of(said.get("reasoning_details"))
    if not details:
        return
    said["reasoning_details"] = split = [opened(detail) for detail in details]
    for place, detail in enumerate(split):
        if isinstance(detail, dict):
            kind = text_of(detail.get("type")) or ""
            number = number_of(detail["index"]) if "index" in detail else place
            is_whole = "index" not in detail or text_of(detail.get("signature")) is not None
            key = (index, "reasoning_details", number, kind)
            find(found, key, "reasoning", detail, _DETAILS.get(kind, "text"), is_whole=is_whole)


_LOOK: dict[str, Callable[[list[Found], dict[str, Any], int], None]] = {
    "reasoning_content": _find_reasoning_content,
    "reasoning": _find_reasoning,
    "reasoning_details": _find_details,
    "content": _find_content,
    "refusal": _find_refusal,
    "audio": _find_transcript,
    "tool_calls": _find_calls,
    "function_call": _find_function,
}
"""Where the texts of a message or a delta are, in the order in which other wires tell them: reasoning, text, calls."""


def _tail(key: Key, text: str) -> dict[str, Any]:
    """Write a choice that says the rest of a text."""
    delta: dict[str, Any]
    match key[1:]:
        case ("content", "thinking"):
            delta = {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]}
        case ("content", str(kind)):
            delta = {"content": [{"type": kind, kind: text}]}
        case ("audio",):
            delta = {"audio": {"transcript": text}}
        case ("reasoning_details", number, kind):
            delta = {"reasoning_details": [{"type": kind, _DETAILS.get(kind, "text"): text, "index": number}]}
        case ("tool_calls", number, name):
            delta = {"tool_calls": [{"index": number, "custom" if name == "input" else "function": {name: text}}]}
        case ("function_call", name):
            delta = {"function_call": {name: text}}
        case _:
            delta = {key[1]: text}
    return {"delta": delta}
