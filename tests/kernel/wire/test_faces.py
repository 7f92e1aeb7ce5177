"""Conversations read from every wire and written back: what nobody touched goes through byte for byte."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw, structs

from switchgear.contracts.conversation import (
    Conversation,
    Face,
    File,
    Image,
    Opaque,
    Origin,
    Reasoning,
    ResponseFormat,
    Sampling,
    ServerTool,
    Sources,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    read,
    write,
)
from switchgear.contracts.provider import Call
from switchgear.errors import InvalidRequest
from switchgear.wire.faces.chat import ChatFace
from switchgear.wire.faces.messages import MessagesFace
from switchgear.wire.faces.plain import PlainFace
from switchgear.wire.faces.responses import ResponsesFace
from switchgear.wire.faces.view import ConversationView

CHAT, MESSAGES, RESPONSES = ChatFace(), MessagesFace(), ResponsesFace()
PROMPT = PlainFace("completions", "prompt", "suffix", takes_instructions=True)
INPUT = PlainFace("embeddings", "input", takes_instructions=False)

TEXT = st.text(max_size=8)
MARK = st.fixed_dictionaries({}, optional={"cache_control": st.just({"type": "ephemeral"}), "x_new": st.integers()})


def part(**members: Any) -> st.SearchStrategy[Any]:
    made = {name: value if isinstance(value, st.SearchStrategy) else st.just(value) for name, value in members.items()}
    return st.builds(lambda own, more: {**own, **more}, st.fixed_dictionaries(made), MARK)


ODD = st.sampled_from([{"type": "unheard_of", "text": "?"}, {}, {"type": 7}, "text", 3, None])
CHAT_PART = st.one_of(
    part(type="text", text=TEXT),
    part(type="image_url", image_url={"url": "data:image/png;base64,AAAA", "detail": "low"}),
    part(type="image_url", image_url={"url": "https://x.test/a.png"}),
    part(type="file", file={"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}),
    part(type="input_audio", input_audio={"data": "AAAA", "format": "wav"}),
    part(type="refusal", refusal=TEXT),
    ODD,
)
CHAT_CALL = part(id="1", type="function", function={"name": "f", "arguments": "{}", "odd": 1}) | part(
    id="2", type="custom", custom={"name": "g", "input": "free"}
)
DETAIL = part(type="reasoning.text", text=TEXT, signature="s", format="f", index=0) | part(
    type="reasoning.encrypted", data="d", id="1"
)
CHAT_MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "odd"])},
    optional={
        "content": st.one_of(TEXT, st.none(), st.lists(CHAT_PART, max_size=3), st.just(7)),
        "refusal": st.one_of(TEXT, st.none()),
        "reasoning_content": TEXT,
        "reasoning_details": st.lists(DETAIL, max_size=2),
        "tool_calls": st.lists(CHAT_CALL, max_size=2),
        "function_call": st.just({"name": "f", "arguments": "{}"}),
        "tool_call_id": TEXT,
        "name": TEXT,
    },
)
BLOCK = st.recursive(
    st.one_of(
        part(type="text", text=TEXT),
        part(type="image", source={"type": "base64", "media_type": "image/png", "data": "AAAA"}),
        part(type="document", source={"type": "url", "url": "https://x.test"}, title="t"),
        part(type="document", source={"type": "text", "media_type": "text/plain", "data": "words"}),
        part(type="thinking", thinking=TEXT, signature="s"),
        part(type="redacted_thinking", data="d"),
        part(type="tool_use", id="1", name="f", input={"a": [1, 2.0]}),
        part(type="server_tool_use", id="s", name="web_search", input={}),
        part(type="web_search_tool_result", tool_use_id="s", content=[]),
        ODD,
    ),
    lambda inner: st.one_of(
        part(type="tool_result", tool_use_id="1", is_error=st.booleans(), content=st.lists(inner, max_size=2) | TEXT),
        part(type="search_result", source="s", title="t", content=st.lists(inner, max_size=2)),
    ),
    max_leaves=4,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"]), "content": st.lists(BLOCK, max_size=3) | TEXT}
)
ITEM_PART = st.one_of(
    part(type="input_text", text=TEXT),
    part(type="output_text", text=TEXT, annotations=[]),
    part(type="input_image", image_url="data:image/png;base64,AAAA", detail="auto"),
    part(type="input_file", file_data="data:application/pdf;base64,AAAA", filename="a"),
    part(type="refusal", refusal=TEXT),
    ODD,
)
ITEM = st.one_of(
    part(type="message", role="user", content=st.lists(ITEM_PART, max_size=3) | TEXT),
    part(role="developer", content=TEXT),
    part(type="message", role="assistant", id="m", status="completed", content=st.lists(ITEM_PART, max_size=3)),
    part(type="reasoning", id="r", summary=[{"type": "summary_text", "text": "s"}], encrypted_content="e"),
    part(type="function_call", call_id="1", name="f", arguments='{"a": 1}', id="fc"),
    part(type="custom_tool_call", call_id="2", name="g", input=TEXT),
    part(type="function_call_output", call_id="1", output=st.lists(ITEM_PART, max_size=2) | TEXT),
    part(type="shell_call_output", call_id="1", output=[{"stdout": "s"}]),
    part(type="web_search_call", id="w", status="completed"),
    part(type="item_reference", id="i"),
    part(type="additional_tools", tools=[]),
)
TOKENS = st.lists(st.integers(0, 9), min_size=1, max_size=3)
BODIES: dict[str, tuple[Face, st.SearchStrategy[Any]]] = {
    "chat": (CHAT, st.fixed_dictionaries({"messages": st.lists(CHAT_MESSAGE, max_size=4)})),
    "messages": (
        MESSAGES,
        st.fixed_dictionaries(
            {"messages": st.lists(MESSAGE, max_size=4)},
            optional={"system": st.one_of(TEXT, st.none(), st.lists(part(type="text", text=TEXT), max_size=2))},
        ),
    ),
    "responses": (
        RESPONSES,
        st.fixed_dictionaries(
            {"input": st.one_of(TEXT, st.none(), st.lists(ITEM, max_size=4))},
            optional={"instructions": st.one_of(TEXT, st.none())},
        ),
    ),
    "completions": (
        PROMPT,
        st.fixed_dictionaries(
            {"prompt": st.one_of(TEXT, st.lists(TEXT, max_size=3), TOKENS, st.lists(TOKENS, max_size=2))},
            optional={"suffix": st.one_of(TEXT, st.none())},
        ),
    ),
    "embeddings": (INPUT, st.fixed_dictionaries({"input": st.one_of(TEXT, st.lists(TEXT, max_size=3), TOKENS)})),
}


def call(wire: str, body: dict[str, Any], *, spaced: bool = True) -> Call:
    separators = (" , ", " : ") if spaced else (",", ":")
    members = {name: Raw(json.dumps(value, separators=separators).encode()) for name, value in body.items()}
    return Call("chat", wire, members, model="m")


def sent(asked: Call) -> dict[str, Any]:
    return {name: json.loads(bytes(value)) for name, value in asked.members.items()}


def view(face: Face, **body: Any) -> ConversationView:
    return ConversationView(call(face.wire, body), face)


@pytest.mark.parametrize("wire", BODIES)
@settings(max_examples=150)
@given(data=st.data())
def test_what_nobody_touched_goes_through_byte_for_byte(wire: str, data: Any) -> None:
    face, bodies = BODIES[wire]
    asked = call(wire, data.draw(bodies))
    before, sources = dict(asked.members), Sources()
    write(face, asked, read(face, asked, sources), sources)
    assert before == asked.members
    seen = ConversationView(asked, face)
    for said in seen.texts(channels={"text", "reasoning", "refusal", "tool_arguments"}):
        said.replace(said.text)
    seen.apply()
    assert before == asked.members


@pytest.mark.parametrize("wire", BODIES)
@settings(max_examples=150)
@given(data=st.data())
def test_a_change_of_one_turn_leaves_the_others_as_they_were(wire: str, data: Any) -> None:
    face, bodies = BODIES[wire]
    asked = call(wire, data.draw(bodies))
    seen = ConversationView(asked, face)
    texts = list(seen.texts())
    if not texts:
        return
    chosen = data.draw(st.sampled_from(range(len(texts))))
    sources = Sources()
    before = {id(turn): sources.of(turn) for turn in face.read_turns(asked, sources)}
    chosen_place = next(place for place, turn in enumerate(seen.turns) if turn is texts[chosen].turn)
    texts[chosen].replace(new := '{"changed":1}')
    seen.apply()
    again = Sources()
    turns = face.read_turns(asked, again)
    raws = [again.unchanged(turn) for turn in turns]
    for place, source in enumerate(before.values()):
        assert source is not None
        assert (raws[place] == source.raw) == (place != chosen_place or texts[chosen].text == new)
    after = [said.text for said in ConversationView(asked, face).texts()]
    assert [new if n == chosen else said.text for n, said in enumerate(texts)] == after


@pytest.mark.parametrize("wire", BODIES)
@settings(max_examples=100)
@given(data=st.data())
def test_written_anew_it_reads_the_same(wire: str, data: Any) -> None:
    """As a conversation that came from elsewhere is written: without what the wire had."""
    face, bodies = BODIES[wire]
    asked = call(wire, data.draw(bodies))
    first = [turn for turn in face.read_turns(asked, Sources()) if turn.parts and turn.role != "odd"]
    plain = [
        turn for turn in first if all(type(it) is Text for it in turn.parts) and turn.role in ("user", "assistant")
    ]
    if not plain:
        return
    face.write_turns(asked, plain, Sources())
    heard = [
        "".join(it.text for it in turn.parts if isinstance(it, Text)) for turn in face.read_turns(asked, Sources())
    ]
    assert ["".join(it.text for it in turn.parts if isinstance(it, Text)) for turn in plain] == heard


def test_a_chat_is_read_in_full() -> None:
    details = [{"type": "reasoning.text", "text": "hm", "signature": "s", "format": "f"}]
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    said = {
        "role": "assistant",
        "content": "Hi",
        "reasoning_content": "hm",
        "reasoning_details": details,
        "tool_calls": calls,
    }
    asked = call("chat", {
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test"}}]}, said,
                     {"role": "tool", "tool_call_id": "1", "content": "done"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}, "strict": True}},
        "max_tokens": 5, "stop": "x", "temperature": 1, "metadata": {"a": "b"},
    }, spaced=False)  # fmt: skip
    expected = Conversation(
        "chat",
        (
            Turn("user", (Image("https://x.test"),)),
            Turn("assistant", (
                Reasoning("hm"), Reasoning("hm", origin=Origin(family="f", signature="s")), Text("Hi"), ToolCall("1", "f", "{}")
            )),
            Turn("tool", (ToolResult("1", (Text("done"),)),)),
        ),
        (Tool("f", None, Raw(b"{}"), "function", {"strict": Raw(b"true")}),),
        ToolChoice("tool", "f", parallel=False),
        ResponseFormat("schema", Raw(b"{}"), "a", strict=True),
        Sampling(max_tokens=5, stop=("x",), temperature=1),
        {"a": "b"},
    )  # fmt: skip
    assert expected == read(CHAT, asked, Sources())


def test_messages_are_read_in_full() -> None:
    result = {"type": "tool_result", "tool_use_id": "1", "is_error": True, "content": [{"type": "text", "text": "no"}]}
    paper = {"type": "document", "title": "d", "source": {"type": "text", "media_type": "text/plain", "data": "words"}}
    asked = call("messages", {
        "system": "S", "max_tokens": 5, "stop_sequences": ["x"],
        "messages": [
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "t", "signature": "s"},
                {"type": "text", "text": "a", "citations": []},
                {"type": "thinking", "thinking": "u", "signature": "s2"},
                {"type": "tool_use", "id": "1", "name": "f", "input": {"a":1}},
                {"type": "server_tool_use", "id": "w"}]},
            {"role": "user", "content": [result, paper, {"type": "new"}]},
        ],
        "tools": [{"name": "f", "input_schema": {}}, {"type": "web_search_20250305", "name": "web_search", "max_uses": 1}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True}, "output_config": {"effort": "low"},
    }, spaced=False)  # fmt: skip
    whole = read(MESSAGES, asked, Sources())
    assert (
        Turn("system", (Text("S"),)),
        Turn("assistant", (
            Reasoning("t", origin=Origin(signature="s")), Text("a", extra={"citations": Raw(b"[]")}),
            Reasoning("u", origin=Origin(signature="s2")), ToolCall("1", "f", '{"a":1}'),
            ServerTool("server_tool_use", Raw(b'{"type":"server_tool_use","id":"w"}')),
        )),
        Turn("user", (
            ToolResult("1", (Text("no"),), is_error=True), File("d", media_type="text/plain", parts=(Text("words"),)),
            Opaque("messages", Raw(b'{"type":"new"}')),
        )),
    ) == whole.turns  # fmt: skip
    assert ["function", "web_search_20250305"] == [tool.kind for tool in whole.tools]
    assert ToolChoice("required", None, parallel=False) == whole.choice
    assert Sampling(max_tokens=5, stop=("x",), effort="low") == whole.sampling


def test_responses_are_read_in_order() -> None:
    asked = call("responses", {"instructions": "S", "input": [
        {"role": "user", "content": "q"},
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "s"}], "encrypted_content": "e"},
        {"type": "custom_tool_call", "call_id": "1", "name": "patch", "input": "raw"},
        {"type": "custom_tool_call_output", "call_id": "1", "output": "ok"},
        {"type": "mcp_call", "id": "x"},
        {"type": "item_reference", "id": "y"},
    ]}, spaced=False)  # fmt: skip
    assert (
        Turn("system", (Text("S"),)),
        Turn("user", (Text("q"),)),
        Turn("assistant", (Reasoning("s", is_summary=True), Reasoning(encrypted="e")), {"id": Raw(b'"r"')}),
        Turn("assistant", (ToolCall("1", "patch", "raw", "custom"),)),
        Turn("tool", (ToolResult("1", (Text("ok"),)),)),
        Turn("assistant", (ServerTool("mcp_call", Raw(b'{"type":"mcp_call","id":"x"}')),)),
        Turn("", (Opaque("responses", Raw(b'{"type":"item_reference","id":"y"}')),)),
    ) == RESPONSES.read_turns(asked, Sources())


SYSTEM: list[tuple[Face, dict[str, Any], dict[str, Any]]] = [
    (CHAT, {"messages": [{"role": "user", "content": "q"}]},
     {"messages": [{"role": "system", "content": "P"}, {"role": "user", "content": "q"}]}),
    (CHAT, {"messages": [{"role": "developer", "content": "S", "name": "n"}]},
     {"messages": [{"role": "developer", "content": "P\n\nS", "name": "n"}]}),
    (MESSAGES, {"messages": [{"role": "user", "content": "q"}]},
     {"messages": [{"role": "user", "content": "q"}], "system": "P"}),
    (MESSAGES, {"system": [{"type": "text", "text": "S", "cache_control": {"type": "ephemeral"}}], "messages": []},
     {"system": [{"type": "text", "text": "P\n\nS", "cache_control": {"type": "ephemeral"}}], "messages": []}),
    (MESSAGES, {"messages": [{"role": "system", "content": "mid"}]},
     {"messages": [{"role": "system", "content": "P\n\nmid"}]}),
    (RESPONSES, {"input": "q"}, {"input": "q", "instructions": "P"}),
    (RESPONSES, {"input": [{"role": "user", "content": "q"}], "instructions": "S"},
     {"input": [{"role": "user", "content": "q"}], "instructions": "P\n\nS"}),
    (PROMPT, {"prompt": ["a", "b"], "suffix": "s"}, {"prompt": ["P\n\na", "P\n\nb"], "suffix": "s"}),
    (INPUT, {"input": "a"}, {"input": "a"}),
]  # fmt: skip


@pytest.mark.parametrize(("face", "body", "expected"), SYSTEM)
def test_a_system_text_is_put_first_in_every_wire(face: Face, body: dict[str, Any], expected: dict[str, Any]) -> None:
    seen = view(face, **body)
    assert face.takes_instructions == seen.prepend_system("P")
    seen.apply()
    assert expected == sent(seen.call)


def test_tokens_take_no_system_text() -> None:
    seen = view(PROMPT, prompt=[1, 2])
    seen.prepend_system("P")
    with pytest.raises(InvalidRequest, match="tokens"):
        seen.apply()


@pytest.mark.parametrize(
    ("face", "name"),
    [(CHAT, "messages"), (MESSAGES, "messages"), (RESPONSES, "input")],
    ids=["chat", "messages", "responses"],
)
def test_turns_are_added_removed_and_replaced(face: Face, name: str) -> None:
    hello, bye = {"role": "user", "content": "hello"}, {"role": "user", "content": "bye"}
    seen = view(face, **{name: [hello, bye]})
    first, second = seen.turns
    seen.append(Turn("assistant", (Text("new"),)))
    seen.remove(first)
    seen.replace(second, structs.replace(second, parts=(*second.parts, Text("more"))))
    seen.apply()
    assert ["bye", "more", "new"] == [said.text for said in seen.texts()]
    assert ["user", "user", "assistant"] == [said.role for said in seen.texts()]
    with pytest.raises(ValueError, match="not one of"):
        seen.remove(first)


def test_texts_are_chosen_by_who_said_them_and_what_they_are() -> None:
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    seen = view(
        CHAT,
        messages=[
            {"role": "developer", "content": "d"},
            {"role": "assistant", "content": "a", "reasoning_content": "r", "refusal": "no", "tool_calls": calls},
            {"role": "tool", "tool_call_id": "1", "content": "t"},
        ],
    )
    assert ["d", "a", "no", "{}", "t"] == [said.text for said in seen.texts()]
    assert ["d"] == [said.text for said in seen.texts(["system"])]
    assert ["t"] == [said.text for said in seen.texts(["tool"])]
    assert ["r"] == [said.text for said in seen.texts(channels=["reasoning"])]
    result = {"type": "tool_result", "tool_use_id": "1", "content": "t"}
    inside = view(MESSAGES, messages=[{"role": "user", "content": [result, {"type": "text", "text": "u"}]}])
    assert [("tool", "t"), ("user", "u")] == [(said.role, said.text) for said in inside.texts()]


def test_tools_choice_format_sampling_and_model_are_set_alike() -> None:
    for face in (CHAT, MESSAGES, RESPONSES):
        seen = view(face, model="m", tools=[], unknown=[1])
        seen.set_tools([*seen.tools, Tool("f", "does", Raw(b'{"type":"object"}'))])
        seen.choice = ToolChoice("tool", "f", parallel=False)
        seen.format = ResponseFormat("schema", Raw(b'{"type":"object"}'))
        seen.sampling = Sampling(max_tokens=7, temperature=0.5, effort="low")
        seen.metadata = {"user_id": "u"}
        seen.model = "other"
        whole = seen.whole()
        assert ["f"] == [tool.name for tool in whole.tools]
        assert ToolChoice("tool", "f", parallel=False) == whole.choice
        assert "schema" == whole.format.kind
        assert Sampling(max_tokens=7, temperature=0.5, effort="low") == whole.sampling
        assert {"user_id": "u"} == whole.metadata
        assert ("other", 7) == (seen.call.model, seen.call.max_tokens)
        assert ("other", [1]) == (sent(seen.call)["model"], sent(seen.call)["unknown"])


def test_what_a_wire_has_no_words_for_is_an_error() -> None:
    with pytest.raises(ValueError, match="no name"):
        view(MESSAGES).sampling = Sampling(seed=1)
    with pytest.raises(ValueError, match="no words"):
        view(MESSAGES).format = ResponseFormat("json")
    with pytest.raises(ValueError, match="no tools"):
        view(INPUT).choice = ToolChoice("none")


def test_arguments_of_a_messages_call_must_stay_an_object() -> None:
    block = {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}}
    seen = view(MESSAGES, messages=[{"role": "assistant", "content": [block]}])
    (said,) = seen.texts()
    said.replace("nothing")
    with pytest.raises(ValueError, match="JSON object"):
        seen.apply()


def test_what_cannot_be_read_is_refused_by_name() -> None:
    for face, name in ((CHAT, "messages"), (MESSAGES, "messages"), (RESPONSES, "input")):
        with pytest.raises(InvalidRequest) as caught:
            list(view(face, **{name: [7]}).texts())
        assert f"{name}[0]" == caught.value.param
    assert [] == list(view(CHAT).texts())


def test_reading_notices_that_the_call_got_other_members() -> None:
    seen = view(CHAT, messages=[{"role": "user", "content": "a"}])
    assert ["a"] == [said.text for said in seen.texts()]
    seen.call.members = call("chat", {"messages": [{"role": "user", "content": "b"}]}).members
    assert ["b"] == [said.text for said in seen.texts()]


def test_a_part_that_was_made_from_another_is_not_taken_for_it() -> None:
    asked = call(
        "chat",
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]},
    )
    sources = Sources()
    (turn,) = CHAT.read_turns(asked, sources)
    changed = structs.replace(turn, parts=(structs.replace(turn.parts[0], text="c"), turn.parts[1]))
    CHAT.write_turns(asked, [changed], sources)
    assert [{"type": "text", "text": "c"}, {"type": "text", "text": "b"}] == sent(asked)["messages"][0]["content"]
