"""`/v1/dialogs`: conversations that the gateway keeps. What is somebody else's looks as if it were not there."""

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.dialect import (
    InferenceEndpoint,
    Route,
    RouteReply,
    RouteRequest,
    WebSocketRoute,
    check_callable,
)
from switchgear.errors import ApiError, InvalidRequest
from switchgear.wire.sse import encode_event
from switchgear_plugins.dialogs.making import shown
from switchgear_plugins.dialogs.said import DialogSpec, Posted, check_parameters, messages_of
from switchgear_plugins.dialogs.shelf import LATEST, Row, Shelf, Turn, not_found, owner_of
from switchgear_plugins.dialogs.streamed import DONE
from switchgear_plugins.dialogs.turns import Turns

_ID = re.compile(r"dlg_[0-9a-f]{32}")
_CURSOR = re.compile(r"([0-9]{1,19}):(dlg_[0-9a-f]{32})")
_MOST_LISTED = 100
_MOST_MESSAGES = 500
_SSE = "text/event-stream; charset=utf-8"
_UNBUFFERED = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
_encode = msgspec.json.Encoder().encode


class DialogsDialect:
    """The paths, and errors in the shape of OpenAI's API."""

    name = "dialogs"
    request_id_header: bytes | None = None
    retry_count_header: bytes = b""
    inference: tuple[InferenceEndpoint, ...] = ()

    def __init__(self, shelf: Shelf, turns: Turns, message_bytes: int) -> None:
        self._shelf = shelf
        self._turns = turns
        self._message_bytes = message_bytes
        json = ("application/json",)
        one = "/v1/dialogs/{dialog_id}"

        def route(
            method: str,
            path: str,
            handler: Any,
            summary: str,
            body: type[Struct] | None = None,
            gives: tuple[str, ...] = json,
        ) -> Route:
            takes = json if method in {"POST", "PATCH"} else ()
            # What is sent is JSON, in which a character may take six bytes, and there is something around it.
            most = 6 * message_bytes + 64 * 1024
            return Route(
                method,
                path,
                handler,
                open_to="principals",
                summary=summary,
                takes=takes,
                gives=gives,
                max_body=most,
                body=body,
            )

        self.routes: tuple[Route | WebSocketRoute, ...] = (
            route("POST", "/v1/dialogs", self._create, "Begin a dialog", DialogSpec),
            route("GET", "/v1/dialogs", self._list, "List your dialogs, the one touched last in front"),
            route("GET", one, self._read, "Get a dialog with its messages"),
            route("PATCH", one, self._change, "Rename a dialog, or have another model answer", DialogSpec),
            route("DELETE", one, self._delete, "Delete a dialog with its messages"),
            route("POST", f"{one}/messages", self._post, "Say something, get the answer", Posted, (*json, "text/event-stream")),
        )  # fmt: skip

    def error(self, error: ApiError, request_id: str) -> bytes:
        """Encode an error."""
        said = {**error.extra, "message": error.message, "type": error.type, "param": error.param, "code": error.code}
        return _encode({"error": said, "request_id": request_id})

    async def _create(self, request: RouteRequest) -> RouteReply:
        spec = await request.json(DialogSpec)
        check_parameters(spec.parameters)
        await check_callable(request, spec.model)
        row = await self._shelf.create(owner_of(request.principal), spec)
        return RouteReply(_encode(_dialog(row)), 201)

    async def _list(self, request: RouteRequest) -> RouteReply:
        limit = _limit(request.query, 20, _MOST_LISTED)
        rows = await self._shelf.page(owner_of(request.principal), before(request.query.get("cursor")), limit + 1)
        data = [_dialog(row) for row in rows[:limit]]
        more = len(rows) > limit
        return RouteReply(
            _encode(
                {
                    "object": "list",
                    "data": data,
                    "has_more": more,
                    "next_cursor": cursor(rows[limit - 1]) if more else None,
                }
            )
        )

    async def _read(self, request: RouteRequest) -> RouteReply:
        row = await self._shelf.get(owner_of(request.principal), _id(request))
        limit, first = _limit(request.query, 100, _MOST_MESSAGES), request.query.get("before")
        if first is not None and not (first.isascii() and first.isdigit() and len(first) < len(str(LATEST))):
            raise InvalidRequest("`before` is the `number` of a message.", param="before", code="invalid_value")
        last = LATEST if first is None else int(first)
        rows = await self._shelf.messages(row["id"], before=last, limit=limit + 1)
        messages = [_message(it) for it in reversed(rows[:limit])]
        return RouteReply(_encode({**_dialog(row), "messages": messages, "has_more": len(rows) > limit}))

    async def _change(self, request: RouteRequest) -> RouteReply:
        owner, id = owner_of(request.principal), _id(request)
        patch = await request.json(dict[str, Any])
        if isinstance(name := patch.get("model"), str):
            await check_callable(request, name)
        return RouteReply(_encode(_dialog(await self._shelf.change(owner, id, patch))))

    async def _delete(self, request: RouteRequest) -> RouteReply:
        id = _id(request)
        await self._shelf.delete(owner_of(request.principal), id)
        return RouteReply(_encode({"id": id, "object": "dialog", "deleted": True}))

    async def _post(self, request: RouteRequest) -> RouteReply:
        posted = await request.json(Posted)
        check_parameters(posted.parameters)
        messages = messages_of(posted, self._message_bytes)
        key = request.headers.get(b"idempotency-key")
        once = None if key is None or not messages else hashlib.sha256(key).hexdigest()
        turn = await self._shelf.begin(owner_of(request.principal), _id(request), messages, once)
        if turn.replayed is not None:
            return _replayed(turn, turn.replayed, stream=posted.stream)
        if posted.stream:
            pieces = await self._turns.streamed(turn, request, posted.parameters)
            return RouteReply(pieces, media_type=_SSE, headers=_UNBUFFERED)
        return RouteReply(await self._turns.whole(turn, request, posted.parameters))


def cursor(row: Row) -> str:
    """Return where a list goes on behind a dialog."""
    return base64.urlsafe_b64encode(f"{row['updated_us']}:{row['id']}".encode()).decode().rstrip("=")


def before(cursor: str | None) -> tuple[int, str]:
    """Read where a list goes on. Raises `InvalidRequest`."""
    if cursor is None:
        return LATEST, ""
    try:
        found = _CURSOR.fullmatch(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode())
    except (binascii.Error, ValueError):
        found = None
    if found is None or int(found[1]) > LATEST:
        raise InvalidRequest("`cursor` is not one this endpoint gave out.", param="cursor", code="invalid_cursor")
    return int(found[1]), found[2]


def _id(request: RouteRequest) -> str:
    id = request.params["dialog_id"]
    if _ID.fullmatch(id) is None:
        raise not_found(id)
    return id


def _limit(query: Mapping[str, str], usual: int, most: int) -> int:
    limit = query.get("limit", str(usual))
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= most):
        raise InvalidRequest(f"`limit` must be 1 to {most}.", param="limit", code="invalid_value")
    return int(limit)


def sums(row: Row) -> dict[str, Any]:
    """Return what a dialog consumed. What an answer cost whose model has no price is not in the cost: `unpriced` counts those."""
    return {
        "message_count": row["messages"],
        "usage": {"input_tokens": row["input_tokens"], "output_tokens": row["output_tokens"]},
        "cost_microusd": row["cost_microusd"],
        "unpriced": row["unpriced"],
        "created_at": row["created_us"] // 1_000_000,
        "updated_at": row["updated_us"] // 1_000_000,
    }


def _dialog(row: Row) -> dict[str, Any]:
    spec = msgspec.json.decode(row["spec"], type=DialogSpec)
    return {"id": row["id"], "object": "dialog", **msgspec.to_builtins(spec), **sums(row)}


def _message(row: Row) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": row["id"],
        "object": "dialog.message",
        "number": row["seq"],
        "created_at": row["at_us"] // 1_000_000,
        "status": row["status"],
        "message": Raw(bytes(row["message"])),
    }
    if row["role"] == "assistant":
        shown |= {name: row[name] for name in ("model", "finish_reason", "cost_microusd")}
        shown["usage"] = {"input_tokens": row["input_tokens"], "output_tokens": row["output_tokens"]}
        shown["request_id"] = row["call"]
    return shown


def _replayed(turn: Turn, row: Row, *, stream: bool) -> RouteReply:
    """Give an answer another time. Nothing was asked, so there is no usage."""
    frame = {"id": row["call"], "created": row["at_us"] // 1_000_000, "model": row["model"]}
    message, finish = Raw(bytes(row["message"])), row["finish_reason"] or "stop"
    told = shown(turn, row)
    headers = ((b"idempotent-replayed", b"true"),)
    if not stream:
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        body = {**frame, "object": "chat.completion", "choices": [choice], "usage": None, "dialog": told}
        return RouteReply(_encode(body), headers=headers)
    return RouteReply(_retold(frame, message, finish, told), media_type=_SSE, headers=(*_UNBUFFERED, *headers))


async def _retold(frame: Mapping[str, Any], message: Raw, finish: str, told: dict[str, Any]) -> AsyncIterator[bytes]:
    delta = msgspec.json.decode(message)
    for place, call in enumerate(delta.get("tool_calls") or ()):
        call["index"] = place
    head = {**frame, "object": "chat.completion.chunk"}
    for choice in (
        {"index": 0, "delta": delta, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": finish},
    ):
        yield encode_event(_encode({**head, "choices": [choice]}))
    yield encode_event(_encode({**head, "choices": [], "usage": None, "dialog": told}))
    yield DONE
