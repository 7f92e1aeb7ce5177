from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.dialect import Dialect
from switchgear.contracts.provider import Provider
from switchgear_plugins.openai.dialect import OpenAIDialect
from switchgear_plugins.openai.provider import OpenAIProvider
from switchgear_plugins.openai.settings import OpenAIProviderSettings


class OpenAIPlugin(Plugin[NoSettings]):
    """OpenAI's API on both sides: the dialect clients speak, and the provider."""

    api = 1

    def switchgear_dialects(self) -> list[Offer[Dialect]]:
        """Offer the dialect `openai`."""
        return [
            Offer(
                "openai", OpenAIDialect, summary="OpenAI's chat and text completions, embeddings, responses and models"
            )
        ]

    def switchgear_providers(self) -> list[Offer[Provider]]:
        """Offer the provider type `openai`."""
        return [Offer("openai", OpenAIProvider, OpenAIProviderSettings, "OpenAI's API")]
