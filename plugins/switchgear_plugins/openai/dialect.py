"""OpenAI's API as clients speak it: /v1/chat/completions, /v1/models.

Wire: platform.openai.com/docs/api-reference. The canonical form is that of chat completions, so nothing is translated.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from switchgear.contracts.dialect import InferenceEndpoint, QueryEndpoint, QueryReply, QueryRequest
from switchgear.contracts.provider import CANONICAL, Answer, Call, StreamEvent
from switchgear.errors import ApiError, InvalidRequest, NotFound
from switchgear.wire.members import member
from switchgear.wire.sse import encode_event

_json = msgspec.json.Encoder()


def encode_error(error: ApiError, request_id: str) -> bytes:
    """Encode an error in OpenAI's shape, with the request id beside it."""
    body = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return _json.encode({"error": body, "request_id": request_id})


class ChatEncoder:
    """Frames chunks as OpenAI's server-sent events."""

    media_type = b"text/event-stream; charset=utf-8"
    keep_alive = b": keep-alive\n\n"

    def event(self, event: StreamEvent) -> bytes:
        """Frame one chunk."""
        return encode_event(event.data)

    def end(self) -> bytes:
        """Mark the end."""
        return b"data: [DONE]\n\n"

    def error(self, error: ApiError, request_id: str) -> bytes:
        """Frame an error; no `[DONE]` follows."""
        return encode_event(encode_error(error, request_id))


_encoder = ChatEncoder()


class ChatCompletions:
    """POST /v1/chat/completions."""

    path = "/v1/chat/completions"
    wire = CANONICAL

    def parse(self, members: dict[str, Raw], headers: Mapping[bytes, bytes]) -> Call:  # noqa: ARG002 - the contract's shape
        """Read the head. Everything else goes to the provider as it came."""
        model = member(members, "model", str)
        if not model:
            raise InvalidRequest("`model` is missing: name the model to use.", param="model", code="missing_field")
        if not member(members, "messages", list[Raw]):
            raise InvalidRequest("`messages` must be a non-empty array.", param="messages", code="invalid_messages")
        stream = member(members, "stream", bool) or False
        options = member(members, "stream_options", dict[str, Any]) if "stream_options" in members else None
        bound = member(members, "max_completion_tokens", int) or member(members, "max_tokens", int)
        return Call(
            "chat",
            CANONICAL,
            members,
            model=model,
            stream=stream,
            usage_wanted=bool(options and options.get("include_usage")),
            max_tokens=bound,
        )

    def canonical(self, call: Call) -> Call:
        """Return the call: this is the canonical form."""
        return call

    def answer(self, call: Call, answer: Answer) -> bytes:  # noqa: ARG002 - the contract's shape
        """Return the body: this is the canonical form."""
        return answer.body

    def encoder(self, call: Call, *, translate: bool) -> ChatEncoder:  # noqa: ARG002 - the contract's shape
        """Return the encoder, which has no state."""
        return _encoder


class ListModels:
    """GET /v1/models: what the caller's key may use and is enabled."""

    path = "/v1/models"

    def handle(self, request: QueryRequest) -> QueryReply:
        """List them in id order, with an ETag."""
        names = sorted(
            name
            for name, found in request.snapshot.callables.items()
            if found.enabled and request.caller.may_use_model(name)
        )
        body = _json.encode({"object": "list", "data": [_model(name, request) for name in names]})
        etag = b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()
        if request.headers.get(b"if-none-match") == etag:
            return QueryReply(b"", 304, ((b"etag", etag),))
        return QueryReply(body, 200, ((b"etag", etag),))


class GetModel:
    """GET /v1/models/{id}."""

    path = "/v1/models/"

    def handle(self, request: QueryRequest) -> QueryReply:
        """Return one model; unknown, disabled and forbidden look the same."""
        found = request.snapshot.callable(request.rest)
        if found is None or not found.enabled or not request.caller.may_use_model(request.rest):
            message = f"The model `{request.rest[:64]}` does not exist or you do not have access to it."
            raise NotFound(message, code="model_not_found", param="model")
        return QueryReply(_json.encode(_model(request.rest, request)))


def _model(name: str, request: QueryRequest) -> dict[str, Any]:
    found = request.snapshot.callable(name)
    assert found is not None
    return {"id": name, "object": "model", "created": found.created_us // 1_000_000, "owned_by": found.owned_by}


class OpenAIDialect:
    """OpenAI's endpoints and error shape."""

    name = "openai"
    inference: tuple[InferenceEndpoint, ...] = (ChatCompletions(),)
    queries: tuple[QueryEndpoint, ...] = (ListModels(), GetModel())

    def error(self, error: ApiError, request_id: str) -> bytes:
        """Encode an error."""
        return encode_error(error, request_id)
