"""Messages that are nearly right: told at once where a stream was asked for, or ended in the words of another form."""

from typing import Any

import msgspec

from switchgear.wire.members import BROKEN
from switchgear.wire.messages.form import stop_of

_encode = msgspec.json.Encoder().encode


def with_stop(payload: bytes, reason: str | None, *, called: bool) -> bytes:
    """Return a `message_delta` that stops for a reason of this form: the use of a tool where one was `called`."""
    found = stop_of(reason, called=called)
    if found == reason:
        return payload
    whole = msgspec.json.decode(payload)
    whole["delta"]["stop_reason"] = found
    return _encode(whole)


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
