"""Translates between the canonical chat form and the provider's own wire format.

It is written for a server that takes `{"model", "messages", "stream"}` and answers `{"text", "done"}`, in a stream one such
object a line. Put your provider's format in its place; the suite in tests/ tells when something is amiss.
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

    text: str
    done: bool


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
        messages = call.member("messages", list[dict[str, Any]]) or []
        body = {"model": model.name, "messages": messages, "stream": call.stream}
        headers = self._headers | ({"authorization": f"Bearer {secret['api_key']}"} if secret else {})
        return OutboundRequest("POST", self._url, headers, msgspec.json.encode(body))

    def decode(self, call: Call, head: Head, body: bytes) -> Answer:
        """Read a whole answer."""
        message = {"role": "assistant", "content": read(body).text}
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
        *lines, self._line = (self._line + data).split(b"\n")
        if len(self._line) > MAX_LINE:
            raise ProviderFault("protocol", 200)
        return [self._event(read(line)) for line in lines]

    def close(self) -> None:
        """A stream is complete only if the provider said so."""
        if not self._done:
            raise ConnectionBroken("the stream ended before its end was marked")

    def _event(self, reply: Reply) -> StreamEvent:
        self._done = reply.done
        choice = {"index": 0, "delta": {"content": reply.text}, "finish_reason": "stop" if reply.done else None}
        data = frame(self._call, "chat.completion.chunk", choice)
        return StreamEvent(data, content=len(reply.text), terminal=reply.done, last=reply.done)


def read(body: bytes) -> Reply:
    """Decode what the provider sent. Raises `ProviderFault` (`protocol`) when it is something else."""
    try:
        body.decode()
        return msgspec.json.decode(body, type=Reply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProviderFault("protocol", 200) from None


def frame(call: Call, object: str, choice: dict[str, Any]) -> bytes:
    """Encode a chat completion, or a chunk of one."""
    found = {"id": "chatcmpl-plugin-name", "object": object, "created": 0, "model": call.model, "choices": [choice]}
    return msgspec.json.encode(found)
