"""How long a prompt was and how long it may be, as vendors say it in words: their clients read these to decide what to do."""

import re

_BOUND = re.compile(
    r"(?:maximum context (?:length|window|size)(?: is| of)?|context (?:length|window|size) (?:is|of))\D{0,20}([\d,]+)",
    re.IGNORECASE,
)
_ASKED = re.compile(
    r"(?:resulted in|requested|you (?:sent|have)|contains?|prompt is)\D{0,30}?([\d,]+) ?(?:input )?tokens",
    re.IGNORECASE,
)
_PAIR = re.compile(r"([\d,]+)(?: tokens)? > ([\d,]+)|count \(([\d,]+)\) exceeds \D*\(([\d,]+)\)")


def tokens_in(message: str) -> tuple[int, int] | None:
    """Return how many tokens were asked with and how many there may be; None where the message does not say both."""
    if (pair := _PAIR.search(message)) is not None:
        return _number(pair[1] or pair[3]), _number(pair[2] or pair[4])
    bound, asked = _BOUND.search(message), _ASKED.search(message)
    if bound is None or asked is None:
        return None
    found = _number(asked[1]), _number(bound[1])
    return found if found[0] > found[1] > 0 else None


def _number(text: str) -> int:
    return int(text.replace(",", "") or 0)
