"""What an exchange is answered through, and what every answer says of itself in its headers."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

from switchgear.contracts.dialect import StreamEncoder
from switchgear.contracts.exchange import Exchange
from switchgear.errors import ApiError

_BYPASS = b"bypass"
_MOST_DROPPED = 32
_MOST_CAUSES = 32
_STREAM = b"cache-control: no-cache\r\nx-accel-buffering: no\r\n"
_TCHAR = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
_CONTROLS = bytes(set(range(32)) - {9}) + b"\x7f"
_FINAL = frozenset({400, 401, 403, 404, 405, 413, 415, 422})
"""The same request would be answered so again: clients that try everything again are told not to."""
_SHORT = 2000
_SHORT_MS = tuple(b"%d.%02d" % divmod(hundredths, 100) for hundredths in range(_SHORT))
"""Milliseconds with two digits, up to 20: what durations in here are. Formatting one costs many times the look-up."""


class Reply(Protocol):
    """One HTTP answer, whole or streamed. Writing to a client that left is not an error; backpressure is in the awaits.

    Header lines are complete: `name: value` and CRLF each.
    """

    encoder: StreamEncoder
    """Set when a stream is attempted: it frames an error in a stream that has begun."""

    @property
    def started(self) -> bool:
        """Whether a stream has begun."""
        ...

    def claim(self) -> None:
        """What follows is from the target that answers. Raises CancelledError where another one has begun to."""
        ...

    async def whole(self, status: int, lines: bytes, body: bytes, media_type: bytes = b"application/json") -> None:
        """Send a complete answer; type and length of its content are added."""
        ...

    def start(self, lines: bytes, media_type: bytes) -> None:
        """Begin a 200 stream. Nothing is waited for."""
        ...

    async def write(self, data: bytes) -> None:
        """Send a piece of the stream; waits while the client has not read what it has."""
        ...

    def write_if_ready(self, data: bytes) -> None:
        """Send a comment now, or not at all if the client has not read what it has."""
        ...

    async def close(self, data: bytes) -> None:
        """Send the last piece and end."""
        ...


def answer_lines(x: Exchange, now_s: float, *, stream: bool, named: bool = True) -> bytes:
    """Render what an answer says of itself; unless it is `named`, not who gave it."""
    upstream_s = 0.0
    attempts = x.attempts
    for attempt in attempts:
        upstream_s += (attempt.ended_s or now_s) - attempt.began_s
    authenticated_s = x.authenticated_s
    policy_s = x.admitted_s - authenticated_s if x.admitted_s else 0.0
    last = _STREAM if stream else b"" if x.cost_microusd is None else b"x-switchgear-cost: %d\r\n" % x.cost_microusd
    # Joining takes half the time of formatting. The last of `server-timing` (W3C Server Timing) is the whole, in milliseconds.
    return b"".join((
        b"x-request-id: ", x.id.encode(), b"\r\nx-switchgear-attempts: ", b"%d" % len(attempts),
        b"\r\nx-switchgear-cache: ", _BYPASS if x.cache == "bypass" else printable(x.cache),
        b"\r\nserver-timing: auth;dur=", _ms(authenticated_s), b", policy;dur=", _ms(policy_s),
        b", upstream;dur=", _ms(upstream_s), b", total;dur=", _ms(now_s), b"\r\n",
        attempts[-1].target.lines if attempts and named else b"", _rarely(x), last, x.lines,
        header_lines(x.headers) if x.headers else b"",
    ))  # fmt: skip


def _rarely(x: Exchange) -> bytes:
    """Return the lines that most answers do not have."""
    lines = b""
    sent = x.sent
    if sent is not None and sent.dropped:
        lines += b"x-switchgear-dropped: %b\r\n" % b", ".join(map(printable, sent.dropped[:_MOST_DROPPED]))
    if sent is not None and sent.changed:
        lines += b"x-switchgear-changed: %b\r\n" % b", ".join(map(printable, sent.changed[:_MOST_DROPPED]))
    if x.client_request_id is not None:
        lines += b"x-client-request-id: %b\r\n" % x.client_request_id.encode()
    return lines


def _ms(seconds: float) -> bytes:
    hundredths = int(seconds * 1e5)
    return _SHORT_MS[hundredths] if hundredths < _SHORT else b"%d.%02d" % divmod(hundredths, 100)


def error_lines(x: Exchange, error: ApiError, now_s: float) -> bytes:
    """Render what a failed answer says of itself: whose fault, when to come back, what the provider called it."""
    lines = answer_lines(x, now_s, stream=False) + b"x-switchgear-error-source: %b\r\n" % error.source.encode()
    if error.retry_after is not None:
        lines += b"retry-after: %d\r\n" % max(1, -(-error.retry_after // 1))
    if error.status in _FINAL or error.code == "insufficient_quota":
        lines += b"x-should-retry: false\r\n"
    if x.attempts:
        attempt = x.attempts[-1]
        if len(x.attempts) > 1:
            lines += b"x-switchgear-causes: %b\r\n" % b", ".join(map(printable, causes(x)))
        if attempt.status is not None:
            lines += b"x-switchgear-upstream-status: %d\r\n" % attempt.status
        if attempt.request_id is not None:
            lines += b"x-switchgear-upstream-request-id: %b\r\n" % printable(attempt.request_id)
    return lines


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Render headers. What cannot be one (its name is no token, its value has a control character) is left out."""
    return b"".join(map(_header_line, headers))


@lru_cache(4096)
def _header_line(header: tuple[bytes, bytes]) -> bytes:
    name, value = header
    if not name or not _TCHAR.issuperset(name) or len(value) != len(value.translate(None, _CONTROLS)):
        return b""
    return b"%b: %b\r\n" % header


def causes(x: Exchange) -> list[str]:
    """Say of each failed attempt where it was and why it failed, as `provider=cause`."""
    return [f"{it.target.provider_id}={it.cause}" for it in x.attempts[:_MOST_CAUSES] if it.cause is not None]


def printable(text: str, limit: int = 128) -> bytes:
    """Make a header value of somebody else's text: visible ASCII only, shortened."""
    return "".join(c for c in text[:limit] if "!" <= c <= "~").encode()
