"""Why an answer ended and what it consumed, in the words of the Messages API.

Wire: platform.claude.com/docs/en/build-with-claude/handling-stop-reasons, and `usage` of /api/messages.
"""

from typing import Any

from switchgear.contracts.usage import CACHE_WRITE_1H, CACHE_WRITE_5M, Usage

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


def stop_reason(finish: str | None, *, called: bool, refused: bool) -> str:
    """Translate a finish reason. `called` says whether a tool is called, `refused` whether the model spoke a refusal.

    The canonical form does not say whether a stop sequence was met, so that is `end_turn` too.
    """
    reason = _STOP_REASONS.get(finish or "stop", "end_turn")
    if reason == "end_turn":
        # A client acts on the tool calls it is told to stop for; some servers say `stop` all the same.
        return "tool_use" if called else "refusal" if refused else reason
    return "end_turn" if reason == "tool_use" and not called else reason


def usage_members(usage: Usage) -> dict[str, Any]:
    """Write usage: here `input_tokens` are those neither read from the cache nor written to it."""
    cached, written = usage.cached_input_tokens, usage.cache_write_tokens
    members: dict[str, Any] = {
        "input_tokens": usage.input_tokens - cached - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.output_tokens,
    }
    members["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens} if usage.reasoning_tokens else None
    members["server_tool_use"] = None
    return members


def whole_usage(usage: Usage) -> dict[str, Any]:
    """Write the usage of a whole message, which says more: nullable members have to be there."""
    short, long = usage.units.get(CACHE_WRITE_5M, 0), usage.units.get(CACHE_WRITE_1H, 0)
    written = {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long} if short or long else None
    return {**usage_members(usage), "cache_creation": written, "inference_geo": None, "service_tier": None}
