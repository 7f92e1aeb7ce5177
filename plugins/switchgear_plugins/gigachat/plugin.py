from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.provider import Provider
from switchgear_plugins.gigachat.provider import GigaChatProvider
from switchgear_plugins.gigachat.settings import GigaChatSettings


class GigaChatPlugin(Plugin[NoSettings]):
    """Sber's GigaChat."""

    api = 1

    def switchgear_providers(self) -> list[Offer[Provider]]:
        """Offer the provider type `gigachat`."""
        return [Offer("gigachat", GigaChatProvider, GigaChatSettings, "Sber's GigaChat")]
