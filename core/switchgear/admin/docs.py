"""/openapi.json and the page that reads it out; every byte of the page ships with the gateway."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect

from switchgear.contracts.dialect import Dialect
from switchgear.contracts.resource import ResourceKind

# Styles are set inline by the renderer's templates; scripts come from here alone, and nothing else does from anywhere.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Switchgear API</title>
<script type="module" src="/docs/rapidoc-min.js"></script>
</head>
<body>
<rapi-doc spec-url="/openapi.json" load-fonts="false" render-style="read" show-header="false" theme="light"
  show-method-in-nav-bar="as-colored-text" use-path-in-nav-bar="true" persist-auth="false" schema-style="table"
  regular-font="system-ui, sans-serif" mono-font="ui-monospace, monospace"></rapi-doc>
</body>
</html>
"""
_PUBLIC: dict[str, Any] = {"action": "read", "resource": "docs", "public": True}


def docs_handlers(
    kinds: Mapping[str, ResourceKind[Any, Any]],
    extra_handlers: Sequence[HTTPRouteHandler],
    dialects: Sequence[Dialect] = (),
    root_path: str = "",
) -> list[HTTPRouteHandler]:
    """Make the routes of the API description and its page. The description is built when it is first asked for."""
    page = PAGE.replace('="/', f'="{root_path}/').encode()

    @cache
    def description() -> tuple[bytes, str]:
        from switchgear.admin.openapi import describe  # noqa: PLC0415 - costs start-up time that few requests need

        return _tagged(msgspec.json.encode(describe(kinds, extra_handlers, dialects, root_path)))

    @cache
    def script() -> tuple[bytes, str]:
        return _tagged((files("switchgear.admin") / "static" / "rapidoc-min.js").read_bytes())

    @get("/openapi.json", opt=_PUBLIC, include_in_schema=False)
    async def openapi(request: Request[Any, Any, Any]) -> Response[bytes | None]:
        return _cached(request, *description(), "application/json")

    @get("/docs", opt=_PUBLIC, include_in_schema=False)
    async def docs() -> Response[bytes]:
        headers = {"content-security-policy": POLICY, "referrer-policy": "no-referrer"}
        return Response(page, media_type="text/html", headers=headers)

    @get("/docs/rapidoc-min.js", opt=_PUBLIC, include_in_schema=False)
    async def docs_script(request: Request[Any, Any, Any]) -> Response[bytes | None]:
        return _cached(request, *script(), "text/javascript")

    @get("/redoc", opt=_PUBLIC, include_in_schema=False)
    async def redoc() -> Redirect:
        return Redirect("/docs")

    return [openapi, docs, docs_script, redoc]


def _tagged(content: bytes) -> tuple[bytes, str]:
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def _cached(request: Request[Any, Any, Any], content: bytes, tag: str, media_type: str) -> Response[bytes | None]:
    headers = {"etag": tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(None, status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
