"""Anthropic's API as clients speak it: /v1/messages, /v1/messages/count_tokens.

Wire: platform.claude.com/docs/en/api/messages, /api/messages-count-tokens and /api/errors. A provider that speaks these
formats gets the members as they came; for every other they are translated, see `inbound/`.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from switchgear.ambient import Ambient
from switchgear.contracts.conversation import Face
from switchgear.contracts.dialect import InferenceEndpoint, Route, WebSocketRoute
from switchgear.contracts.filter import AnswerFace
from switchgear.contracts.provider import CANONICAL, COUNT, Answer, Call, StreamEvent
from switchgear.errors import ApiError, InvalidRequest
from switchgear.wire.faces.messages import MessagesFace
from switchgear.wire.members import holds_items, member
from switchgear.wire.overflow import tokens_in
from switchgear.wire.pieces.messages import MessagePieces
from switchgear.wire.sse import encode_event
from switchgear_plugins.anthropic.inbound.answer import write_message
from switchgear_plugins.anthropic.inbound.request import THREADS, to_canonical
from switchgear_plugins.anthropic.inbound.stream import Translator

MESSAGES = "messages"
MESSAGES_COUNT = "messages_count"

_json = msgspec.json.Encoder()

_WISH = re.compile(rb"[A-Za-z0-9._-]+(?: ?, ?[A-Za-z0-9._-]+){0,63}")

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""The vendor's word for each status. 503 is one it does not use; to its clients, "come back later" is an overload."""


def error_type(status: int) -> str:
    """Name an error as the vendor does; other 4xx are requests it refuses, other 5xx its own failures."""
    return _ERROR_TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")  # noqa: PLR2004 - HTTP's classes


def encode_error(error: ApiError, request_id: str) -> bytes:
    """Encode an error in the vendor's shape; `details.error_code` is our machine's word for it."""
    body: dict[str, Any] = {"type": error_type(error.status), "message": _words(error)}
    if error.code is not None:
        body["details"] = {"error_code": error.code}
        if error.code == THREADS:
            body["details"]["unsupported"] = [error.param]
    return _json.encode({"type": "error", "error": body, "request_id": request_id})


def _words(error: ApiError) -> str:
    """Say what went wrong; of a prompt that is too long in the words by which the vendor's clients know it."""
    if error.code != "context_length_exceeded" or error.message.startswith(_TOO_LONG):
        return error.message
    found = tokens_in(error.message)
    return f"{_TOO_LONG}: {error.message}" if found is None else f"{_TOO_LONG}: {found[0]} tokens > {found[1]} maximum"


_TOO_LONG = "prompt is too long"


class _Frames:
    media_type = b"text/event-stream; charset=utf-8"
    keep_alive = b'event: ping\ndata: {"type":"ping"}\n\n'

    def error(self, error: ApiError, request_id: str) -> bytes:
        """Frame an error; nothing follows it."""
        return encode_event(encode_error(error, request_id), b"error")


class MessagesEncoder(_Frames):
    """Frames events that are in this wire already, under the names they came with. `message_stop` is one of them."""

    def event(self, event: StreamEvent) -> bytes:
        """Frame one event."""
        return encode_event(event.data, event.name)

    def end(self) -> bytes:
        """Return nothing: the last event was the provider's."""
        return b""


class TranslatingEncoder(_Frames):
    """Tells a stream of canonical chunks as Messages events."""

    def __init__(self, call: Call, ambient: Ambient) -> None:
        self._translator = Translator(call, ambient)

    def event(self, event: StreamEvent) -> bytes:
        """Say what one chunk adds."""
        return self._translator.take(event)

    def end(self) -> bytes:
        """End what is open; say why it ended and what it consumed."""
        return self._translator.end()


_frames = MessagesEncoder()


class Messages:
    """POST /v1/messages."""

    path = "/v1/messages"
    wire = MESSAGES
    face: Face | None = MessagesFace()
    pieces: AnswerFace | None = MessagePieces()

    def __init__(self, ambient: Ambient) -> None:
        self._ambient = ambient

    def parse(self, members: dict[str, Raw], headers: Mapping[bytes, bytes]) -> Call:
        """Read the head. A stream of this wire always tells its usage."""
        model = member(members, "model", str) or ""
        bound = member(members, "max_tokens", int)
        stream = member(members, "stream", bool) or False
        wishes = read_wishes(headers)
        return Call(
            "chat", MESSAGES, members, model=model, stream=stream, usage_wanted=True, max_tokens=bound, headers=wishes
        )

    def check(self, call: Call) -> None:
        """Want a model, messages, and a bound on the answer."""
        _check(call)
        bound = call.member("max_tokens", int)
        if bound is None:
            message = "`max_tokens` is missing: say how many tokens the answer may have at most."
            raise InvalidRequest(message, param="max_tokens", code="missing_field")
        if bound < 0:
            raise InvalidRequest("`max_tokens` cannot be negative.", param="max_tokens", code="invalid_value")

    def canonical(self, call: Call) -> Call:
        """Translate to the canonical form."""
        return to_canonical(call, "chat", CANONICAL)

    def answer(self, call: Call, answer: Answer) -> bytes:
        """Encode a whole answer."""
        return write_message(call, answer, self._ambient)

    def encoder(self, call: Call, *, translate: bool) -> MessagesEncoder | TranslatingEncoder:
        """Make the encoder of one stream."""
        return TranslatingEncoder(call, self._ambient) if translate else _frames


class CountTokens:
    """POST /v1/messages/count_tokens. Never a stream."""

    path = "/v1/messages/count_tokens"
    wire = MESSAGES_COUNT
    face: Face | None = MessagesFace()
    pieces: AnswerFace | None = None

    def parse(self, members: dict[str, Raw], headers: Mapping[bytes, bytes]) -> Call:
        """Read the head."""
        model = member(members, "model", str) or ""
        return Call("count", MESSAGES_COUNT, members, model=model, headers=read_wishes(headers))

    def check(self, call: Call) -> None:
        """Want a model and messages."""
        _check(call)

    def canonical(self, call: Call) -> Call:
        """Translate to the canonical form."""
        return to_canonical(call, "count", COUNT)

    def answer(self, call: Call, answer: Answer) -> bytes:  # noqa: ARG002 - the contract's shape
        """Return the body: `{"input_tokens": n}` on both sides."""
        return answer.body

    def encoder(self, call: Call, *, translate: bool) -> MessagesEncoder:  # noqa: ARG002 - the contract's shape
        """Return the encoder of errors: a count has no stream."""
        return _frames


def read_wishes(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """Read the API version and the opt-ins a client sends with a request. Raises `InvalidRequest` for what is neither."""
    wishes = {}
    for name in ("anthropic-version", "anthropic-beta"):
        value = headers.get(name.encode())
        if value:
            if not _WISH.fullmatch(value):
                message = f"The header `{name}` holds words of letters, digits, dots and hyphens, separated by commas."
                raise InvalidRequest(message, param=name, code="invalid_header")
            wishes[name] = value.decode().replace(" ", "")
    return wishes


def _check(call: Call) -> None:
    if not call.model:
        raise InvalidRequest("`model` is missing: name the model to use.", param="model", code="missing_field")
    if not holds_items(call.members, "messages"):
        raise InvalidRequest("`messages` must be a non-empty array.", param="messages", code="invalid_messages")


class AnthropicDialect:
    """Anthropic's endpoints and error shape. `GET /v1/models` is another dialect's, in that one's shape."""

    name = "anthropic"
    request_id_header: bytes | None = b"request-id"
    retry_count_header: bytes = b"x-stainless-retry-count"
    own_header = b"anthropic-version"
    routes: tuple[Route | WebSocketRoute, ...] = ()

    def __init__(self, ambient: Ambient | None = None) -> None:
        self.inference: tuple[InferenceEndpoint, ...] = (Messages(ambient or Ambient()), CountTokens())

    def error(self, error: ApiError, request_id: str) -> bytes:
        """Encode an error."""
        return encode_error(error, request_id)
