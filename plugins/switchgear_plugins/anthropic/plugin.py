import os

from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.dialect import Dialect
from switchgear.contracts.kernel import Seed, seeds_from_environment
from switchgear.contracts.provider import Provider
from switchgear_plugins.anthropic.dialect import AnthropicDialect
from switchgear_plugins.anthropic.provider import AnthropicProvider
from switchgear_plugins.anthropic.settings import AnthropicProviderSettings


class AnthropicPlugin(Plugin[NoSettings]):
    """Anthropic's API on both sides: the dialect clients speak, and the provider."""

    api = 1

    def switchgear_dialects(self) -> list[Offer[Dialect]]:
        """Offer the dialect `anthropic`."""
        return [Offer("anthropic", AnthropicDialect, summary="Anthropic's Messages and their token count")]

    def switchgear_providers(self) -> list[Offer[Provider]]:
        """Offer the provider type `anthropic`."""
        return [Offer("anthropic", AnthropicProvider, AnthropicProviderSettings, "Anthropic's API")]

    def switchgear_first_run(self) -> list[Seed]:
        """Make a provider of the key in the environment, if there is one."""
        return seeds_from_environment("anthropic", {"api_key": "ANTHROPIC_API_KEY"}, os.environ)
