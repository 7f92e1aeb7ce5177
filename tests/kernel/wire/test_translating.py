"""The base of providers with a chat API of their own: nothing is lost silently, and streams are what they claim."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, Struct

from support.golden import check_every_cut, read
from switchgear import NoSettings
from switchgear.contracts.capability import TOOLS, VISION
from switchgear.contracts.provider import Call, ProviderFault, TargetModel
from switchgear.contracts.usage import Usage
from switchgear.errors import ConnectionBroken, InvalidRequest
from switchgear.testing.exchange_suite import provider_config
from switchgear.testing.provider_suite import MODEL, ProviderSuite, RecordedHead, chat_call, text_of
from switchgear.wire.answer_writer import AnswerWriter
from switchgear.wire.canonical import ChatRequest
from switchgear.wire.fit.plain import IMAGES, PATHS, fit_plain
from switchgear.wire.fit.request import read_fitted
from switchgear.wire.translating import TranslatingProvider

TOOL = {"type": "function", "function": {"name": "f", "strict": True}, "cache_control": {"type": "ephemeral"}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}
MARK = {"type": "ephemeral"}


class Called(Struct):
    name: str
    args: Raw = Raw(b"")
    id: str | None = None


class Said(Struct):
    text: str | None = None
    thought: str | None = None
    refusal: str | None = None
    call: Called | None = None
    more: str | None = None
    end: str | None = None
    usage: int | None = None


class Toy(TranslatingProvider[NoSettings]):
    reply = Said
    path = "/chat"
    carries = frozenset({"tools", "temperature", IMAGES})
    own = ("mood",)

    def write(self, chat: ChatRequest, call: Call, model: TargetModel) -> dict[str, Any]:
        return {"turns": chat.messages, "tools": chat.tools, "heat": chat.temperature, "top": chat.top_p}

    def read(self, said: Said, say: AnswerWriter) -> None:
        say.reasoning(said.thought)
        say.text(said.text)
        say.refusal(said.refusal)
        if said.call is not None:
            say.tool_call(said.call.name, said.call.args, said.call.id)
        say.arguments(said.more)
        say.usage(None if said.usage is None else Usage.plain(said.usage))
        say.finish(said.end)


def toy() -> Toy:
    return Toy(provider_config("https://x.test/"))


class TestToy(ProviderSuite):
    answer = b'{"text": "Hello", "end": "whatever", "usage": 2}'
    stream = b'data: {"text": "Hel"}\n\ndata: {"text": "lo", "end": "stop"}\n\ndata: {"usage": 2}\n\ndata: [DONE]\n\n'
    usage = Usage.plain(2)
    faults = ((503, b"", "overloaded"), (400, b'{"message": "no"}', "invalid_request"))

    def make(self) -> Toy:
        return toy()


def sent(call: Call) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(toy().prepare(call, MODEL, None).body)
    return body


def stream_of(*events: str) -> bytes:
    return b"".join(b"data: %b\n\n" % event.encode() for event in events)


def told(*events: str, **asked: Any) -> list[dict[str, Any]]:
    """Return the deltas of a stream, with the finish reason in the last."""
    call = chat_call(stream=True, **asked)
    found = check_every_cut(lambda: toy().decoder(call, RecordedHead()), stream_of(*events))
    choices = [choice for event in found if event.data for choice in json.loads(event.data)["choices"]]
    return [
        choice["delta"] | ({"finish": choice["finish_reason"]} if choice["finish_reason"] else {}) for choice in choices
    ]


def test_what_is_not_carried_is_dropped_by_name() -> None:
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "a", "cache_control": MARK}]},
        {"role": "user", "name": "ann", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
        {"role": "assistant", "content": None, "refusal": "No.", "reasoning_content": "Hm"},
    ]
    call = chat_call(messages=messages, tools=[TOOL], temperature=0.5, top_p=0.1, seed=1, logit_bias={"1": 2}, n=1)
    body = sent(call)
    assert {
        "top_p", "seed", "logit_bias", "tools.cache_control", "tools.function.strict", "messages.name",
        "messages.content.cache_control", "messages.reasoning_content",
    } == set(call.dropped)  # fmt: skip
    assert [("system", "a"), ("user", "bc"), ("assistant", "No.")] == [
        (it["role"], it["content"]) for it in body["turns"]
    ]
    assert (0.5, None) == (body["heat"], body["top"])
    assert [{"type": "function", "function": {"name": "f"}}] == body["tools"]


def test_a_strict_client_is_refused_instead() -> None:
    call = chat_call(seed=1)
    call.strict = True
    with pytest.raises(InvalidRequest, match="`seed`"):
        sent(call)


def test_defaults_that_are_not_carried_are_not_there_and_not_named() -> None:
    model = TargetModel("m", "m", Raw(b'"m"'), defaults={"top_p": Raw(b"0.1"), "temperature": Raw(b"0.7")})
    call = chat_call()
    body = json.loads(toy().prepare(call, model, None).body)
    assert (0.7, None, ()) == (body["heat"], body["top"], call.dropped)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"n": 2}, "n"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}]},
         "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
    ],
)  # fmt: skip
def test_what_dropping_would_falsify_is_refused(members: dict[str, Any], param: str) -> None:
    class Strict(Toy):
        def write(self, chat: ChatRequest, call: Call, model: TargetModel) -> dict[str, Any]:
            return {"functions": chat.functions()}

    with pytest.raises(InvalidRequest) as caught:
        Strict(provider_config("https://x.test")).prepare(chat_call(**members), MODEL, None)
    assert param == caught.value.param


@pytest.mark.parametrize(
    "members",
    [
        {"tools": [TOOL]},
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f"}}]}]},
        {"messages": [{"role": "tool", "content": "x"}]},
    ],
)
def test_tools_are_refused_where_there_are_none(members: dict[str, Any]) -> None:
    call = chat_call(**members)
    with pytest.raises(InvalidRequest, match="tool"):
        fit_plain(call, read_fitted(call, MODEL), frozenset())


def test_parts_that_are_carried_stay_and_results_have_their_tools_name() -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "See"}, IMAGE]},
        {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "oops"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "x"},
    ]
    body = sent(chat_call(messages=messages, tools=[TOOL]))
    assert [{"type": "text", "text": "See"}, IMAGE] == body["turns"][0]["content"]
    assert '{"_invalid":"oops"}' == body["turns"][1]["tool_calls"][0]["function"]["arguments"], "always an object"
    assert ("f", "x") == (body["turns"][2]["name"], body["turns"][2]["content"])


def test_a_members_of_the_vendors_own_goes_through() -> None:
    call = chat_call(mood={"a": 1})
    assert ({"a": 1}, ()) == (sent(call)["mood"], call.dropped)


def test_what_is_carried_says_what_a_model_can_do() -> None:
    able = toy().traits("m").capabilities
    assert {TOOLS, VISION} <= able
    assert "json_schema" not in able


def test_a_misspelt_member_is_told_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"Bad\.carries: no part of a chat is called temprature"):
        type("Bad", (Toy,), {"carries": frozenset({"temprature"})})


def test_an_address_is_needed() -> None:
    with pytest.raises(ValueError, match="base_url"):
        Toy(provider_config())


@given(st.sets(st.sampled_from(sorted(PATHS | {"seed", "stop", "tools", "response_format", "user", "top_k"}))))
def test_each_member_is_carried_or_named(carries: set[str]) -> None:
    members = {"seed": 1, "stop": "x", "user": "u", "top_k": 3, "response_format": {"type": "text"}}
    call = chat_call(**members)
    chat = read_fitted(call, MODEL)
    fit_plain(call, chat, carries)
    for name in members:
        assert (name in call.dropped) != (getattr(chat, name) is not None)


def test_tool_calls_are_told_in_every_way_that_vendors_write_them() -> None:
    deltas = told(
        '{"call": {"name": "f", "args": {"a": 1}, "id": "x"}}',
        '{"call": {"name": "g"}}',
        '{"more": "{\\"b\\":"}',
        '{"more": "2}"}',
        '{"call": {"name": "h", "args": "{\\"c\\": 3}"}}',
        '{"call": {"name": "i"}, "end": "stop"}',
    )
    arguments: dict[int, str] = {}
    for delta in deltas:
        for call in delta.get("tool_calls", ()):
            arguments[call["index"]] = arguments.get(call["index"], "") + call["function"]["arguments"]
    assert ['{"a": 1}', '{"b":2}', '{"c": 3}', "{}"] == list(arguments.values())
    assert ("x", "call-018bcfe5680000000000000000000001-1") == (
        deltas[1]["tool_calls"][0]["id"],
        deltas[2]["tool_calls"][0]["id"],
    )
    assert "tool_calls" == deltas[-1]["finish"]


def test_names_of_tools_are_the_clients_own() -> None:
    call = chat_call(tools=[{"type": "function", "function": {"name": "weather now!"}}])
    named = sent(call)["tools"][0]["function"]["name"]
    assert "weather now!" != named
    answer = toy().decode(call, RecordedHead(), json.dumps({"call": {"name": named}}).encode())
    assert "weather now!" == json.loads(answer.body)["choices"][0]["message"]["tool_calls"][0]["function"]["name"]


def test_thoughts_and_refusals_are_told_whole_and_streamed() -> None:
    body = b'{"thought": "Hm", "refusal": "No.", "end": "content_filter"}'
    answer = toy().decode(chat_call(), RecordedHead(200, {"x-request-id": "r"}), body)
    choice = json.loads(answer.body)["choices"][0]
    assert ("Hm", "No.", "content_filter") == (
        choice["message"]["reasoning_content"],
        choice["message"]["refusal"],
        choice["finish_reason"],
    )
    assert "chatcmpl-r" == json.loads(answer.body)["id"]
    deltas = told('{"thought": "Hm"}', '{"refusal": "No."}', '{"end": "content_filter"}')
    assert [{"reasoning_content": "Hm"}, {"refusal": "No."}, {"finish": "content_filter"}] == deltas[1:]


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        ('{"error": {"message": "slow down", "code": "rate_limit_exceeded"}}', "rate_limit"),
        ('{"text": 5}', "protocol"),
        ("<html>", "protocol"),
        ('{"more": "}"}', "protocol"),
    ],
)
def test_a_failure_in_a_stream_ends_it_behind_what_was_said(event: str, cause: str) -> None:
    decoder = toy().decoder(chat_call(stream=True), RecordedHead())
    events = decoder.feed(stream_of('{"text": "Hel"}', event, '{"text": "lo", "end": "stop"}'))
    assert "Hel" == text_of(events)
    fault = events[-1].fault
    assert fault is not None
    assert cause == fault.cause
    assert [] == decoder.feed(stream_of('{"text": "more"}'))


class Beat(Struct):
    kind: str
    text: str = ""


class Typed(Toy):
    """A vendor whose events are of another shape than its answers."""

    event = Beat

    def read_event(self, beat: Beat, say: AnswerWriter) -> None:
        say.text(beat.text)
        say.finish("stop" if beat.kind == "end" else None)


def test_events_may_have_a_shape_of_their_own() -> None:
    def make() -> Typed:
        return Typed(provider_config("https://x.test"))

    stream = stream_of('{"kind": "begin"}', '{"kind": "text", "text": "Hi"}', '{"kind": "end"}')
    events = check_every_cut(lambda: make().decoder(chat_call(stream=True), RecordedHead()), stream)
    assert "Hi" == text_of(events)
    assert "Hi" in make().decode(chat_call(), RecordedHead(), b'{"text": "Hi"}').body.decode()


def test_usage_is_told_to_whoever_asked_and_once() -> None:
    stream = stream_of('{"text": "Hi", "usage": 1}', '{"end": "stop", "usage": 3}', "[DONE]")
    for wanted in (True, False):
        events = read(toy().decoder(chat_call(stream=True, usage_wanted=wanted), RecordedHead()), stream)
        assert [Usage.plain(3)] == [event.usage for event in events if event.usage]
        assert wanted == any(b'"usage"' in event.data for event in events)


def test_done_ends_an_answer_that_has_begun_and_nothing_else() -> None:
    assert "stop" == told('{"text": "Hi"}', "[DONE]")[-1]["finish"]
    with pytest.raises(ConnectionBroken):
        read(toy().decoder(chat_call(stream=True), RecordedHead()), stream_of('{"text": "Hi"}'))
    [event] = toy().decoder(chat_call(stream=True), RecordedHead()).feed(stream_of("[DONE]"))
    assert event.fault is not None


def test_json_instead_of_a_stream_is_the_failure_it_says() -> None:
    head = RecordedHead(200, {"content-type": "application/json"})
    decoder = toy().decoder(chat_call(stream=True), head)
    assert [] == decoder.feed(b'{"error": {"message": "no", "code": "rate_limit_exceeded"}}')
    with pytest.raises(ProviderFault) as caught:
        decoder.close()
    assert "rate_limit" == caught.value.cause


def test_half_a_character_does_not_end_an_answer() -> None:
    answer = toy().decode(chat_call(), RecordedHead(), b'{"text": "cut \\ud83d", "end": "stop"}')
    assert "cut \ufffd" == json.loads(answer.body)["choices"][0]["message"]["content"]
