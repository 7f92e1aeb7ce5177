"""The fast upstream: canned OpenAI answers from one uvloop protocol, so that it is never what is measured.

A plain answer is one write. A stream is 50 chunks and `[DONE]`, each event its own HTTP chunk, ten events to a write and
a turn of the event loop between writes, as a provider's events reach a reader: several to a packet, in several packets.
With `stream_options.include_usage` a usage chunk comes before `[DONE]`. What is posted to `/v1/messages` is answered with the
same words as Anthropic's Messages, so that translation has its price. `python upstream.py PORT PER_CHUNK PER_WRITE`
serves until killed: how many events share an HTTP chunk (1 above) and a write (10), which decide how much of a stream a
client can take at a time.
"""

import asyncio
import gc
import json
import re
import sys
from typing import cast

import uvloop

MODEL = "gpt-4o-mini"
CHUNKS = 50
WORDS = [f"tok{number:02d} " for number in range(CHUNKS - 2)]  # between the role chunk and the finish chunk
USAGE = {"prompt_tokens": 40, "completion_tokens": len(WORDS), "total_tokens": 40 + len(WORDS)}
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": ?true')
_NAMED = b'"stream"'
PACE = "One event every "
"""What a prompt says, with milliseconds after it, to get the events of its stream one by one."""
_PACE = re.compile(PACE.encode() + rb"(\d+) ms")


def plain_body() -> bytes:
    """Return the canned chat completion."""
    message = {"role": "assistant", "content": "".join(WORDS), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _json(_object("chat.completion", [choice], usage=USAGE))


def stream_events(*, usage: bool) -> list[bytes]:
    """Return the canned stream, event by event."""
    deltas: list[tuple[dict[str, object], str | None]] = [({"role": "assistant", "content": "", "refusal": None}, None)]
    deltas += [({"content": word}, None) for word in WORDS]
    deltas += [({}, "stop")]
    chunks = [
        _object(
            "chat.completion.chunk",
            [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
            **({"usage": None} if usage else {}),
        )
        for delta, finish in deltas
    ]
    if usage:
        chunks.append(_object("chat.completion.chunk", [], usage=USAGE))
    return [*(b"data: " + _json(chunk) + b"\n\n" for chunk in chunks), b"data: [DONE]\n\n"]


def messages_body() -> bytes:
    """Return the same answer as a Message."""
    content = [{"type": "text", "text": "".join(WORDS)}]
    usage = {"input_tokens": 40, "output_tokens": len(WORDS)}
    return _json({**_MESSAGE, "content": content, "stop_reason": "end_turn", "stop_sequence": None, "usage": usage})


def messages_events() -> list[bytes]:
    """Return the same stream as a Message's events."""
    usage = {"input_tokens": 40, "output_tokens": 1}
    begun = {**_MESSAGE, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    deltas = [{"type": "text_delta", "text": word} for word in WORDS]
    events: list[dict[str, object]] = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": len(WORDS)},
        },
        {"type": "message_stop"},
    ]
    return [b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), _json(event)) for event in events]


_MESSAGE = {"id": "msg_bench0000000000000000", "type": "message", "role": "assistant", "model": MODEL}


def _object(kind: str, choices: list[dict[str, object]], **more: object) -> dict[str, object]:
    head = {"id": "chatcmpl-bench000000000000000000000000", "object": kind, "created": 1_700_000_000, "model": MODEL}
    return {**head, "service_tier": "default", "system_fingerprint": "fp_0123456789", "choices": choices, **more}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _plain_reply(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _stream_writes(per_chunk: int, per_write: int, events: list[bytes]) -> list[bytes]:
    chunks = [b"%x\r\n%b\r\n" % (len(data), data) for data in _joined(events, per_chunk)]
    groups = _joined(chunks, max(1, per_write // per_chunk))
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
    groups[0] = head + groups[0]
    groups[-1] += b"0\r\n\r\n"
    return groups


def _joined(parts: list[bytes], size: int) -> list[bytes]:
    return [b"".join(parts[at : at + size]) for at in range(0, len(parts), size)]


class Replies:
    """The replies, ready to write."""

    def __init__(self, per_chunk: int, per_write: int) -> None:
        self.plain = _plain_reply(plain_body())
        self.stream = _stream_writes(per_chunk, per_write, stream_events(usage=False))
        self.stream_with_usage = _stream_writes(per_chunk, per_write, stream_events(usage=True))
        self.message = _plain_reply(messages_body())
        self.message_stream = _stream_writes(per_chunk, per_write, messages_events())
        self.slow_stream = _stream_writes(1, 1, stream_events(usage=False))
        self.slow_stream_with_usage = _stream_writes(1, 1, stream_events(usage=True))
        self.slow_message_stream = _stream_writes(1, 1, messages_events())


class Upstream(asyncio.Protocol):
    """Answers any POST; one request at a time on a connection."""

    transport: asyncio.Transport

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._seen = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        if self._seen:
            data = self._seen + data
        head = data.find(b"\r\n\r\n") + 4
        if head < 4:
            self._seen = data
            return
        length = _LENGTH.search(data, 0, head)
        # Without a length the request is chunked, or has no body
        if not (data.endswith(b"\r\n\r\n") if length is None else len(data) >= head + int(length[1])):
            self._seen = data
            return
        self._seen = b""
        is_message = data.startswith(b"POST /v1/messages")
        named = data.find(_NAMED, head)  # long prompts are searched faster for this than for the pattern
        if named < 0 or _STREAM.match(data, named) is None:
            self.transport.write(self._replies.message if is_message else self._replies.plain)
        else:
            self._stream(data, head, is_message=is_message)

    def _stream(self, data: bytes, head: int, *, is_message: bool) -> None:
        replies, pace = self._replies, _PACE.search(data, head)
        usage = b'"include_usage"' in data
        if pace is None:
            plain = replies.stream_with_usage if usage else replies.stream
            self._send(replies.message_stream if is_message else plain, 0)
        else:
            plain = replies.slow_stream_with_usage if usage else replies.slow_stream
            self._send_slowly(replies.slow_message_stream if is_message else plain, 0, int(pace[1]) / 1000)

    def _send(self, writes: list[bytes], at: int) -> None:
        self.transport.write(writes[at])
        if at + 1 < len(writes):
            self._loop.call_soon(self._send, writes, at + 1)

    def _send_slowly(self, writes: list[bytes], at: int, every_s: float) -> None:
        if not self.transport.is_closing():
            self.transport.write(writes[at])
            if at + 1 < len(writes):
                self._loop.call_later(every_s, self._send_slowly, writes, at + 1, every_s)


async def serve(port: int, per_chunk: int, per_write: int) -> None:
    replies = Replies(per_chunk, per_write)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(replies), "127.0.0.1", port, backlog=4096)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    gc.disable()  # nothing here makes cycles
    uvloop.run(serve(*map(int, sys.argv[1:4])))
