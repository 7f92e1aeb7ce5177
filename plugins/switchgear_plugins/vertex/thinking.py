"""How hard a Gemini model thinks: by level from Gemini 3 on, by a budget of tokens in 2.5.

Wire: ai.google.dev/gemini-api/docs/thinking, docs.cloud.google.com/vertex-ai/generative-ai/docs/thinking; the levels and budgets
an effort stands for are those of ai.google.dev/gemini-api/docs/openai#thinking.
"""

import re
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct

from switchgear.contracts.provider import Call
from switchgear.errors import InvalidRequest
from switchgear.wire.canonical import ChatRequest
from switchgear_plugins.vertex.address import family

_GEMINI = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_LEVELS = {
    "none": "minimal",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576, "xhigh": 32_768, "max": 32_768}
_PRO_LEAST = 128
_FLASH_MOST = 24_576
_LEVELS_SINCE = 3
_BUDGETS_SINCE = (2, 5)
_NO_MINIMAL_SINCE = (3, 7)
_NULL = Raw(b"null")


class _Thinking(Struct):
    type: str
    budget_tokens: int | None = None


_thinking_decoder = msgspec.json.Decoder(_Thinking | None)


def generation(model: str) -> tuple[int, int] | None:
    """Return the generation of a Gemini model (2.5 is `(2, 5)`); None for a name that does not say, as a tuned model's."""
    found = _GEMINI.match(family(model))
    return (int(found[1]), int(found[2] or 0)) if found else None


def thinks(model: str) -> bool:
    """Say whether a model thinks when told to. One whose name does not say is taken for a new one."""
    born = generation(model)
    return born >= _BUDGETS_SINCE if born else not family(model).startswith(("gemma-1", "gemma-2", "gemma-3"))


def signs_calls(model: str) -> bool:
    """Say whether function calls without a signature are refused."""
    born = generation(model)
    return born is not None and born[0] >= _LEVELS_SINCE


def thinking_config(call: Call, request: ChatRequest, model: str) -> dict[str, Any] | None:
    """Return `thinkingConfig`, None for the model's own default. Drops what the model lacks.

    `reasoning_effort` goes before `thinking` (`{"type": "enabled", "budget_tokens": n}`, `adaptive` or `disabled`), but for a
    translated call, whose effort was read from its thinking: a model that has budgets gets the one it names.
    """
    named = [name for name in ("reasoning_effort", "thinking") if call.members.get(name, _NULL) != _NULL]
    if not thinks(model):
        call.drop(*named)
        return None
    read_from_it = len(named) > 1 and call.origin != call.wire
    if request.reasoning_effort is not None and not (read_from_it and generation(model) == _BUDGETS_SINCE):
        if "thinking" in named and not read_from_it:
            call.drop("thinking")
        return _by_effort(call, request.reasoning_effort, model, "reasoning_effort")
    if request.thinking is UNSET:
        return None
    try:
        found = _thinking_decoder.decode(request.thinking)
    except msgspec.DecodeError as error:
        message = f"`thinking` is invalid: {error}."
        raise InvalidRequest(message, param="thinking", code="invalid_value") from None
    if found is None:
        return None
    if found.type == "disabled":
        return _by_effort(call, "none", model, "thinking")
    if found.budget_tokens is None:
        return {"includeThoughts": True}
    return {"thinkingBudget": found.budget_tokens, "includeThoughts": True}


def _by_effort(call: Call, effort: str, model: str, name: str) -> dict[str, Any]:
    if effort not in _LEVELS:
        message = f"`{name}` must be one of {', '.join(_LEVELS)}."
        raise InvalidRequest(message, param=name, code="invalid_value")
    shown = {"includeThoughts": True} if effort != "none" else {}
    pro = "-pro" in family(model)
    if generation(model) == _BUDGETS_SINCE:
        budget = _BUDGETS[effort]
        if pro:
            if effort == "none":
                call.drop(name)  # it cannot be turned off: the least is what is left
            return {"thinkingBudget": max(budget, _PRO_LEAST), **shown}
        return {"thinkingBudget": min(budget, _FLASH_MOST), **shown}
    if effort in {"none", "xhigh", "max"}:
        call.drop(name)  # the nearest level is what is left
    level = _LEVELS[effort]
    lowest = "low" if pro or (generation(model) or (0, 0)) >= _NO_MINIMAL_SINCE else "minimal"
    return {"thinkingLevel": lowest if level == "minimal" else level, **shown}
