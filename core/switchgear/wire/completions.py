"""The legacy completions wire, forwarded as it is (platform.openai.com/docs/api-reference/completions).

Whole answers and chunks have one shape, whose choices hold `text`; a stream ends as a chat's does.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Answer, Call, Head, StreamEvent
from switchgear.wire.chat import NO_ERROR, decode_fault, failed, is_failure, without_null_usage
from switchgear.wire.chat_stream import ChatDecoder
from switchgear.wire.members import BROKEN, decode_text
from switchgear.wire.mend import text, words
from switchgear.wire.usage import read_usage

_NULL = Raw(b"null")


class _Choice(Struct, gc=False):
    text: str | None = None
    index: int | None = 0
    finish_reason: str | None = None
    usage: Raw = _NULL


class _Completion(Struct, gc=False):
    choices: list[_Choice] | None = None
    id: Any = None
    created: Any = None
    usage: Raw = _NULL
    error: Raw = _NULL
    model: str | None = None

    def is_odd(self) -> bool:
        """Say whether it lacks what each has: choices with a text."""
        return self.choices is None or any(choice.text is None for choice in self.choices)


_decoder = msgspec.json.Decoder(_Completion)


def decode_completion(body: bytes, head: Head) -> Answer:
    """Read a whole completion. Raises `ProviderFault` (`protocol`) for anything else."""
    try:
        found = decode_text(_decoder, body)
    except BROKEN:
        raise decode_fault(head.status, body, head) from None
    if found.error not in NO_ERROR or not found.choices:
        raise decode_fault(head.status, body, head)
    if found.is_odd():
        body = _mended(body)
    return Answer(body, read_usage(found.usage), found.model, found.choices[0].finish_reason)


class CompletionsDecoder(ChatDecoder):
    """Decodes a stream of completion chunks.

    Complete means: each choice has given its finish reason (`n` for each prompt), or `[DONE]` was seen.
    """

    __slots__ = ()

    def __init__(self, call: Call, head: Head) -> None:
        super().__init__(call, head)
        self._open *= _prompts(call.members.get("prompt"))

    def _take(self, payload: bytes, events: list[StreamEvent]) -> None:
        word = payload.strip()
        if word == b"[DONE]":
            self._done(events)
            return
        if word in (b"", b"null"):
            return
        try:
            chunk = decode_text(_decoder, payload)
        except BROKEN:
            events.append(failed(decode_fault(200, payload, self._head)))
            return
        if chunk.error not in NO_ERROR or (chunk.choices is None and is_failure(payload)):
            events.append(failed(decode_fault(200, payload, self._head)))
            return
        if chunk.is_odd():
            payload = _mended(payload)
            chunk = _decoder.decode(payload)
        said = next((choice.usage for choice in chunk.choices or () if choice.usage != _NULL), _NULL)
        said = said if chunk.usage == _NULL else chunk.usage
        usage = None if said == _NULL else read_usage(said)
        content = sum(len(choice.text or "") for choice in chunk.choices or ())
        terminal = self._finish(chunk.choices or ())
        self._said = self._said or content > 0
        if chunk.choices:
            self._frame = chunk
        if not self._usage_wanted:
            if not chunk.choices and usage is not None:
                events.append(StreamEvent(b"", usage=usage))
                return
            payload = without_null_usage(payload)
        events.append(StreamEvent(payload, None, content, terminal, False, usage))

    def _end(self, frame: _Completion) -> StreamEvent:
        """Say of a choice whose server did not that it is over."""
        told = {
            "id": text(frame.id),
            "object": "text_completion",
            "created": frame.created or 0,
            "model": frame.model or "",
        }
        choice = {"index": 0, "text": "", "logprobs": None, "finish_reason": "stop"}
        return StreamEvent(msgspec.json.encode({**told, "choices": [choice]}), terminal=True)


def _mended(payload: bytes) -> bytes:
    """Return an answer or a chunk whose choices have a text, wherever the server said it."""
    found: dict[str, Any] = msgspec.json.decode(payload)
    for choice in (choices := found.get("choices") or []):
        said = choice.get("delta") or choice.get("message")
        choice.update(text=words(choice.get("text") or said), finish_reason=choice.get("finish_reason"))
    return msgspec.json.encode({**found, "choices": choices})


def _prompts(prompt: Raw | None) -> int:
    """Count the prompts: a text, a list of texts, the tokens of one, or a list of such."""
    if prompt is None:
        return 1
    try:
        found = msgspec.json.decode(prompt, type=list[str | list[int]])
    except (msgspec.DecodeError, RecursionError):
        return 1
    return len(found) or 1
