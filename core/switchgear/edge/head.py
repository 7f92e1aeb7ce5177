"""Parts of reading a request's head that need no connection."""

import re
import urllib.parse
from collections.abc import Iterable
from typing import Protocol

import httptools

from switchgear.edge.refusals import BAD_FRAMING, BAD_HOST, BAD_TARGET, Refused

_HOST = re.compile(rb"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_SLASH = ord("/")


def split_target(target: bytes, root: bytes = b"") -> tuple[str, bytes, bytes]:
    """Return the decoded path, the raw path and the query of a request's target, which llhttp has found to be ASCII.

    Paths below `root` are those below nothing.

    The absolute form (`GET http://host/path`) gives its path; its host counts for nothing. Raises `Refused` for a target
    without a path and for one with a fragment.
    """
    if b"#" in target:
        raise Refused(BAD_TARGET)
    if target[0] == _SLASH or target == b"*":
        raw_path, _, query = target.partition(b"?")
    else:
        try:
            url = httptools.parse_url(target)
        except httptools.HttpParserInvalidURLError as error:
            raise Refused(BAD_TARGET) from error
        if not url.schema or not url.path:
            raise Refused(BAD_TARGET)
        raw_path, query = url.path, url.query or b""
    if root and raw_path.startswith(root) and raw_path[len(root) : len(root) + 1] in (b"/", b""):
        raw_path = raw_path[len(root) :] or b"/"
    path = raw_path.decode("ascii")
    return urllib.parse.unquote(path) if "%" in path else path, raw_path, query


def only_host(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the one Host there must be. Raises `Refused`."""
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0].strip(b" \t")):
        raise Refused(BAD_HOST)
    return hosts[0]


def check_encoding(headers: Iterable[tuple[bytes, bytes]], version: str) -> None:
    """Refuse every transfer encoding but `chunked`. Several lines are one list (RFC 9110, section 5.3)."""
    encoding = b",".join([value for name, value in headers if name == b"transfer-encoding"])
    if version != "1.1" or encoding.strip(b" \t").lower() != b"chunked":
        raise Refused(BAD_FRAMING)


def asks_for_socket(parser: httptools.HttpRequestParser, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Say whether a request asks for a WebSocket."""
    wanted = parser.should_upgrade() and parser.get_http_version() == "1.1"
    return wanted and any(name == b"upgrade" and value.lower() == b"websocket" for name, value in headers)


def waits(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Say whether a client waits for leave to send its body."""
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


class ParserCallbacks(Protocol):
    """What httptools calls while it parses requests."""

    def on_message_begin(self) -> None:
        """See the first byte of a message."""

    def on_url(self, url: bytes) -> None:
        """See a piece of the target."""

    def on_header(self, name: bytes, value: bytes) -> None:
        """See a header or trailer."""

    def on_headers_complete(self) -> None:
        """See the end of the head."""

    def on_body(self, body: bytes) -> None:
        """See a piece of body."""

    def on_message_complete(self) -> None:
        """See the message's end."""


class WithoutHead:
    """Callbacks that pass over the first head and hand on everything after it."""

    def __init__(self, callbacks: ParserCallbacks) -> None:
        self._callbacks = callbacks
        self._passed = False
        self.on_body = callbacks.on_body
        self.on_message_complete = callbacks.on_message_complete

    def on_message_begin(self) -> None:
        """Hand on the beginning of a message after the first."""
        if self._passed:
            self._callbacks.on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Hand on its target."""
        if self._passed:
            self._callbacks.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Hand on its headers, and the trailers of the first."""
        if self._passed:
            self._callbacks.on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand on the end of its head; the first time, begin to hand on."""
        if self._passed:
            self._callbacks.on_headers_complete()
        self._passed = True
