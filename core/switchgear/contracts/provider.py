"""A provider translates: a call into one outbound HTTP request, and bytes back into an answer. It opens no socket.

The kernel owns connections, deadlines, cancellation, retries, caps and records, so a provider cannot leak a socket, ignore
a deadline or retry behind the router's back, and its tests are recorded bytes. `switchgear.testing.ProviderSuite` is the
behaviour in full.

A call arrives in one of two forms: in the client's own wire format when the provider lists it in `wires` (members are then
forwarded as they came), else in the canonical form, which is that of OpenAI's chat completions (`CANONICAL`). Answers and
events go back in the form the call had.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Generic, Protocol, TypeVar

from msgspec import Raw, Struct

from switchgear.contracts.credential import Secret
from switchgear.contracts.upstream import OutboundRequest
from switchgear.contracts.usage import Usage
from switchgear.wire.members import member

CANONICAL = "chat"
"""The wire format everything can be translated to and from: OpenAI's chat completions."""

T = TypeVar("T")
S = TypeVar("S", bound=Struct)


class Capabilities(Struct, frozen=True, forbid_unknown_fields=True):
    """What a provider or model can do. A model resource may narrow or widen its provider's."""

    chat: bool = True
    stream: bool = True
    tools: bool = True
    vision: bool = True
    json_schema: bool = True
    reasoning: bool = True
    prefill: bool = False
    embeddings: bool = False


class Call:
    """One inference call on its way to a provider.

    operation      `chat`, `completion`, `embedding`, … : what is asked for
    wire           the wire format `members` are in
    members        top-level members of the request body, each still raw JSON
    model          the name the client used
    stream         whether the client wants a stream
    usage_wanted   whether the client asked to see the usage of a stream
    max_tokens     the client's bound on the answer, None if it set none
    """

    __slots__ = ("max_tokens", "members", "model", "operation", "stream", "usage_wanted", "wire")

    def __init__(
        self,
        operation: str,
        wire: str,
        members: dict[str, Raw],
        *,
        model: str,
        stream: bool = False,
        usage_wanted: bool = False,
        max_tokens: int | None = None,
    ) -> None:
        self.operation = operation
        self.wire = wire
        self.members = members
        self.model = model
        self.stream = stream
        self.usage_wanted = usage_wanted
        self.max_tokens = max_tokens

    def member(self, name: str, type: type[T]) -> T | None:
        """Decode one member; None if the client left it out or null. Raises `InvalidRequest` naming it."""
        return member(self.members, name, type)


class TargetModel(Struct, frozen=True):
    """The model as the provider knows it: its name, that name as JSON, and defaults for members the client left out."""

    id: str
    name: str
    name_json: Raw
    defaults: dict[str, Raw] = {}
    max_output_tokens: int | None = None


class Answer(Struct, frozen=True):
    """A whole answer: a JSON body in the call's wire format and what the kernel needs to know of it."""

    body: bytes
    usage: Usage | None = None
    model: str | None = None
    finish_reason: str | None = None


class StreamEvent(Struct, gc=False):
    """One event of a stream.

    data      its JSON payload in the call's wire format, empty if the client is not to see it
    name      the SSE event name, where the wire has them
    content   bytes of content it shows, roughly (0: nothing to show, as a role or a finish reason); usage of a stream that
              was cut is estimated from it
    terminal  it proves completeness (a finish reason, `message_stop`, `[DONE]`)
    last      nothing follows it on the wire
    usage     the usage it carries
    """

    data: bytes
    name: bytes | None = None
    content: int = 0
    terminal: bool = False
    last: bool = False
    usage: Usage | None = None


class ProviderFault(Exception):
    """The provider answered, and the answer is a failure (or is not an answer).

    cause        `invalid_request`, `context_length`, `content_filter`, `not_found`, `auth`, `permission`, `quota`,
                 `rate_limit`, `overloaded`, `server`, `timeout` or `protocol`
    status       the provider's HTTP status (200 when the failure was inside an answer)
    message      the provider's own words, for client faults only; the kernel scrubs and shortens them before anyone sees them
    code, param  the provider's, where it has them
    retry_after  seconds, where the provider said
    request_id   the provider's id of the request
    """

    def __init__(
        self,
        cause: str,
        status: int,
        *,
        message: str = "",
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(f"{cause} ({status})")
        self.cause = cause
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.request_id = request_id


class Head(Protocol):
    """Status and headers of an upstream answer."""

    status: int

    def header(self, name: str) -> str | None:
        """Return the first value of a header, whatever its case; None if absent."""
        ...


class StreamDecoder(Protocol):
    """The state of one stream. One decoder a stream, fed in order."""

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take a piece of the body, split anywhere; return the events it completes.

        Raises `ProviderFault` for an error event or something that is not an event of this wire (cause `protocol`), and
        `ResponseTooLarge` for an event over the cap.
        """
        ...

    def close(self) -> None:
        """The body has ended. Raises `ConnectionBroken` unless a terminal event was seen."""
        ...


class Provider(Protocol):
    """One `providers` resource come alive. Made by an offer's factory from a `ProviderConfig`; holds no per-call state."""

    wires: frozenset[str]
    capabilities: Capabilities

    def prepare(self, call: Call, model: TargetModel, secret: Secret | None) -> OutboundRequest:
        """Build the outbound request. Raises `InvalidRequest` for what the wire cannot express in strict mode."""
        ...

    def decode(self, call: Call, head: Head, body: bytes) -> Answer:
        """Read a whole 2xx answer. Raises `ProviderFault`."""
        ...

    def decoder(self, call: Call, head: Head) -> StreamDecoder:
        """Make the decoder of a 2xx stream."""
        ...

    def fault(self, call: Call, head: Head, body: bytes) -> ProviderFault:
        """Classify an answer that is not 2xx. `body` is at most 64 KiB of it."""
        ...


class NativeProvider(Protocol):
    """A provider that is not HTTP (an in-process model). Cancelling what it returns must stop its work."""

    wires: frozenset[str]
    capabilities: Capabilities

    async def complete(self, call: Call, model: TargetModel, secret: Secret | None) -> Answer:
        """Answer whole. Raises `ProviderFault`."""
        ...

    def stream(self, call: Call, model: TargetModel, secret: Secret | None) -> AsyncIterator[StreamEvent]:
        """Answer event by event; ending without a terminal event is a cut stream. Raises `ProviderFault`."""
        ...


class ProviderConfig(Struct, Generic[S], frozen=True):
    """What an offer's factory gets: the `providers` resource, its `settings` decoded to the offer's `settings_type`."""

    id: str
    base_url: str | None
    headers: Mapping[str, str]
    settings: S
