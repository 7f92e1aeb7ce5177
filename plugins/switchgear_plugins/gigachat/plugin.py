import os

from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.kernel import Seed, seeds_from_environment
from switchgear.contracts.provider import Provider
from switchgear_plugins.gigachat.provider import GigaChatProvider
from switchgear_plugins.gigachat.settings import GigaChatSettings


class GigaChatPlugin(Plugin[NoSettings]):
    """Sber's GigaChat."""

    api = 1

    def switchgear_providers(self) -> list[Offer[Provider]]:
        """Offer the provider type `gigachat`."""
        return [Offer("gigachat", GigaChatProvider, GigaChatSettings, "Sber's GigaChat")]

    def switchgear_first_run(self) -> list[Seed]:
        """Make a provider of the authorisation key and the certificates named in the environment, if they are there."""
        bundle = os.environ.get("GIGACHAT_CA_BUNDLE_FILE")
        if not bundle:
            return []
        return seeds_from_environment("gigachat", {"auth_key": "GIGACHAT_CREDENTIALS"}, os.environ, ca_bundle=bundle)
