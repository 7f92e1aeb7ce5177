"""Responses by their ids. Wire: developers.openai.com/api/reference/resources/responses.

Whoever asks for what is not there, or somebody else's, is told the same. What its provider keeps too is asked for there.
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Raw

from switchgear import Context
from switchgear.contracts.dialect import InferenceEndpoint, Route, RouteReply, RouteRequest, WebSocketRoute
from switchgear.errors import ApiError, InvalidRequest, NotFound
from switchgear.wire.members import raw
from switchgear.wire.texts import members_of, text_of
from switchgear_plugins.stored_responses.keeper import ask_keeper
from switchgear_plugins.stored_responses.shelf import Given, Shelf, id_of, items, told

_PATH = "/v1/responses/{response_id}"
_MOST_LISTED = 100
_encode = msgspec.json.Encoder().encode
_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "cto",
    "compaction": "cmp",
}


class StoredResponsesDialect:
    """The paths, and errors in the shape of their API."""

    name = "stored_responses"
    request_id_header: bytes | None = None
    retry_count_header: bytes = b""
    inference: tuple[InferenceEndpoint, ...] = ()

    def __init__(self, shelf: Shelf, context: Context) -> None:
        self._shelf = shelf
        self._context = context
        routes = (
            ("GET", _PATH, self._read, "Get a response that is kept"),
            ("DELETE", _PATH, self._delete, "Forget a response"),
            ("GET", f"{_PATH}/input_items", self._list, "List what a response was given"),
            ("POST", f"{_PATH}/cancel", self._cancel, "Stop a response that is made in the background"),
        )
        self.routes: tuple[Route | WebSocketRoute, ...] = tuple(
            Route(method, path, handler, open_to="principals", summary=summary)
            for method, path, handler, summary in routes
        )

    def error(self, error: ApiError, request_id: str) -> bytes:
        """Encode an error."""
        said = {**error.extra, "message": error.message, "type": error.type, "param": error.param, "code": error.code}
        return _encode({"error": said, "request_id": request_id})

    async def _read(self, request: RouteRequest) -> RouteReply:
        given = await self._given(request)
        if given.kept_by is None:
            if request.query.get("stream") == "true":
                message = "Only a response that is made in the background can be streamed later."
                raise InvalidRequest(message, param="stream", code="unsupported_value")
            return RouteReply(given.response)
        reply = await ask_keeper(self._context.providers, given, "GET", request)
        if isinstance(reply.body, bytes) and not given.is_final:
            await self._renew(request.principal.id, given, reply.body)
        return reply

    async def _delete(self, request: RouteRequest) -> RouteReply:
        given = await self._given(request)
        if given.kept_by is not None:
            with suppress(NotFound):  # it is forgotten there already
                await ask_keeper(self._context.providers, given, "DELETE", request)
        await self._shelf.delete(request.principal.id, given.id)
        return RouteReply(_encode({"id": given.id, "object": "response", "deleted": True}))

    async def _list(self, request: RouteRequest) -> RouteReply:
        given = await self._given(request)
        if given.kept_by is not None:
            return await ask_keeper(self._context.providers, given, "GET", request, "/input_items")
        thread = await self._shelf.thread(request.principal.id, given.id)
        found = [item for before in thread[:-1] for item in before.told_again()] + items(given.input)
        return RouteReply(_page([_listed(item, f"{given.id}/{n}") for n, item in enumerate(found)], request))

    async def _cancel(self, request: RouteRequest) -> RouteReply:
        given = await self._given(request)
        if given.kept_by is None:
            message = "Only a response that is made in the background can be cancelled."
            raise InvalidRequest(message, param="response_id", code="not_in_background")
        return await ask_keeper(self._context.providers, given, "POST", request, "/cancel")

    async def _given(self, request: RouteRequest) -> Given:
        id = request.params["response_id"]
        found = await self._shelf.get(request.principal.id, id)
        if found is None:
            raise NotFound(f"Response with id '{id[:100]}' not found.", param="response_id", code="response_not_found")
        return found

    async def _renew(self, owner: str, given: Given, response: bytes) -> None:
        """Keep what a response has become that was not ended when it was given."""
        try:
            found = told(response)
            ids = [id for item in items(found.output) if (id := id_of(item)) is not None]
        except msgspec.DecodeError:
            return
        if found.id == given.id and found.status is not None:
            now = msgspec.structs.replace(given, status=found.status, response=response)
            await self._shelf.put(owner, now, ids)


def _listed(item: Raw, place: str) -> dict[str, Any]:
    """Return an item as it is listed: with an id, and its content in parts."""
    members: dict[str, Any] = dict(members_of(item))
    kind = text_of(members.get("type")) or "message"
    mark = hashlib.blake2b(place.encode(), digest_size=16).hexdigest()
    made: dict[str, Any] = {"id": f"{_PREFIXES.get(kind, 'item')}_{mark}", "type": kind, **members}
    if kind == "message":
        made.setdefault("status", "completed")
        said = text_of(members.get("content"))
        if said is not None:
            answers = text_of(members.get("role")) == "assistant"
            part: dict[str, Any] = {"type": "output_text" if answers else "input_text", "text": said}
            made["content"] = [{**part, "annotations": [], "logprobs": []} if answers else part]
    elif kind in {"function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"}:
        made.setdefault("status", "completed")
    return made


def _page(listed: Sequence[dict[str, Any]], request: RouteRequest) -> bytes:
    """Write the page that is asked for. Raises `InvalidRequest`."""
    query = request.query
    order, after = query.get("order", "desc"), query.get("after")
    if order not in {"asc", "desc"}:
        raise InvalidRequest("`order` must be `asc` or `desc`.", param="order", code="invalid_value")
    limit = query.get("limit", "20")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= _MOST_LISTED):
        raise InvalidRequest(f"`limit` must be 1 to {_MOST_LISTED}.", param="limit", code="invalid_value")
    found = list(listed if order == "asc" else reversed(listed))
    ids = [_text(item["id"]) for item in found]
    if after is not None:
        if after not in ids:
            raise InvalidRequest("`after` names no item of this response.", param="after", code="invalid_value")
        found, ids = found[ids.index(after) + 1 :], ids[ids.index(after) + 1 :]
    shown = ids[: int(limit)]
    page = {"object": "list", "data": found[: len(shown)], "has_more": len(found) > len(shown)}
    return bytes(raw({**page, "first_id": shown[0] if shown else None, "last_id": shown[-1] if shown else None}))


def _text(value: Any) -> str:
    return text_of(value) or "" if isinstance(value, Raw) else str(value)
