"""How hard to think, as each family of models is told.

Facts: docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html,
…/claude-messages-extended-thinking.html,
docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html, platform.openai.com/docs/guides/reasoning.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw

from switchgear.contracts.provider import Call
from switchgear.wire.canonical import ChatRequest
from switchgear.wire.messages.models import Rules
from switchgear.wire.messages.thinking import fit_thinking
from switchgear_plugins.bedrock.content import is_own
from switchgear_plugins.bedrock.families import Family

_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 32768}
_LEAST_BUDGET = 1024
_NOVA = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


def reasoning_members(call: Call, chat: ChatRequest, family: Family) -> dict[str, Any]:
    """Return the model's own members for `reasoning_effort` and `thinking`; what it cannot be told is dropped."""
    members: dict[str, Any] = {}
    if family.rules is not None:
        _fit(call, chat, family.rules)
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


def _fit(call: Call, chat: ChatRequest, rules: Rules) -> None:
    """Write the client's own wish as the model's generation takes it, and none where the conversation cannot go on with one.

    With a budget, a turn of the model's that is not over has to begin with what it thought. A forced tool and thinking exclude
    each other.
    """
    forced = chat.tool_choice not in (None, "auto", "none")
    unsigned = rules.thinking == "budget" and _is_unsigned(chat)
    if chat.thinking is not UNSET and chat.thinking != Raw(b"null"):
        asked = _thinking_decoder.decode(chat.thinking)
        wish, effort = fit_thinking(asked, chat.reasoning_effort, rules, chat.limit or rules.max_tokens)
        on = wish is not None and wish.get("type") in ("enabled", "adaptive")
        if wish is None or (on and (forced or unsigned)):
            call.drop("thinking")
            chat.thinking = UNSET
        else:
            if wish != asked:
                call.change("thinking")
            chat.thinking = Raw(msgspec.json.encode(wish))
            if effort != chat.reasoning_effort and "reasoning_effort" not in call.members:
                chat.reasoning_effort = effort
    effort = chat.reasoning_effort
    if effort not in (None, "none") and (unsigned or (forced and rules.thinking == "budget")):
        if "reasoning_effort" in call.members:
            call.drop("reasoning_effort")
        chat.reasoning_effort = None


def _is_unsigned(chat: ChatRequest) -> bool:
    """Say whether tools have answered a turn that came without what the model thought."""
    if not chat.messages or chat.messages[-1].role != "tool":
        return False
    said = next((it for it in reversed(chat.messages) if it.role == "assistant"), None)
    return said is not None and not any(is_own(detail) for detail in said.reasoning_details or ())


_thinking_decoder = msgspec.json.Decoder(dict[str, Any])


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
