"""Refusals in the words and codes of the client's own vendor, and members under the names that a model knows."""

import json
from typing import Any

import pytest

from switchgear.contracts.provider import CANONICAL, Call, ProviderConfig, TargetModel
from switchgear.errors import InvalidRequest
from switchgear.exchange.faults import to_api_error
from switchgear.testing.provider_suite import RecordedHead
from switchgear.wire.canonical import JSON_ONLY, read_chat
from switchgear.wire.chat import decode_fault
from switchgear.wire.members import raw
from switchgear.wire.overflow import tokens_in
from switchgear_plugins.anthropic.dialect import encode_error as in_anthropics_words
from switchgear_plugins.anthropic.provider import AnthropicProvider
from switchgear_plugins.anthropic.settings import AnthropicProviderSettings
from switchgear_plugins.openai.frames import encode_error as in_openais_words
from switchgear_plugins.openai.provider import OpenAIProvider
from switchgear_plugins.openai.settings import OpenAIProviderSettings

OPENAI = OpenAIProvider(ProviderConfig("p", None, {}, OpenAIProviderSettings()))
ANTHROPIC = AnthropicProvider(ProviderConfig("p", None, {}, AnthropicProviderSettings()))
TOO_LONG = "This model's maximum context length is 128000 tokens. However, your messages resulted in 130123 tokens."


def chat(**members: Any) -> Call:
    body = {"model": "m", "messages": [{"role": "user", "content": "q"}], **members}
    return Call("chat", CANONICAL, {name: raw(value) for name, value in body.items()}, model="m")


def model(name: str) -> TargetModel:
    return TargetModel("m", name, raw(name), wires=frozenset({"chat", "responses"}))


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (TOO_LONG, (130123, 128000)),
        ("prompt is too long: 210,000 tokens > 200,000 maximum", (210000, 200000)),
        ("This model's maximum context length is 4096 tokens, however you requested 5000 tokens (1 in", (5000, 4096)),
        ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", (1200000, 1048576)),
        ("Your input exceeds the context window of this model.", None),
        ("the context length is 10 tokens and your prompt contains 5 tokens", None),
    ],
)
def test_the_tokens_of_a_prompt_that_is_too_long_are_found(message: str, found: tuple[int, int] | None) -> None:
    assert found == tokens_in(message)


def test_a_prompt_that_is_too_long_is_told_as_each_vendor_does() -> None:
    def error(message: str) -> InvalidRequest:
        return InvalidRequest(message, code="context_length_exceeded")

    told = json.loads(in_anthropics_words(error(TOO_LONG), "r"))["error"]
    assert "prompt is too long: 130123 tokens > 128000 maximum" == told["message"]
    assert "context_length_exceeded" == told["details"]["error_code"]
    theirs = "prompt is too long: 5 tokens > 4 maximum"
    assert theirs == json.loads(in_anthropics_words(error(theirs), "r"))["error"]["message"]
    told = json.loads(in_openais_words(error(theirs), "r"))["error"]
    assert told["message"].startswith(
        "This model's maximum context length is 4 tokens. However, your messages resulted in 5"
    )
    assert TOO_LONG == json.loads(in_openais_words(error(TOO_LONG), "r"))["error"]["message"]
    assert json.loads(in_anthropics_words(error("too much"), "r"))["error"]["message"].startswith("prompt is too long")
    other = InvalidRequest("no", code="x")
    assert "no" == json.loads(in_openais_words(other, "r"))["error"]["message"]


@pytest.mark.parametrize(
    ("param", "cause"),
    [
        ("messages[0].content", "context_length"),
        ("messages[1].content[0].text", "context_length"),
        ("input", "context_length"),
        ("prompt", "context_length"),
        ("user", "invalid_request"),
        ("tools[0].function.name", "invalid_request"),
        ("messages[2].tool_calls[0].id", "invalid_request"),
        (None, "invalid_request"),
    ],
)
def test_a_text_that_is_too_long_is_a_prompt_that_is_only_where_the_model_reads_it(
    param: str | None, cause: str
) -> None:
    body = {"error": {"message": "too long", "code": "string_above_max_length", "param": param}}
    fault = decode_fault(400, json.dumps(body).encode(), RecordedHead(400))
    assert (cause, "string_above_max_length") == (fault.cause, fault.code)


@pytest.mark.parametrize(
    ("name", "member"),
    [("gpt-5", "max_completion_tokens"), ("o4-mini", "max_completion_tokens"), ("gpt-4o", "max_tokens")],
)
def test_a_bound_goes_out_under_the_name_that_the_model_knows(name: str, member: str) -> None:
    body = json.loads(OPENAI.prepare(chat(max_tokens=100), model(name), None).body)
    assert {member: 100} == {key: value for key, value in body.items() if key.startswith("max_")}


def test_json_of_any_shape_is_asked_for_in_words() -> None:
    call = chat(response_format={"type": "json_object"})
    body = json.loads(ANTHROPIC.prepare(call, model("claude-sonnet-4-5"), None).body)
    assert JSON_ONLY == body["system"][-1]["text"]
    assert ("response_format",) == call.dropped


@pytest.mark.parametrize("members", [{"functions": [{"name": "f"}]}, {"modalities": ["text", "audio"]}])
def test_what_dropping_would_falsify_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_chat(chat(**members), model("x"))
    assert caught.value.param == next(iter(members))


def test_what_else_a_provider_says_of_a_failure_reaches_clients_of_its_wire() -> None:
    error = {
        "message": "m",
        "type": "t",
        "code": "content_policy_violation",
        "failed_generation": "<f> sk-secret-of-the-provider",
    }
    body = {"error": {**error, "innererror": {"code": "X", "deep": [1, {"a": "b"}]}}}
    fault = decode_fault(400, json.dumps(body).encode(), RecordedHead(400))
    told = json.loads(in_openais_words(to_api_error(fault, ("sk-secret-of-all",)), "r"))["error"]
    assert "content_policy_violation" == told["code"]
    assert {"code": "X", "deep": [1, {"a": "b"}]} == told["innererror"]
    assert "sk-secret" not in told["failed_generation"]
    assert told["failed_generation"].startswith("<f>")
    assert decode_fault(400, b'{"error": "text"}', RecordedHead(400)).extra is None
    assert decode_fault(400, b"[1]", RecordedHead(400)).extra is None


def test_a_failure_inside_a_good_answer_is_not_told_as_a_status() -> None:
    fault = decode_fault(200, b'{"error":{"message":"oops"}}', RecordedHead())
    assert str(to_api_error(fault)) == "The provider's answer ended in an error."
    assert "status 502" in str(to_api_error(decode_fault(502, b"{}", RecordedHead())))
