"""A filter that is right: it takes a word out, wherever its text is cut."""

from typing import ClassVar

from switchgear.contracts.filter import Piece
from switchgear.testing.filter_suite import FilterSuite

WORD = "secret"


class Right:
    hold = len(WORD) - 1

    def __init__(self):
        self.kept = ""
        self.last = Piece(0, "text", "")

    def feed(self, piece):
        self.last = piece
        text = (self.kept + piece.text).replace(WORD, "")
        cut = next((n for n in range(min(self.hold, len(text)), 0, -1) if WORD.startswith(text[-n:])), 0)
        self.kept = text[len(text) - cut :]
        return [piece.with_text(text[: len(text) - cut])]

    def end(self):
        return [self.last.with_text(self.kept)]


class PieceByPiece(Right):
    def feed(self, piece):
        return [piece.with_text(piece.text.replace(WORD, ""))]


class HoldsEverything(Right):
    def feed(self, piece):
        self.last = piece
        self.kept += piece.text
        return []

    def end(self):
        return [self.last.with_text(self.kept.replace(WORD, ""))]


class LosesTheEnd(Right):
    def end(self):
        return []


class Shared(Right):
    """Keeps what it holds back for all filters."""

    pool: ClassVar = [""]

    @property
    def kept(self):
        return self.pool[0]

    @kept.setter
    def kept(self, text):
        self.pool[0] = text or self.pool[0]


class OtherChoice(Right):
    def feed(self, piece):
        return [Piece(0, it.channel, it.text) for it in super().feed(piece)]


class TestRight(FilterSuite):
    make: ClassVar = Right
    texts = ("a secret is told", "sec", "secretsecret", "nothing")
    expected: ClassVar = {"a secret is told": "a  is told", "sec": "sec", "my sec": "my sec"}


MUTANTS = ((TestRight, "make", (PieceByPiece, HoldsEverything, LosesTheEnd, Shared, OtherChoice)),)
