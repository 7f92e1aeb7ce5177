"""What an exchange writes to, and the headers of every answer."""

from typing import Protocol

from switchgear.contracts.dialect import StreamEncoder
from switchgear.contracts.exchange import Exchange
from switchgear.errors import ApiError

Headers = list[tuple[bytes, bytes]]
_CACHE = {word: (b"x-switchgear-cache", word.encode()) for word in ("bypass", "hit", "miss")}
_MOST_DROPPED = 32
_MOST_CAUSES = 32
_STREAM: Headers = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]


class Reply(Protocol):
    """One HTTP answer, whole or streamed. Writing to a client that left is not an error; backpressure is in the awaits."""

    encoder: StreamEncoder
    """Set when a stream is attempted: it frames an error in a stream that has begun."""

    @property
    def started(self) -> bool:
        """Whether a stream has begun."""
        ...

    def claim(self) -> None:
        """What follows is from the target that answers. Raises CancelledError where another one has begun to."""
        ...

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a complete answer; content type and length are added."""
        ...

    async def start(self, headers: Headers, media_type: bytes) -> None:
        """Begin a 200 stream."""
        ...

    def start_now(self, headers: Headers, media_type: bytes) -> None:
        """Begin a 200 stream without waiting, which nothing was sent on yet."""
        ...

    async def write(self, data: bytes) -> None:
        """Send a piece of the stream."""
        ...

    def nudge(self, data: bytes) -> None:
        """Send a comment now, or not at all if the client has not read what it has."""
        ...

    async def close(self, data: bytes) -> None:
        """Send the last piece and end."""
        ...


def answer_headers(x: Exchange, now_s: float, *, stream: bool, named: bool = True) -> Headers:
    """Collect what an answer says of itself; unless it is `named`, not who gave it."""
    headers = [
        (b"x-request-id", x.id.encode()),
        (b"x-switchgear-attempts", b"%d" % len(x.attempts)),
        _CACHE[x.cache],
        (b"server-timing", server_timing(x, now_s)),
    ]
    target = x.target
    if target is not None and named:
        headers += target.headers
    if x.sent is not None and x.sent.dropped:
        headers.append(
            (b"x-switchgear-dropped", b", ".join(printable(name) for name in x.sent.dropped[:_MOST_DROPPED]))
        )
    if x.client_request_id is not None:
        headers.append((b"x-client-request-id", x.client_request_id.encode()))
    if stream:
        headers += _STREAM
    elif x.cost_microusd is not None:
        headers.append((b"x-switchgear-cost", b"%d" % x.cost_microusd))
    headers += x.headers
    return headers


def error_headers(x: Exchange, error: ApiError, now_s: float) -> Headers:
    """Collect what a failed answer says of itself: whose fault, when to come back, what the provider called it."""
    headers = answer_headers(x, now_s, stream=False)
    headers.append((b"x-switchgear-error-source", error.source.encode()))
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, -(-error.retry_after // 1))))
    if x.attempts:
        attempt = x.attempts[-1]
        if len(x.attempts) > 1:
            headers.append((b"x-switchgear-causes", b", ".join(printable(it) for it in causes(x))))
        if attempt.status is not None:
            headers.append((b"x-switchgear-upstream-status", b"%d" % attempt.status))
        if attempt.request_id is not None:
            headers.append((b"x-switchgear-upstream-request-id", printable(attempt.request_id)))
    return headers


def causes(x: Exchange) -> list[str]:
    """Say of each failed attempt where it was and why it failed, as `provider=cause`."""
    return [f"{it.target.provider_id}={it.cause}" for it in x.attempts[:_MOST_CAUSES] if it.cause is not None]


def printable(text: str, limit: int = 128) -> bytes:
    """Make a header value of somebody else's text: visible ASCII only, shortened."""
    return "".join(c for c in text[:limit] if "!" <= c <= "~").encode()


def server_timing(x: Exchange, now_s: float) -> bytes:
    """Say where the time went, in milliseconds (W3C Server-Timing)."""
    upstream = 0.0
    for attempt in x.attempts:
        upstream += (attempt.ended_s or now_s) - attempt.began_s
    return b"auth;dur=%.2f, policy;dur=%.2f, upstream;dur=%.2f, total;dur=%.2f" % (
        x.authenticated_s * 1e3,
        max(x.admitted_s - x.authenticated_s, 0.0) * 1e3,
        upstream * 1e3,
        now_s * 1e3,
    )
