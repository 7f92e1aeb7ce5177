from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.provider import NativeProvider
from switchgear_plugins.echo.provider import EchoProvider


class EchoPlugin(Plugin[NoSettings]):
    """A model that answers what it was told, without a network."""

    api = 1

    def switchgear_providers(self) -> list[Offer[NativeProvider]]:
        """Offer the provider type `echo`."""
        return [Offer("echo", EchoProvider, summary="Says what it was told; needs no key")]
