"""A stream of canonical chunks as Messages events.

Wire: platform.claude.com/docs/en/build-with-claude/streaming. `message_start` cannot know the usage yet and says zero;
`message_delta`, whose counts replace those, comes when the provider's stream is over.
"""

from typing import Any

import msgspec

from switchgear.ambient import Ambient
from switchgear.contracts.estimate import untold
from switchgear.contracts.provider import Call, ProviderFault, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.wire.chunks import Chunk, Delta, ToolCallDelta, read_chunk
from switchgear.wire.sse import encode_event
from switchgear_plugins.anthropic.inbound.answer import citations, message_id
from switchgear_plugins.anthropic.inbound.sequence import Sequence
from switchgear_plugins.anthropic.inbound.thinking import Redacted, thoughts
from switchgear_plugins.anthropic.inbound.usage import stop_reason, usage_members, whole_usage

_json = msgspec.json.Encoder()
_STOP = encode_event(b'{"type":"message_stop"}', b"message_stop")


class Translator:
    """One stream on its way to one client. The client's name for the model is told where the provider tells none.

    Consumption is estimated where the provider does not tell that.
    """

    __slots__ = ("_ambient", "_asked", "_begun", "_finish", "_refused", "_sequence", "_shown", "_unnamed", "_usage")

    def __init__(self, call: Call, ambient: Ambient) -> None:
        self._asked = call
        self._shown = 0
        self._ambient = ambient
        self._sequence = Sequence()
        self._begun = False
        self._refused = False
        self._finish: str | None = None
        self._unnamed: dict[int, tuple[str | None, str]] = {}
        self._usage: Usage | None = None

    def take(self, event: StreamEvent) -> bytes:
        """Say what one chunk adds. Raises `ProviderFault` and `ResponseTooLarge` for what cannot be told."""
        chunk = read_chunk(event.data)
        if event.usage is not None:
            self._usage = event.usage
        self._shown += event.content
        out = b"" if self._begun else self._begin(chunk)
        for choice in chunk.choices:
            if choice.index == 0:  # this wire asks for one
                if choice.delta is not None:
                    out += self._say(choice.delta)
                self._finish = choice.finish_reason or self._finish
        return out

    def end(self) -> bytes:
        """End what is open, say why it ended and what it consumed, and end the message."""
        if self._unnamed:
            raise ProviderFault("protocol", 200)  # calls of nobody knows what
        begin = b"" if self._begun else self._begin(Chunk())
        blocks = self._sequence.end()
        reason = stop_reason(self._finish, called=self._sequence.called, refused=self._refused)
        ended = {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None, "stop_details": None, "container": None},
            "usage": usage_members(self._usage or untold(self._asked, self._shown)),
        }
        return begin + blocks + encode_event(_json.encode(ended), b"message_delta") + _STOP

    def _begin(self, chunk: Chunk) -> bytes:
        self._begun = True
        message: dict[str, Any] = {
            "id": message_id(chunk.id, self._ambient),
            "type": "message",
            "role": "assistant",
            "model": chunk.model or self._asked.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "container": None,
            "usage": whole_usage(Usage()),
        }
        return encode_event(_json.encode({"type": "message_start", "message": message}), b"message_start")

    def _say(self, delta: Delta) -> bytes:
        out = b""
        if delta.thought or delta.reasoning_details:
            for thought in thoughts(delta.thought, delta.reasoning_details):
                if isinstance(thought, Redacted):
                    out += self._sequence.redacted(thought.data)
                elif thought.signature is None:
                    out += self._sequence.thinking(thought.text)
                else:
                    out += self._sequence.sign(thought.text, thought.signature)
        if delta.content:
            out += self._sequence.text(delta.content)
        for citation in citations(delta.annotations):
            out += self._sequence.cite(citation)
        for image in delta.images or ():
            out += self._sequence.text(image.named())
        if delta.refusal:
            self._refused = True
            out += self._sequence.text(delta.refusal)
        for call in delta.tool_calls or ():
            out += self._call(call)
        return out

    def _call(self, call: ToolCallDelta) -> bytes:
        name = call.function.name if call.function is not None else None
        known = self._sequence.tool_id(call.index)
        out = b""
        # Some servers say the id and the name again with every piece, some give several calls the same number.
        said = (call.function.arguments if call.function is not None else None) or ""
        if known is None and not name:
            id, before = self._unnamed.get(call.index, (None, ""))
            self._unnamed[call.index] = (id or call.id, before + said)
            return b""
        if name and (known is None or (call.id and call.id != known)):
            id, before = self._unnamed.pop(call.index, (None, ""))
            out = self._sequence.tool(call.index, id or call.id or f"toolu_{self._ambient.new_id()}", name)
            said = before + said
        if said:
            out += self._sequence.arguments(call.index, said)
        return out
