import json
from typing import Any

import msgspec
import pytest

from plugins.bedrock.wire import GOLDEN, event, exception, golden_stream, message
from support.usage import usage_of
from switchgear.contracts.provider import ProviderConfig, ProviderFault, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.errors import ConnectionBroken
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.provider_suite import CANARY, ProviderSuite, RecordedHead, chat_call, text_of
from switchgear_plugins.bedrock.provider import BedrockProvider
from switchgear_plugins.bedrock.settings import BedrockSettings

HEAD = RecordedHead(200, {"x-amzn-requestid": "r-1", "content-type": "application/vnd.amazon.eventstream"})
USAGE = Usage.of(input=17, output=5, cached_input=4, cache_write=3)
STREAMS = sorted(path.stem for path in (GOLDEN / "streams").glob("*.tsv"))


def provider() -> BedrockProvider:
    return BedrockProvider(ProviderConfig("p", None, {}, BedrockSettings("us-east-1"), FixedAmbient()))


def read(*pieces: bytes, close: bool = True, **call: Any) -> list[StreamEvent]:
    decoder = provider().decoder(chat_call(stream=True, usage_wanted=True, **call), HEAD)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    if close:
        decoder.close()
    return events


def deltas(events: list[StreamEvent]) -> list[dict[str, Any]]:
    chunks = [msgspec.json.decode(event.data) for event in events if event.data]
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"]]


def finish(events: list[StreamEvent]) -> list[str]:
    chunks = [msgspec.json.decode(event.data) for event in events if event.data]
    return [c["finish_reason"] for chunk in chunks for c in chunk["choices"] if c["finish_reason"]]


class TestBedrockProvider(ProviderSuite):
    text = "Héllo, wörld"
    usage = USAGE
    secret = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": CANARY}  # noqa: RUF012 - the suite's shape
    answer = (
        '{"output":{"message":{"role":"assistant","content":[{"text":"Héllo, wörld"}]}},"stopReason":"end_turn","usage":'
        '{"inputTokens":10,"outputTokens":5,"totalTokens":22,"cacheReadInputTokens":4,"cacheWriteInputTokens":3},'
        '"metrics":{"latencyMs":551}}'
    ).encode()
    stream = golden_stream("text")
    faults = (
        (400, b'{"message":"Input is too long for requested model."}', "context_length"),
        (400, b'{"message":"no"}', "invalid_request"),
        (403, b'{"message":"no"}', "permission"),
        (404, b"{}", "not_found"),
        (408, b"", "timeout"),
        (413, b"", "invalid_request"),
        (424, b"", "server"),
        (429, b"", "rate_limit"),
        (500, b"<html>", "server"),
        (503, b"", "overloaded"),
        (302, b"", "protocol"),
    )

    stream_faults = ((golden_stream("throttled"), "rate_limit"),)
    tool_calls = (("weather", {"city": "Oslo"}), ("now", {}))
    tool_answer = json.dumps(json.loads((GOLDEN / "answers" / "tools.json").read_text())["response"]).encode()
    tool_stream = golden_stream("tools")

    def make(self) -> BedrockProvider:
        return provider()

    def tell_stream(self, text: str) -> bytes:
        said = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}})
        return event("messageStart", {"role": "assistant"}) + said + event("messageStop", {"stopReason": "end_turn"})


@pytest.mark.parametrize("path", sorted((GOLDEN / "answers").glob("*.json")), ids=lambda path: path.stem)
def test_golden_answer(path) -> None:
    case = json.loads(path.read_text())
    answer = provider().decode(chat_call(), HEAD, json.dumps(case["response"]).encode())
    found = json.loads(answer.body)
    expected = {"role": "assistant", "content": None, "refusal": None, **case["message"]}
    assert expected == found["choices"][0]["message"]
    assert case["finish_reason"] == found["choices"][0]["finish_reason"] == answer.finish_reason
    assert usage_of(case["usage"]) == answer.usage
    assert ("chatcmpl-r-1", "public-name", 1_700_000_000) == (found["id"], found["model"], found["created"])


def test_what_is_written_into_a_cache_is_told_apart_by_how_long_it_is_kept() -> None:
    details = [{"inputTokens": 2, "ttl": "5m"}, {"inputTokens": 4, "ttl": "1h"}, {"inputTokens": 1, "ttl": "9d"}]
    usage = {
        "inputTokens": 10,
        "outputTokens": 5,
        "totalTokens": 22,
        "cacheWriteInputTokens": 7,
        "cacheDetails": details,
    }
    message = {"role": "assistant", "content": [{"text": "a"}]}
    body = json.dumps({"output": {"message": message}, "stopReason": "end_turn", "usage": usage}).encode()
    expected = Usage({"input": 10, "cache_write_5m": 2, "cache_write_1h": 4, "cache_write": 1, "output": 5})
    assert expected == provider().decode(chat_call(), HEAD, body).usage


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_a_malformed_output_is_the_providers_failure(reason: str) -> None:
    body = {"output": {"message": {"role": "assistant", "content": []}}, "stopReason": reason}
    with pytest.raises(ProviderFault) as caught:
        provider().decode(chat_call(), HEAD, json.dumps(body).encode())
    assert ("server", reason, "r-1") == (caught.value.cause, caught.value.code, caught.value.request_id)


@pytest.mark.parametrize("tokens", [-1, 2**41])
def test_usage_that_cannot_be_true_is_not_believed(tokens: int) -> None:
    body = {
        "output": {"message": {"role": "assistant", "content": [{"text": "x"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": tokens, "outputTokens": 1},
    }
    assert provider().decode(chat_call(), HEAD, json.dumps(body).encode()).usage is None


def test_streams_parallel_tool_calls() -> None:
    events = read(golden_stream("tools"))
    calls = [call for delta in deltas(events) for call in delta.get("tool_calls", ())]
    named = [(c["index"], c["id"], c["function"]["name"]) for c in calls if "id" in c]
    assert [(0, "tooluse_1", "weather"), (1, "tooluse_2", "now")] == named
    pieces = ["".join(c["function"].get("arguments", "") for c in calls if c["index"] == place) for place in (0, 1)]
    assert ['{"city": "Oslo"}', "{}"] == pieces
    assert ["tool_calls"] == finish(events)
    assert events[-1].last


MADE = "anthropic-claude-v1"


def test_streams_reasoning_and_what_must_come_back() -> None:
    found = deltas(read(golden_stream("reasoning")))
    assert ["Hmm", ", hm"] == [d["reasoning_content"] for d in found if "reasoning_content" in d]
    assert [
        {"type": "reasoning.text", "text": "Hmm, hm", "signature": "c2ln", "format": MADE, "index": 0},
        {"type": "reasoning.encrypted", "data": "b3BhcXVl", "format": MADE, "index": 1},
    ] == [detail for d in found for detail in d.get("reasoning_details", ())]
    assert "42" == "".join(d.get("content", "") for d in found)


def test_a_guardrail_ends_a_stream_as_a_content_filter() -> None:
    assert ["content_filter"] == finish(read(golden_stream("guardrail")))


def test_a_tool_the_provider_runs_is_no_call_to_the_client() -> None:
    events = read(golden_stream("server_tool"))
    assert "Found." == text_of(events)
    assert [] == [d for d in deltas(events) if "tool_calls" in d]
    assert ["stop"] == finish(events)


def test_what_came_before_a_failure_is_kept() -> None:
    events = read(golden_stream("throttled"), close=False)
    assert "Hé" == text_of(events[:-1])
    fault = events[-1].fault
    assert fault is not None
    assert (b"", True) == (events[-1].data, events[-1].last)
    assert ("rate_limit", 200, "Too many requests, slow down.") == (fault.cause, fault.status, fault.message)
    assert "r-1" == fault.request_id


@pytest.mark.parametrize(
    ("name", "text", "cause"),
    [
        ("modelStreamErrorException", "x", "server"),
        ("internalServerException", "x", "server"),
        ("throttlingException", "x", "rate_limit"),
        ("serviceUnavailableException", "x", "overloaded"),
        ("validationException", "x", "invalid_request"),
        ("validationException", "Input is too long for requested model.", "context_length"),
        ("modelTimeoutException", "x", "timeout"),
        ("somethingNewException", "x", "server"),
    ],
)
def test_every_exception_of_a_stream_has_a_cause(name: str, text: str, cause: str) -> None:
    fault = read(exception(name, {"message": text}), close=False)[-1].fault
    assert fault is not None
    assert (cause, text) == (fault.cause, fault.message)


@pytest.mark.parametrize(
    "piece",
    [
        b"data: {}\n\n" * 3,
        event("messageStop", {}),
        event("contentBlockDelta", {"delta": {"text": 1}}),
        event("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"toolUse": {"input": "x"}}}),
        event("contentBlockDelta", [1]),
        message(b"", b"{}"),
        golden_stream("malformed")[:-1] + b"\x00",
    ],
)
def test_garbage_after_text_is_a_protocol_fault_and_the_text_is_kept(piece: bytes) -> None:
    said = event("messageStart", {"role": "assistant"}) + event("contentBlockDelta", {"delta": {"text": "Hé"}})
    events = read(said + piece, close=False)
    assert text_of(events).startswith("Hé")
    assert events[-1].fault is not None
    assert events[-1].fault.cause in ("protocol", "server")


@pytest.mark.parametrize("name", STREAMS)
def test_every_recorded_stream_reads_the_same_however_cut(name: str) -> None:
    stream = golden_stream(name)

    def told(*pieces: bytes) -> list[tuple[bytes, str | None, bool]]:
        events = read(*pieces, close=False)
        return [(one.data, one.fault.cause if one.fault else None, one.last) for one in events]

    whole = told(stream)
    assert whole == told(*(stream[i : i + 1] for i in range(len(stream))))
    for at in range(0, len(stream), 3):
        assert whole == told(stream[:at], stream[at:])


@pytest.mark.parametrize("name", ["text", "tools", "reasoning", "server_tool"])
def test_a_stream_is_complete_from_message_stop_on(name: str) -> None:
    stream = golden_stream(name)
    proven = len(golden_stream(name, less=1))  # all but `metadata`
    for at in range(len(stream)):
        decoder = provider().decoder(chat_call(stream=True), HEAD)
        terminal = any(one.terminal for one in decoder.feed(stream[:at]))
        assert terminal == (at >= proven)
        if terminal:
            decoder.close()
        else:
            with pytest.raises(ConnectionBroken):
                decoder.close()


def test_an_answer_that_is_no_event_stream_is_a_protocol_fault() -> None:
    decoder = provider().decoder(chat_call(stream=True), RecordedHead(200, {"content-type": "application/json"}))
    decoder.feed(b"{}")
    with pytest.raises(ProviderFault):
        decoder.close()


def test_the_usage_is_hidden_from_a_client_that_did_not_ask() -> None:
    decoder = provider().decoder(chat_call(stream=True), HEAD)
    events = decoder.feed(golden_stream("text"))
    assert (b"", USAGE, True) == (events[-1].data, events[-1].usage, events[-1].last)


ERRORS = [
    (403, "AccessDeniedException", "You don't have access to the model.", "permission"),
    (403, "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid.", "auth"),
    (403, "ExpiredTokenException", "The security token included in the request is expired", "auth"),
    (403, "UnrecognizedClientException", "The security token included in the request is invalid.", "auth"),
    (403, "InvalidSignatureException", "The request signature we calculated does not match", "auth"),
    (403, "MissingAuthenticationTokenException", "Missing Authentication Token", "auth"),
    (400, "IncompleteSignature", "x", "auth"),
    (403, "InvalidClientTokenId", "x", "auth"),
    (400, "RequestExpired", "x", "auth"),
    (400, "NotAuthorized", "x", "permission"),
    (403, "OptInRequired", "x", "permission"),
    (404, "FTUFormNotFilled", "x", "permission"),
    (429, "ThrottlingException", "Too many requests, please wait before trying again.", "rate_limit"),
    (429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", "quota"),
    (400, "ServiceQuotaExceededException", "x", "quota"),
    (429, "ModelNotReadyException", "x", "overloaded"),
    (408, "ModelTimeoutException", "x", "timeout"),
    (424, "ModelErrorException", "x", "server"),
    (424, "ModelStreamErrorException", "x", "server"),
    (404, "ResourceNotFoundException", "Could not resolve the foundation model", "not_found"),
    (404, "UnknownOperationException", "x", "not_found"),
    (503, "ServiceUnavailableException", "x", "overloaded"),
    (500, "InternalServerException", "x", "server"),
    (500, "InternalFailure", "x", "server"),
    (400, "ValidationException", "Malformed input request", "invalid_request"),
    (400, "ValidationException", "Input is too long for requested model.", "context_length"),
    (400, "ValidationException", "Too many input tokens. Max input tokens: 8192", "context_length"),
    (400, "ValidationException", "prompt is too long: 209353 tokens > 199999 maximum", "context_length"),
    (400, "ValidationException", "The provided model identifier is invalid.", "not_found"),
    (400, "ValidationException", "This request has been blocked by our content filters.", "content_filter"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "name", "text", "cause"), ERRORS)
def test_every_documented_error_has_a_cause(status: int, name: str, text: str, cause: str) -> None:
    own = provider()
    header = {"x-amzn-errortype": f"{name}:http://internal.amazon.com/coral/", "x-amzn-requestid": "r-2"}
    plain = json.dumps({"message": text}).encode()
    typed = json.dumps({"__type": f"com.amazon.coral.service#{name}", "Message": text}).encode()
    by_header = own.fault(chat_call(), RecordedHead(status, {**header, "retry-after": "3"}), plain)
    by_body = own.fault(chat_call(), RecordedHead(status), typed)
    assert (cause, cause) == (by_header.cause, by_body.cause)
    assert (status, text, name, "r-2", 3.0) == (
        by_header.status, by_header.message, by_header.code, by_header.request_id, by_header.retry_after,
    )  # fmt: skip
    assert text == by_body.message


@pytest.mark.parametrize("kind", ["tool_use", "function", None])
@pytest.mark.parametrize("given", ['{"a":1}', {"a": 1}])
def test_a_call_of_any_type_but_the_providers_own_is_a_call(kind: str | None, given: Any) -> None:
    tool = {"name": "f", "type": kind}
    began = event("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": tool}})
    piece = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": given}}})
    empty = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": None}}})
    events = read(began, empty, piece, event("messageStop", {"stopReason": "end_turn"}))
    calls = [call for it in deltas(events) for call in it.get("tool_calls", ())]
    assert '{"a":1}' == "".join(call["function"]["arguments"] for call in calls)
    assert calls[0]["id"]
    assert ["tool_calls"] == finish(events)
    said = {"output": {"message": {"content": [{"toolUse": {**tool, "input": given}}]}}, "stopReason": None}
    whole = json.loads(provider().decode(chat_call(), HEAD, json.dumps(said).encode()).body)["choices"][0]
    assert {"a": 1} == json.loads(whole["message"]["tool_calls"][0]["function"]["arguments"])
    assert "tool_calls" == whole["finish_reason"]
