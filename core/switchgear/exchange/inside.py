"""Calls from inside: plugins have models called as clients do, by the same engine, in the same phases, under somebody's name.

Each call is a task of its own, since an exchange is watched, and cancelled, by its task; whoever waits for it and is cancelled
takes it along. Its answer never becomes HTTP: what the engine writes is read here again.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Self

import msgspec
from msgspec import Raw

from switchgear.contracts.dialect import Dialect, InferenceEndpoint, Route, WebSocketRoute
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.inside import MOST_DEEP, InsideAnswer
from switchgear.contracts.principal import Principal
from switchgear.contracts.provider import CANONICAL, COUNT, EMBEDDINGS, Call, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.errors import ApiError, InternalError, InvalidRequest, Unavailable
from switchgear.exchange.engine import Engine
from switchgear.wire.chat_stream import ChatDecoder
from switchgear.wire.members import parse_object
from switchgear.wire.sse import SSEParser

_CANONICAL = {"chat": CANONICAL, "embedding": EMBEDDINGS, "count": COUNT}
"""The wire format that an operation has its canonical form in."""
_STOPS_S = 1.0
"""How long is waited for a call that was given up, so that it is accounted for before the one that it was made for."""
_MOST_EVENT = 64 * 1024 * 1024
_encode = msgspec.json.Encoder().encode


class InsideCalls:
    """Makes calls from inside. One a gateway; `attach` says what there is to call."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._endpoints: dict[str, tuple[Dialect, InferenceEndpoint]] = {}
        self._running: set[asyncio.Task[None]] = set()

    def attach(self, engine: Engine, dialects: Sequence[Dialect]) -> None:
        """Call by this engine, at these dialects' endpoints: each is found by its path, and by its wire format."""
        for dialect in dialects:
            for endpoint in dialect.inference:
                for name in (endpoint.path, endpoint.wire):
                    self._endpoints.setdefault(name, (dialect, endpoint))
        self._engine = engine

    async def __call__(
        self,
        operation: str,
        body: Mapping[str, Any] | bytes,
        *,
        principal: Principal,
        parent: Exchange | None = None,
        model: str | None = None,
        stream: bool = False,
        headers: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Any:
        """Run an exchange; see `switchgear.contracts.inside.CallInside`."""
        _check_depth(parent)
        dialect, endpoint = self._endpoint(operation)
        members = _members(body, model, stream=stream)
        request = _Request(endpoint, members, principal, parent, labels or {}, stream=stream)
        request.headers = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        if parent is not None and parent.trace is not None and b"traceparent" not in request.fields:
            request.headers.append((b"traceparent", parent.trace.encode()))
        request.task = task = asyncio.create_task(self._run(dialect, endpoint, request))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        made = _Stream(request, task)
        if stream:
            await made.begun()
            return made
        await made.ended()
        assert request.body is not None
        return InsideAnswer(made.id, request.body, made.usage, made.cost_microusd)

    async def _run(self, dialect: Dialect, endpoint: InferenceEndpoint, request: "_Request") -> None:
        assert self._engine is not None
        try:
            await self._engine.run(_Asked(dialect.name, request), endpoint, request)
        finally:
            request.end()

    def _endpoint(self, operation: str) -> tuple[Dialect, InferenceEndpoint]:
        if self._engine is None:
            raise Unavailable("The gateway is still starting.", code="starting", retry_after=1)
        found = self._endpoints.get(operation) or self._endpoints.get(_CANONICAL.get(operation, ""))
        if found is None:
            names = ", ".join(f"`{name}`" for name in sorted(self._endpoints)) or "none"
            message = f"No enabled dialect has an endpoint for `{operation}`; there is {names}."
            raise Unavailable(message, code="unknown_operation")
        return found


class _Request:
    """One call as the engine meets it: a request, and the answer to it."""

    method = "POST"
    peer = None
    lost = False
    on_lost: Any = None
    started = False
    is_over = False
    task: "asyncio.Task[Any]"

    def __init__(
        self,
        endpoint: InferenceEndpoint,
        members: dict[str, Raw],
        principal: Principal,
        parent: Exchange | None,
        labels: Mapping[str, str],
        *,
        stream: bool,
    ) -> None:
        self.path = endpoint.path
        self.headers: list[tuple[bytes, bytes]] = []
        self.principal = principal
        self.x: Exchange | None = None
        self._parent = parent
        self._labels = labels
        self.body: bytes | None = None
        self.failure: ApiError | None = None
        self.events: deque[StreamEvent] = deque()
        self._asked: bytes | None = _encode(members)
        self._reader = _reader(endpoint, members) if stream else None
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def fields(self) -> dict[bytes, bytes]:
        """The headers by name."""
        return dict(self.headers)

    # What whoever called does.

    async def wait(self) -> None:
        """Wait until there are events, or the call is over."""
        if not (self.events or self.is_over):
            self._news.clear()
            await self._news.wait()

    async def wait_begun(self) -> None:
        """Wait until the answer begins, or the call is over."""
        while not (self.started or self.is_over):
            self._news.clear()
            await self._news.wait()

    def take(self) -> StreamEvent:
        """Return the next event there is."""
        event = self.events.popleft()
        if not self.events:
            self._room.set()
        return event

    def leave(self) -> None:
        """Want no answer any more."""
        if not (self.lost or self.is_over):
            self.lost = True
            self._room.set()
            if self.on_lost is not None:
                self.on_lost()

    def end(self) -> None:
        """Be over."""
        self.is_over = True
        self._news.set()

    # What the engine does.

    @property
    def encoder(self) -> Any:
        """What frames an error in a stream that has begun."""
        return self

    @encoder.setter
    def encoder(self, encoder: Any) -> None:
        """Take no notice: an error is not framed here."""

    def error(self, error: ApiError, request_id: str) -> bytes:  # noqa: ARG002 - as of an encoder
        """Keep what the call failed with."""
        self.failure = error
        return b""

    def bind(self, x: Exchange) -> None:
        """Say what the exchange is a part of."""
        self.x = x
        x.parent = self._parent
        if self._parent is not None:
            x.labels["parent"] = self._parent.id
        x.labels.update(self._labels)

    def whole_body(self) -> bytes | None:
        """Return what is asked."""
        asked, self._asked = self._asked, None
        return asked

    async def read(self) -> bytes | None:
        """Return nothing: the body came whole."""
        return None

    def claim(self) -> None:
        """Nobody else answers here."""

    async def whole(self, status: int, lines: bytes, body: bytes, media_type: bytes = b"") -> None:  # noqa: ARG002
        """Keep a whole answer."""
        self.body = body
        if self._reader is not None and self.failure is None:
            self.events.append(StreamEvent(body, terminal=True, last=True))

    def start(self, lines: bytes, media_type: bytes) -> None:  # noqa: ARG002 - as of HTTP
        """Begin a stream."""
        self.started = True
        self._news.set()

    async def write(self, data: bytes) -> None:
        """Give out events; waits until they were taken."""
        assert self._reader is not None
        if data and not self.lost:
            self.events += self._reader.feed(data)
            self._news.set()
        while self.events and not self.lost:
            self._room.clear()
            await self._room.wait()

    def write_if_ready(self, data: bytes) -> None:
        """Nobody needs a sign of life here."""

    async def close(self, data: bytes) -> None:
        """Give out the last events."""
        if data and not self.lost:
            assert self._reader is not None
            self.events += self._reader.feed(data)


class _Asked:
    """The dialect of one call: errors go to whoever called as they are."""

    request_id_header: bytes | None = None
    retry_count_header = b""
    inference: tuple[InferenceEndpoint, ...] = ()
    routes: tuple[Route | WebSocketRoute, ...] = ()

    def __init__(self, name: str, request: _Request) -> None:
        self.name = name
        self.error = request.error


class _Stream:
    """A call that was made, and the events of its answer."""

    def __init__(self, request: _Request, task: "asyncio.Task[None]") -> None:
        self._request = request
        self._task = task

    @property
    def id(self) -> str:
        """The id of the exchange."""
        x = self._request.x
        return "" if x is None else x.id

    @property
    def usage(self) -> Usage | None:
        """What it consumed, once it has ended."""
        x = self._request.x
        return None if x is None else x.usage

    @property
    def cost_microusd(self) -> int | None:
        """What that cost, once it has ended; None if unknown."""
        x = self._request.x
        return None if x is None else x.cost_microusd

    async def begun(self) -> None:
        """Wait until the answer begins. Raises the `ApiError` of a call that failed before."""
        try:
            await self._request.wait_begun()
        except asyncio.CancelledError:
            await self.aclose()
            raise
        if not self._request.started:
            await self.ended()

    async def ended(self) -> None:
        """Wait until the call is over. Raises the `ApiError` that it failed with."""
        try:
            await asyncio.wait({self._task})
        except asyncio.CancelledError:
            await self.aclose()
            raise
        if self._task.cancelled():
            raise InternalError("The call was given up.", code="cancelled")
        self._task.result()
        if self._request.failure is not None:
            raise self._request.failure

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        """Return the events."""
        return self

    async def __anext__(self) -> StreamEvent:
        """Return the next event."""
        request = self._request
        if not request.events:
            try:
                await request.wait()
            except asyncio.CancelledError:
                await self.aclose()
                raise
        if request.events:
            return request.take()
        if not request.lost:
            await self.ended()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the exchange, unless it has ended."""
        self._request.events.clear()
        self._request.leave()
        await asyncio.wait({self._task}, timeout=_STOPS_S)

    async def __aenter__(self) -> Self:
        """Return the stream."""
        return self

    async def __aexit__(self, *raised: object) -> None:
        """End the exchange, unless it has ended."""
        await self.aclose()

    def __del__(self) -> None:
        """End the exchange that nobody reads any more."""
        self._request.leave()


class _EventReader:
    """Reads the events of a wire format that nothing more is known of."""

    def __init__(self) -> None:
        self._parser = SSEParser(_MOST_EVENT, _MOST_EVENT)

    def feed(self, data: bytes) -> list[StreamEvent]:
        return [StreamEvent(it.data, it.name or None) for it in self._parser.feed_events(data)]


def _reader(endpoint: InferenceEndpoint, members: dict[str, Raw]) -> "ChatDecoder | _EventReader":
    if endpoint.wire != CANONICAL:
        return _EventReader()
    call = Call("chat", CANONICAL, members, model="", stream=True, usage_wanted=True)
    return ChatDecoder(call, _Head(), SSEParser(_MOST_EVENT, _MOST_EVENT))


class _Head:
    """The head of an answer that never was HTTP."""

    status = 200

    def header(self, name: str) -> str | None:  # noqa: ARG002 - the contract's shape
        return None


def _members(body: Mapping[str, Any] | bytes, model: str | None, *, stream: bool) -> dict[str, Raw]:
    members = parse_object(body if isinstance(body, bytes) else _encode(body))
    if model is not None:
        members["model"] = Raw(_encode(model))
    members.pop("stream", None)
    if stream:
        members["stream"] = Raw(b"true")
    return members


def _check_depth(parent: Exchange | None) -> None:
    deep = 1
    above = parent
    while above is not None:
        deep, above = deep + 1, above.parent
    if deep > MOST_DEEP:
        message = f"Calls are made within each other more than {MOST_DEEP} deep; something calls itself."
        raise InvalidRequest(message, param="model", code="calls_too_deep")
