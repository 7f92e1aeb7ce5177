"""Failures in the Messages form: `{"type": "error", "error": {"type", "message", "details"}, "request_id"}`.

Source: platform.claude.com/docs/en/api/errors.
"""

import msgspec
from msgspec import Struct

from switchgear.contracts.provider import Head, ProviderFault
from switchgear.wire.chat import cause_of_status, is_final, retry_after
from switchgear.wire.members import BROKEN

REQUEST_ID = "request-id"
"""The header in which each answer is named."""


class _Details(Struct):
    error_code: str | None = None


class _Error(Struct):
    type: str | None = None
    message: str | None = None
    details: _Details | None = None


class _ErrorBody(Struct):
    error: _Error | str | None = None
    request_id: str | None = None


_decoder = msgspec.json.Decoder(_ErrorBody)

_BY_TYPE = {
    "invalid_request_error": "invalid_request",
    "authentication_error": "auth",
    "billing_error": "quota",
    "permission_error": "permission",
    "not_found_error": "not_found",
    "conflict_error": "server",
    "request_too_large": "invalid_request",
    "rate_limit_error": "rate_limit",
    "api_error": "server",
    "timeout_error": "timeout",
    "overloaded_error": "overloaded",
}
_BY_CODE = {
    "contract_spend_limit_reached": "quota",
    "enforced_spend_limit_reached": "quota",
    "linked_organization_billing_unavailable": "quota",
    "linked_organization_spend_limit_reached": "quota",
}
# These have no type or code of their own.
_BY_WORDS = (
    ("prompt is too long", "context_length"),
    ("exceed context limit", "context_length"),
    ("context window", "context_length"),
    ("credit balance", "quota"),
    ("usage limits", "quota"),
    ("spend limit", "quota"),
    ("content filtering policy", "content_filter"),
)


def decode_fault(status: int, body: bytes, head: Head) -> ProviderFault:
    """Classify a failure; `status` is 200 for one inside an answer that began as a good one."""
    try:
        found = _decoder.decode(body)
    except BROKEN:
        found = _ErrorBody()
    error = _Error(message=found.error) if isinstance(found.error, str) else found.error or _Error()
    code = error.details.error_code if error.details is not None else None
    return ProviderFault(
        _cause(status, error, code),
        status,
        message=error.message or "",
        code=code,
        retry_after=retry_after(head),
        request_id=head.header(REQUEST_ID) or found.request_id,
        final=is_final(head),
    )


def _cause(status: int, error: _Error, code: str | None) -> str:
    if code in _BY_CODE:
        return _BY_CODE[code]
    cause = _BY_TYPE.get(error.type or "")
    if cause is None and 200 <= status < 300:  # noqa: PLR2004 - HTTP's classes
        return "server" if error.type or error.message else "protocol"
    cause = cause or cause_of_status(status)
    if cause == "invalid_request":
        words = (error.message or "").lower()
        return next((known for phrase, known in _BY_WORDS if phrase in words), cause)
    return cause
