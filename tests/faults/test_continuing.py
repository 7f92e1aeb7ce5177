"""A stream that breaks off is gone on with by another target: its client gets one answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.faultup import FaultUpstream, Script, ToolCall
from support.gateway import Running, eventually, running

BROKEN = [
    Script(content="One two three four", tokens_per_chunk=1, cut_after_chunks=2),
    Script(content="One two three four", tokens_per_chunk=1, stall_after_chunks=2),
    Script(content="One two three four", tokens_per_chunk=1, error_event_after=2),
]


@pytest.fixture
async def gateway(tmp_path: Path, upstream: FaultUpstream, other: FaultUpstream) -> AsyncIterator[Running]:
    """The chain `on` goes on at `other`, whose model takes a prefill."""
    async with running(tmp_path, upstream, first_byte=2.0, idle=0.5) as run:
        await run.add_second(other, capabilities={"prefill": True})
        await run.create("chains", id="on", steps=[{"target": "m"}, {"target": "n"}], recovery="continue")
        yield run


def chunks(text: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]


def said(found: list[dict[str, Any]]) -> str:
    shown = [choice.get("delta") or {} for chunk in found for choice in chunk.get("choices") or ()]
    return "".join(delta.get("content") or "" for delta in shown)


@pytest.mark.parametrize("broken", BROKEN, ids=["cut", "stalled", "failed"])
async def test_the_next_target_goes_on_with_what_was_said(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream, broken: Script
) -> None:
    upstream.script(broken)
    other.script(Script(content="three four", tokens_per_chunk=1))
    answer = await gateway.chat(model="on", stream=True, max_tokens=50, stream_options={"include_usage": True})
    found = chunks(answer.text)
    assert "One two three four" == said(found)
    assert answer.text.rstrip().endswith("data: [DONE]")
    assert "error" not in answer.text
    assert 1 == len({chunk["id"] for chunk in found}), "one answer has one id"
    assert 1 == sum("role" in choice["delta"] for chunk in found for choice in chunk["choices"])
    assert {"other-model", "upstream-model"} >= {chunk["model"] for chunk in found}
    [asked] = other.ledger.entries
    body = json.loads(asked.body)
    assert {"role": "assistant", "content": "One two "} == body["messages"][-1]
    assert body.get("max_tokens", body.get("max_completion_tokens")) < 50
    record = await gateway.usage_of(answer.headers["x-request-id"])
    assert ("n", "complete", 2, True) == (
        record["target"], record["outcome"], record["attempts"], record["usage_estimated"]
    )  # fmt: skip
    assert record["output_tokens"] >= asked.completion_tokens + 2, "what broke off was consumed too"
    [usage] = [chunk["usage"] for chunk in found if chunk.get("usage")]
    assert record["output_tokens"] == usage["completion_tokens"]


async def test_white_space_is_not_said_twice(gateway: Running, upstream: FaultUpstream, other: FaultUpstream) -> None:
    upstream.script(BROKEN[0])
    other.script(Script(content=" three four"))
    answer = await gateway.chat(model="on", stream=True)
    assert "One two three four" == said(chunks(answer.text))


async def test_every_dialect_is_gone_on_with(gateway: Running, upstream: FaultUpstream, other: FaultUpstream) -> None:
    upstream.script(BROKEN[0])
    other.script(Script(content="three four"))
    body = {"model": "on", "max_tokens": 50, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    answer = await gateway.http.post("/v1/messages", json=body, headers=gateway.auth)
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    text = "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")
    assert "One two three four" == text
    assert ["message_start", "message_stop"] == [events[0]["type"], events[-1]["type"]]
    assert 1 == sum(event["type"] == "message_start" for event in events)


async def test_a_model_that_takes_no_prefill_is_not_asked(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    await gateway.patch("/models/n", capabilities={"prefill": False})
    upstream.script(BROKEN[0])
    answer = await gateway.chat(model="on", stream=True)
    assert "One two " == said(chunks(answer.text))
    assert '"error"' in answer.text
    assert "[DONE]" not in answer.text
    assert [] == other.ledger.entries
    record = await gateway.usage_of(answer.headers["x-request-id"])
    assert ("upstream_cut", 1, True) == (record["outcome"], record["attempts"], record["usage_estimated"])


async def test_tool_calls_are_not_gone_on_with(gateway: Running, upstream: FaultUpstream, other: FaultUpstream) -> None:
    upstream.script(Script(tool_calls=(ToolCall(name="f", arguments='{"a": "long enough"}'),), cut_after_chunks=2))
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    answer = await gateway.chat(model="on", stream=True, tools=tools)
    assert '"error"' in answer.text
    assert [] == other.ledger.entries


async def test_one_that_breaks_off_too_ends_in_one_error(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    upstream.script(BROKEN[0])
    other.script(Script(content="three four five", tokens_per_chunk=1, cut_after_chunks=1))
    answer = await gateway.chat(model="on", stream=True)
    assert "One two three " == said(chunks(answer.text))
    assert 1 == answer.text.count('"error"')
    assert "[DONE]" not in answer.text
    record = await gateway.usage_of(answer.headers["x-request-id"])
    assert ("upstream_cut", 2) == (record["outcome"], record["attempts"])
    billed = sum(entry.completion_tokens for up in (upstream, other) for entry in up.ledger.entries)
    assert billed <= record["output_tokens"]


async def test_before_the_first_byte_it_is_as_always(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    upstream.script(Script(cause="server"), times=2)
    for stream in (False, True):
        answer = await gateway.chat(model="on", stream=stream)
        assert (200, "n") == (answer.status_code, answer.headers["x-switchgear-model"])
        record = await gateway.usage_of(answer.headers["x-request-id"])
        assert "usage_estimated" not in record or not record["usage_estimated"]


def event(delta: Any, finish: str | None = None, **members: Any) -> str:
    chunk = {"id": "a", "created": 1, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **members}
    return f"data: {json.dumps(chunk)}\n\n"


async def test_what_those_before_consumed_is_not_lost_with_a_client_that_leaves(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    upstream.script(BROKEN[0])
    other.script(Script(content="three four", tokens_per_chunk=1, stall_after_chunks=1, stall_ms=None))
    body = {"model": "on", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    async with gateway.http.stream("POST", "/v1/chat/completions", json=body, headers=gateway.auth) as answer:
        async for line in answer.aiter_lines():
            if "three" in line:
                break
    [record] = await eventually(gateway.usage)
    assert ("client_gone", 2) == (record["outcome"], record["attempts"])
    billed = [sum(entry.completion_tokens for entry in up.ledger.entries) for up in (upstream, other)]
    assert min(billed) > 0
    assert sum(billed) <= record["output_tokens"]


async def test_a_target_that_refused_to_go_on_consumed_nothing(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    upstream.script(BROKEN[0], times=2)
    alone = await gateway.usage_of((await gateway.chat(stream=True)).headers["x-request-id"])
    other.script(Script(cause="server"))
    both = await gateway.usage_of((await gateway.chat(model="on", stream=True)).headers["x-request-id"])
    assert (1, 2) == (alone["attempts"], both["attempts"])
    for measure in ("input_tokens", "output_tokens"):
        assert alone[measure] == both[measure]


async def test_an_answer_that_was_ended_is_not_gone_on_with(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    failure = 'data: {"error": {"message": "too late", "type": "server_error"}}\n\n'
    upstream.script(Script(events=(event({"content": "All is said."}), event({}, "stop") + failure)))
    answer = await gateway.chat(model="on", stream=True)
    assert "All is said." == said(chunks(answer.text))
    assert '"error"' in answer.text
    assert [] == other.ledger.entries


async def test_the_old_form_of_a_tool_call_is_not_gone_on_with(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    called = event({"content": "Well: ", "function_call": {"name": "f", "arguments": "{"}})
    upstream.script(Script(events=(called,)))
    answer = await gateway.chat(model="on", stream=True)
    assert '"error"' in answer.text
    assert [] == other.ledger.entries


async def test_chunks_that_clients_can_read_are_gone_on_with_however_they_are_written(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    upstream.script(Script(events=(event({"content": "One two "}, id=None, created=1.5),)))
    bare = [event(None), 'data: {"id": "b", "choices": null}\n\n', event({"content": "three"}), event(None, "stop")]
    other.script(Script(events=(*bare, "data: [DONE]\n\n")))
    answer = await gateway.chat(model="on", stream=True)
    assert "error" not in answer.text
    assert ["One two ", "three"] == [text for chunk in chunks(answer.text) if (text := said([chunk]))]
    assert answer.text.rstrip().endswith("data: [DONE]")


async def test_a_chunk_that_nobody_can_read_is_the_providers_failure(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    upstream.script(BROKEN[0])
    other.script(Script(events=("data: {]\n\n", event({}, "stop"), "data: [DONE]\n\n")))
    answer = await gateway.chat(model="on", stream=True)
    assert '"upstream_protocol"' in answer.text
    record = await gateway.usage_of(answer.headers["x-request-id"])
    assert ("upstream_error", 502) == (record["outcome"], record["status"])


async def test_a_target_that_refused_to_go_on_is_not_charged_for(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    steps = [{"target": "m"}, {"target": "n"}, {"target": "n"}]
    await gateway.create("chains", id="third", steps=steps, recovery="continue")
    used = []
    for model in ("on", "third"):
        upstream.script(BROKEN[0])
        if model == "third":
            other.script(Script(cause="server"))
        other.script(Script(content="three four", tokens_per_chunk=1))
        answer = await gateway.chat(model=model, stream=True)
        assert "One two three four" == said(chunks(answer.text))
        record = await gateway.usage_of(answer.headers["x-request-id"])
        used.append((record["input_tokens"], record["output_tokens"]))
    assert used[0] == used[1]


async def test_what_broke_off_is_consumed_also_where_the_client_leaves_then(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    upstream.script(Script(content="word " * 40, tokens_per_chunk=1, cut_after_chunks=30))
    other.script(Script(hang=True))
    asking = asyncio.create_task(gateway.chat(model="on", stream=True))
    await eventually(lambda: other.ledger.entries)
    asking.cancel()
    [record] = await eventually(gateway.usage)
    assert ("client_gone", 2) == (record["outcome"], record["attempts"])
    assert record["output_tokens"] >= 15, "as many as were shown, by an estimate"


async def test_going_on_says_nothing_of_how_fast_a_target_is(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    upstream.script(BROKEN[0])
    other.script(Script(content="three four", delay_ms=100))
    await gateway.chat(model="on", stream=True)
    found = (await gateway.admin.get("/targets", params={"provider_id": "q"})).json()["data"]
    assert [None] == [it["latency_s"] for it in found if it["provider_model"] == "other-model"]
