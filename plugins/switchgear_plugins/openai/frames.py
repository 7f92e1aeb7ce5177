"""What the endpoints of OpenAI's API share: the head of a request, the shape of an error, and the frames of a stream."""

from typing import Any

import msgspec
from msgspec import Raw

from switchgear.contracts.provider import Call, StreamEvent
from switchgear.errors import ApiError, InvalidRequest
from switchgear.wire.members import member
from switchgear.wire.overflow import tokens_in
from switchgear.wire.sse import encode_event

NULL = Raw(b"null")
_json = msgspec.json.Encoder()


def read_model(members: dict[str, Raw]) -> str:
    """Read the name of the model, empty if there is none."""
    return member(members, "model", str) or ""


def check_model(call: Call) -> None:
    """Refuse a call without a model."""
    if not call.model:
        raise InvalidRequest("`model` is missing: name the model to use.", param="model", code="missing_field")


def wants_usage(members: dict[str, Raw]) -> bool:
    """Say whether the client asked to see the usage of a stream (`stream_options.include_usage`)."""
    options = member(members, "stream_options", dict[str, Any]) if "stream_options" in members else None
    return bool(options and options.get("include_usage"))


def encode_error(error: ApiError, request_id: str) -> bytes:
    """Encode an error in OpenAI's shape, with the request id beside it."""
    body = {**error.extra, "message": _words(error), "type": error.type, "param": error.param, "code": error.code}
    return _json.encode({"error": body, "request_id": request_id})


def _words(error: ApiError) -> str:
    """Say what went wrong; of a prompt that is too long in the words by which OpenAI's clients know it."""
    if error.code != "context_length_exceeded" or "maximum context length" in error.message:
        return error.message
    found = tokens_in(error.message)
    if found is None:
        return f"The input exceeds the model's maximum context length: {error.message}"
    return (
        f"This model's maximum context length is {found[1]} tokens. However, your messages resulted in {found[0]} tokens. "
        "Please reduce the length of the messages."
    )


class ChunkEncoder:
    """Frames events that are already in the client's wire format, as OpenAI's unnamed server-sent events."""

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
