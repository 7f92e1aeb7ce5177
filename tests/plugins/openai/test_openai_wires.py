"""OpenAI's wires as the vendor documents them: recorded answers and streams go back byte by byte, understood on the way."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.golden import call_of, check_every_cut, files, read
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import Call, ProviderConfig, ProviderFault, TargetModel
from switchgear.contracts.usage import Usage
from switchgear.errors import ConnectionBroken, InvalidRequest, ResponseTooLarge, SecretUnavailable
from switchgear.testing.provider_suite import MODEL, RecordedHead
from switchgear.wire.members import raw
from switchgear_plugins.openai.provider import OpenAIProvider
from switchgear_plugins.openai.settings import OpenAIProviderSettings

GOLDEN = Path(__file__).parent / "golden"
PROVIDER = OpenAIProvider(ProviderConfig("p", None, {}, OpenAIProviderSettings()))
KEY = Secret({"api_key": "k"})
HELLO = [{"role": "user", "content": "Say hello"}]


def wire_of(path: Path) -> str:
    for wire, stems in (("responses", "response"), ("completions", "completion"), ("embeddings", "embedding")):
        if path.stem.startswith(stems):
            return wire
    return "chat"


def streamed(wire: str, *, usage_wanted: bool = True) -> Call:
    return call_of(wire, {"model": "m", "messages": HELLO, "stream": True}, usage_wanted=usage_wanted)


def payloads(stream: bytes) -> list[bytes]:
    return [line[6:] for line in stream.splitlines() if line.startswith(b"data: ") and line != b"data: [DONE]"]


@pytest.mark.parametrize("path", files(GOLDEN, "*.sse"))
def test_forwards_every_event_of_a_stream_as_it_came(path: Path) -> None:
    stream = path.read_bytes()
    call = streamed(wire_of(path))
    events = check_every_cut(lambda: PROVIDER.decoder(call, RecordedHead()), stream)
    mended = [it.replace(b'"id":null,"type":null,', b"").replace(b'"name":null,', b"") for it in payloads(stream)]
    assert mended == [event.data for event in events if event.data]
    assert any(event.terminal for event in events)
    assert any(event.content for event in events)
    assert [True] == [event.last for event in events if event.last]
    assert 1 == len([event for event in events if event.usage])


def usage_in(name: str) -> Usage | None:
    path = GOLDEN / name
    decoder = PROVIDER.decoder(streamed(wire_of(path)), RecordedHead())
    return next(event.usage for event in decoder.feed(path.read_bytes()) if event.usage)


def test_reads_cached_and_reasoning_tokens() -> None:
    assert Usage.of(input=82, output=34, cached_input=64) == usage_in("tools.sse")
    assert Usage.of(input=82, output=340, cached_input=64, reasoning=320) == usage_in("reasoning.sse")
    assert Usage.of(input=328, output=52, cached_input=256, reasoning=30) == usage_in("responses.sse")
    assert Usage.of(input=5, output=7) == usage_in("completions.sse")


def test_a_response_whose_total_says_more_has_thought_it() -> None:
    usage = {"input_tokens": 10.0, "output_tokens": 35, "total_tokens": 420}
    body = json.dumps({"status": "completed", "output": [], "usage": usage}).encode()
    answer = PROVIDER.decode(call_of("responses", {}), RecordedHead(), body)
    assert Usage({"input": 10, "output": 35, "reasoning": 375}) == answer.usage


def test_names_response_events_by_their_type() -> None:
    stream = (GOLDEN / "responses.sse").read_bytes()
    events = read(PROVIDER.decoder(streamed("responses"), RecordedHead()), stream)
    assert [line[7:] for line in stream.splitlines() if line.startswith(b"event: ")] == [e.name for e in events]
    unnamed = b"".join(line + b"\n" for line in stream.splitlines() if not line.startswith(b"event: "))
    assert events == read(PROVIDER.decoder(streamed("responses"), RecordedHead()), unnamed)


def test_a_done_marker_does_not_complete_a_response() -> None:
    head = (GOLDEN / "responses.sse").read_bytes().partition(b"event: response.completed")[0]
    with pytest.raises(ConnectionBroken):
        read(PROVIDER.decoder(streamed("responses"), RecordedHead()), head + b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("name", "finish", "usage"),
    [
        (
            "response.json",
            "stop",
            Usage.of(input=328, output=52, cached_input=256, reasoning=30),
        ),
        ("response_tools.json", "tool_calls", Usage.of(328, 52, cached_input=256, reasoning=30)),
        ("response_incomplete.json", "length", Usage.of(328, 52, cached_input=256, reasoning=30)),
        ("completion.json", "length", Usage.of(input=5, output=7)),
        ("embeddings.json", None, Usage.of(input=8)),
    ],
)
def test_forwards_a_whole_answer_as_it_came(name: str, finish: str | None, usage: Usage) -> None:
    body = (GOLDEN / name).read_bytes()
    answer = PROVIDER.decode(call_of(wire_of(GOLDEN / name), {}), RecordedHead(), body)
    assert (body, finish, usage) == (answer.body, answer.finish_reason, answer.usage)


@pytest.mark.parametrize("wire", ["chat", "responses", "completions", "embeddings"])
@pytest.mark.parametrize(
    "body", [b"", b"<html>502</html>", b"{", b"[]", b"null", b'{"a":"\xff"}', b"{}", b'{"data":[]}']
)
def test_something_that_is_no_answer_is_a_fault(wire: str, body: bytes) -> None:
    with pytest.raises(ProviderFault) as caught:
        PROVIDER.decode(call_of(wire, {}), RecordedHead(), body)
    assert "protocol" == caught.value.cause


FAILED = '{"status":"failed","output":[],"error":{"code":"%s","message":"No."}}'


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("server_error", "server"),
        ("rate_limit_exceeded", "rate_limit"),
        ("invalid_prompt", "invalid_request"),
        ("bio_policy", "content_filter"),
        ("image_content_policy_violation", "content_filter"),
        ("vector_store_timeout", "timeout"),
        ("image_too_large", "invalid_request"),
        ("invalid_base64_image", "invalid_request"),
        ("context_length_exceeded", "context_length"),
        ("never_heard_of", "server"),
    ],
)
def test_a_failed_response_is_a_fault_whole_and_in_a_stream(code: str, cause: str) -> None:
    failed = FAILED % code
    with pytest.raises(ProviderFault) as caught:
        PROVIDER.decode(call_of("responses", {}), RecordedHead(), failed.encode())
    events = PROVIDER.decoder(streamed("responses"), RecordedHead()).feed(
        b'event: response.created\ndata: {"type":"response.created","response":{}}\n\n'
        + f'data: {{"type":"response.failed","response":{failed}}}\n\n'.encode()
    )
    flat = PROVIDER.decoder(streamed("responses"), RecordedHead()).feed(
        f'data: {{"type":"error","code":"{code}","message":"No.","param":null}}\n\n'.encode()
    )
    faults = [caught.value, events[-1].fault, flat[-1].fault]
    assert [(cause, "No.", code)] * 3 == [(f.cause, f.message, f.code) for f in faults if f is not None]
    assert [False, True] == [event.last for event in events]
    assert b"response.created" == events[0].name


@pytest.mark.parametrize("wire", ["chat", "completions"])
@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        (b'{"error":{"message":"slow","type":"requests","code":"rate_limit_exceeded"}}', "rate_limit"),
        (b'{"error":{"message":"down","code":502}}', "server"),
        (b'{"error":{"message":"wait","code":429}}', "rate_limit"),
        (b'{"error":"oops"}', "server"),
        (b"<html>", "protocol"),
        (b'{"choices":1}', "protocol"),
        (b'{"a":"\xff"}', "protocol"),
    ],
)
def test_what_came_before_a_failure_in_a_stream_is_kept(wire: str, payload: bytes, cause: str) -> None:
    good = b'data: {"choices":[{"index":0,"text":"Hi","delta":{"content":"Hi"}}]}\n\n'
    events = PROVIDER.decoder(streamed(wire), RecordedHead()).feed(good + b"data: " + payload + b"\n\n" + good)
    assert [good[6:-2], b""] == [event.data for event in events]
    assert events[1].last
    assert events[1].fault is not None
    assert cause == events[1].fault.cause


@given(
    wire=st.sampled_from(["chat", "responses", "completions"]),
    lines=st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(
                [
                    b"[DONE]",
                    b'{"type":"response.completed","response":{}}',
                    b'{"type":"response.completed","response":{"usage":{"input_tokens":-1,"output_tokens":9e99}}}',
                    b'{"type":"a\\nb"}',
                    b'{"type":"response.failed","response":{"error":{"code":[1],"message":{}}}}',
                    b'{"error":{"message":["x"],"code":{"a":1},"param":7}}',
                    b'{"detail":[{"loc":["body","n"],"msg":"bad"}]}',
                ]
            ),
        ),
        max_size=6,
    ),
)
def test_hostile_streams_end_in_events_or_typed_errors(wire: str, lines: list[bytes]) -> None:
    decoder = PROVIDER.decoder(streamed(wire), RecordedHead())
    try:
        events = decoder.feed(b"".join(b"data: " + line + b"\n\n" for line in lines))
        assert all(not event.last for event in events[:-1])
        assert all(b"\n" not in (event.name or b"") for event in events)
        decoder.close()
    except (ProviderFault, ConnectionBroken, ResponseTooLarge):
        return
    assert any(event.terminal for event in events)


@pytest.mark.parametrize(
    ("wire", "path"),
    [
        ("chat", "/chat/completions"),
        ("embeddings", "/embeddings"),
        ("completions", "/completions"),
        ("responses", "/responses"),
    ],
)
def test_sends_each_wire_to_its_path_untouched_but_for_the_model(wire: str, path: str) -> None:
    body = {
        "model": "m",
        "odd": {"a": [1, 2.5, None]},
        "input": "x",
        "top_k": 3,
        "cache_control": {"type": "ephemeral"},
    }
    request = PROVIDER.prepare(call_of(wire, body), MODEL, KEY)
    assert f"https://api.openai.com/v1{path}" == request.url
    assert {**body, "model": "provider-name"} == json.loads(request.body)


def test_asks_for_usage_where_the_wire_has_the_member() -> None:
    asked = {
        wire: "stream_options" in json.loads(PROVIDER.prepare(streamed(wire), MODEL, KEY).body)
        for wire in ("chat", "completions", "responses")
    }
    assert {"chat": True, "completions": True, "responses": False} == asked


DEFAULTS = {"temperature": 0.5, "max_tokens": 9, "stop": ["x"], "seed": 1, "reasoning_effort": "low"}
TUNED = TargetModel("m", "p", raw("p"), {name: raw(value) for name, value in DEFAULTS.items()})


@pytest.mark.parametrize(
    ("wire", "body", "expected"),
    [
        (
            "chat",
            {},
            {"temperature": 0.5, "max_completion_tokens": 9, "stop": ["x"], "seed": 1, "reasoning_effort": "low"},
        ),
        (
            "chat",
            {"max_tokens": 3, "seed": 2},
            {"temperature": 0.5, "max_tokens": 3, "stop": ["x"], "seed": 2, "reasoning_effort": "low"},
        ),
        ("completions", {}, {"temperature": 0.5, "max_tokens": 9, "stop": ["x"], "seed": 1}),
        ("responses", {}, {"temperature": 0.5, "max_output_tokens": 9, "reasoning": {"effort": "low"}}),
        (
            "responses",
            {"max_output_tokens": 20, "reasoning": {}},
            {"temperature": 0.5, "max_output_tokens": 20, "reasoning": {}},
        ),
        ("embeddings", {}, {}),
    ],
)
def test_lays_the_defaults_under_as_each_wire_names_them(wire: str, body: dict, expected: dict) -> None:
    sent = json.loads(PROVIDER.prepare(call_of(wire, body), TUNED, KEY).body)
    assert {"model": "p", **expected} == sent


TRANSLATED = {
    "model": "m",
    "top_k": 4,
    "thinking": {"type": "enabled"},
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "é", "cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "content": "mind cache_control"},
        {
            "role": "assistant",
            "content": "Hm",
            "reasoning_content": "…",
            "reasoning_details": [{"type": "reasoning.text", "text": "…", "signature": "s"}],
        },
    ],
    "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}}],
}
DROPPED = (
    "thinking",
    "top_k",
    "messages.content.cache_control",
    "messages.reasoning_content",
    "messages.reasoning_details",
    "tools.cache_control",
)


def test_leaves_out_what_other_dialects_say_and_openai_has_no_place_for() -> None:
    call = call_of("chat", TRANSLATED, origin="messages")
    before = dict(call.members)
    assert {
        "model": "provider-name",
        "messages": [
            {"role": "system", "content": "é"},
            {"role": "user", "content": "mind cache_control"},
            {"role": "assistant", "content": "Hm"},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}],
    } == json.loads(PROVIDER.prepare(call, MODEL, KEY).body)
    assert DROPPED == call.dropped
    assert before == call.members


def test_a_strict_client_is_told_what_openai_has_no_place_for() -> None:
    with pytest.raises(InvalidRequest) as caught:
        PROVIDER.prepare(call_of("chat", TRANSLATED, origin="messages", strict=True), MODEL, KEY)
    assert "thinking" == caught.value.param


def test_a_client_of_openais_own_dialect_sends_what_it_likes() -> None:
    said = {**TRANSLATED, "messages": TRANSLATED["messages"][:2]}
    call = call_of("chat", said)
    assert {**said, "model": "provider-name"} == json.loads(PROVIDER.prepare(call, MODEL, KEY).body)
    assert () == call.dropped


def test_what_other_vendors_models_thought_is_not_told_to_openai() -> None:
    call = call_of("chat", TRANSLATED)
    sent = json.loads(PROVIDER.prepare(call, MODEL, KEY).body)
    assert {"role": "assistant", "content": "Hm"} == sent["messages"][2]
    assert ("messages.reasoning_content", "messages.reasoning_details") == call.dropped


def test_a_call_remembers_where_it_came_from() -> None:
    call = call_of("messages", {"model": "m"})
    assert ("messages", "messages") == (call.origin, call.translated("chat", "chat", {}).origin)


@pytest.mark.parametrize(
    ("model", "wires", "reasoning"),
    [
        ("gpt-4o", {"chat", "responses"}, False),
        ("gpt-4.1-mini-2025-04-14", {"chat", "responses"}, False),
        ("ft:gpt-4o-mini-2024-07-18:acme::abc", {"chat", "responses"}, False),
        ("gpt-5.4", {"chat", "responses"}, True),
        ("gpt-6.2-sol", {"chat", "responses"}, True),
        ("gpt-5-chat-latest", {"chat", "responses"}, False),
        ("o4-mini", {"chat", "responses"}, True),
        ("o3-pro-2025-06-10", {"responses"}, True),
        ("gpt-5.5-pro", {"responses"}, True),
        ("gpt-5-codex", {"responses"}, True),
        ("o4-mini-deep-research", {"responses"}, True),
        ("gpt-3.5-turbo-instruct", {"completions"}, False),
        ("davinci-002", {"completions"}, False),
        ("text-embedding-3-large", {"embeddings"}, False),
        ("something-new", {"chat", "responses"}, True),
    ],
)
def test_knows_what_a_model_is_by_its_name(model: str, wires: set[str], reasoning: bool) -> None:
    traits = PROVIDER.traits(model)
    assert (wires, reasoning) == (traits.wires, "reasoning" in traits.capabilities)
    assert ("text-embedding" in model) == ("embeddings" in traits.capabilities)
    assert traits.wires <= PROVIDER.wires


def test_lists_models() -> None:
    request = PROVIDER.models_request(KEY, None)
    assert ("GET", "https://api.openai.com/v1/models", "Bearer k") == (
        request.method,
        request.url,
        request.headers["authorization"],
    )
    page = PROVIDER.models(RecordedHead(), (GOLDEN / "models.json").read_bytes())
    assert [
        ("gpt-5.4", "system", 1_772_000_000_000_000),
        ("text-embedding-3-small", "system", 1_705_948_997_000_000),
    ] == [(model.name, model.owned_by, model.created_us) for model in page.models]
    with pytest.raises(ProviderFault) as caught:
        PROVIDER.models(RecordedHead(401), b'{"error":{"message":"No.","code":"invalid_api_key"}}')
    assert "auth" == caught.value.cause


def test_a_credential_without_a_key_is_unavailable() -> None:
    with pytest.raises(SecretUnavailable, match="api_key"):
        PROVIDER.prepare(call_of("chat", {}), MODEL, Secret({"token": "k"}))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "nan"}, None),
        ({"retry-after-ms": "nan", "retry-after": "3"}, 3.0),
        ({"retry-after": "inf"}, 3600.0),
        ({"retry-after": "-1"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
    ],
)
def test_reads_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    fault = PROVIDER.fault(call_of("chat", {}), RecordedHead(429, headers), b"{}")
    assert seconds == fault.retry_after


DOCUMENTED = [
    (
        401,
        {"message": "Incorrect API key provided", "type": "invalid_request_error", "code": "invalid_api_key"},
        "auth",
    ),
    (401, {"message": "You must be a member of an organization", "type": "invalid_request_error"}, "auth"),
    (401, {"message": "IP not authorized", "code": "ip_not_authorized"}, "auth"),
    (403, {"message": "Country not supported", "code": "unsupported_country_region_territory"}, "permission"),
    (404, {"message": "The model does not exist", "code": "model_not_found"}, "not_found"),
    (429, {"message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded"}, "rate_limit"),
    (429, {"message": "You exceeded your current quota", "code": "insufficient_quota"}, "quota"),
    (429, {"message": "Slow down", "type": "slow_down"}, "rate_limit"),
    (500, {"message": "The server had an error", "type": "server_error"}, "server"),
    (503, {"message": "The engine is currently overloaded", "type": "service_unavailable_error"}, "overloaded"),
    (503, {"message": "Slow down", "type": "slow_down"}, "overloaded"),
]


@pytest.mark.parametrize(("status", "error", "cause"), DOCUMENTED)
def test_classifies_the_documented_errors(status: int, error: dict[str, str], cause: str) -> None:
    head = RecordedHead(status, {"x-request-id": "req_1"})
    fault = PROVIDER.fault(call_of("chat", {}), head, json.dumps({"error": error}).encode())
    assert (cause, error["message"], error.get("code"), "req_1") == (
        fault.cause,
        fault.message,
        fault.code,
        fault.request_id,
    )
