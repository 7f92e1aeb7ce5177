"""Claude on Vertex AI: the Messages form, whose model is in the address and whose version is in the body.

Wire: platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai,
docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude and …/claude/count-tokens.
"""

from typing import Any

import msgspec
from msgspec import Struct, structs

from switchgear.ambient import Ambient
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import COUNT, Call, Head, ProviderFault, StreamDecoder, StreamEvent, TargetModel
from switchgear.contracts.upstream import OutboundRequest
from switchgear.wire.chat import begins_json
from switchgear.wire.members import BROKEN
from switchgear.wire.messages.fit import Host, fit_host
from switchgear.wire.messages.provider import MessagesProvider
from switchgear_plugins.vertex.address import Address, authorise, family
from switchgear_plugins.vertex.faults import read_fault

_VERSION = "vertex-2023-10-16"
_PUBLISHER = "anthropic"
_COUNTER = "publishers/anthropic/models/count-tokens"
_BETAS = frozenset(
    {
        "interleaved-thinking-2025-05-14", "context-1m-2025-08-07", "computer-use-2025-01-24", "computer-use-2025-11-24",
        "web-search-2025-03-05", "tool-search-tool-2025-10-19", "fine-grained-tool-streaming-2025-05-14",
    }
)  # fmt: skip
"""Opt-ins that are known here; others refuse the whole call."""
_NAMES = {"advanced-tool-use-2025-11-20": "tool-search-tool-2025-10-19"}
_MOST_UNDECIDED = 65_536


def is_claude(model: str) -> bool:
    """Say whether a model is one of Anthropic's, by its name."""
    return family(model).startswith("claude-")


class ClaudeOnVertex(MessagesProvider):
    """What the provider asks about Claude models. Signed thinking is that of Anthropic's own API."""

    reasoning_format = "anthropic-claude-v1"
    host = Host(_BETAS, "anthropic-beta", _NAMES)

    def __init__(self, address: Address, headers: dict[str, str], ambient: Ambient) -> None:
        super().__init__("", headers, ambient)
        self._address = address

    def authorise(self, secret: Secret | None) -> dict[str, str]:
        """Return the header that carries Google's credential."""
        return authorise(secret)

    def amend(self, call: Call, model: TargetModel, body: dict[str, Any]) -> dict[str, Any]:
        """Move the model into the address; only counting, which has an address of its own, wants it here."""
        body.pop("model", None)
        named = {"model": family(model.name)} if call.operation == COUNT else {}
        _, betas = fit_host(call, {}, self.host)
        asked = {} if betas is None else {"anthropic_beta": betas.split(",")}
        return {"anthropic_version": _VERSION, **asked, **named, **body}

    def prepare(self, call: Call, model: TargetModel, secret: Secret | None) -> OutboundRequest:
        """Build the outbound request."""
        if call.operation == COUNT:
            resource, method = self._address.resource(_COUNTER, secret), "rawPredict"
        else:
            resource = self._address.resource(model.name, secret, _PUBLISHER)
            method = "streamRawPredict" if call.stream else "rawPredict"
        request = super().prepare(call, model, secret)
        return structs.replace(request, url=self._address.url(resource, method))

    def fault(self, call: Call, head: Head, body: bytes) -> ProviderFault:
        """Classify a failure, which is Anthropic's or, where it did not get that far, Google's."""
        return super().fault(call, head, body) if speaks_messages(body) else read_fault(head, body)


class _Typed(Struct):
    type: str = ""


_typed_decoder = msgspec.json.Decoder(_Typed)


def speaks_messages(body: bytes) -> bool:
    """Say whether an answer or an error is in the Messages form: all of them have a type, none of Google's has."""
    try:
        return _typed_decoder.decode(body).type in {"message", "error"}
    except BROKEN:
        return False


class EitherDecoder:
    """Decodes a stream of either vendor's, found out by how it begins: every event of the Messages form has a name.

    Who decodes is not told which model answers.
    """

    __slots__ = ("_begun", "_chosen", "_gemini", "_messages")

    def __init__(self, gemini: StreamDecoder, messages: StreamDecoder) -> None:
        self._gemini = gemini
        self._messages = messages
        self._chosen: StreamDecoder | None = None
        self._begun = b""

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take a piece of the body; return the events it completes."""
        if self._chosen is not None:
            return self._chosen.feed(data)
        self._begun += data
        named, bare = self._begun.find(b"event:"), self._begun.find(b"data:")
        if named >= 0 and (bare < 0 or named < bare):
            self._chosen = self._messages
        elif bare >= 0 or len(self._begun) > _MOST_UNDECIDED:
            self._chosen = self._gemini
        elif begins_json(self._begun) and self._begun.rstrip().endswith((b"}", b"]")):
            self._chosen = self._messages if speaks_messages(self._begun) else self._gemini
        else:
            return []
        begun, self._begun = self._begun, b""
        return self._chosen.feed(begun)

    def close(self) -> None:
        """The body has ended. Raises `ConnectionBroken` unless the stream was complete."""
        if self._chosen is None:
            self._gemini.feed(self._begun)  # which is no stream at all
        (self._chosen or self._gemini).close()
