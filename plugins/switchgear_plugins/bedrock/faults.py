"""Bedrock's errors as causes.

Wire: docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html, the errors of each operation in
docs.aws.amazon.com/bedrock/latest/APIReference, and docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html. The
name of an error is in the header `x-amzn-errortype` (perhaps with `:` and an address behind it) or in the body's `__type`
(perhaps with a namespace and `#` before it), in a stream in the header `:exception-type`.
"""

import re

import msgspec
from msgspec import Struct

from switchgear.contracts.provider import Head, ProviderFault
from switchgear.wire.chat import cause_of_status, retry_after
from switchgear.wire.members import BROKEN, decode_text

REQUEST_ID = "x-amzn-requestid"

_BY_NAME = {
    "accessdenied": "permission",
    "notauthorized": "permission",
    "optinrequired": "permission",
    "ftuformnotfilled": "permission",
    "mpagreementbeingcreated": "permission",
    "expiredtoken": "auth",
    "unrecognizedclient": "auth",
    "invalidsignature": "auth",
    "signaturedoesnotmatch": "auth",
    "incompletesignature": "auth",
    "invalidclienttokenid": "auth",
    "missingauthenticationtoken": "auth",
    "requestexpired": "auth",
    "throttling": "rate_limit",
    "toomanyrequests": "rate_limit",
    "servicequotaexceeded": "quota",
    "modelnotready": "overloaded",
    "serviceunavailable": "overloaded",
    "modeltimeout": "timeout",
    "modelerror": "server",
    "modelstreamerror": "server",
    "internalserver": "server",
    "internalfailure": "server",
    "resourcenotfound": "not_found",
    "unknownoperation": "not_found",
    "conflict": "server",
    "validation": "invalid_request",
    "validationerror": "invalid_request",
    "invalidaction": "invalid_request",
    "serialization": "invalid_request",
}
# What a ValidationException is about is told by its words alone.
_TOO_LONG = re.compile(
    r"input is too long|too many (?:input )?tokens|prompt is too long|context (?:window|length)|maximum context"
    r"|input tokens? exceed|exceeds? the (?:model'?s )?(?:maximum|context)[\w ]*tokens|reduce the length of",
    re.IGNORECASE,
)
_NO_SUCH_MODEL = re.compile(r"model identifier is invalid|model ID is not supported", re.IGNORECASE)
_FILTERED = re.compile(r"blocked by our content filters|content filtering policy", re.IGNORECASE)
_BAD_KEY = re.compile(r"api key|bearer token|authentication failed|security token", re.IGNORECASE)
_DAILY = re.compile(r"per day", re.IGNORECASE)


class _Error(Struct, rename={"type": "__type", "capital": "Message"}):
    message: str | None = None
    capital: str | None = None
    type: str | None = None


_decoder = msgspec.json.Decoder(_Error)


def read_fault(head: Head, body: bytes) -> ProviderFault:
    """Classify an answer that is not 2xx."""
    found = _read(body)
    name = _short(head.header("x-amzn-errortype") or found.type or "")
    message = found.message or found.capital or ""
    return ProviderFault(
        _cause(name, head.status, message),
        head.status,
        message=message,
        code=name or None,
        retry_after=retry_after(head),
        request_id=head.header(REQUEST_ID),
    )


def stream_fault(head: Head, name: str, body: bytes) -> ProviderFault:
    """Classify an exception in a stream, by its name on the wire (`throttlingException`)."""
    message = _read(body).message or ""
    cause = _cause(name, 200, message)
    return ProviderFault(cause, 200, message=message, code=name or None, request_id=head.header(REQUEST_ID))


def protocol_fault(head: Head) -> ProviderFault:
    """Make the fault of an answer that is not one."""
    return ProviderFault("protocol", head.status, request_id=head.header(REQUEST_ID))


def _read(body: bytes) -> _Error:
    try:
        return decode_text(_decoder, body)
    except BROKEN:
        return _Error()


def _short(name: str) -> str:
    return name.partition(":")[0].rpartition("#")[2].strip()[:80]


def _cause(name: str, status: int, message: str) -> str:
    cause = _BY_NAME.get(name.lower().removesuffix("exception"))
    if cause is None:
        cause = "server" if 200 <= status < 300 else cause_of_status(status)  # noqa: PLR2004 - HTTP's classes
    if cause == "invalid_request":
        if _TOO_LONG.search(message):
            return "context_length"
        if _NO_SUCH_MODEL.search(message):
            return "not_found"
        if _FILTERED.search(message):
            return "content_filter"
    if cause == "permission" and _BAD_KEY.search(message):
        return "auth"
    if cause == "rate_limit" and _DAILY.search(message):
        return "quota"
    return cause
