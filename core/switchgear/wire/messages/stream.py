"""Streams in the Messages form: read, and translated into canonical chunks.

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
from switchgear.wire.halves import Halves
from switchgear.wire.members import BROKEN
from switchgear.wire.mend import arguments_text, object_text, words
from switchgear.wire.messages.answer import cited, thinking_detail
from switchgear.wire.messages.faults import REQUEST_ID, decode_fault
from switchgear.wire.messages.form import Begun, Block, Citation, Delta, Event, TokenCounts, finish_reason, read_tokens
from switchgear.wire.messages.told import events_of

_NULL = Raw(b"null")
_NO_NAMES: Mapping[str, str] = MappingProxyType({})


class NotAnEventError(Exception):
    """The provider sent a failure, or an event that is none."""


class _Open(Struct):
    """A block that has begun: a tool call, its number and the arguments it began with, or what was thought so far."""

    kind: str
    call: int = -1
    given: str = "{}"
    thoughts: list[str] = []
    signature: list[str] = []
    data: str = ""


_decoder = msgspec.json.Decoder(Event)
_STOP = b'{"type":"message_stop"}'
EMPTY_INPUTS = (Raw(b"{}"), Raw(b"null"), Raw(b'""'))
NEEDED = frozenset({"message_start", "content_block_start", "content_block_delta", "message_stop"})
"""Events that must be understood where they stand; others may be new, and are passed over."""


class MessagesDecoder(EventDecoder):
    """What both decoders do: events read, counts, faults."""

    __slots__ = ("_counts", "_halves", "_stopped")

    request_id_header = REQUEST_ID

    def __init__(self, head: Head) -> None:
        super().__init__(head)
        self._halves = Halves()
        self._counts = TokenCounts()
        self._stopped = False

    def take(self, payload: bytes, events: list[StreamEvent]) -> None:
        """Add what an event becomes."""
        try:
            event, payload = self._halves.decode(_decoder, payload)
            self._stopped |= event.delta is not None and event.delta.stop_reason is not None
            self._take(event, payload, events)
        except (*BROKEN, NotAnEventError):
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
    def _take(self, event: Event, payload: bytes, events: list[StreamEvent]) -> None:
        """Add what an event becomes to `events`. Raises `NotAnEventError` for one that is a failure, or cannot stand there."""

    def _count(self, usage: Raw) -> None:
        newer = read_tokens(usage)
        if newer is not None:
            self._counts = self._counts.updated(newer)


class ChunkDecoder(MessagesDecoder):
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
        self._blocks: dict[float | None, _Open] = {}
        self._calls = 0
        self._last_call: str | None = None
        self._stop: Delta | None = None
        self._said = self._began = 0
        self._citations: list[Citation] = []

    def _take(self, event: Event, payload: bytes, events: list[StreamEvent]) -> None:  # noqa: ARG002 - natives need it
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
        elif kind in NEEDED or kind == "error":
            raise NotAnEventError

    def _begin(self, message: Begun, events: list[StreamEvent]) -> None:
        self._begun = True
        self._count(message.usage)
        self._writer = ChunkWriter(
            id=message.id or "",
            created=self._created,
            model=message.model or "",
            usage_wanted=self._usage_wanted,
        )
        events.append(self._writer.role())

    def _delta(self, index: float | None, delta: Delta, events: list[StreamEvent]) -> None:
        if not self._begun:
            raise NotAnEventError
        if delta.type == "text_delta":
            self._text(words(delta.text), events)
            return
        if delta.citation is not None:
            self._citations.append(delta.citation)
            return
        block = self._blocks.get(index)
        if block is None and delta.type == "thinking_delta":
            block = self._blocks[index] = _Open("thinking")
        if block is not None:  # else it is of something that the provider runs itself
            self._go_on(block, delta, events)

    def _go_on(self, block: _Open, delta: Delta, events: list[StreamEvent]) -> None:
        if delta.type == "input_json_delta" and block.call >= 0:
            if piece := arguments_text(delta.partial_json):
                block.given = ""
                events.append(self._writer.arguments(block.call, piece))
        elif delta.type == "thinking_delta":
            if thought := words(delta.thinking):
                block.thoughts.append(thought)
                events.append(self._writer.reasoning(thought))
        elif delta.type == "signature_delta":
            block.signature.append(delta.signature or "")

    def _text(self, text: str | None, events: list[StreamEvent]) -> None:
        if text:
            self._said += len(text)
            events.append(self._writer.text(text))

    def _open(self, index: float | None, block: Block, events: list[StreamEvent]) -> None:
        if not self._begun:
            raise NotAnEventError
        if block.type == "text":
            self._began = self._said
            self._text(block.text, events)
        elif block.type == "tool_use":
            given = object_text(bytes(block.input).decode()) if block.input not in EMPTY_INPUTS else "{}"
            events.append(self._writer.tool_call(self._calls, block.id or "", self._own_name(block.name)))
            self._blocks[index] = _Open("tool_use", self._calls, given)
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

    def _close(self, index: float | None, events: list[StreamEvent]) -> None:
        if self._citations:
            notes = cited(self._citations, self._began, self._said - self._began)
            events += [self._writer.annotation(note) for note in notes]
            self._citations = []
        block = self._blocks.pop(index, None)
        if block is None:
            return
        if block.kind == "tool_use":
            if block.given:
                events.append(self._writer.arguments(block.call, block.given))  # nothing was said of it since
            return
        whole = Block(block.kind, thinking="".join(block.thoughts), signature="".join(block.signature), data=block.data)
        detail = thinking_detail(whole, self._last_call, self._reasoning)
        if detail is not None:
            events.append(self._writer.reasoning_detail(detail))

    def _end(self, events: list[StreamEvent]) -> None:
        for index in list(self._blocks):
            self._close(index, events)
        self.complete = True
        stop = self._stop or Delta()
        if stop.stop_reason == "refusal" and stop.stop_details is not None and stop.stop_details.explanation:
            events.append(self._writer.refusal(stop.stop_details.explanation))
        events.append(self._writer.finish(finish_reason(stop.stop_reason)))
        events.append(self._writer.end(self._counts.usage()))
