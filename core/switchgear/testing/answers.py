"""Answers in every wire, whole and streamed, that say what a test wants said, and what a client hears of them."""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from switchgear.contracts.filter import AnswerFace, Channel, Filter
from switchgear.contracts.provider import StreamEvent
from switchgear.exchange.filters import AnswerFilter
from switchgear.wire.pieces.chat import ChatPieces
from switchgear.wire.pieces.completions import CompletionPieces
from switchgear.wire.pieces.messages import MessagePieces
from switchgear.wire.pieces.responses import ResponsePieces

Said = Sequence[tuple[Channel, str]]
"""What an answer says: pieces in order. Neighbours of one channel are one text; no channel comes twice."""
Heard = dict[str, str]
"""What a client hears: the text of each channel."""

WIRES: dict[str, AnswerFace] = {
    "chat": ChatPieces(),
    "chat, told in another wire": ChatPieces(ordered=True),
    "completions": CompletionPieces(),
    "messages": MessagePieces(),
    "responses": ResponsePieces(),
}
_CHAT: dict[str, Callable[[str], dict[str, Any]]] = {
    "text": lambda text: {"content": text},
    "reasoning": lambda text: {"reasoning_content": text},
    "refusal": lambda text: {"refusal": text},
    "tool_arguments": lambda text: {"tool_calls": [{"index": 0, "function": {"arguments": text}}]},
}
_BLOCKS = {
    "text": ({"type": "text"}, "text", "text_delta", "text"),
    "reasoning": ({"type": "thinking"}, "thinking", "thinking_delta", "thinking"),
    "tool_arguments": ({"type": "tool_use", "id": "t1", "name": "f"}, "input", "input_json_delta", "partial_json"),
}
_ITEMS = {
    "text": ("response.output_text", "text", "output_text"),
    "refusal": ("response.refusal", "refusal", "refusal"),
    "reasoning": ("response.reasoning_summary_text", "text", "summary_text"),
    "tool_arguments": ("response.function_call_arguments", "arguments", ""),
}


def channels_of(wire: str) -> tuple[Channel, ...]:
    """Return the channels that the answers of a wire have texts of."""
    if wire == "completions":
        return ("text",)
    return (
        ("reasoning", "text", "tool_arguments")
        if wire == "messages"
        else ("reasoning", "text", "refusal", "tool_arguments")
    )


def filter_whole(wire: str, said: Said, make: Callable[[], Filter]) -> Heard:
    """Return what a client hears of a whole answer behind a filter."""
    body = _BODIES[wire.partition(",")[0]](_texts(said))
    return _heard_of(wire, json.loads(AnswerFilter(lambda: [make()], WIRES[wire]).whole(body)))


def filter_stream(wire: str, said: Said, make: Callable[[], Filter]) -> Heard:
    """Return what a client hears of a stream behind a filter. Raises AssertionError where it is told two things."""
    reader = AnswerFilter(lambda: [make()], WIRES[wire])
    events = [out for event in stream(wire, said) for out in reader.event(event)]
    assert reader.close() == [], "whatever was kept back belongs before the end"
    return heard(wire, [json.loads(event.data) for event in events if event.data])


def stream(wire: str, said: Said) -> list[StreamEvent]:
    """Make the events of a stream that says these pieces."""
    name = wire.partition(",")[0]
    return [
        StreamEvent(json.dumps(event).encode(), event.get("type", "").encode() or None)
        for event in _STREAMS[name](said)
    ] + ([StreamEvent(b"", terminal=True, last=True)] if name in {"chat", "completions"} else [])


def heard(wire: str, events: Sequence[dict[str, Any]]) -> Heard:
    """Put together what the events of a stream say."""
    return {channel: text for channel, text in _HEARD[wire.partition(",")[0]](events).items() if text}


def _texts(said: Said) -> dict[str, str]:
    return {channel: "".join(text for _, text in group) for channel, group in groupby(said, key=lambda piece: piece[0])}


def _chat_body(texts: dict[str, str]) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": None}
    for channel, text in texts.items():
        message.update(_CHAT[channel](text))
    return json.dumps({"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()


def _completion_body(texts: dict[str, str]) -> bytes:
    return json.dumps(
        {"id": "c", "choices": [{"index": 0, "text": texts.get("text", ""), "finish_reason": "stop"}]}
    ).encode()


def _message_body(texts: dict[str, str]) -> bytes:
    blocks = []
    for channel, text in texts.items():
        block, name, _, _ = _BLOCKS[channel]
        blocks.append({**block, name: json.loads(text) if channel == "tool_arguments" else text})
    return json.dumps({"type": "message", "content": blocks, "stop_reason": "end_turn"}, separators=(",", ":")).encode()


def _item(channel: str, text: str) -> dict[str, Any]:
    _, name, part = _ITEMS[channel]
    if channel == "tool_arguments":
        return {"type": "function_call", "id": "i", "call_id": "t1", "name": "f", "arguments": text}
    inner = {"type": part, name: text}
    if channel == "reasoning":
        return {"type": "reasoning", "id": "i", "summary": [inner]}
    return {"type": "message", "id": "i", "role": "assistant", "content": [inner]}


def _response_body(texts: dict[str, str]) -> bytes:
    output = [_item(channel, text) for channel, text in texts.items()]
    return json.dumps({"object": "response", "status": "completed", "output": output}).encode()


def _chunks(said: Said, say: Callable[[str, str], dict[str, Any]], nothing: dict[str, Any]) -> Iterator[dict[str, Any]]:
    frame = {"id": "c", "object": "chunk"}
    for channel, text in said:
        yield {**frame, "choices": [{"index": 0, **say(channel, text), "finish_reason": None}]}
    yield {**frame, "choices": [{"index": 0, **nothing, "finish_reason": "stop"}]}


def _chat_stream(said: Said) -> Iterator[dict[str, Any]]:
    return _chunks(said, lambda channel, text: {"delta": _CHAT[channel](text)}, {"delta": {}})


def _completion_stream(said: Said) -> Iterator[dict[str, Any]]:
    return _chunks(said, lambda _, text: {"text": text}, {"text": ""})


def _message_stream(said: Said) -> Iterator[dict[str, Any]]:
    yield {"type": "message_start", "message": {"content": []}}
    for index, (channel, group) in enumerate(groupby(said, key=lambda piece: piece[0])):
        block, name, kind, member = _BLOCKS[channel]
        empty: Any = {} if channel == "tool_arguments" else ""
        yield {"type": "content_block_start", "index": index, "content_block": {**block, name: empty}}
        for _, text in group:
            yield {"type": "content_block_delta", "index": index, "delta": {"type": kind, member: text}}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    yield {"type": "message_stop"}


def _response_stream(said: Said) -> Iterator[dict[str, Any]]:
    for number, event in enumerate(_response_events(said)):
        yield {**event, "sequence_number": number}


def _response_events(said: Said) -> Iterator[dict[str, Any]]:
    yield {"type": "response.created", "response": {"output": []}}
    output = []
    for index, (channel, group) in enumerate(groupby(said, key=lambda piece: piece[0])):
        kind, name, part = _ITEMS[channel]
        where: dict[str, Any] = {"output_index": index, "item_id": "i"}
        if part:
            where["summary_index" if channel == "reasoning" else "content_index"] = 0
        yield {"type": "response.output_item.added", "output_index": index, "item": _item(channel, "")}
        whole = ""
        for _, text in group:
            whole += text
            yield {"type": f"{kind}.delta", **where, "delta": text}
        yield {"type": f"{kind}.done", **where, name: whole}
        if part:
            yield {"type": "response.content_part.done", **where, "part": {"type": part, name: whole}}
        output.append(_item(channel, whole))
        yield {"type": "response.output_item.done", "output_index": index, "item": output[-1]}
    yield {"type": "response.completed", "response": {"status": "completed", "output": output}}


def _heard_of(wire: str, body: dict[str, Any]) -> Heard:
    """Read a whole answer."""
    texts: Heard = {}
    if wire == "messages":
        for block in body["content"]:
            channel = next(name for name, found in _BLOCKS.items() if found[0]["type"] == block["type"])
            value = block[_BLOCKS[channel][1]]
            texts[channel] = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    elif wire == "responses":
        texts = _output(body["output"])
    else:
        choice = body["choices"][0]
        _hear_chat(texts, choice.get("message") or {"content": choice["text"]})
    return {channel: text for channel, text in texts.items() if text}


def _hear_chat(texts: Heard, said: dict[str, Any]) -> None:
    names = {"content": "text", "reasoning_content": "reasoning", "refusal": "refusal"}
    for name, channel in names.items():
        if said.get(name):
            texts[channel] = texts.get(channel, "") + said[name]
    for call in said.get("tool_calls") or ():
        texts["tool_arguments"] = texts.get("tool_arguments", "") + call["function"]["arguments"]


def _hear_chunks(events: Sequence[dict[str, Any]]) -> Heard:
    texts: Heard = {}
    finished = False
    for event in events:
        for choice in event["choices"]:
            assert not finished, "nothing may follow the end of a choice"
            finished = bool(choice["finish_reason"])
            _hear_chat(texts, choice["delta"] if "delta" in choice else {"content": choice["text"]})
    assert finished
    return texts


def _hear_messages(events: Sequence[dict[str, Any]]) -> Heard:
    texts: Heard = {}
    block: dict[str, Any] | None = None
    for event in events:
        if event["type"] == "content_block_start":
            assert block is None, "a block begins when the one before is over"
            block = event
        elif event["type"] == "content_block_delta":
            assert block is not None, "a delta belongs to a block that is open"
            assert block["index"] == event["index"]
            channel = next(name for name, found in _BLOCKS.items() if found[2] == event["delta"]["type"])
            texts[channel] = texts.get(channel, "") + event["delta"][_BLOCKS[channel][3]]
        elif event["type"] == "content_block_stop":
            block = None
    assert events[-1]["type"] == "message_stop"
    return texts


def _hear_responses(events: Sequence[dict[str, Any]]) -> Heard:
    texts: Heard = {}
    assert list(range(len(events))) == [event["sequence_number"] for event in events], (
        "events are numbered without gaps"
    )
    for event in events:
        head, _, phase = event["type"].rpartition(".")
        channel = next((name for name, found in _ITEMS.items() if found[0] == head), "")
        if channel and phase == "delta":
            texts[channel] = texts.get(channel, "") + event["delta"]
        elif channel:
            assert texts.setdefault(channel, "") == event[_ITEMS[channel][1]], "what is done is what was said"
        elif event["type"] == "response.output_item.done":
            assert {n: texts.get(n, "") for n in _output([event["item"]])} == _output([event["item"]])
        elif event["type"] == "response.content_part.done":
            channel = next(name for name, found in _ITEMS.items() if found[2] == event["part"]["type"])
            assert texts.get(channel, "") == event["part"][_ITEMS[channel][1]]
    ended = events[-1]
    assert ended["type"] == "response.completed"
    assert texts == _output(ended["response"]["output"])
    return texts


def _output(items: Sequence[dict[str, Any]]) -> Heard:
    texts: Heard = {}
    for item in items:
        if item["type"] == "function_call":
            texts["tool_arguments"] = item["arguments"]
        for part in (*item.get("content", ()), *item.get("summary", ())):
            channel = next(name for name, found in _ITEMS.items() if found[2] == part["type"])
            texts[channel] = part[_ITEMS[channel][1]]
    return texts


_BODIES: dict[str, Callable[[dict[str, str]], bytes]] = {
    "chat": _chat_body,
    "completions": _completion_body,
    "messages": _message_body,
    "responses": _response_body,
}
_STREAMS: dict[str, Callable[[Said], Iterator[dict[str, Any]]]] = {
    "chat": _chat_stream,
    "completions": _completion_stream,
    "messages": _message_stream,
    "responses": _response_stream,
}
_HEARD: dict[str, Callable[[Sequence[dict[str, Any]]], Heard]] = {
    "chat": _hear_chunks,
    "completions": _hear_chunks,
    "messages": _hear_messages,
    "responses": _hear_responses,
}
