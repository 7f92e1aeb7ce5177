"""Calls of tools in a history made whole: with ids, each its own, and arguments that are text.

Servers and clients are not of one mind about them: some count their calls anew in each turn, give them no id, or write
arguments as the object that they are.
"""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from switchgear.wire.members import raw
from switchgear.wire.texts import text_of

Messages = list[dict[str, Raw]]

_ASSISTANT, _TOOL = Raw(b'"assistant"'), Raw(b'"tool"')
_DIGITS = 7
_NULL, _NOTHING, _EMPTY = Raw(b"null"), Raw(b"[]"), Raw(b'""')


class _Function(Struct):
    arguments: str


class _Call(Struct):
    id: Annotated[str, Meta(min_length=1)]
    function: _Function | None = None


_whole = msgspec.json.Decoder(Annotated[list[_Call], Meta(min_length=1)])
_anything = msgspec.json.Decoder()


def whole_calls(messages: Messages) -> Messages:
    """Return the messages of a chat with calls that can be read, and answered: those that are stay as they are, byte for byte.

    A call without an id is given one, and so is the result that answers it by its place.
    """
    found: Messages = []
    turn = Ids()
    waiting: list[str] = []
    for message in messages:
        role = message.get("role")
        if role == _ASSISTANT and "tool_calls" in message:
            message = _called(message, len(found))  # noqa: PLW2901 - a value in its stead
            given, turn = _ids(message), Ids()
            waiting = turn.called(given)
            if waiting != given:
                message = _renamed(message, waiting)  # noqa: PLW2901
        elif role == _TOOL:
            message = _answering(message, waiting, turn)  # noqa: PLW2901
        found.append(message)
    return found


def _called(message: dict[str, Raw], place: int) -> dict[str, Raw]:
    given = message["tool_calls"]
    try:
        _whole.decode(given)
    except (msgspec.DecodeError, RecursionError):
        calls: Any = _anything.decode(given)
    else:
        return message
    if not calls:
        return {name: value for name, value in message.items() if name != "tool_calls"}
    for number, call in enumerate(calls if isinstance(calls, list) else ()):
        if not isinstance(call, dict):
            continue
        if call.get("id") in (None, ""):
            call["id"] = f"call_{place}_{number}"
        function = call.get("function")
        if isinstance(function, dict) and not isinstance(arguments := function.get("arguments"), str):
            function["arguments"] = "" if arguments is None else msgspec.json.encode(arguments).decode()
    return {**message, "tool_calls": raw(calls)}


def _ids(message: dict[str, Raw]) -> list[str]:
    calls: Any = _anything.decode(message.get("tool_calls", _NULL))
    return [str(call.get("id")) for call in calls or () if isinstance(call, dict)]


def _renamed(message: dict[str, Raw], ids: list[str]) -> dict[str, Raw]:
    calls: Any = _anything.decode(message["tool_calls"])
    return {**message, "tool_calls": raw([{**call, "id": id} for call, id in zip(calls, ids, strict=True)])}


def _answering(message: dict[str, Raw], waiting: list[str], turn: "Ids") -> dict[str, Raw]:
    id = text_of(message.get("tool_call_id"))
    now = turn.answered(id) if id else None
    if now in waiting:
        waiting.remove(now)
        if now != id:
            message = {**message, "tool_call_id": raw(now)}
    elif not id and waiting:
        message = {**message, "tool_call_id": raw(waiting.pop(0))}
    if message.get("content", _NULL) in (_NULL, _NOTHING):
        return {**message, "content": _EMPTY}
    return message


def readable_message(message: dict[str, Raw]) -> dict[str, Raw]:
    """Return a message whose reasoning was numbered in words, or whose picture is an address alone, as the form has it."""
    found = message
    details: Any = _anything.decode(message.get("reasoning_details", _NULL))
    if isinstance(details, list):
        kept = [_numbered(it) for it in details if isinstance(it, dict)]
        found = {**found, "reasoning_details": raw(kept)}
    if bytes(message.get("content", _NULL))[:1] == b"[":
        parts: Any = _anything.decode(message["content"])
        found = {**found, "content": raw([_part(part) for part in parts])}
    return found


def _numbered(detail: dict[str, Any]) -> dict[str, Any]:
    index = detail.get("index")
    if index is None or isinstance(index, int):
        return detail
    number = int(index) if isinstance(index, str) and index.isdecimal() and len(index) < _DIGITS else None
    return {**detail, "index": number}


def _part(part: Any) -> Any:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, dict) and isinstance(part.get("image_url"), str):
        return {**part, "image_url": {"url": part["image_url"]}}
    return part


class Ids:
    """Tells the calls of a conversation apart: one whose id is taken by an earlier one gets another, and so does its result."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._now: dict[str, list[str]] = {}

    def called(self, ids: Iterable[str]) -> list[str]:
        """Return the ids under which the calls of one turn go out."""
        self._now = {}
        found = []
        for id in ids:
            free, number = id, 1
            while free in self._taken:
                number += 1
                free = f"{id}_{number}"
            self._taken.add(free)
            self._now.setdefault(id, []).append(free)
            found.append(free)
        return found

    def answered(self, id: str) -> str:
        """Return the id of a result: it answers the turn before it."""
        waiting = self._now.get(id)
        if not waiting:
            return id
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]
