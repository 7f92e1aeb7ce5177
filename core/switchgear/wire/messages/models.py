"""What the generations of models behind the Messages form take, read from a model's name.

Source: platform.claude.com/docs/en/build-with-claude/thinking, …/effort and …/structured-outputs, and the pages "What's new"
of the models, as of October 2026. `GET /v1/models` says some of it too, but a request cannot wait for that.
"""

import re
from typing import Literal

from msgspec import Struct

_LEVELS = ("low", "medium", "high", "xhigh", "max")
_WITHOUT_XHIGH = ("low", "medium", "high", "max")
# `opus-4-20250514` is version 4, `sonnet-4-5@20250929` is 4.5; until 3.7 the version came first: `3-5-haiku-20241022`.
_NEW_STYLE = re.compile(r"(opus|sonnet|haiku|fable|mythos)-(?:(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)|preview)")
_OLD_STYLE = re.compile(r"(?<!\d)(\d)(?:[-.](\d))?-(?:opus|sonnet|haiku)")


class Rules(Struct, frozen=True):
    """What one model takes. The defaults are for a name that says nothing: send what was asked and let the provider judge.

    thinking      not at all, with a budget of tokens, or as it sees fit (`adaptive`, steered by an effort)
    off           the `thinking.type` that switches thinking off; None if it cannot be
    efforts       values of `output_config.effort`, rising
    sampling      takes temperature, top_p and top_k
    one_sampling  takes temperature or top_p, not both
    forced_tools  takes a tool_choice that forces a tool
    prefill       goes on with an assistant message that ends the conversation
    system_turns  takes turns of the role `system` in the middle of a conversation
    json_schema   takes `output_config.format` and strict tools
    max_tokens    sent where nobody set a bound, since the form requires one: what every model of the generation can make,
                  32,000 at most
    """

    thinking: Literal["none", "budget", "adaptive"] = "adaptive"
    off: str | None = "disabled"
    efforts: tuple[str, ...] = _LEVELS
    sampling: bool = True
    one_sampling: bool = False
    forced_tools: bool = True
    prefill: bool = False
    system_turns: bool = True
    json_schema: bool = True
    max_tokens: int = 8192

    def effort(self, wanted: str) -> str | None:
        """Return the level nearest to one of the canonical `reasoning_effort`s, rather lower than higher; None if unknown."""
        if wanted == "minimal":
            wanted = "low"
        if wanted not in _LEVELS:
            return None
        reach = _LEVELS.index(wanted)
        return [level for level in self.efforts if _LEVELS.index(level) <= reach][-1]


def rules_of(name: str) -> Rules:
    """Say what a model takes, by the provider's name for it."""
    lowered = name.lower()
    if found := _NEW_STYLE.search(lowered):
        family, major, minor = found.groups()
        return _rules(family, (int(major or 5), int(minor or 0)))
    if found := _OLD_STYLE.search(lowered):
        return _rules("", (int(found[1]), int(found[2] or 0)))
    return Rules()


def _rules(family: str, version: tuple[int, int]) -> Rules:
    if version < (3, 7):
        size = 8192 if version >= (3, 5) else 4096
        return Rules("none", prefill=True, system_turns=False, json_schema=False, max_tokens=size)
    if version < (4, 6):
        newer = version >= (4, 1)
        return Rules(
            "budget", prefill=True, system_turns=False, one_sampling=newer, json_schema=newer, max_tokens=32_000
        )
    if version < (4, 7):
        return Rules(efforts=_WITHOUT_XHIGH, one_sampling=True, system_turns=False, max_tokens=32_000)
    always_thinks = family in ("fable", "mythos") or (family == "opus" and version >= (5, 5))
    forced = version < (5, 1) if family in ("fable", "mythos") else family == "haiku" or version < (5, 5)
    off = None if always_thinks else "between_tools" if family == "sonnet" and version >= (5, 5) else "disabled"
    system = version >= (4, 8) and family not in ("sonnet", "haiku")
    return Rules(off=off, sampling=False, forced_tools=forced, system_turns=system, max_tokens=32_000)
