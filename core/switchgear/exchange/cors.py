"""What browsers are told of a call from another origin (the Fetch standard, section 3.2)."""

from collections.abc import Sequence
from typing import Any

from switchgear.errors import PermissionDenied
from switchgear.exchange.reply import header_lines

_FOR_ALL = b"access-control-expose-headers: *\r\n"


class Cors:
    """Who may call from a browser: exact origins, or `*` for all. Cookies are not among what such a call may bring."""

    def __init__(self, origins: Sequence[str] = (), max_age_s: int = 600) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origin.encode() for origin in origins)
        self._max_age_s = max_age_s

    def __bool__(self) -> bool:
        return bool(self._origins)

    def allows(self, origin: bytes) -> bool:
        """Say whether pages of this origin may call."""
        return self._any or origin in self._origins

    def check_home(self, request: Any) -> None:
        """Let open a WebSocket who is no page, or one of this host or an origin that may call. Raises `PermissionDenied`."""
        origin = header(request, b"origin")
        if not (origin is None or self.allows(origin) or origin.partition(b"://")[2] == header(request, b"host")):
            raise PermissionDenied("Pages of this origin may not open WebSockets here.", code="origin_not_allowed")

    def lines(self, request: Any) -> bytes:
        """Return the header lines of an answer: they depend on the origin, so caches are told unless all may call."""
        if self._any:
            return b"access-control-allow-origin: *\r\n" + _FOR_ALL
        origin = header(request, b"origin")
        if origin is None or origin not in self._origins:
            return b"vary: origin\r\n"
        return b"access-control-allow-origin: %b\r\nvary: origin\r\n%b" % (origin, _FOR_ALL)

    def is_preflight(self, request: Any) -> bool:
        """Say whether a browser asks what it may ask."""
        return header(request, b"origin") is not None and header(request, b"access-control-request-method") is not None

    async def preflight(self, methods: Sequence[str], request: Any) -> None:
        """Answer that; to a page that may not call, without a word of leave."""
        origin = header(request, b"origin") or b""
        leave: list[tuple[bytes, bytes]] = [
            (b"vary", b"origin, access-control-request-method, access-control-request-headers")
        ]
        if self.allows(origin):
            leave += (
                (b"access-control-allow-origin", b"*" if self._any else origin),
                (b"access-control-allow-methods", ", ".join(methods).encode()),
                (
                    b"access-control-allow-headers",
                    header(request, b"access-control-request-headers") or b"authorization",
                ),
                (b"access-control-max-age", b"%d" % self._max_age_s),
            )
        await request.whole(204, header_lines(leave), b"")


def header(request: Any, name: bytes) -> bytes | None:
    """Return the first header of a name."""
    return next((value for found, value in request.headers if found == name), None)
