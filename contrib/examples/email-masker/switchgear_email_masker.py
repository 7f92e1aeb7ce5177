"""Masks e-mail addresses: in prompts through the conversation of the call, in answers through a filter."""

import re

import msgspec

from switchgear import Offer, Plugin
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.filter import Filter, Piece
from switchgear.contracts.policy import Policy

_LETTERS = r"\w.+%'@-"
_ADDRESS = re.compile(r"[\w.+%'-]{1,64}@(?:[\w-]{1,63}\.)+[\w-]{2,63}")
_RUNS = re.compile(rf"[{_LETTERS}]+|[^{_LETTERS}]+")
_RUN = re.compile(rf"[{_LETTERS}]")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table [plugins.email_masker]."""

    mask: str = "[email]"


class Masker:
    """A filter of one text. It keeps back what may be the beginning of an address: a run of the letters these are made of.

    A run longer than any address is masked whole if there is an `@` in it, and otherwise told up to what may still become one.
    """

    hold = 320

    def __init__(self, mask: str) -> None:
        self._mask = mask
        self._run = ""
        self._is_masked = False  # what is left of a run that was masked for its length
        self._last = Piece(0, "text", "")

    def feed(self, piece: Piece) -> list[Piece]:
        self._last = piece
        out = ""
        for part in _RUNS.findall(piece.text):
            out += self._go_on(part) if _RUN.match(part) else self._finish() + part
        return [piece.with_text(out)]

    def end(self) -> list[Piece]:
        return [self._last.with_text(self._finish())]

    def _go_on(self, letters: str) -> str:
        if self._is_masked:
            return ""
        self._run += letters
        out = ""
        while len(self._run) > self.hold:
            at = self._run.find("@")
            if 0 <= at < self.hold:
                self._run, self._is_masked = "", True
                return out + self._mask
            surplus = len(self._run) - self.hold
            cut = surplus if at < 0 else min(surplus, at - self.hold + 1)
            out, self._run = out + self._run[:cut], self._run[cut:]
        return out

    def _finish(self) -> str:
        run, self._run, self._is_masked = self._run, "", False
        return _ADDRESS.sub(self._mask, run)


class EmailMasker(Policy):
    """The policy. An address that it cannot mask must not pass, so its failure refuses the call, or stops the answer."""

    on_error = "deny"

    def __init__(self, mask: str) -> None:
        self._mask = mask

    def prepare(self, x: Exchange) -> None:
        for said in x.conversation.texts():
            masker = Masker(self._mask)
            pieces = [*masker.feed(Piece(0, said.channel, said.text)), *masker.end()]
            said.replace("".join(piece.text for piece in pieces))

    def reads(self, x: Exchange) -> Filter:
        return Masker(self._mask)


class EmailMaskerPlugin(Plugin[Settings]):
    """Offers the policy."""

    api = 1
    settings_type = Settings

    def switchgear_policies(self) -> list[Offer]:
        return [Offer("email_masker", lambda: EmailMasker(self.settings.mask))]
