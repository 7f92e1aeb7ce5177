"""How many tokens something is, before a provider has said: learnt for each model from what its provider said before."""

import re
from collections.abc import Mapping

from msgspec import Raw

_AT_FIRST = 4.0
"""Bytes a token until a model was heard: English prose in JSON."""
_STEP = 0.05
"""How much one answer moves the ratio: about the last twenty count."""
_AT_ONCE = 32
_ONE_IN = 8
_FEWEST = 16
"""Tokens below which the fixed cost of a message hides what a token is."""
_IMAGE_TOKENS = 1000
_MOST_LEARNT_FROM = 64 * 1024
"""Bytes of a prompt that is still measured: to look through a long one costs more than it teaches."""
_BASE64 = re.compile(rb'(?:;base64,|"data":\s*")[A-Za-z0-9+/=]{64,}')
_MARKS = (b";base64,", b'"data":')
"""What every match begins with: it is found many times faster by itself."""
_MOST_MARKS = 10_000
_TEXT = ("messages", "system", "tools", "input", "instructions", "prompt")


class TokenEstimator:
    """Bytes of JSON for one token of one model, in and out. No I/O; cheap enough for every exchange."""

    __slots__ = ("__weakref__", "_passed", "input_ratio", "output_ratio")

    def __init__(self) -> None:
        self.input_ratio = _AT_FIRST
        self.output_ratio = _AT_FIRST
        self._passed = 0

    def wants(self) -> bool:
        """Return True if the next answer is to be learnt from: each of the first ones, then one in eight.

        Measuring what was sent takes time with its length, and the ratio of one model hardly changes.
        """
        self._passed += 1
        return self._passed <= _AT_ONCE or self._passed % _ONE_IN == 0

    def learn(self, sent: int, input_tokens: int, received: int, output_tokens: int) -> None:
        """Take note of one exchange whose usage the provider said; 0 bytes teach nothing."""
        if sent and input_tokens >= _FEWEST:
            self.input_ratio += _STEP * (_sane(sent / input_tokens) - self.input_ratio)
        if received and output_tokens >= _FEWEST:
            self.output_ratio += _STEP * (_sane(received / output_tokens) - self.output_ratio)

    def input(self, members: Mapping[str, Raw]) -> int:
        """Estimate the input tokens of a request by its members."""
        size = images = 0
        for name in _TEXT:
            raw = members.get(name)
            if raw is not None:
                text, found = _without_images(bytes(raw))
                size += text
                images += found
        return max(int(size / self.input_ratio), 1) + images * _IMAGE_TOKENS

    def output(self, received: int, events: int) -> int:
        """Estimate the output tokens of a stream by its bytes of content and its events: one token an event at least."""
        return max(events, int(received / self.output_ratio))


def text_bytes(members: Mapping[str, Raw]) -> int:
    """Measure what the input tokens of a request are made of; 0 if there is more in it than text, or too much to look at."""
    size = 0
    for name in _TEXT:
        raw = members.get(name)
        if raw is not None:
            size += len(raw)
            if size > _MOST_LEARNT_FROM or b"base64" in bytes(raw):
                return 0
    return size


def _without_images(text: bytes) -> tuple[int, int]:
    """Return how long JSON is without its images, and how many these are."""
    size, images, left = len(text), 0, _MOST_MARKS
    for mark in _MARKS:
        at = text.find(mark)
        while at >= 0 and left:
            left -= 1
            found = _BASE64.match(text, at)
            end = at + len(mark) if found is None else found.end()
            if found is not None:
                size -= end - at
                images += 1
            at = text.find(mark, end)
    return size, images


def _sane(ratio: float) -> float:
    return min(max(ratio, 1.0), 16.0)
