"""The legacy completions wire, forwarded as it is (platform.openai.com/docs/api-reference/completions).

Whole answers and chunks have one shape, whose choices hold `text`; a stream ends as a chat's does.
"""

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Answer, Call, Head, StreamEvent
from switchgear.wire.chat import cut, decode_fault, failed, read_usage, without_null_usage
from switchgear.wire.members import BROKEN, decode_text, member
from switchgear.wire.sse import SSEParser

_NULL = Raw(b"null")


class _Choice(Struct, gc=False):
    text: str | None = None
    index: int | None = 0
    finish_reason: str | None = None


class _Completion(Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: Raw = _NULL
    error: Raw = _NULL
    model: str | None = None


_decoder = msgspec.json.Decoder(_Completion)


def decode_completion(body: bytes, head: Head) -> Answer:
    """Read a whole completion. Raises `ProviderFault` (`protocol`) for anything else."""
    found = _read(body)
    if found is None or found.error != _NULL or not found.choices or found.choices[0].text is None:
        raise decode_fault(head.status, body, head)
    return Answer(body, read_usage(found.usage), found.model, found.choices[0].finish_reason)


class CompletionsDecoder:
    """Decodes a stream of completion chunks.

    Complete means: each choice has given its finish reason (`n` for each prompt), or `[DONE]` was seen.
    """

    __slots__ = ("_finished", "_head", "_open", "_sse", "_terminal", "_usage_wanted")

    def __init__(self, call: Call, head: Head) -> None:
        self._sse = SSEParser()
        self._head = head
        self._open = (member(call.members, "n", int) or 1) * _prompts(call.members.get("prompt"))
        self._finished: set[int | None] = set()
        self._terminal = False
        self._usage_wanted = call.usage_wanted

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take a piece of the body; return the events it completes."""
        events: list[StreamEvent] = []
        for payload in self._sse.feed(data):
            events.append(event := self._event(payload))
            if event.last:
                break
        return events

    def close(self) -> None:
        """The body has ended. Raises `ConnectionBroken` unless the stream was complete."""
        if not self._terminal:
            raise cut(self._head)

    def _event(self, payload: bytes) -> StreamEvent:
        if payload == b"[DONE]":
            self._terminal = True
            return StreamEvent(b"", terminal=True, last=True)
        chunk = _read(payload)
        if chunk is None or chunk.error != _NULL:
            return failed(decode_fault(200, payload, self._head))
        content = 0
        terminal = False
        for choice in chunk.choices or ():
            content += len(choice.text or "")
            if choice.finish_reason:
                self._finished.add(choice.index)
                if len(self._finished) >= self._open:
                    terminal = self._terminal = True
        usage = None if chunk.usage == _NULL else read_usage(chunk.usage)
        if not self._usage_wanted:
            if not chunk.choices and usage is not None:
                return StreamEvent(b"", usage=usage)
            payload = without_null_usage(payload)
        return StreamEvent(payload, None, content, terminal, False, usage)


def _read(body: bytes) -> _Completion | None:
    try:
        return decode_text(_decoder, body)
    except BROKEN:
        return None


def _prompts(prompt: Raw | None) -> int:
    """Count the prompts: a text, a list of texts, the tokens of one, or a list of such."""
    if prompt is None:
        return 1
    try:
        found = msgspec.json.decode(prompt, type=list[str | list[int]])
    except (msgspec.DecodeError, RecursionError):
        return 1
    return len(found) or 1
