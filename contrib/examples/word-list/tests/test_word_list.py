from types import SimpleNamespace
from typing import Any, ClassVar

import msgspec
import pytest
from switchgear_word_list import NAME, Attached, WordFilter, WordList, pattern_of

from switchgear.errors import InvalidRequest
from switchgear.testing.filter_suite import FilterSuite
from switchgear.testing.policy_suite import PolicySuite

WORDS = ("dash", "dash it", "café")


class TestWordFilter(FilterSuite):
    texts = ("Dash!", "dash it all", "a dashing dash it", "Balderdash, dash items", "CAFÉ café", "nothing to see")

    def make(self) -> WordFilter:
        return WordFilter(WORDS, "***")

    def test_the_longest_word_is_told_otherwise_and_parts_of_words_are_not(self) -> None:
        assert "***, balderdash! cafés, *** dashed" == self.run(
            ["Das", "h i", "t, balder", "dash! caf", "és, CAFÉ dashed"]
        )


class TestArguments(TestWordFilter):
    channel = "tool_arguments"
    texts = ('{"say":"dash it"}', '{"dash":["dash","dashes"]}')


class TestWordList(PolicySuite):
    attached: ClassVar = {NAME: Attached(WORDS)}

    def make(self, counters: object) -> WordList:
        return WordList()


def ask(text: str) -> None:
    said = SimpleNamespace(text=text)
    conversation = SimpleNamespace(texts=lambda: [said])
    x: Any = SimpleNamespace(attached={NAME: Attached(WORDS)}, conversation=conversation)
    WordList().prepare(x)


def test_who_asks_with_a_word_is_refused() -> None:
    ask("dashing")
    with pytest.raises(InvalidRequest) as caught:
        ask("Oh DASH it")
    assert "word_not_allowed" == caught.value.code
    assert "dash" not in caught.value.message


def test_words_are_taken_as_they_are() -> None:
    assert pattern_of(("a.b",)).search("a.b")
    assert not pattern_of(("a.b",)).search("axb")


@pytest.mark.parametrize("wrong", [{"words": []}, {"words": [""]}, {"words": ["a"], "instead": '"'}, {"words": "a"}])
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, Attached)
