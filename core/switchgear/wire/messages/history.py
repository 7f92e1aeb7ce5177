"""The turns of a Messages call whose history no model here made, or which was cut: in the order that the form wants.

Results stand right behind the calls that they answer and before what the user says, each call has one, and an id of its own; a
text is not blank, nor is a turn. A history that is so goes out byte for byte.
"""

from collections.abc import Iterator
from typing import Any

from switchgear.contracts.provider import Call
from switchgear.wire.calls import Ids
from switchgear.wire.fit.results import NO_RESULT, paired

Turn = dict[str, Any]
Block = dict[str, Any]

_USER = "user"
_RESULT, _USE = "tool_result", "tool_use"


def fit_turns(call: Call, turns: list[Turn]) -> list[Turn]:
    """Return the turns in the order that the form wants; the very list where they are."""
    if any(not isinstance(block, dict) for turn in turns for block in _blocks(turn)):
        return turns
    found = _unblank(_uncited(call, turns))
    if not _is_in_order(found):
        ordered, made_up = paired(
            [message for turn in found for message in _apart(turn)],
            called=lambda it: _uses(it) if it.get("role") == "assistant" else (),
            answered=_answered,
            nothing=lambda made: _result({"type": _RESULT, "tool_use_id": made, "content": NO_RESULT}),
            told=lambda it: {"role": _USER, "content": _said(it["content"][0])},
        )
        found = _together(_told_apart(ordered))
        call.change("messages.content" if made_up else "messages")
    return found


def _blocks(turn: Turn) -> list[Any]:
    content = turn.get("content")
    return content if isinstance(content, list) else []


def _uses(turn: Turn) -> list[str]:
    return [str(block.get("id")) for block in _blocks(turn) if block.get("type") == _USE]


def _results(turn: Turn) -> list[str]:
    return [str(block.get("tool_use_id")) for block in _blocks(turn) if block.get("type") == _RESULT]


def _is_in_order(turns: list[Turn]) -> bool:
    waiting: list[str] = []
    seen: set[str] = set()
    for turn in turns:
        uses, results = _uses(turn), _results(turn)
        if sorted(results) != sorted(waiting) or len(results) != len(set(results)):
            return False
        if any(block.get("type") != _RESULT for block in _blocks(turn)[: len(results)]):
            return False
        if seen.intersection(uses) or len(uses) != len(set(uses)):
            return False
        seen.update(uses)
        waiting = uses
    return not waiting


def is_blank(block: Block) -> bool:
    """Say whether a block is a text that says nothing."""
    return block.get("type") == "text" and not str(block.get("text", "")).strip()


def _unblank(turns: list[Turn]) -> list[Turn]:
    """Leave blank texts out, and turns of nothing else; what is asked last stays."""
    found: list[Turn] = []
    changed = False
    for turn in turns:
        content = turn.get("content")
        if isinstance(content, str):
            kept: Any = content if content.strip() else ""
        else:
            kept = [_full(block) for block in _blocks(turn) if not is_blank(block)]
            if len(kept) == len(_blocks(turn)) and all(a is b for a, b in zip(kept, _blocks(turn), strict=True)):
                kept = content
        if not kept and kept is not None:
            changed = True
            continue
        if kept is not content:
            changed = True
            turn = {**turn, "content": kept}  # noqa: PLW2901 - a value in its stead
        found.append(turn)
    return found if changed and found else turns


def _uncited(call: Call, turns: list[Turn]) -> list[Turn]:
    """Leave out citations that another vendor's answer was told with: they lack the index that this one wants back."""
    found = [
        {**turn, "content": [_without_foreign(block) for block in _blocks(turn)]}
        if any(map(_is_cited_elsewhere, _blocks(turn)))
        else turn
        for turn in turns
    ]
    if all(a is b for a, b in zip(found, turns, strict=True)):
        return turns
    call.drop("messages.content.citations")
    return found


def _is_cited_elsewhere(block: Block) -> bool:
    return any(isinstance(it, dict) and it.get("encrypted_index") == "" for it in block.get("citations") or ())


def _without_foreign(block: Block) -> Block:
    return {name: it for name, it in block.items() if name != "citations"} if _is_cited_elsewhere(block) else block


def _full(block: Block) -> Block:
    """Return a result without the blank texts in it."""
    content = block.get("content")
    if block.get("type") != _RESULT or not content:
        return block
    if isinstance(content, str):
        return block if content.strip() else {name: it for name, it in block.items() if name != "content"}
    kept = [it for it in content if not (isinstance(it, dict) and is_blank(it))]
    if len(kept) == len(content):
        return block
    return {**block, "content": kept} if kept else {name: it for name, it in block.items() if name != "content"}


def _apart(turn: Turn) -> Iterator[Turn]:
    """Take the results of a turn apart from what the user says in it."""
    rest = [block for block in _blocks(turn) if block.get("type") != _RESULT]
    if turn.get("role") != _USER or len(rest) == len(_blocks(turn)):
        yield turn
        return
    for block in _blocks(turn):
        if block.get("type") == _RESULT:
            yield _result(block)
    if rest:
        yield {**turn, "content": rest}


def _result(block: Block) -> Turn:
    return {"role": _USER, "content": [block]}


def _answered(turn: Turn) -> str | None:
    found = _results(turn)
    return found[0] if found and turn.get("role") == _USER else None


def _said(result: Block) -> str | list[Any]:
    """Return what a result says that answers nothing."""
    return result.get("content") or NO_RESULT


def _told_apart(turns: list[Turn]) -> list[Turn]:
    ids = Ids()
    found = []
    for turn in turns:
        if turn.get("role") == "assistant" and (uses := _uses(turn)):
            made = iter(ids.called(uses))
            content = [{**it, "id": next(made)} if it.get("type") == _USE else it for it in turn["content"]]
            turn = {**turn, "content": content}  # noqa: PLW2901
        elif (id := _answered(turn)) is not None:
            turn = _result({**turn["content"][0], "tool_use_id": ids.answered(id)})  # noqa: PLW2901
        found.append(turn)
    return found


def _together(turns: list[Turn]) -> list[Turn]:
    """Put results and what the user says behind them into one turn."""
    found: list[Turn] = []
    for turn in turns:
        last = found[-1] if found else None
        if last is not None and turn.get("role") == last.get("role") == _USER and _results(last):
            content = turn.get("content")
            more = content if isinstance(content, list) else [{"type": "text", "text": content}]
            found[-1] = {**last, "content": [*last["content"], *more]}
        else:
            found.append(turn)
    return found
