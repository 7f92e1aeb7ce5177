from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.provider import Provider
from switchgear_plugins.anthropic.provider import AnthropicProvider
from switchgear_plugins.anthropic.settings import AnthropicProviderSettings


class AnthropicPlugin(Plugin[NoSettings]):
    """Anthropic's API: the provider."""

    api = 1

    def switchgear_providers(self) -> list[Offer[Provider]]:
        """Offer the provider type `anthropic`."""
        return [Offer("anthropic", AnthropicProvider, AnthropicProviderSettings, "Anthropic's API")]
