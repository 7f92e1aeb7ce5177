"""A dialect is how clients speak to the data plane: paths under which a wire format comes in, and how answers look there.

Inference calls come in at its endpoints; whatever else a client may ask (lists, files, an upload, a WebSocket) at its routes.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Literal, Protocol, TypeAlias, TypeVar

from msgspec import Raw, Struct

from switchgear.contracts.conversation import Face
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.filter import AnswerFace
from switchgear.contracts.principal import Principal
from switchgear.contracts.provider import Answer, Call, StreamEvent
from switchgear.contracts.resource import Snapshot
from switchgear.errors import ApiError, model_not_found

T = TypeVar("T")

ANYBODY = Principal("anybody", "anybody")
"""Who asks where nobody has to say."""


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

    `path` may have parameters, as those of routes: they are members of the call, strings, whatever the body says of them.

    `face` is how its requests are conversations, which is what policies see; None: they hold nothing that is said. `pieces` is
    how answers in `wire` hold their texts, which is what filters see; None: they hold none. With `takes_forms = True` it takes
    `multipart/form-data` too: fields are members, strings, or arrays of those of one name; a file is an object of `filename`,
    `media_type` and `data` (base64). Answers may be of any media type (`Answer.media_type`).
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


class Part(Protocol):
    """One part of a multipart body: its form field, the name of the file if it is one, its type. It is read once, in its turn."""

    name: str
    filename: str | None
    media_type: str

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield its bytes as they come."""
        ...

    async def read(self, limit: int | None = None) -> bytes:
        """Return all of it. Raises `PayloadTooLarge` where it has more than `limit` bytes."""
        ...


class RouteRequest(Protocol):
    """One request at a route, authenticated and allowed. Its body is read once, whole or in pieces, and unpacked.

    Whatever reads the body raises `ApiError`: what is too large (413), not of its type (400), or comes from a client that left.

    exchange      what limits, records and calls from inside know it by; its `headers` go into the answer, its `labels` into the
                  record
    principal     who asks; `ANYBODY` at a route that is open to everybody
    params        what stands in the path for its parameters
    query         the first value of each parameter of the query
    headers       by lower-case name; `media_type` is that of the body, lower case and without parameters, empty if none is said
    scope_filter  the bounds within which the principal may do this, at a route that is `scoped`; None: no bounds
    """

    exchange: Exchange
    principal: Principal
    snapshot: Snapshot
    method: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[bytes, bytes]
    media_type: str
    scope_filter: Mapping[str, tuple[str, ...]] | None

    async def body(self) -> bytes:
        """Return the whole body."""
        ...

    async def json(self, type: type[T]) -> T:
        """Return the body as JSON of this type. Raises `InvalidRequest` naming what is wrong."""
        ...

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; no more of it is held than that."""
        ...

    def parts(self) -> AsyncIterator[Part]:
        """Yield the parts of a multipart body as they come. What is not read of one is passed over."""
        ...

    async def may(self, action: str, kind: str, id: str | None) -> bool:
        """Say whether the principal may do something else, as `may("use", "models", name)`, without bounds."""
        ...


async def check_callable(request: RouteRequest, name: str) -> None:
    """Refuse a name that the principal cannot write as a call's `model` now. Raises `NotFound`, worded as such a call's."""
    found = request.snapshot.callable(request.snapshot.without_prefix(name))
    if found is None or not found.enabled or not await request.may("use", "models", name):
        raise model_not_found(name)


class RouteReply(Struct, frozen=True):
    """An answer: whole, of any media type and status, or with status 200 in pieces as they come.

    Where an iterator of pieces raises before it has yielded, the client gets a whole error; after that its answer is cut.
    `headers` are extra, lower case.
    """

    body: bytes | AsyncIterator[bytes] = b""
    status: int = 200
    media_type: str = "application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Socket(Protocol):
    """One WebSocket that was accepted (RFC 6455). Pings are answered, and messages joined, before anybody is asked."""

    subprotocol: str | None

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Yield messages, texts as `str`, until either end closes."""
        ...

    async def send(self, message: str | bytes) -> None:
        """Send a message; waits while the client has not read what it has. Raises `ClientGone` once it is closed."""
        ...

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close; a handler that returns does so by itself."""
        ...


OpenTo: TypeAlias = Literal["granted", "principals", "everybody"]
"""Whom a route lets in: who may do its `action` on its `kind`, whoever is identified, or anybody at all."""


class Entry(Struct, frozen=True, kw_only=True):
    """Where a request comes in that is no inference call, and who is let in there.

    action     what the authority is asked, with `kind`, and with the value of the path's parameter `id` for the resource
    scoped     it keeps to `request.scope_filter`; other routes are closed to those who have bounds
    open_to    `principals` decide by themselves, with `request.may`, what is shown to whom
    operation  its name in records
    counted    whether it is an exchange to the policies: has a record, and counts towards limits
    """

    action: str = ""
    kind: str = ""
    id: str | None = None
    scoped: bool = False
    open_to: OpenTo = "granted"
    operation: str = ""
    counted: bool = False
    summary: str = ""


class Route(Entry, frozen=True):
    """One method at one path, as `Route("DELETE", "/v1/files/{id}", delete, action="delete", kind="files", id="id")`. GET answers
    HEAD too.

    path   may have parameters: `{id}` stands for one segment or a part of it, `{id:path}` for one or more
    takes  the media types that its body may have, others are a 415; empty: any. `multipart/form-data` is one
    gives  those that its answers have, for the description
    when   a query parameter and its value, `("async", "true")`: the route takes the requests that have it from the other route or
           inference endpoint at this path. `false` and an empty value are the same as no parameter; any other value is a 400
    max_body  most bytes of a body, unpacked, if that is less than the gateway takes
    body  what a JSON body says, for the description: a Struct whose members hold no other Structs
    """

    method: str
    path: str
    handler: Callable[[RouteRequest], Awaitable[RouteReply]]
    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ("application/json",)
    max_body: int | None = None
    when: tuple[str, str] | None = None
    body: type[Struct] | None = None


class WebSocketRoute(Entry, frozen=True):
    """A path at which clients open WebSockets. It is closed when the handler returns; when the gateway stops, the messages end.

    `subprotocols` are those that it speaks, the preferred first.
    """

    path: str
    handler: Callable[[RouteRequest, Socket], Awaitable[None]]
    subprotocols: tuple[str, ...] = ()


class Dialect(Protocol):
    """A family of endpoints that share an error shape.

    `request_id_header` is the lower-case name under which its clients look for the id of a request, besides `x-request-id`
    which every answer has; None if that is where they look. `retry_count_header` is the lower-case name under which they say how
    often they have tried a request before; empty if they do not. Its paths may be any that are not the gateway's own. One may
    also have an `own_header`, the lower-case name of a header that only its clients send: they are told in its shape that a path
    is nobody's.
    """

    name: str
    request_id_header: bytes | None
    retry_count_header: bytes
    inference: tuple[InferenceEndpoint, ...]
    routes: tuple[Route | WebSocketRoute, ...]

    def error(self, error: ApiError, request_id: str) -> bytes:
        """Encode an error as a JSON body."""
        ...
