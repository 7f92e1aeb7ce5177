"""ConverseStream's events as canonical chunks.

Wire: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html. `messageStop` proves completeness;
`metadata`, with the usage, follows it and ends the stream.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Call, Head, ProviderFault, StreamEvent
from switchgear.wire.chat import cut, failed
from switchgear.wire.chunks import ChunkWriter
from switchgear.wire.mend import arguments_text
from switchgear.wire.texts import NULL
from switchgear_plugins.bedrock.answer import RUN_THERE, answer_id, finish_reason, read_usage, redacted, signed
from switchgear_plugins.bedrock.eventstream import CorruptStream, EventStreamParser, Message
from switchgear_plugins.bedrock.faults import REQUEST_ID, protocol_fault, stream_fault


class _ToolDelta(Struct, gc=False):
    input: str | dict[str, Any] | None = None


class _ReasoningDelta(Struct, rename="camel", gc=False):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Delta(Struct, rename="camel", gc=False):
    text: str | None = None
    tool_use: _ToolDelta | None = None
    reasoning_content: _ReasoningDelta | None = None


class _ToolStart(Struct, rename="camel"):
    name: str
    tool_use_id: str | None = None
    type: str | None = None


class _Start(Struct, rename="camel"):
    tool_use: _ToolStart | None = None


class _Event(Struct, rename="camel", gc=False):
    content_block_index: int = 0
    delta: _Delta | None = None
    start: _Start | None = None
    stop_reason: str | None = None
    usage: Raw = NULL


class _Block:
    """What is known of one content block: the place of a tool call, what was thought and its signature."""

    __slots__ = ("arguments", "place", "redacted", "signature", "thought")

    def __init__(self, place: int | None = None) -> None:
        self.place = place
        self.arguments = False
        self.thought: list[str] = []
        self.signature: list[str] = []
        self.redacted: list[str] = []


_decoder = msgspec.json.Decoder(_Event)


class ConverseDecoder:
    """Decodes one stream."""

    __slots__ = ("_aliases", "_blocks", "_calls", "_head", "_last_call", "_parser", "_terminal", "_writer")

    def __init__(self, call: Call, head: Head, created: int) -> None:
        self._head = head
        self._aliases = call.aliases
        self._last_call: str | None = None
        self._parser = EventStreamParser()
        self._writer = ChunkWriter(
            id=answer_id(head), created=created, model=call.model, usage_wanted=call.usage_wanted
        )
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._terminal = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take a piece of the body; return the events it completes."""
        events: list[StreamEvent] = []
        try:
            for message in self._parser.feed(data):
                self._read(message, events)
                if events and events[-1].last:
                    break
        except (CorruptStream, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            events.append(failed(protocol_fault(self._head)))
        except ProviderFault as fault:
            events.append(failed(fault))
        return events

    def close(self) -> None:
        """The body has ended. Raises `ConnectionBroken` unless the message was complete."""
        if not self._terminal:
            raise cut(self._head, REQUEST_ID, "eventstream")

    def _read(self, message: Message, events: list[StreamEvent]) -> None:
        kind = message.headers.get(":message-type")
        if kind == "event":
            if not message.payload.isascii():
                message.payload.decode()
            self._event(message.headers.get(":event-type"), _decoder.decode(message.payload), events)
            return
        if kind not in ("exception", "error"):
            raise CorruptStream("a message is of no known type")
        name = message.headers.get(":exception-type") or message.headers.get(":error-code") or ""
        raise stream_fault(self._head, name, message.payload)

    def _event(self, name: str | None, event: _Event, events: list[StreamEvent]) -> None:
        if name == "contentBlockDelta":
            if event.delta is not None:
                self._delta(event.content_block_index, event.delta, events)
        elif name == "contentBlockStart":
            self._start(event, events)
        elif name == "contentBlockStop":
            self._stop_block(event.content_block_index, events)
        elif name == "messageStart":
            events.append(self._writer.role())
        elif name == "messageStop":
            self._stop(event, events)
        elif name == "metadata" and self._terminal:
            events.append(self._writer.end(read_usage(event.usage)))

    def _start(self, event: _Event, events: list[StreamEvent]) -> None:
        tool = None if event.start is None else event.start.tool_use
        if tool is None:
            return
        # A tool that the provider runs itself is no call to the client: its pieces go by.
        if tool.type == RUN_THERE:
            self._blocks[event.content_block_index] = _Block()
            return
        self._blocks[event.content_block_index] = _Block(self._calls)
        name = self._aliases.get(tool.name, tool.name)
        events.append(self._writer.tool_call(self._calls, tool.tool_use_id or "", name))
        self._calls += 1
        self._last_call = tool.tool_use_id

    def _delta(self, index: int, delta: _Delta, events: list[StreamEvent]) -> None:
        if delta.text is not None:
            if delta.text:
                events.append(self._writer.text(delta.text))
        elif delta.tool_use is not None:
            block = self._blocks.get(index)
            if block is None:
                raise CorruptStream("a tool call goes on that did not begin")
            if block.place is not None and delta.tool_use.input:
                block.arguments = True
                events.append(self._writer.arguments(block.place, arguments_text(delta.tool_use.input)))
        elif delta.reasoning_content is not None:
            block = self._blocks.get(index)
            if block is None:
                block = self._blocks[index] = _Block()
            self._think(block, delta.reasoning_content, events)

    def _think(self, block: _Block, piece: _ReasoningDelta, events: list[StreamEvent]) -> None:
        if piece.text:
            block.thought.append(piece.text)
            events.append(self._writer.reasoning(piece.text))
        if piece.signature:
            block.signature.append(piece.signature)
        if piece.redacted_content:
            block.redacted.append(piece.redacted_content)

    def _stop_block(self, index: int, events: list[StreamEvent]) -> None:
        block = self._blocks.pop(index, None)
        if block is None:
            return
        if block.place is not None and not block.arguments:
            # A call without arguments has no pieces; clients parse what they got as JSON.
            events.append(self._writer.arguments(block.place, "{}"))
        if block.signature:
            signature = "".join(block.signature)
            events.append(self._writer.reasoning_detail(signed("".join(block.thought), signature, self._last_call)))
        encrypted = (redacted(data, self._last_call) for data in block.redacted)
        events.extend(self._writer.reasoning_detail(detail) for detail in encrypted)

    def _stop(self, event: _Event, events: list[StreamEvent]) -> None:
        if event.stop_reason is None:
            raise CorruptStream("a message stops without a reason")
        for index in list(self._blocks):
            self._stop_block(index, events)
        reason = finish_reason(event.stop_reason, self._head, called=self._calls > 0)
        self._terminal = True
        events.append(self._writer.finish(reason))
