"""Blocks of the turns of a Messages call as the form has them: texts that say something, calls with an id and an object, results
that can be read.

Of a result that says it is an error the form wants text, and nothing else. What is right stays as it is.
"""

from typing import Any

import msgspec

from switchgear.contracts.provider import Call
from switchgear.wire.fit.request import fit_arguments
from switchgear.wire.fit.results import NO_RESULT

Turn = dict[str, Any]
Block = dict[str, Any]

RESULT, USE = "tool_result", "tool_use"


def blocks_of(turn: Turn) -> list[Any]:
    """Return the blocks of a turn; none for one that is a plain text."""
    content = turn.get("content")
    return content if isinstance(content, list) else []


def as_blocks(content: Any) -> list[Any]:
    """Return a content as blocks: a text is one."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content if isinstance(content, list) else []


def is_more(turn: Turn) -> bool:
    """Say whether a turn of the system says something by members of its own, and not by its content alone."""
    return turn.get("role") == "system" and bool(turn.keys() - {"role", "content"})


def is_blank(block: Block) -> bool:
    """Say whether a block is a text that says nothing."""
    return block.get("type") == "text" and not str(block.get("text") or "").strip()


def fit_blocks(call: Call, turns: list[Turn]) -> list[Turn]:
    """Return the turns that say something, with blocks as the form has them; the very list where nothing had to be done.

    A conversation in which nobody says anything stays as it is.
    """
    found = [fitted for turn in _identified(call, turns) if (fitted := _fit_turn(call, turn)) is not None]
    is_same = len(found) == len(turns) and all(a is b for a, b in zip(found, turns, strict=True))
    return turns if is_same or not found else found


def _fit_turn(call: Call, turn: Turn) -> Turn | None:
    content = turn.get("content")
    if is_more(turn):
        return turn
    if content is None or (isinstance(content, str) and not content.strip()):
        return None
    if not isinstance(content, list):
        return turn
    kept = [_fit(call, block) for block in content if not is_blank(block)]
    if not kept:
        return None
    is_same = len(kept) == len(content) and all(a is b for a, b in zip(kept, content, strict=True))
    return turn if is_same else {**turn, "content": kept}


def _fit(call: Call, block: Block) -> Block:
    kind = block.get("type")
    if kind == USE and not isinstance(block.get("input"), dict):
        call.change("messages.content.input")
        return {**block, "input": _object(block.get("input"))}
    if kind == RESULT:
        return _fit_result(call, block)
    if _is_cited_elsewhere(block):
        call.drop("messages.content.citations")
        return _without(block, "citations")
    return block


def _object(given: Any) -> Any:
    text = given if isinstance(given, str) else "" if given is None else msgspec.json.encode(given).decode()
    return msgspec.json.decode(fit_arguments(text))


def _is_cited_elsewhere(block: Block) -> bool:
    """Say whether another vendor's answer was told with these citations: they lack the index that this one wants back."""
    citations = block.get("citations")
    cited = citations if isinstance(citations, list) else ()
    return any(isinstance(it, dict) and it.get("encrypted_index") == "" for it in cited)


def _fit_result(call: Call, block: Block) -> Block:
    content = kept = block.get("content")
    if isinstance(content, list):
        kept = [it for it in content if not (isinstance(it, dict) and is_blank(it))]
    elif isinstance(content, str) and not content.strip():
        kept = ""
    if block.get("is_error"):
        if not kept:
            kept = NO_RESULT
        elif holds_media(kept):
            call.drop("messages.content.is_error")
            block = _without(block, "is_error")
    if kept == content:
        return block
    return {**block, "content": kept} if kept else _without(block, "content")


def holds_media(content: Any) -> bool:
    """Say whether a result shows anything but text."""
    return any(isinstance(it, dict) and it.get("type") != "text" for it in as_blocks(content))


def _without(block: Block, name: str) -> Block:
    return {member: value for member, value in block.items() if member != name}


def id_member(block: Block) -> str | None:
    """Return the member that says which call a block is, or answers; None for one that has nothing to do with calls."""
    kind = block.get("type")
    return "id" if kind == USE else "tool_use_id" if kind == RESULT else None


def _identified(call: Call, turns: list[Turn]) -> list[Turn]:
    """Give calls that have no id one; a result without one answers the first call that waits for its own."""
    if not any((name := id_member(block)) and not block.get(name) for turn in turns for block in blocks_of(turn)):
        return turns
    call.change("messages.content.id")
    waiting: list[str] = []
    found = []
    for place, turn in enumerate(turns):
        blocks = [dict(block) for block in blocks_of(turn)]
        for number, block in enumerate(blocks):
            made = f"toolu_{place}_{number}"
            if block.get("type") == USE:
                block["id"] = block.get("id") or made
                waiting.append(block["id"])
            elif block.get("type") == RESULT:
                answered = block.get("tool_use_id") or (waiting[0] if waiting else made)
                if answered in waiting:
                    waiting.remove(answered)
                block["tool_use_id"] = answered
        found.append({**turn, "content": blocks} if blocks else turn)
    return found
