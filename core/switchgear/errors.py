"""Everything Switchgear raises on purpose.

    SwitchgearError
     ├─ BootError                     the gateway refuses to start
     │   ├─ ConfigError               plugins.toml or the environment is wrong
     │   └─ PluginError               a plugin is missing, broken or in the way of another
     ├─ ApiError                      an answer to a client; the HTTP status sits on the class
     │   ├─ InvalidRequest        400
     │   ├─ AuthenticationFailed  401
     │   ├─ PermissionDenied      403
     │   ├─ NotFound              404
     │   ├─ MethodNotAllowed      405
     │   ├─ Conflict              409
     │   ├─ PreconditionFailed    412
     │   ├─ PayloadTooLarge       413
     │   ├─ UnsupportedMedia      415
     │   ├─ ValidationFailed      422  (admin API: names every bad field)
     │   ├─ RateLimited           429
     │   ├─ ClientGone            499  (recorded, never sent)
     │   ├─ InternalError         500
     │   │   └─ PluginFailed
     │   ├─ UpstreamFailed        502
     │   ├─ Unavailable           503
     │   └─ DeadlineExceeded      504
     ├─ UpstreamError                 an outbound call went wrong below HTTP (see upstream/)
     │   ├─ EgressDenied              the address is not one we may call
     │   ├─ MalformedRequest          the request is not HTTP: nothing was sent
     │   ├─ ConnectFailed             nothing was sent
     │   │   └─ ConnectTimeout
     │   ├─ FirstByteTimeout          sent, and silence
     │   ├─ IdleTimeout               the body stalled
     │   ├─ TotalTimeout              the whole exchange took too long
     │   ├─ ConnectionBroken          reset, cut or unreadable after sending
     │   └─ ResponseTooLarge          a cap on header, body or event was passed
     ├─ FileUnusable                  a file that somebody named cannot be read
     ├─ SecretUnavailable             a credential has no usable value
     ├─ JobRefused                    a job that can never be done
     ├─ CountersUnavailable           the counters do not answer
     └─ StoreError                    the store could not do what was asked
         ├─ StoreConflict             somebody else was first
         ├─ StoreUnavailable          the database is away
         ├─ RecordRefused             a record that will never be kept
         └─ JournalFull               the journal has no room

A docstring says what happened; the message says what to do.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar


class SwitchgearError(Exception):
    """Something Switchgear raises on purpose."""


class BootError(SwitchgearError):
    """The gateway refuses to start.

    `failures` holds every reason of the phase that failed, so that one run shows all there is to mend.
    """

    def __init__(self, *failures: str) -> None:
        self.failures = failures
        super().__init__("\n".join(failures))


class ConfigError(BootError):
    """The configuration is wrong: each failure says where, what, why and how to mend it."""


class PluginError(BootError):
    """A plugin is missing, broken or in the way of another: each failure names it, its distribution and the fix."""


class ApiError(SwitchgearError):
    """An answer to a client.

    `code` is the machine's word for it (`model_not_found`), `param` the field that caused it, `retry_after`
    seconds until another try makes sense, `source` whose fault it is, `extra` what else the provider's error says.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "api_error"
    source: str = "gateway"
    extra: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        source: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.retry_after = retry_after
        if source is not None:
            self.source = source


class InvalidRequest(ApiError):
    """The request cannot be understood."""

    status = 400
    type = "invalid_request_error"
    source = "client"


class AuthenticationFailed(ApiError):
    """The credentials are missing, unknown, expired or suspended; the answer does not say which."""

    status = 401
    type = "authentication_error"
    source = "client"


class PermissionDenied(ApiError):
    """It is known who asks, and they may not do this."""

    status = 403
    type = "permission_error"
    source = "client"


class NotFound(ApiError):
    """There is no such thing, or it is somebody else's."""

    status = 404
    type = "not_found_error"
    source = "client"


def model_not_found(name: str) -> NotFound:
    """Make the one answer to a model that is unknown, disabled or not permitted: which of them is for the log alone."""
    message = f"The model `{name[:64]}` does not exist or you do not have access to it."
    return NotFound(message, code="model_not_found", param="model")


class MethodNotAllowed(ApiError):
    """The path exists under another method."""

    status = 405
    type = "invalid_request_error"
    source = "client"


class Conflict(ApiError):
    """The thing exists already, or is in use."""

    status = 409
    type = "conflict_error"
    source = "client"


class PreconditionFailed(ApiError):
    """The version the client named in If-Match is not the current one."""

    status = 412
    type = "precondition_failed"
    source = "client"


class PayloadTooLarge(ApiError):
    """The request body is over the cap."""

    status = 413
    type = "invalid_request_error"
    source = "client"


class UnsupportedMedia(ApiError):
    """The request body has a content type this endpoint does not read."""

    status = 415
    type = "invalid_request_error"
    source = "client"


class ValidationFailed(ApiError):
    """Fields of a resource are wrong: `errors` names each by JSON pointer."""

    status = 422
    type = "invalid_request_error"
    source = "client"

    def __init__(self, message: str, errors: list[tuple[str, str]]) -> None:
        super().__init__(message)
        self.errors = errors


class RateLimited(ApiError):
    """A limit, quota or budget has no room for this request now."""

    status = 429
    type = "rate_limit_error"
    source = "client"


class ClientGone(ApiError):
    """The client left before the answer was complete; recorded, never sent."""

    status = 499
    type = "client_gone"
    source = "client"


class InternalError(ApiError):
    """A bug in the gateway or one of its plugins; the log has the traceback under the request id."""

    status = 500
    type = "api_error"


class PluginFailed(InternalError):
    """A plugin failed at what nobody else can do for it; the log has the traceback under its name."""

    status = 500


class UpstreamFailed(ApiError):
    """The provider failed, or answered something that is not an answer."""

    status = 502
    type = "upstream_error"
    source = "provider"


class Unavailable(ApiError):
    """The gateway cannot do this now; `retry_after` says when it may."""

    status = 503
    type = "service_unavailable"


class DeadlineExceeded(ApiError):
    """A timeout fired; `code` names which."""

    status = 504
    type = "timeout_error"
    source = "provider"


class UpstreamError(SwitchgearError):
    """An outbound call went wrong below HTTP.

    The message never contains upstream text, a header or a secret. `cause` is the stable word for metrics and records.
    """

    cause: ClassVar[str] = "connection"


class EgressDenied(UpstreamError):
    """The address is not one the gateway may call; `[gateway.egress] allow` in plugins.toml lists exceptions."""

    cause = "egress"


class MalformedRequest(UpstreamError):
    """The outbound request is not valid HTTP (a header with a line break, a method with a space): nothing was sent."""

    cause = "request"


class ConnectFailed(UpstreamError):
    """No connection could be made: nothing was sent, so trying elsewhere is safe."""

    cause = "connect"


class ConnectTimeout(ConnectFailed):
    """No connection was made in time."""

    cause = "connect_timeout"


class FirstByteTimeout(UpstreamError):
    """The request was sent and no byte of an answer came in time."""

    cause = "first_byte_timeout"


class IdleTimeout(UpstreamError):
    """The answer began and then stalled."""

    cause = "idle_timeout"


class TotalTimeout(UpstreamError):
    """The whole exchange took longer than its deadline."""

    cause = "total_timeout"


class ConnectionBroken(UpstreamError):
    """The connection was reset, cut or unreadable after the request was sent."""

    cause = "connection"


class ResponseTooLarge(UpstreamError):
    """The answer passed a cap on headers, body or one event."""

    cause = "too_large"


class FileUnusable(SwitchgearError):
    """A file that somebody named cannot be read; the message is the reason alone, without path or content."""


class SecretUnavailable(SwitchgearError):
    """A credential has no usable value: it is missing where its backend looked, or cannot be opened."""


class JobRefused(SwitchgearError):
    """The job cannot be done, and trying again will not help: it fails for good."""


class StoreError(SwitchgearError):
    """The store could not do what was asked."""


class StoreConflict(StoreError):
    """A write lost to what is already stored, and nothing of its batch was written.

    `reason` is `exists`, `stale`, `missing` (nothing there to replace or delete), `key_taken`, `missing_reference` or
    `in_use`; `kind` and `id` name the document that was to be written; `others` names the documents in the way as
    `kind/id`, at most twenty. With `constraint`, of a plugin's own tables, they are the plugin, the statement and what held.
    """

    def __init__(self, reason: str, kind: str, id: str, others: tuple[str, ...] = ()) -> None:
        self.reason = reason
        self.kind = kind
        self.id = id
        self.others = others
        super().__init__(f"{kind}/{id}: {reason}" + (f" ({', '.join(others)})" if others else ""))


class CountersUnavailable(SwitchgearError):
    """The counters do not answer. Their backend tells the operator, once; what becomes of a request, its policies say."""


class StoreUnavailable(StoreError):
    """The database is away or does not answer."""


class RecordRefused(StoreError):
    """Records that can never be kept: trying again will not help. `ids` names them; the rest of their batch may be tried again.

    A body that is not a JSON object, an id that is not text, a time outside 0 ≤ at_us < 2**62.
    """

    def __init__(self, kind: str, ids: tuple[str, ...], why: str) -> None:
        self.kind = kind
        self.ids = ids
        super().__init__(f"{kind}: {why} ({', '.join(repr(id) for id in ids[:20])})")


class JournalFull(StoreError):
    """The journal has no room: the disk is full or its cap is reached; it takes records again once some were drained."""
