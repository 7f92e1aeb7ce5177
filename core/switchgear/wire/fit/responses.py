"""Calls of the Responses wire fitted to its own vendor.

It wants each call of a history answered once, by a text or by parts, and ids of its own; no answer may be bound below sixteen
tokens.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Call
from switchgear.wire.fit.names import fit_id
from switchgear.wire.fit.results import NO_RESULT
from switchgear.wire.members import raw
from switchgear.wire.texts import NULL, items_of, members_of, number_of

LEAST_OUTPUT = 16
"""The smallest `max_output_tokens` that is taken."""

_BOUND = "max_output_tokens"
_MOST_CALL_ID = 64
_RESULTS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}
_ANSWERS = frozenset(_RESULTS.values())
_PREFIXES = {"message": "msg", "function_call": "fc", "custom_tool_call": "ctc", "reasoning": "rs"}
"""What the ids of items begin with, which need none."""
_ELSEWHERE = ("previous_response_id", "conversation")
"""Members that name items which are not in the input."""


class _Item(Struct, gc=False):
    type: str | None = None
    id: str | None = None
    call_id: str | None = None
    output: Raw = NULL


_items = msgspec.json.Decoder(list[_Item])
_anything = msgspec.json.Decoder()


def fit_responses(call: Call, members: dict[str, Raw]) -> dict[str, Raw]:
    """Return the members as the vendor takes them; what it takes as it is stays as it is."""
    if 0 < number_of(members.get(_BOUND)) < LEAST_OUTPUT:
        call.change(_BOUND)
        members = {**members, _BOUND: raw(LEAST_OUTPUT)}
    return _fit_input(call, members)


def _fit_input(call: Call, members: dict[str, Raw]) -> dict[str, Raw]:
    given = members.get("input")
    if given is None or bytes(given)[:1] != b"[":
        return members
    try:
        found = _items.decode(given)
    except (msgspec.DecodeError, RecursionError):
        return members
    is_whole = not any(members.get(name) not in (None, NULL) for name in _ELSEWHERE)
    alone, unanswered = _loose(found) if is_whole else (set(), set())
    strange = {place for place, item in enumerate(found) if _is_strange(item)}
    silent = {place for place, item in enumerate(found) if item.type in _ANSWERS and item.output == NULL}
    if not (alone or unanswered or strange or silent):
        return members
    items: list[Raw] = []
    for place, (item, it) in enumerate(zip(items_of(given), found, strict=True)):
        if place in alone:
            call.change("input[].call_id")
            items.append(raw({"type": "message", "role": "user", "content": _told(item)}))
            continue
        if place in silent:
            call.change("input[].output")
            item = raw({**members_of(item), "output": NO_RESULT})  # noqa: PLW2901 - a value in its stead
        items.append(_named(call, item, it) if place in strange else item)
        if place in unanswered:
            call.change("input[].call_id")
            answer = {"type": _RESULTS[it.type or ""], "call_id": fit_id(it.call_id or "", _MOST_CALL_ID)}
            items.append(raw({**answer, "output": NO_RESULT}))
    return {**members, "input": raw(items)}


def _loose(found: list[_Item]) -> tuple[set[int], set[int]]:
    """Return the places of results that answer no call, and of calls that have no result."""
    open: dict[str, list[int]] = {}
    alone: set[int] = set()
    for place, item in enumerate(found):
        if item.call_id is None:
            continue
        if item.type in _RESULTS:
            open.setdefault(item.call_id, []).append(place)
        elif item.type in _ANSWERS:
            if open.get(item.call_id):
                open[item.call_id].pop()
            else:
                alone.add(place)
    return alone, {place for places in open.values() for place in places}


def _is_strange(item: _Item) -> bool:
    if item.call_id is not None and len(item.call_id) > _MOST_CALL_ID:
        return True
    prefix = _PREFIXES.get(item.type or "")
    return prefix is not None and item.id is not None and not item.id.startswith(prefix)


def _named(call: Call, item: Raw, it: _Item) -> Raw:
    """Return an item without an id of another vendor's, and with that of its call at the length that is taken."""
    members = members_of(item)
    if it.call_id is not None and len(it.call_id) > _MOST_CALL_ID:
        call.change("input[].call_id")
        members["call_id"] = raw(fit_id(it.call_id, _MOST_CALL_ID))
    prefix = _PREFIXES.get(it.type or "")
    if prefix is not None and it.id is not None and not it.id.startswith(prefix):
        call.drop("input[].id")
        del members["id"]
    return raw(members)


def _told(item: Raw) -> Any:
    """Return what a result says as the content of a message."""
    output = _anything.decode(members_of(item).get("output", NULL))
    return output if isinstance(output, str | list) and output else NO_RESULT
