"""The fault upstream speaks each vendor's wire as that vendor's own SDK or documentation has it, and refuses sloppy requests."""

import base64
import datetime as dt
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import anthropic
import httpx
import openai
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from support.faultup import FaultUpstream, Script, ToolCall
from support.faultup.dialects import common, eventstream, sigv4

PNG = base64.b64encode(b"\x89PNG" + b"0" * 60).decode()
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "n": {"type": "integer"}}, "required": ["city"]}
CALLS = (ToolCall("weather", '{"city":"Paris","unit":"C"}'), ToolCall("time", '{"zone":"CET"}'))
HI: list[Any] = [{"role": "user", "content": "two words"}]


@pytest.fixture
async def up() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as upstream:
        upstream.register("text", Script(content="Hello there, you.", strict=True, prompt_tokens=20, cached_tokens=5))
        upstream.register("tools", Script(tool_calls=CALLS, reasoning="let me think", strict=True))
        upstream.register("think", Script(reasoning="let me think", content="So.", redacted="nobody", strict=True))
        upstream.register("see", Script(describe=True, strict=True))
        upstream.register("conform", Script(conform=True, strict=True))
        upstream.register("refuse", Script(refusal="I will not.", strict=True))
        upstream.register("late", Script(content="a b c d", error_event_after=2, strict=True))
        yield upstream


@pytest.fixture
async def http(up: FaultUpstream) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=up.url, headers={"authorization": "Bearer key"}) as client:
        yield client


@pytest.fixture
async def claude(up: FaultUpstream) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=up.url, api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
async def gpt(up: FaultUpstream) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=up.base_url, api_key="k", max_retries=0) as client:
        yield client


def events(body: str) -> list[Any]:
    lines = [line[6:] for line in body.splitlines() if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


# Anthropic Messages


def anthropic_tools(names: tuple[str, ...] = ("weather", "time")) -> list[Any]:
    return [{"name": name, "input_schema": {"type": "object"}} for name in names]


@pytest.mark.parametrize("stream", [True, False])
async def test_messages_tell_text_and_usage_without_the_cached_part(
    up: FaultUpstream, claude: anthropic.AsyncAnthropic, stream: bool
) -> None:
    if stream:
        async with claude.messages.stream(model="claude-fault-text", max_tokens=50, messages=HI) as told:
            message = await told.get_final_message()
    else:
        message = await claude.messages.create(model="claude-fault-text", max_tokens=50, messages=HI)  # type: ignore[assignment]
    assert ["Hello there, you."] == [block.text for block in message.content if block.type == "text"]
    usage = message.usage
    assert (15, 5, 3) == (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens)
    assert "end_turn" == message.stop_reason
    await up.ledger.settled()
    assert (20, 3) == up.ledger.totals()


@pytest.mark.parametrize("stream", [True, False])
async def test_messages_round_trip_of_signed_thinking_and_parallel_tools(
    claude: anthropic.AsyncAnthropic, stream: bool
) -> None:
    ask: dict[str, Any] = {"model": "claude-fault-tools", "max_tokens": 4000, "tools": anthropic_tools()}
    ask["thinking"] = {"type": "enabled", "budget_tokens": 2000}
    async with claude.messages.stream(messages=HI, **ask) as told:
        first = await told.get_final_message() if stream else await claude.messages.create(messages=HI, **ask)
    kinds = [block.type for block in first.content]
    assert ["thinking", "tool_use", "tool_use"] == kinds
    uses = [block for block in first.content if block.type == "tool_use"]
    assert [json.loads(call.arguments) for call in CALLS] == [use.input for use in uses]
    results = [{"type": "tool_result", "tool_use_id": use.id, "content": f"{use.name} ok"} for use in uses]
    said = [block.model_dump(exclude_none=True) for block in first.content]
    again: Any = [*HI, {"role": "assistant", "content": said}, {"role": "user", "content": results}]
    last = await claude.messages.create(messages=again, **ask)
    assert ["The tools said: weather ok; time ok"] == [block.text for block in last.content if block.type == "text"]
    said[0]["thinking"] = "something else"
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
        await claude.messages.create(messages=again, **ask)


SLOPPY_MESSAGES: list[tuple[str, dict[str, Any]]] = [
    ("unknown field `n`", {"n": 2}),
    ("`null`", {"stop_sequences": None}),
    ("first message must use the user role", {"messages": [{"role": "assistant", "content": "x"}]}),
    ("missing required field `max_tokens`", {"max_tokens": ...}),
    ("must be greater than", {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 100}),
    ("only be set to 1", {"thinking": {"type": "adaptive"}, "temperature": 0.5}),
    ("non-whitespace", {"messages": [{"role": "user", "content": ""}]}),
    ("while providing tools", {"tool_choice": {"type": "any"}}),
    (
        "without `tool_result`",
        {
            "messages": [
                *HI,
                {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
                *HI,
            ]
        },
    ),
    (
        "unexpected `tool_use_id`",
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]}]},
    ),
]


@pytest.mark.parametrize(("words", "members"), SLOPPY_MESSAGES, ids=[words for words, _ in SLOPPY_MESSAGES])
async def test_messages_refuse_what_the_vendor_refuses(
    http: httpx.AsyncClient, words: str, members: dict[str, Any]
) -> None:
    body = {"model": "fault-text", "max_tokens": 50, "messages": HI, **members}
    body = {name: value for name, value in body.items() if value is not ...}
    answer = await http.post("/v1/messages", json=body, headers={"anthropic-version": "2023-06-01"})
    assert (400, "invalid_request_error") == (answer.status_code, answer.json()["error"]["type"])
    assert words in answer.json()["error"]["message"]


async def test_messages_see_images_conform_refuse_count_and_list(claude: anthropic.AsyncAnthropic) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    look: Any = [{"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "?"}]}]
    seen = await claude.messages.create(model="fault-see", max_tokens=9, messages=look)
    assert ["I see image/png of 64 bytes."] == [block.text for block in seen.content if block.type == "text"]
    held: Any = {"format": {"type": "json_schema", "schema": SCHEMA}}
    json_answer = await claude.messages.create(model="fault-conform", max_tokens=9, messages=HI, output_config=held)
    assert [{"city": "text", "n": 7}] == [
        json.loads(block.text) for block in json_answer.content if block.type == "text"
    ]
    refused = await claude.messages.create(model="fault-refuse", max_tokens=9, messages=HI)
    assert "refusal" == refused.stop_reason
    assert 20 == (await claude.messages.count_tokens(model="fault-text", messages=HI)).input_tokens
    listed = [model.id async for model in claude.models.list()]  # in two pages
    assert ["claude-sonnet-4-5", "claude-opus-4-5", "claude-haiku-4-5"] == listed


async def test_messages_errors_raise_the_sdks_own_exceptions(
    up: FaultUpstream, claude: anthropic.AsyncAnthropic
) -> None:
    expected: dict[Any, type[anthropic.APIStatusError]] = {
        "invalid_request": anthropic.BadRequestError,
        "context_length": anthropic.BadRequestError,
        "auth": anthropic.AuthenticationError,
        "permission": anthropic.PermissionDeniedError,
        "not_found": anthropic.NotFoundError,
        "rate_limit": anthropic.RateLimitError,
        "overloaded": anthropic.InternalServerError,
        "server": anthropic.InternalServerError,
    }
    for cause, kind in expected.items():
        up.register("error", Script(cause=cause))
        with pytest.raises(kind):
            await claude.messages.create(model="fault-error", max_tokens=9, messages=HI)
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        async with claude.messages.stream(model="fault-late", max_tokens=9, messages=HI) as told:
            await told.get_final_message()
    assert not up.ledger.entries[-2].billed
    await up.ledger.settled()
    assert 2 == up.ledger.entries[-1].completion_tokens


# OpenAI Responses


@pytest.mark.parametrize("stream", [True, False])
async def test_responses_round_trip_of_reasoning_and_parallel_tools(gpt: openai.AsyncOpenAI, stream: bool) -> None:
    tools: Any = [{"type": "function", "name": call.name, "parameters": {}, "strict": False} for call in CALLS]
    ask: dict[str, Any] = {"model": "fault-tools", "tools": tools, "include": ["reasoning.encrypted_content"]}
    ask["reasoning"] = {"effort": "low", "summary": "auto"}
    if stream:
        async with gpt.responses.stream(input="two words", **ask) as told:
            kinds = [event.type async for event in told]
            first = await told.get_final_response()
        assert ("response.created", "response.completed") == (kinds[0], kinds[-1])
    else:
        first = await gpt.responses.create(input="two words", **ask)
    assert ["reasoning", "function_call", "function_call"] == [item.type for item in first.output]
    calls = [item for item in first.output if item.type == "function_call"]
    assert [call.arguments for call in CALLS] == [call.arguments for call in calls]
    assert first.usage is not None
    assert 3 == first.usage.output_tokens_details.reasoning_tokens
    said: list[Any] = [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output]
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "fine"} for call in calls]
    again = await gpt.responses.create(input=[*said, *results], **ask)
    assert "The tools said: fine; fine" == again.output_text
    with pytest.raises(openai.BadRequestError, match="No tool output found"):
        await gpt.responses.create(input=[*said, results[0]], **ask)


async def test_responses_text_image_schema_refusal_and_stream_error(gpt: openai.AsyncOpenAI) -> None:
    text = await gpt.responses.create(model="fault-text", input="two words", max_output_tokens=16)
    assert text.usage is not None
    details = text.usage.input_tokens_details
    assert ("Hello there, you.", 20, 5) == (text.output_text, text.usage.input_tokens, details.cached_tokens)
    image: Any = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
    seen = await gpt.responses.create(model="fault-see", input=[{"role": "user", "content": [image]}])
    assert "I see image/png of 64 bytes." == seen.output_text
    held: Any = {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA}}
    assert {"city": "text", "n": 7} == json.loads(
        (await gpt.responses.create(model="fault-conform", input="x", text=held)).output_text
    )
    refused = await gpt.responses.create(model="fault-refuse", input="x")
    assert "refusal" == refused.output[0].content[0].type  # type: ignore[union-attr]
    late = [event async for event in await gpt.responses.create(model="fault-late", input="x", stream=True)]
    assert "error" == late[-1].type
    with pytest.raises(openai.BadRequestError, match="unknown field `messages`"):
        await gpt.responses.create(model="fault-text", input="x", extra_body={"messages": []})


# OpenAI chat, strictly; Azure


SLOPPY_CHAT: list[tuple[str, dict[str, Any]]] = [
    ("unknown field `top_k`", {"top_k": 5}),
    (
        "unknown field `reasoning_content`",
        {"messages": [{"role": "assistant", "content": "x", "reasoning_content": "y"}]},
    ),
    ("must be a response to", {"messages": [{"role": "tool", "tool_call_id": "a", "content": "x"}]}),
    ("only allowed when", {"stream_options": {"include_usage": True}}),
    ("only allowed", {"tool_choice": "auto"}),
]


@pytest.mark.parametrize(("words", "members"), SLOPPY_CHAT, ids=[words for words, _ in SLOPPY_CHAT])
async def test_strict_chat_refuses_what_openai_refuses_and_a_compatible_server_does_not(
    http: httpx.AsyncClient, words: str, members: dict[str, Any]
) -> None:
    body = {"model": "fault-text", "messages": HI, **members}
    answer = await http.post("/v1/chat/completions", json=body)
    assert (400, True) == (answer.status_code, words in answer.json()["error"]["message"])
    assert 200 == (await http.post("/lenient/v1/chat/completions", json=body)).status_code


async def test_azure_takes_deployments_and_v1_and_refuses_in_its_own_words(up: FaultUpstream) -> None:
    options: dict[str, Any] = {"azure_endpoint": up.url, "api_version": "2025-01-01", "max_retries": 0}
    async with openai.AsyncAzureOpenAI(api_key="k", **options) as azure:
        answer = await azure.chat.completions.create(model="fault-text", messages=HI)
        assert "Hello there, you." == answer.choices[0].message.content
        pieces = [
            piece async for piece in await azure.chat.completions.create(model="fault-text", messages=HI, stream=True)
        ]
        assert [] == pieces[0].choices
        up.register("filter", Script(cause="content_filter"))
        with pytest.raises(openai.BadRequestError) as caught:
            await azure.chat.completions.create(model="fault-filter", messages=HI)
        assert "content_filter" == caught.value.code
    async with openai.AsyncOpenAI(base_url=f"{up.url}/openai/v1", api_key="issued-999999", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="fault-text", messages=HI)
    form = {"grant_type": "client_credentials", "client_id": "app", "client_secret": "s", "scope": "https://x/.default"}
    async with httpx.AsyncClient(base_url=up.url) as http:
        token = (await http.post("/tenant/oauth2/v2.0/token", data=form)).json()["access_token"]
    async with openai.AsyncOpenAI(base_url=f"{up.url}/openai/v1", api_key=token, max_retries=0) as client:
        assert "Hello there, you." == (await client.responses.create(model="fault-text", input="x")).output_text


# Bedrock


def signed(
    path: str, body: bytes, *, secret: str = sigv4.SECRET_KEY, method: str = "POST", host: str
) -> dict[str, str]:
    """Sign a request by the documentation's steps."""
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/us-east-1/bedrock/aws4_request"
    headers = f"host:{host}\nx-amz-date:{stamp}\n"
    digest = hashlib.sha256(body).hexdigest()
    canonical = f"{method}\n{quote(path, safe='/-_.~')}\n\n{headers}\nhost;x-amz-date\n{digest}"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"Credential={sigv4.ACCESS_KEY}/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}"
    return {"authorization": f"AWS4-HMAC-SHA256 {credential}", "x-amz-date": stamp}


async def bedrock(up: FaultUpstream, model: str, method: str, body: Any, **options: Any) -> httpx.Response:
    data = json.dumps(body).encode()
    path = f"/model/{quote(model, safe='')}/{method}"
    headers = signed(path, data, host=f"{up.host}:{up.port}", **options)
    async with httpx.AsyncClient() as client:
        return await client.post(f"{up.url}{path}", content=data, headers=headers)


def converse(*more: Any, **members: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"text": "two words"}]}, *more], **members}


TOOL_CONFIG = {
    "tools": [{"toolSpec": {"name": call.name, "inputSchema": {"json": {"type": "object"}}}} for call in CALLS]
}


async def test_converse_round_trip_of_signed_reasoning_and_parallel_tools(up: FaultUpstream) -> None:
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 2000}}
    ask = converse(toolConfig=TOOL_CONFIG, additionalModelRequestFields=thinking)
    whole = (await bedrock(up, "anthropic.claude:fault-tools", "converse", ask)).json()
    content = whole["output"]["message"]["content"]
    assert ["reasoningContent", "toolUse", "toolUse"] == [next(iter(block)) for block in content]
    assert "tool_use" == whole["stopReason"]
    stream = await bedrock(up, "anthropic.claude:fault-tools", "converse-stream", ask)
    assert "application/vnd.amazon.eventstream" == stream.headers["content-type"]
    told = [(head[":event-type"], json.loads(payload)) for head, payload in eventstream.frames(stream.content)]
    inputs = ["", "", ""]
    for kind, event in told:
        if kind == "contentBlockDelta" and "toolUse" in event["delta"]:
            inputs[event["contentBlockIndex"]] += event["delta"]["toolUse"]["input"]
    assert ["", *(call.arguments for call in CALLS)] == inputs
    assert ["messageStart", "messageStop", "metadata"] == [told[0][0], told[-2][0], told[-1][0]]
    uses = [block["toolUse"]["toolUseId"] for block in content[1:]]
    results = [{"toolResult": {"toolUseId": use, "content": [{"text": "fine"}]}} for use in uses]
    turns = ({"role": "assistant", "content": content}, {"role": "user", "content": results})
    again = converse(*turns, toolConfig=TOOL_CONFIG, additionalModelRequestFields=thinking)
    last = (await bedrock(up, "fault-tools", "converse", again)).json()
    assert [{"text": "The tools said: fine; fine"}] == last["output"]["message"]["content"]


SLOPPY_CONVERSE: list[tuple[str, dict[str, Any]]] = [
    ("unknown field `model`", converse(model="x")),
    ("must alternate", converse({"role": "user", "content": [{"text": "x"}]})),
    ("exactly one member", {"messages": [{"role": "user", "content": [{"text": "x", "cachePoint": {"type": "default"}}]}]}),
    ("must start with a user", {"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}),
    ("toolConfig field must be defined", converse(
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "a", "name": "f", "input": {}}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "a", "content": [{"text": "x"}]}}]},
    )),
    ("blank", {"messages": [{"role": "user", "content": [{"text": " "}]}]}),
]  # fmt: skip


@pytest.mark.parametrize(("words", "body"), SLOPPY_CONVERSE, ids=[words for words, _ in SLOPPY_CONVERSE])
async def test_converse_refuses_what_the_vendor_refuses(up: FaultUpstream, words: str, body: dict[str, Any]) -> None:
    answer = await bedrock(up, "fault-text", "converse", body)
    assert 400 == answer.status_code
    assert answer.headers["x-amzn-errortype"].startswith("ValidationException")
    assert words in answer.json()["message"]


async def test_bedrock_checks_the_signature_counts_embeds_and_fails_in_the_stream(up: FaultUpstream) -> None:
    bad = await bedrock(up, "fault-text", "converse", converse(), secret="another")
    assert (403, True) == (bad.status_code, "does not match" in bad.json()["message"])
    count = await bedrock(up, "fault-text", "count-tokens", {"input": {"converse": converse()}})
    assert {"inputTokens": 20} == count.json()
    titan = await bedrock(up, "amazon.titan-embed-fault-text", "invoke", {"inputText": "two words", "dimensions": 256})
    assert (256, 20) == (len(titan.json()["embedding"]), titan.json()["inputTextTokenCount"])
    cohere = {"texts": ["a", "b"], "input_type": "search_query", "embedding_types": ["float"]}
    vectors = await bedrock(up, "cohere.embed-fault-text", "invoke", cohere)
    assert 2 == len(vectors.json()["embeddings"]["float"])
    late = await bedrock(up, "fault-late", "converse-stream", converse())
    *_, (head, _) = eventstream.frames(late.content)
    assert ("exception", "throttlingException") == (head[":message-type"], head[":exception-type"])


@given(
    st.dictionaries(st.text("abc:-", min_size=1, max_size=9), st.text(max_size=9), max_size=4), st.binary(max_size=99)
)
def test_event_stream_messages_survive_and_every_flipped_bit_is_seen(headers: dict[str, str], payload: bytes) -> None:
    data = eventstream.frame(headers, payload)
    assert [(headers, payload)] == list(eventstream.frames(data))
    for at in range(0, len(data), 5):
        broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(ValueError, match=r"bad|cut"):
            list(eventstream.frames(broken))


# Gemini, Vertex AI


GEMINI = "/v1beta/models/gemini-3-fault-"
VERTEX = "/v1/projects/p/locations/l/publishers/google/models/gemini-fault-"
DECLARED = [{"functionDeclarations": [{"name": call.name, "parameters": {"type": "OBJECT"}} for call in CALLS]}]


def contents(*more: Any, **members: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": "two words"}]}, *more], **members}


async def test_gemini_round_trip_of_signed_calls(http: httpx.AsyncClient) -> None:
    ask = contents(tools=DECLARED, generationConfig={"thinkingConfig": {"includeThoughts": True}})
    whole = (await http.post(f"{GEMINI}tools:generateContent", json=ask)).json()
    parts = whole["candidates"][0]["content"]["parts"]
    assert ["text", "functionCall", "functionCall"] == [next(iter(part)) for part in parts]
    assert [False, True, False] == ["thoughtSignature" in part for part in parts]
    assert 3 == whole["usageMetadata"]["thoughtsTokenCount"]
    answers = [{"functionResponse": {"name": call.name, "response": {"result": "fine"}}} for call in CALLS]
    turns = (whole["candidates"][0]["content"], {"role": "user", "parts": answers})
    last = (await http.post(f"{GEMINI}tools:generateContent", json=contents(*turns, tools=DECLARED))).json()
    assert (
        'The tools said: {"result":"fine"}; {"result":"fine"}' == last["candidates"][0]["content"]["parts"][0]["text"]
    )
    del parts[1]["thoughtSignature"]
    unsigned = await http.post(f"{GEMINI}tools:generateContent", json=contents(*turns, tools=DECLARED))
    assert (400, True) == (unsigned.status_code, "thought_signature" in unsigned.json()["error"]["message"])


@pytest.mark.parametrize("where", [GEMINI, VERTEX])
async def test_gemini_streams_sees_conforms_counts_and_blocks(http: httpx.AsyncClient, where: str) -> None:
    stream = events((await http.post(f"{where}text:streamGenerateContent?alt=sse", json=contents())).text)
    texts = [event["candidates"][0]["content"]["parts"][0]["text"] for event in stream]
    assert ("Hello there, you.", "STOP") == ("".join(texts), stream[-1]["candidates"][0]["finishReason"])
    usage = stream[-1]["usageMetadata"]
    assert (20, 5, 3) == tuple(usage[f"{name}TokenCount"] for name in ("prompt", "cachedContent", "candidates"))
    image = {"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": PNG}}]}]}
    seen = (await http.post(f"{where}see:generateContent", json=image)).json()
    assert "I see image/png of 64 bytes." == seen["candidates"][0]["content"]["parts"][0]["text"]
    config = {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
    held = (await http.post(f"{where}conform:generateContent", json=contents(generationConfig=config))).json()
    assert {"city": "text", "n": 7} == json.loads(held["candidates"][0]["content"]["parts"][0]["text"])
    assert 20 == (await http.post(f"{where}text:countTokens", json=contents())).json()["totalTokens"]
    blocked = (await http.post(f"{where}refuse:generateContent", json=contents())).json()
    assert "PROHIBITED_CONTENT" == blocked["promptFeedback"]["blockReason"]


SLOPPY_GEMINI: list[tuple[str, dict[str, Any]]] = [
    ("unknown field `max_tokens`", contents(max_tokens=3)),
    ('Unknown name "$schema"', contents(tools=[{"functionDeclarations": [{"name": "f", "parameters": {"$schema": "x"}}]}])),
    ("number of function response parts", contents({"role": "user", "parts": [
        {"functionResponse": {"name": "f", "response": {}}}]})),
    ("exactly one", {"contents": [{"parts": [{"text": "x", "inlineData": {"mimeType": "a/b", "data": "QQ=="}}]}]}),
    ("response_mime_type", contents(generationConfig={"responseSchema": {"type": "OBJECT"}})),
]  # fmt: skip


@pytest.mark.parametrize(("words", "body"), SLOPPY_GEMINI, ids=[words for words, _ in SLOPPY_GEMINI])
async def test_gemini_refuses_what_the_vendor_refuses(
    http: httpx.AsyncClient, words: str, body: dict[str, Any]
) -> None:
    answer = await http.post(f"{GEMINI}text:generateContent", json=body)
    assert (400, "INVALID_ARGUMENT") == (answer.status_code, answer.json()["error"]["status"])
    assert words in answer.json()["error"]["message"]


async def test_gemini_embeddings_of_every_address(http: httpx.AsyncClient) -> None:
    content = {"parts": [{"text": "two words"}]}
    requests = [{"model": "models/m", "content": content}, {"model": "models/m", "content": content}]
    batch = (await http.post(f"{GEMINI}text:batchEmbedContents", json={"requests": requests})).json()
    assert 2 == len(batch["embeddings"])
    one = (await http.post(f"{GEMINI}text:embedContent", json={"content": content, "outputDimensionality": 3})).json()
    assert 3 == len(one["embedding"]["values"])
    instances = {"instances": [{"content": "two words"}], "parameters": {"outputDimensionality": 4}}
    predicted = (await http.post(f"{VERTEX}text:predict", json=instances)).json()["predictions"][0]["embeddings"]
    assert (4, 2) == (len(predicted["values"]), predicted["statistics"]["token_count"])


async def test_claude_on_vertex_takes_the_model_from_the_url_alone(http: httpx.AsyncClient) -> None:
    path = "/v1/projects/p/locations/l/publishers/anthropic/models/claude-fault-text"
    body = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "messages": HI}
    assert "Hello there, you." == (await http.post(f"{path}:rawPredict", json=body)).json()["content"][0]["text"]
    told = events((await http.post(f"{path}:streamRawPredict", json={**body, "stream": True})).text)
    assert "message_stop" == told[-1]["type"]
    assert 400 == (await http.post(f"{path}:rawPredict", json={**body, "model": "x"})).status_code
    count = {"model": "claude-fault-text", "messages": HI}
    counted = await http.post(f"{path.rpartition('/')[0]}/count-tokens:rawPredict", json=count)
    assert {"input_tokens": 20} == counted.json()


async def test_google_trades_a_signed_assertion_for_a_token_and_a_wrong_one_for_nothing(
    up: FaultUpstream, http: httpx.AsyncClient
) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    up.desk.public_keys["sa@p.iam"] = public

    def assertion(**claims: Any) -> str:
        now = int(time.time())
        told = {"iss": "sa@p.iam", "scope": "s", "aud": f"{up.url}/token", "iat": now, "exp": now + 3600, **claims}
        parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "RS256"}, told)]
        signature = key.sign(b".".join(parts), padding.PKCS1v15(), SHA256())
        return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()

    async def ask(text: str) -> httpx.Response:
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": text}
        return await http.post("/token", data=form)

    token = (await ask(assertion())).json()["access_token"]
    good = await http.post(
        f"{VERTEX}text:generateContent", json=contents(), headers={"authorization": f"Bearer {token}"}
    )
    assert 200 == good.status_code
    for wrong in (assertion(iss="other"), assertion(exp=1), assertion()[:-8] + "AAAAAAAA", "x.y.z"):
        assert "invalid_grant" == (await ask(wrong)).json()["error"]
    up.desk.revoke()
    late = await http.post(
        f"{VERTEX}text:generateContent", json=contents(), headers={"authorization": f"Bearer {token}"}
    )
    assert (401, "UNAUTHENTICATED") == (late.status_code, late.json()["error"]["status"])


# GigaChat


@pytest.fixture
async def giga(up: FaultUpstream) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": "Basic a2V5", "rquid": "6f0b1291-c7f3-43c6-bb2e-9f3efb2dc98e"}
    async with httpx.AsyncClient(base_url=up.url) as client:
        made = (await client.post("/api/v2/oauth", data={"scope": "GIGACHAT_API_PERS"}, headers=headers)).json()
        assert made["expires_at"] > time.time() * 1000
        client.headers["authorization"] = f"Bearer {made['access_token']}"
        yield client


async def test_gigachat_speaks_calls_one_function_and_wants_its_result_as_json(giga: httpx.AsyncClient) -> None:
    path = "/api/v1/chat/completions"
    text = (await giga.post(path, json={"model": "fault-text", "messages": HI})).json()
    assert ("Hello there, you.", 5) == (
        text["choices"][0]["message"]["content"],
        text["usage"]["precached_prompt_tokens"],
    )
    told = events((await giga.post(path, json={"model": "fault-text", "messages": HI, "stream": True})).text)
    assert "Hello there, you." == "".join(event["choices"][0]["delta"]["content"] for event in told[:-1])
    assert "[DONE]" == told[-1]
    functions = [{"name": call.name, "parameters": {"type": "object"}} for call in CALLS]
    ask = {"model": "fault-tools", "functions": functions, "messages": HI}
    called = (await giga.post(path, json=ask)).json()["choices"][0]
    assert ("function_call", {"name": "weather", "arguments": {"city": "Paris", "unit": "C"}}) == (
        called["finish_reason"],
        called["message"]["function_call"],
    )
    result = {"role": "function", "name": "weather", "content": "not json"}
    bad = await giga.post(path, json={**ask, "messages": [*HI, called["message"], result]})
    assert (422, True) == (bad.status_code, "valid JSON" in bad.json()["message"])
    good = await giga.post(path, json={**ask, "messages": [*HI, called["message"], {**result, "content": '"fine"'}]})
    assert 'The tools said: "fine"' == good.json()["choices"][0]["message"]["content"]
    assert 422 == (await giga.post(path, json={**ask, "tools": []})).status_code


async def test_gigachat_wants_a_token_of_its_own(
    up: FaultUpstream, http: httpx.AsyncClient, giga: httpx.AsyncClient
) -> None:
    ask = {"model": "fault-text", "messages": HI}
    assert 401 == (await http.post("/api/v1/chat/completions", json=ask)).status_code
    assert 2 == len((await giga.get("/api/v1/models")).json()["data"])
    up.desk.revoke()
    late = await giga.post("/api/v1/chat/completions", json=ask)
    assert {"status": 401, "message": "Token has expired"} == late.json()


# What all share


def test_a_value_is_made_for_any_schema_of_the_tests() -> None:
    nested = {"type": "OBJECT", "properties": {"a": {"$ref": "#/$defs/x"}, "b": {"type": ["null", "number"]}}}
    expected = {"a": ["one"], "b": 1.5}
    assert expected == common.conforming(
        {**nested, "$defs": {"x": {"type": "array", "items": {"enum": ["one", "two"]}}}}
    )


async def test_cuts_and_stalls_work_in_every_wire(up: FaultUpstream) -> None:
    up.register("cut", Script(content="a b c d", cut_after_chunks=2))
    with pytest.raises(httpx.RemoteProtocolError):
        await bedrock(up, "fault-cut", "converse-stream", converse())
    await up.ledger.settled()
    assert ("cut", 2) == (up.ledger[-1].finish, up.ledger[-1].completion_tokens)
