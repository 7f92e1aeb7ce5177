"""How hard to think, as each family of models is told.

Facts: docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html,
…/claude-messages-extended-thinking.html,
docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html, platform.openai.com/docs/guides/reasoning.
"""

from typing import Any

from msgspec import UNSET, Raw

from switchgear.contracts.provider import Call
from switchgear.wire.canonical import ChatRequest
from switchgear_plugins.bedrock.families import Family

_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 32768}
_LEAST_BUDGET = 1024
_NOVA = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


def reasoning_members(call: Call, chat: ChatRequest, family: Family) -> dict[str, Any]:
    """Return the model's own members for `reasoning_effort` and `thinking`; what it cannot be told is dropped."""
    members: dict[str, Any] = {}
    if chat.thinking is not UNSET and chat.thinking != Raw(b"null"):
        if family.reasoning in ("adaptive", "budget"):
            members["thinking"] = chat.thinking
        else:
            call.drop("thinking")
    effort = chat.reasoning_effort
    if effort is not None:
        told = _told(effort, chat, family, thinking="thinking" in members)
        if told is None:
            # Of a translated call the effort was read from the thinking, which is carried.
            if not ("thinking" in members and call.origin != call.wire):
                call.drop("reasoning_effort")
        else:
            members = {**told, **members}
    return members


def _told(effort: str, chat: ChatRequest, family: Family, *, thinking: bool) -> dict[str, Any] | None:
    """Return the members that say `effort`, None if nothing says it. `thinking`: the client has said how to think itself."""
    match family.reasoning:
        case "adaptive":
            if effort == "none":
                return {"no": {}, "optional": {"thinking": {"type": "disabled"}}, "always": None}[family.thinks]
            level = "low" if effort == "minimal" else effort
            return {"thinking": {"type": "adaptive"}, "output_config": {"effort": level}}
        case "budget":
            if effort == "none":
                return {}
            budget = None if thinking else _budget(effort, chat.limit)
            return None if budget is None else {"thinking": {"type": "enabled", "budget_tokens": budget}}
        case "reasoning_config":
            if effort == "none":
                return {"reasoningConfig": {"type": "disabled"}}
            level = _NOVA.get(effort, effort)
            return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}}
        case "effort_member":
            return {"reasoning_effort": effort}
        case "effort_object":
            return {"reasoning": {"effort": effort}}
        case None:
            return None


def _budget(effort: str, limit: int | None) -> int | None:
    """Return the thinking tokens for an effort, at most half of the answer's bound, of which they are a part."""
    budget = _BUDGETS.get(effort)
    if budget is not None and limit is not None:
        budget = min(budget, limit // 2)
    return budget if budget is not None and budget >= _LEAST_BUDGET else None
