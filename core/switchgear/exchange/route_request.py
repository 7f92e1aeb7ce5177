"""A request at a route as its handler sees it: who asks, what the path and query say, and the body in the form that is wanted."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from multipart import MultipartSegment

from switchgear.authority import Authority
from switchgear.contracts.dialect import Part, Route, RouteRequest, WebSocketRoute
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.principal import Principal
from switchgear.errors import ApiError, InvalidRequest, PayloadTooLarge, UnsupportedMedia
from switchgear.exchange.inbound import UNCOUNTED, Bodies, Holding, Routed
from switchgear.exchange.pieces import check_length, parts_of, pieces_of, too_large

T = TypeVar("T")

_MOST_PARAMETERS = 1000


class RoutedRequest(RouteRequest):
    """What a handler gets."""

    def __init__(
        self,
        request: Routed,
        route: Route | WebSocketRoute,
        x: Exchange,
        params: Mapping[str, str],
        headers: Mapping[bytes, bytes],
        *,
        bodies: Bodies,
        held: Holding,
        authority: Authority,
    ) -> None:
        assert x.principal is not None
        self.exchange = x
        self.principal: Principal = x.principal
        self.snapshot = x.snapshot
        self.method = request.method
        self.path = request.path
        self.params = params
        self.headers = headers
        self.media_type = media_type(headers)
        self.scope_filter = x.bounds
        self._request = request
        self._bodies = bodies
        self._held = held
        self._authority = authority
        most = route.max_body if isinstance(route, Route) else 0
        self._most = bodies.most if most is None else min(most, bodies.most)

    @property
    def query(self) -> Mapping[str, str]:  # type: ignore[override]  # read when asked for
        """The first value of each parameter of the query."""
        try:
            pairs = parse_qsl(
                self._request.query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS
            )
        except ValueError as error:
            raise InvalidRequest("The query has too many parameters.", code="invalid_query") from error
        return dict(reversed(pairs))

    async def may(self, action: str, kind: str, id: str | None) -> bool:
        """Say whether the principal may do something else."""
        return await self._authority.may(self.principal, action, kind, id)

    async def body(self) -> bytes:
        """Return the whole body."""
        check_length(self.headers, self._most)
        body = self._request.whole_body()
        if body is None or len(body) > UNCOUNTED:
            body = await self._bodies.read(self._request, body, self.principal.id, self._held)
        if (coding := self.headers.get(b"content-encoding")) is not None:
            body = await self._bodies.unpack(body, coding, self.principal.id, self._held)
        if len(body) > self._most:
            raise too_large(self._most)
        return body

    async def json(self, type: type[T]) -> T:
        """Return the body as JSON of this type."""
        if self.media_type and "json" not in self.media_type:
            raise UnsupportedMedia("The request body must be JSON (`content-type: application/json`).")
        try:
            return msgspec.json.decode(await self.body(), type=type)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            what, _, where = str(error).partition(" - at `$.")
            message = f"The body is not what is asked for: {what}{f' at `{where}' if where else ''}."
            raise InvalidRequest(message, param=where.rstrip("`") or None, code="invalid_body") from error

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes."""
        return pieces_of(self._request, self.headers, self._most)

    async def parts(self) -> AsyncIterator[Part]:
        """Yield the parts of a multipart body as they come."""
        events = parts_of(self.headers, self.pieces())
        async for event in events:
            if isinstance(event, MultipartSegment):
                part = _Part(event, events, self)
                yield part
                await part.pass_over()

    def hold(self, size: int) -> None:
        """Count bytes of the body that are kept."""
        self._bodies.hold(size, self.principal.id, self._held)


class _Part(Part):
    """One part, read from the events of all."""

    def __init__(self, segment: Any, events: AsyncGenerator[Any, None], request: RoutedRequest) -> None:
        self.name = segment.name
        self.filename = segment.filename
        self.media_type = segment.content_type or (
            "text/plain" if segment.filename is None else "application/octet-stream"
        )
        self._events = events
        self._request = request
        self._is_over = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self._is_over:
            event = await anext(self._events, None)
            if event is None:
                self._is_over = True
            else:
                yield bytes(event)

    async def read(self, limit: int | None = None) -> bytes:
        """Return all of it."""
        pieces: list[bytes] = []
        size = 0
        async for piece in self:
            size += len(piece)
            if limit is not None and size > limit:
                message = f"The part `{self.name[:64]}` is larger than {limit} bytes."
                raise PayloadTooLarge(message, param=self.name[:64], code="part_too_large")
            pieces.append(piece)
        data = b"".join(pieces)
        self._request.hold(size)
        return data

    async def pass_over(self) -> None:
        """Read what nobody wanted."""
        async for _ in self:
            pass


def media_type(headers: Mapping[bytes, bytes]) -> str:
    """Return the type of a body, lower case and without parameters; empty if none is said."""
    return headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()


def check_media_type(route: Route, headers: Mapping[bytes, bytes]) -> ApiError | None:
    """Return the refusal of a body whose type a route does not take."""
    found = media_type(headers)
    if not route.takes or found in route.takes or (not found and headers.get(b"content-length", b"0") == b"0"):
        return None
    wanted = " or ".join(f"`{name}`" for name in route.takes)
    return UnsupportedMedia(f"The request body must be {wanted}.", param="content-type", code="unsupported_media_type")
