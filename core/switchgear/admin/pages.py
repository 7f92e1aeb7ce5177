"""Static files of plugins below /ui/PLUGIN/, the console at /ui/, and `GET /admin/v1/pages`, which lists their pages.

What there is to serve is read once, when the gateway starts: a path is looked up among its names, so none leads elsewhere.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from switchgear import __version__
from switchgear.admin.conditions import JSON, PREFIX
from switchgear.authority import Authority
from switchgear.errors import NotFound

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
_TYPES = {
    ".css": "text/css",
    ".gif": "image/gif",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
"""Told the same on every machine, which the system's own table is not."""
_ROOT = {
    "name": "Switchgear",
    "version": __version__,
    "api": "v1",
    "admin": "admin/v1",
    "docs": "docs",
    "openapi": "openapi.json",
}
"""What a client is told that asks for nothing; paths are relative, as a proxy may have them below one of its own."""
_WELCOME = b"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Switchgear</title></head>
<body>
<h1>Switchgear</h1>
<p>This is a gateway for large language models. Applications send their requests to <code>/v1</code>.</p>
<p>There is no console here; <a href="docs">the API is described</a>, and <a href="openapi.json">in OpenAPI</a>.</p>
</body>
</html>
"""
_PUBLIC: dict[str, Any] = {"action": "read", "resource": "pages", "public": True}


class Page(Struct, frozen=True):
    """A page: where the ES module is that shows it, where in navigation it stands, and what one has to be allowed to read."""

    plugin: str
    slug: str
    title: str
    module: str
    group: str
    kind: str | None
    panel: bool
    needs: str


class Files:
    """The files below one directory, by their path there. Those whose name begins with a dot are not among them."""

    def __init__(self, directory: Path) -> None:
        root = directory.resolve()
        found = [path for path in sorted(root.rglob("*")) if path.is_file() and path.resolve().is_relative_to(root)]
        named = {path.relative_to(root).as_posix(): path for path in found}
        self.paths = {name: path for name, path in named.items() if not any(p.startswith(".") for p in name.split("/"))}
        self._tags: dict[str, tuple[tuple[int, int], str]] = {}

    def tag(self, name: str) -> str:
        """Return the entity tag of a file as it is now. Raises OSError."""
        path = self.paths[name]
        found = path.stat()
        state = (found.st_mtime_ns, found.st_size)
        known = self._tags.get(name)
        if known is None or known[0] != state:
            known = self._tags[name] = (state, f'"{hashlib.sha256(path.read_bytes()).hexdigest()[:32]}"')
        return known[1]


def page_handlers(
    files: Mapping[str, Sequence[Files]],
    pages: Sequence[Page],
    authority: Authority,
    root_path: str = "",
    front: tuple[Files, str] | None = None,
) -> list[HTTPRouteHandler]:
    """Make the routes. `files` are those of each plugin; `pages` name modules among them; `front` answers at /ui/."""

    @get("/ui/{plugin:str}/{path:path}", opt=_PUBLIC, include_in_schema=False)
    async def asset(
        request: Request[Any, Any, Any], plugin: FromPath[str], path: FromPath[str]
    ) -> Response[bytes | None]:
        name = str(path).lstrip("/")
        held = next((it for it in files.get(plugin, ()) if name in it.paths), None)
        if held is None:
            raise NotFound("There is no such file.", code="not_found")
        return await _file(request, held, name)

    listed = [msgspec.structs.replace(page, module=f"{root_path}/ui/{page.plugin}/{page.module}") for page in pages]

    @get(
        f"{PREFIX}/pages",
        opt={"action": "list", "resource": "pages", "scoped": True},
        summary="List the pages that plugins bring, as far as one may read what they show",
    )
    async def list_pages(request: Request[Any, Any, Any]) -> Response[bytes]:
        by, wanted = request.state.principal, {page.needs for page in listed}
        read = {it for it in wanted if not it or (await authority.scope(by, "read", it, None)).allowed}
        return Response(msgspec.json.encode({"data": [it for it in listed if it.needs in read]}), media_type=JSON)

    return [asset, list_pages, *_front_handlers(front)]


def _front_handlers(front: tuple[Files, str] | None) -> list[HTTPRouteHandler]:
    """Make the routes of who comes without a path. Those lead on by relative paths: a proxy may have it all below another."""

    @get("/", opt=_PUBLIC, sync_to_thread=False, include_in_schema=False)
    def root(request: Request[Any, Any, Any]) -> Response[bytes]:
        if "text/html" not in request.headers.get("accept", ""):
            return Response(msgspec.json.encode(_ROOT), media_type=JSON)
        if front is not None:
            return Response(b"", status_code=302, headers={"location": "ui/"})
        return Response(_WELCOME, media_type="text/html", headers={"content-security-policy": "default-src 'none'"})

    @get("/ui", opt=_PUBLIC, include_in_schema=False)
    async def console(request: Request[Any, Any, Any]) -> Response[bytes | None]:
        if front is None:
            raise NotFound("No enabled plugin brings a console.", code="not_found")
        if not request.scope.get("raw_path", b"").endswith(b"/"):  # what the page names is beside it
            return Response(b"", status_code=302, headers={"location": "ui/"})
        return await _file(request, *front)

    return [root, console]


async def _file(request: Request[Any, Any, Any], held: Files, name: str) -> Response[bytes | None]:
    try:
        tag = await asyncio.to_thread(held.tag, name)
        headers = {
            "etag": tag,
            "cache-control": "no-cache",
            "content-security-policy": POLICY,
            "referrer-policy": "no-referrer",
        }
        if request.headers.get("if-none-match") == tag:
            return Response(None, status_code=304, headers=headers)
        content = await asyncio.to_thread(held.paths[name].read_bytes)
    except OSError as error:
        raise NotFound("There is no such file any more.", code="not_found") from error
    kind = _TYPES.get(held.paths[name].suffix.lower(), "application/octet-stream")
    return Response(content, media_type=kind, headers=headers)
