"""A dialect of routes: reranks documents, keeps files, and echoes what comes through a WebSocket."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from switchgear import Context, NoSettings, Offer, Plugin
from switchgear.contracts.dialect import Dialect, Part, Route, RouteReply, RouteRequest, Socket, WebSocketRoute
from switchgear.errors import ApiError, InvalidRequest, NotFound

_PIECE = 64 * 1024
_WORD = re.compile(r"\w+")
_MOST = 16 * 1024 * 1024


class Rerank(msgspec.Struct, forbid_unknown_fields=True):
    """What is asked of POST /doors/rerank."""

    model: str
    query: str
    documents: list[str]
    top_n: int = 10


class DoorsDialect:
    """The routes and the shape of their errors."""

    name = "doors"
    request_id_header = None
    retry_count_header = b""
    inference = ()

    def __init__(self, context: Context) -> None:
        self._context = context
        files = "/doors/files"
        self.routes = (
            Route("POST", "/doors/rerank", self.rerank, open_to="principals", operation="rerank", counted=True),
            Route(
                "POST", files, self.upload, takes=("multipart/form-data",), max_body=_MOST, open_to="principals"
            ),
            Route(
                "GET", f"{files}/{{id}}", self.download, gives=("application/octet-stream",), open_to="principals"
            ),
            Route("DELETE", f"{files}/{{id}}", self.delete, open_to="principals", summary="Delete a file"),
            WebSocketRoute("/doors/echo", self.echo, open_to="principals", operation="echo", counted=True),
        )  # fmt: skip

    def error(self, error: ApiError, request_id: str) -> bytes:
        """Encode an error."""
        return msgspec.json.encode({"door": "closed", "why": error.message, "code": error.code, "request": request_id})

    async def rerank(self, request: RouteRequest) -> RouteReply:
        """Order documents by how many words of the query they have."""
        asked = await request.json(Rerank)
        if request.snapshot.callable(asked.model) is None or not await request.may("use", "models", asked.model):
            raise NotFound(f"There is no model `{asked.model[:64]}` here.", code="model_not_found", param="model")
        if request.exchange.call is not None:
            request.exchange.call.model = asked.model  # what the record says
        wanted = set(_WORD.findall(asked.query.lower()))
        scores = [len(wanted & set(_WORD.findall(text.lower()))) / (len(wanted) or 1) for text in asked.documents]
        best = sorted(range(len(scores)), key=lambda index: -scores[index])[: max(asked.top_n, 0)]
        return RouteReply(
            msgspec.json.encode({"results": [{"index": index, "relevance_score": scores[index]} for index in best]})
        )

    async def upload(self, request: RouteRequest) -> RouteReply:
        """Keep the part `file` of the form."""
        async for part in request.parts():
            if part.name == "file":
                id = self._context.ambient.new_id()
                size = await self._keep(part, self._place(request, id))
                kept = {"id": id, "filename": part.filename, "media_type": part.media_type, "bytes": size}
                return RouteReply(msgspec.json.encode(kept), status=201)
        raise InvalidRequest("The form has no part `file`.", param="file", code="missing_field")

    async def download(self, request: RouteRequest) -> RouteReply:
        """Stream a file."""
        return RouteReply(_pieces(self._existing(request)), media_type="application/octet-stream")

    async def delete(self, request: RouteRequest) -> RouteReply:
        """Forget a file."""
        self._existing(request).unlink()
        return RouteReply(status=204)

    async def echo(self, request: RouteRequest, socket: Socket) -> None:
        """Say everything back, beginning with who is there."""
        await socket.send(f"hello {request.principal.name}")
        async for message in socket:
            await socket.send(message)

    def _place(self, request: RouteRequest, id: str) -> Path:
        owner = hashlib.sha256(f"{request.principal.kind} {request.principal.id}".encode()).hexdigest()[:16]
        return self._context.data_dir / f"{owner}-{id}"

    def _existing(self, request: RouteRequest) -> Path:
        id = request.params["id"]
        if not re.fullmatch("[0-9a-f]{8,64}", id) or not (place := self._place(request, id)).exists():
            raise NotFound("There is no such file.", code="file_not_found", param="id")
        return place

    async def _keep(self, part: Part, place: Path) -> int:
        size = 0
        with place.open("wb") as file:
            async for piece in part:
                size += len(piece)
                await asyncio.to_thread(file.write, piece)
        return size


async def _pieces(place: Path) -> AsyncIterator[bytes]:
    with place.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, _PIECE):
            yield piece


class Doors(Plugin[NoSettings]):
    """Offers the dialect."""

    api = 1

    def switchgear_dialects(self) -> list[Offer[Dialect]]:
        """Offer it."""
        return [Offer("doors", lambda: DoorsDialect(self.context), summary="Rerank, files, a WebSocket")]
