from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from switchgear_plugins.dialogs.context import Said, as_text, choose, read, rounds, told


def count(message: dict[str, Any]) -> int:
    return len(str(message.get("content") or "")) + 1


def user(text: str = "hi") -> dict[str, Any]:
    return {"role": "user", "content": text}


def answer(text: str = "ok", *calls: str) -> dict[str, Any]:
    made: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        made["tool_calls"] = [
            {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id in calls
        ]
    return made


def result(call: str, text: str = "r") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call, "content": text}


def said(*messages: dict[str, Any]) -> list[Said]:
    return [Said(number, message) for number, message in enumerate(messages, 1)]


def chosen(budget: int, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    return list(choose(rounds(said(*messages)), budget, count).messages)


def test_what_fits_is_told_whole() -> None:
    messages = [user(), answer(), user("again"), answer("yes", "1"), result("1"), answer("done"), user("so")]
    assert messages == chosen(1000, *messages)


def test_old_rounds_fall_out_whole_and_the_newest_stays_whatever_its_length() -> None:
    messages = [user("a" * 10), answer("b" * 10), user("c" * 10), answer("d" * 10), user("e" * 10)]
    assert messages[2:] == chosen(40, *messages)
    assert messages[4:] == chosen(20, *messages)
    assert messages[4:] == chosen(1, *messages)


def test_of_a_round_that_is_too_long_the_middle_is_left_out_and_calls_keep_their_results() -> None:
    steps = [it for n in range(9) for it in (answer("x" * 9, str(n)), result(str(n), "y" * 9))]
    found = chosen(70, user("go"), *steps)
    assert [user("go"), *steps[-6:]] == found
    assert [user("go"), *steps[-2:]] == chosen(1, user("go"), *steps)


def test_a_call_without_a_result_and_a_result_without_a_call_are_not_told() -> None:
    found = chosen(1000, user(), answer("two", "1", "2"), result("1"), result("9"), user("so"))
    assert [user(), answer("two", "1"), result("1"), user("so")] == found
    assert [user(), user("so")] == chosen(1000, user(), answer("", "1"), user("so"))
    assert [user()] == chosen(1000, user(), result("1"))
    twice = [user(), answer("", "1"), result("1", "a"), result("1", "b")]
    assert twice[:3] == chosen(1000, *twice)
    assert [user()] == chosen(1000, user(), {"role": "assistant", "tool_calls": [5, {}, {"id": []}]}, result("1"))


def test_what_an_answer_had_for_its_reader_is_not_told_again() -> None:
    seen = {**answer(), "annotations": [{"a": 1}], "refusal": None, "audio": {"id": "a1", "data": "…"}}
    assert [user(), {**answer(), "audio": {"id": "a1"}}, user()] == chosen(1000, user(), seen, user())


def test_what_cannot_be_read_is_nothing() -> None:
    assert "" == read(1, b"\xff").role == read(1, b"[1]").role == read(1, b'{"role": 5}').role
    assert [user()] == chosen(100, {}, user())


def test_text_for_a_summary_names_who_speaks_and_what_is_called() -> None:
    parts = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:…"}}]
    found = as_text(said({"role": "user", "content": parts}, answer("long answer", "1"), result("1")), 200)
    assert "user: see [image_url]\nassistant: long answer [calls f({})]\ntool: r" == found


ids = st.sampled_from(["1", "2", "3"])
any_message = st.one_of(
    st.builds(user, st.text(max_size=20)),
    st.builds(lambda text, calls: answer(text, *calls), st.text(max_size=20), st.lists(ids, unique=True, max_size=3)),
    st.builds(result, ids, st.text(max_size=20)),
    st.sampled_from([{}, {"role": "assistant", "content": None, "tool_calls": "x"}]),
)


@given(st.lists(any_message, max_size=30), st.integers(-5, 200))
def test_whatever_was_said_calls_and_results_are_told_in_pairs(messages: list[dict[str, Any]], budget: int) -> None:
    found = choose(rounds(said(*messages)), budget, count)
    waiting: list[str] = []
    for message in found.messages:
        if message["role"] == "tool" if "role" in message else False:
            assert message["tool_call_id"] in waiting
            waiting.remove(message["tool_call_id"])
            continue
        assert not waiting, "a result is missing"
        waiting = [it["id"] for it in message.get("tool_calls", ())]
    if any(it.get("role") == "user" for it in messages):
        newest = max(place for place, it in enumerate(messages) if it.get("role") == "user")
        assert messages[newest]["content"] in [it.get("content") for it in found.messages if it.get("role") == "user"]
        assert "user" == found.messages[0]["role"]


@given(st.lists(any_message, max_size=30), st.integers(1, 200))
def test_more_than_the_last_round_is_told_only_within_the_budget(messages: list[dict[str, Any]], budget: int) -> None:
    cut = rounds(said(*messages))
    found = choose(cut, budget, count)
    if len([it for it in found.messages if it.get("role") == "user"]) > 1:
        assert sum(map(count, found.messages)) <= budget
    assert found.tokens == sum(map(count, found.messages))
    if cut and sum(map(count, told(cut[-1]))) <= budget:
        whole = told(cut[-1])
        assert whole == list(found.messages)[len(found.messages) - len(whole) :]
