from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.wire.fit.results import paired

Said = tuple[str, ...]
"""What is said: `("call", id, …)` by the model, `("result", id)` by a tool, anything else by others."""


def pair(*messages: Said) -> tuple[list[Said], bool]:
    return paired(
        messages,
        called=lambda it: it[1:] if it[0] == "call" else (),
        answered=lambda it: it[1] if it[0] == "result" else None,
        nothing=lambda call_id: ("result", call_id, "none"),
        told=lambda it: ("told", *it[1:]),
    )


def test_what_is_in_order_stays_as_it_is() -> None:
    messages = [("q",), ("call", "a", "b"), ("result", "b"), ("result", "a"), ("q",), ("call", "a"), ("result", "a")]
    assert (messages, False) == pair(*messages)


def test_what_was_said_between_comes_behind_the_results() -> None:
    told = pair(("call", "a", "b"), ("result", "a"), ("note",), ("result", "b"), ("q",))
    assert ([("call", "a", "b"), ("result", "a"), ("result", "b"), ("note",), ("q",)], False) == told


def test_a_call_without_a_result_gets_one() -> None:
    assert ([("call", "a", "b"), ("result", "a"), ("result", "b", "none"), ("q",)], True) == pair(
        ("call", "a", "b"), ("result", "a"), ("q",)
    )
    assert ([("call", "a"), ("result", "a", "none")], True) == pair(("call", "a"))


def test_a_late_result_goes_to_its_call_and_one_too_many_is_told() -> None:
    assert ([("call", "a"), ("result", "a"), ("call", "b"), ("result", "b")], False) == pair(
        ("call", "a"), ("call", "b"), ("result", "a"), ("result", "b")
    )
    assert ([("told", "x"), ("call", "a"), ("result", "a"), ("told", "a"), ("q",)], True) == pair(
        ("result", "x"), ("call", "a"), ("result", "a"), ("result", "a"), ("q",)
    )


def test_ids_that_are_used_again_are_those_of_the_last_turn() -> None:
    messages = [("call", "0", "0"), ("result", "0"), ("result", "0"), ("call", "0"), ("result", "0")]
    assert (messages, False) == pair(*messages)


@pytest.mark.parametrize("messages", [(("call", "a"), ("result", "")), ()])
def test_results_that_do_not_say_what_they_answer_are_left_alone(messages: tuple[Said, ...]) -> None:
    assert (list(messages), False) == pair(*messages)


IDS = st.sampled_from("abc")
MESSAGES = st.one_of(
    st.lists(IDS, min_size=1, max_size=3).map(lambda ids: ("call", *ids)),
    IDS.map(lambda call_id: ("result", call_id)),
    st.just(("q",)),
)


@given(st.lists(MESSAGES, max_size=12))
def test_every_call_is_answered_once_and_nothing_is_lost(messages: list[Said]) -> None:
    ordered, made_up = pair(*messages)
    assert made_up or Counter(ordered) == Counter(messages)
    waiting: Counter[str] = Counter()
    for message in ordered:
        if message[0] == "result":
            assert waiting[message[1]] > 0
            waiting[message[1]] -= 1
        else:
            assert not +waiting
            waiting = Counter(message[1:] if message[0] == "call" else ())
    assert not +waiting
    given_results = [it for it in ordered if it[0] == "told" or (it[0] == "result" and len(it) == 2)]
    assert len(given_results) == len([it for it in messages if it[0] == "result"])
    assert [it for it in messages if it[0] == "call"] == [it for it in ordered if it[0] == "call"]
    again, more = pair(*ordered)
    assert (ordered, False) == (again, more)
