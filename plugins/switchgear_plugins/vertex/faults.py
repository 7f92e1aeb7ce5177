"""Google's failures, which are google.rpc.Status wherever they are met.

Wire: cloud.google.com/apis/design/errors, ai.google.dev/gemini-api/docs/troubleshooting,
cloud.google.com/vertex-ai/generative-ai/docs/model-reference/api-errors. A streaming method puts the object into an array.
"""

import math

import msgspec
from msgspec import Struct

from switchgear.contracts.provider import Head, ProviderFault
from switchgear.wire.chat import cause_of_status, retry_after
from switchgear.wire.members import BROKEN

_BY_STATUS = {
    "INVALID_ARGUMENT": "invalid_request",
    "OUT_OF_RANGE": "invalid_request",
    "ALREADY_EXISTS": "invalid_request",
    "FAILED_PRECONDITION": "permission",
    "PERMISSION_DENIED": "permission",
    "UNAUTHENTICATED": "auth",
    "NOT_FOUND": "not_found",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "ABORTED": "server",
    "CANCELLED": "server",
    "DATA_LOSS": "server",
    "INTERNAL": "server",
    "UNKNOWN": "server",
    "UNIMPLEMENTED": "invalid_request",
    "UNAVAILABLE": "overloaded",
    "DEADLINE_EXCEEDED": "timeout",
}
_BY_REASON = {
    "API_KEY_INVALID": "auth",
    "API_KEY_EXPIRED": "auth",
    "ACCESS_TOKEN_EXPIRED": "auth",
    "ACCESS_TOKEN_TYPE_UNSUPPORTED": "auth",
    "CREDENTIALS_MISSING": "auth",
    "ACCOUNT_STATE_INVALID": "auth",
    "BILLING_DISABLED": "quota",
}
"""Reasons (google.rpc.ErrorInfo) that say more than the status they come with."""


class _Violation(Struct, rename="camel"):
    quota_id: str = ""


class _Field(Struct):
    field: str | None = None


class _Detail(Struct, rename="camel"):
    reason: str | None = None
    retry_delay: str | None = None
    request_id: str | None = None
    violations: list[_Violation] = []
    field_violations: list[_Field] = []


class _Error(Struct):
    message: str = ""
    status: str = ""
    code: int = 0
    details: list[_Detail] = []


class _Body(Struct):
    error: _Error


class _Plain(Struct):
    message: str = ""
    status: str = ""


class _PlainBody(Struct):
    error: _Plain


_body_decoder = msgspec.json.Decoder(_Body | list[_Body])
_plain_decoder = msgspec.json.Decoder(_PlainBody | list[_PlainBody])


def read_fault(head: Head, body: bytes, *, status: int | None = None) -> ProviderFault:
    """Classify a failure; `status` is the HTTP status if it is not the head's (200, for one inside an answer)."""
    http = head.status if status is None else status
    error = _error(body)
    details = error.details
    reason = next((detail.reason for detail in details if detail.reason), None)
    delay = next((detail.retry_delay for detail in details if detail.retry_delay), None)
    param = next((found.field for detail in details for found in detail.field_violations if found.field), None)
    named = next((detail.request_id for detail in details if detail.request_id), None)
    return ProviderFault(
        _cause(error, reason, http),
        http,
        message=error.message,
        code=reason or error.status or None,
        param=param,
        retry_after=_seconds(delay) if delay else retry_after(head),
        request_id=named or head.header("x-request-id"),
    )


def _error(body: bytes) -> _Error:
    """Decode the error; one whose details are of another shape is read without them, and an empty one is none."""
    try:
        found = _body_decoder.decode(body)
    except BROKEN:
        pass
    else:
        first = found[0] if isinstance(found, list) and found else found
        return first.error if isinstance(first, _Body) else _Error()
    try:
        plain = _plain_decoder.decode(body)
    except BROKEN:
        return _Error()
    one = plain[0] if isinstance(plain, list) else plain
    return _Error(one.error.message, one.error.status)


def _cause(error: _Error, reason: str | None, http: int) -> str:
    if reason in _BY_REASON:
        return _BY_REASON[reason]
    cause = _BY_STATUS.get(error.status)
    if cause is None and 200 <= http < 300:  # noqa: PLR2004 - HTTP's classes
        http = error.code
        if http < 400:  # noqa: PLR2004 - likewise
            return "server" if http or error.message else "protocol"
    cause = cause or cause_of_status(http)
    if cause == "invalid_request" and _is_too_long(error.message):
        return "context_length"
    if cause == "rate_limit" and any("PerDay" in one.quota_id for found in error.details for one in found.violations):
        return "quota"  # it comes back tomorrow, so waiting is of no use
    return cause


def _is_too_long(message: str) -> bool:
    """Say whether the context was too long: the status is that of every bad argument, only the words tell."""
    words = message.lower()
    return "token count" in words and ("exceeds" in words or "supports up to" in words)


def _seconds(delay: str) -> float | None:
    """Read a protobuf duration, decimal seconds and an `s`."""
    try:
        seconds = float(delay.removesuffix("s"))
    except ValueError:
        return None
    return min(max(seconds, 0.0), 3600.0) if math.isfinite(seconds) else None
