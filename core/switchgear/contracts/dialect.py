"""A dialect is how clients speak to the data plane: paths under which a wire format comes in, and how answers look there."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from msgspec import Raw, Struct

from switchgear.contracts.conversation import Face
from switchgear.contracts.filter import AnswerFace
from switchgear.contracts.principal import Principal
from switchgear.contracts.provider import Answer, Call, StreamEvent
from switchgear.contracts.resource import Snapshot
from switchgear.errors import ApiError


class StreamEncoder(Protocol):
    """One stream on its way to one client: frames events, in order. `keep_alive` is sent when nothing else is."""

    media_type: bytes
    keep_alive: bytes

    def event(self, event: StreamEvent) -> bytes:
        """Frame one event; empty if the client is to see nothing of it."""
        ...

    def end(self) -> bytes:
        """Return what ends a complete stream."""
        ...

    def error(self, error: ApiError, request_id: str) -> bytes:
        """Frame an error in a stream that has begun. Nothing may follow it."""
        ...


class InferenceEndpoint(Protocol):
    """One POST path that becomes an exchange. Pure functions: no I/O, no state between calls.

    `face` is how its requests are conversations, which is what policies see; None: they hold nothing that is said. `pieces` is
    how answers in `wire` hold their texts, which is what filters see; None: they hold none.
    """

    path: str
    wire: str
    face: Face | None
    pieces: AnswerFace | None

    def parse(self, members: dict[str, Raw], headers: Mapping[bytes, bytes]) -> Call:
        """Read the head of a request whose body is a JSON object: what names, bounds and streams it, as far as it is there.

        Raises `InvalidRequest` for what is not of its type. `model` is empty if there is none.
        """
        ...

    def check(self, call: Call) -> None:
        """Refuse what is missing or wrong, once policies have rewritten the call. Raises `InvalidRequest` naming the field."""
        ...

    def canonical(self, call: Call) -> Call:
        """Translate to the canonical form, for providers that do not speak `wire`."""
        ...

    def answer(self, call: Call, answer: Answer) -> bytes:
        """Encode a whole canonical answer in `wire`. What a provider answered in `wire` itself does not come through here; what
        a policy answers does, even where `wire` is the canonical form.
        """
        ...

    def encoder(self, call: Call, *, translate: bool) -> StreamEncoder:
        """Make the encoder of a stream of canonical events (`translate`) or of events already in `wire`."""
        ...


class QueryRequest(Struct, frozen=True):
    """An authenticated request that is not an inference call. `rest` is what followed the path's prefix; `may(action, kind, id)`
    says what the principal may do, as `may("use", "models", name)`.
    """

    principal: Principal
    snapshot: Snapshot
    rest: str
    headers: Mapping[bytes, bytes]
    may: Callable[[str, str, str], Awaitable[bool]]


class QueryReply(Struct, frozen=True):
    """A JSON answer, whole. `headers` are extra, lower case."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()


class QueryEndpoint(Protocol):
    """One GET path. A path that ends in `/` also answers everything below it; `rest` is what follows."""

    path: str

    async def handle(self, request: QueryRequest) -> QueryReply:
        """Answer from the snapshot. Raises `ApiError`."""
        ...


class Dialect(Protocol):
    """A family of endpoints that share an error shape.

    `request_id_header` is the lower-case name under which its clients look for the id of a request, besides `x-request-id`
    which every answer has; None if that is where they look. `retry_count_header` is the lower-case name under which they say how
    often they have tried a request before; empty if they do not.
    """

    name: str
    request_id_header: bytes | None
    retry_count_header: bytes
    inference: tuple[InferenceEndpoint, ...]
    queries: tuple[QueryEndpoint, ...]

    def error(self, error: ApiError, request_id: str) -> bytes:
        """Encode an error as a JSON body."""
        ...
