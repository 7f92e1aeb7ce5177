import os

from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.kernel import Seed, seeds_from_environment
from switchgear.contracts.provider import Provider
from switchgear_plugins.azure_openai.provider import AzureProvider
from switchgear_plugins.azure_openai.settings import AzureSettings


class AzureOpenAIPlugin(Plugin[NoSettings]):
    """OpenAI's models as Azure serves them."""

    api = 1

    def switchgear_providers(self) -> list[Offer[Provider]]:
        """Offer the provider type `azure_openai`."""
        return [Offer("azure_openai", AzureProvider, AzureSettings, "Azure OpenAI: deployments, API key or Entra ID")]

    def switchgear_first_run(self) -> list[Seed]:
        """Make a provider of the endpoint and key in the environment, if they are there."""
        endpoint = os.environ.get("AZURE_OPENAI_ENDPOINT")
        if not endpoint:
            return []
        return seeds_from_environment(
            "azure_openai", {"api_key": "AZURE_OPENAI_API_KEY"}, os.environ, base_url=endpoint
        )
