import msgspec
from hypothesis import given
from hypothesis import strategies as st

from switchgear_plugins.dialogs.heard import Heard


def chunk(delta: dict[str, object], finish: str | None = None, **members: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return msgspec.json.encode({"id": "c1", "created": 5, "model": "m", "choices": [choice], **members})


@given(st.lists(st.text(max_size=5)), st.lists(st.text(max_size=5), max_size=5))
def test_what_is_heard_in_pieces_is_what_was_said(texts: list[str], arguments: list[str]) -> None:
    heard = Heard()
    heard.feed(chunk({"role": "assistant", "content": ""}))
    for text in texts:
        heard.feed(chunk({"content": text}))
    heard.feed(
        chunk({"tool_calls": [{"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}]})
    )
    for piece in arguments:
        heard.feed(chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}))
    heard.feed(chunk({}, "tool_calls"))
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "".join(arguments)}}
    assert {"role": "assistant", "content": "".join(texts) or None, "tool_calls": [call]} == heard.message()
    assert ("c1", 5, "m", "tool_calls") == (heard.id, heard.created, heard.model, heard.finish_reason)


def test_pieces_of_reasoning_are_joined_where_they_go_on() -> None:
    heard = Heard()
    for details in (
        [{"type": "reasoning.text", "index": 0, "text": "be"}],
        [{"type": "reasoning.text", "index": 0, "text": "cause", "signature": "s1"}],
        [{"type": "reasoning.encrypted", "index": 1, "data": "x"}],
        [{"type": "reasoning.encrypted", "data": "y"}],
    ):
        heard.feed(chunk({"reasoning_details": details, "reasoning_content": "r"}))
    message = heard.message(partial=True)
    assert message is not None
    assert "rrrr" == message["reasoning_content"]
    assert [
        {"type": "reasoning.text", "index": 0, "text": "because", "signature": "s1"},
        {"type": "reasoning.encrypted", "index": 1, "data": "x"},
        {"type": "reasoning.encrypted", "data": "y"},
    ] == message["reasoning_details"]


def test_of_an_answer_that_broke_off_no_call_is_kept() -> None:
    heard = Heard()
    assert heard.message(partial=True) is None
    heard.feed(chunk({"tool_calls": [{"index": 0, "id": "1", "function": {"name": "f", "arguments": "{"}}]}))
    assert heard.message(partial=True) is None
    heard.feed(chunk({"content": "so"}))
    assert {"role": "assistant", "content": "so"} == heard.message(partial=True)


def test_what_is_no_chunk_is_passed_on_and_only_usage_is_not() -> None:
    heard = Heard()
    assert all(heard.feed(it) for it in (b"x", b"[]", b'{"error": {}}', chunk({"content": "a"})))
    assert not heard.feed(b'{"choices": [], "usage": {}}')
    assert {"role": "assistant", "content": "a"} == heard.message()


def test_a_whole_answer_is_kept_with_what_else_it_says() -> None:
    message = {"role": "assistant", "content": "hi", "refusal": None, "annotations": [], "images": [{"a": 1}]}
    heard = Heard.whole(
        msgspec.json.encode({"id": "c", "model": "m", "choices": [{"message": message, "finish_reason": "stop"}]})
    )
    assert {"role": "assistant", "content": "hi", "images": [{"a": 1}]} == heard.message()
    assert ("c", "m", "stop") == (heard.id, heard.model, heard.finish_reason)
