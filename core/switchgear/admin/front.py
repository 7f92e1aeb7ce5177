"""What every request of the admin side and the open paths passes: one spelling a route, HEAD as GET, big answers in pieces."""

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from switchgear.plugin_faults import PluginFaults, is_own_doing

PIECE = 16 * 1024
"""Bytes of an answer that are handed to a connection at a time; the rest waits here, once for all who are sent the same."""
_NOWHERE = "/there-is-nothing-here"
_PREFIX_PARTS = 4
"""Parts of `/admin/v1/KIND` as it is split at slashes; what follows are ids, where letters may be escaped."""


def is_normal(raw_path: bytes) -> bool:
    """Return True for a path in normal form: no empty segment, no dot segments, no slash at the end (but the console's), and
    no percent-encoding in the fixed parts of its route.

    A proxy that forbids `/metrics` or `/admin` compares what is written: another spelling of the same route would pass it by.
    """
    parts = raw_path.partition(b"?")[0].split(b"/")
    if parts[1:] in ([b""], [b"ui", b""]):
        return True
    return (
        b"" not in parts[1:]
        and b"." not in parts
        and b".." not in parts
        and not any(b"%" in part or b";" in part for part in parts[:_PREFIX_PARTS])
    )


def fronted(app: ASGIApp, faults: PluginFaults | None = None) -> ASGIApp:
    """Let through what is written as it should be; for any other spelling there is nothing.

    `faults` are told of handlers that raise what would end more than their request.
    """

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        if not is_normal(scope.get("raw_path") or b"/"):
            scope["path"] = _NOWHERE
            scope["raw_path"] = _NOWHERE.encode()
        try:
            if scope["method"] == "HEAD":
                asked = scope.copy()
                asked["method"] = "GET"
                await app(asked, receive, _without_body(send))
            else:
                await app(scope, receive, _in_pieces(send))
        except BaseException as error:
            if faults is not None and is_own_doing(error) and (owner := faults.culprit(error)).plugin:
                faults.note(owner, f"{scope['method']} {scope['path']}", error)
            raise

    return front


def _without_body(send: Send) -> Send:
    async def bare(message: Message) -> None:
        if message["type"] == "http.response.body":
            message["body"] = b""
        await send(message)

    return bare


def _in_pieces(send: Send) -> Send:
    async def pieces(message: Message) -> None:
        if message["type"] != "http.response.body" or len(message["body"]) <= PIECE:
            await send(message)
            return
        whole = memoryview(message["body"])
        for at in range(0, len(whole), PIECE):
            more = message["more_body"] or at + PIECE < len(whole)
            await send({"type": "http.response.body", "body": bytes(whole[at : at + PIECE]), "more_body": more})

    return pieces
