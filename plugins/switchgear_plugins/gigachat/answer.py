"""What GigaChat answers, in the canonical form, whole or as a stream.

A chunk may hold text, thoughts or a whole function call; the last has the finish reason and the usage, `[DONE]` follows.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from switchgear.ambient import Ambient
from switchgear.contracts.provider import Answer, Call, Head, ProviderFault, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.wire.chat import cut, decode_fault, failed
from switchgear.wire.chunks import ChunkWriter, completion
from switchgear.wire.members import BROKEN, decode_text
from switchgear.wire.sse import SSEParser
from switchgear_plugins.gigachat.wire import REASONS, Choice, FunctionCall, Reply

_decoder = msgspec.json.Decoder(Reply)


def read_answer(body: bytes, head: Head, ambient: Ambient, aliases: Mapping[str, str]) -> Answer:
    """Read a whole answer, whose tools have the names of `aliases` for the client. Raises `ProviderFault`."""
    reply = _read(body, head)
    choice = reply.choices[0] if reply.choices else Choice()
    said = choice.message
    if said is None:
        raise decode_fault(head.status, body, head)
    message: dict[str, Any] = {"content": said.content or None}
    if said.reasoning_content:
        message["reasoning_content"] = said.reasoning_content
    if said.function_call is not None:
        name = said.function_call.name
        function = {"name": aliases.get(name, name), "arguments": _arguments(said.function_call)}
        id = said.functions_state_id or _id("call", head, ambient)
        message["tool_calls"] = [{"id": id, "type": "function", "function": function}]
    return completion(
        id=_id("chatcmpl", head, ambient),
        created=reply.created,
        model=reply.model,
        message=message,
        finish_reason=_reason(choice.finish_reason or "stop", head),
        usage=None if reply.usage is None else reply.usage.usage(),
    )


def _read(body: bytes, head: Head) -> Reply:
    try:
        reply = decode_text(_decoder, body)
    except BROKEN:
        raise decode_fault(head.status, body, head) from None
    if reply.status is not None and not reply.choices:
        fault = decode_fault(reply.status, body, head)
        fault.status = head.status
        raise fault
    return reply


def _reason(reason: str, head: Head) -> str:
    if reason == "error":  # it made arguments that its own function's schema does not allow
        raise ProviderFault("server", head.status, code="error", request_id=head.header("x-request-id"))
    return REASONS.get(reason, "stop")


def _id(kind: str, head: Head, ambient: Ambient) -> str:
    return f"{kind}-{head.header('x-request-id') or ambient.new_id()}"


def _arguments(call: FunctionCall) -> str:
    """Return the arguments as JSON text; they come as an object, of older models perhaps as text."""
    data = bytes(call.arguments)
    if data[:1] == b'"':
        try:
            return msgspec.json.decode(data, type=str)
        except msgspec.DecodeError:
            raise ProviderFault("protocol", 200) from None
    return "{}" if data == b"null" else data.decode()


class GigaChatDecoder:
    """Decodes one stream. Complete means: a finish reason or `[DONE]` was seen."""

    __slots__ = ("_aliases", "_ambient", "_calls", "_head", "_sse", "_terminal", "_usage", "_usage_wanted", "_writer")

    def __init__(self, call: Call, head: Head, ambient: Ambient) -> None:
        self._sse = SSEParser()
        self._head = head
        self._ambient = ambient
        self._aliases = call.aliases
        self._usage_wanted = call.usage_wanted
        self._writer: ChunkWriter | None = None
        self._usage: Usage | None = None
        self._calls = 0
        self._terminal = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take a piece of the body; return the events it completes."""
        events: list[StreamEvent] = []
        for payload in self._sse.feed(data):
            if payload == b"[DONE]":
                events.append(self._end())
                break
            try:
                self._take(_read(payload, self._head), events)
            except ProviderFault as fault:
                events.append(failed(fault))
                break
        return events

    def close(self) -> None:
        """The body has ended. Raises `ConnectionBroken` unless the stream was complete."""
        if not self._terminal:
            raise cut(self._head)

    def _take(self, reply: Reply, events: list[StreamEvent]) -> None:
        writer = self._writer
        if writer is None:
            writer = self._writer = ChunkWriter(
                id=_id("chatcmpl", self._head, self._ambient),
                created=reply.created,
                model=reply.model,
                usage_wanted=self._usage_wanted,
            )
            events.append(writer.role())
        if reply.usage is not None:
            self._usage = reply.usage.usage()
        if not reply.choices:
            if reply.usage is None:
                raise ProviderFault("protocol", 200)
            self._tell_usage(writer, events)
            return
        choice = reply.choices[0]
        said = choice.delta
        if said is not None:
            if said.reasoning_content:
                events.append(writer.reasoning(said.reasoning_content))
            if said.content:
                events.append(writer.text(said.content))
            if said.function_call is not None:
                id = said.functions_state_id or f"{_id('call', self._head, self._ambient)}-{self._calls}"
                events.append(
                    writer.tool_call(
                        self._calls, id, self._own_name(said.function_call.name), _arguments(said.function_call)
                    )
                )
                self._calls += 1
        if choice.finish_reason:
            events.append(writer.finish(_reason(choice.finish_reason, self._head)))
            self._terminal = True
        self._tell_usage(writer, events)

    def _own_name(self, name: str) -> str:
        return self._aliases.get(name, name)

    def _tell_usage(self, writer: ChunkWriter, events: list[StreamEvent]) -> None:
        """Tell what was consumed, once the answer has ended: `[DONE]` may be missing."""
        if self._terminal and self._usage is not None:
            end = writer.end(self._usage)
            events.append(StreamEvent(end.data, terminal=True, usage=end.usage))
            self._usage = None

    def _end(self) -> StreamEvent:
        self._terminal = True
        return StreamEvent(b"", terminal=True, last=True, usage=self._usage)
