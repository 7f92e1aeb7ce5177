from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.provider import Provider
from switchgear_plugins.azure_openai.provider import AzureProvider
from switchgear_plugins.azure_openai.settings import AzureSettings


class AzureOpenAIPlugin(Plugin[NoSettings]):
    """OpenAI's models as Azure serves them."""

    api = 1

    def switchgear_providers(self) -> list[Offer[Provider]]:
        """Offer the provider type `azure_openai`."""
        return [Offer("azure_openai", AzureProvider, AzureSettings, "Azure OpenAI: deployments, API key or Entra ID")]
