"""The legacy completions wire, forwarded as it is (platform.openai.com/docs/api-reference/completions).

Whole answers and chunks have one shape, whose choices hold `text`; a stream ends as a chat's does.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Answer, Call, Head
from switchgear.wire.chat import ChatDecoder, decode_fault
from switchgear.wire.members import BROKEN, decode_text
from switchgear.wire.usage import read_usage

_NULL = Raw(b"null")


class _Choice(Struct, gc=False):
    text: str | None = None
    index: int | None = 0
    finish_reason: str | None = None
    usage: Raw = _NULL


class _Completion(Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: Raw = _NULL
    error: Raw = _NULL
    model: str | None = None


_decoder = msgspec.json.Decoder(_Completion)


def decode_completion(body: bytes, head: Head) -> Answer:
    """Read a whole completion. Raises `ProviderFault` (`protocol`) for anything else."""
    try:
        found = decode_text(_decoder, body)
    except BROKEN:
        raise decode_fault(head.status, body, head) from None
    if found.error != _NULL or not found.choices or found.choices[0].text is None:
        raise decode_fault(head.status, body, head)
    return Answer(body, read_usage(found.usage), found.model, found.choices[0].finish_reason)


class CompletionsDecoder(ChatDecoder):
    """Decodes a stream of completion chunks.

    Complete means: each choice has given its finish reason (`n` for each prompt), or `[DONE]` was seen.
    """

    __slots__ = ()

    chunks = _decoder

    def __init__(self, call: Call, head: Head) -> None:
        super().__init__(call, head)
        self._open *= _prompts(call.members.get("prompt"))

    @staticmethod
    def content(choice: Any) -> int:
        """Say how much a choice shows."""
        return len(choice.text or "")


def _prompts(prompt: Raw | None) -> int:
    """Count the prompts: a text, a list of texts, the tokens of one, or a list of such."""
    if prompt is None:
        return 1
    try:
        found = msgspec.json.decode(prompt, type=list[str | list[int]])
    except (msgspec.DecodeError, RecursionError):
        return 1
    return len(found) or 1
