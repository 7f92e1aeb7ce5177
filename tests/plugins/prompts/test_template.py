import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear_plugins.prompts.template import TooLong, Variable, names, parse

HOSTILE = [
    "${var:a}",
    "${var:b:c}",
    "$${var:a}",
    "{{7*7}}",
    "{% for x in y %}",
    "${7*7}",
    "#{7*7}",
    "<%= 7*7 %>",
    "\\g<0>",
    "\\1",
    "%(a)s",
    "{a.__class__}",
    "{0}",
    "`id`",
    "$(id)",
    "${jndi:ldap://x}",
    "\u202e${var:a}",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_what_a_value_says_is_inert(value: str) -> None:
    assert f"<{value}>" == parse("<${var:a}>").render({"a": value}, 1000)
    assert f"{value} x" == parse("${var:a} ${var:b:x}").render({"a": value}, 1000)


@pytest.mark.parametrize("text", [it for it in HOSTILE if "${var:" not in it])
def test_only_variables_mean_something_in_a_text(text: str) -> None:
    assert text == parse(text).render({"a": "never"}, 1000)


@pytest.mark.parametrize(
    "text", ["${var:}", "${var:a", "${var:a_b}", "${var:a.b}", "say ${var: a}", f"${{var:{'x' * 65}}}"]
)
def test_what_begins_like_a_variable_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no variable"):
        parse(text)


def test_a_default_stands_where_there_is_no_value_and_may_be_empty() -> None:
    assert "en, , {a" == parse("${var:lang:en}, ${var:x:}, ${var:y:{a}").render({}, 100)


def test_a_variable_without_a_default_is_missing_wherever_else_it_has_one() -> None:
    text = parse("${var:a:1} ${var:a} ${var:b:2}")
    assert ["a"] == text.missing({})
    assert [] == text.missing({"a": ""})
    assert (Variable("a", "1"), Variable("b", "2")) == text.variables
    assert {"a", "b"} == names([text])


def test_numbers_and_truths_read_as_in_json() -> None:
    assert "3 1.5 true" == parse("${var:a} ${var:b} ${var:c}").render({"a": 3, "b": 1.5, "c": True}, 100)


def test_a_text_that_would_be_too_long_is_not_made() -> None:
    with pytest.raises(TooLong):
        parse("${var:a}" * 1000).render({"a": "x" * 1000}, 999_999)


WORD = st.text("abc-", min_size=1, max_size=3)
PLAIN = st.text("ab ${}:\n", max_size=6).filter(lambda text: "${var:" not in text)


@given(
    st.lists(st.one_of(PLAIN, st.tuples(WORD, st.none() | st.text("ab:$", max_size=3)))),
    st.dictionaries(WORD, st.text()),
)
def test_a_text_is_its_parts_with_values_in_their_places(parts: list, values: dict[str, str]) -> None:
    written = [it if isinstance(it, str) else f"${{var:{it[0]}{'' if it[1] is None else ':' + it[1]}}}" for it in parts]
    expected = [
        it if isinstance(it, str) else values.get(it[0], f"${{var:{it[0]}}}" if it[1] is None else it[1])
        for it in parts
    ]
    text = "".join(written)
    if len(re.findall(re.escape("${var:"), text)) == sum(not isinstance(it, str) for it in parts):
        assert "".join(expected) == parse(text).render(values, 10_000)


def test_a_text_of_nothing_but_beginnings_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="is no variable"):
        parse("${var:a:" * 25_000)
