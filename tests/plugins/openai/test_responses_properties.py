"""Whatever a provider says, its events are well-formed and what comes back of it is what it said."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from switchgear.contracts.provider import Answer, Call, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.errors import InvalidRequest
from switchgear.wire.canonical import ReasoningDetail
from switchgear.wire.chunks import ChunkWriter
from switchgear.wire.packed_reasoning import join, pack, unpack
from switchgear_plugins.openai.responses.endpoint import Responses

ENDPOINT = Responses()
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
DONE_TEXT = {"output_text": "text", "refusal": "refusal", "function_call_arguments": "arguments"}

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
pieces = st.text(st.characters(codec="utf-8", exclude_characters="{}"), min_size=1, max_size=6)
"""Of arguments: behind a closing brace there is nothing more."""
details = st.builds(
    ReasoningDetail,
    st.sampled_from(["reasoning.text", "reasoning.encrypted", "reasoning.summary"]),
    text=st.none() | words,
    signature=st.none() | words,
    data=st.none() | words,
    id=st.none() | words,
    format=st.none() | words,
    index=st.none() | st.integers(0, 2),
)
said = st.one_of(
    st.tuples(st.just("text"), words),
    st.tuples(st.just("refusal"), words),
    st.tuples(st.just("reasoning"), words),
    st.tuples(st.just("detail"), details),
    st.tuples(st.just("call"), words),
    st.tuples(st.just("arguments"), pieces, st.integers(0, 9)),
)
finishes = st.sampled_from(["stop", "length", "tool_calls", "content_filter"])


def parse(**members: Any) -> Call:
    body = {"model": "m", "input": "hi", **members}
    call = ENDPOINT.parse({name: Raw(msgspec.json.encode(value)) for name, value in body.items()}, {})
    ENDPOINT.check(call)
    return call


def chunks(script: list[tuple[Any, ...]], finish: str) -> list[StreamEvent]:
    writer = ChunkWriter(id="chatcmpl-1", created=1, model="x", usage_wanted=True)
    events = [writer.role()]
    calls = 0
    for kind, what, *at in script:
        if kind == "call":
            events.append(writer.tool_call(calls, f"call_{calls}", what))
            calls += 1
        elif kind == "arguments":
            if calls:
                events.append(writer.arguments(at[0] % calls, what))
        elif kind == "detail":
            events.append(writer.reasoning_detail(what))
        else:
            write: Callable[[str], StreamEvent] = getattr(writer, kind)
            events.append(write(what))
    return [*events, writer.finish(finish), writer.end(Usage.of(3, 4))]


def stream(call: Call, events: list[StreamEvent]) -> list[dict[str, Any]]:
    encoder = ENDPOINT.encoder(call, translate=True)
    framed = b"".join([encoder.event(event) for event in events if event.data]) + encoder.end()
    found = []
    for event in framed.decode().split("\n\n")[:-1]:
        name, data = event.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def check(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Hold a stream of events to its grammar; return the output of the response it ends with."""
    assert ["response.created", "response.in_progress"] == [event["type"] for event in events[:2]]
    assert list(range(len(events))) == [event["sequence_number"] for event in events]
    added: dict[int, str] = {}
    done: dict[int, dict[str, Any]] = {}
    parts: dict[tuple[int, str, int], list[str]] = {}
    for event in events[2:-1]:
        what = event["type"].removeprefix("response.")
        place = event["output_index"]
        if what == "output_item.added":
            assert len(added) == place
            added[place] = event["item"]["id"]
            continue
        assert place in added
        assert place not in done
        if what == "output_item.done":
            assert added[place] == event["item"]["id"]
            assert [] == [key for key in parts if key[0] == place and parts[key] is not None and key[1] == "open"]
            done[place] = event["item"]
            continue
        assert added[place] == event["item_id"]
        index = event.get("content_index", event.get("summary_index", 0))
        kind, _, step = what.rpartition(".")
        if kind in ("content_part", "reasoning_summary_part"):
            if step == "added":
                parts[place, "open", index] = []
            else:
                del parts[place, "open", index]
            continue
        if kind != "function_call_arguments":
            assert (place, "open", index) in parts
        pieces = parts.setdefault((place, kind, index), [])
        if step == "delta":
            pieces.append(event["delta"])
        else:
            assert "".join(pieces) == event[DONE_TEXT.get(kind, "text")]
    assert added.keys() == done.keys()
    output = [done[place] for place in sorted(done)]
    assert output == events[-1]["response"]["output"]
    return output


def shown(output: list[dict[str, Any]], kind: str) -> str:
    """Join what the output says of one kind."""
    texts = []
    for item in output:
        if item["type"] == "reasoning":
            texts += [part["text"] for part in [*item.get("content", []), *item["summary"]] if kind == "reasoning"]
        elif item["type"] == "message":
            texts += [part[kind] for part in item["content"] if kind in part]
    return "".join(texts)


def letters(kept: list[ReasoningDetail], member: str) -> list[str]:
    """Return all that details say in one member, whatever the order: late ones stand at the end."""
    return sorted("".join(getattr(detail, member) or "" for detail in kept))


@given(st.lists(said, max_size=12), finishes, st.sampled_from([None, "auto"]))
def test_any_stream_becomes_a_well_formed_one(script: list[tuple[Any, ...]], finish: str, summary: str | None) -> None:
    events = stream(parse(reasoning={"summary": summary}), chunks(script, finish))
    output = check(events)
    for kind in ("text", "refusal"):
        assert "".join(what for name, what, *_ in script if name == kind) == shown(output, kind)
    packed = [item["encrypted_content"] for item in output if "encrypted_content" in item]
    kept = [detail for content in packed for detail in unpack(content) or ()]
    given = [what for name, what, *_ in script if name == "detail"]
    for member in ("text", "summary", "signature", "data"):
        assert letters(given, member) == letters(kept, member)
    calls = [what for name, what, *_ in script if name == "call"]
    assert calls == [item["name"] for item in output if item["type"] == "function_call"]
    incomplete = finish in ("length", "content_filter")
    assert events[-1]["type"] == ("response.incomplete" if incomplete else "response.completed")
    assert events[-1]["response"]["usage"]["total_tokens"] == 7


@settings(max_examples=30, deadline=None)
@given(st.lists(said, max_size=8))
def test_the_vendors_own_reader_understands_any_stream(script: list[tuple[Any, ...]]) -> None:
    reader: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    for event in stream(parse(), chunks(script, "stop")):
        reader.handle_event(EVENT.validate_python(event))


@given(
    content=st.none() | words,
    thought=st.none() | words,
    kept=st.lists(details, max_size=3),
    arguments=st.lists(words, max_size=3),
    summary=st.sampled_from([None, "auto"]),
)
def test_an_answer_given_back_is_the_message_it_came_from(
    content: str | None,
    thought: str | None,
    kept: list[ReasoningDetail],
    arguments: list[str],
    summary: str | None,
) -> None:
    message: dict[str, Any] = {"role": "assistant", "content": content or ("x" if not arguments else None)}
    calls = [
        {"id": f"c{i}", "type": "function", "function": {"name": "f", "arguments": a}} for i, a in enumerate(arguments)
    ]
    extra = {"tool_calls": calls, "reasoning_content": thought, "reasoning_details": kept}
    message = {name: value for name, value in {**message, **extra}.items() if value}
    body = msgspec.json.encode(
        {"id": "chatcmpl-1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    )
    call = parse(reasoning={"summary": summary})
    answer = json.loads(ENDPOINT.answer(call, Answer(body)))
    Response.model_validate(answer)
    made = ENDPOINT.canonical(parse(input=[{"role": "user", "content": "hi"}, *answer["output"]]))
    _, back = json.loads(bytes(made.members["messages"]))
    expected = json.loads(msgspec.json.encode(message))
    if kept:
        expected["reasoning_details"] = json.loads(msgspec.json.encode(join(kept)))
    if not thought:
        back.pop("reasoning_content", None)  # what details say in clear is shown as well
    assert expected == back
    assert () == made.dropped


keys = st.sampled_from(
    [
        "type",
        "role",
        "content",
        "text",
        "input",
        "output",
        "call_id",
        "name",
        "arguments",
        "summary",
        "encrypted_content",
        "format",
        "schema",
        "mode",
        "tools",
        "effort",
        "id",
        "image_url",
        "detail",
        "file_data",
        "function",
        "prompt_cache_breakpoint",
        "annotations",
        "ttl",
        "phase",
    ]
)
values = st.sampled_from(
    [
        "message",
        "user",
        "assistant",
        "reasoning",
        "function",
        "function_call",
        "function_call_output",
        "input_text",
        "output_text",
        "input_image",
        "input_file",
        "refusal",
        "json_schema",
        "allowed_tools",
        "auto",
        "required",
        "f",
        "sg1.W10=",
        "\u2028",
    ]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False, allow_infinity=False) | values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=12,
)
members = st.fixed_dictionaries(
    {"input": st.lists(st.dictionaries(keys, anything, max_size=5), min_size=1, max_size=3) | anything},
    optional=dict.fromkeys(
        ["tools", "tool_choice", "text", "reasoning", "include", "instructions", "store", "metadata"], anything
    ),
)


@given(members)
def test_any_request_is_carried_or_refused(given: dict[str, Any]) -> None:
    try:
        call = parse(**given)
        made = ENDPOINT.canonical(call)
    except InvalidRequest:
        return
    for value in made.members.values():
        json.loads(bytes(value))
    body = b'{"id":"x","choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}'
    assert "completed" == json.loads(ENDPOINT.answer(call, Answer(body)))["status"]


def test_a_request_nested_as_deep_as_can_be_is_refused() -> None:
    for depth in range(900, 1100, 7):
        nested = b"[" * depth + b"]" * depth
        tools = Raw(b'[{"type":"function","name":"f","parameters":{"a":' + nested + b"}}]")
        try:
            call = ENDPOINT.parse({"model": Raw(b'"m"'), "input": Raw(b'"hi"'), "tools": tools}, {})
            made = ENDPOINT.canonical(call)
        except InvalidRequest:
            continue
        assert nested in bytes(made.members["tools"])


@given(st.lists(details, min_size=1, max_size=4))
def test_what_is_packed_is_unpacked(kept: list[ReasoningDetail]) -> None:
    assert kept == unpack(pack(kept) or "")


def test_pieces_of_a_streamed_detail_are_put_together() -> None:
    pieces = [
        ReasoningDetail("reasoning.text", text="a", index=0, format="f"),
        ReasoningDetail("reasoning.text", text="b", index=0),
        ReasoningDetail("reasoning.text", signature="s", index=0),
        ReasoningDetail("reasoning.encrypted", data="d", index=1),
        ReasoningDetail("reasoning.encrypted", data="e"),
    ]
    whole = [ReasoningDetail("reasoning.text", text="ab", signature="s", index=0, format="f"), *pieces[3:]]
    assert whole == join(pieces)


def test_calls_that_a_server_does_not_number_are_told_apart_by_their_ids() -> None:
    writer = ChunkWriter(id="chatcmpl-1", created=1, model="x", usage_wanted=True)
    calls = [writer.tool_call(0, "a", "f", "{}"), writer.tool_call(0, "b", "g", "[]"), writer.finish("tool_calls")]
    output = check(stream(parse(), calls))
    assert [("a", "f", "{}"), ("b", "g", "[]")] == [(i["call_id"], i["name"], i["arguments"]) for i in output]


def test_a_late_name_and_a_missing_id_make_a_call_all_the_same() -> None:
    head = b'{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":null,"function":'
    pieces = [b'{"arguments":"{"}', b'{"name":"f","arguments":"}"}']
    events = [StreamEvent(head + piece + b"}]}}]}") for piece in pieces]
    [item] = check(stream(parse(), events))
    assert ("f", "{}", True) == (item["name"], item["arguments"], item["call_id"].startswith("call_"))


def test_reasoning_that_belongs_to_nothing_is_dropped_by_name() -> None:
    made = ENDPOINT.canonical(
        parse(input=[{"type": "reasoning", "id": "rs", "summary": []}, {"role": "user", "content": "hi"}])
    )
    assert ("input[0]",) == made.dropped


def test_reasoning_behind_a_message_belongs_to_it() -> None:
    packed = pack([ReasoningDetail("reasoning.encrypted", data="d")])
    late = {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": packed}
    made = ENDPOINT.canonical(parse(input=[{"role": "assistant", "content": "Hi"}, late]))
    [message] = json.loads(bytes(made.members["messages"]))
    detail = {"type": "reasoning.encrypted", "data": "d"}
    assert {"role": "assistant", "content": "Hi", "reasoning_details": [detail]} == message
