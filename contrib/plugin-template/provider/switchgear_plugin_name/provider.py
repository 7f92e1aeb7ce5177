"""Translates between the canonical chat form and the provider's own wire format.

It is written for a server that takes `{"model", "messages", "stream", "max_tokens", "temperature", "stop"}` and answers
`{"text", "done"}`, in a stream one such object a line, `{"error"}` where it fails. Put your provider's
format in its place; the suite in tests/ tells when something is amiss.
"""

from typing import Any

import msgspec
from msgspec import Struct

from switchgear import NoSettings
from switchgear.contracts.capability import ONLY_TEXT
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import (
    CANONICAL,
    Answer,
    Call,
    Head,
    ProviderConfig,
    ProviderFault,
    StreamEvent,
    TargetModel,
    Traits,
)
from switchgear.contracts.upstream import OutboundRequest
from switchgear.errors import ConnectionBroken
from switchgear.wire.canonical import drop_others, read_chat

CAUSES = {
    400: "invalid_request",
    401: "auth",
    403: "permission",
    404: "not_found",
    429: "rate_limit",
    503: "overloaded",
}
MAX_LINE = 1_048_576


class Reply(Struct):
    """What the provider answers, whole or a piece of it."""

    text: str = ""
    done: bool | None = None
    error: str | None = None


class PluginNameProvider:
    """One `providers` resource of type `plugin_name`. Holds no state of a call and opens no connection."""

    wires = frozenset({CANONICAL})
    request_id_header = "x-request-id"

    def __init__(self, config: ProviderConfig[NoSettings]) -> None:
        if not config.base_url:
            raise ValueError("`base_url` is required for a provider of type plugin_name")
        self._url = config.base_url.rstrip("/") + "/generate"
        self._headers = {"content-type": "application/json", **config.headers}

    def traits(self, model: str) -> Traits:
        """Say what a model can do, by the provider's name for it."""
        return Traits(self.wires, ONLY_TEXT)

    def prepare(self, call: Call, model: TargetModel, secret: Secret | None) -> OutboundRequest:
        """Build the outbound request."""
        chat = read_chat(call, model)
        drop_others(call, ["temperature", "stop"])  # what this server has no word for, so that the client is told
        said = {"max_tokens": chat.limit, "temperature": chat.temperature, "stop": chat.stops or None}
        body = {"model": model.name, "messages": call.members["messages"], "stream": call.stream}
        body |= {name: value for name, value in said.items() if value is not None}
        headers = self._headers | ({"authorization": f"Bearer {secret['api_key']}"} if secret else {})
        return OutboundRequest("POST", self._url, headers, msgspec.json.encode(body))

    def decode(self, call: Call, head: Head, body: bytes) -> Answer:
        """Read a whole answer."""
        reply = read(body)
        if not reply.done:
            raise ProviderFault("protocol", head.status)
        message = {"role": "assistant", "content": reply.text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return Answer(frame(call, "chat.completion", choice), model=call.model, finish_reason="stop")

    def decoder(self, call: Call, head: Head) -> "PluginNameDecoder":
        """Make the decoder of one stream."""
        return PluginNameDecoder(call)

    def fault(self, call: Call, head: Head, body: bytes) -> ProviderFault:
        """Classify a failure by its status; read `body` if your provider says more."""
        return ProviderFault(CAUSES.get(head.status, "server"), head.status)


class PluginNameDecoder:
    """The state of one stream. Pieces may be cut anywhere."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._line = b""
        self._done = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Return the events that this piece completes."""
        events: list[StreamEvent] = []
        *lines, self._line = (self._line + data).split(b"\n")
        try:
            events.extend(self._event(read(line)) for line in lines)
        except ProviderFault as fault:
            return [*events, StreamEvent(b"", fault=fault)]  # what came before it is still shown
        if len(self._line) > MAX_LINE:
            events.append(StreamEvent(b"", fault=ProviderFault("protocol", 200)))
        return events

    def close(self) -> None:
        """A stream is complete only if the provider said so."""
        if not self._done:
            raise ConnectionBroken("the stream ended before its end was marked")

    def _event(self, reply: Reply) -> StreamEvent:
        self._done = done = bool(reply.done)
        choice = {"index": 0, "delta": {"content": reply.text}, "finish_reason": "stop" if done else None}
        data = frame(self._call, "chat.completion.chunk", choice)
        return StreamEvent(data, content=len(reply.text), terminal=done, last=done)


def read(body: bytes) -> Reply:
    """Decode what the provider sent. Raises `ProviderFault` for a failure, and (`protocol`) when it is something else."""
    try:
        body.decode()
        reply = msgspec.json.decode(body, type=Reply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProviderFault("protocol", 200) from None
    if reply.error is not None:
        raise ProviderFault("server", 200, message=reply.error)
    return reply


def frame(call: Call, object: str, choice: dict[str, Any]) -> bytes:
    """Encode a chat completion, or a chunk of one."""
    found = {"id": "chatcmpl-plugin-name", "object": object, "created": 0, "model": call.model, "choices": [choice]}
    return msgspec.json.encode(found)
