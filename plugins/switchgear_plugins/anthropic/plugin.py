from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.dialect import Dialect
from switchgear_plugins.anthropic.dialect import AnthropicDialect


class AnthropicPlugin(Plugin[NoSettings]):
    """Anthropic's Messages API: the dialect clients speak."""

    api = 1

    def switchgear_dialects(self) -> list[Offer[Dialect]]:
        """Offer the dialect `anthropic`."""
        return [Offer("anthropic", AnthropicDialect, summary="Anthropic's Messages and their token count")]
