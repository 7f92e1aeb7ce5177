"""What grows with the length of a body or stream grows no faster than it."""

import json
import time

from switchgear.contracts.provider import Call
from switchgear.testing.provider_suite import RecordedHead
from switchgear.wire.messages.stream import ChunkDecoder


def test_many_things_dropped_cost_no_more_than_their_number() -> None:
    call = Call("chat", "chat", {}, model="m")
    began = time.process_time()
    for place in range(100_000):
        call.drop(f"input[{place}]")
    assert time.process_time() - began < 5
    assert "input[0]" == call.dropped[0]
    assert 256 == len(call.dropped)


def test_a_long_signature_costs_no_more_than_its_length() -> None:
    def sse(**event: object) -> bytes:
        return b"data: " + json.dumps(event).encode() + b"\n\n"

    decoder = ChunkDecoder(Call("chat", "chat", {}, model="m"), RecordedHead(), 0, "x")
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "m", "model": "x", "content": [], "usage": usage}
    decoder.feed(sse(type="message_start", message=message))
    decoder.feed(sse(type="content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}))
    piece = sse(type="content_block_delta", index=0, delta={"type": "signature_delta", "signature": "s" * 4000})
    began = time.process_time()
    for _ in range(5000):
        decoder.feed(piece)
    [event] = decoder.feed(sse(type="content_block_stop", index=0))
    assert time.process_time() - began < 5
    assert event.data.count(b"s" * 4000) == 5000
