"""What went wrong, in the client's terms and as an outcome. One table each, used by every path."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from switchgear.contracts.exchange import Outcome
from switchgear.contracts.provider import ProviderFault
from switchgear.errors import (
    ApiError,
    ClientGone,
    ConnectFailed,
    ConnectionBroken,
    DeadlineExceeded,
    EgressDenied,
    FirstByteTimeout,
    IdleTimeout,
    InternalError,
    InvalidRequest,
    MalformedRequest,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    ResponseTooLarge,
    SecretUnavailable,
    TotalTimeout,
    Unavailable,
    UpstreamError,
    UpstreamFailed,
)
from switchgear.telemetry.scrub import scrub


class Draining(Unavailable):
    """The gateway is shutting down and this exchange outlived the grace period."""


class PolicyStop(ApiError):
    """A policy stopped the stream; `reason` is what it raised."""

    def __init__(self, reason: ApiError) -> None:
        super().__init__(reason.message, code=reason.code, param=reason.param, source=reason.source)
        self.reason = reason


def model_broken(name: str) -> Unavailable:
    """Make the answer to a model that is stored and cannot be used now: why is in the log and in `/health/detailed`."""
    message = f"The model `{name[:64]}` cannot be used now; the gateway's operator can see why."
    return Unavailable(message, code="model_unavailable", retry_after=15)


def outcome_of(error: BaseException) -> Outcome:
    """Name the outcome of an exchange that ended with this error."""
    for types, outcome in _OUTCOMES:
        if isinstance(error, types):
            return outcome
    if isinstance(error, ProviderFault):
        return Outcome.REJECTED if error.cause in _CLIENT_FAULTS else Outcome.UPSTREAM_ERROR
    return Outcome.ERROR


_OUTCOMES: tuple[tuple[tuple[type[BaseException], ...], Outcome], ...] = (
    ((ClientGone,), Outcome.CLIENT_GONE),
    ((Draining,), Outcome.DRAINING),
    ((PolicyStop,), Outcome.POLICY_STOP),
    ((TotalTimeout,), Outcome.DEADLINE),
    ((FirstByteTimeout, IdleTimeout), Outcome.UPSTREAM_STALL),
    ((ConnectionBroken,), Outcome.UPSTREAM_CUT),
    ((UpstreamError, SecretUnavailable), Outcome.UPSTREAM_ERROR),
    ((InternalError,), Outcome.ERROR),
    ((ApiError,), Outcome.REJECTED),
)
_CODES = {"context_length": "context_length_exceeded", "content_filter": "content_filter"}
"""What clients are told of these, whatever the provider calls them: they look at it to decide what to do."""
_POLICY = frozenset({"content_policy_violation"})
"""Vendors' own words for a refusal that their clients look for."""
_CLIENT_FAULTS = frozenset({"invalid_request", "context_length", "content_filter"})


def cause_of(error: BaseException) -> str:
    """Return the stable word for a failed attempt."""
    if isinstance(error, PolicyStop):
        return cause_of(error.reason)
    if isinstance(error, (UpstreamError, ProviderFault)):
        return error.cause
    if isinstance(error, SecretUnavailable):
        return "credential"
    return "error" if isinstance(error, InternalError) or not isinstance(error, ApiError) else error.type


def reason_of(error: BaseException) -> str | None:
    """Return why nobody was asked, for the operator: the name, the address, the certificate, the credential. None for the rest,
    whose cause says it.
    """
    said = isinstance(error, (ConnectFailed, EgressDenied, MalformedRequest, SecretUnavailable))
    return str(error)[:_MOST_REASON] or None if said else None


_MOST_REASON = 300


def most_telling(failures: Sequence[Exception]) -> Exception:
    """Choose, of the failures of all targets, the one that says most about why nobody answered; the last of equals.

    That the limits of some are used up is said only where nothing else went wrong; then the shortest wait is told.
    """
    told = max(enumerate(failures), key=lambda it: (_TELLING.get(cause_of(it[1]), _TELLING_OTHER), it[0]))[1]
    if isinstance(told, ProviderFault) and told.retry_after is not None:
        waits = (it.retry_after for it in failures if isinstance(it, ProviderFault))
        told.retry_after = min(wait for wait in waits if wait is not None)
    return told


_TELLING_OTHER = 5
_TELLING = {
    "invalid_request_error": -1, "service_unavailable": 0, "rate_limit": 1, "quota": 1,
    "credential": 2, "auth": 2, "permission": 2, "not_found": 2,
    "connect": 3, "connect_timeout": 3, "overloaded": 4, "first_byte_timeout": 4, "timeout": 4, "context_length": 6,
}  # fmt: skip
"""How much a cause tells, from little to much."""


def to_api_error(error: BaseException, secrets: tuple[str, ...] = ()) -> ApiError:
    """Turn whatever ended an exchange into the answer for the client. `secrets` are kept out of its words."""
    if isinstance(error, PolicyStop):
        return error.reason
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ProviderFault):
        return _of_fault(error, secrets)
    if isinstance(error, SecretUnavailable):
        return Unavailable("The credential of this model's provider cannot be used now.", code="credential_unavailable")
    if isinstance(error, UpstreamError):
        return _of_upstream(error)
    return InternalError("The gateway failed. The log has the details under this request id.", code="internal_error")


def _of_fault(fault: ProviderFault, secrets: tuple[str, ...]) -> ApiError:
    words = scrub(fault.message, secrets)
    if fault.cause in _CLIENT_FAULTS:
        told = fault.code if fault.code in _POLICY else _CODES.get(fault.cause)
        code = told or scrub(fault.code or "", secrets) or None
        param = scrub(fault.param or "", secrets) or None
        kind = PayloadTooLarge if fault.status == PayloadTooLarge.status and told is None else InvalidRequest
        refused = kind(words or "The provider refused the request as invalid.", code=code, param=param)
        if fault.extra:
            refused.extra = _scrubbed(fault.extra, secrets)
        return refused
    if fault.cause == "not_found":
        return NotFound("The provider does not know this model.", code="model_not_found", source="provider")
    if fault.cause == "quota":
        message = "The gateway's account at the provider has no quota left."
        return RateLimited(message, code="insufficient_quota", retry_after=fault.retry_after, source="provider")
    if fault.cause == "rate_limit":
        message = "The provider is limiting the rate of requests."
        wait = 1.0 if fault.retry_after is None else fault.retry_after
        return RateLimited(message, code="rate_limit_exceeded", retry_after=wait, source="provider")
    if fault.cause == "overloaded":
        message = "The provider is overloaded."
        wait = 1.0 if fault.retry_after is None else fault.retry_after
        return Unavailable(message, code="overloaded", retry_after=wait, source="provider")
    if fault.cause == "timeout":
        return DeadlineExceeded("The provider timed out.", code="upstream_timeout")
    if fault.cause in ("auth", "permission"):
        return UpstreamFailed("The provider refused the gateway's credential.", code="upstream_auth")
    if fault.cause == "protocol":
        return UpstreamFailed("The provider's answer cannot be understood.", code="upstream_protocol")
    in_its_answer = fault.status < HTTPStatus.BAD_REQUEST
    how = (
        "The provider's answer ended in an error."
        if in_its_answer
        else f"The provider failed with status {fault.status}."
    )
    return UpstreamFailed(how, code="upstream_error")


def _scrubbed(said: Any, secrets: tuple[str, ...], depth: int = 0) -> Any:
    """Return what else a provider says of a failure, each text of it as a message is; nothing of what is nested deeply."""
    if isinstance(said, str):
        return scrub(said, secrets)
    if depth >= _DEEPEST:
        return None
    if isinstance(said, Mapping):
        return {scrub(name, secrets): _scrubbed(value, secrets, depth + 1) for name, value in said.items()}
    if isinstance(said, list):
        return [_scrubbed(value, secrets, depth + 1) for value in said]
    return said


_DEEPEST = 6


def _of_upstream(error: UpstreamError) -> ApiError:
    if isinstance(error, TotalTimeout):
        return DeadlineExceeded(
            "The request took longer than its total timeout.", code="total_timeout", source="gateway"
        )
    if isinstance(error, FirstByteTimeout):
        return DeadlineExceeded("The provider did not begin to answer in time.", code="first_byte_timeout")
    if isinstance(error, IdleTimeout):
        return DeadlineExceeded("The provider stopped in the middle of its answer.", code="idle_timeout")
    if isinstance(error, EgressDenied):
        message = "The provider's address is not one the gateway may call."
        return UpstreamFailed(message, code="egress_denied", source="gateway")
    if isinstance(error, MalformedRequest):
        message = "The request could not be sent: the provider's headers or its credential do not fit into one."
        return UpstreamFailed(message, code="upstream_request", source="gateway")
    if isinstance(error, ConnectFailed):
        return UpstreamFailed("The provider cannot be reached.", code=f"upstream_{error.cause}")
    if isinstance(error, ResponseTooLarge):
        return UpstreamFailed("The provider's answer is larger than the gateway accepts.", code="upstream_too_large")
    return UpstreamFailed("The connection to the provider broke before the answer was complete.", code="upstream_cut")
