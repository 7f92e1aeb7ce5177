"""Whole answers told as streams, and streams put together as whole answers: some servers give the one for the other."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec

from switchgear.contracts.provider import Answer, ProviderFault, StreamDecoder, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.wire.chunks import completion

_TEXTS = ("content", "refusal", "reasoning_content", "reasoning")
_LISTS = ("reasoning_details", "annotations", "images")

Json = dict[str, Any]


async def as_stream(answer: Answer, *, usage_wanted: bool) -> AsyncIterator[list[StreamEvent]]:
    """Tell a whole completion as a stream: a chunk with each choice's message, a finish chunk, the usage if wanted."""
    for event in as_events(answer, usage_wanted=usage_wanted):
        yield [event]


def as_events(answer: Answer, *, usage_wanted: bool) -> Iterator[StreamEvent]:
    """Tell a whole completion as the events of a stream."""
    whole = msgspec.json.decode(answer.body)
    frame = {name: whole[name] for name in ("id", "created", "model", "system_fingerprint") if name in whole}
    frame["object"] = "chat.completion.chunk"

    def chunk(**members: Any) -> bytes:
        return msgspec.json.encode({**frame, **members})

    for choice in whole["choices"]:
        index = choice.get("index", 0)
        message = choice["message"]
        for place, call in enumerate(message.get("tool_calls") or ()):
            call["index"] = place
        delta = {"index": index, "delta": message, "finish_reason": None}
        yield StreamEvent(chunk(choices=[delta]), content=len(str(message.get("content") or "")) or 1)
        end = {"index": index, "delta": {}, "finish_reason": choice.get("finish_reason") or "stop"}
        yield StreamEvent(chunk(choices=[end]), terminal=True)
    shown = chunk(choices=[], usage=whole.get("usage")) if usage_wanted else b""
    yield StreamEvent(shown, terminal=True, last=True, usage=answer.usage)


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
