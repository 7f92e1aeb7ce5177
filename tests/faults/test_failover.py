"""Providers that fail, through a whole gateway: who is asked next, how often, and what the client gets."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.faultup import FaultUpstream, Script
from support.gateway import Running, running

STEPS = [{"target": "m"}, {"target": "n"}]


@pytest.fixture
async def gateway(tmp_path: Path, upstream: FaultUpstream, other: FaultUpstream) -> AsyncIterator[Running]:
    """The chain `c` asks `m` at `upstream`, then `n` at `other`."""
    async with running(tmp_path, upstream, first_byte=2.0, idle=1.0, retries=1) as run:
        await run.add_second(other)
        await run.create("chains", id="c", steps=STEPS)
        yield run


def attempts(answer: httpx.Response) -> int:
    return int(answer.headers["x-switchgear-attempts"])


async def events_of(gateway: Running, **members: Any) -> tuple[str, bool]:
    """Stream; return the text and whether it was told to be whole."""
    answer = await gateway.chat(stream=True, **members)
    assert answer.status_code == 200, answer.text
    return answer.text, answer.text.rstrip().endswith("data: [DONE]")


@pytest.mark.parametrize("cause", ["server", "overloaded", "rate_limit", "auth", "not_found"])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_next_target_answers_for_one_that_fails(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream, cause: Any, stream: bool
) -> None:
    upstream.script(Script(cause=cause))
    answer = await gateway.chat(model="c", stream=stream)
    assert (200, "n", 2) == (answer.status_code, answer.headers["x-switchgear-model"], attempts(answer))
    record = await gateway.usage_of(answer.headers["x-request-id"])
    assert ("n", "complete", 2) == (record["target"], record["outcome"], record["attempts"])


@pytest.mark.parametrize("cause", ["invalid_request", "context_length", "content_filter"])
async def test_what_the_client_did_wrong_goes_no_further(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream, cause: Any
) -> None:
    upstream.script(Script(cause=cause))
    assert 400 == (await gateway.chat(model="c")).status_code
    assert [] == list(other.ledger.entries)


async def test_a_prompt_too_long_goes_to_a_larger_window(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    await gateway.patch("/models/m", context_window=1000)
    await gateway.patch("/models/n", context_window=9000)
    upstream.script(Script(cause="context_length"))
    assert "n" == (await gateway.chat(model="c")).headers["x-switchgear-model"]


async def test_a_prompt_too_long_stays_too_long_for_smaller_windows(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    await gateway.patch("/models/m", context_window=1000)
    await gateway.patch("/models/n", context_window=9000)
    await gateway.create("models", id="small", provider_id="p", provider_model="small", context_window=500)
    await gateway.create("chains", id="down", steps=[{"target": "m"}, {"target": "n"}, {"target": "small"}])
    upstream.script(Script(cause="context_length"))
    other.script(Script(cause="server"))
    answer = await gateway.chat(model="down")
    assert (400, 2) == (answer.status_code, attempts(answer))


@pytest.mark.parametrize(
    ("tried", "next_one", "is_asked"), [(None, None, True), (None, 500, True), (1000, None, True), (1000, 500, False)]
)
async def test_a_prompt_too_long_leads_on_where_a_step_says_so(
    gateway: Running, upstream: FaultUpstream, tried: int | None, next_one: int | None, is_asked: bool
) -> None:
    await gateway.patch("/models/m", context_window=tried)
    await gateway.patch("/models/n", context_window=next_one)
    await gateway.create("chains", id="long", steps=[{"target": "m", "on": ["context_length"]}, {"target": "n"}])
    upstream.script(Script(cause="context_length"))
    answer = await gateway.chat(model="long")
    assert (200 if is_asked else 400) == answer.status_code
    record = await gateway.usage_of(answer.headers["x-request-id"])
    assert is_asked != ("n at q: not asked (context_length)" in record["why"])


async def test_content_filters_lead_on_where_a_step_says_so(gateway: Running, upstream: FaultUpstream) -> None:
    await gateway.create("chains", id="bold", steps=[{"target": "m", "on": ["content_filter"]}, {"target": "n"}])
    upstream.script(Script(cause="content_filter"))
    assert "n" == (await gateway.chat(model="bold")).headers["x-switchgear-model"]
    upstream.script(Script(cause="server"))
    assert 502 == (await gateway.chat(model="bold")).status_code, "a step that says on what leads on to nothing else"


async def test_a_silent_target_is_left_and_not_asked_again(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    upstream.script(Script(hang=True), times=2)
    answer = await gateway.chat(model="c")
    assert ("n", 2) == (answer.headers["x-switchgear-model"], attempts(answer))
    assert 504 == (await gateway.chat(model="m")).status_code


async def test_the_first_token_may_take_as_long_as_its_step_says(gateway: Running, upstream: FaultUpstream) -> None:
    await gateway.create("chains", id="quick", steps=[{"target": "m", "max_latency_ms": 200}, {"target": "n"}])
    upstream.script(Script(delay_ms=700), times=2)
    for stream in (False, True):
        answer = await gateway.chat(model="quick", stream=stream)
        assert "n" == answer.headers["x-switchgear-model"]


async def test_the_last_target_is_tried_again(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(cause="server"))
    answer = await gateway.chat(model="m")
    assert (200, 2) == (answer.status_code, attempts(answer))
    upstream.script(Script(cause="server"), times=2)
    assert 502 == (await gateway.chat(model="m")).status_code


async def test_an_outage_is_not_multiplied(gateway: Running, upstream: FaultUpstream, other: FaultUpstream) -> None:
    for up in (upstream, other):
        up.script(Script(cause="server"), times=1000)
    requests = 60
    answers = [await gateway.chat(model="c") for _ in range(requests)]
    assert {502} == {answer.status_code for answer in answers}
    asked = len(await upstream.ledger.settled()) + len(await other.ledger.settled())
    assert asked <= 2 * requests * 1.2, "two targets a request by plan, a fifth more by retries"
    assert asked >= requests, "the last target is never ejected"


async def test_a_breaker_spares_a_target_that_fails(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(cause="server"), times=1000)
    for _ in range(30):
        assert 200 == (await gateway.chat(model="c")).status_code
    spared = [attempts(await gateway.chat(model="c")) for _ in range(10)]
    assert 8 <= spared.count(1)
    detail = (await gateway.http.get("/health/detailed", headers=gateway.admin.headers)).json()
    states = {target["provider_model"]: target["breaker"]["state"] for target in detail["targets"]}
    assert "open" == states["upstream-model"]
    assert 'switchgear_target_breaker_state{model="m",provider="p"} 2' in (await gateway.http.get("/metrics")).text


async def test_a_broken_stream_is_rescued_whole_where_it_is_held(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    await gateway.create("chains", id="whole", steps=STEPS, recovery="buffer")
    for broken in (Script(cut_after_chunks=2), Script(stall_after_chunks=2), Script(error_event_after=2)):
        upstream.script(broken, times=2)
        text, whole = await events_of(gateway, model="whole")
        assert whole
        assert 1 == text.count('"role":"assistant"'), "one answer, from its beginning"
        assert "error" not in text
        text, whole = await events_of(gateway, model="c")
        assert not whole
        assert '"error"' in text


async def test_a_pause_that_was_asked_for_is_kept(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(cause="rate_limit", headers={"retry-after": "30"}))
    assert 200 == (await gateway.chat(model="c")).status_code
    before = len(await upstream.ledger.settled())
    answers = await asyncio.gather(*(gateway.chat(model="c") for _ in range(10)))
    assert {1} == {attempts(answer) for answer in answers}
    assert before == len(await upstream.ledger.settled())


@pytest.mark.parametrize("script", [Script(hang=True), Script(stall_after_chunks=0)], ids=["silent", "without content"])
async def test_a_plan_takes_no_longer_than_it_may_until_there_is_content(
    gateway: Running, upstream: FaultUpstream, script: Script
) -> None:
    await gateway.create("chains", id="hasty", steps=STEPS, budget={"seconds": 0.4})
    upstream.script(script)
    began = asyncio.get_running_loop().time()
    answer = await gateway.chat(model="hasty", stream=True)
    assert 504 == answer.status_code
    assert 1 == attempts(answer), "there is no time left for another"
    assert 0.35 <= asyncio.get_running_loop().time() - began < 5


async def test_the_first_token_is_waited_for_beyond_a_first_chunk_without_any(
    gateway: Running, upstream: FaultUpstream
) -> None:
    await gateway.create("chains", id="quick", steps=[{"target": "m", "max_latency_ms": 300}, {"target": "n"}])
    upstream.script(Script(stall_after_chunks=0))
    answer = await gateway.chat(model="quick", stream=True)
    assert ("n", 2) == (answer.headers["x-switchgear-model"], attempts(answer))


async def test_a_client_that_tries_again_itself_is_not_helped_to(gateway: Running, upstream: FaultUpstream) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    for count, tries in (("0", 2), ("1", 1)):
        upstream.script(Script(cause="server"), times=tries)
        headers = {**gateway.auth, "x-stainless-retry-count": count}
        answer = await gateway.http.post("/v1/chat/completions", json=body, headers=headers)
        assert (502, tries) == (answer.status_code, attempts(answer))


async def test_the_impatience_of_some_does_not_take_a_target_from_others(
    gateway: Running, upstream: FaultUpstream
) -> None:
    await gateway.create("chains", id="hasty", steps=[{"target": "m", "max_latency_ms": 50}, {"target": "n"}])
    assert 200 == (await gateway.chat(model="m")).status_code
    upstream.script(Script(delay_ms=200), times=40)
    for _ in range(12):
        assert "n" == (await gateway.chat(model="hasty")).headers["x-switchgear-model"]
    assert ("m", 1) == ((told := await gateway.chat(model="c")).headers["x-switchgear-model"], attempts(told))


async def test_no_words_of_a_failure_hold_the_secret_of_the_target_that_failed(
    gateway: Running, upstream: FaultUpstream, other: FaultUpstream
) -> None:
    source = {"backend": "encrypted", "values": {"api_key": "correcthorsebattery"}}
    await gateway.create("credentials", id="plain", type="openai", source=source)
    await gateway.create("providers", id="w", type="openai", base_url=upstream.base_url, credential_id="plain")
    await gateway.create("models", id="small", provider_id="w", provider_model="small", context_window=1000)
    await gateway.patch("/models/n", context_window=9000)
    await gateway.create("chains", id="both", steps=[{"target": "small"}, {"target": "n"}])
    words = {"code": "context_length_exceeded", "message": "too long for correcthorsebattery"}
    upstream.script(Script(status=400, error=words))
    other.script(Script(cause="server"), times=5)
    answer = await gateway.chat(model="both")
    assert "context_length_exceeded" == answer.json()["error"]["code"], "the failure that tells most"
    assert "correcthorse" not in answer.text
