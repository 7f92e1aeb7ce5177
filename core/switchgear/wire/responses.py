"""The Responses wire, forwarded as it is (platform.openai.com/docs/api-reference/responses, …/responses-streaming).

A stream is of named events. `response.completed` and `response.incomplete` end it; nothing follows, no `[DONE]` either.
`response.failed` and `error` are failures.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import Answer, Head, ProviderFault
from switchgear.contracts.upstream import OutboundRequest
from switchgear.contracts.usage import Usage
from switchgear.wire.chat import cause_of, decode_fault, retry_after
from switchgear.wire.chunks import own_id
from switchgear.wire.members import BROKEN, decode_text, whole_characters
from switchgear.wire.mend import arguments_text, text
from switchgear.wire.texts import first
from switchgear.wire.usage import read_counts
from switchgear.wire.usage import read_usage as read_in_chat_words

_NULL = Raw(b"null")
_CODES = {
    "bio_policy": "content_filter",
    "image_content_policy_violation": "content_filter",
    "misalignment_policy_violation": "content_filter",
    "vector_store_timeout": "timeout",
    "server_error": "server",
    "rate_limit_exceeded": "rate_limit",
    "invalid_prompt": "invalid_request",
    "data_residency_mismatch": "invalid_request",
    "failed_to_download_image": "invalid_request",
    "empty_image_file": "invalid_request",
    "unsupported_image_media_type": "invalid_request",
}
"""The documented codes of a response that failed, but for those of bad images, which begin alike."""
_CALLS = frozenset({"function_call", "custom_tool_call"})


@runtime_checkable
class ResponseKeeper(Protocol):
    """A provider that may keep the responses it gave, and can then be asked for them."""

    def response_request(self, method: str, path: str, secret: Secret | None) -> OutboundRequest:
        """Build a request about one of them. `path` is what stands behind the address of responses: its id, and more."""
        ...


class _InputDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(Struct):
    reasoning_tokens: int | None = None


class _Usage(Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class ResponseError(Struct):
    """What went wrong with a response."""

    code: Any = None
    message: Any = None
    param: Any = None
    type: Any = None


class _Incomplete(Struct):
    reason: str | None = None


class _Item(Struct, gc=False):
    type: str = ""
    call_id: str | None = None
    content: Raw = _NULL
    arguments: Raw = _NULL


class Response(Struct):
    """A response, as far as it is understood where it is passed on."""

    status: str | None = None
    output: list[_Item] | None = None
    usage: Raw = _NULL
    error: ResponseError | None = None
    incomplete_details: _Incomplete | None = None
    model: str | None = None


class _Count(Struct):
    input_tokens: int


class _Closing(Struct):
    response: Response


_usage_decoder = msgspec.json.Decoder(_Usage)
_response_decoder = msgspec.json.Decoder(Response)
_count_decoder = msgspec.json.Decoder(_Count)
_closing_decoder = msgspec.json.Decoder(_Closing)


def read_usage(raw: bytes | Raw) -> Usage | None:
    """Decode a `usage` object of this wire; None for null or for something that is not one."""
    found = read_counts(_usage_decoder, raw)
    if found is None:
        return None
    if found.input_tokens is None and found.output_tokens is None:
        return read_in_chat_words(raw)
    given, made = found.input_tokens_details, found.output_tokens_details
    return Usage.of(
        found.input_tokens or 0,
        found.output_tokens or 0,
        total=found.total_tokens or 0,
        cached_input=(given and given.cached_tokens) or 0,
        cache_write=(given and given.cache_write_tokens) or 0,
        reasoning=(made and made.reasoning_tokens) or 0,
    )


def decode_response(body: bytes, head: Head) -> Answer:
    """Read a whole response. Raises `ProviderFault`: `protocol` for anything else, its own cause for one that failed.

    One that runs in the background (`queued`, `in_progress`) has no finish reason and no usage yet.
    """
    try:
        found = _read(body)
        if _is_odd(found.output or ()):
            body = mended(body)
            found = _read(body)
    except BROKEN:
        raise decode_fault(head.status, body, head) from None
    if found.status in {"failed", "cancelled"}:
        raise response_fault(found.error or ResponseError(), head)
    if found.output is None or found.error is not None:
        raise decode_fault(head.status, body, head)
    return Answer(body, read_usage(found.usage), found.model, _finish(found))


def _read(body: bytes) -> Response:
    return decode_text(_response_decoder, body)


def _is_odd(output: Sequence[_Item]) -> bool:
    called = [item for item in output if item.type == "function_call"]
    return (
        len({item.call_id for item in called if item.call_id}) < len(called)
        or any(first(item.arguments) != b'"' for item in called)
        or any(first(item.content) == b'"' for item in output)
    )


def mended(body: bytes) -> bytes:
    """Return a whole response as the form has it; what is none stays as it is. Raises as `members.decode_text` does."""
    response: Any = msgspec.json.decode(whole_characters(body))
    if not isinstance(response, dict) or not isinstance(response.get("output"), list):
        return body
    ids: dict[str, Any] = {}
    output = [mended_item(item, ids, str(response.get("id"))) for item in response["output"] if isinstance(item, dict)]
    return msgspec.json.encode({**response, "output": output})


def mended_item(item: dict[str, Any], ids: dict[str, Any], seed: str) -> dict[str, Any]:
    """Return an output item whose text is in parts, or whose arguments are a text; `ids` are those of the calls before it."""
    if item.get("type") == "message" and isinstance(item.get("content"), str):
        return {**item, "content": [{"type": "output_text", "text": item["content"], "annotations": []}]}
    if item.get("type") != "function_call":
        return item
    id = own_id(text(item.get("call_id")) or text(item.get("id")), ids, f"{seed} {len(ids)}")
    ids[id] = item
    return {**item, "call_id": id, "arguments": arguments_text(item.get("arguments"))}


def decode_input_tokens(body: bytes, head: Head) -> Answer:
    """Read how many tokens a request has. Raises `ProviderFault` (`protocol`) for anything else."""
    try:
        decode_text(_count_decoder, body)
    except BROKEN:
        raise decode_fault(head.status, body, head) from None
    return Answer(body)


def finish_of(event: bytes) -> str | None:
    """Say why a response ended, by its closing event, in a chat's words; None for an event that does not say."""
    try:
        return _finish(_closing_decoder.decode(event).response)
    except BROKEN:
        return None


def _finish(found: Response) -> str | None:
    if found.status == "incomplete":
        reason = found.incomplete_details and found.incomplete_details.reason
        return "content_filter" if reason == "content_filter" else "length"
    if found.status not in {None, "completed"}:
        return None
    return "tool_calls" if any(item.type in _CALLS for item in found.output or ()) else "stop"


def response_fault(error: ResponseError, head: Head) -> ProviderFault:
    """Classify what went wrong with a response."""
    code, message = (value if isinstance(value, str) else None for value in (error.code, error.message))
    cause = _CODES.get(code or "")
    if cause is None:
        type = error.type if isinstance(error.type, str) and error.type != "error" else None
        is_image = code is not None and "image" in code
        cause = "invalid_request" if is_image else cause_of(200, code, type, message or "")
    return ProviderFault(
        cause,
        head.status,
        message=message or "",
        code=code,
        param=error.param if isinstance(error.param, str) else None,
        retry_after=retry_after(head),
        request_id=head.header("x-request-id"),
    )
