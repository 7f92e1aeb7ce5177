"""Answers of the chat form that are nearly right."""

import json
from typing import Any

import msgspec
import pytest

from switchgear.contracts.provider import Call, StreamEvent
from switchgear.testing.provider_suite import RecordedHead, chat_call
from switchgear.wire.chat import decode_answer
from switchgear.wire.chat_stream import ChatDecoder
from switchgear.wire.chunks import Chunk, read_chunk, read_completion
from switchgear.wire.gathered import gathered, is_stream
from switchgear.wire.mend import EXTRA

Json = dict[str, Any]


def foreign() -> Call:
    call = chat_call(stream=True, usage_wanted=True)
    call.origin = "messages"
    return call


def streamed(*payloads: Any, call: Call | None = None) -> list[StreamEvent]:
    decoder = ChatDecoder(call or chat_call(stream=True), RecordedHead())
    lines = [it if isinstance(it, str) else json.dumps(it) for it in payloads]
    return [event for line in lines for event in decoder.feed(f"data: {line}\n\n".encode())]


def delta(finish: str | None = None, **members: Any) -> Json:
    return {"choices": [{"index": 0, "delta": members, "finish_reason": finish}]}


def calls_of(events: list[StreamEvent]) -> dict[int, tuple[str, str, str]]:
    found: dict[int, tuple[str, str, str]] = {}
    for event in events:
        for choice in msgspec.json.decode(event.data, type=Chunk).choices if event.data else ():
            for call in (choice.delta and choice.delta.tool_calls) or ():
                id, name, said = found.get(call.index, ("", "", ""))
                function = call.function
                assert function is not None
                name = name if function.name is None else function.name
                found[call.index] = (call.id or id, name, said + (function.arguments or ""))
    return found


def piece(arguments: Any, **members: Any) -> Json:
    name = members.pop("name", "f")
    return {**members, "type": "function", "function": {"name": name, "arguments": arguments}}


TWO = ('{"a":"1"}', '{"a":"2"}')


@pytest.mark.parametrize(
    "deltas",
    [
        [[piece(TWO[0], index=0, id="c1")], [piece(TWO[1], index=0, id="c2")]],
        [[piece(TWO[0], id="c1")], [piece(TWO[1], id="c2")]],
        [[piece(TWO[0], index=None, id="c1")], [piece(TWO[1], index=None, id="c2")]],
        [[piece(TWO[0], id="c1"), piece(TWO[1], id="c2")]],
        [[piece(TWO[0], index=1, id="c1")], [piece(TWO[1], index=7, id="c2")]],
        [[piece(TWO[0])], [piece(TWO[1])]],
        [[piece({"a": "1"}, index=0, id="c1")], [piece({"a": "2"}, index="1", id="c2")]],
        [
            [piece('{"a":', index=0, id="c1")],
            [piece('"1"}', index=0, id="", name="")],
            [piece(TWO[1], index=1, id="c2"), {"index": 1, "id": None, "function": {"name": None, "arguments": None}}],
        ],
    ],
)
def test_two_calls_are_two_calls_however_they_are_numbered(deltas: list[list[Json]]) -> None:
    found = calls_of(streamed(*(delta(tool_calls=calls) for calls in deltas)))
    assert [0, 1] == list(found)
    assert list(TWO) == [said for _, _, said in found.values()]
    assert ["f", "f"] == [name for _, name, _ in found.values()]
    ids = [id for id, _, _ in found.values()]
    assert len(set(ids)) == 2
    assert all(ids)


def test_what_needs_no_mending_goes_by_as_it_came() -> None:
    first = json.dumps(delta(tool_calls=[piece("", index=0, id="c1")]))
    later = json.dumps(delta(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]))
    assert [first.encode(), later.encode()] == [event.data for event in streamed(first, later)]


@pytest.mark.parametrize(
    ("said", "content", "thought"),
    [
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}, None, "hm"),
        ({"content": [{"type": "text", "text": "4"}, {"type": "text", "text": "2"}]}, "42", None),
        ({"content": "42", "reasoning_content": [{"type": "text", "text": "hm"}]}, "42", "hm"),
        ({"content": "42", "reasoning": {"text": "hm"}}, "42", "hm"),
        ({"content": "42", "refusal": False}, "42", None),
    ],
)
def test_texts_are_texts(said: Json, content: str | None, thought: str | None) -> None:
    (event,) = streamed(delta(**said), call=foreign())
    found = read_chunk(event.data).choices[0].delta
    assert found is not None
    assert (content, thought) == (found.content, found.thought)
    whole = {"choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}
    message = (
        read_completion(decode_answer(json.dumps(whole).encode(), RecordedHead(), foreign()).body).choices[0].message
    )
    assert (content, thought) == (message.content, message.thought)


@pytest.mark.parametrize(
    "odd",
    [
        "null",
        "",
        "{}",
        {"choices": None},
        {"choices": [], "cost": "0"},
        {"id": "", "choices": [], "created": 0, "model": "", "prompt_filter_results": []},
    ],
)
def test_events_that_say_nothing_are_passed_over(odd: Any) -> None:
    assert [] == streamed(odd)


@pytest.mark.parametrize(
    "odd", [{"id": None}, {"created": 1.5}, {"created": None}, {"created": "x"}, {"model": None}, {"id": 7}]
)
def test_members_of_the_frame_are_what_they_should_be(odd: Json) -> None:
    (event,) = streamed({**delta(content="hi"), **odd}, call=foreign())
    assert read_chunk(event.data).choices[0].delta is not None


@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        (
            {"object": "error", "message": "too long", "type": "BadRequestError", "param": None, "code": 400},
            "invalid_request",
        ),
        ({"detail": "bad"}, "server"),
        ({"message": "down", "code": 500}, "server"),
        ({"error": {"message": "x", "code": "tool_use_failed"}}, "server"),
        ("[DONE]", "protocol"),
    ],
)
def test_failures_in_a_good_stream_are_failures(payload: Any, cause: str) -> None:
    fault = streamed(payload)[-1].fault
    assert fault is not None
    assert cause == fault.cause


def test_a_json_error_in_the_place_of_a_stream_is_that_error() -> None:
    decoder = ChatDecoder(chat_call(stream=True), RecordedHead(headers={"content-type": "application/json"}))
    assert [] == decoder.feed(b'{"error":{"message":"no","code":"insufficient_quota"}}')
    with pytest.raises(Exception, match="quota"):
        decoder.close()


def test_usage_in_the_last_chunk_is_told_in_one_of_its_own() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    last = {**delta("stop"), "usage": usage}
    wanted = streamed(delta(content="x"), last, "[DONE]", call=chat_call(stream=True, usage_wanted=True))
    assert [[{"index": 0, "delta": {}, "finish_reason": "stop"}], []] == [
        json.loads(event.data)["choices"] for event in wanted[1:3]
    ]
    assert usage == json.loads(wanted[2].data)["usage"]
    unasked = streamed(delta(content="x"), last, "[DONE]")
    assert b"usage" not in b"".join(event.data for event in unasked)
    assert any(event.usage is not None for event in unasked)


def test_usage_that_grows_is_told_once_at_the_end() -> None:
    chunks = [{**delta(content="x"), "usage": {"prompt_tokens": 3, "completion_tokens": n}} for n in (1, 2)]
    end = {**delta("stop"), "usage": {"prompt_tokens": 3, "completion_tokens": 3}}
    events = streamed(*chunks, end, "[DONE]", call=chat_call(stream=True, usage_wanted=True))
    told = [json.loads(event.data)["usage"]["completion_tokens"] for event in events if b'"usage"' in event.data]
    assert [3] == told


def test_halves_of_a_character_are_put_together() -> None:
    halves = [
        '{"choices":[{"index":0,"delta":{"content":"a\\ud83d"}}]}',
        '{"choices":[{"index":0,"delta":{"content":"\\ude00"}}]}',
    ]
    said = [json.loads(event.data)["choices"][0]["delta"]["content"] for event in streamed(*halves)]
    assert "a\U0001f600" == "".join(said)


@pytest.mark.parametrize("stream", [True, False])
def test_extra_content_is_kept_for_clients_of_other_forms(stream: bool) -> None:
    tool = piece("{}", index=0, id="c1", extra_content={"google": {"thought_signature": "SIG"}})
    if stream:
        (event,) = streamed(delta(tool_calls=[tool]), call=foreign())
        details = read_chunk(event.data).choices[0].delta.reasoning_details  # type: ignore[union-attr]
    else:
        whole = {
            "choices": [{"index": 0, "message": {"content": None, "tool_calls": [tool]}, "finish_reason": "tool_calls"}]
        }
        body = decode_answer(json.dumps(whole).encode(), RecordedHead(), foreign()).body
        details = read_completion(body).choices[0].message.reasoning_details
    assert details is not None
    assert [(EXTRA, "c1", '{"google": {"thought_signature": "SIG"}}')] == [
        (it.format, it.id, it.data) for it in details
    ]


@pytest.mark.parametrize(
    "call",
    [
        {"id": "c1", "function": {"name": "f", "arguments": {"a": "1"}}},
        {"id": None, "function": {"name": "f", "arguments": '{"a": "1"}'}},
        {"function": {"name": "f", "arguments": '{"a": "1"}'}},
    ],
)
def test_whole_calls_have_ids_and_texts(call: Json) -> None:
    whole = {
        "choices": [{"index": 0, "message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}]
    }
    found = read_completion(decode_answer(json.dumps(whole).encode(), RecordedHead(), foreign()).body)
    (made,) = found.choices[0].message.tool_calls or ()
    assert made.id
    assert {"a": "1"} == json.loads(made.function.arguments)


def test_the_old_function_call_is_a_call_of_a_tool() -> None:
    said = {"content": None, "function_call": {"name": "f", "arguments": "{}"}}
    whole = {"choices": [{"index": 0, "message": said, "finish_reason": "function_call"}]}
    found = decode_answer(json.dumps(whole).encode(), RecordedHead(), foreign())
    assert "tool_calls" == found.finish_reason
    assert {0: (calls_of(streamed(delta(**said), call=foreign()))[0][0], "f", "{}")} == calls_of(
        streamed(delta(**said), call=foreign())
    )


def test_a_choice_without_a_finish_reason_goes_on_for_clients_of_other_forms() -> None:
    odd = {"choices": [{"index": 0, "delta": {"content": 7}}]}
    events = streamed(odd, delta("stop"), call=foreign())
    assert [None, None] == [event.fault for event in events[:2]]
    assert "7" == read_chunk(events[0].data).choices[0].delta.content


def test_calls_of_custom_tools_stay_such_under_the_clients_own_names() -> None:
    call = chat_call(stream=True)
    call.aliases = {"short": "own"}
    made = {"id": "1", "type": "custom", "custom": {"name": "short", "input": "hi"}}
    own = {"id": "1", "type": "custom", "custom": {"name": "own", "input": "hi"}}
    message = {"role": "assistant", "content": None, "tool_calls": [made]}
    body = {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    whole = decode_answer(json.dumps(body).encode(), RecordedHead(), call)
    assert [own] == json.loads(whole.body)["choices"][0]["message"]["tool_calls"]
    plain = json.dumps(body).encode()
    assert plain == decode_answer(plain, RecordedHead(), chat_call()).body
    begun = {"index": 0, **made, "custom": {"name": "short", "input": ""}}
    events = streamed(delta(tool_calls=[begun]), delta(tool_calls=[{"index": 0, "custom": {"input": "hi"}}]), call=call)
    told = [json.loads(event.data)["choices"][0]["delta"]["tool_calls"][0] for event in events]
    assert [
        {"index": 0, **own, "custom": {"name": "own", "input": ""}},
        {"index": 0, "custom": {"input": "hi"}},
    ] == told


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("eos", "stop"),
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("tool_use", "tool_calls"),
        ("safety", "content_filter"),
    ],
)
def test_a_choice_ends_in_the_words_of_the_form(reason: str, told: str) -> None:
    (_, end) = streamed(delta(content="hi"), delta(finish=reason))
    assert read_chunk(end.data).choices[0].finish_reason == told
    whole = json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": reason}]}).encode()
    assert decode_answer(whole, RecordedHead(), chat_call()).finish_reason == told


@pytest.mark.parametrize("reason", ["stop", "function_call", "tool_use", None])
def test_a_choice_that_called_tools_waits_for_their_results(reason: str | None) -> None:
    events = streamed(delta(tool_calls=[piece(TWO[0], id="c1")]), delta(finish=reason), "[DONE]")
    told = [choice.finish_reason for event in events if event.data for choice in read_chunk(event.data).choices]
    assert told[-1] == "tool_calls"
    said = {"content": None, "tool_calls": [piece(TWO[0], id="c1")]}
    whole = json.dumps({"choices": [{"message": said, "finish_reason": reason}]}).encode()
    assert decode_answer(whole, RecordedHead(), chat_call()).finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("choice", "reason", "told"),
    [
        ({"type": "function", "function": {"name": "f"}}, "stop", "stop"),
        ({"type": "function", "function": {"name": "f"}}, "function_call", "tool_calls"),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}}, "stop", "tool_calls"),
        ("required", "stop", "tool_calls"),
    ],
)
def test_a_call_that_the_client_chose_itself_ends_the_answer(choice: Any, reason: str, told: str) -> None:
    call = chat_call(stream=True, tool_choice=choice)
    called = {"content": None, "tool_calls": [piece(TWO[0], id="c1")]}
    whole = json.dumps({"choices": [{"message": called, "finish_reason": reason}]}).encode()
    assert decode_answer(whole, RecordedHead(), call).finish_reason == told
    *_, end = streamed(delta(tool_calls=[piece(TWO[0], id="c1")]), delta(finish=reason), call=call)
    assert read_chunk(end.data).choices[0].finish_reason == told
    call.origin = "messages"
    assert decode_answer(whole, RecordedHead(), call).finish_reason == "tool_calls"


def test_a_stream_that_says_no_reason_is_given_one_at_its_end() -> None:
    for end in ("[DONE]", " [done] "):
        *_, last, _ = streamed(delta(content="hi"), end)
        assert last.terminal
        assert read_chunk(last.data).choices[0].finish_reason == "stop"


def test_two_calls_of_one_answer_have_ids_of_their_own() -> None:
    said = {"tool_calls": [piece(TWO[0], id="c1"), piece(TWO[1], id="c1")]}
    whole = json.dumps({"choices": [{"message": said, "finish_reason": "tool_calls"}]}).encode()
    calls = read_completion(decode_answer(whole, RecordedHead(), chat_call()).body).choices[0].message.tool_calls
    assert calls is not None
    assert len({call.id for call in calls}) == len(TWO)


def test_an_answer_that_comes_whole_is_told_as_the_stream_that_was_asked_for() -> None:
    decoder = ChatDecoder(foreign(), RecordedHead(headers={"content-type": "application/json"}))
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    said = {"content": "hi", "tool_calls": [piece(TWO[0], id="c1")]}
    body = json.dumps({"choices": [{"message": said, "finish_reason": "stop"}], "usage": usage}).encode()
    events = [*decoder.feed(body[:20]), *decoder.feed(body[20:])]
    decoder.close()
    assert list(calls_of(events).values()) == [("c1", "f", TWO[0])]
    assert events[-1].last
    assert events[-1].usage is not None


def test_a_stream_that_was_not_asked_for_is_put_together() -> None:
    chunks = [
        delta(content="h", reasoning_content="so"),
        delta(content="i", tool_calls=[piece(TWO[0][:4], id="c1")]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": TWO[0][4:]}}]),
        {**delta(finish="stop"), "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
        "[DONE]",
    ]
    lines = [it if isinstance(it, str) else json.dumps(it) for it in chunks]
    body = "".join(f"data: {line}\n\n" for line in lines).encode()
    assert is_stream(body)
    answer = gathered(ChatDecoder(foreign(), RecordedHead()), body)
    said = read_completion(answer.body).choices[0].message
    assert (said.content, said.thought, answer.finish_reason) == ("hi", "so", "tool_calls")
    assert said.tool_calls is not None
    assert said.tool_calls[0].function.arguments == TWO[0]
    assert answer.usage is not None
