"""What coding agents send over the Responses API to providers that do not speak it: tools of every kind, and compaction."""

import json
from typing import Any

import pytest

from switchgear.contracts.provider import Answer, Call, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.errors import InvalidRequest
from switchgear.wire.chunks import ChunkWriter
from switchgear.wire.members import raw
from switchgear_plugins.openai.responses.endpoint import Responses

ENDPOINT = Responses()
OBJECT = {"type": "object", "properties": {}}
GO = {"type": "function", "name": "go", "parameters": OBJECT}
PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/s"},
}


def parse(**members: Any) -> Call:
    body = {"model": "m", "input": "hi", **members}
    call = ENDPOINT.parse({name: raw(value) for name, value in body.items()}, {})
    ENDPOINT.check(call)
    return call


def chat(call: Call) -> tuple[dict[str, Any], list[str]]:
    made = ENDPOINT.canonical(call)
    return {name: json.loads(bytes(value)) for name, value in made.members.items()}, list(made.dropped)


def namespace(name: str, *tools: dict[str, Any]) -> dict[str, Any]:
    return {"type": "namespace", "name": name, "description": "d", "tools": list(tools)}


def names(call: Call) -> list[str]:
    return [tool["function"]["name"] for tool in chat(call)[0].get("tools", ())]


def answered(call: Call, *calls: tuple[str, str], text: str | None = None) -> list[dict[str, Any]]:
    """Answer with calls; the whole answer and the stream must say the same."""
    made = [
        {"id": f"c{n}", "type": "function", "function": {"name": f, "arguments": a}} for n, (f, a) in enumerate(calls)
    ]
    message = {"role": "assistant", "content": text, "tool_calls": made}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    whole = json.loads(ENDPOINT.answer(call, Answer(json.dumps(body).encode(), Usage.of(1, 1))))["output"]
    writer = ChunkWriter(id="x", created=1, model="m", usage_wanted=True)
    chunks = [writer.role(), *([writer.text(text)] if text else [])]
    for place, (name, arguments) in enumerate(calls):
        chunks.append(writer.tool_call(place, f"c{place}", name))
        chunks += [writer.arguments(place, piece) for piece in arguments]
    streamed = events(call, [*chunks, writer.finish("tool_calls" if calls else "stop"), writer.end(Usage.of(1, 1))])
    assert whole == streamed[-1]["response"]["output"]
    assert whole == [event["item"] for event in streamed if event["type"] == "response.output_item.done"]
    return list(whole)


def events(call: Call, chunks: list[StreamEvent]) -> list[dict[str, Any]]:
    encoder = ENDPOINT.encoder(call, translate=True)
    framed = b"".join([encoder.event(chunk) for chunk in chunks if chunk.data]) + encoder.end()
    return [json.loads(event.partition("data: ")[2]) for event in framed.decode().split("\n\n")[:-1]]


def test_a_tool_of_free_text_is_a_function_of_one_text_and_comes_back_as_it_was() -> None:
    call = parse(tools=[PATCH])
    members, dropped = chat(call)
    function = members["tools"][0]["function"]
    assert ("apply_patch", ["input"]) == (function["name"], function["parameters"]["required"])
    assert "start: /.+/s" in function["description"]
    assert [] == dropped
    (item,) = answered(call, ("apply_patch", '{"input": "*** Begin \\" {"}'))
    assert ("custom_tool_call", "apply_patch", '*** Begin " {', "c0") == (
        item["type"],
        item["name"],
        item["input"],
        item["call_id"],
    )


@pytest.mark.parametrize("arguments", ["*** Begin", '{"patch": "x"}', "[1]"])
def test_what_a_model_gives_in_another_form_is_the_input(arguments: str) -> None:
    (item,) = answered(parse(tools=[PATCH]), ("apply_patch", arguments))
    assert arguments == item["input"]


def test_events_of_free_text_are_its_own() -> None:
    writer = ChunkWriter(id="x", created=1, model="m", usage_wanted=True)
    begun = writer.tool_call(0, "c0", "apply_patch", '{"input":"raw"}')
    told = events(parse(tools=[PATCH]), [begun, writer.finish("tool_calls"), writer.end(None)])
    kinds = [event["type"] for event in told if "custom_tool_call" in event["type"]]
    assert ["response.custom_tool_call_input.delta", "response.custom_tool_call_input.done"] == kinds
    assert not [event for event in told if "function_call" in event["type"]]


def test_a_namespace_is_flattened_and_comes_back() -> None:
    call = parse(tools=[namespace("mcp_x", GO, PATCH), GO])
    assert ["mcp_x__go", "mcp_x__apply_patch", "go"] == names(call)
    first, second, third = answered(call, ("mcp_x__go", "{}"), ("mcp_x__apply_patch", '{"input":"p"}'), ("go", "{}"))
    assert ("function_call", "mcp_x", "go") == (first["type"], first["namespace"], first["name"])
    assert ("custom_tool_call", "mcp_x", "apply_patch") == (second["type"], second["namespace"], second["name"])
    assert ("go", False) == (third["name"], "namespace" in third)


def test_what_is_said_of_a_namespace_is_told_once() -> None:
    other = {"type": "function", "name": "stay", "description": "Stays."}
    members, dropped = chat(parse(tools=[namespace("mcp_x", other, GO), namespace("mcp_x", other)]))
    said = [tool["function"].get("description") for tool in members["tools"]]
    assert said == ["Stays.\n\nOf all tools whose names begin with `mcp_x__`: d", None]
    assert dropped == []


def test_long_and_equal_names_stay_apart_and_short() -> None:
    long = "mcp__" + "x" * 70
    tools = [
        namespace(long, {**GO, "name": "alpha"}, {**GO, "name": "omega"}),
        {**GO, "name": "mcp_x__go"},
        namespace("mcp_x", GO),
        namespace("mcp_x__", {**GO, "name": "stay"}),
    ]
    call = parse(tools=tools)
    found = names(call)
    assert 5 == len(set(found))
    assert all(len(name) <= 64 for name in found)
    assert "mcp_x__stay" in found
    back = answered(call, *((name, "{}") for name in found))
    assert ["alpha", "omega", "mcp_x__go", "go", "stay"] == [item["name"] for item in back]
    assert [long, long, None, "mcp_x", "mcp_x__"] == [item.get("namespace") for item in back]


def test_tools_that_only_their_vendor_runs_are_left_out_by_name() -> None:
    members, dropped = chat(parse(tools=[{"type": "file_search"}, GO, {"type": "mcp", "server_label": "l"}]))
    assert 1 == len(members["tools"])
    assert ["tools[0].file_search", "tools[2].mcp"] == dropped
    call = parse(tools=[{"type": "file_search"}])
    call.strict = True
    with pytest.raises(InvalidRequest):
        chat(call)


@pytest.mark.parametrize(
    ("choice", "named"),
    [("auto", []), ("none", []), ("required", ["tool_choice"]), ({"type": "file_search"}, ["tool_choice"])],
)
def test_without_tools_there_is_no_choice(choice: Any, named: list[str]) -> None:
    members, dropped = chat(parse(tools=[{"type": "file_search"}], tool_choice=choice, parallel_tool_calls=False))
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & members.keys()
    assert ["tools[0].file_search", *named] == dropped


def test_a_search_of_the_web_is_for_the_target_to_take_or_name() -> None:
    call = parse(tools=[{"type": "web_search", "search_context_size": "low", "max_results": 3}, GO])
    made = ENDPOINT.canonical(call)
    assert b'{"search_context_size":"low"}' == bytes(made.members["web_search_options"])
    made.drop("web_search_options")
    assert ("tools[0].web_search.max_results", "tools[0].web_search") == made.dropped


def test_a_choice_names_the_function_that_goes_out() -> None:
    tools = [namespace("ns", GO), PATCH, {"type": "web_search"}]
    for choice, name in (
        ({"type": "custom", "name": "apply_patch"}, "apply_patch"),
        ({"type": "function", "name": "go", "namespace": "ns"}, "ns__go"),
    ):
        assert name == chat(parse(tools=tools, tool_choice=choice))[0]["tool_choice"]["function"]["name"]
    allowed = {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "custom", "name": "apply_patch"}, {"type": "web_search"}],
    }
    assert ["apply_patch"] == names(parse(tools=tools, tool_choice=allowed))


def test_tools_may_come_as_items() -> None:
    items = [
        {"role": "user", "content": "q"},
        {"type": "additional_tools", "role": "developer", "tools": [PATCH, namespace("ns", GO)]},
        {"type": "tool_search_call", "call_id": "s1", "execution": "client", "arguments": {"query": "x"}},
        {"type": "tool_search_output", "call_id": "s1", "execution": "client", "tools": [{**GO, "name": "found"}]},
        {"type": "tool_search_call", "execution": "server", "arguments": {}},
        {"type": "tool_search_output", "tools": []},
    ]
    call = parse(input=items, tools=[{"type": "tool_search", "execution": "client", "parameters": OBJECT}])
    members, dropped = chat(call)
    assert ["tool_search", "apply_patch", "ns__go", "found"] == names(call)
    assert ["user", "assistant", "tool"] == [message["role"] for message in members["messages"]]
    assert ["input[].tool_search_call", "input[].tool_search_output"] == dropped
    (item,) = answered(call, ("tool_search", '{"query":"y"}'))
    assert ("tool_search_call", "client", {"query": "y"}) == (item["type"], item["execution"], item["arguments"])


def test_what_was_called_is_told_as_calls_and_results() -> None:
    items = [
        {"role": "user", "content": "q"},
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin"},
        {"type": "function_call", "call_id": "c2", "name": "go", "namespace": "ns", "arguments": "{}"},
        {
            "type": "local_shell_call",
            "call_id": "c3",
            "status": "completed",
            "action": {"type": "exec", "command": ["ls"], "env": {}},
        },
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
        {"type": "function_call_output", "call_id": "c2", "output": "r"},
        {"type": "local_shell_call_output", "id": "c3", "output": "a.txt"},
        {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search", "query": "q"}},
        {"type": "shell_call_output", "call_id": "c9", "output": [{"stdout": "x"}]},
    ]
    members, dropped = chat(parse(input=items, tools=[namespace("ns", GO), {"type": "local_shell"}]))
    assistant = members["messages"][1]
    called = [(it["function"]["name"], json.loads(it["function"]["arguments"])) for it in assistant["tool_calls"]]
    assert [
        ("apply_patch", {"input": "*** Begin"}),
        ("ns__go", {}),
        ("local_shell", {"command": ["ls"], "env": {}}),
    ] == called
    assert ["c1", "c2", "c3"] == [it["tool_call_id"] for it in members["messages"][2:]]
    assert ["input[].web_search_call", "input[].shell_call_output"] == dropped


def test_the_clients_shell_is_a_function_and_comes_back() -> None:
    (item,) = answered(parse(tools=[{"type": "local_shell"}]), ("local_shell", '{"command":["ls","-l"]}'))
    assert ("local_shell_call", ["ls", "-l"], "c0") == (item["type"], item["action"]["command"], item["call_id"])


def test_members_of_agents_that_no_chat_knows_are_dropped_by_name() -> None:
    members, dropped = chat(parse(client_metadata={"a": "b"}, moderation={}))
    assert ["client_metadata", "moderation"] == dropped
    assert {"model", "messages"} == members.keys()


def test_calls_that_come_mixed_are_told_one_after_the_other() -> None:
    writer = ChunkWriter(id="x", created=1, model="m", usage_wanted=True)
    chunks = [
        writer.tool_call(0, "c0", "read"),
        writer.arguments(0, '{"a":'),
        writer.tool_call(1, "c1", "bash"),
        writer.arguments(1, '{"b":'),
        writer.arguments(0, '"{"}'),
        writer.arguments(1, "2}"),
        writer.text("and"),
        writer.finish("tool_calls"),
        writer.end(None),
    ]
    told = events(parse(), chunks)
    open_item = None
    for event in told:
        if event["type"] == "response.output_item.added":
            assert open_item is None
            open_item = event["output_index"]
        elif event["type"] == "response.output_item.done":
            assert event["output_index"] == open_item
            open_item = None
        elif "output_index" in event:
            assert event["output_index"] == open_item
    assert [("read", '{"a":"{"}'), ("bash", '{"b":2}')] == [
        (item["name"], item["arguments"]) for item in told[-1]["response"]["output"][:2]
    ]
    done = [event for event in told if event["type"] == "response.function_call_arguments.done"]
    assert ["read", "bash"] == [event["name"] for event in done]


def test_a_conversation_is_put_in_short_as_one_item_that_is_read_again() -> None:
    asked = parse(input=[{"role": "user", "content": "long story"}, {"type": "compaction_trigger"}], tools=[GO])
    members, _ = chat(asked)
    assert ["user", "user"] == [message["role"] for message in members["messages"]]
    assert "none" == members["tool_choice"]
    (item,) = answered(asked, text="the summary")
    assert "compaction" == item["type"]
    later, dropped = chat(parse(input=[item, {"role": "user", "content": "go on"}]))
    assert "the summary" in later["messages"][0]["content"]
    assert [] == dropped


def test_citations_are_annotations() -> None:
    note = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 2, "url": "u", "title": "t"}}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "hi", "annotations": [note]},
        "finish_reason": "stop",
    }
    body = {"id": "x", "created": 1, "model": "m", "choices": [choice]}
    whole = json.loads(ENDPOINT.answer(parse(), Answer(json.dumps(body).encode())))
    expected = [{"type": "url_citation", "start_index": 0, "end_index": 2, "url": "u", "title": "t"}]
    assert expected == whole["output"][0]["content"][0]["annotations"]
    frame = {"id": "x", "created": 1, "model": "m"}
    delta = {**frame, "choices": [{"index": 0, "delta": {"content": "hi", "annotations": [note]}}]}
    told = events(parse(), [StreamEvent(json.dumps(delta).encode())])
    assert expected == told[-1]["response"]["output"][0]["content"][0]["annotations"]
    assert expected == [e["annotation"] for e in told if e["type"] == "response.output_text.annotation.added"]
