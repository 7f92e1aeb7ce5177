"""Canonical streams as Messages events."""

import json
from pathlib import Path
from typing import Any

import pytest
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from plugins.anthropic.inbound import COUNT, GOLDEN, MESSAGES, blocks, call, delta, event, finish, read, told
from switchgear.contracts.provider import ProviderFault, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.errors import ResponseTooLarge, UpstreamFailed
from switchgear_plugins.anthropic.inbound.sequence import Braces

STREAMS = sorted((GOLDEN / "inbound_streams").glob("*.jsonl"))
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


@pytest.mark.parametrize("file", STREAMS, ids=lambda file: file.stem)
def test_streams_are_translated(file: Path) -> None:
    stream = told(*file.read_bytes().splitlines())
    assert file.with_suffix(".sse").read_bytes() == stream
    for payload in read(stream):
        EVENT.validate_python(payload)


def tool(place: int, arguments: str | None = None, **more: Any) -> dict[str, Any]:
    name = more.pop("name", None)
    function = {
        **({} if name is None else {"name": name}),
        **({} if arguments is None else {"arguments": arguments}),
    }
    return {"index": place, "function": function, **more}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=4)
    | st.sampled_from(['}{"', "\\", '\\"', "{", "\u2028"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def pieces(draw: st.DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[dict[str, Any]], str, str, dict[str, str]]:
    """Draw deltas of text, thinking and tool calls in any order, and what they say in all."""
    text, thought = draw(st.text(max_size=12)), draw(st.text(max_size=12))
    calls = {}
    lanes: list[list[dict[str, Any]]] = [
        [{"content": piece} for piece in draw(pieces(text))],
        [{"reasoning_content": piece} for piece in draw(pieces(thought))],
    ]
    for place in range(draw(st.integers(0, 4))):
        arguments = json.dumps(draw(st.dictionaries(st.text(max_size=3), VALUES, max_size=2)), ensure_ascii=False)
        if draw(st.integers(0, 3)) == 0:
            arguments = arguments[: draw(st.integers(0, len(arguments)))]
        calls[f"call_{place}"] = arguments
        begin = {"tool_calls": [tool(place, "", id=f"call_{place}", name="f")]}
        lanes.append([begin, *({"tool_calls": [tool(place, piece)]} for piece in draw(pieces(arguments)))])
    order = []
    while any(lanes):
        lane = draw(st.sampled_from([lane for lane in lanes if lane]))
        order.append(lane.pop(0))
    return order, text, thought, calls


@given(conversations())
def test_any_interleaving_becomes_whole_blocks_in_order(drawn: Any) -> None:
    order, text, thought, calls = drawn
    made = blocks(told(*(delta(**one) for one in order), finish("stop")))
    assert text == "".join(block["text"] for block in made if block["type"] == "text")
    assert thought == "".join(block["thinking"] for block in made if block["type"] == "thinking")
    assert calls == {block["id"]: block["json"] for block in made if block["type"] == "tool_use"}
    assert len(calls) == sum(block["type"] == "tool_use" for block in made), "each call is one block"


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), st.data())
def test_an_object_is_whole_at_its_last_brace_and_not_before(value: dict[str, Any], data: st.DataObject) -> None:
    text = " " + json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    braces = Braces()
    for piece in data.draw(pieces(text[:-1])):
        braces.feed(piece)
        assert not braces.closed
    braces.feed(text[-1])
    assert braces.closed


def test_a_call_whose_arguments_are_whole_makes_room_for_the_next() -> None:
    encoder = MESSAGES.encoder(call(), translate=True)
    encoder.event(event(delta(tool_calls=[tool(0, '{"a":1}', id="a", name="f")])))
    second = read(encoder.event(event(delta(tool_calls=[tool(1, '{"b"', id="b", name="g")]))))
    assert ["content_block_stop", "content_block_start", "content_block_delta"] == [one["type"] for one in second]


def test_servers_that_repeat_id_and_name_are_understood() -> None:
    made = blocks(told(*(delta(tool_calls=[tool(0, piece, id="a", name="f")]) for piece in ('{"a', '":1}'))))
    assert [("a", '{"a":1}')] == [(block["id"], block["json"]) for block in made]


def test_servers_that_number_every_call_alike_are_understood() -> None:
    made = blocks(told(*(delta(tool_calls=[tool(0, "{}", id=id, name="f")]) for id in "abc")))
    assert [("a", "{}"), ("b", "{}"), ("c", "{}")] == [(block["id"], block["json"]) for block in made]


def test_a_call_without_an_id_gets_one() -> None:
    [block] = blocks(told(delta(tool_calls=[tool(0, "{}", id=None, name="f")])))
    assert block["id"].startswith("toolu_")


def test_white_space_behind_a_call_is_nothing() -> None:
    made = blocks(
        told(
            delta(tool_calls=[tool(0, "{}", id="a", name="f"), tool(1, "{}", id="b", name="f")]),
            delta(tool_calls=[tool(0, " \n")]),
        )
    )
    assert ["{}", "{}"] == [block["json"] for block in made]


@pytest.mark.parametrize("last", [tool(0, "{}"), tool(2, "{}")], ids=["more behind the end", "a call that has no name"])
def test_calls_that_cannot_be_told_are_the_providers_fault(last: dict[str, Any]) -> None:
    calls = [tool(0, "{}", id="a", name="f"), tool(1, "{}", id="b", name="f"), last]
    with pytest.raises(ProviderFault) as caught:
        told(delta(tool_calls=calls))
    assert "protocol" == caught.value.cause


def test_what_waits_is_bounded() -> None:
    encoder = MESSAGES.encoder(call(), translate=True)
    encoder.event(event(delta(tool_calls=[tool(0, "{", id="a", name="f"), tool(1, "{", id="b", name="f")])))
    piece = event(delta(tool_calls=[tool(1, "x" * 1_000_000)]))
    for _ in range(8):
        encoder.event(piece)
    with pytest.raises(ResponseTooLarge):
        encoder.event(piece)


def test_a_long_call_does_not_wait() -> None:
    encoder = MESSAGES.encoder(call(), translate=True)
    encoder.event(event(delta(tool_calls=[tool(0, '{"a":"', id="a", name="f")])))
    piece = event(delta(tool_calls=[tool(0, "x" * 100_000)]))
    for _ in range(30):
        assert len(encoder.event(piece)) > 100_000


def test_details_that_repeat_the_words_of_their_chunk_are_told_once() -> None:
    def chunk(words: str, **more: Any) -> bytes:
        return delta(reasoning=words, reasoning_details=[{"type": "reasoning.text", "text": words, **more}])

    signature = delta(reasoning_details=[{"type": "reasoning.text", "signature": "s"}])
    [block] = blocks(told(chunk("One "), chunk("two"), signature))
    assert ("One two", "s") == (block["thinking"], block["signature"])


def test_signed_thinking_without_words_before_it_is_a_block_of_its_own() -> None:
    details = [{"type": "reasoning.text", "text": text, "signature": f"s{text}"} for text in ("", "a", "b")]
    made = blocks(told(delta(reasoning_content="ab", reasoning_details=details)))
    assert [("", "s"), ("a", "sa"), ("b", "sb")] == [(block["thinking"], block["signature"]) for block in made]


def test_a_refusal_is_text_and_the_reason() -> None:
    stream = told(delta(refusal="No."), finish("stop"))
    assert "No." == blocks(stream)[0]["text"]
    assert "refusal" == read(stream)[-2]["delta"]["stop_reason"]


def test_other_choices_are_not_told() -> None:
    other = b'{"choices":[{"index":1,"delta":{"content":"b"},"finish_reason":"length"}]}'
    stream = told(delta(content="a"), other, finish("stop"))
    assert ["a"] == [block["text"] for block in blocks(stream)]
    assert "end_turn" == read(stream)[-2]["delta"]["stop_reason"]


def test_an_empty_stream_is_an_empty_message() -> None:
    stream = told()
    assert [] == blocks(stream)
    assert "m" == read(stream)[0]["message"]["model"]


def test_the_usage_of_the_last_event_counts() -> None:
    encoder = MESSAGES.encoder(call(), translate=True)
    for tokens in (1, 2):
        encoder.event(StreamEvent(delta(content="a"), usage=Usage.of(input=5, output=tokens)))
    usage = read(encoder.end())[-2]["usage"]
    assert (5, 2) == (usage["input_tokens"], usage["output_tokens"])


def test_hostile_text_is_one_event() -> None:
    words = "a\n\nevent: error\ndata: {}\r\r\u2028\u2029\x85\x0b\x1c"
    stream = told(delta(content=words), delta(refusal=words), delta(reasoning_content=words))
    assert 3 == stream.count(b"\nevent: content_block_delta\n")
    assert b"event: error" not in stream.splitlines()
    assert [words * 2, words] == [block.get("text", block.get("thinking")) for block in blocks(stream)]


def test_events_of_this_wire_are_framed_as_they_came() -> None:
    encoder = MESSAGES.encoder(call(), translate=False)
    made = encoder.event(StreamEvent(b'{"type":"message_stop"}', b"message_stop", terminal=True, last=True))
    assert b'event: message_stop\ndata: {"type":"message_stop"}\n\n' == made
    assert b"" == encoder.end()


@pytest.mark.parametrize("translate", [True, False])
def test_an_error_is_an_event_of_its_name(translate: bool) -> None:
    for endpoint in (MESSAGES, COUNT):
        framed = endpoint.encoder(call(), translate=translate).error(UpstreamFailed("It broke.", code="cut"), "r-1")
        [payload] = read(framed)
        assert ("error", "api_error", "r-1") == (payload["type"], payload["error"]["type"], payload["request_id"])


def test_a_sign_of_life_is_a_ping() -> None:
    assert [{"type": "ping"}] == read(MESSAGES.encoder(call(), translate=True).keep_alive)


def test_annotations_are_citations_of_the_text_they_follow() -> None:
    note = {
        "type": "url_citation",
        "url_citation": {"url": "https://e.test", "title": "E", "start_index": 0, "end_index": 2},
    }
    stream = told(delta(content="hi"), delta(annotations=[note]), finish("stop"))
    (cited,) = [it["delta"]["citation"] for it in read(stream) if it.get("delta", {}).get("type") == "citations_delta"]
    assert ("web_search_result_location", "https://e.test", "E") == (cited["type"], cited["url"], cited["title"])
    for payload in read(stream):
        EVENT.validate_python(payload)
