"""What of a dialog a model is told: as much of its end as its context takes, in whole rounds.

A round is what a user says and everything up to the next thing that a user says, so that a context begins with a user and
calls of tools stand with their results. The last round is told in any case; of one that is too long alone, its middle is left
out.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from switchgear.wire.members import BROKEN

Message = dict[str, Any]

_TOLD = ("role", "content", "name", "tool_calls", "tool_call_id", "refusal", "reasoning_content", "reasoning_details")
"""What goes back to a model of a message; what else an answer had is for its reader."""


class Said(Struct, frozen=True):
    """A message of a dialog: where it stands, and what it says."""

    seq: int
    message: Message

    @property
    def role(self) -> str:
        """Who says it."""
        role = self.message.get("role")
        return role if isinstance(role, str) else ""


class Chosen(Struct, frozen=True):
    """What is told of a dialog, in order; `first_seq` is where it begins."""

    messages: tuple[Message, ...]
    first_seq: int
    tokens: int


def read(seq: int, message: bytes) -> Said:
    """Read a message that was kept."""
    try:
        found = msgspec.json.decode(message)
    except BROKEN:
        found = None
    return Said(seq, found if isinstance(found, dict) else {})


def rounds(said: Iterable[Said]) -> list[list[Said]]:
    """Cut messages, in order, into rounds. What stands before the first user is a round without one."""
    cut: list[list[Said]] = []
    for one in said:
        if one.role == "user" or not cut:
            cut.append([])
        cut[-1].append(one)
    return cut


def choose(newest: Sequence[Sequence[Said]], budget: int, count: Callable[[Message], int]) -> Chosen:
    """Return what is told of these rounds, the newest last, within a budget of tokens by this count."""
    if not newest:
        return Chosen((), 0, 0)
    last = newest[-1]
    kept = _shortened(last, budget, count)
    tokens = sum(count(it) for it in told(kept))
    first = last[0].seq
    chosen = [kept]
    for one in reversed(newest[:-1]):
        size = sum(count(it) for it in told(one))
        if one[0].role != "user" or tokens + size > budget:
            break
        tokens += size
        first = one[0].seq
        chosen.append(list(one))
    messages = [message for one in reversed(chosen) for message in told(one)]
    return Chosen(tuple(messages), first, tokens)


def told(said: Sequence[Said]) -> list[Message]:
    """Return messages as a model is told them: each call of a tool has its result behind it, and each result its call."""
    told: list[Message] = []
    for unit in _units(said):
        head, *results = unit
        if head.role == "tool":
            continue
        given = {it.message.get("tool_call_id"): it for it in reversed(results)}
        message = _told(head)
        calls = message.pop("tool_calls", None)
        made = {it["id"]: it for it in reversed(calls) if _is_call(it)} if isinstance(calls, list) else {}
        waiting = {id: made[id] for id in reversed(made) if id in given}
        if waiting:
            message["tool_calls"] = list(waiting.values())
        elif head.role == "assistant" and not any(message.get(name) for name in ("content", "refusal", "audio")):
            continue
        told.append(message)
        told += [_told(given[id]) for id in reversed(given) if id in waiting]
    return told


def _is_call(call: Any) -> bool:
    return isinstance(call, dict) and isinstance(call.get("id"), str)


def _told(one: Said) -> Message:
    message = {name: one.message[name] for name in _TOLD if one.message.get(name) is not None}
    audio = one.message.get("audio")
    if isinstance(audio, dict) and "id" in audio:
        message["audio"] = {"id": audio["id"]}
    return message


def _units(said: Sequence[Said]) -> list[list[Said]]:
    """Cut messages so that results of tools stand with what called them."""
    units: list[list[Said]] = []
    for one in said:
        if one.role != "tool" or not units:
            units.append([])
        units[-1].append(one)
    return units


def _shortened(last: Sequence[Said], budget: int, count: Callable[[Message], int]) -> list[Said]:
    """Return a round of which the middle is left out, where it does not fit."""
    units = _units(last)
    sizes = [sum(count(it) for it in told(unit)) for unit in units]
    total = sum(sizes)
    begin = 1
    while total > budget and begin < len(units) - 1:
        total -= sizes[begin]
        begin += 1
    return [one for unit in (units[0], *units[begin:]) for one in unit]


def as_text(said: Sequence[Said], most: int) -> str:
    """Write messages for whoever sums them up, at most so many characters of each."""
    lines = []
    for one in said:
        content = one.message.get("content")
        if isinstance(content, list):
            content = " ".join(
                str(part.get("text") or f"[{part.get('type')}]") for part in content if isinstance(part, dict)
            )
        called = ", ".join(_called(it) for it in one.message.get("tool_calls") or () if isinstance(it, dict))
        text = f"{content or ''}{f' [calls {called}]' if called else ''}"
        lines.append(f"{one.role}: {text[:most]}")
    return "\n".join(lines)


def _called(call: dict[str, Any]) -> str:
    function = call.get("function")
    return (
        f"{function.get('name')}({function.get('arguments')})" if isinstance(function, dict) else str(call.get("type"))
    )
