from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.filter import Filter, Piece
from switchgear.contracts.policy import Policy

HIDDEN = str.maketrans("0123456789", "##########")


class HideDigits:
    """Shows `#` for each digit. A filter that must see what follows keeps back up to `hold` characters, until `end`."""

    hold = 0

    def feed(self, piece: Piece) -> list[Piece]:
        """Return what may be shown of a piece."""
        return [piece.with_text(piece.text.translate(HIDDEN))]

    def end(self) -> list[Piece]:
        """Return what was kept back."""
        return []


class PluginNamePolicy(Policy):
    """Has the text of every answer filtered, whole or streamed, in every dialect."""

    def reads(self, x: Exchange) -> Filter:
        """Return the filter of a text that begins."""
        return HideDigits()


class PluginNamePlugin(Plugin[NoSettings]):
    """Brings the policy."""

    api = 1

    def switchgear_policies(self) -> list[Offer[Policy]]:
        """Offer it."""
        return [Offer("plugin_name", PluginNamePolicy)]
