"""Filters of answers: what the suite for filters does not show, because no filter should meet it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchgear.contracts.filter import Channel, Filter, Piece
from switchgear.contracts.provider import ProviderFault, StreamEvent
from switchgear.contracts.usage import Usage
from switchgear.errors import PermissionDenied
from switchgear.exchange.filters import AnswerFilter, face_of
from switchgear.testing.answers import WIRES, channels_of, filter_stream, filter_whole, stream
from switchgear.testing.filter_suite import FilterSuite, cut
from switchgear.wire.pieces.chat import ChatPieces
from switchgear.wire.pieces.messages import MessagePieces
from switchgear.wire.pieces.responses import ResponsePieces
from switchgear_plugins.anthropic.dialect import AnthropicDialect
from switchgear_plugins.openai.dialect import OpenAIDialect

NOT_ARGUMENTS: tuple[Channel, ...] = ("reasoning", "text", "refusal")


class Quoting:
    """Doubles quotes, keeps three characters back, and says at the end that it was there."""

    hold = 3

    def __init__(self) -> None:
        self._kept = ""
        self._last = Piece(0, "text", "")

    def feed(self, piece: Piece) -> list[Piece]:
        self._last = piece
        text = self._kept + piece.text
        self._kept = text[-3:]
        return [piece.with_text(text[:-3].replace("x", "xx"))]

    def end(self) -> list[Piece]:
        return [self._last.with_text(self._kept.replace("x", "xx"))]


class TestQuoting(FilterSuite):
    texts = ("", "x", "axbxc", "no such letter", "xxxxxxxx", "ünïcödé x \u2028 \U0001f600", 'quotes " and \\ x')

    def make(self) -> Quoting:
        return Quoting()


class Same:
    hold = 0

    def feed(self, piece: Piece) -> list[Piece]:
        return [piece]

    def end(self) -> list[Piece]:
        return []


class Broken:
    hold = 2

    def __init__(self, after: int = 0) -> None:
        self._left = after
        self._kept = ""

    def feed(self, piece: Piece) -> list[Piece]:
        if not self._left:
            raise KeyError(piece.text)
        self._left -= 1
        text = self._kept + piece.text
        self._kept, self._last = text[-2:], piece
        return [piece.with_text(text[:-2])]

    def end(self) -> list[Piece]:
        return [self._last.with_text(self._kept)]


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0, **members: Any) -> StreamEvent:
    choice = {"index": index, "delta": delta, "finish_reason": finish, **members}
    return StreamEvent(json.dumps({"id": "c", "choices": [choice]}).encode(), terminal=finish is not None)


def through(reader: AnswerFilter, *events: StreamEvent) -> list[dict[str, Any]]:
    return [json.loads(out.data) for event in events for out in reader.event(event) if out.data]


def reader(face: Any = None, *filters: type[Any]) -> AnswerFilter:
    return AnswerFilter(lambda: [make() for make in filters or (Quoting,)], face or ChatPieces())


@pytest.mark.parametrize("wire", WIRES)
@settings(max_examples=60)
@given(data=st.data())
def test_all_texts_of_an_answer_say_the_same_whole_and_in_pieces(wire: str, data: Any) -> None:
    channels = [it for it in channels_of(wire) if data.draw(st.booleans()) or it == "text"]
    texts: dict[Channel, str] = {it: data.draw(st.text(st.sampled_from('ax"é\n '), max_size=12)) for it in channels}
    if "tool_arguments" in texts:
        texts["tool_arguments"] = json.dumps({"a": texts["tool_arguments"]}, separators=(",", ":"))
    whole = filter_whole(wire, [*texts.items()], Quoting)
    pieces = [(channel, piece) for channel, text in texts.items() for piece in cut(data, text)]
    assert whole == filter_stream(wire, pieces, Quoting)
    assert whole == {channel: text.replace("x", "xx") for channel, text in texts.items() if text}


@pytest.mark.parametrize("wire", WIRES)
def test_what_no_filter_changes_stays_as_it_came(wire: str) -> None:
    said: list[tuple[Channel, str]] = [("text", "a"), ("text", "x"), ("text", "")]
    one = AnswerFilter(lambda: [Same()], WIRES[wire])
    for event in stream(wire, said):
        before = event.data
        assert [event] == one.event(event)
        assert before == event.data
    body = b'{ "choices": [ {"message": {"content": "x"}, "text": "x"} ], "content": [ {"type":"text","text":"x"} ] }'
    assert AnswerFilter(lambda: [Same()], WIRES[wire]).whole(body) is body


def test_choices_do_not_mix_and_each_ends_by_itself() -> None:
    events = [chunk({"content": "ab"}), chunk({"content": "cd"}, index=1), chunk({"content": "x"})]
    out = through(reader(), *events, chunk({}, "stop"), chunk({"content": "ef"}, index=1), chunk({}, "stop", 1))
    said = {0: "", 1: ""}
    for one in out:
        choice = one["choices"][0]
        said[choice["index"]] += choice["delta"].get("content", "")
    assert {0: "abxx", 1: "cdef"} == said
    assert [0, 0, 1, 1, 1] == [one["choices"][0]["index"] for one in out]


def test_what_is_kept_back_comes_before_the_finish_or_with_its_text() -> None:
    out = through(reader(), chunk({"role": "assistant", "content": "abx"}), chunk({}, "stop"))
    assert [("", None), ("abxx", None), (None, "stop")] == [
        (one["choices"][0]["delta"].get("content"), one["choices"][0]["finish_reason"]) for one in out
    ]
    out = through(reader(), chunk({"content": "abcx"}, "stop"))
    assert [("abcxx", "stop")] == [
        (one["choices"][0]["delta"]["content"], one["choices"][0]["finish_reason"]) for one in out
    ]


def test_an_event_of_which_nothing_is_left_still_counts() -> None:
    event = chunk({"content": "ab"})
    event.content, event.usage = 2, Usage(1, 1)
    (out,) = reader().event(event)
    assert (b"", 2, Usage(1, 1)) == (out.data, out.content, out.usage)


def test_the_end_of_a_stream_is_the_end_of_its_texts() -> None:
    one = reader()
    one.event(chunk({"content": "ab"}))
    tail, end = one.event(StreamEvent(b"", terminal=True, last=True))
    assert ("ab", True) == (json.loads(tail.data)["choices"][0]["delta"]["content"], end.last)
    one = reader()
    one.event(chunk({"content": "ab"}))
    (tail,) = one.close()
    assert "ab" == json.loads(tail.data)["choices"][0]["delta"]["content"]
    assert [] == one.close()


def test_a_failing_provider_is_told_and_keeps_nothing_from_whoever_goes_on() -> None:
    one = reader()
    one.event(chunk({"content": "ab"}))
    failed = StreamEvent(b"", last=True, fault=ProviderFault("server", 500))
    assert [failed] == one.event(failed)
    out = through(one, chunk({"content": "c"}), chunk({}, "stop"))
    assert "abc" == "".join(it["choices"][0]["delta"].get("content", "") for it in out)


def test_log_probabilities_do_not_say_what_a_filter_took_out() -> None:
    tokens = {"content": [{"token": "secret", "logprob": 0}]}
    told = through(reader(), chunk({"content": "secretx"}, logprobs=tokens), chunk({}, "stop"))[0]
    assert told["choices"][0]["logprobs"] is None
    (told,) = through(reader(None, Same), chunk({"content": "fine"}, logprobs=tokens))
    assert tokens == told["choices"][0]["logprobs"]


def test_told_in_an_ordered_wire_a_text_is_over_when_the_next_begins() -> None:
    call = {"tool_calls": [{"index": 0, "id": "1", "function": {"name": "f", "arguments": '{"a":1}'}}]}
    another = {"tool_calls": [{"index": 1, "id": "2", "function": {"name": "g", "arguments": "{"}}]}
    events = [{"reasoning_content": "think"}, {"content": "say"}, call, another]
    out = through(reader(ChatPieces(ordered=True)), *map(chunk, events), chunk({}, "tool_calls"))
    order = []
    for one in out:
        delta = one["choices"][0]["delta"]
        order += ["reasoning"] * bool(delta.get("reasoning_content")) + ["text"] * bool(delta.get("content"))
        order += [it["index"] for it in delta.get("tool_calls", ()) if it["function"]["arguments"]]
    assert ["reasoning", "reasoning", "text", 0, 0, 1] == order


def test_calls_that_come_by_turns_keep_their_arguments_apart() -> None:
    def call(index: int, arguments: str, **members: Any) -> StreamEvent:
        return chunk({"tool_calls": [{"index": index, **members, "function": {"arguments": arguments}}]})

    pieces = [call(0, '{"a"', id="1"), call(1, '{"b', id="2"), call(0, ':"x"}'), call(1, '":"xx"}')]
    said = ["", ""]
    for one in through(reader(ChatPieces(ordered=True)), *pieces, chunk({}, "tool_calls")):
        for it in one["choices"][0]["delta"].get("tool_calls", ()):
            said[it["index"]] += it["function"]["arguments"]
    assert ['{"a":"xx"}', '{"b":"xxxx"}'] == said


def test_a_new_id_under_the_same_number_is_a_new_call() -> None:
    one, two = (
        chunk({"tool_calls": [{"index": 0, "id": id, "function": {"name": "f", "arguments": id}}]}) for id in "12"
    )
    out = through(reader(), one, two, chunk({}, "tool_calls"))
    assert ["", "1", "", "2"] == [
        it["function"]["arguments"] for o in out for it in o["choices"][0]["delta"].get("tool_calls", ())
    ]


def test_a_content_in_parts_is_read() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hx"}]}, {"type": "text", "text": "abxcd"}]
    out = through(reader(), chunk({"content": parts}), chunk({}, "stop"))
    said = {"text": "", "thinking": ""}
    for one in out:
        for part in one["choices"][0]["delta"].get("content", ()):
            words = part["text"] if part["type"] == "text" else part["thinking"][0]["text"]
            said[part["type"]] += words
    assert {"text": "abxxcd", "thinking": "hxx"} == said
    body = json.dumps({"choices": [{"message": {"content": parts}}]}).encode()
    assert b"abxxcd" in reader().whole(body)
    assert b"hxx" in reader().whole(body)


def test_reasoning_that_must_come_back_is_read_too() -> None:
    signed = {"type": "reasoning.text", "text": "x", "signature": "s", "index": 0}
    plain = {"type": "reasoning.summary", "summary": "abcx", "index": 1}
    out = through(reader(), chunk({"reasoning_details": [signed, plain]}), chunk({}, "stop"))
    told = [it for one in out for it in one["choices"][0]["delta"].get("reasoning_details", ())]
    assert [{**signed, "text": "xx"}, {**plain, "summary": "a"}, {**plain, "summary": "bcxx"}] == told


def test_thinking_ends_before_it_is_signed() -> None:
    events = [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "ab"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
        {"type": "content_block_stop", "index": 0},
    ]
    out = through(reader(MessagePieces()), *(StreamEvent(json.dumps(event).encode()) for event in events))
    assert ["thinking_delta", "signature_delta"] == [it["delta"]["type"] for it in out if "delta" in it]


def test_arguments_must_stay_a_json_object_where_the_wire_has_one() -> None:
    body = b'{"content":[{"type":"tool_use","id":"1","name":"f","input":{"a":"x"}}]}'
    assert b'"input":{"a":"xx"}' in reader(MessagePieces()).whole(body)

    class Spoils(Same):
        def feed(self, piece: Piece) -> list[Piece]:
            return [piece.with_text("nothing")] if piece.channel == "tool_arguments" else [piece]

    with pytest.raises(ValueError, match="JSON object"):
        reader(MessagePieces(), Spoils).whole(body)


def test_what_comes_at_once_in_a_stream_of_items_is_filtered_once() -> None:
    call = {"type": "function_call", "id": "i", "call_id": "c", "name": "fx", "arguments": '{"a":"x"}'}
    events = [
        {"type": "response.output_item.done", "output_index": 0, "item": call, "sequence_number": 0},
        {"type": "response.completed", "response": {"output": [call], "output_text": "y"}, "sequence_number": 1},
    ]
    done, ended = through(reader(ResponsePieces()), *(StreamEvent(json.dumps(it).encode()) for it in events))
    assert {**call, "name": "fxx", "arguments": '{"a":"xx"}'} == done["item"]
    assert done["item"] == ended["response"]["output"][0]


def test_filters_are_asked_in_order_also_at_the_end() -> None:
    class Exclaim(Same):
        def end(self) -> list[Piece]:
            return [Piece(0, "text", "x!")]

    body = b'{"choices":[{"message":{"content":"a"}}]}'
    assert b'"a' + b"xx!" in AnswerFilter(lambda: [Exclaim(), Quoting()], ChatPieces()).whole(body)
    assert b'"a' + b"x!" in AnswerFilter(lambda: [Quoting(), Exclaim()], ChatPieces()).whole(body)


def test_a_filter_that_fails_stops_the_answer_or_is_passed_over() -> None:
    events = [chunk({"content": "abc"}), chunk({"content": "dx"}), chunk({}, "stop")]
    with pytest.raises(KeyError):
        through(AnswerFilter(lambda: [Same(), Broken()], ChatPieces()), *events)
    failures: list[tuple[int, str]] = []
    forgiving = AnswerFilter(
        lambda: [Broken(1), Quoting()], ChatPieces(), lambda place, error: failures.append((place, repr(error)))
    )
    out = through(forgiving, *events)
    assert "abcdxx" == "".join(it["choices"][0]["delta"].get("content", "") for it in out)
    assert [(0, "KeyError('dx')")] == failures


def test_a_filter_may_stop_the_answer() -> None:
    class Guard(Same):
        def feed(self, piece: Piece) -> list[Piece]:
            raise PermissionDenied("No.")

    with pytest.raises(PermissionDenied):
        through(reader(None, Guard), chunk({"content": "a"}))


def test_a_piece_of_another_kind_is_a_bug() -> None:
    class Wanders(Same):
        def feed(self, piece: Piece) -> list[Piece]:
            return [Piece(1, "text", piece.text)]

    with pytest.raises(ValueError, match="made a piece"):
        through(reader(None, Wanders), chunk({"content": "a"}))


def test_each_text_has_filters_of_its_own() -> None:
    made: list[Filter] = []

    def opened() -> list[Filter]:
        made.append(Quoting())
        return made[-1:]

    one = AnswerFilter(opened, ChatPieces())
    through(one, chunk({"content": "a", "reasoning": "b"}), chunk({"content": "c"}), chunk({}, "stop"))
    assert 2 == len(made)


def test_answers_are_read_in_the_wire_they_come_in() -> None:
    chat, completions, embeddings, responses, *_ = OpenAIDialect().inference
    messages, count = AnthropicDialect().inference
    for endpoint in (chat, completions, responses, messages):
        assert endpoint.pieces is face_of(endpoint, endpoint.wire)
    assert [False, False, True, True] == [
        face.ordered for it in (chat, completions, responses, messages) if (face := face_of(it, "chat")) is not None
    ]
    assert [None, None] == [face_of(embeddings, "embeddings"), face_of(count, "chat")]
