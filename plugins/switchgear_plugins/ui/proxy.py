"""An ASGI application that serves the console's files and hands everything else on to a gateway."""

import mimetypes
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from switchgear_plugins.ui.files import ASSETS

if TYPE_CHECKING:
    import httpx

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]

_OF_THE_CONNECTION = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
        "content-length",
    }
)
_OWN = "/ui/ui/"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_MOST_BODY = 64 * 1024 * 1024


class Proxy:
    """The application. `api_url` is where the gateway is, without a slash at its end."""

    def __init__(self, http: "httpx.AsyncClient", api_url: str) -> None:
        self._http = http
        self._api_url = api_url
        found = [path for path in ASSETS.rglob("*") if path.is_file()]
        self._files = {_OWN + path.relative_to(ASSETS).as_posix(): path for path in found}
        self._files["/ui/"] = ASSETS / "index.html"

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path: str = scope["path"]
        if path in ("/", "/ui"):
            await _answer(send, 302, [("location", "/ui/")])
        elif (file := self._files.get(path)) is not None:
            media = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            headers = [("content-type", media), ("content-security-policy", _POLICY), ("cache-control", "no-cache")]
            await _answer(send, 200, [*headers, ("x-content-type-options", "nosniff")], file.read_bytes())
        else:
            await self._hand_on(scope, receive, send)

    async def _hand_on(self, scope: Any, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        if body is None:
            await _answer(send, 413, [], b"This is more than the console takes.")
            return
        # The gateway looks whether a page of its own asks; that this one is stands in for it.
        given = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        headers = [(name, value) for name, value in given if name not in _OF_THE_CONNECTION | {"origin", "referer"}]
        query = scope["query_string"].decode("latin-1")
        url = self._api_url + scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        request = self._http.build_request(scope["method"], url, headers=headers, content=body)
        try:
            answer = await self._http.send(request, stream=True)
        except Exception as error:  # noqa: BLE001 - whatever keeps the gateway from answering is told to the page
            await _answer(
                send, 502, [("content-type", "text/plain")], f"{self._api_url} does not answer: {error}".encode()
            )
            return
        try:
            kept = [(name, value) for name, value in answer.headers.multi_items() if name not in _OF_THE_CONNECTION]
            said = [(name, _as_here(value, scope["scheme"]) if name == "set-cookie" else value) for name, value in kept]
            await send({"type": "http.response.start", "status": answer.status_code, "headers": _encoded(said)})
            async for piece in answer.aiter_raw():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await answer.aclose()


def _as_here(cookie: str, scheme: str) -> str:
    """Let a cookie that is for TLS alone be kept for this machine, where there is none."""
    parts = cookie.split(";")
    return cookie if scheme == "https" else ";".join(it for it in parts if it.strip().lower() != "secure")


async def _body(receive: Receive) -> bytes | None:
    pieces = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > _MOST_BODY:
            return None
        if not message.get("more_body"):
            return b"".join(pieces)


def _encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


async def _answer(send: Send, status: int, headers: list[tuple[str, str]], body: bytes = b"") -> None:
    length = ("content-length", str(len(body)))
    await send({"type": "http.response.start", "status": status, "headers": _encoded([*headers, length])})
    await send({"type": "http.response.body", "body": body})
