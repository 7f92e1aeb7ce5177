"""Wishes for thinking in the words of a generation of models, and thoughts that a model cannot have had.

Source: platform.claude.com/docs/en/build-with-claude/thinking.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgspec

from switchgear.wire.canonical import ReasoningDetail
from switchgear.wire.messages.models import Rules

PACKED = "switchgear.v1."
"""What opaque members begin with that this gateway packed: another form's reasoning, for a client of this one."""
_FOREIGN = (PACKED, "sg1.")
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 32_768, "max": 32_768}
_EFFORTS = ((4096, "low"), (16384, "medium"))
_LEAST_BUDGET = 1024
_THOUGHTS = ("thinking", "redacted_thinking")

Json = dict[str, Any]
_detail_decoder = msgspec.json.Decoder(ReasoningDetail)


def budget_of(effort: str, limit: int) -> int | None:
    """Return the tokens of thinking for an effort, half of the answer's bound at most; None if that is too few."""
    budget = min(_BUDGETS.get(effort, 0), limit // 2)
    return budget if budget >= _LEAST_BUDGET else None


def effort_of(budget: int | None) -> str | None:
    """Return the effort that a budget of thinking tokens stands for."""
    return None if budget is None else next((effort for below, effort in _EFFORTS if budget < below), "high")


def fit_thinking(thinking: Json, effort: str | None, rules: Rules, limit: int) -> tuple[Json | None, str | None]:
    """Return the wish for thinking and the effort as a model of these rules takes them; None for what it does not take."""
    kind = thinking.get("type")
    if kind not in ("adaptive", "enabled", "disabled"):
        return thinking, effort
    others = {name: value for name, value in thinking.items() if name not in ("type", "budget_tokens")}
    if rules.thinking == "none":
        return None, None
    if kind == "disabled":
        if rules.thinking == "adaptive" and rules.off != "disabled":
            return (None if rules.off is None else {"type": rules.off}), effort
        return thinking, effort
    if rules.thinking == "budget":
        asked = thinking.get("budget_tokens")
        budget = asked if kind == "enabled" and isinstance(asked, int) else budget_of(effort or "high", limit)
        if budget is None or (budget >= limit and limit <= _LEAST_BUDGET):
            return None, effort
        return {"type": "enabled", "budget_tokens": min(budget, limit - 1), **others}, effort
    if kind == "enabled" and not rules.sampling:
        asked = thinking.get("budget_tokens")
        return {"type": "adaptive", **others}, effort or effort_of(asked if isinstance(asked, int) else None)
    return thinking, effort


def lacks_thinking(turns: Sequence[Json]) -> bool:
    """Say whether the conversation goes on in a turn of the model's that does not begin with what it thought.

    It does so where tools have answered, whatever else is said behind.
    """
    answered = False
    for turn in reversed(turns):
        content = turn.get("content")
        blocks = content if isinstance(content, list) else []
        if turn.get("role") == "assistant":
            return answered and not (blocks and blocks[0].get("type") in _THOUGHTS)
        answered = answered or any(block.get("type") == "tool_result" for block in blocks)
    return False


def own_thought(block: Json, format: str) -> Json | None:
    """Return a block of thinking as its maker gave it, None if a model whose reasoning has this `format` cannot have made it."""
    opaque = block.get("signature") if block.get("type") == "thinking" else block.get("data")
    if not isinstance(opaque, str) or not opaque:
        return None
    if not opaque.startswith(_FOREIGN):
        return block
    detail = _unpacked(opaque)
    if detail is None or detail.format != format:
        return None
    if detail.type == "reasoning.text" and detail.signature and block.get("type") == "thinking":
        return {"type": "thinking", "thinking": block.get("thinking", ""), "signature": detail.signature}
    if detail.type == "reasoning.encrypted" and detail.data:
        return {"type": "redacted_thinking", "data": detail.data}
    return None


def _unpacked(opaque: str) -> ReasoningDetail | None:
    try:
        return _detail_decoder.decode(base64.b64decode(opaque[len(PACKED) :].encode(), altchars=b"-_", validate=True))
    except (binascii.Error, msgspec.DecodeError, UnicodeError):
        return None
