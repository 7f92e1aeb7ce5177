"""A stream is complete or it is not, and client, usage record and upstream agree on which."""

import asyncio
import json

import msgspec
import pytest

from support.faultup import FaultUpstream, Script
from support.gateway import Running, eventually, running

DONE = b"data: [DONE]\n\n"


async def stream(gateway: Running, **members: object) -> tuple[int, str, bytes]:
    """Return status, request id and everything the client was sent."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True, **members}
    answer = await gateway.http.post("/v1/chat/completions", json=body, headers=gateway.auth)
    return answer.status_code, answer.headers["x-request-id"], answer.content


def events(sent: bytes) -> list[dict[str, object]]:
    assert sent.endswith(b"\n\n") or not sent
    found = [part.removeprefix(b"data: ") for part in sent.split(b"\n\n") if part and not part.startswith(b":")]
    return [json.loads(one) for one in found if one != b"[DONE]"]


@pytest.mark.parametrize("framing", ["chunked", "close"])
async def test_a_stream_cut_at_any_byte_is_never_complete(
    gateway: Running, upstream: FaultUpstream, framing: str
) -> None:
    script = Script(content="one two", framing=framing)  # type: ignore[arg-type]
    upstream.script(script)
    status, _, whole = await stream(gateway)
    assert (status, whole.endswith(DONE)) == (200, True)
    length = upstream.ledger.entries[-1].body_bytes
    seen = []
    for at in range(length):
        upstream.script(msgspec.structs.replace(script, cut_at=at, cut_how="fin"))
        seen.append((at, *await stream(gateway)))
    records = await gateway.all_usage()
    incomplete = 0
    for at, status, request_id, sent in seen:
        record = records[request_id]
        shown_complete = status == 200 and sent.endswith(DONE)
        assert shown_complete == (record["outcome"] == "complete"), at
        if shown_complete:
            assert b'"finish_reason":"stop"' in sent, at
        else:
            incomplete += 1
            assert DONE not in sent, at
            assert record["outcome"] == "upstream_cut", at
            if status == 200:
                assert "error" in events(sent)[-1], at
            else:
                assert status == 502
    assert incomplete > length // 3
    assert [] == upstream.failures


async def test_a_stream_that_lacks_only_done_is_complete(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(content="one two", omit=("done",)))
    status, request_id, sent = await stream(gateway)
    assert (status, sent.endswith(DONE)) == (200, True)
    assert (await gateway.usage_of(request_id))["outcome"] == "complete"


async def test_a_stream_that_stays_open_after_its_finish_is_finished_promptly(
    gateway: Running, upstream: FaultUpstream
) -> None:
    upstream.script(Script(content="one two", omit=("usage", "done"), stall_after_chunks=3))
    began = asyncio.get_running_loop().time()
    status, _, sent = await stream(gateway)
    assert (status, sent.endswith(DONE)) == (200, True)
    assert asyncio.get_running_loop().time() - began < 4


async def test_a_stall_is_an_error_in_the_stream(tmp_path, upstream: FaultUpstream) -> None:
    async with running(tmp_path, upstream, idle=0.3) as gateway:
        upstream.script(Script(content="one two three four", stall_after_chunks=2))
        status, request_id, sent = await stream(gateway)
        assert (status, DONE in sent) == (200, False)
        assert events(sent)[-1]["error"]["code"] == "idle_timeout"  # type: ignore[index]
        record = await gateway.usage_of(request_id)
        assert (record["outcome"], record["usage_estimated"]) == ("upstream_stall", True)
        assert record["output_tokens"] >= 2


async def test_silence_before_the_first_byte_is_a_504(tmp_path, upstream: FaultUpstream) -> None:
    async with running(tmp_path, upstream, first_byte=0.3) as gateway:
        for wish in (True, False):
            upstream.script(Script(hang=True))
            answer = await gateway.chat(stream=wish)
            assert (answer.status_code, answer.json()["error"]["code"]) == (504, "first_byte_timeout")
            record = await gateway.usage_of(answer.headers["x-request-id"])
            assert (record["outcome"], record["cause"]) == ("upstream_stall", "first_byte_timeout")
        await eventually(lambda: upstream.open_connections == 0)


async def test_the_total_timeout_ends_a_drip(tmp_path, upstream: FaultUpstream) -> None:
    async with running(tmp_path, upstream, total=0.5) as gateway:
        upstream.script(Script(chunks=100, chunk_delay_ms=50))
        status, request_id, sent = await stream(gateway)
        assert (status, DONE in sent) == (200, False)
        assert events(sent)[-1]["error"]["code"] == "total_timeout"  # type: ignore[index]
        assert (await gateway.usage_of(request_id))["outcome"] == "deadline"


@pytest.mark.parametrize("garbage", ["html", "json", "utf8", "types", "error"])
async def test_garbage_before_content_is_a_502(gateway: Running, upstream: FaultUpstream, garbage: str) -> None:
    upstream.script(Script(garbage=garbage))  # type: ignore[arg-type]
    status, request_id, sent = await stream(gateway)
    assert status in (502, 503)
    assert "error" in json.loads(sent)
    assert (await gateway.usage_of(request_id))["outcome"] in ("upstream_error", "upstream_cut")


async def test_an_error_event_ends_the_stream_without_done(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(content="one two three four", error_event_after=2, chunk_delay_ms=30))
    status, request_id, sent = await stream(gateway)
    assert (status, DONE in sent) == (200, False)
    assert "error" in events(sent)[-1]
    assert (await gateway.usage_of(request_id))["outcome"] == "upstream_error"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
async def test_upstream_text_cannot_make_an_event(gateway: Running, upstream: FaultUpstream, newline: str) -> None:
    content = 'a\n\ndata: [DONE]\n\nb\rdata: {"x":1}\r\u2028data: [DONE]\u0085 event: error'
    upstream.script(Script(content=content, newline=newline))  # type: ignore[arg-type]
    status, _, sent = await stream(gateway)
    assert (status, sent.count(DONE)) == (200, 1)
    chunks = events(sent)
    assert content == "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])  # type: ignore[index]
    assert all(line.startswith(("data: ", ": ")) for line in sent.decode().splitlines() if line)


async def test_headers_of_a_stream(gateway: Running) -> None:
    answer = await gateway.chat(stream=True, model="echo")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"


async def test_usage_is_that_of_the_upstream_bill(gateway: Running, upstream: FaultUpstream) -> None:
    for number in range(1, 6):
        upstream.script(Script(chunks=number, prompt_tokens=9, cached_tokens=3))
        _, request_id, _ = await stream(gateway)
        bill = upstream.ledger.entries[-1]
        record = await gateway.usage_of(request_id)
        assert (record["input_tokens"], record["output_tokens"]) == (bill.prompt_tokens, bill.completion_tokens)
        assert (record["cached_input_tokens"], record["usage_estimated"]) == (3, False)


async def test_an_oversized_event_is_refused(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(huge_line=33 * 1024 * 1024))
    status, request_id, _ = await stream(gateway)
    assert status == 502
    assert (await gateway.usage_of(request_id))["cause"] == "too_large"


async def test_a_provider_may_have_a_shorter_total_of_its_own(gateway: Running, upstream: FaultUpstream) -> None:
    timeouts = {"connect": 1.0, "first_byte": 5.0, "idle": 5.0, "total": 0.4}
    await gateway.create(
        "providers", id="hasty", type="openai_compatible", base_url=upstream.base_url, timeouts=timeouts
    )
    await gateway.create("models", id="hasty", provider_id="hasty", provider_model="x")
    upstream.script(Script(chunks=100, chunk_delay_ms=50))
    _, request_id, sent = await stream(gateway, model="hasty")
    assert events(sent)[-1]["error"]["code"] == "total_timeout"  # type: ignore[index]
    assert (await gateway.usage_of(request_id))["outcome"] == "deadline"
