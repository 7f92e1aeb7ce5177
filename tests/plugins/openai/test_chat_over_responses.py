"""Chats asked over the Responses wire: what goes out, what comes back, and which models are asked so."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.golden import check_every_cut
from switchgear.contracts.provider import CANONICAL, Call, ProviderConfig, TargetModel
from switchgear.errors import ConnectionBroken, InvalidRequest
from switchgear.testing.provider_suite import RecordedHead
from switchgear.wire.members import raw
from switchgear.wire.responses_out import EitherDecoder, is_response, tell_answer
from switchgear_plugins.openai.provider import OpenAIProvider
from switchgear_plugins.openai.settings import OpenAIProviderSettings

GOLDEN = Path(__file__).parent / "golden"
PROVIDER = OpenAIProvider(ProviderConfig("p", None, {}, OpenAIProviderSettings()))
BOTH = frozenset({"chat", "responses"})
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
}
HELLO = [{"role": "user", "content": "q"}]


def chat(stream: bool = False, **members: Any) -> Call:
    body = {"model": "m", "messages": HELLO, **members} | ({"stream": True} if stream else {})
    return Call(
        "chat", CANONICAL, {n: raw(v) for n, v in body.items()}, model="m", stream=stream, usage_wanted=True, origin="x"
    )


def model(name: str = "gpt-5.6", wires: frozenset[str] = BOTH) -> TargetModel:
    return TargetModel("m", name, raw(name), wires=wires)


def sent(call: Call, name: str = "o3-pro", wires: frozenset[str] = frozenset({"responses"})) -> dict[str, Any]:
    request = PROVIDER.prepare(call, model(name, wires), None)
    assert request.url.endswith("/v1/responses")
    found: dict[str, Any] = json.loads(request.body)
    return found


@pytest.mark.parametrize(
    ("name", "members", "path"),
    [
        ("gpt-5.6", {"tools": [TOOL]}, "/responses"),
        ("gpt-5.6", {"tools": [TOOL], "reasoning_effort": "high"}, "/responses"),
        ("gpt-5.6-sol", {"functions": [TOOL["function"]]}, "/responses"),
        ("gpt-6", {"tools": [TOOL]}, "/responses"),
        ("gpt-5.4", {"tools": [TOOL], "reasoning_effort": "low"}, "/responses"),
        ("gpt-5.4", {"tools": [TOOL]}, "/chat/completions"),
        ("gpt-5.6", {"tools": [TOOL], "reasoning_effort": "none"}, "/chat/completions"),
        ("gpt-5.6", {"tools": []}, "/chat/completions"),
        ("gpt-5.6", {"reasoning_effort": "high"}, "/chat/completions"),
        ("gpt-5", {"tools": [TOOL], "reasoning_effort": "high"}, "/chat/completions"),
        ("gpt-5.3-chat-latest", {"tools": [TOOL], "reasoning_effort": "high"}, "/chat/completions"),
        ("gpt-4o", {"tools": [TOOL], "reasoning_effort": "high"}, "/chat/completions"),
    ],
)
def test_models_that_refuse_tools_in_a_chat_are_asked_over_responses(
    name: str, members: dict[str, Any], path: str
) -> None:
    assert PROVIDER.prepare(chat(**members), model(name), None).url.endswith(path)


def test_a_model_resource_says_in_which_of_them() -> None:
    call = chat(tools=[TOOL])
    assert PROVIDER.prepare(call, model(wires=frozenset({"chat"})), None).url.endswith("/chat/completions")
    assert PROVIDER.prepare(chat(), model("gpt-4o", frozenset({"responses"})), None).url.endswith("/responses")


def test_messages_become_items_in_their_order() -> None:
    detail = {"type": "reasoning.encrypted", "data": "E", "id": "rs_1", "format": "responses-v1"}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}
    file = {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}}
    call = chat(
        messages=[
            {"role": "system", "content": "S"},
            {"role": "user", "content": [{"type": "text", "text": "q"}, image, file]},
            {
                "role": "assistant",
                "content": "a",
                "reasoning_details": [{**detail, "type": "reasoning.summary", "summary": "s", "data": None}, detail],
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "r"},
        ]
    )
    assert [
        {"type": "message", "role": "system", "content": "S"},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "q"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"},
            ],
        },
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "s"}],
            "encrypted_content": "E",
            "id": "rs_1",
        },
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "r"},
    ] == sent(call)["input"]
    assert () == call.dropped


def test_what_another_vendor_thought_is_left_out_by_name() -> None:
    message = {"role": "assistant", "content": "a", "reasoning_content": "t"}
    signed = {**message, "reasoning_details": [{"type": "reasoning.text", "text": "t", "signature": "s"}]}
    call = chat(messages=[*HELLO, message, signed])
    assert ["message", "message", "message"] == [item["type"] for item in sent(call)["input"]]
    assert ("messages.reasoning_content", "messages.reasoning_details") == call.dropped


def test_settings_have_their_places() -> None:
    schema = {"name": "s", "schema": {"type": "object"}}
    body = sent(
        chat(
            max_completion_tokens=100,
            reasoning_effort="high",
            verbosity="low",
            response_format={"type": "json_schema", "json_schema": schema},
            tools=[TOOL],
            tool_choice={"type": "function", "function": {"name": "f"}},
            parallel_tool_calls=False,
            logprobs=True,
            top_logprobs=2,
            temperature=0.5,
        )
    )
    body.pop("input")
    assert {
        "model": "o3-pro",
        "max_output_tokens": 100,
        "reasoning": {"effort": "high"},
        "text": {"verbosity": "low", "format": {"type": "json_schema", "strict": False, **schema}},
        "tools": [
            {"type": "function", "name": "f", "strict": False, "parameters": {"type": "object", "properties": {}}}
        ],
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": False,
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
        "top_logprobs": 2,
        "temperature": 0.5,
        "store": False,
    } == body


def test_old_functions_are_tools() -> None:
    called = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    call = chat(
        messages=[*HELLO, called, {"role": "function", "name": "f", "content": "r"}],
        functions=[{"name": "f", "parameters": {}}],
        function_call={"name": "f"},
    )
    body = sent(call)
    assert ["f"] == [tool["name"] for tool in body["tools"]]
    assert {"type": "function", "name": "f"} == body["tool_choice"]
    one, other = body["input"][1:]
    assert ("function_call", "function_call_output", one["call_id"]) == (one["type"], other["type"], other["call_id"])


def test_a_choice_without_tools_does_not_go_out() -> None:
    body = sent(chat(tools=[], tool_choice="auto", parallel_tool_calls=False))
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & body.keys()


def test_what_the_wire_cannot_say_is_named_and_what_says_nothing_is_not() -> None:
    call = chat(stop=["x"], seed=1, presence_penalty=0, frequency_penalty=0.5, n=1, max_tokens=1)
    assert 16 == sent(call)["max_output_tokens"]
    assert {"stop", "seed", "frequency_penalty"} == set(call.dropped)
    assert call.changed == ("max_tokens",)


@pytest.mark.parametrize("members", [{"n": 2}, {"modalities": ["text", "audio"]}, {"messages": [{"role": "x"}]}])
def test_what_dropping_would_falsify_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        sent(chat(**members))


def test_models_that_do_not_reason_are_not_asked_for_reasoning() -> None:
    assert "include" not in sent(chat(), "gpt-4o")


def test_a_whole_answer_is_a_completion() -> None:
    body = (GOLDEN / "response_tools.json").read_bytes()
    assert is_response(body)
    told = PROVIDER.decode(chat(), RecordedHead(), body)
    found = json.loads(told.body)
    assert "chat.completion" == found["object"]
    assert "tool_calls" == found["choices"][0]["finish_reason"] == told.finish_reason
    assert all(call["function"]["name"] for call in found["choices"][0]["message"]["tool_calls"])
    assert told.usage is not None


def test_citations_custom_calls_and_reasoning_are_carried() -> None:
    note = {"type": "url_citation", "start_index": 0, "end_index": 2, "url": "u", "title": "t"}
    body = {
        "object": "response",
        "id": "resp_1",
        "created_at": 1.5,
        "status": "completed",
        "model": "m",
        "output": [
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "s"}],
                "encrypted_content": "E",
            },
            {"type": "message", "content": [{"type": "output_text", "text": "hi", "annotations": [note]}]},
            {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "*** Begin"},
            {"type": "image_generation_call", "id": "ig", "result": "AA=="},
        ],
        "usage": None,
    }
    message = json.loads(tell_answer(json.dumps(body).encode(), RecordedHead()).body)["choices"][0]["message"]
    citation = {key: value for key, value in note.items() if key != "type"}
    assert [{"type": "url_citation", "url_citation": citation}] == message["annotations"]
    assert [{"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}] == message["tool_calls"]
    assert "s" == message["reasoning_content"]
    assert ["reasoning.summary", "reasoning.encrypted"] == [it["type"] for it in message["reasoning_details"]]


def test_a_completion_that_talks_of_responses_is_none() -> None:
    assert not is_response(b'{"object": "chat.completion", "choices": [{"x": {"object": "response"}}]}')


def said(stream: bytes, call: Call | None = None) -> dict[str, Any]:
    events = check_every_cut(lambda: PROVIDER.decoder(call or chat(stream=True), RecordedHead()), stream)
    assert [True] == [event.last for event in events if event.last]
    found: dict[str, Any] = {"content": "", "thought": "", "calls": {}, "finish": None, "usage": events[-1].usage}
    for event in events:
        for choice in json.loads(event.data)["choices"] if event.data else ():
            delta = choice["delta"]
            found["content"] += delta.get("content") or ""
            found["thought"] += delta.get("reasoning_content") or ""
            found["finish"] = choice["finish_reason"] or found["finish"]
            for call_ in delta.get("tool_calls") or ():
                kept = found["calls"].setdefault(call_["index"], ["", ""])
                inner = call_.get("function") or call_.get("custom")
                kept[0] += inner.get("name") or ""
                kept[1] += inner.get("arguments") or inner.get("input") or ""
    return found


def test_a_stream_is_told_as_chunks_however_it_is_cut() -> None:
    told = said((GOLDEN / "responses_tools.sse").read_bytes())
    assert "tool_calls" == told["finish"]
    assert told["calls"]
    for name, arguments in told["calls"].values():
        assert name
        json.loads(arguments)
    assert told["usage"] is not None
    assert "length" == said((GOLDEN / "responses_incomplete.sse").read_bytes())["finish"]
    plain = said((GOLDEN / "responses.sse").read_bytes())
    assert plain["content"]
    assert "stop" == plain["finish"]


def framed(*events: dict[str, Any]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)


DONE: dict[str, Any] = {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": []}}


def test_items_that_come_whole_are_told() -> None:
    items = [
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "t"}], "encrypted_content": "E"},
        {"type": "message", "content": [{"type": "output_text", "text": "hi"}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "raw"},
    ]
    by_item = [{"type": "response.output_item.done", "output_index": n, "item": it} for n, it in enumerate(items)]
    closing = {**DONE, "response": {**DONE["response"], "output": items}}
    for stream in (framed(*by_item, closing), framed(closing)):
        told = said(b": a comment first\n\n" + stream)
        assert ("hi", "t", {0: ["f", "{}"], 1: ["g", "raw"]}) == (told["content"], told["thought"], told["calls"])


def test_a_stream_that_failed_and_one_that_was_cut_are_so() -> None:
    head = RecordedHead()
    decoder = EitherDecoder(chat(stream=True), head)
    failed = {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "m"}}}
    events = decoder.feed(framed(failed))
    assert events[-1].fault is not None
    assert "rate_limit" == events[-1].fault.cause
    cut = EitherDecoder(chat(stream=True), head)
    cut.feed(framed({"type": "response.created", "response": {"id": "r"}}))
    with pytest.raises(ConnectionBroken):
        cut.close()


def test_a_stream_of_chunks_is_decoded_as_one() -> None:
    stream = (GOLDEN / "tools.sse").read_bytes()
    assert said(stream)["calls"]


def test_names_and_users_fit_and_come_back_as_the_clients_own() -> None:
    long = "mcp__server__" + "x" * 80
    tool = {"type": "function", "function": {"name": long, "parameters": {"type": "object", "properties": {}}}}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    call = chat(
        messages=[
            *HELLO,
            {
                "role": "assistant",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": long, "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "shot"}, picture]},
        ],
        tools=[tool],
        tool_choice={"type": "function", "function": {"name": long}},
        user="u" * 100,
    )
    body = sent(call)
    (short,) = {body["tools"][0]["name"], body["tool_choice"]["name"], body["input"][1]["name"]}
    assert (True, 64) == (len(short) <= 64, len(body["user"]))
    assert ["input_text", "input_image"] == [part["type"] for part in body["input"][2]["output"]]
    item = {"type": "function_call", "call_id": "c2", "name": short, "arguments": "{}"}
    whole = {"object": "response", "id": "r", "status": "completed", "output": [item], "usage": None}
    message = json.loads(PROVIDER.decode(call, RecordedHead(), json.dumps(whole).encode()).body)["choices"][0][
        "message"
    ]
    assert long == message["tool_calls"][0]["function"]["name"]
    call.stream = True
    told = said(framed({"type": "response.output_item.done", "output_index": 0, "item": item}, DONE), call)
    assert {0: [long, "{}"]} == told["calls"]


@pytest.mark.parametrize("kind", ["function", "custom"])
def test_names_fit_wherever_they_stand(kind: str) -> None:
    long = "n" * 80
    tool = {"type": kind, kind: {"name": long}}
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool]}}
    made = {"id": "c1", "type": kind, kind: {"name": long, "arguments" if kind == "function" else "input": "{}"}}
    messages = [
        *HELLO,
        {"role": "assistant", "tool_calls": [made]},
        {"role": "tool", "tool_call_id": "c1", "content": "r"},
    ]
    for choice in (tool, allowed):
        call = chat(messages=messages, tools=[tool], tool_choice=choice)
        body = sent(call)
        short = body["tools"][0]["name"]
        assert len(short) <= 64
        chosen = body["tool_choice"]["tools"][0] if choice is allowed else body["tool_choice"]
        assert {"type": kind, "name": short} == chosen
        assert short == body["input"][1]["name"]
        assert {short: long} == call.aliases
