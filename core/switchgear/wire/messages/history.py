"""The turns of a Messages call whose history no model here made, or which was cut: in the order that the form wants.

Results stand right behind the calls that they answer and before what the user says, each call has one, and an id of its own.
What the model is to go on with ends in no white space. A history that is so goes out byte for byte.
"""

from collections.abc import Iterator
from typing import Any

from switchgear.contracts.provider import Call
from switchgear.wire.calls import Ids
from switchgear.wire.fit.results import NO_RESULT, paired
from switchgear.wire.messages.blocks import RESULT, USE, Block, Turn, as_blocks, blocks_of, fit_blocks

_USER = "user"


def fit_turns(call: Call, turns: list[Turn]) -> list[Turn]:
    """Return the turns in the order that the form wants; the very list where they are."""
    found = fit_blocks(call, turns)
    if not _is_in_order(found):
        ordered, made_up = paired(
            [message for turn in found for message in _apart(turn)],
            called=lambda it: _uses(it) if it.get("role") == "assistant" else (),
            answered=_answered,
            nothing=lambda made: _result({"type": RESULT, "tool_use_id": made, "content": NO_RESULT}),
            told=lambda it: {"role": _USER, "content": _said(it["content"][0])},
        )
        found = _together(_told_apart(ordered))
        call.change("messages.content" if made_up else "messages")
    return _trimmed(found)


def _uses(turn: Turn) -> list[str]:
    return [str(block.get("id")) for block in blocks_of(turn) if block.get("type") == USE]


def _results(turn: Turn) -> list[str]:
    return [str(block.get("tool_use_id")) for block in blocks_of(turn) if block.get("type") == RESULT]


def _is_in_order(turns: list[Turn]) -> bool:
    waiting: list[str] = []
    seen: set[str] = set()
    for turn in turns:
        uses, results = _uses(turn), _results(turn)
        if results and turn.get("role") != _USER:
            return False
        if sorted(results) != sorted(waiting) or len(results) != len(set(results)):
            return False
        if any(block.get("type") != RESULT for block in blocks_of(turn)[: len(results)]):
            return False
        if seen.intersection(uses) or len(uses) != len(set(uses)):
            return False
        seen.update(uses)
        waiting = uses
    return not waiting


def _apart(turn: Turn) -> Iterator[Turn]:
    """Take the results in a turn apart from what else is said in it."""
    rest = [block for block in blocks_of(turn) if block.get("type") != RESULT]
    if len(rest) == len(blocks_of(turn)):
        yield turn
        return
    for block in blocks_of(turn):
        if block.get("type") == RESULT:
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
    content = result.get("content")
    if isinstance(content, str):
        return content or NO_RESULT
    return [block for block in as_blocks(content) if isinstance(block, dict)] or NO_RESULT


def _told_apart(turns: list[Turn]) -> list[Turn]:
    ids = Ids()
    found = []
    for turn in turns:
        if turn.get("role") == "assistant" and (uses := _uses(turn)):
            made = iter(ids.called(uses))
            content = [{**it, "id": next(made)} if it.get("type") == USE else it for it in turn["content"]]
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
            found[-1] = {**last, "content": [*last["content"], *as_blocks(turn.get("content"))]}
        else:
            found.append(turn)
    return found


def _trimmed(turns: list[Turn]) -> list[Turn]:
    """Cut white space off the end of a last turn that is the model's: the form refuses it there."""
    last = turns[-1] if turns else {}
    if last.get("role") != "assistant":
        return turns
    content, blocks = last.get("content"), blocks_of(last)
    if isinstance(content, str):
        trimmed: Any = content.rstrip()
    elif blocks and isinstance(said := blocks[-1].get("text"), str):
        trimmed = [*blocks[:-1], {**blocks[-1], "text": said.rstrip()}]
    else:
        return turns
    return turns if trimmed == content else [*turns[:-1], {**last, "content": trimmed}]
