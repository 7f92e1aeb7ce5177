"""Whole messages: mended where they are nearly right, and told as the events of a stream where one was asked for."""

from contextlib import suppress
from typing import Any

import msgspec

from switchgear.wire.chunks import own_id
from switchgear.wire.members import BROKEN
from switchgear.wire.mend import text
from switchgear.wire.messages.form import stop_of

_encode = msgspec.json.Encoder().encode


def events_of(body: bytes) -> list[bytes]:
    """Return the events that tell a whole message; none for what is no message."""
    try:
        message: Any = msgspec.json.decode(body)
    except BROKEN:
        return []
    if (
        not isinstance(message, dict)
        or message.get("type") != "message"
        or not isinstance(message.get("content"), list)
    ):
        return []
    begun = {**message, "content": [], "stop_reason": None, "stop_sequence": None}
    told: list[dict[str, Any]] = [{"type": "message_start", "message": begun}]
    for index, block in enumerate(message["content"]):
        if isinstance(block, dict):
            told += _block(index, block)
    stop = {name: message.get(name) for name in ("stop_reason", "stop_sequence")}
    told.append({"type": "message_delta", "delta": stop, "usage": message.get("usage") or {}})
    told.append({"type": "message_stop"})
    return [_encode(event) for event in told]


def mended(body: bytes) -> bytes:
    """Return a whole message as the form has it: blocks in a list, calls with ids of their own and objects for input.

    Raises as `members.decode_text` does for what is no JSON; another answer than a message is returned as it is.
    """
    message: Any = msgspec.json.decode(body)
    content = message.get("content") if isinstance(message, dict) and message.get("type") == "message" else None
    given = [{"type": "text", "text": content}] if isinstance(content, str) and content else content
    if not isinstance(given, list):
        return body
    ids: dict[str, Any] = {}
    blocks = [_mended(block, ids, f"{message.get('id')} {len(ids)}") for block in given if isinstance(block, dict)]
    said = [block for block in blocks if block.get("text", "") is not None]
    stop = stop_of(text(message.get("stop_reason")) or "end_turn", called=bool(ids))
    return _encode({**message, "content": said, "stop_reason": stop})


def _mended(block: dict[str, Any], ids: dict[str, Any], seed: str) -> dict[str, Any]:
    if block.get("type") != "tool_use":
        return block
    id = own_id(text(block.get("id")), ids, seed)
    given = block.get("input")
    with suppress(*BROKEN):
        given = msgspec.json.decode(given) if isinstance(given, str) and given else given
    ids[id] = block
    return {**block, "id": id, "input": given or {}}


def _block(index: int, block: dict[str, Any]) -> list[dict[str, Any]]:
    kind = block.get("type")
    empty = dict(block)
    deltas: list[dict[str, Any]] = []
    if kind == "text":
        empty["text"] = ""
        deltas = [{"type": "text_delta", "text": block.get("text") or ""}]
    elif kind == "thinking":
        empty.update(thinking="", signature="")
        deltas = [{"type": "thinking_delta", "thinking": block.get("thinking") or ""}]
        deltas.append({"type": "signature_delta", "signature": block.get("signature") or ""})
    elif kind == "tool_use":
        empty["input"] = {}
        deltas = [{"type": "input_json_delta", "partial_json": _encode(block.get("input") or {}).decode()}]
    return [
        {"type": "content_block_start", "index": index, "content_block": empty},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]
