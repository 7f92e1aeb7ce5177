import json
from typing import Any

import pytest
from msgspec import Raw

from support.anthropic_golden import recorded
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import Call, DiscoveredModel, ModelLister, ProviderConfig, ProviderFault, TargetModel
from switchgear.contracts.usage import Usage
from switchgear.errors import SecretUnavailable
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.provider_suite import MODEL, ProviderSuite, RecordedHead, chat_call
from switchgear_plugins.anthropic.provider import AnthropicProvider
from switchgear_plugins.anthropic.settings import AnthropicProviderSettings

from support.anthropic_golden import STREAMS  # isort: skip

OLD = "2023-06-01"


def make(base_url: str | None = None, **settings: Any) -> AnthropicProvider:
    config = ProviderConfig(
        "p",
        base_url,
        {"X-Own": "1"},
        AnthropicProviderSettings(**settings),
        FixedAmbient(wall_us=1_700_000_000_000_000),
    )
    return AnthropicProvider(config)


def error(type: str, message: str = "No.", code: str | None = None) -> bytes:
    body: dict[str, Any] = {"type": type, "message": message}
    if code is not None:
        body["details"] = {"error_code": code}
    return json.dumps({"type": "error", "error": body, "request_id": "req_1"}).encode()


class TestAnthropicProvider(ProviderSuite):
    text = "Héllo, wörld 🌍"
    usage = Usage.of(input=12, output=6)
    answer = recorded("text")
    stream = STREAMS["text"]
    faults = (
        (400, error("invalid_request_error"), "invalid_request"),
        (400, error("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"), "context_length"),
        (
            400,
            error("invalid_request_error", "input length and `max_tokens` exceed context limit: 1 + 2 > 2"),
            "context_length",
        ),
        (400, error("invalid_request_error", "Your credit balance is too low to access the API."), "quota"),
        (400, error("invalid_request_error", "You have reached your specified API usage limits."), "quota"),
        (400, error("invalid_request_error", "Output blocked by content filtering policy"), "content_filter"),
        (401, error("authentication_error"), "auth"),
        (402, error("billing_error"), "quota"),
        (403, error("permission_error"), "permission"),
        (404, error("not_found_error"), "not_found"),
        (409, error("conflict_error"), "server"),
        (413, error("request_too_large"), "invalid_request"),
        (429, error("rate_limit_error"), "rate_limit"),
        (429, error("rate_limit_error", code="enforced_spend_limit_reached"), "quota"),
        (500, error("api_error"), "server"),
        (504, error("timeout_error"), "timeout"),
        (529, error("overloaded_error"), "overloaded"),
        (529, b"", "overloaded"),
        (402, b"{}", "quota"),
        (413, b"<html>", "invalid_request"),
        (418, b"", "invalid_request"),
        (502, b"<html>bad gateway</html>", "server"),
        (302, b"", "protocol"),
    )

    stream_faults = (
        (
            STREAMS["text"][: STREAMS["text"].index(b"event: content_block_stop")]
            + b"event: error\ndata: "
            + error("overloaded_error")
            + b"\n\n",
            "overloaded",
        ),
    )
    tool_calls = (("weather", {"city": "Köln"}), ("now", {}))
    tool_answer = recorded("parallel_tools")
    tool_stream = STREAMS["parallel_tools"]

    def make(self) -> AnthropicProvider:
        return make()


def test_sends_key_version_and_betas() -> None:
    provider = make(version="2026-10-21", betas=("context-1m-2025-08-07", "fast-mode-2026-02-01"))
    request = provider.prepare(chat_call(), MODEL, Secret({"api_key": "k"}))
    assert request.url == "https://api.anthropic.com/v1/messages"
    assert request.headers == {
        "content-type": "application/json",
        "anthropic-version": "2026-10-21",
        "anthropic-beta": "context-1m-2025-08-07,fast-mode-2026-02-01",
        "x-own": "1",
        "x-api-key": "k",
    }


def test_a_header_of_the_provider_resource_wins_over_a_setting() -> None:
    config = ProviderConfig("p", None, {"Anthropic-Version": "2027-01-01"}, AnthropicProviderSettings())
    request = AnthropicProvider(config).prepare(chat_call(), MODEL, None)
    assert "2027-01-01" == request.headers["anthropic-version"]


def test_an_auth_token_goes_as_a_bearer() -> None:
    request = make().prepare(chat_call(), MODEL, Secret({"auth_token": "t"}))
    assert ("Bearer t", False) == (request.headers["authorization"], "x-api-key" in request.headers)


def test_a_credential_without_key_or_token_says_so() -> None:
    with pytest.raises(SecretUnavailable, match="api_key or auth_token"):
        make().prepare(chat_call(), MODEL, Secret({"other": "k"}))


@pytest.mark.parametrize("base_url", ["https://x.test/llm", "https://x.test/llm/", "https://x.test/llm/v1"])
def test_the_base_url_may_end_in_the_version(base_url: str) -> None:
    assert "https://x.test/llm/v1/messages" == make(base_url).prepare(chat_call(), MODEL, None).url


@pytest.mark.parametrize(("version", "expected"), [(OLD, ()), ("2026-10-21", ("temperature",))])
def test_newer_versions_take_no_sampling(version: str, expected: tuple[str, ...]) -> None:
    call = chat_call(temperature=0.5)
    body = json.loads(make(version=version).prepare(call, MODEL, None).body)
    assert (expected, not expected) == (call.dropped, "temperature" in body)


def test_the_display_of_thinking_is_a_setting() -> None:
    model = TargetModel("m", "claude-opus-5-5", Raw(b'"claude-opus-5-5"'))
    call = chat_call(reasoning_effort="low")
    body = json.loads(make(thinking_display="summarized").prepare(call, model, None).body)
    assert {"type": "adaptive", "display": "summarized"} == body["thinking"]


def test_lists_models_page_by_page() -> None:
    provider = make()
    assert isinstance(provider, ModelLister)
    first = provider.models_request(Secret({"api_key": "k"}), None)
    assert ("GET", "https://api.anthropic.com/v1/models?limit=1000", b"") == (first.method, first.url, first.body)
    assert ("k", OLD) == (first.headers["x-api-key"], first.headers["anthropic-version"])
    body = {
        "data": [
            {
                "type": "model",
                "id": "claude-opus-5-5",
                "display_name": "Claude Opus 5.5",
                "created_at": "2026-09-22T00:00:00Z",
                "lifecycle": "active",
                "max_input_tokens": 1_000_000,
                "max_tokens": 128_000,
                "capabilities": {"batch": {"supported": True}},
            },
            {"type": "model", "id": "claude-old", "display_name": "Old", "created_at": "1970-01-01T00:00:00Z"},
        ],
        "has_more": True,
        "first_id": "claude-opus-5-5",
        "last_id": "claude old",
    }
    page = provider.models(RecordedHead(), json.dumps(body).encode())
    opus = DiscoveredModel("claude-opus-5-5", "Claude Opus 5.5", "anthropic", 1_790_035_200_000_000, 1_000_000, 128_000)
    assert (opus, DiscoveredModel("claude-old", "Old", "anthropic", 0)) == page.models
    assert page.cursor is not None
    second = provider.models_request(None, page.cursor)
    assert second.url == "https://api.anthropic.com/v1/models?limit=1000&after_id=claude%20old"
    last = provider.models(RecordedHead(), json.dumps({**body, "has_more": False}).encode())
    assert last.cursor is None


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (401, error("authentication_error"), "auth"),
        (200, b"{}", "protocol"),
        (200, b'{"data":[{"id":"a","created_at":"0001-01-01T00:00:00"}]}', "protocol"),
    ],
)
def test_a_list_that_is_none_is_a_fault(status: int, body: bytes, cause: str) -> None:
    with pytest.raises(ProviderFault) as caught:
        make().models(RecordedHead(status), body)
    assert cause == caught.value.cause


def test_a_fault_carries_words_code_wait_and_id() -> None:
    head = RecordedHead(429, {"retry-after": "7", "request-id": "req_9"})
    body = error("rate_limit_error", "Slow down.", "ramp_limit_exceeded")
    fault = make().fault(chat_call(), head, body)
    assert ("Slow down.", "ramp_limit_exceeded", 7.0, "req_9") == (
        fault.message,
        fault.code,
        fault.retry_after,
        fault.request_id,
    )


def test_the_id_of_a_fault_may_stand_in_its_body() -> None:
    assert "req_1" == make().fault(chat_call(), RecordedHead(500), error("api_error")).request_id


def native(operation: str, wire: str, stream: bool = False, **members: Any) -> Call:
    raw = {name: Raw(json.dumps(value).encode()) for name, value in members.items()}
    return Call(operation, wire, raw, model="public-name", stream=stream)


DEFAULTS = {
    "max_completion_tokens": Raw(b"50"),
    "temperature": Raw(b"0.5"),
    "stop": Raw(b'"END"'),
    "reasoning_effort": Raw(b'"low"'),
    "speed": Raw(b'"fast"'),
}
WITH_DEFAULTS = TargetModel("m", "claude-x", Raw(b'"claude-x"'), DEFAULTS)


def test_a_call_of_the_form_is_forwarded_as_it_came() -> None:
    members = {
        "model": "public-name",
        "messages": [{"role": "user", "content": "Hi"}],
        "new_thing": [None],
        "temperature": 1,
    }
    call = native("chat", "messages", **members)
    body = json.loads(make().prepare(call, WITH_DEFAULTS, None).body)
    assert {**members, "model": "claude-x", "max_tokens": 50, "speed": "fast"} == body
    assert () == call.dropped


def test_a_count_of_the_form_is_forwarded_without_defaults() -> None:
    members = {"model": "public-name", "messages": [{"role": "user", "content": "Hi"}], "system": "Be brief."}
    request = make().prepare(native("count", "messages_count", **members), WITH_DEFAULTS, None)
    assert request.url == "https://api.anthropic.com/v1/messages/count_tokens"
    assert {**members, "model": "claude-x"} == json.loads(request.body)


def test_a_canonical_count_sends_what_can_be_counted() -> None:
    chat = chat_call(
        stream=True,
        temperature=0.5,
        max_tokens=9,
        stop="x",
        user="u",
        tools=[{"type": "function", "function": {"name": "f"}}],
    )
    call = Call("count", "count", chat.members, model="public-name")
    request = make().prepare(call, MODEL, None)
    assert request.url.endswith("/v1/messages/count_tokens")
    assert {"model", "messages", "tools"} == json.loads(request.body).keys()


@pytest.mark.parametrize("wire", ["count", "messages_count"])
def test_a_count_is_answered_alike_in_both_forms(wire: str) -> None:
    answer = make().decode(native("count", wire), RecordedHead(), b'{"input_tokens": 2095, "new": {}}')
    assert (b'{"input_tokens":2095}', Usage()) == (answer.body, answer.usage)


def test_the_form_that_is_no_count_is_a_fault() -> None:
    with pytest.raises(ProviderFault) as caught:
        make().decode(native("count", "count"), RecordedHead(), b'{"tokens": 1}')
    assert "protocol" == caught.value.cause
