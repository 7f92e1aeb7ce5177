import os

from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.kernel import Seed, seeds_from_environment
from switchgear.contracts.provider import Provider
from switchgear_plugins.bedrock.provider import BedrockProvider
from switchgear_plugins.bedrock.settings import BedrockSettings


class BedrockPlugin(Plugin[NoSettings]):
    """Models on AWS Bedrock."""

    api = 1

    def switchgear_providers(self) -> list[Offer[Provider]]:
        """Offer the provider type `bedrock`."""
        return [Offer("bedrock", BedrockProvider, BedrockSettings, "Models on AWS Bedrock")]

    def switchgear_first_run(self) -> list[Seed]:
        """Make a provider of the Bedrock API key in the environment, if there is one and a region."""
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if not region:
            return []
        variables = {"api_key": "AWS_BEARER_TOKEN_BEDROCK"}
        return seeds_from_environment("bedrock", variables, os.environ, settings={"region": region})
