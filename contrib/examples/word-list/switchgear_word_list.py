"""Keeps words out of conversations, where it is attached: who asks with one is refused, and answers have another in its place."""

import re
from functools import lru_cache
from typing import Annotated

import msgspec

from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.filter import Filter, Piece
from switchgear.contracts.policy import Policy
from switchgear.errors import InvalidRequest

NAME = "word_list"

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Harmless = Annotated[str, msgspec.Meta(pattern=r'^[^"\\\x00-\x1f]{0,100}$')]
"""What may stand in a text of JSON too, as in the arguments of a tool call."""


class Attached(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The `settings` of an attachment: the words, in any case, and what is told instead."""

    words: Annotated[tuple[Word, ...], msgspec.Meta(min_length=1, max_length=1000)]
    instead: Harmless = "***"


@lru_cache(maxsize=64)
def pattern_of(words: tuple[str, ...]) -> re.Pattern[str]:
    """Return what finds any of the words, the longest first, where no letter or digit goes before or after."""
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)


class WordFilter:
    """A filter of one text. It keeps back as much as the longest word takes, and a letter that may follow it."""

    def __init__(self, words: tuple[str, ...], instead: str) -> None:
        self.hold = max(map(len, words)) + 1
        self._pattern = pattern_of(words)
        self._instead = instead
        self._text = ""  # what is not told yet, and before it one letter that is
        self._told = 0
        self._last = Piece(0, "text", "")

    def feed(self, piece: Piece) -> list[Piece]:
        self._last = piece
        self._text += piece.text
        return [piece.with_text(self._tell(len(self._text) - self.hold))]

    def end(self) -> list[Piece]:
        return [self._last.with_text(self._tell(len(self._text)))]

    def _tell(self, until: int) -> str:
        """Tell the text, but for words that begin at a place from `until` on and what follows them."""
        out = ""
        while (found := self._pattern.search(self._text, self._told)) and found.start() < until:
            out += self._text[self._told : found.start()] + self._instead
            self._told = found.end()
        if self._told < until:
            out += self._text[self._told : until]
            self._told = until
        self._text = self._text[max(0, self._told - 1) :]
        self._told = min(self._told, 1)
        return out


class WordList(Policy):
    """The policy. A word that it cannot look for must not pass, so its failure refuses the call, or stops the answer."""

    on_error = "deny"
    attachable = True

    def prepare(self, x: Exchange) -> None:
        settings: Attached = x.attached[NAME]
        for said in x.conversation.texts():
            if pattern_of(settings.words).search(said.text):
                raise InvalidRequest("The request holds a word that is not allowed here.", code="word_not_allowed")

    def reads(self, x: Exchange) -> Filter:
        settings: Attached = x.attached[NAME]
        return WordFilter(settings.words, settings.instead)


class WordListPlugin(Plugin[NoSettings]):
    """Offers the policy, which the resources of the kind `policy-attachments` attach."""

    api = 1

    def switchgear_policies(self) -> list[Offer]:
        return [Offer(NAME, WordList, Attached)]
