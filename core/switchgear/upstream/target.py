"""Where a request goes, read once by one parser.

A WHATWG parser normalises the URL (decimal, octal and hexadecimal hosts, IDN, backslashes), and
only its result is used from there on: what was checked is what is connected to.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import unquote_to_bytes

from ada_url import URL
from msgspec import Struct

from switchgear.errors import EgressDenied, MalformedRequest

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BREAKS: Final = re.compile(r"[\x00\r\n]")
ENGINE_HEADERS: Final = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "upgrade",
        "te",
        "trailer",
        "expect",
    }
)
_KNOWN_NAMES: Final = 512
_PORTS: Final = {"http": 80, "https": 443}

DEFAULT_HEADERS: Final = {"accept-encoding": "identity", "user-agent": "switchgear"}
"""Sent unless the request has its own."""

WITHOUT_LENGTH: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
"""Methods that announce no length when there is no body (RFC 9110, section 8.6)."""


class Target(Struct, frozen=True, gc=False):
    """An absolute URL in normal form and its parts.

    `host` is lower case and without brackets, `authority` is the Host header, `path` includes the query, `literal`
    says that `host` is an IP address, `origin` (scheme, host, port) is what connections can be shared by.
    """

    url: str
    scheme: str
    host: str
    port: int
    authority: str
    path: str
    literal: bool
    origin: tuple[str, str, int]


class Proxy(Struct, frozen=True, gc=False):
    """An HTTP proxy: where it is, and its `proxy-authorization` value if its URL has credentials."""

    target: Target
    authorization: str | None


def parse_target(url: str) -> Target:
    """Return the parts of an absolute http or https URL; raise `EgressDenied` for any other."""
    parsed = _parse(url)
    if parsed.username or parsed.password:
        raise EgressDenied("The URL holds a user name; put credentials into a credential resource.")
    return _target(parsed)


def parse_proxy(url: str) -> Proxy:
    """Return the parts of a proxy's URL, `http://[user:password@]host:port`; raise `EgressDenied` for any other."""
    parsed = _parse(url)
    if parsed.protocol != "http:":
        raise EgressDenied("A proxy's URL starts with http://; traffic to https origins is tunnelled through it.")
    authorization = None
    if parsed.username:
        user = unquote_to_bytes(parsed.username)
        password = unquote_to_bytes(parsed.password)
        authorization = "Basic " + b64encode(user + b":" + password).decode("ascii")
    return Proxy(target=_target(parsed), authorization=authorization)


def check_method(method: str) -> None:
    """Raise `MalformedRequest` unless `method` is a token (RFC 9110, section 5.6.2)."""
    if not _TOKEN.fullmatch(method):
        raise MalformedRequest("The request's method is not a token.")


class HeaderNames:
    """Header names seen to be fit to send; checking a request whose names are all known is one set operation."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def check(self, headers: Mapping[str, str]) -> None:
        """Raise `MalformedRequest` for a name that is no token or belongs to the engine."""
        if headers.keys() <= self._known:
            return
        for name in headers:
            if not _TOKEN.fullmatch(name) or name.lower() in ENGINE_HEADERS:
                raise MalformedRequest(f"The header {name!r} cannot be set on a provider; remove it from its headers.")
        if len(self._known) < _KNOWN_NAMES:
            self._known.update(headers)


def check_values(headers: Iterable[tuple[str, str]]) -> None:
    """Raise `MalformedRequest` naming the first header whose value would break the request apart."""
    for name, value in headers:
        if _BREAKS.search(value):
            raise MalformedRequest(f"The value of header {name!r} has a line break or NUL in it; check its secret.")


def _parse(url: str) -> URL:
    if _CONTROL.search(url):
        raise EgressDenied("The URL holds a control character.")
    try:
        return URL(url)
    except ValueError:
        raise EgressDenied("The URL cannot be read; write it like https://host/path.") from None


def _target(parsed: URL) -> Target:
    scheme = parsed.protocol[:-1]
    if scheme not in _PORTS:
        raise EgressDenied("Only http and https URLs can be called.")
    text = parsed.hostname
    port = int(parsed.port) if parsed.port else _PORTS[scheme]
    if not text or not port:
        raise EgressDenied("The URL names no host, or port 0.")
    host = text[1:-1] if text.startswith("[") else text
    path = parsed.pathname + parsed.search
    authority = parsed.host
    return Target(
        url=f"{scheme}://{authority}{path}",
        scheme=scheme,
        host=host,
        port=port,
        authority=authority,
        path=path,
        literal=_is_literal(host),
        origin=(scheme, host, port),
    )


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
