"""What the tests of the dialect share: its endpoints, calls, and streams told and read."""

import json
from pathlib import Path
from typing import Any

from msgspec import Raw
from msgspec import json as codec

from switchgear.contracts.provider import Call, StreamEvent
from switchgear.wire.sse import SSEParser
from switchgear.wire.usage import read_usage
from switchgear_plugins.anthropic.dialect import AnthropicDialect

GOLDEN = Path(__file__).parent / "golden"
DIALECT = AnthropicDialect()
MESSAGES, COUNT = DIALECT.inference
HELLO = [{"role": "user", "content": "Hello"}]


def members(**body: Any) -> dict[str, Raw]:
    return {name: Raw(codec.encode(value)) for name, value in body.items()}


def call(**body: Any) -> Call:
    return MESSAGES.parse(members(**{"model": "m", "max_tokens": 9, "messages": HELLO, **body}), {})


def said(made: Call) -> dict[str, Any]:
    return {name: json.loads(bytes(value)) for name, value in made.members.items()}


def event(chunk: bytes) -> StreamEvent:
    """Make the event that a provider's decoder makes of a chunk."""
    usage = json.loads(chunk).get("usage")
    return StreamEvent(chunk, usage=None if usage is None else read_usage(Raw(codec.encode(usage))))


def told(*chunks: bytes) -> bytes:
    """Tell canonical chunks as a Messages stream."""
    encoder = MESSAGES.encoder(call(stream=True), translate=True)
    return b"".join([encoder.event(event(chunk)) for chunk in chunks]) + encoder.end()


def read(stream: bytes) -> list[dict[str, Any]]:
    """Read a Messages stream; every event's name is its type."""
    found = SSEParser().feed_events(stream)
    payloads = [json.loads(one.data) for one in found]
    assert [payload["type"] for payload in payloads] == [one.name.decode() for one in found]
    return payloads


def delta(**members: Any) -> bytes:
    """Make one chunk."""
    return codec.encode({"id": "x", "model": "c", "choices": [{"index": 0, "delta": members, "finish_reason": None}]})


def finish(reason: str) -> bytes:
    return codec.encode({"id": "x", "model": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})


def blocks(stream: bytes) -> list[dict[str, Any]]:
    """Put the blocks of a stream together, proving its order: one open at a time, counted from 0, all closed before the end."""
    events = read(stream)
    assert [events[0]["type"], events[-2]["type"], events[-1]["type"]] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    made: list[dict[str, Any]] = []
    open_at: int | None = None
    for one in events[1:-2]:
        if one["type"] == "content_block_start":
            assert open_at is None
            open_at = len(made)
            made.append({**one["content_block"], "json": ""})
        elif one["type"] == "content_block_delta":
            piece = one["delta"]
            member = {
                "text_delta": "text",
                "thinking_delta": "thinking",
                "signature_delta": "signature",
                "input_json_delta": "json",
            }[piece["type"]]
            made[-1][member] += piece["partial_json" if member == "json" else member]
        else:
            assert one["type"] == "content_block_stop"
        assert one["index"] == open_at
        if one["type"] == "content_block_stop":
            open_at = None
    assert open_at is None
    return made
