"""Requests, answers and streams of the Responses API, recorded in golden/responses, and held to the vendor's own types."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from switchgear.contracts.provider import CANONICAL, Answer, Call, StreamEvent
from switchgear.errors import InvalidRequest, UpstreamFailed
from switchgear.wire.usage import read_usage
from switchgear_plugins.openai.responses.endpoint import Responses

GOLDEN = Path(__file__).parent / "golden" / "responses"
WHOLE = sorted(path.stem for path in GOLDEN.glob("*.json") if not path.stem.endswith(".chunks"))
STREAMS = sorted(path.stem for path in GOLDEN.glob("*.sse"))
CUT = UpstreamFailed("The connection to the provider broke before the answer was complete.", code="upstream_cut")
ENDPOINT = Responses()
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def case(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return found


def parse(request: dict[str, Any]) -> Call:
    call = ENDPOINT.parse({name: Raw(json.dumps(value).encode()) for name, value in request.items()}, {})
    ENDPOINT.check(call)
    return call


def answer_of(completion: dict[str, Any]) -> Answer:
    usage = read_usage(json.dumps(completion["usage"]).encode())
    return Answer(json.dumps(completion).encode(), usage, completion["model"])


def members_of(call: Call) -> dict[str, Any]:
    return {name: json.loads(bytes(value)) for name, value in call.members.items()}


def payloads(stream: bytes) -> list[dict[str, Any]]:
    """Read events, whose name must be the type of their data."""
    found = []
    for event in stream.decode().split("\n\n")[:-1]:
        name, data = event.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


@pytest.mark.parametrize("name", WHOLE)
def test_a_request_becomes_a_chat(name: str) -> None:
    golden = case(name)
    made = ENDPOINT.canonical(parse(golden["request"]))
    assert golden["canonical"] == members_of(made)
    assert golden["dropped"] == list(made.dropped)
    assert (CANONICAL, True) == (made.wire, made.usage_wanted)


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_becomes_a_response(name: str) -> None:
    golden = case(name)
    encoded = ENDPOINT.answer(parse(golden["request"]), answer_of(golden["completion"]))
    assert golden["answer"] == json.loads(encoded)
    Response.model_validate(golden["answer"])


def encode(name: str) -> bytes:
    golden = case(f"{name}.chunks")
    encoder = ENDPOINT.encoder(parse(golden["request"]), translate=True)
    said = b""
    for chunk in golden["chunks"]:
        usage = read_usage(json.dumps(chunk["usage"]).encode()) if "usage" in chunk else None
        said += encoder.event(StreamEvent(json.dumps(chunk).encode(), usage=usage))
    return said + (encoder.error(CUT, "req-1") if golden["error"] else encoder.end())


@pytest.mark.parametrize("name", STREAMS)
def test_chunks_become_events(name: str) -> None:
    golden = (GOLDEN / f"{name}.sse").read_bytes()
    assert golden == encode(name)
    for event in payloads(golden):
        EVENT.validate_python(event)


def test_nothing_is_sent_before_there_is_something_to_say() -> None:
    role = case("text.chunks")["chunks"][0]
    encoder = ENDPOINT.encoder(parse(case("text.chunks")["request"]), translate=True)
    assert b"" == encoder.event(StreamEvent(json.dumps(role).encode()))


def test_an_error_is_the_last_event_and_says_what_was_whole() -> None:
    *_, error, failed = payloads(encode("cut"))
    assert ("error", "upstream_cut", CUT.message) == (error["type"], error["code"], error["message"])
    assert ("response.failed", "failed", "server_error") == (
        failed["type"],
        failed["response"]["status"],
        failed["response"]["error"]["code"],
    )
    assert [] == failed["response"]["output"], "an unfinished message is none"


def test_events_of_a_provider_that_speaks_this_pass_as_they_came() -> None:
    encoder = ENDPOINT.encoder(parse({"model": "m", "input": "hi", "stream": True}), translate=False)
    said = b'{"type":"response.odd.delta","sequence_number":3,"delta":"\xe2\x80\xa8"}'
    framed = encoder.event(StreamEvent(said, b"response.odd.delta"))
    assert b"event: response.odd.delta\ndata: " + said.replace(b"\xe2\x80\xa8", b"\\u2028") + b"\n\n" == framed
    assert b"" == encoder.end()


def test_an_error_in_a_passed_stream_is_numbered_on_and_fails_the_response() -> None:
    first = payloads((GOLDEN / "text.sse").read_bytes())[0]
    encoder = ENDPOINT.encoder(parse({"model": "m", "input": "hi", "stream": True}), translate=False)
    encoder.event(StreamEvent(json.dumps(first).encode(), b"response.created"))
    encoder.event(
        StreamEvent(b'{"type":"response.output_text.delta","sequence_number":7}', b"response.output_text.delta")
    )
    error, failed = payloads(encoder.error(CUT, "req-1"))
    assert [8, 9] == [error["sequence_number"], failed["sequence_number"]]
    assert first["response"]["id"] == failed["response"]["id"]
    EVENT.validate_python(failed)


def test_an_error_in_a_passed_stream_that_cannot_be_read_is_told_all_the_same() -> None:
    encoder = ENDPOINT.encoder(parse({"model": "m", "input": "hi", "stream": True}), translate=False)
    encoder.event(StreamEvent(b"[]", b"odd"))
    [error] = payloads(encoder.error(CUT, "req-1"))
    assert ("error", 0) == (error["type"], error["sequence_number"])


def test_the_head_is_read() -> None:
    call = parse({"model": "m", "input": "hi", "stream": True, "max_output_tokens": 9})
    assert ("chat", "responses", "m", True, 9) == (call.operation, call.wire, call.model, call.stream, call.max_tokens)


def test_state_needs_no_input_where_the_provider_keeps_it() -> None:
    assert "m" == parse({"model": "m", "previous_response_id": "resp_1"}).model


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": None}, "model"),
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": {"role": "user"}}, "input"),
        ({"stream": "yes"}, "stream"),
        ({"text": "json"}, "text"),
        ({"reasoning": "high"}, "reasoning"),
        ({"max_output_tokens": "many"}, "max_output_tokens"),
    ],
)
def test_a_head_that_cannot_be_read_is_refused(members: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse({"model": "m", "input": "hi", **members})
    assert param == caught.value.param


def items(*given: Any) -> dict[str, Any]:
    return {"input": list(given)}


def content(*given: Any) -> dict[str, Any]:
    return items({"role": "user", "content": list(given)})


FUNCTION = {"type": "function", "name": "f", "parameters": {}}


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp"}]}}, "tool_choice.tools"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": 5}}, "tool_choice.tools"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "auto"}}, "tool_choice.tools"),
        (
            {"tools": [FUNCTION], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{**FUNCTION, "name": "g"}]}},
            "tool_choice.tools",
        ),
        ({"text": {"format": {"type": "grammar"}}}, "text.format"),
        (items({"type": "item_reference", "id": "msg_1"}), "input[0]"),
        (items({"id": "msg_1"}), "input[0]"),
        (items({"role": "user", "content": "hi"}, {"type": "something_call", "id": "s_1"}), "input[1]"),
        (items({"type": "compaction", "encrypted_content": "of another maker"}), "input[0]"),
        (items({"type": "compaction", "encrypted_content": "sg1c.?"}), "input[0].encrypted_content"),
        (items({"role": "tool", "content": "hi"}), "input[0].role"),
        (items({"type": "function_call", "name": "f", "arguments": "{}"}), "input[0].call_id"),
        (items({"type": "function_call_output", "output": "x"}), "input[0].call_id"),
        (items(7), "input[0]"),
        (content({"type": "input_image", "file_id": "file-1"}), "input[0].content[0]"),
        (content({"type": "input_text", "text": "a"}, {"type": "input_video"}), "input[0].content[1]"),
        (content({"type": "input_text"}), "input[0].content[0].text"),
    ],
)  # fmt: skip
def test_what_a_chat_cannot_say_is_refused_by_name(members: dict[str, Any], param: str) -> None:
    call = parse({"model": "m", "input": "hi", **members})
    with pytest.raises(InvalidRequest) as caught:
        ENDPOINT.canonical(call)
    assert param == caught.value.param
    assert param in caught.value.message


def test_a_strict_client_is_refused_what_would_be_dropped() -> None:
    call = parse({"model": "m", "input": "hi", "store": True})
    call.strict = True
    with pytest.raises(InvalidRequest) as caught:
        ENDPOINT.canonical(call)
    assert "store" == caught.value.param


def test_tokens_without_probabilities_are_asked_for_neither() -> None:
    made = ENDPOINT.canonical(parse({"model": "m", "input": "hi", "top_logprobs": 0}))
    assert {"model", "messages"} == made.members.keys()
