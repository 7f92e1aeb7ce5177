"""Every error under /admin as problem details (RFC 9457), whoever raised it."""

from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Scope
from msgspec import Struct

from switchgear.errors import ApiError, InternalError, PluginFailed, StoreUnavailable, Unavailable, ValidationFailed
from switchgear.plugin_faults import UNKNOWN, PluginFaults
from switchgear.resources.body import printable

MEDIA_TYPE = "application/problem+json"
_log = structlog.stdlib.get_logger(__name__)


class FieldError(Struct, frozen=True):
    """A bad field: `pointer` is a JSON pointer into the body, empty for the body as a whole."""

    pointer: str
    detail: str


class ProblemDetails(Struct, frozen=True, omit_defaults=True):
    """What every error of the admin API looks like. `type` is stable; `detail` says what to do."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldError] = []


def request_id(scope: Scope) -> str:
    """Return the id of this request, made here unless the server that took the connection has made one."""
    state: dict[str, Any] = scope["state"]
    if "request_id" not in state:
        state["request_id"] = scope["litestar_app"].state.ambient.new_id()
    found: str = state["request_id"]
    return found


def to_response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer an exception. One nobody meant to raise is logged with its traceback and answered without it."""
    headers: dict[str, str] = {}
    errors: list[FieldError] = []
    if isinstance(error, HTTPException) and error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        status, word, detail = error.status_code, HTTPStatus(error.status_code).name.lower(), error.detail
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        errors = _litestar_errors(error)
        if errors:  # of a query: which parameter it is, and what it may be
            detail = "; ".join(f"`{wrong.pointer[1:]}`: {wrong.detail}" for wrong in errors)
    else:
        known = _as_api_error(request, error)
        status, word, detail = known.status, known.code or known.type, known.message
        if isinstance(known, ValidationFailed):
            errors = [FieldError(printable(pointer), printable(text)) for pointer, text in known.errors]
        if known.retry_after is not None:
            headers["retry-after"] = str(max(1, round(known.retry_after)))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    details = ProblemDetails(
        type=f"urn:switchgear:problem:{word}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=printable(detail),
        request_id=request_id(request.scope),
        errors=errors,
    )
    return Response(msgspec.json.encode(details), status_code=status, media_type=MEDIA_TYPE, headers=headers)


def _as_api_error(request: Request[Any, Any, Any], error: Exception) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, StoreUnavailable):
        return Unavailable("the store does not answer; try again shortly", code="store_unavailable", retry_after=1)
    id, what = request_id(request.scope), f"{request.method} {request.scope['path']}"
    faults: PluginFaults | None = request.scope["litestar_app"].state.get("faults")
    owner = UNKNOWN if faults is None else faults.culprit(error)
    if faults is None or not owner.plugin:
        _log.error("an admin request failed", request_id=id, what=what, exc_info=error)
        return InternalError("this is a bug; the log has the details under the request id", code="internal")
    faults.note(owner, what, error, request_id=id)
    message = f"the plugin `{owner.plugin}` failed; the log has the details under the request id"
    return PluginFailed(message, code="plugin_failed")


def _litestar_errors(error: HTTPException) -> list[FieldError]:
    """Translate what Litestar says of the typed handlers that plugins bring."""
    if not isinstance(error.extra, list):
        return []
    return [
        FieldError("/" + str(item.get("key", "")).replace(".", "/"), printable(str(item.get("message", ""))))
        for item in error.extra
        if isinstance(item, dict)
    ]
