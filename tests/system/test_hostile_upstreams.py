"""What a provider says is believed no further than it can be true, and shown no further than it is harmless."""

import json
from typing import Any

import pytest

from support.faultup import FaultUpstream, Script
from support.gateway import PROVIDER_KEY, Running
from support.shared import gateway, shared_upstream, upstream

__all__ = ["gateway", "shared_upstream", "upstream"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"content-type": "application/json"}


def completion(**more: Any) -> Script:
    choice = {"index": 0, "message": {"role": "assistant", "content": "word " * 40}, "finish_reason": "stop"}
    return Script(
        body=json.dumps({"object": "chat.completion", "model": "x", "choices": [choice], **more}), headers=JSON
    )


def chunk(content: str, finish: str | None = None, index: int = 0) -> str:
    choice = {"index": index, "delta": {"content": content}, "finish_reason": finish}
    return f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"


def event(**members: Any) -> str:
    return f"data: {json.dumps(members)}\n\n"


async def test_an_empty_finish_reason_is_none(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(events=(chunk("a", ""), chunk("b", ""))))
    answer = await gateway.chat(stream=True)
    assert "[DONE]" not in answer.text
    assert (await gateway.usage_of(answer.headers["x-request-id"]))["outcome"] == "upstream_cut"


async def test_one_choice_that_finishes_twice_is_not_two(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(events=(chunk("a"), chunk("b", index=1), chunk("", "stop"), chunk("", "stop"))))
    answer = await gateway.chat(stream=True, n=2)
    assert "[DONE]" not in answer.text
    assert (await gateway.usage_of(answer.headers["x-request-id"]))["outcome"] == "upstream_cut"


async def test_a_whole_answer_without_usage_is_estimated_from_its_size(
    gateway: Running, upstream: FaultUpstream
) -> None:
    upstream.script(completion())
    answer = await gateway.chat()
    record = await gateway.usage_of(answer.headers["x-request-id"])
    assert record["usage_estimated"]
    assert 40 <= record["output_tokens"] <= len(answer.content) // 4


@pytest.mark.parametrize("count", [10**30, 2**63, 2**62])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_count_of_tokens_that_cannot_be_is_not_believed(
    gateway: Running, upstream: FaultUpstream, count: int, *, stream: bool
) -> None:
    usage = {"prompt_tokens": count, "completion_tokens": 1}
    upstream.script(
        Script(events=(chunk("a"), chunk("", "stop"), event(choices=[], usage=usage), "data: [DONE]\n\n"))
        if stream
        else completion(usage=usage)
    )
    answer = await gateway.chat(stream=stream)
    record = await gateway.usage_of(answer.headers["x-request-id"])
    assert (record["outcome"], record["usage_estimated"]) == ("complete", True)
    assert record["input_tokens"] < 1000
    summary = (await gateway.admin.get("/usage/summary")).json()
    assert isinstance(summary["data"][0]["sums"]["input_tokens"], int)


async def test_an_echoed_secret_is_in_no_part_of_an_error(gateway: Running, upstream: FaultUpstream) -> None:
    error = {"message": f"no {PROVIDER_KEY}", "code": PROVIDER_KEY, "param": f"x.{PROVIDER_KEY}"}
    body = json.dumps({"error": error})
    upstream.script(Script(status=400, body=body, headers={**JSON, "x-request-id": PROVIDER_KEY}))
    answer = await gateway.chat()
    assert answer.status_code == 400
    assert PROVIDER_KEY not in answer.text + str(answer.headers)
    assert PROVIDER_KEY not in json.dumps(await gateway.usage())


@pytest.mark.parametrize("credential_id", ["c", None])
async def test_an_echoed_secret_header_is_no_request_id(
    gateway: Running, upstream: FaultUpstream, credential_id: str | None
) -> None:
    secret = "header-canary-0123456789"
    where = {"base_url": upstream.base_url, "headers": {"x-auth-key": secret}, "credential_id": credential_id}
    id = f"with-{credential_id}"
    await gateway.create("providers", id=id, type="openai", **where)
    upstream.script(Script(status=400, body="{}", headers={**JSON, "x-request-id": f"r-{secret}"}))
    answer = await gateway.chat(model=f"{id}/x")
    assert answer.status_code == 400
    assert secret not in answer.text + str(answer.headers)
    assert secret not in json.dumps(await gateway.usage())


@pytest.mark.parametrize("shown", [True, False])
async def test_an_endless_stream_is_ended(gateway: Running, upstream: FaultUpstream, *, shown: bool) -> None:
    piece = chunk("x" * 900_000) if shown else event(choices=[], filler="x" * 900_000)
    await gateway.patch("/models/m", wires=["chat"])
    upstream.script(Script(events=(chunk("x"), *(piece,) * 50)))
    body = {"model": "m", "input": "x", "stream": True}
    answer = await gateway.http.post("/v1/responses", json=body, headers=gateway.auth)
    assert "response.completed" not in answer.text
    assert "upstream_too_large" in answer.text
    assert (await gateway.usage_of(answer.headers["x-request-id"]))["outcome"] == "upstream_error"


async def test_what_follows_the_end_of_a_stream_changes_nothing(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(events=(chunk("a"), chunk("", "stop") + "data: [DONE]\n\n" + event(error={"message": "x"}))))
    answer = await gateway.chat(stream=True)
    assert answer.text.endswith("data: [DONE]\n\n")
    assert (await gateway.usage_of(answer.headers["x-request-id"]))["outcome"] == "complete"


async def test_chunks_without_content_are_not_held_for_ever(gateway: Running, upstream: FaultUpstream) -> None:
    silent = event(choices=[{"index": 0, "delta": {}, "finish_reason": None}], filler="x" * 1000)
    upstream.script(Script(events=(silent * 200,) * 5, stall_ms=None, cut_at=900_000))
    answer = await gateway.chat(stream=True)
    assert answer.status_code == 200, "they were all held back until the stream was cut"
    assert (await gateway.usage_of(answer.headers["x-request-id"]))["outcome"] == "upstream_cut"


@pytest.mark.parametrize(
    ("values", "status"), [({"api_key": "two\nlines"}, 502), ({"password": "no api_key at all"}, 503)]
)
async def test_a_credential_that_cannot_be_sent_is_the_gateways_fault_and_costs_nothing(
    gateway: Running, upstream: FaultUpstream, values: dict[str, str], status: int
) -> None:
    id = f"odd-{status}"
    await gateway.create("credentials", id=id, type="openai", source={"backend": "encrypted", "values": values})
    await gateway.create("providers", id=id, type="openai", base_url=upstream.base_url, credential_id=id)
    await gateway.create("models", id=id, provider_id=id, provider_model="x")
    answer = await gateway.chat(model=id)
    record = await gateway.usage_of(answer.headers["x-request-id"])
    assert (answer.status_code, answer.headers["x-switchgear-error-source"]) == (status, "gateway")
    assert (record["outcome"], record["input_tokens"]) == ("upstream_error", None)
    assert len(upstream.ledger) == 0
