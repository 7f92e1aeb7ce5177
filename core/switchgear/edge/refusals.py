"""The answers the edge gives itself, before or instead of the application's."""

from http import HTTPStatus

import msgspec
from msgspec import Struct

_TYPES = {408: "timeout_error", 500: "api_error", 503: "service_unavailable"}


class Refusal(Struct, frozen=True):
    """One such answer: OpenAI's error body under a status, with the machine's word `code`."""

    status: int
    code: str
    message: str
    retry_after: int | None = None

    def render(self, request_id: str, date_line: bytes, *, with_body: bool, close: bool = True) -> bytes:
        """Render the whole answer, which closes the connection unless told otherwise; without its body for a HEAD request."""
        error = {
            "message": self.message,
            "type": _TYPES.get(self.status, "invalid_request_error"),
            "param": None,
            "code": self.code,
        }
        body = msgspec.json.encode({"error": error})
        source = "client" if self.status < HTTPStatus.INTERNAL_SERVER_ERROR else "gateway"
        retry = "" if self.retry_after is None else f"retry-after: {self.retry_after}\r\n"
        head = (
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"{'connection: close' if close else 'connection: keep-alive'}\r\n"
            f"x-request-id: {request_id}\r\nx-switchgear-error-source: {source}\r\n{retry}"
        )
        return b"".join((head.encode(), date_line, b"\r\n", body if with_body else b""))


class Refused(Exception):
    """The request is not served; raised inside a parser callback to stop the parser."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


def malformed(message: str) -> Refusal:
    """Return the 400 for a request that is not proper HTTP/1.1."""
    return Refusal(400, "malformed_request", message)


BAD_HOST = malformed("Send exactly one Host header holding a host name or address and nothing else.")
BAD_VERSION = malformed("Only HTTP/1.0 and HTTP/1.1 are served here.")
BAD_TARGET = malformed("The request target is not a path.")
BAD_FRAMING = malformed("Transfer-Encoding may only be chunked, once, on HTTP/1.1, and never beside Content-Length.")
BODY_TIMEOUT = Refusal(408, "body_timeout", "The request body came too slowly.")
BODY_TOO_LARGE = Refusal(413, "body_too_large", "The request body is larger than this gateway accepts.")
HEAD_TIMEOUT = Refusal(408, "header_timeout", "The request's headers did not arrive in time.")
HEAD_TOO_LARGE = Refusal(
    431, "headers_too_large", "The request's headers are larger or more than this gateway accepts."
)
TOO_MANY_PIPELINED = malformed("Too many requests were sent without waiting for an answer.")
URL_TOO_LONG = Refusal(414, "url_too_long", "The request's URL is longer than this gateway accepts.")
TOO_MANY_CONNECTIONS = Refusal(503, "too_many_connections", "Too many connections; try again shortly.", 1)
OVERLOADED = Refusal(503, "overloaded", "The gateway has too much to do; try again shortly.", 1)
INTERNAL = Refusal(500, "internal_error", "The gateway failed to answer; its log has the cause under the request id.")
