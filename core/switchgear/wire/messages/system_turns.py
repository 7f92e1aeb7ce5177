"""Turns in which the client speaks to the model as the system, in the middle of a conversation.

Source: platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages. Models that know them want each behind a
turn of the user's, or behind what a tool of the vendor's found, and nothing of the user's behind it; no model takes one in
front. Others are told the same as the user's words, in the same place: a system prompt that grew would end the cache of
everything behind it.
"""

from itertools import takewhile

from switchgear.contracts.provider import Call
from switchgear.wire.fit.said import reminder
from switchgear.wire.messages.blocks import Block, Turn, as_blocks, blocks_of, is_more

_SYSTEM, _USER = "system", "user"


def fit_system_turns(call: Call, turns: list[Turn], *, taken: bool) -> tuple[list[Block], list[Turn]]:
    """Return the blocks of turns that belong to the system prompt, and the others as the model takes them.

    `taken` says whether it knows such turns. The very list where there are none, or all are right; a turn that says more than
    texts is for the provider to judge.
    """
    leading = list(takewhile(lambda turn: turn.get("role") == _SYSTEM and not is_more(turn), turns))
    rest = turns[len(leading) :]
    wrong = {place for place in range(len(rest)) if _is_wrong(rest, place, taken=taken)}
    if not leading and not wrong:
        return [], turns
    call.change("messages.role")
    fitted: list[Turn] = []
    for place, turn in enumerate(rest):
        if place not in wrong:
            fitted.append(turn)
        elif fitted[-1].get("role") == _USER:
            fitted[-1] = {"role": _USER, "content": [*as_blocks(fitted[-1].get("content")), *_told(turn)]}
        else:
            fitted.append({"role": _USER, "content": _told(turn)})
    return [block for turn in leading for block in as_blocks(turn.get("content"))], fitted


def _is_wrong(turns: list[Turn], place: int, *, taken: bool) -> bool:
    turn = turns[place]
    if (
        turn.get("role") != _SYSTEM
        or is_more(turn)
        or any(it.get("type") != "text" for it in as_blocks(turn.get("content")))
    ):
        return False
    before = turns[place - 1]
    follows = before.get("role") == _USER or any("_tool" in str(it.get("type")) for it in blocks_of(before)[-1:])
    leads = place + 1 == len(turns) or turns[place + 1].get("role") == "assistant"
    return not (taken and follows and leads)


def _told(turn: Turn) -> list[Block]:
    return [{**block, "text": reminder(str(block.get("text")))} for block in as_blocks(turn.get("content"))]
