"""OpenAI's own SDK against the gateway."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI, OpenAI

from support.faultup import FaultUpstream, Script, ToolCall
from support.gateway import PROVIDER_KEY, Running
from support.shared import gateway, shared_upstream, upstream

__all__ = ["gateway", "shared_upstream", "upstream"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELLO: Any = [{"role": "user", "content": "Say hello"}]


@pytest_asyncio.fixture(loop_scope="module")
async def client(gateway: Running) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0) as made:
        yield made


def last_body(upstream: FaultUpstream) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(upstream.ledger.entries[-1].body)
    return body


async def test_answers(client: AsyncOpenAI, upstream: FaultUpstream) -> None:
    upstream.script(Script(content="Hello there"))
    answer = await client.chat.completions.create(model="m", messages=HELLO)
    assert answer.choices[0].message.content == "Hello there"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2


async def test_answers_a_client_that_waits(gateway: Running) -> None:
    def ask() -> str | None:
        with OpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0) as client:
            return client.chat.completions.create(model="echo", messages=HELLO).choices[0].message.content

    assert await asyncio.to_thread(ask) == "Say hello"


async def test_streams(client: AsyncOpenAI, upstream: FaultUpstream) -> None:
    upstream.script(Script(content="one two three"))
    stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
    chunks = [chunk async for chunk in stream]
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "one two three"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert [c.usage for c in chunks if c.usage] == [], "the client did not ask for usage"
    assert last_body(upstream)["stream_options"] == {"include_usage": True}


async def test_streams_usage_to_who_asks(client: AsyncOpenAI, upstream: FaultUpstream) -> None:
    upstream.script(Script(content="one two three"))
    stream = await client.chat.completions.create(
        model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    usages = [chunk.usage async for chunk in stream if chunk.usage]
    assert [usage.completion_tokens for usage in usages] == [3]


async def test_streams_from_the_echo(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="echo", messages=HELLO, stream=True, extra_body={"echo": {"chunks": 3}}
    )
    assert "".join([c.choices[0].delta.content or "" async for c in stream if c.choices]) == "Say hello"


async def test_passes_tools_both_ways(client: AsyncOpenAI, upstream: FaultUpstream) -> None:
    calls = (ToolCall(name="weather", arguments='{"city":"Oslo"}'), ToolCall(name="time", arguments='{"zone":"CET"}'))
    tools: Any = [
        {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}, "strict": True}}
    ]
    upstream.script(Script(tool_calls=calls), times=2)
    answer = await client.chat.completions.create(model="m", messages=HELLO, tools=tools, tool_choice="auto")
    got = answer.choices[0].message.tool_calls or []
    assert [(c.function.name, c.function.arguments) for c in got] == [(c.name, c.arguments) for c in calls]  # type: ignore[union-attr]
    assert last_body(upstream)["tools"] == tools
    async with client.chat.completions.stream(model="m", messages=HELLO, tools=tools) as stream:
        final = await stream.get_final_completion()
    got = final.choices[0].message.tool_calls or []
    assert [(c.function.name, c.function.arguments) for c in got] == [(c.name, c.arguments) for c in calls]  # type: ignore[union-attr]


async def test_passes_fields_it_does_not_know(client: AsyncOpenAI, upstream: FaultUpstream) -> None:
    odd = {"top_k": 4, "nested": {"a": [1, 2.5, None, "é"]}}
    await client.chat.completions.create(model="m", messages=HELLO, extra_body=odd, seed=7)
    body = last_body(upstream)
    assert {name: body[name] for name in odd} == odd
    assert body["model"].startswith("upstream-")
    assert sorted(body) == ["messages", "model", "nested", "seed", "top_k"], "nothing is added to a plain call"


async def test_uses_the_defaults_of_the_model_where_the_client_set_none(
    gateway: Running, client: AsyncOpenAI, upstream: FaultUpstream
) -> None:
    config = {"temperature": 0.25, "max_tokens": 5}
    await gateway.create("models", id="tuned", provider_id="p", provider_model="x", config=config)
    await client.chat.completions.create(model="tuned", messages=HELLO, temperature=1)
    body = last_body(upstream)
    assert (body["temperature"], body["max_completion_tokens"]) == (1, 5)
    await client.chat.completions.create(model="tuned", messages=HELLO, max_completion_tokens=9)
    assert (last_body(upstream)["max_completion_tokens"], "max_tokens" in last_body(upstream)) == (9, False)
    assert (await gateway.admin.delete("/models/tuned")).status_code == 204


async def test_says_of_each_answer_what_became_of_it(client: AsyncOpenAI, gateway: Running) -> None:
    raw = await client.chat.completions.with_raw_response.create(
        model="m", messages=HELLO, extra_headers={"x-request-id": "mine-1"}
    )
    headers = raw.headers
    assert len(headers["x-request-id"]) == 32
    assert headers["x-client-request-id"] == "mine-1"
    assert (headers["x-switchgear-model"], headers["x-switchgear-provider"]) == ("m", "p")
    assert (headers["x-switchgear-attempts"], headers["x-switchgear-cache"]) == ("1", "bypass")
    assert [part.partition(";")[0] for part in headers["server-timing"].split(", ")] == [
        "auth",
        "policy",
        "upstream",
        "total",
    ]
    assert raw.parse().choices[0].finish_reason == "stop"
    record = await gateway.usage_of(headers["x-request-id"])
    assert (record["outcome"], record["status"], record["client_request_id"]) == ("complete", 200, "mine-1")


async def test_credentials_of_the_client_do_not_travel(
    client: AsyncOpenAI, gateway: Running, upstream: FaultUpstream
) -> None:
    await client.chat.completions.create(model="m", messages=HELLO, extra_headers={"cookie": "a=b", "x-api-key": "zzz"})
    sent = {name.lower(): value for name, value in upstream.ledger.entries[-1].headers.items()}
    assert sent["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert gateway.key not in str(sent)
    assert sorted(sent) == ["accept-encoding", "authorization", "content-length", "content-type", "host", "user-agent"]


async def test_continues_a_trace(client: AsyncOpenAI, upstream: FaultUpstream) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await client.chat.completions.create(model="m", messages=HELLO, extra_headers={"traceparent": trace})
    sent = {name.lower(): value for name, value in upstream.ledger.entries[-1].headers.items()}
    assert sent["traceparent"].split("-")[1] == trace.split("-")[1]


async def test_wrong_key(gateway: Running) -> None:
    async with AsyncOpenAI(base_url=gateway.base_url, api_key="sg_live_wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.chat.completions.create(model="m", messages=HELLO)
    error = caught.value
    assert (error.status_code, error.code, error.type) == (401, "invalid_api_key", "authentication_error")
    assert error.request_id


async def test_each_carrier_of_a_key_is_as_good(gateway: Running) -> None:
    body = {"model": "echo", "messages": HELLO}
    for headers in ({"x-api-key": gateway.key}, {"api-key": gateway.key}, {"authorization": f"bearer {gateway.key}"}):
        answer = await gateway.http.post("/v1/chat/completions", json=body, headers=headers)
        assert answer.status_code == 200


async def test_unknown_forbidden_and_disabled_models_look_the_same(gateway: Running, client: AsyncOpenAI) -> None:
    await gateway.create("models", id="off", provider_id="p", provider_model="x", enabled=False)
    limited = await gateway.create("api-keys", name="limited", permissions={"models": ["echo"]})
    shapes = []
    async with AsyncOpenAI(base_url=gateway.base_url, api_key=limited["key"], max_retries=0) as narrow:
        for who, model in ((client, "nope"), (client, "off"), (narrow, "m")):
            with pytest.raises(openai.NotFoundError) as caught:
                await who.chat.completions.create(model=model, messages=HELLO)
            error = caught.value
            assert error.request_id
            shapes.append((error.code, error.param, error.type, str(error.body).replace(model, "X")))
    assert len({shape[:3] for shape in shapes}) == 1
    assert shapes[0][:3] == ("model_not_found", "model", "not_found_error")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": HELLO}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": []}, "messages"),
        ({"model": "m", "messages": "hello"}, "messages"),
        ({"model": 3, "messages": HELLO}, "model"),
        ({"model": "m", "messages": HELLO, "stream": "yes"}, "stream"),
    ],
)
async def test_bad_bodies_name_the_field(client: AsyncOpenAI, body: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.post("/chat/completions", body=body, cast_to=object)
    assert (caught.value.param, caught.value.type) == (param, "invalid_request_error")
    assert caught.value.request_id


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"model": "m", "messages": [NaN]}',
        b"\xff\xfe{}",
        b'{"a":' + b"[" * 100_000,
        b'{"model":"\xff"}',
    ],
)
async def test_bodies_that_are_no_json_are_400(gateway: Running, body: bytes) -> None:
    headers = {**gateway.auth, "content-type": "application/json"}
    answer = await gateway.http.post("/v1/chat/completions", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")


async def test_upstream_429(client: AsyncOpenAI, upstream: FaultUpstream) -> None:
    upstream.script(Script(status=429, headers={"retry-after": "7"}))
    with pytest.raises(openai.RateLimitError) as caught:
        await client.chat.completions.create(model="m", messages=HELLO)
    error = caught.value
    assert error.response.headers["retry-after"] == "7"
    assert error.response.headers["x-switchgear-error-source"] == "provider"
    assert error.response.headers["x-switchgear-upstream-status"] == "429"
    assert (error.code, error.type) == ("rate_limit_exceeded", "rate_limit_error")
    assert error.request_id


@pytest.mark.parametrize(
    ("script", "raised", "status", "code"),
    [
        (Script(status=400), openai.BadRequestError, 400, None),
        (Script(status=401), openai.InternalServerError, 502, "upstream_auth"),
        (Script(status=404), openai.NotFoundError, 404, "model_not_found"),
        (Script(status=500), openai.InternalServerError, 502, "upstream_error"),
        (Script(status=503), openai.InternalServerError, 503, "overloaded"),
        (Script(garbage="html"), openai.InternalServerError, 502, "upstream_protocol"),
        (Script(garbage="json"), openai.InternalServerError, 502, "upstream_protocol"),
        (Script(garbage="utf8"), openai.InternalServerError, 502, "upstream_protocol"),
        (Script(garbage="types"), openai.InternalServerError, 502, "upstream_protocol"),
        (Script(garbage="empty"), openai.InternalServerError, 502, None),
        (Script(cut_at=20), openai.InternalServerError, 502, "upstream_cut"),
        (Script(cut_at=20, cut_how="rst"), openai.InternalServerError, 502, "upstream_cut"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_upstream_failures(
    client: AsyncOpenAI, upstream: FaultUpstream, script: Script, raised: type[openai.APIStatusError], status: int,
    code: str | None, stream: bool,
) -> None:  # fmt: skip
    upstream.script(script)
    with pytest.raises(raised) as caught:
        await client.chat.completions.create(model="m", messages=HELLO, stream=stream)
    error = caught.value
    assert error.status_code == status
    if code is not None:
        assert error.code == code
    assert error.request_id
    assert PROVIDER_KEY not in str(error.body)
    assert "<html" not in str(error.body)


async def test_lists_the_models_the_key_may_use(gateway: Running, client: AsyncOpenAI) -> None:
    listed = await client.models.list()
    assert [model.id for model in listed.data] == ["echo", "m"]
    found = await client.models.retrieve("m")
    assert (found.id, found.owned_by, found.object) == ("m", "p", "model")
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("nope")
    first = await gateway.http.get("/v1/models", headers=gateway.auth)
    again = await gateway.http.get("/v1/models", headers={**gateway.auth, "if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_paths_and_methods_that_are_not_there(gateway: Running) -> None:
    for method, path, status in (
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/nothing", 404),
        ("GET", "/v1/x", 404),
    ):
        answer = await gateway.http.request(method, path, headers=gateway.auth)
        assert answer.status_code == status
        assert answer.json()["error"]["type"] in ("invalid_request_error", "not_found_error")
        assert answer.headers["x-request-id"]
