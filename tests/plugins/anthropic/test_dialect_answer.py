"""Whole canonical answers as Messages, errors and counts."""

import json
from pathlib import Path
from typing import Any

import pytest
from anthropic.types import Message, MessageTokensCount
from anthropic.types.shared import ErrorResponse
from msgspec import json as codec

from plugins.anthropic.inbound import COUNT, DIALECT, GOLDEN, HELLO, MESSAGES, call, members, said
from switchgear.contracts.provider import Answer, ProviderFault
from switchgear.contracts.usage import Usage
from switchgear.errors import ApiError, InvalidRequest
from switchgear.wire.chunks import completion
from switchgear_plugins.anthropic.dialect import error_type

ANSWERS = sorted((GOLDEN / "inbound_answers").glob("*.json"))


@pytest.mark.parametrize("file", ANSWERS, ids=lambda file: file.stem)
def test_answers_are_translated(file: Path) -> None:
    golden = json.loads(file.read_text())
    written = MESSAGES.answer(call(), Answer(codec.encode(golden["completion"])))
    assert golden["message"] == json.loads(written)
    Message.model_validate(golden["message"])


def answer(**message: Any) -> Answer:
    made = {"id": "x", "created": 1, "model": "c", "finish_reason": "stop", "usage": None}
    return completion(**{**made, **message})


def test_usage_is_what_the_provider_decoded() -> None:
    usage = Usage.of(input=30, output=2, cached_input=20, cache_write_1h=4)
    found = json.loads(MESSAGES.answer(call(), answer(message={"content": "a"}, usage=usage)))["usage"]
    assert (6, 20, 2) == (found["input_tokens"], found["cache_read_input_tokens"], found["output_tokens"])
    assert {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 4} == found["cache_creation"]
    assert 4 == found["cache_creation_input_tokens"]


def test_an_answer_without_an_id_gets_one() -> None:
    first, second = (json.loads(MESSAGES.answer(call(), answer(message={}, id="")))["id"] for _ in range(2))
    assert first.startswith("msg_")
    assert first != second


@pytest.mark.parametrize("arguments", ['{"a": ', "[1]", "null", "5", "nonsense"])
def test_arguments_that_are_no_object_are_not_an_answer(arguments: str) -> None:
    tool = {"id": "t", "type": "function", "function": {"name": "f", "arguments": arguments}}
    with pytest.raises(ProviderFault) as caught:
        MESSAGES.answer(call(), answer(message={"tool_calls": [tool]}, finish_reason="tool_calls"))
    assert "protocol" == caught.value.cause


@pytest.mark.parametrize("body", [b"[]", b'{"choices":[]}', b'{"choices":"many"}'])
def test_what_is_no_completion_is_not_an_answer(body: bytes) -> None:
    with pytest.raises(ProviderFault) as caught:
        MESSAGES.answer(call(), Answer(body))
    assert "protocol" == caught.value.cause


@pytest.mark.parametrize(
    ("finish", "message", "expected"),
    [
        ("stop", {"content": "a"}, "end_turn"),
        ("length", {"content": "a"}, "max_tokens"),
        ("content_filter", {"content": "a"}, "refusal"),
        ("tool_calls", {"content": "no call came"}, "end_turn"),
        ("a_new_one", {"content": "a"}, "end_turn"),
        (None, {"content": "a"}, "end_turn"),
    ],
)
def test_finish_reasons_are_translated(finish: Any, message: Any, expected: str) -> None:
    written = MESSAGES.answer(call(), answer(message=message, finish_reason=finish))
    assert expected == json.loads(written)["stop_reason"]


OTHERS = [
    {"type": "reasoning.text", "text": "I", "signature": "gs", "format": "google-gemini-v1"},
    {"type": "reasoning.summary", "summary": "S", "id": "rs_1", "format": "openai-responses-v1", "index": 0},
    {"type": "reasoning.encrypted", "data": "blob", "id": "rs_1", "format": "openai-responses-v1", "index": 0},
    {"type": "reasoning.encrypted", "data": "sig", "id": "call_1", "format": "google-gemini-v1"},
    {"type": "reasoning.text", "text": "C", "signature": "cs", "format": "anthropic-claude-v1"},
]


def test_reasoning_of_any_vendor_comes_back_as_it_was() -> None:
    message = {"content": "a", "reasoning_content": "ISC", "reasoning_details": OTHERS}
    written = json.loads(MESSAGES.answer(call(), answer(message=message)))
    Message.model_validate(written)
    assert ["thinking", "thinking", "redacted_thinking", "redacted_thinking", "thinking", "text"] == [
        block["type"] for block in written["content"]
    ]
    returned = call(messages=[*HELLO, {"role": "assistant", "content": written["content"]}])
    again = said(MESSAGES.canonical(returned))["messages"][1]
    assert ("a", "ISC", OTHERS) == (again["content"], again["reasoning_content"], again["reasoning_details"])


def test_a_count_passes() -> None:
    asked = COUNT.parse(members(model="m", messages=HELLO), {})
    written = COUNT.answer(asked, Answer(b'{"input_tokens":12}'))
    assert 12 == MessageTokensCount.model_validate_json(written).input_tokens


def subclasses(of: type[ApiError]) -> list[type[ApiError]]:
    return [of, *(one for below in of.__subclasses__() for one in subclasses(below))]


DOCUMENTED = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    409: "conflict_error",
    412: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    499: "invalid_request_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def test_every_status_has_the_vendors_word() -> None:
    assert {error.status for error in subclasses(ApiError)} <= DOCUMENTED.keys()
    assert DOCUMENTED == {status: error_type(status) for status in DOCUMENTED}


def test_an_error_has_the_vendors_shape() -> None:
    body = DIALECT.error(InvalidRequest("Bad `x`.", param="x", code="invalid_value"), "r-1")
    assert {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "Bad `x`.", "details": {"error_code": "invalid_value"}},
        "request_id": "r-1",
    } == json.loads(body)
    ErrorResponse.model_validate_json(body)


def test_an_error_without_a_code_has_no_details() -> None:
    assert "details" not in json.loads(DIALECT.error(InvalidRequest("Bad."), "r-1"))["error"]
