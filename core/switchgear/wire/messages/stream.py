"""Streams in the Messages form: passed on as they are, or translated into canonical chunks.

Wire: docs.anthropic.com/en/api/messages-streaming. `message_stop` alone proves a stream complete. The counts in
`message_delta` are cumulative, and those that it leaves out stand in `message_start`.
"""

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Call, Head, ProviderFault, StreamEvent
from switchgear.wire.chunks import ChunkWriter
from switchgear.wire.event_decoder import EventDecoder
from switchgear.wire.members import BROKEN, decode_whole
from switchgear.wire.messages.answer import Message, cited, own_name, thinking_detail
from switchgear.wire.messages.faults import REQUEST_ID, decode_fault
from switchgear.wire.messages.form import Block, Citation, StopDetails, TokenCounts, finish_reason, read_tokens
from switchgear.wire.messages.told import events_of, with_stop

_NULL = Raw(b"null")
_NO_NAMES: Mapping[str, str] = MappingProxyType({})


class _Delta(Struct, gc=False):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    stop_reason: str | None = None
    stop_details: StopDetails | None = None
    citation: Citation | None = None


class _Event(Struct, gc=False):
    type: str
    index: int = 0
    delta: _Delta | None = None
    content_block: Block | None = None
    message: Message | None = None
    usage: Raw = _NULL


class _NotAnEventError(Exception):
    """The provider sent a failure, or an event that is none."""


class _Open(Struct):
    """A block that has begun: a tool call and its number, or what was thought so far."""

    kind: str
    call: int = -1
    filled: bool = False
    thoughts: list[str] = []
    signature: list[str] = []
    data: str = ""


_decoder = msgspec.json.Decoder(_Event)
_STOP = b'{"type":"message_stop"}'
_EMPTY = (Raw(b"{}"), Raw(b"null"), Raw(b'""'))
_NEEDED = frozenset({"message_start", "content_block_start", "content_block_delta", "message_stop"})
"""Events that must be understood where they stand; others may be new, and are passed over."""


class _MessagesDecoder(EventDecoder):
    """What both decoders do: events read, counts, faults."""

    __slots__ = ("_counts", "_stopped")

    request_id_header = REQUEST_ID

    def __init__(self, head: Head) -> None:
        super().__init__(head)
        self._counts = TokenCounts()
        self._stopped = False

    def take(self, payload: bytes, events: list[StreamEvent]) -> None:
        """Add what an event becomes."""
        try:
            event = decode_whole(_decoder, payload)
            self._stopped |= event.delta is not None and event.delta.stop_reason is not None
            self._take(event, payload, events)
        except (*BROKEN, _NotAnEventError):
            raise decode_fault(200, payload, self.head) from None

    def done(self, events: list[StreamEvent]) -> None:
        """Take another form's end for one, once the message has said why it ended."""
        if not self._stopped:
            raise ProviderFault("protocol", 200)
        self.take(_STOP, events)

    def whole(self, body: bytes) -> list[bytes]:
        """Return the events of a message that came whole."""
        return events_of(body)

    def misdelivered(self, body: bytes) -> ProviderFault:
        """Classify what came instead of a stream."""
        return decode_fault(200, body, self.head)

    @abstractmethod
    def _take(self, event: _Event, payload: bytes, events: list[StreamEvent]) -> None:
        """Add what an event becomes to `events`. Raises `_NotAnEventError` for one that is a failure, or cannot stand there."""

    def _count(self, usage: Raw) -> None:
        newer = read_tokens(usage)
        if newer is not None:
            self._counts = self._counts.updated(newer)


class NativeDecoder(_MessagesDecoder):
    """Passes events on as they are, each under its type as its name.

    `aliases` are the client's names of tools by those they have here.
    """

    __slots__ = ("_aliases", "_called")

    def __init__(self, head: Head, aliases: Mapping[str, str] = _NO_NAMES) -> None:
        super().__init__(head)
        self._aliases = aliases
        self._called = False

    def _take(self, event: _Event, payload: bytes, events: list[StreamEvent]) -> None:
        kind = event.type
        if kind == "content_block_delta":
            events.append(StreamEvent(payload, b"content_block_delta", _shown(event.delta)))
        elif kind == "message_stop":
            self.complete = True
            events.append(StreamEvent(payload, b"message_stop", 0, terminal=True, last=True))
        elif kind == "message_delta":
            self._count(event.usage)
            reason = None if event.delta is None else event.delta.stop_reason
            payload = with_stop(payload, reason, called=self._called)
            events.append(StreamEvent(payload, b"message_delta", usage=self._counts.usage()))
        elif kind == "message_start":
            if event.message is not None:
                self._count(event.message.usage)
            events.append(StreamEvent(payload, b"message_start"))
        elif kind == "content_block_start":
            block = event.content_block
            content = 0 if block is None else len(block.text or "") + len(block.name or "") + len(block.data or "")
            self._called |= block is not None and block.type == "tool_use"
            if block is not None and block.name in self._aliases:
                whole = msgspec.json.decode(payload)
                whole["content_block"] = own_name(whole["content_block"], self._aliases)
                payload = msgspec.json.encode(whole)
            events.append(StreamEvent(payload, b"content_block_start", content))
        elif kind == "error" or not (kind.isascii() and kind.isidentifier()):
            raise _NotAnEventError  # a name that is no word could end the line that it is written into
        else:
            events.append(StreamEvent(payload, kind.encode()))


def _shown(delta: _Delta | None) -> int:
    return 0 if delta is None else len(delta.text or delta.partial_json or delta.thinking or "")


class ChunkDecoder(_MessagesDecoder):
    """Translates events into canonical chunks, `created` at these seconds; `reasoning` is the `format` its thinking gets.

    The finish reason waits for `message_stop`: until then nothing has proved that it is one.
    """

    __slots__ = (
        "_aliases",
        "_began",
        "_begun",
        "_blocks",
        "_calls",
        "_citations",
        "_created",
        "_last_call",
        "_reasoning",
        "_said",
        "_stop",
        "_usage_wanted",
        "_writer",
    )

    def __init__(self, call: Call, head: Head, created: int, reasoning: str) -> None:
        super().__init__(head)
        self._reasoning = reasoning
        self._aliases = call.aliases
        self._created = created
        self._usage_wanted = call.usage_wanted
        self._writer = ChunkWriter(id="", created=created, model="", usage_wanted=call.usage_wanted)
        self._begun = False
        self._blocks: dict[int, _Open] = {}
        self._calls = 0
        self._last_call: str | None = None
        self._stop: _Delta | None = None
        self._said = self._began = 0
        self._citations: list[Citation] = []

    def _take(self, event: _Event, payload: bytes, events: list[StreamEvent]) -> None:  # noqa: ARG002 - natives need it
        kind = event.type
        if kind == "content_block_delta" and event.delta is not None:
            self._delta(event.index, event.delta, events)
        elif kind == "content_block_start" and event.content_block is not None:
            self._open(event.index, event.content_block, events)
        elif kind == "content_block_stop":
            self._close(event.index, events)
        elif kind == "message_start" and event.message is not None and not self._begun:
            self._begin(event.message, events)
        elif kind == "message_delta":
            self._count(event.usage)
            if event.delta is not None and event.delta.stop_reason is not None:
                self._stop = event.delta
        elif kind == "message_stop" and self._begun:
            self._end(events)
        elif kind in _NEEDED or kind == "error":
            raise _NotAnEventError

    def _begin(self, message: Message, events: list[StreamEvent]) -> None:
        self._begun = True
        self._count(message.usage)
        self._writer = ChunkWriter(
            id=message.id or "",
            created=self._created,
            model=message.model or "",
            usage_wanted=self._usage_wanted,
        )
        events.append(self._writer.role())

    def _delta(self, index: int, delta: _Delta, events: list[StreamEvent]) -> None:
        if not self._begun:
            raise _NotAnEventError
        if delta.type == "text_delta":
            self._text(delta.text, events)
            return
        if delta.citation is not None:
            self._citations.append(delta.citation)
            return
        block = self._blocks.get(index)
        if block is None:
            return  # of something that the provider runs itself
        if delta.type == "input_json_delta" and block.call >= 0:
            if delta.partial_json:
                block.filled = True
                events.append(self._writer.arguments(block.call, delta.partial_json))
        elif delta.type == "thinking_delta":
            if delta.thinking:
                block.thoughts.append(delta.thinking)
                events.append(self._writer.reasoning(delta.thinking))
        elif delta.type == "signature_delta":
            block.signature.append(delta.signature or "")

    def _text(self, text: str | None, events: list[StreamEvent]) -> None:
        if text:
            self._said += len(text)
            events.append(self._writer.text(text))

    def _open(self, index: int, block: Block, events: list[StreamEvent]) -> None:
        if not self._begun:
            raise _NotAnEventError
        if block.type == "text":
            self._began = self._said
            self._text(block.text, events)
        elif block.type == "tool_use":
            given = bytes(block.input).decode() if block.input not in _EMPTY else ""
            events.append(self._writer.tool_call(self._calls, block.id or "", self._own_name(block.name), given))
            self._blocks[index] = _Open("tool_use", self._calls, filled=bool(given))
            self._calls += 1
            self._last_call = block.id
        elif block.type in ("thinking", "redacted_thinking"):
            if block.thinking:
                events.append(self._writer.reasoning(block.thinking))
            opened = _Open(block.type, thoughts=[block.thinking] if block.thinking else [])
            opened.signature, opened.data = [block.signature or ""], block.data or ""
            self._blocks[index] = opened

    def _own_name(self, name: str | None) -> str:
        return self._aliases.get(name or "", name or "")

    def _close(self, index: int, events: list[StreamEvent]) -> None:
        if self._citations:
            notes = cited(self._citations, self._began, self._said - self._began)
            events += [self._writer.annotation(note) for note in notes]
            self._citations = []
        block = self._blocks.pop(index, None)
        if block is None:
            return
        if block.kind == "tool_use":
            if not block.filled:
                events.append(self._writer.arguments(block.call, "{}"))  # without input nothing is said of it
            return
        whole = Block(block.kind, thinking="".join(block.thoughts), signature="".join(block.signature), data=block.data)
        detail = thinking_detail(whole, self._last_call, self._reasoning)
        if detail is not None:
            events.append(self._writer.reasoning_detail(detail))

    def _end(self, events: list[StreamEvent]) -> None:
        self.complete = True
        stop = self._stop or _Delta()
        if stop.stop_reason == "refusal" and stop.stop_details is not None and stop.stop_details.explanation:
            events.append(self._writer.refusal(stop.stop_details.explanation))
        events.append(self._writer.finish(finish_reason(stop.stop_reason)))
        events.append(self._writer.end(self._counts.usage()))
