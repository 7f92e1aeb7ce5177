"""The step `http_request`: one request to an external API, below its base and nowhere else."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Meta, Struct

from switchgear.contracts.content import StepRun
from switchgear.contracts.resource import Snapshot
from switchgear.contracts.upstream import is_unanswered
from switchgear.errors import ApiError, InvalidRequest, SecretUnavailable, UpstreamFailed
from switchgear_plugins.external_apis.resources import FRAMING, HEADER, KIND, VALUE, LiveApi

if TYPE_CHECKING:
    import httpx

_SAFE = "-._~!$&'()*+,;=:@"
"""What a segment of a path may hold as it is (RFC 3986, pchar)."""
Plain = str | int | float | bool | None


class HttpRequestSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the step. `extract` is a JSON path (RFC 9535) into the answer.

    `fails_on_error` is whether a status of 400 and more fails the step.
    """

    external_api_id: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    extract: Annotated[str, Meta(max_length=1000)] | None = None
    fails_on_error: bool = True


class HttpRequestInputs(Struct, frozen=True, forbid_unknown_fields=True):
    """What a request is made of. `path` is below the base of the API; a `body` that is no text is sent as JSON."""

    path: str = ""
    query: dict[str, Plain] = {}
    headers: dict[str, str] = {}
    body: Any = None


class HttpRequestStep:
    """The step. Its output has `status`, `body` (JSON, or text) and, with `extract`, `extracted`.

    That is what the path leads to (null: nothing), or the list of all that it finds where it may lead to several things.
    """

    inputs_type = HttpRequestInputs
    reaches_out = True

    def __init__(self, settings: HttpRequestSettings, http: Callable[[], "httpx.AsyncClient"]) -> None:
        self._settings = settings
        self._http = http
        self._extract = None if settings.extract is None else _path(settings.extract)

    async def run(self, inputs: Mapping[str, Any], at: StepRun) -> AsyncIterator[Mapping[str, Any]]:
        """Send it."""
        yield {"output": await self.send(msgspec.convert(dict(inputs), HttpRequestInputs), at.snapshot)}

    async def send(self, asked: HttpRequestInputs, snapshot: Snapshot) -> dict[str, Any]:
        """Send a request; return what the step's output is. Raises `ApiError`."""
        api: LiveApi | None = snapshot.live(KIND, self._settings.external_api_id)
        if api is None or not api.spec.enabled:
            message = f"The external API `{self._settings.external_api_id}` is not there, or disabled."
            raise InvalidRequest(message, code="external_api_unavailable")
        url = below(api.spec.base_url, asked.path, asked.query)
        headers = await self._headers(api, asked.headers)
        content: bytes | None = None
        if asked.body is not None:
            is_text = isinstance(asked.body, str)
            content = asked.body.encode() if is_text else msgspec.json.encode(asked.body)
            headers.setdefault("content-type", "text/plain; charset=utf-8" if is_text else "application/json")
        return await self._send(api, url, headers, content)

    async def _headers(self, api: LiveApi, given: Mapping[str, str]) -> dict[str, str]:
        headers = {name.lower(): value for name, value in api.spec.base_headers.items()}
        for name, value in given.items():
            if not HEADER.fullmatch(name) or not VALUE.fullmatch(value) or name.lower() in FRAMING:
                raise InvalidRequest(
                    f"The header {name[:50]!r} cannot be sent.", param="headers", code="invalid_header"
                )
            headers[name.lower()] = value
        if api.credential is not None:
            try:
                secret = await api.credential.handle.get()
                value = secret[api.spec.auth.field]
            except (SecretUnavailable, KeyError) as error:
                raise UpstreamFailed(
                    "The credential of the external API has no value.", code="credential_unavailable"
                ) from error
            headers[api.spec.auth.header.lower()] = f"{api.spec.auth.prefix}{value}"
        return headers

    async def _send(self, api: LiveApi, url: str, headers: dict[str, str], content: bytes | None) -> dict[str, Any]:
        try:
            async with (
                asyncio.timeout(api.spec.timeout),
                self._http().stream(self._settings.method, url, headers=headers, content=content) as response,
            ):
                body = b""
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > api.spec.most_bytes:
                        message = f"The answer of `{api.id}` has more than {api.spec.most_bytes} bytes."
                        raise UpstreamFailed(message, code="answer_too_large")  # noqa: TRY301 - told as it is
        except TimeoutError:
            raise _failed(api, f"did not answer within {api.spec.timeout:g} s", "external_api_timeout") from None
        except ApiError:
            raise
        except Exception as error:
            if not is_unanswered(error):
                raise
            raise _failed(api, "cannot be reached", "external_api_unreachable") from error
        if self._settings.fails_on_error and response.status_code >= 400:  # noqa: PLR2004 - HTTP's classes
            raise _failed(api, f"answered {response.status_code}", "external_api_refused")
        found: dict[str, Any] = {"status": response.status_code, "body": _read(body)}
        if self._extract is not None:
            matches = self._extract.findall(found["body"]) if isinstance(found["body"], (dict, list)) else []
            one = matches[0] if matches else None
            found["extracted"] = one if self._extract.singular_query() else matches
        return found


def _path(text: str) -> Any:
    """Return a JSON path compiled. Raises ValueError."""
    import jsonpath  # noqa: PLC0415 - takes long, and few steps have one

    try:
        return jsonpath.compile(text)
    except jsonpath.JSONPathError as error:
        raise ValueError(f"`extract` is no JSON path: {error}") from None


def below(base: str, path: str, query: Mapping[str, Plain]) -> str:
    """Return the address of a path below a base. Raises `InvalidRequest` for one that would lead out of it.

    A path is text, not an address: whatever has a meaning in addresses is escaped, percent signs too.
    """
    segments = path.split("/")
    if any(segment in {".", ".."} for segment in segments) or not path.isprintable():
        message = "The path of a request may not have `.` and `..` among its segments."
        raise InvalidRequest(message, param="path", code="path_leaves_base")
    said = "/".join(quote(segment, safe=_SAFE) for segment in segments if segment)
    ends = "/" if path.endswith("/") and said else ""
    url = f"{base.rstrip('/')}/{said}{ends}" if said else base
    pairs = [(name, _plain(value)) for name, value in query.items() if value is not None]
    return f"{url}?{urlencode(pairs)}" if pairs else url


def _plain(value: Plain) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _read(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body) if body else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode("utf-8", "replace")


def _failed(api: LiveApi, what: str, code: str) -> ApiError:
    return UpstreamFailed(f"The external API `{api.id}` {what}.", code=code, source="provider")
