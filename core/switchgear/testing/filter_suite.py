"""What every filter must do, as tests to inherit.

    class TestMine(FilterSuite):
        texts = ("mail me at bob@example.com", "nothing here")   # some of which it changes
        def make(self): return MyFilter()

and pytest runs it, in every wire, whole and streamed. A test that cannot hold is overridden with a docstring that says why.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchgear.contracts.filter import Channel, Filter, Piece
from switchgear.testing.answers import WIRES, channels_of, filter_stream, filter_whole

_PLAIN = "The quick brown fox jumps over the lazy dog. " * 40


class FilterSuite:
    """Inherit and fill in `make`; give `texts` to read, of the channel named in `channel`, and in `expected` what is to become of
    some.
    """

    texts: ClassVar[tuple[str, ...]] = ("Hello.",)
    expected: ClassVar[Mapping[str, str]] = {}
    channel: ClassVar[Channel] = "text"

    def make(self) -> Filter:
        """Make the filter under test."""
        raise AssertionError("override `make` to return the filter under test")

    def run(self, pieces: list[str]) -> str:
        """Lead pieces of one text through a filter."""
        one = self.make()
        out = [piece for text in pieces if text for piece in one.feed(Piece(0, self.channel, text))]
        return "".join(piece.text for piece in [*out, *one.end()])

    def test_it_makes_of_texts_what_it_is_for(self) -> None:
        for text, wanted in self.expected.items():
            assert wanted == self.run([text])
            assert wanted == self.run(list(text)), "what comes out depends on where the text is cut"

    def test_what_it_returns_is_of_the_choice_and_channel_that_it_was_fed(self) -> None:
        for text in self.texts:
            one = self.make()
            pieces = [*one.feed(Piece(3, self.channel, text)), *one.end()] if text else []
            assert {(3, self.channel)} >= {(piece.choice, piece.channel) for piece in pieces}, (
                "use `piece.with_text(…)`"
            )

    def test_where_a_text_is_cut_changes_nothing(self) -> None:
        @settings(max_examples=100, deadline=None)
        @given(data=st.data())
        def read(data: Any) -> None:
            text = " ".join(data.draw(st.lists(st.sampled_from(self.texts), min_size=1, max_size=4)))
            text += data.draw(st.text(max_size=20))
            assert self.run([text]) == self.run(cut(data, text))
            assert self.run([text]) == self.run(list(text))

        read()

    def test_it_keeps_back_no_more_than_it_says(self) -> None:
        """A text that it lets pass as it is comes out but for the last `hold` characters."""
        one = self.make()
        if self.run([_PLAIN]) != _PLAIN:
            return  # it changes plain text
        shown = 0
        for heard, letter in enumerate(_PLAIN, 1):
            shown += sum(len(piece.text) for piece in one.feed(Piece(0, self.channel, letter)))
            assert heard - shown <= one.hold

    @pytest.mark.parametrize("wire", WIRES)
    def test_every_wire_says_the_same_whole_and_streamed(self, wire: str) -> None:
        @settings(max_examples=50, deadline=None)
        @given(data=st.data())
        def answer(data: Any) -> None:
            text = data.draw(st.sampled_from(self.texts))
            expected = filter_whole(wire, [(self.channel, text)], self.make)
            assert expected == filter_stream(wire, [(self.channel, piece) for piece in cut(data, text)], self.make)
            assert self.run([text]) == expected.get(self.channel, "")

        if self.channel in channels_of(wire):
            answer()

    def test_one_filter_knows_nothing_of_another(self) -> None:
        one, other = self.make(), self.make()
        for text in self.texts:
            one.feed(Piece(0, self.channel, text))
        assert not [piece for piece in other.end() if any(text and text in piece.text for text in self.texts)]


def cut(data: Any, text: str) -> list[str]:
    """Cut a text at places drawn."""
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return [text[begin:end] for begin, end in zip([0, *places], [*places, len(text)], strict=True)]
