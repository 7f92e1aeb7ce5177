from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.provider import Provider
from switchgear_plugins.openai_compatible.provider import CompatibleProvider
from switchgear_plugins.openai_compatible.settings import CompatibleSettings


class OpenAICompatiblePlugin(Plugin[NoSettings]):
    """Servers that speak OpenAI's chat completions under another address."""

    api = 1

    def switchgear_providers(self) -> list[Offer[Provider]]:
        """Offer the provider type `openai_compatible`."""
        return [Offer("openai_compatible", CompatibleProvider, CompatibleSettings, "Any server with OpenAI's API")]
