"""A stream that came where a whole answer was asked for, put together: some servers do nothing but stream."""

from typing import Any

import msgspec

from switchgear.contracts.provider import Answer, ProviderFault, StreamDecoder
from switchgear.contracts.usage import Usage
from switchgear.wire.chunks import completion

_TEXTS = ("content", "refusal", "reasoning_content", "reasoning")
_LISTS = ("reasoning_details", "annotations", "images")

Json = dict[str, Any]


def is_stream(body: bytes) -> bool:
    """Say whether a body is server-sent events."""
    return body.lstrip().startswith((b"data:", b"event:", b": "))


def gathered(decoder: StreamDecoder, body: bytes) -> Answer:
    """Return the answer that a stream of chunks tells. Raises `ProviderFault` and `ConnectionBroken`, as its decoder does."""
    frame: Json = {}
    choices: dict[int, Json] = {}
    usage: Usage | None = None
    for event in decoder.feed(body):
        if event.fault is not None:
            raise event.fault
        usage = event.usage or usage
        chunk: Json = msgspec.json.decode(event.data) if event.data else {}
        frame = frame or chunk
        for said in chunk.get("choices") or ():
            choice = choices.setdefault(said.get("index", 0), {"message": {}, "finish_reason": "stop"})
            _add(choice["message"], said.get("delta") or {})
            choice["finish_reason"] = said.get("finish_reason") or choice["finish_reason"]
    decoder.close()
    if not choices:
        raise ProviderFault("protocol", 200)
    first, *others = (choices[index] for index in sorted(choices))
    return completion(
        id=frame.get("id") or "",
        created=frame.get("created") or 0,
        model=frame.get("model") or "",
        message=first["message"],
        finish_reason=first["finish_reason"],
        usage=usage,
        others=[
            {"index": place, **other, "message": {"role": "assistant", "content": None, **other["message"]}}
            for place, other in enumerate(others, 1)
        ],
    )


def _add(message: Json, delta: Json) -> None:
    for name in _TEXTS:
        if delta.get(name):
            message[name] = (message.get(name) or "") + delta[name]
    for name in _LISTS:
        if delta.get(name):
            message[name] = [*message.get(name, ()), *delta[name]]
    calls: list[Json] = message.get("tool_calls", [])
    for piece in delta.get("tool_calls") or ():
        kind = "custom" if "custom" in piece else "function"
        takes = "input" if kind == "custom" else "arguments"
        if piece["index"] >= len(calls):
            calls.append({"id": piece["id"], "type": kind, kind: {"name": "", takes: ""}})
        call, inner = calls[piece["index"]][kind], piece[kind]
        call["name"] = call["name"] or inner.get("name") or ""
        call[takes] += inner.get(takes) or ""
    if calls:
        message["tool_calls"] = calls
