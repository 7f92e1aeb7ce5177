"""A provider translates: a call into one outbound HTTP request, and bytes back into an answer. It opens no socket.

The kernel owns connections, deadlines, cancellation, retries, caps and records, so a provider cannot leak a socket, ignore
a deadline or retry behind the router's back, and its tests are recorded bytes. `switchgear.testing.ProviderSuite` is the
behaviour in full.

A call arrives in one of two forms: in the client's own wire format when the target speaks it (members are then forwarded as
they came), else in the canonical form of its operation. Answers and events go back in the form the call had.

    operation   canonical form
    chat        `CANONICAL`: OpenAI's chat completions; `switchgear.wire.canonical` reads and writes it
    embedding   `EMBEDDINGS`: OpenAI's embeddings
    count       `COUNT`: the members of a chat; the answer is `{"input_tokens": n}`

What a provider cannot carry it names with `call.drop`, so that the client is told.
"""

from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, runtime_checkable

from msgspec import Raw, Struct

from switchgear.ambient import Ambient
from switchgear.contracts.capability import USUAL
from switchgear.contracts.credential import Secret
from switchgear.contracts.upstream import OutboundRequest
from switchgear.contracts.usage import Usage
from switchgear.errors import InvalidRequest
from switchgear.rawjson import member

if TYPE_CHECKING:
    from switchgear.contracts.exchange import Exchange

CANONICAL = "chat"
"""The wire format everything can be translated to and from: OpenAI's chat completions."""
EMBEDDINGS = "embeddings"
"""The wire format of embeddings: OpenAI's."""
COUNT = "count"
"""A chat whose input tokens are asked for, nothing else. A target that does not speak this is answered for by an estimate."""

_MOST_NAMED = 10
_MOST_DROPPED = 256
"""Names kept of what a call dropped: more than are ever shown."""
_NONE: Mapping[str, str] = MappingProxyType({})
_NOTHING: frozenset[str] = frozenset()
T = TypeVar("T")
S = TypeVar("S", bound=Struct)


class Traits(Struct, frozen=True):
    """What one model at a provider is: the wire formats it is spoken to in, what it can do (see `contracts.capability`), and
    which `units` its usage has besides the usual ones (`contracts.usage.UNITS`), so that they can have a price.
    """

    wires: frozenset[str]
    capabilities: frozenset[str] = USUAL
    units: frozenset[str] = frozenset()


class Call(Struct, eq=False):
    """One inference call on its way to a provider.

    operation      what is asked for: `chat`, `embedding`, `count` or a dialect's own
    wire           the wire format `members` are in
    members        top-level members of the request body, each still raw JSON
    model          the name the client used
    id             that of its exchange, empty outside of one
    stream         whether the client wants a stream
    usage_wanted   whether the client asked to see the usage of a stream
    max_tokens     the client's bound on the answer, None if it set none
    strict         whether what cannot be carried is refused instead of dropped
    origin         the wire format the client used; another than `wire` in a call that was translated
    headers        request headers that belong to the client's wire format (a version, opt-ins) and that its dialect lets through:
                   lower-case name to value; only a provider that speaks that wire looks at them
    names          what the client calls members of this form, if not so: set by the dialect once it has translated
    dropped        what was dropped on the way to the provider, as dotted paths of the client's body
    changed        what was rewritten on the way rather than lost, likewise
    aliases        the client's names of tools that had to be called otherwise there, by what they are called there
    handled        members that a policy has seen to, so that no provider has to: they stay for answers that say them again
    bars_tools     tools of the provider's own name models that the client may not use: providers leave those names out
    """

    operation: str
    wire: str
    members: dict[str, Raw]
    model: str
    stream: bool = False
    usage_wanted: bool = False
    max_tokens: int | None = None
    strict: bool = False
    origin: str = ""
    headers: Mapping[str, str] = _NONE
    names: Mapping[str, str] = _NONE
    dropped: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    aliases: Mapping[str, str] = _NONE
    id: str = ""
    handled: frozenset[str] = _NOTHING
    bars_tools: bool = False

    def __post_init__(self) -> None:
        if not self.origin:
            self.origin = self.wire

    def forget(self) -> None:
        """Forget what was dropped, changed and called otherwise on the way to another target."""
        self.dropped = self.changed = ()
        self.aliases = _NONE

    def translated(self, operation: str, wire: str, members: dict[str, Raw]) -> "Call":
        """Make the call that says the same in another wire format. A stream's usage is always wanted: the translator needs it."""
        call = Call(operation, wire, members, model=self.model, stream=self.stream, usage_wanted=True)
        call.max_tokens, call.strict, call.origin = self.max_tokens, self.strict, self.origin
        call.id, call.handled, call.bars_tools = self.id, self.handled, self.bars_tools
        return call

    def with_members(self, members: dict[str, Raw]) -> "Call":
        """Make the same call with other members."""
        call = self.translated(self.operation, self.wire, members)
        call.usage_wanted, call.headers = self.usage_wanted, self.headers
        call.names, call.dropped, call.changed, call.aliases = self.names, self.dropped, self.changed, self.aliases
        return call

    def drop(self, *names: str) -> None:
        """Say that members cannot be carried. Raises `InvalidRequest` naming the first if the client or the model is strict."""
        self.dropped = self._named(self.dropped, names, "cannot be carried to this model's provider")

    def change(self, *names: str) -> None:
        """Say that members were rewritten for their target and mean the same, nearly. Raises `InvalidRequest` as `drop` does."""
        self.changed = self._named(self.changed, names, "must be rewritten for this model's provider")

    def _named(self, known: tuple[str, ...], names: tuple[str, ...], what: str) -> tuple[str, ...]:
        names = tuple(map(self._own_name, names)) if self.names else names
        if names and self.strict:
            named = ", ".join(f"`{name}`" for name in names[:_MOST_NAMED])
            message = f"{named} {what}; leave it out, or do not be strict."
            raise InvalidRequest(message, param=names[0], code="unsupported_parameter")
        if len(known) >= _MOST_DROPPED:  # else a body of many odd items costs the square of their number
            return known
        return tuple(dict.fromkeys((*known, *names)))[:_MOST_DROPPED]

    def _own_name(self, name: str) -> str:
        head, dot, rest = name.partition(".")
        return self.names.get(name) or self.names.get(head, head) + dot + rest

    def member(self, name: str, type: type[T]) -> T | None:
        """Decode one member; None if the client left it out or null. Raises `InvalidRequest` naming it."""
        return member(self.members, name, type)


class TargetModel(Struct, frozen=True):
    """The model as the provider knows it: its name, that name as JSON, and defaults for members the client left out.

    `wires` are the wire formats it is spoken to in; empty where nothing is known.
    """

    id: str
    name: str
    name_json: Raw
    defaults: dict[str, Raw] = {}
    max_output_tokens: int | None = None
    context_window: int | None = None
    strict: bool = False
    wires: frozenset[str] = frozenset()


class Answer(Struct, frozen=True):
    """A whole answer: a body in the call's wire format, JSON or of another media type, and what the kernel needs to know of it.

    `wire` is the format of the body where it is not the canonical one, as policies see it; providers leave it out. An answer
    that was streamed has its `events` in that format instead of a body.
    """

    body: bytes
    usage: Usage | None = None
    model: str | None = None
    finish_reason: str | None = None
    wire: str | None = None
    events: "tuple[StreamEvent, ...]" = ()
    media_type: bytes = b"application/json"


class StreamEvent(Struct, gc=False):
    """One event of a stream.

    data      its JSON payload in the call's wire format, empty if the client is not to see it
    name      the SSE event name, where the wire has them
    content   bytes of content it shows, roughly (0: nothing to show, as a role or a finish reason); usage of a stream that
              was cut is estimated from it
    terminal  it proves completeness (a finish reason, `message_stop`, `[DONE]`)
    last      nothing follows it on the wire
    usage     the usage it carries
    fault     the provider failed here: raised once everything before it was written, and nothing of this event is shown
    """

    data: bytes
    name: bytes | None = None
    content: int = 0
    terminal: bool = False
    last: bool = False
    usage: Usage | None = None
    fault: "ProviderFault | None" = None


CAUSES = frozenset(
    {
        "invalid_request", "context_length", "content_filter", "not_found", "auth", "permission", "quota", "rate_limit",
        "overloaded", "server", "timeout", "protocol",
    }
)  # fmt: skip
"""What a `ProviderFault` may be caused by."""


class ProviderFault(Exception):
    """The provider answered, and the answer is a failure (or is not an answer).

    cause        one of `CAUSES`; any other is told as `protocol`
    status       the provider's HTTP status (200 when the failure was inside an answer)
    message      the provider's own words, for client faults only; the kernel scrubs and shortens them before anyone sees them
    code, param  the provider's, where it has them
    retry_after  seconds, where the provider said
    request_id   the provider's id of the request
    final        the provider says that trying again is of no use
    extra        other members of its error, for clients that speak its wire; scrubbed as the message is
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
        final: bool = False,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{cause} ({status})")
        self.cause = cause
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.request_id = request_id
        self.final = final
        self.extra = extra


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

        An error event, or something that is not an event of this wire (cause `protocol`), is an event with a `fault`, the
        last one returned. Raises `ResponseTooLarge` for an event over the cap.
        """
        ...

    def close(self) -> None:
        """The body has ended. Raises `ConnectionBroken` unless a terminal event was seen."""
        ...


class Provider(Protocol):
    """One `providers` resource come alive. Made by an offer's factory from a `ProviderConfig`; holds no per-call state.

    `wires` are all the wire formats it can speak, `request_id_header` the lower-case name of the header in which it names
    each answer. It may also be a `TokenExchange` and a `ModelLister`.
    """

    wires: frozenset[str]
    request_id_header: str

    def traits(self, model: str) -> Traits:
        """Say what one of its models is, by the provider's name for it. Asked when a model is compiled, not per request."""
        ...

    def prepare(self, call: Call, model: TargetModel, secret: Secret | None) -> OutboundRequest:
        """Build the outbound request.

        Raises `InvalidRequest` for what the wire cannot express and dropping would falsify (a part of a message), and
        `SecretUnavailable` for a credential that lacks a field.
        """
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


@runtime_checkable
class TokenExchange(Protocol):
    """A provider whose requests carry a short-lived token instead of the credential itself.

    The kernel makes the exchange, keeps the token, renews it early and after a refusal; `prepare` gets it as its secret.
    """

    def token_request(self, secret: Secret) -> OutboundRequest | None:
        """Build the request that trades a credential for a token; None if this one is used as it is."""
        ...

    def token(self, secret: Secret, head: Head, body: bytes) -> Secret:
        """Read the answer, whatever its status, as what `prepare` is to get, with its `expires_us`. Raises `ProviderFault`."""
        ...


class DiscoveredModel(Struct, frozen=True, omit_defaults=True):
    """A model a provider says it has. `name` is what a model resource's `provider_model` wants; windows are in tokens."""

    name: str
    title: str | None = None
    owned_by: str | None = None
    created_us: int | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None


class ModelPage(Struct, frozen=True):
    """One page of a provider's models; `cursor` asks for the next, None when there is none."""

    models: tuple[DiscoveredModel, ...]
    cursor: str | None = None


@runtime_checkable
class ModelLister(Protocol):
    """A provider that can be asked what models it has; it is also the cheapest call that proves a credential good."""

    def models_request(self, secret: Secret | None, cursor: str | None) -> OutboundRequest:
        """Build the request for the first page, or for the page a cursor names."""
        ...

    def models(self, head: Head, body: bytes) -> ModelPage:
        """Read one page. Raises `ProviderFault`, also for a status that is not 2xx."""
        ...


class NativeProvider(Protocol):
    """A provider that is not HTTP: an in-process model, or one that has others called (`Context.call`).

    It is told the exchange that asks: who (`x.principal`), in what (`parent=x`). Cancelling what it returns must stop its work.
    It may raise the `ApiError` of a call that it made.
    """

    wires: frozenset[str]

    def traits(self, model: str) -> Traits:
        """Say what one of its models is."""
        ...

    async def complete(self, x: "Exchange", call: Call, model: TargetModel, secret: Secret | None) -> Answer:
        """Answer whole. Raises `ProviderFault`."""
        ...

    def stream(
        self, x: "Exchange", call: Call, model: TargetModel, secret: Secret | None
    ) -> AsyncIterator[StreamEvent]:
        """Answer event by event; ending without a terminal event is a cut stream. Raises `ProviderFault`."""
        ...


class ProviderConfig(Struct, Generic[S], frozen=True):
    """What an offer's factory gets: the `providers` resource, its `settings` decoded to the offer's `settings_type`.

    Time, chance and ids come from `ambient`. The factory raises ValueError, saying what to enter, for settings that cannot be.
    """

    id: str
    base_url: str | None
    headers: Mapping[str, str]
    settings: S
    ambient: Ambient = Ambient()
