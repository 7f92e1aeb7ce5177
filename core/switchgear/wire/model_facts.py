"""What models of the canonical form's vendor take, by their names: as `acme/NAME` behind a server that offers others' models."""

import re
from functools import lru_cache

from switchgear.contracts.provider import Call
from switchgear.wire.members import holds_items

_VERSION = re.compile(r"gpt-(\d+)(?:\.(\d+))?(?!.*-chat)")
_THINKS_UNASKED = (5, 6)
_REFUSES_EFFORT = (5, 4)
_REASONS = re.compile(r"o\d|gpt-(?:[5-9]|\d\d)(?!.*-chat)|codex")


def refuses_tools(model: str, call: Call) -> bool:
    """Say whether a model refuses this chat for its tools, and takes them over the Responses wire.

    From gpt-5.4 on they are refused together with an effort, from gpt-5.6 on also without one, unless it is `none`.
    """
    version = _version(model)
    if version is None or not (holds_items(call.members, "tools") or holds_items(call.members, "functions")):
        return False
    effort = call.member("reasoning_effort", str)
    return effort != "none" and version >= (_THINKS_UNASKED if effort is None else _REFUSES_EFFORT)


@lru_cache(1024)
def _version(model: str) -> tuple[int, int] | None:
    """Return the version of a model that may refuse tools."""
    found = _VERSION.match(_bare(model))
    version = (0, 0) if found is None else (int(found[1]), int(found[2] or 0))
    return version if version >= _REFUSES_EFFORT else None


@lru_cache(1024)
def reasons(model: str) -> bool:
    """Say whether a model reasons.

    It may be asked for its reasoning in a form that can come back, and knows the bound on its answer as `max_completion_tokens`
    alone.
    """
    return _REASONS.match(_bare(model)) is not None


@lru_cache(1024)
def most_output(model: str) -> int | None:
    """Return how many tokens an answer of a model may have; None for one nobody knows here."""
    name = _bare(model)
    return next((most for pattern, most in _MOST if pattern.match(name)), None)


_MOST = tuple(
    (re.compile(pattern), most)
    for pattern, most in (
        (r"gpt-3\.5-turbo|gpt-4-turbo|gpt-4o-2024-05-13", 4096),
        (r"gpt-4o|gpt-[5-9](?:\.\d+)?-chat", 16_384),
        (r"gpt-4\.1", 32_768),
        (r"o1-preview", 32_768),
        (r"o1-mini", 65_536),
        (r"o[1-4]\b", 100_000),
        (r"gpt-5", 128_000),
    )
)


def _bare(model: str) -> str:
    return model.rpartition("/")[2].removeprefix("ft:")
