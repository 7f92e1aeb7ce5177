"""A provider with a chat API of its own: JSON both ways, streams as server-sent events. The base of what is said in another form.

    class Turn(Struct, omit_defaults=True): ...          # the vendor's shapes, as Structs

    class AcmeProvider(TranslatingProvider[NoSettings]):
        path = "/v1/talk"
        reply = Reply                                    # what it answers, whole or in an event
        carries = frozenset({"temperature", "tools"})

        def write(self, chat, call, model):              # the request, in the vendor's words
            return Ask(model.name, [Turn(it.role, it.text()) for it in chat.messages], heat=chat.temperature)

        def read(self, reply, say):                      # an answer, or one event of it, told piece by piece
            say.text(reply.says)
            say.finish(reply.ended)

The rest is here: what is not carried is named or refused, tools have names that fit, ids, chunks, cut streams, garbage, failures.
`contrib/example-provider` is a whole one.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
from msgspec import Struct

from switchgear.contracts.capability import JSON_SCHEMA, ONLY_TEXT, REASONING, TOOLS, VISION
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import (
    CANONICAL,
    Answer,
    Call,
    Head,
    ProviderConfig,
    ProviderFault,
    StreamDecoder,
    StreamEvent,
    TargetModel,
    Traits,
)
from switchgear.contracts.upstream import OutboundRequest
from switchgear.wire.answer_writer import AnswerWriter, StreamWriter, WholeWriter
from switchgear.wire.canonical import ChatRequest
from switchgear.wire.chat import decode_fault, is_failure, is_final, retry_after
from switchgear.wire.event_decoder import EventDecoder
from switchgear.wire.fit.names import NameRule
from switchgear.wire.fit.plain import IMAGES, fit_plain, unknown
from switchgear.wire.fit.request import read_fitted
from switchgear.wire.members import BROKEN, decode_whole, parse_object

S = TypeVar("S", bound=Struct)
_NEEDED = {"tools": TOOLS, IMAGES: VISION, "response_format": JSON_SCHEMA, "reasoning_effort": REASONING}
"""What a model can do whose provider carries this."""
_encode = msgspec.json.Encoder().encode


class TranslatingProvider(ABC, Generic[S]):
    """Derive from it, say these, and override `write` and `read`.

    reply           Struct of a whole answer
    event           Struct of one event of a stream; None: as `reply`
    path            where chats are asked for, under the base URL
    base_url        the vendor's usual address; None: a `providers` resource must name one
    carries         what `write` carries of a chat beside messages and the bound of the answer: members of a
                    `switchgear.wire.canonical.ChatRequest`, and paths of `switchgear.wire.fit.plain`
    own             members of the vendor's own, which go through as a client that knows where its request goes wrote them
    finish_reasons  the canonical finish reason by the vendor's
    tool_names      what names of tools may be
    """

    reply: ClassVar[type[Struct]]
    event: ClassVar[type[Struct] | None] = None
    path: ClassVar[str] = ""
    base_url: ClassVar[str | None] = None
    carries: ClassVar[AbstractSet[str]] = frozenset()
    own: ClassVar[tuple[str, ...]] = ()
    finish_reasons: ClassVar[Mapping[str, str]] = {}
    tool_names: ClassVar[NameRule] = NameRule()
    wires: frozenset[str] = frozenset({CANONICAL})
    request_id_header = "x-request-id"

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        if strange := unknown(cls.carries):
            raise TypeError(f"{cls.__qualname__}.carries: no part of a chat is called {', '.join(strange)}")

    def __init__(self, config: ProviderConfig[S]) -> None:
        base = config.base_url or self.base_url
        if not base:
            raise ValueError("`base_url` is required for a provider of this type")
        self.base = base.rstrip("/")
        self.settings = config.settings
        self.ambient = config.ambient
        self.headers = {"content-type": "application/json", **{k.lower(): v for k, v in config.headers.items()}}
        self._reply = msgspec.json.Decoder(self.reply)
        self._event = self._reply if self.event is None else msgspec.json.Decoder(self.event)

    @abstractmethod
    def write(self, chat: ChatRequest, call: Call, model: TargetModel) -> Any:
        """Return the body of a request, as a Struct or a dict.

        `chat` holds what is carried and nothing else (`fit_plain`), with the model's defaults. `model.name` is the provider's
        name of the model, `call.stream` whether a stream is wanted. What of a carried member cannot be said is named with
        `call.drop`, or refused with `InvalidRequest` where leaving it out would falsify the request.
        """

    @abstractmethod
    def read(self, reply: Any, say: AnswerWriter) -> None:
        """Tell what a whole answer says. Raises `ProviderFault` for a failure inside it (`self.failure`)."""

    def read_event(self, event: Any, say: AnswerWriter) -> None:
        """Tell what one event of a stream says; as `read`, unless this is overridden."""
        self.read(event, say)

    def traits(self, model: str) -> Traits:  # noqa: ARG002 - some vendors have models that differ
        """Say what a model is: what is carried can be asked of it."""
        return Traits(self.wires, ONLY_TEXT | {able for name, able in _NEEDED.items() if name in self.carries})

    def authorise(self, secret: Secret | None) -> dict[str, str]:
        """Return the headers that carry the credential: `Authorization: Bearer` with its `api_key`."""
        return {} if secret is None else {"authorization": f"Bearer {secret.required('api_key')}"}

    def url(self, call: Call, model: TargetModel) -> str:  # noqa: ARG002 - some have the model in it
        """Return the address of a call."""
        return self.base + self.path

    def prepare(self, call: Call, model: TargetModel, secret: Secret | None) -> OutboundRequest:
        """Build the outbound request."""
        body = _encode(self.body(call, model))
        if self.own and not call.members.keys().isdisjoint(self.own):
            members = {name: call.members[name] for name in self.own if name in call.members}
            body = _encode({**parse_object(body), **members})
        headers = {**self.headers, **self.authorise(secret)}
        if call.stream:
            headers["accept"] = "text/event-stream"
        return OutboundRequest("POST", self.url(call, model), headers, body)

    def body(self, call: Call, model: TargetModel) -> Any:
        """Return the body of a chat, without the vendor's own members."""
        takes_errors = "messages.content.is_error" in self.carries
        chat = read_fitted(call, model, self.tool_names, takes_errors=takes_errors)
        fit_plain(call, chat, self.carries, self.own)
        return self.write(chat, call, model)

    def decode(self, call: Call, head: Head, body: bytes) -> Answer:
        """Read a whole answer. Raises `ProviderFault`."""
        say = WholeWriter(call, self._id(head), self._now(), self.finish_reasons)
        reply = self.decoded(body)
        if reply is not None:
            self.read(reply, say)
        if say.empty:
            raise self.unreadable(call, head, body)
        return say.answer()

    def decoder(self, call: Call, head: Head) -> StreamDecoder:
        """Make the decoder of one stream."""
        return _Decoder(
            self, self._event, call, head, StreamWriter(call, self._id(head), self._now(), self.finish_reasons)
        )

    def fault(self, call: Call, head: Head, body: bytes) -> ProviderFault:  # noqa: ARG002 - the contract's shape
        """Classify a failure, by what most vendors write (`{"error": {"message", "code"}}`, `{"message"}`, `{"detail"}`)."""
        return decode_fault(head.status, body, head)

    def unreadable(self, call: Call, head: Head, body: bytes) -> ProviderFault:
        """Classify what came with a good status and says nothing: a failure in a usual shape, or something that is no answer."""
        if is_failure(body):
            return self.fault(call, head, body)
        return self.failure(head, "protocol")

    def failure(self, head: Head, cause: str, message: str = "", code: str | None = None) -> ProviderFault:
        """Make a failure of which the vendor's own words are known, with what its headers say."""
        return ProviderFault(
            cause,
            head.status,
            message=message,
            code=code,
            retry_after=retry_after(head),
            request_id=head.header(self.request_id_header),
            final=is_final(head),
        )

    def decoded(self, body: bytes) -> Any | None:
        """Read a body as `reply`, whatever its status; None for something else."""
        try:
            return decode_whole(self._reply, body)
        except BROKEN:
            return None

    def _id(self, head: Head) -> str:
        return f"chatcmpl-{head.header(self.request_id_header) or self.ambient.new_id()}"

    def _now(self) -> int:
        return self.ambient.now_us() // 1_000_000


class _Decoder(EventDecoder):
    """Complete means: a finish reason or `[DONE]` was seen."""

    def __init__(
        self,
        provider: TranslatingProvider[Any],
        decoder: "msgspec.json.Decoder[Any]",
        call: Call,
        head: Head,
        say: StreamWriter,
    ) -> None:
        super().__init__(head)
        self.request_id_header = provider.request_id_header
        self._provider = provider
        self._decoder = decoder
        self._call = call
        self._say = say

    def take(self, payload: bytes, events: list[StreamEvent]) -> None:
        """Tell an event."""
        try:
            found = decode_whole(self._decoder, payload)
        except BROKEN:
            raise self._provider.unreadable(self._call, self.head, payload) from None
        try:
            self._provider.read_event(found, self._say)
        finally:
            self.complete = self._say.complete
            said = self._say.take()
            events += said
        if not said and is_failure(payload):
            raise self._provider.fault(self._call, self.head, payload)

    def done(self, events: list[StreamEvent]) -> None:
        """End the stream."""
        if self._say.empty:
            raise ProviderFault("protocol", self.head.status)
        self._say.finish("stop")
        self.complete = True
        events += self._say.take()
        events.append(StreamEvent(b"", terminal=True, last=True))

    def misdelivered(self, body: bytes) -> ProviderFault:
        """Classify what came instead of a stream."""
        return self._provider.unreadable(self._call, self.head, body)
