from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.provider import Provider
from switchgear_plugins.bedrock.provider import BedrockProvider
from switchgear_plugins.bedrock.settings import BedrockSettings


class BedrockPlugin(Plugin[NoSettings]):
    """Models on AWS Bedrock."""

    api = 1

    def switchgear_providers(self) -> list[Offer[Provider]]:
        """Offer the provider type `bedrock`."""
        return [Offer("bedrock", BedrockProvider, BedrockSettings, "Models on AWS Bedrock")]
